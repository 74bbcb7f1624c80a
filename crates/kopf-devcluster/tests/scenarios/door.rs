//! The two ways to the cluster, and watches through them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kopf_devcluster::{DevCluster, DevService};
use serde_json::Value;
use tower::ServiceExt as _;

/// A way to the cluster.
#[derive(Clone)]
pub(crate) enum Door {
    InProcess(DevService),
    Http(Box<Client<HttpConnector, Full<Bytes>>>, String),
}

/// A request as scenarios write it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Door {
    pub(crate) fn in_process(cluster: &DevCluster) -> Self {
        Self::InProcess(cluster.service())
    }

    pub(crate) fn http(url: &str) -> Self {
        Self::Http(Box::new(Client::builder(TokioExecutor::new()).build_http()), url.to_owned())
    }

    /// Whether time is paused, so that sleeping costs nothing.
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self, Self::InProcess(_))
    }

    pub(crate) async fn send(&self, call: &Call) -> Answer {
        match self {
            Self::InProcess(service) => {
                let response = service.clone().oneshot(request(call, "")).await.unwrap();
                answer(response).await
            }
            Self::Http(client, base) => answer(client.request(request(call, base)).await.unwrap()).await,
        }
    }

    pub(crate) async fn watch(&self, call: &Call) -> Watch {
        match self {
            Self::InProcess(service) => {
                Watch::start(service.clone().oneshot(request(call, "")).await.unwrap())
            }
            Self::Http(client, base) => Watch::start(client.request(request(call, base)).await.unwrap()),
        }
    }
}

fn request(call: &Call, base: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(call.method.clone()).uri(format!("{base}{}", call.path));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    if !call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        request = request.header("authorization", "Bearer dev-cluster");
    }
    let body = Full::new(call.body.clone().unwrap_or_default().into());
    request.body(body).unwrap_or_else(|error| panic!("{} {}: {error}", call.method, call.path))
}

async fn answer<B>(response: http::Response<B>) -> Answer
where
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let is_yaml = parts.headers.get("content-type").is_some_and(|value| value.as_bytes().ends_with(b"yaml"));
    let body = if is_yaml { serde_saphyr::from_str(&text).ok() } else { serde_json::from_str(&text).ok() };
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.unwrap_or_else(|| text.into_owned().into()),
    }
}

/// A watch that runs beside the scenario.
pub(crate) struct Watch {
    pub(crate) status: StatusCode,
    seen: Arc<Mutex<Vec<Value>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn start<B>(response: http::Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let status = response.status();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut body = Box::pin(response.into_body());
            let mut buffer = Vec::new();
            while let Some(Ok(frame)) = body.frame().await {
                buffer.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
                while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    events.lock().unwrap().push(serde_json::from_slice(&line).unwrap());
                }
            }
        });
        Self { status, seen, task }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits for the end of the stream; gives all its events.
    pub(crate) async fn events(self) -> Vec<Value> {
        self.task.await.unwrap();
        Arc::try_unwrap(self.seen).unwrap().into_inner().unwrap()
    }
}
