//! The ways to the dev cluster and to a real one, and watches through them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kopf_devcluster::{DevCluster, DevService};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// How long a real server may take to show what it has been asked to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A way to a cluster.
#[derive(Clone)]
pub(crate) enum Door {
    InProcess(DevService),
    Http(Box<Address>),
}

/// Where a server listens, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Address {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: String,
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
        Self::with_roots(url, "dev-cluster", rustls::RootCertStore::empty())
    }

    /// The real cluster of a kubeconfig, with a certificate authority and a token.
    pub(crate) fn real(kubeconfig: &str) -> Self {
        let text =
            std::fs::read_to_string(kubeconfig).unwrap_or_else(|error| panic!("{kubeconfig}: {error}"));
        let config: Value = serde_saphyr::from_str(&text).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        let field = |value: &Value, name: &str| {
            let text = value[name].as_str().map(ToOwned::to_owned);
            text.unwrap_or_else(|| panic!("{kubeconfig} has no {name}, which this test needs"))
        };
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(field(cluster, "certificate-authority")).unwrap();
        roots.add(authority).unwrap();
        let token = field(&config["users"][0]["user"], "token");
        Self::with_roots(&field(cluster, "server"), &token, roots)
    }

    fn with_roots(url: &str, token: &str, roots: rustls::RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self::Http(Box::new(Address { client, url: url.to_owned(), token: token.to_owned() }))
    }

    /// Whether time is paused, so that sleeping costs nothing.
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self, Self::InProcess(_))
    }

    pub(crate) async fn send(&self, call: &Call) -> Answer {
        match self {
            Self::InProcess(service) => {
                let response = service.clone().oneshot(request(call, "", "dev-cluster")).await.unwrap();
                answer(response).await
            }
            Self::Http(address) => answer(address.request(call).await).await,
        }
    }

    pub(crate) async fn watch(&self, call: &Call) -> Watch {
        match self {
            Self::InProcess(service) => {
                Watch::start(service.clone().oneshot(request(call, "", "dev-cluster")).await.unwrap())
            }
            Self::Http(address) => Watch::start(address.request(call).await),
        }
    }
}

impl Address {
    async fn request(&self, call: &Call) -> http::Response<hyper::body::Incoming> {
        self.client.request(request(call, &self.url, &self.token)).await.unwrap()
    }
}

fn request(call: &Call, base: &str, token: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(call.method.clone()).uri(format!("{base}{}", call.path));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    if !call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        request = request.header("authorization", format!("Bearer {token}"));
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

    /// Waits until so many events have come, or no more can come; ends the watch and gives them.
    pub(crate) async fn up_to(self, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let enough = async {
            while !self.has_ended() && !is_enough(&self.seen.lock().unwrap()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, enough).await;
        // What is too much comes right behind.
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.task.abort();
        self.seen.lock().unwrap().clone()
    }

    /// Waits for the end of the stream; gives all its events.
    pub(crate) async fn events(self) -> Vec<Value> {
        self.task.await.unwrap();
        Arc::try_unwrap(self.seen).unwrap().into_inner().unwrap()
    }
}
