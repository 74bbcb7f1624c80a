//! The in-process door: a `tower::Service` that a client can be built on (D-005).

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::body::{Body, CutOff};
use super::decode::BODY_LIMIT;
use super::negotiation::Encoding;
use super::reply::Reply;
use super::request::Door;
use super::{Request, Shared, dispatch, interfere};
use crate::access;
use crate::control;
use crate::faults::{Cut, Effect};
use crate::status::ApiError;

/// An error of a body.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers requests of the cluster; cheap to clone. It only fails where a fault breaks the connection: errors are
/// answers.
#[derive(Clone, Debug)]
pub struct DevService {
    shared: Arc<Shared>,
    door: Door,
}

impl DevService {
    pub(crate) fn new(shared: Arc<Shared>, door: Door) -> Self {
        Self { shared, door }
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
            None => HeaderValue::from_str(&self.shared.audit_ids.uid())
                .unwrap_or(HeaderValue::from_static("none")),
        };
        let user = access::authenticate(&self.shared, &parts.headers);
        let reply = match (user, read_body(body).await) {
            (Ok(user), Ok(body)) => {
                let request = Request::new(parts, body, user, &self.door);
                // No fault happens to those who make them.
                match control::path(&request.raw_path).filter(|_| self.shared.options.control) {
                    Some(path) => self.control(&request, path).await,
                    None => self.reply(request).await?,
                }
            }
            (Err(error), _) | (_, Err(error)) => error.into(),
        };
        let response = reply.into_response(&audit_id);
        Ok(if is_head { response.map(|_| Body::empty()) } else { response })
    }

    async fn reply(&self, mut request: Request) -> Result<Reply, CutOff> {
        let (mut planned, mut lost, mut body_delay) = (None, None, Duration::ZERO);
        for effect in self.shared.faults.effects_on(&request, || self.shared.clock.moment()) {
            match effect {
                Effect::Delay(time) => self.pass(time).await?,
                Effect::DelayBody(time) => body_delay += time,
                Effect::Interfere(interference) => {
                    interfere::interfere(&self.shared, &request, &interference).await
                }
                Effect::Stale(ago) => request.stale = Some(ago),
                Effect::Lose(cut) => lost = Some(cut),
                Effect::Answer(answer) => planned = Some(answer.to_reply()),
                Effect::Drop(cut) => return Err(self.break_off(cut)),
                Effect::Hang => {
                    self.ended().await;
                    return Err(CutOff);
                }
                Effect::Watch(_) => {}
            }
        }
        let reply = match planned {
            Some(reply) => reply,
            None => {
                let reply = dispatch::dispatch(&self.shared, &request).await.unwrap_or_else(Into::into);
                if request.is_from_a_person() { reply.indented() } else { reply }
            }
        };
        self.shared.requests.note(&request, reply.status.as_u16(), || self.shared.clock.now());
        tracing::debug!(
            method = %request.method, path = request.raw_path, status = reply.status.as_u16(), user = request.user.name,
            "request"
        );
        let reply = match lost {
            None => reply,
            Some(cut @ (Cut::Clean | Cut::Hard)) => return Err(self.break_off(cut)),
            Some(Cut::HalfLine | Cut::Truncated) => reply.map_body(Body::half),
        };
        if body_delay.is_zero() {
            return Ok(reply);
        }
        let clock = self.shared.clock.clone();
        Ok(reply.map_body(|body| body.after(async move { clock.sleep(body_delay).await })))
    }

    /// Waits on the server's clock, which may stand.
    async fn pass(&self, time: Duration) -> Result<(), CutOff> {
        tokio::select! {
            biased;
            () = self.ended() => Err(CutOff),
            () = self.shared.clock.sleep(time) => Ok(()),
        }
    }

    /// Until nobody waits for an answer any more, since the server stops or restarts.
    async fn ended(&self) {
        tokio::select! {
            biased;
            () = self.door.closing.cancelled() => {}
            () = self.shared.restarted.notified() => {}
        }
    }

    fn break_off(&self, cut: Cut) -> CutOff {
        if let (Some(connection), Cut::Hard) = (&self.door.connection, cut) {
            connection.reset();
        }
        CutOff
    }

    async fn control(&self, request: &Request, path: &str) -> Reply {
        let may =
            !self.shared.options.rbac || request.user.groups.iter().any(|group| group == "system:masters");
        if !may {
            let why = format!(
                "User {:?} is no administrator: only these control the dev cluster",
                request.user.name
            );
            return ApiError::new(403, "Forbidden", why, None).into();
        }
        if let Some(connection) = &request.connection {
            connection.spare();
        }
        match control::handle(&self.shared, &request.method, path, &request.body).await {
            Ok((status, value)) => Reply::value(status, Encoding::Json, &value),
            Err(error) => error.into(),
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
