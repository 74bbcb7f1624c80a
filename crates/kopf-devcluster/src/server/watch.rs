//! Watches: a stream of changes from a version on.
//!
//! A watch owns a cursor into the resource's log and pulls from it when its reader is ready; it holds nobody up. It
//! ends at its timeout, when it falls too far behind, when the resource is no longer served, by a fault, or with the
//! cluster.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::body::{Body, CutOff};
use super::encode::{event_line, json as to_json, name_of};
use super::negotiation::{Form, Transform};
use super::path::ObjectPath;
use super::reply::Reply;
use super::selection::Selection;
use super::transform::{Include, Table};
use super::{Request, Shared, encode, negotiation, transform};
use crate::clock::Moment;
use crate::connection::Connection;
use crate::faults::{Cut, Injected, WatchFaults};
use crate::machinery::cause::Cause;
use crate::status::ApiError;
use crate::store::{Ago, ChangeKind, Changes, Compacted, Snapshot};
use crate::types::Registry;
use crate::types::registry::Served;

/// How many changes are taken from the log at once.
const BATCH: usize = 256;
/// A stream that is asked to go on begins with an annotated bookmark after the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// What arrives of an event when the connection breaks within it.
const HALF_A_LINE: &[u8] = b"{\"type\":\"MODIFIED\",\"object\":{\"apiVersi";

/// Opens a watch.
pub(crate) fn watch(
    shared: &Arc<Shared>,
    request: &Request,
    path: &ObjectPath,
    served: &Served,
) -> Result<Reply, ApiError> {
    let form = negotiation::for_objects(&request.headers)?;
    let selection = Selection::of(request, path, served)?;
    let start = Start::of(request, shared)?;
    let store = &served.resource.store;
    let now = shared.clock.moment();
    // Before the list or the cursor: nothing that happens after them may be missed.
    let changed = shared.store.subscribe(store);
    let mut stream = Watch {
        form,
        include: Include::of(request)?,
        columns_described: false,
        lines: VecDeque::new(),
        cursor: shared.store.revision(),
        caught_up: false,
        ended: false,
        breaks: None,
        connection: request.connection.clone(),
        stalled: false,
        ends_at: now.after(timeout(request, shared)?),
        bookmark_at: request
            .query
            .flag("allowWatchBookmarks")
            .then(|| now.after(shared.options.bookmark_period)),
        lag: request.stale,
        held_until: None,
        line_due: None,
        gone: served
            .resource
            .custom
            .as_ref()
            .map_or_else(CancellationToken::new, |custom| custom.gone.clone()),
        closing: request.closing.clone(),
        faults: shared.faults.watch(request, now),
        changed,
        selection,
        served: served.clone(),
        registry: shared.registry(),
        shared: Arc::clone(shared),
    };
    stream.begin(start);
    let body = Body::stream(stream::unfold(stream, |mut watch| async {
        let next = watch.next().await?;
        Some((next, watch))
    }));
    Ok(Reply::new(StatusCode::OK, form.encoding.content_type(), body))
}

/// With what a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// What is there, as ADDED; with a bookmark after it if asked.
    Everything { bookmark: bool },
    /// What happens after this version.
    After(u64),
}

impl Start {
    fn of(request: &Request, shared: &Shared) -> Result<Self, ApiError> {
        let query = &request.query;
        let version = query.text("resourceVersion").unwrap_or("0");
        let parsed = version.parse::<u64>().map_err(|_| {
            ApiError::bad_request(format!(
                "invalid resource version: resourceVersion: Invalid value: \"{version}\": strconv.ParseUint: parsing \
                 \"{version}\": invalid syntax"
            ))
        })?;
        let rule = query.text("resourceVersionMatch");
        let invalid = |cause: Cause| Err(ApiError::invalid_options("ListOptions", &[cause]));
        match query.optional_flag("sendInitialEvents") {
            Some(_) if !shared.options.streaming_lists => invalid(Cause::forbidden(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
            )),
            Some(_) if rule != Some("NotOlderThan") => {
                let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                invalid(Cause::forbidden("resourceVersionMatch", detail))
            }
            Some(true) => Ok(Self::Everything { bookmark: query.flag("allowWatchBookmarks") }),
            Some(false) if parsed == 0 => Ok(Self::After(shared.store.revision())),
            Some(false) => Ok(Self::After(parsed)),
            None if rule.is_some() => invalid(Cause::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )),
            None if parsed == 0 => Ok(Self::Everything { bookmark: false }),
            None => Ok(Self::After(parsed)),
        }
    }
}

/// Named by the client, or random, so that watches do not end all at once (D-184).
fn timeout(request: &Request, shared: &Shared) -> Result<Duration, ApiError> {
    let seconds = request.query.number("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    match seconds.filter(|seconds| *seconds > 0) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Ok(shared.options.watch_timeout.mul_f64(shared.random.one_to_two())),
    }
}

/// An open watch.
struct Watch {
    shared: Arc<Shared>,
    served: Served,
    /// What `served` was found in.
    registry: Arc<Registry>,
    selection: Selection,
    form: Form,
    include: Include,
    /// Only the first Table of a stream describes its columns.
    columns_described: bool,
    /// Encoded events that the reader has not taken yet.
    lines: VecDeque<Bytes>,
    /// Everything up to this version has been seen.
    cursor: u64,
    /// Whether the beginning is behind, so that falling back means a slow reader.
    caught_up: bool,
    ended: bool,
    /// Nothing is sent until further notice.
    stalled: bool,
    /// The end is not a clean one.
    breaks: Option<Cut>,
    /// What is broken then.
    connection: Option<Connection>,
    ends_at: Moment,
    bookmark_at: Option<Moment>,
    /// How far behind it is: a fault.
    lag: Option<Ago>,
    /// When the next change may be shown that is held back because of the lag.
    held_until: Option<Moment>,
    /// When the next line may be sent, if each takes its time.
    line_due: Option<Moment>,
    changed: Receiver<u64>,
    /// The cluster or the listener stops.
    closing: CancellationToken,
    /// The resource is no longer served.
    gone: CancellationToken,
    faults: WatchFaults,
}

impl Watch {
    fn begin(&mut self, start: Start) {
        match start {
            Start::After(version) => {
                self.cursor = match self.faults.repeated {
                    0 => version,
                    changes => {
                        self.shared.store.revision_before(&self.served.resource.store, version, changes)
                    }
                };
                if let Err(Compacted { oldest }) =
                    self.shared.store.check_revision(&self.served.resource.store, self.cursor)
                {
                    self.end_with(&ApiError::too_old(version, oldest));
                }
            }
            Start::Everything { bookmark } => {
                let namespace = self.selection.namespace.as_deref();
                let snapshot = self.snapshot(namespace);
                self.cursor = snapshot.revision;
                for (key, object) in &snapshot.objects {
                    if self.selection.matches(key, object) {
                        let line = self.initial_line(object);
                        self.lines.push_back(line);
                    }
                }
                if bookmark {
                    self.push_bookmark(true);
                }
            }
        }
    }

    /// What is there, as far as this watch knows.
    fn snapshot(&self, namespace: Option<&str>) -> Snapshot {
        let (store, resource) = (&self.shared.store, &self.served.resource.store);
        let old = self.lag.map(|lag| store.list_at(resource, namespace, store.revision_ago(resource, lag)));
        old.and_then(Result::ok).unwrap_or_else(|| store.list(resource, namespace))
    }

    /// The next piece of the stream; `None` is its clean end. Cancel safe: nothing is taken before it is returned.
    async fn next(&mut self) -> Option<Result<Bytes, CutOff>> {
        loop {
            if let Some(injected) = self.faults.take(|| self.shared.clock.moment()).filter(|_| !self.ended) {
                self.suffer(injected);
            }
            if self.stalled {
                self.wait_stalled().await;
                continue;
            }
            if self.is_line_late() {
                self.wait_for_line().await;
                continue;
            }
            if let Some(line) = self.lines.pop_front() {
                self.line_due = None;
                self.faults.count_event();
                return Some(Ok(line));
            }
            if self.ended {
                let cut = self.breaks.take()?;
                return Some(self.break_off(cut).await);
            }
            let has_more = self.pull();
            if !has_more && self.lines.is_empty() && !self.ended {
                self.wait().await;
            }
        }
    }

    fn suffer(&mut self, injected: Injected) {
        self.line_due = None;
        match injected {
            // As at its timeout: what has happened so far is sent.
            Injected::Cut(Cut::Clean) => while self.pull() {},
            Injected::Cut(cut) => {
                self.lines.clear();
                if cut == Cut::HalfLine || self.connection.is_none() && cut == Cut::Truncated {
                    self.lines.push_back(Bytes::from_static(HALF_A_LINE));
                }
                self.breaks = Some(cut);
            }
            Injected::LastLine(line) => self.lines = VecDeque::from([line]),
            Injected::Stall => {
                self.stalled = true;
                return;
            }
            Injected::DelayEvents(time) => {
                self.faults.event_delay = time;
                return;
            }
        }
        self.stalled = false;
        self.ended = true;
        self.faults.event_delay = Duration::ZERO;
    }

    /// Ends the stream as it must not end.
    async fn break_off(&mut self, cut: Cut) -> Result<Bytes, CutOff> {
        // Waiting once lets the connection write out what was sent before.
        tokio::task::yield_now().await;
        match (&self.connection, cut) {
            (Some(connection), Cut::Hard) => connection.reset(),
            (Some(connection), Cut::Truncated) => {
                connection.end_after(HALF_A_LINE.len() / 2);
                self.breaks = Some(Cut::Clean);
                return Ok(Bytes::from_static(HALF_A_LINE));
            }
            _ => {}
        }
        Err(CutOff)
    }

    /// Whether there is a line that is not to be sent yet.
    fn is_line_late(&mut self) -> bool {
        if self.faults.event_delay.is_zero() || self.lines.is_empty() {
            return false;
        }
        let now = self.shared.clock.moment();
        let due = *self.line_due.get_or_insert(now.after(self.faults.event_delay));
        now < due
    }

    async fn wait_for_line(&mut self) {
        let due = self.line_due.unwrap_or_default();
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {
                self.lines.clear();
                self.ended = true;
            }
            () = self.faults.signalled() => {}
            () = self.shared.clock.sleep_until(due) => {}
        }
    }

    /// Takes what has happened from the log; whether there is more.
    fn pull(&mut self) -> bool {
        self.follow_definition();
        let store = &self.served.resource.store;
        let mut changes = match self.shared.store.changes(store, self.cursor, BATCH) {
            Ok(changes) => changes,
            Err(Compacted { oldest }) => {
                self.end_with(&ApiError::too_old(self.cursor, oldest));
                return false;
            }
        };
        self.hold_back(&mut changes);
        if self.caught_up && changes.changes.len() + changes.remaining > self.shared.options.watch_buffer {
            self.ended = true;
            return false;
        }
        self.caught_up |= changes.remaining == 0;
        self.cursor = self.cursor.max(changes.up_to);
        for change in &changes.changes {
            if let Some(kind) = self.selection.transition(change) {
                let line = self.line(change, kind);
                if self.faults.duplicates {
                    self.lines.push_back(line.clone());
                }
                self.lines.push_back(line);
            }
        }
        changes.remaining > 0
    }

    /// Leaves out what a watch that lags behind does not know yet.
    fn hold_back(&mut self, changes: &mut Changes) {
        let Some(lag) = self.lag else { return };
        let all = &changes.changes;
        let shown = match lag {
            Ago::Time(time) => {
                let now = self.shared.clock.moment();
                all.partition_point(|change| change.at.after(time) <= now)
            }
            Ago::Changes(_) => {
                let newest = self.shared.store.revision_ago(&self.served.resource.store, lag);
                all.partition_point(|change| change.revision <= newest)
            }
        };
        self.held_until = match (lag, all.get(shown)) {
            (Ago::Time(time), Some(held)) => Some(held.at.after(time)),
            _ => None,
        };
        if shown < all.len() {
            changes.changes.truncate(shown);
            changes.up_to = changes.changes.last().map_or(self.cursor, |last| last.revision);
            changes.remaining = 0;
        }
    }

    /// Shows objects by the newest schema (D-087).
    fn follow_definition(&mut self) {
        let registry = self.shared.registry();
        if self.served.resource.custom.is_none() || Arc::ptr_eq(&registry, &self.registry) {
            return;
        }
        let (resource, version) = (&self.served.resource, &self.served.version().name);
        if let Some(served) = registry.find(&resource.group, version, &resource.plural) {
            self.served = served;
        }
        self.registry = registry;
    }

    /// Until a fault ends the stall, or it is time for the end, which is not told.
    async fn wait_stalled(&mut self) {
        tokio::select! {
            biased;
            () = self.closing.cancelled() => {}
            () = self.faults.signalled() => return,
            () = self.shared.clock.sleep_until(self.ends_at) => {}
        }
        self.lines.clear();
        self.ended = true;
        self.stalled = false;
    }

    /// Until something has happened, or it is time for a bookmark or the end.
    async fn wait(&mut self) {
        let deadlines = [self.bookmark_at, self.held_until, self.faults.deadline()];
        let deadline = deadlines.into_iter().flatten().fold(self.ends_at, Moment::min);
        tokio::select! {
            biased;
            () = self.closing.cancelled() => self.ended = true,
            _ = self.changed.changed() => {}
            () = self.faults.signalled() => {}
            () = self.gone.cancelled() => {
                // What was deleted with the resource is told first.
                while self.pull() {}
                self.ended = true;
            }
            () = self.shared.clock.sleep_until(deadline) => self.tick(),
        }
    }

    /// Does what it is time for.
    fn tick(&mut self) {
        let now = self.shared.clock.moment();
        let ends = self.ends_at <= now;
        if self.bookmark_at.is_some_and(|at| ends || at <= now) {
            self.push_bookmark(false);
            self.bookmark_at = Some(now.after(self.shared.options.bookmark_period));
        }
        self.ended |= ends;
    }

    fn end_with(&mut self, error: &ApiError) {
        self.lines.push_back(event_line("ERROR", &to_json(&error.to_status())));
        self.ended = true;
    }

    fn initial_line(&mut self, object: &crate::store::Object) -> Bytes {
        match self.form.transform {
            Transform::None => event_line("ADDED", &encode::object(&self.served, object)),
            Transform::Table(_) | Transform::Metadata => event_line("ADDED", &self.transformed(object)),
        }
    }

    fn line(&mut self, change: &crate::store::Change, kind: ChangeKind) -> Bytes {
        if self.form.transform == Transform::None {
            return encode::line(&self.served, change, kind);
        }
        let leaves = kind == ChangeKind::Deleted && change.kind != ChangeKind::Deleted;
        let object = if leaves { change.departed() } else { &change.object };
        event_line(name_of(kind), &self.transformed(object))
    }

    fn transformed(&mut self, object: &crate::store::Object) -> Bytes {
        let describes_columns = !std::mem::replace(&mut self.columns_described, true);
        let table = Table { include: self.include, describes_columns, now: self.shared.clock.now() };
        transform::event_bytes(&self.served, self.form, table, object)
    }

    /// Tells the reader how far it is, in the form of its events (D-185).
    fn push_bookmark(&mut self, initial_events_end: bool) {
        let mut metadata = json!({"resourceVersion": self.cursor.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let object = transform::bookmark(&self.served, self.form, &metadata);
        self.lines.push_back(event_line("BOOKMARK", &to_json(&object)));
    }
}
