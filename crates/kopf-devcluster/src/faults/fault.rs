//! What a fault is: what happens, to whom, and how often.

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::Matcher;
use crate::server::negotiation::Encoding;
use crate::server::reply::Reply;
use crate::store::Ago;

/// Something that goes wrong: what, for which requests, and how often. By default for the next request of any kind.
///
/// ```
/// # use std::time::Duration;
/// # use kopf_devcluster::{Answer, Fault, Matcher};
/// // One in ten patches of the status is answered with 503, for a minute.
/// let fault = Fault::answer(Answer::status(503))
///     .on(Matcher::any().verb("patch").subresource("status"))
///     .probability(0.1)
///     .lasting(Duration::from_secs(60));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub(crate) effect: Effect,
    pub(crate) matcher: Matcher,
    pub(crate) skip: usize,
    pub(crate) times: Times,
    pub(crate) lasting: Option<Duration>,
    pub(crate) probability: f64,
}

/// How often a fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// Once, or without a limit if the fault has an end in time or a probability.
    Default,
    Limited(usize),
    Unlimited,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    Answer(Answer),
    Delay(Duration),
    DelayBody(Duration),
    Hang,
    Drop(Cut),
    Lose(Cut),
    Interfere(Interference),
    Stale(Ago),
    Watch(WatchEffect),
}

/// What happens to a watch that is opened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WatchEffect {
    End(Ending, After),
    Stall(After),
    DelayEvents(Duration),
    Repeat(usize),
    Duplicate,
}

/// How a watch ends early.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Cut(Cut),
    Error(Answer),
}

/// When something happens to a watch that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// After so many events; 0 is at once.
    Events(usize),
    /// After this time.
    Time(Duration),
}

/// How a connection or a watch breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// A watch ends as at its timeout, with the last chunk; an answer is missing, but the connection is closed in order.
    Clean,
    /// The connection is reset (RST), with everything that is on it.
    #[default]
    Hard,
    /// The connection ends within a JSON line, after a whole chunk.
    HalfLine,
    /// The connection ends within a chunk, of which the length was announced.
    Truncated,
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self {
            effect,
            matcher: Matcher::any(),
            skip: 0,
            times: Times::Default,
            lasting: None,
            probability: 1.0,
        }
    }

    pub(crate) fn of(effect: Effect) -> Self {
        Self::new(effect)
    }

    /// Requests are answered with this; nothing is done for them (D-220).
    #[must_use]
    pub fn answer(answer: Answer) -> Self {
        Self::new(Effect::Answer(answer))
    }

    /// Requests wait so long before anything is done for them (D-224).
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::new(Effect::Delay(time))
    }

    /// Requests are done, and the header of the answer comes so long before its body (D-224).
    #[must_use]
    pub fn delay_body(time: Duration) -> Self {
        Self::new(Effect::DelayBody(time))
    }

    /// Requests are never answered; nothing is done for them.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(Effect::Hang)
    }

    /// The connection breaks, and nothing is done for the request.
    #[must_use]
    pub fn drop_request(cut: Cut) -> Self {
        Self::new(Effect::Drop(cut))
    }

    /// What the request asks for is done, and the connection breaks: before the answer if `cut` is [`Cut::Hard`] or
    /// [`Cut::Clean`], within its body else (D-225).
    #[must_use]
    pub fn lose_answer(cut: Cut) -> Self {
        Self::new(Effect::Lose(cut))
    }

    /// Somebody else writes to the object of a request, right before the request is done (D-227).
    #[must_use]
    pub fn interfere(interference: Interference) -> Self {
        Self::new(Effect::Interfere(interference))
    }

    /// Gets, lists and watches show what was there so long ago, as a server that lags behind (D-226).
    #[must_use]
    pub fn stale(ago: Ago) -> Self {
        Self::new(Effect::Stale(ago))
    }

    /// Watches that are opened are cut (D-221).
    #[must_use]
    pub fn cut_watch(after: After, cut: Cut) -> Self {
        Self::new(Effect::Watch(WatchEffect::End(Ending::Cut(cut), after)))
    }

    /// Watches that are opened end with an ERROR event (D-223).
    #[must_use]
    pub fn watch_error(after: After, answer: Answer) -> Self {
        Self::new(Effect::Watch(WatchEffect::End(Ending::Error(answer), after)))
    }

    /// Watches that are opened fall silent, without bookmarks and without an end, until they are cut (D-224).
    #[must_use]
    pub fn stall_watch(after: After) -> Self {
        Self::new(Effect::Watch(WatchEffect::Stall(after)))
    }

    /// Each event of watches that are opened takes so long (D-224).
    #[must_use]
    pub fn delay_events(time: Duration) -> Self {
        Self::new(Effect::Watch(WatchEffect::DelayEvents(time)))
    }

    /// Watches that are opened begin so many changes of their resource too early: the client has seen these (D-227).
    #[must_use]
    pub fn repeat_events(changes: usize) -> Self {
        Self::new(Effect::Watch(WatchEffect::Repeat(changes)))
    }

    /// Watches that are opened send each event twice (D-227).
    #[must_use]
    pub fn duplicate_events() -> Self {
        Self::new(Effect::Watch(WatchEffect::Duplicate))
    }

    /// For which requests.
    #[must_use]
    pub fn on(mut self, matcher: Matcher) -> Self {
        self.matcher = matcher;
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// How often it happens; by default once, and without a limit if [`Fault::lasting`] or [`Fault::probability`] is
    /// said.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Times::Limited(times);
        self
    }

    /// It happens again and again, until it is taken back.
    #[must_use]
    pub fn always(mut self) -> Self {
        self.times = Times::Unlimited;
        self
    }

    /// It only happens within this time from now, on the server's clock.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.lasting = Some(time);
        self
    }

    /// It happens to so many of the matching requests, between 0 and 1, by a generator with the cluster's seed.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = probability.clamp(0.0, 1.0);
        self
    }

    /// How often it may happen; `None` is without a limit.
    pub(crate) fn limit(&self) -> Option<usize> {
        match self.times {
            Times::Limited(times) => Some(times),
            Times::Unlimited => None,
            Times::Default if self.lasting.is_some() || self.probability < 1.0 => None,
            Times::Default => Some(1),
        }
    }
}

/// An answer that is given instead of the real one (D-220).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) retry_after: Option<u32>,
}

impl Answer {
    /// An answer with this HTTP status and the reason that usually goes with it.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let reason = match status {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            406 => "NotAcceptable",
            409 => "Conflict",
            410 => "Expired",
            413 => "RequestEntityTooLarge",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "",
        };
        let message = format!("a fault of the dev cluster: {status}");
        Self { status, reason: reason.to_owned(), message, retry_after: None }
    }

    /// Another reason.
    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        reason.clone_into(&mut self.reason);
        self
    }

    /// Another message.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    /// A `Retry-After` in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.status,
        });
        if let Some(seconds) = self.retry_after {
            status["details"] = json!({"retryAfterSeconds": seconds});
        }
        status
    }

    pub(crate) fn to_reply(&self) -> Reply {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reply = Reply::value(status, Encoding::Json, &self.to_status());
        match self.retry_after {
            Some(seconds) => reply.with_header(header::RETRY_AFTER, &seconds.to_string()),
            None => reply,
        }
    }
}

/// What somebody else does to an object between a read and a write (D-227).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interference {
    pub(crate) patch: Option<Value>,
    pub(crate) add_finalizers: Vec<String>,
    pub(crate) remove_finalizers: Vec<String>,
    pub(crate) deletes: bool,
}

impl Interference {
    /// Something changes in the object each time, which concerns nobody: the annotation `dev-cluster/touched` counts.
    #[must_use]
    pub fn touch() -> Self {
        Self::default()
    }

    /// This is merged into the object.
    #[must_use]
    pub fn merge(patch: Value) -> Self {
        Self { patch: Some(patch), ..Self::default() }
    }

    /// The object is deleted: marked if it has finalizers, gone if not.
    #[must_use]
    pub fn delete() -> Self {
        Self { deletes: true, ..Self::default() }
    }

    /// One more finalizer is added to the object.
    #[must_use]
    pub fn add_finalizer(mut self, finalizer: &str) -> Self {
        self.add_finalizers.push(finalizer.to_owned());
        self
    }

    /// One more finalizer is removed from the object.
    #[must_use]
    pub fn remove_finalizer(mut self, finalizer: &str) -> Self {
        self.remove_finalizers.push(finalizer.to_owned());
        self
    }
}
