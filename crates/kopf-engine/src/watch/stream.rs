//! One list-and-watch stream: rounds of a list and of watches that continue it (W-WAT).
//!
//! What happens goes to a [`Consumer`], which never holds the stream. A stream that fails backs off alone.

use std::{fmt, sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use kopf_core::{
    json::{python_repr, python_repr_str},
    object::Object,
    reason::EventType,
    resource::Resource,
};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    backoff::Backoff,
    decode::{self, Extent},
    items::{Items, ListMeta},
    lines::Lines,
    requests::{self, Place},
    shown::Shown,
};
use crate::{
    client::{ApiClient, ApiError, payload},
    door::BoxFuture,
    log::Logger,
    repr,
    shared::SettingsHandle,
};

/// How long a list waits, all in all, for what it has shown to be processed. API servers end requests after a minute.
const LIST_PATIENCE: Duration = Duration::from_secs(20);
/// Watches that the server has refused in a row, for its own troubles, before everything is listed again: the version
/// itself may be what troubles it.
const REFUSED_IN_A_ROW: u32 = 5;
/// A watch that was open for this time is no sign of trouble, even if it has shown nothing: quiet resources are normal.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// Takes what a stream tells, without waiting.
pub(crate) trait Consumer: Send + Sync {
    /// What of objects is read.
    fn extent(&self) -> Extent {
        Extent::Used
    }
    /// A list begins: what it does not show is not there any more.
    fn listing(&self);
    /// An object of the list (no type), or of the watch.
    fn event(&self, event_type: Option<EventType>, object: Object);
    /// The list of this version has ended, even if it is empty (W-WAT-004). Gives whether it is believed; else it is to be
    /// asked for again.
    fn listed(&self, version: Option<&str>) -> bool;
    /// Ends when not too much of a list waits to be processed. Lists wait for it a little, watches never do.
    fn room(&self) -> BoxFuture<()> {
        Box::pin(std::future::ready(()))
    }
}

/// Why a stream ended for good.
#[derive(Clone, Debug)]
pub(crate) enum StreamEnd {
    /// The server does not know the resource (any more): discovery decides (W-DSC-015).
    NotServed,
    /// The request was refused: no rights, or it makes no sense to the server.
    Refused(ApiError),
    /// The stream has sent an error, of which upstream says `Error in the watch-stream`.
    Error(String),
}

/// A stream.
pub(crate) struct Stream {
    pub(crate) api: ApiClient,
    pub(crate) settings: SettingsHandle,
    pub(crate) logger: Logger,
    pub(crate) resource: Arc<Resource>,
    pub(crate) namespace: Option<String>,
    pub(crate) place: Place,
    pub(crate) consumer: Arc<dyn Consumer>,
}

/// How one watch request ended.
enum Ended {
    /// The next continues from the last version.
    Continue,
    /// The versions are too old (410): list again.
    Expired,
}

/// What is known within a round.
#[derive(Default)]
struct Round {
    /// Where the next watch continues.
    since: Option<String>,
    /// What was there at the start is being streamed (W-WAT-007).
    initial: bool,
    /// The last watch has shown something, or was open for long enough.
    progressed: bool,
    /// Watches that were refused in a row.
    refused: u32,
    /// What the watches have shown.
    shown: Shown,
}

impl Stream {
    /// Lists and watches until it cannot go on. Never ends otherwise; dropping it ends it.
    pub(crate) async fn run(&self) -> StreamEnd {
        self.logger.debug(format_args!("Starting the watch-stream for {self}."));
        let mut backoff = Backoff::new();
        loop {
            match self.round(&mut backoff).await {
                Ok(()) => {
                    backoff.reset();
                    tokio::time::sleep(self.settings.load().watching.reconnect_backoff).await;
                }
                Err(Failure::End(end)) => return end,
                Err(Failure::Retry(reason)) => {
                    let pause = backoff.next();
                    self.logger.error(format_args!(
                        "The watch-stream for {self} has failed; will retry in {:.1} seconds: {reason}",
                        pause.as_secs_f64()
                    ));
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// A list, then watches until the versions are too old.
    async fn round(&self, failures: &mut Backoff) -> Result<(), Failure> {
        let mut round = Round::default();
        self.consumer.listing();
        if self.settings.load().watching.initial_streaming {
            round.initial = true;
        } else {
            round.since = self.list().await?;
            self.listed(&round)?;
        }
        failures.reset();
        let mut idle = Backoff::new();
        loop {
            round.progressed = false;
            match self.watch(&mut round).await? {
                Ended::Expired => {
                    self.logger.debug(format_args!("Restarting the watch-stream for {self}."));
                    return Ok(());
                }
                // A stream that was cut while the initial state was being sent cannot be continued.
                Ended::Continue if round.initial => return Ok(()),
                Ended::Continue if round.progressed => idle.reset(),
                Ended::Continue => tokio::time::sleep(idle.next()).await,
            }
        }
    }

    /// What was there has been shown.
    fn listed(&self, round: &Round) -> Result<(), Failure> {
        if self.consumer.listed(round.since.as_deref()) {
            return Ok(());
        }
        Err(Failure::Retry("the list shows the past".into()))
    }

    /// Lists everything, page by page; gives the version to watch from.
    async fn list(&self) -> Result<Option<String>, Failure> {
        let mut token: Option<String> = None;
        let mut patience = LIST_PATIENCE;
        loop {
            let settings = self.settings.load();
            let request = self.place.list(&settings, token.as_deref());
            let streamed = match self.api.list(&request, &self.logger).await {
                // The token of the next page is too old: from the start.
                Err(error) if error.status() == Some(410) && token.is_some() => {
                    self.consumer.listing();
                    token = None;
                    continue;
                }
                other => other.map_err(Failure::of)?,
            };
            let deadline = Instant::now() + settings.networking.request_timeout;
            let reading = self.page(streamed.response.into_body(), &mut patience);
            let meta = match timeout_at(deadline, reading).await {
                Ok(meta) => meta.map_err(Failure::of)?,
                Err(_) => return Err(Failure::Retry("the list has not arrived in time".into())),
            };
            match meta.continue_token {
                Some(next) => token = Some(next),
                None => return Ok(meta.resource_version),
            }
        }
    }

    async fn page(
        &self,
        mut body: kube::client::Body,
        patience: &mut Duration,
    ) -> Result<ListMeta, ApiError> {
        let mut items = Items::new(self.consumer.extent());
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.map_err(payload)?.data_ref() {
                items.push(data, |item| self.consumer.event(None, item))?;
                self.make_room(patience).await;
            }
        }
        items.finish(|item| self.consumer.event(None, item))
    }

    /// Lets what was listed be processed, so that not all of it is in memory at once; within limits, as servers do not wait
    /// for slow readers for ever.
    async fn make_room(&self, patience: &mut Duration) {
        let start = Instant::now();
        drop(timeout(*patience, self.consumer.room()).await);
        *patience = patience.saturating_sub(start.elapsed());
    }

    /// One watch request, to its end.
    async fn watch(&self, round: &mut Round) -> Result<Ended, Failure> {
        let settings = self.settings.load();
        let watching = &settings.watching;
        let request = self.place.watch(&settings, round.since.as_deref());
        let ends = watching.client_timeout.map(|timeout| Instant::now() + timeout);
        let mut patience = Patience::new(watching.inactivity_timeout, ends);

        let connect_timeout = requests::connect_timeout(&settings);
        let asking = self.api.stream(&request, &self.logger, Some(connect_timeout));
        let streamed = match patience.wait(asking).await {
            Ok(Ok(streamed)) => streamed,
            Ok(Err(error)) => return round.watch_refused(error),
            Err(silence) => return Ok(self.silent(silence)),
        };
        let opened = Instant::now();
        let (_head, body) = streamed.response.into_parts();
        let ended = self.read(body, &mut patience, round).await;
        round.progressed |= opened.elapsed() >= LONG_ENOUGH;
        ended
    }

    /// The lines of a watch, to its end.
    async fn read(
        &self,
        mut body: kube::client::Body,
        patience: &mut Patience,
        round: &mut Round,
    ) -> Result<Ended, Failure> {
        let mut lines = Lines::default();
        loop {
            while let Some(line) = lines.next() {
                patience.reset();
                if let Some(ended) = self.line(&line, round)? {
                    return Ok(ended);
                }
            }
            match patience.wait(body.frame()).await {
                Ok(Some(Ok(frame))) => lines.push(frame.data_ref().map_or(&[], |data| data.as_ref())),
                // The end, orderly or not: what is complete counts, what is not comes again.
                Ok(None | Some(Err(_))) => {
                    let rest = lines.rest().filter(|rest| decode::frame(rest, Extent::Used).is_ok());
                    let ended = rest.map(|rest| self.line(&rest, round)).transpose()?.flatten();
                    return Ok(ended.unwrap_or(Ended::Continue));
                }
                Err(silence) => return Ok(self.silent(silence)),
            }
        }
    }

    fn silent(&self, silence: Silence) -> Ended {
        if matches!(silence, Silence::Inactive) {
            self.logger.debug(format_args!("Watch-stream for {self} is inactive, reconnecting."));
        }
        Ended::Continue
    }

    /// One line of a watch (W-WAT-009).
    fn line(&self, line: &[u8], round: &mut Round) -> Result<Option<Ended>, Failure> {
        let frame = match decode::frame(line, self.consumer.extent()) {
            Ok(frame) => frame,
            Err(error) => return Err(Failure::Retry(format!("a line of the watch is no event: {error}"))),
        };
        match (frame.kind.as_str(), EventType::parse(&frame.kind)) {
            (_, Some(event_type)) if !round.shown.is_new(event_type, &frame.object) => {
                round.progressed = true
            }
            (_, Some(event_type)) => {
                round.see(&frame.object);
                let event_type = Some(event_type).filter(|_| !round.initial);
                self.consumer.event(event_type, frame.object);
            }
            ("BOOKMARK", _) => {
                round.see(&frame.object);
                if std::mem::take(&mut round.initial) {
                    self.listed(round)?;
                }
            }
            ("ERROR", _) => return self.error(frame.object.body()).map(Some),
            _ => {
                self.logger.warning(format_args!("Ignoring an unsupported event type: {}", repr::json(line)))
            }
        }
        Ok(None)
    }

    fn error(&self, status: &Value) -> Result<Ended, Failure> {
        match status.get("code").and_then(Value::as_u64) {
            Some(410) => Ok(Ended::Expired),
            Some(429 | 500..=599) => Err(Failure::Retry(python_repr(status))),
            _ => Err(Failure::End(StreamEnd::Error(python_repr(status)))),
        }
    }
}

impl Round {
    /// A watch request has failed after all its attempts (W-WAT-013): a busy server is asked to continue, not to list.
    fn watch_refused(&mut self, error: ApiError) -> Result<Ended, Failure> {
        self.refused += 1;
        match error {
            ApiError::Connection(_) | ApiError::Timeout | ApiError::Payload(_) => Ok(Ended::Continue),
            error => match error.status() {
                Some(410) => Ok(Ended::Expired),
                Some(429 | 500..=599) if self.refused < REFUSED_IN_A_ROW => Ok(Ended::Continue),
                _ => Err(Failure::of(error)),
            },
        }
    }

    fn see(&mut self, object: &Object) {
        self.progressed = true;
        self.refused = 0;
        if let Some(version) = object.resource_version().filter(|version| !version.is_empty()) {
            let since = self.since.get_or_insert_default();
            since.clear();
            since.push_str(version);
        }
    }
}

/// Why a round has failed.
enum Failure {
    /// Another round may help.
    Retry(String),
    /// None will.
    End(StreamEnd),
}

impl Failure {
    fn of(error: ApiError) -> Self {
        match error.status() {
            Some(404) => Self::End(StreamEnd::NotServed),
            Some(410 | 429 | 500..=599) | None
                if !matches!(error, ApiError::Login(_) | ApiError::Request(_)) =>
            {
                Self::Retry(error.to_string())
            }
            _ => Self::End(StreamEnd::Refused(error)),
        }
    }
}

/// As in logs: `kopfexamples.v1.kopf.dev cluster-wide` or `… in 'ns'` (W-WAT-015).
impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            None => write!(f, "{} cluster-wide", self.resource),
            Some(namespace) => write!(f, "{} in {}", self.resource, python_repr_str(namespace)),
        }
    }
}

/// How long a watch may be silent, and how long it may last (W-WAT-011, W-WAT-012).
struct Patience {
    timeout: Option<Duration>,
    since: Instant,
    ends: Option<Instant>,
}

#[derive(Clone, Copy)]
enum Silence {
    Inactive,
    Ended,
}

impl Patience {
    fn new(timeout: Option<Duration>, ends: Option<Instant>) -> Self {
        Self { timeout, since: Instant::now(), ends }
    }

    fn reset(&mut self) {
        self.since = Instant::now();
    }

    async fn wait<T>(&self, what: impl Future<Output = T>) -> Result<T, Silence> {
        let inactive = self.timeout.map(|timeout| (self.since + timeout, Silence::Inactive));
        let ends = self.ends.map(|ends| (ends, Silence::Ended));
        let first = inactive.into_iter().chain(ends).min_by_key(|(deadline, _)| *deadline);
        match first {
            None => Ok(what.await),
            Some((deadline, silence)) => timeout_at(deadline, what).await.map_err(|_| silence),
        }
    }
}
