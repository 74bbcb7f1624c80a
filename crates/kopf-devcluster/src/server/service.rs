//! The in-process door: a `tower::Service` that a client can be built on (D-005).

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::body::{Body, CutOff};
use super::decode::BODY_LIMIT;
use super::path::Path;
use super::reply::Reply;
use super::write::create::Owned;
use super::write::validate::Checked;
use super::write::{Target, WriteOptions, update};
use super::{Request, Shared, dispatch};
use crate::access;
use crate::faults::Action;
use crate::machinery::merge_patch;
use crate::status::ApiError;

/// An error of a body.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers requests of the cluster; cheap to clone. It only fails where a fault breaks the connection: errors are
/// answers.
#[derive(Clone, Debug)]
pub struct DevService {
    shared: Arc<Shared>,
    /// Ends watches opened here.
    closing: CancellationToken,
}

impl DevService {
    pub(crate) fn new(shared: Arc<Shared>, closing: CancellationToken) -> Self {
        Self { shared, closing }
    }

    /// Answers one request.
    pub(crate) async fn answer<B>(self, request: http::Request<B>) -> Result<Response<Body>, CutOff>
    where
        B: http_body::Body + Send,
        B::Error: Into<BoxError>,
    {
        // A caller that never waits must not keep the controllers from their work on a single thread.
        tokio::task::yield_now().await;
        let (parts, body) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        let audit_id = match parts.headers.get("audit-id") {
            Some(id) => id.clone(),
            None => {
                HeaderValue::from_str(&self.shared.random.uid()).unwrap_or(HeaderValue::from_static("none"))
            }
        };
        let user = access::authenticate(&self.shared, &parts.headers);
        let reply = match (user, read_body(body).await) {
            (Ok(user), Ok(body)) => {
                self.reply(&Request::new(parts, body, user, self.closing.clone())).await?
            }
            (Err(error), _) | (_, Err(error)) => error.into(),
        };
        let response = reply.into_response(&audit_id);
        Ok(if is_head { response.map(|_| Body::empty()) } else { response })
    }

    async fn reply(&self, request: &Request) -> Result<Reply, CutOff> {
        let mut planned = None;
        let mut is_lost = false;
        for action in self.shared.faults.actions_for(request) {
            match action {
                Action::Delay(time) => tokio::time::sleep(time).await,
                Action::Interfere(patch) => self.interfere(request, &patch).await,
                Action::Lose => is_lost = true,
                Action::Answer(answer) => planned = Some(answer.to_reply()),
                Action::Hang => {
                    self.closing.cancelled().await;
                    return Err(CutOff);
                }
            }
        }
        let reply = match planned {
            Some(reply) => reply,
            None => dispatch::dispatch(&self.shared, request).await.unwrap_or_else(Into::into),
        };
        self.shared.requests.note(request, reply.status.as_u16());
        tracing::debug!(
            method = %request.method, path = request.raw_path, status = reply.status.as_u16(), user = request.user.name,
            "request"
        );
        if is_lost { Err(CutOff) } else { Ok(reply) }
    }

    /// Writes to the object of a request as somebody else.
    async fn interfere(&self, request: &Request, patch: &Value) {
        let Path::Object(path) = &request.path else { return };
        let (Some(served), Some(name)) =
            (self.shared.registry().find(&path.group, &path.version, &path.plural), &path.name)
        else {
            return;
        };
        let options = WriteOptions { manager: "interference".to_owned(), ..WriteOptions::default() };
        let namespace = path.namespace.as_deref().unwrap_or_default();
        let target =
            Target { shared: &self.shared, served: &served, namespace, subresource: None, options: &options };
        let merged = update::change(&target, name, Owned::ByUpdate, |current| {
            let mut value = current.clone();
            merge_patch::apply(&mut value, patch);
            Ok(Checked { value, warnings: Vec::new() })
        });
        if let Err(error) = merged.await {
            tracing::debug!(%error, path = request.raw_path, "nothing to interfere with");
        }
    }
}

async fn read_body<B>(body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(BODY_LIMIT)),
        Err(error) => {
            Err(ApiError::bad_request(format!("the body of the request could not be read: {error}")))
        }
    }
}

impl<B> tower::Service<http::Request<B>> for DevService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = CutOff;
    type Future = BoxFuture<'static, Result<Response<Body>, CutOff>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CutOff>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.clone().answer(request).boxed()
    }
}
