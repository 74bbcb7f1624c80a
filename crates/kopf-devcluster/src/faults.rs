//! Faults on demand: errors, delays and lost answers, cut and stalled watches, errors inside watches, other writers, a
//! forgotten past.
//!
//! The reason to have this server rather than a real one in tests. A fault has a [`Matcher`] and a budget; everything
//! else of the cluster goes on as before.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::server::encode::{event_line, json as to_json};
use crate::server::negotiation::Encoding;
use crate::server::reply::Reply;
use crate::server::request::Facts;
use crate::server::{Request, Shared};

/// Which requests a fault is about. Everything that is not said matches.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    verbs: Vec<String>,
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    user_agent: Option<String>,
    user: Option<String>,
}

impl Matcher {
    /// Matches every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// One more verb: get, list, watch, create, update, patch, delete, deletecollection.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verbs.push(verb.to_owned());
        self
    }

    /// `plural` or `plural.group`; a `*` stands for any text, here and in all other texts.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Such as `status`; an empty text matches requests without one.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// The namespace in the path.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The name in the path.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The client's `User-Agent`.
    #[must_use]
    pub fn user_agent(mut self, agent: &str) -> Self {
        self.user_agent = Some(agent.to_owned());
        self
    }

    /// The user's name.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    fn matches(&self, facts: &Facts) -> bool {
        let text =
            |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| glob(pattern, text));
        (self.verbs.is_empty() || self.verbs.contains(&facts.verb))
            && (text(&self.resource, &facts.plural) || text(&self.resource, &facts.qualified))
            && text(&self.subresource, &facts.subresource)
            && text(&self.namespace, &facts.namespace)
            && text(&self.name, &facts.name)
            && text(&self.user_agent, &facts.user_agent)
            && text(&self.user, &facts.user)
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|tail| glob(after, tail)))
        }),
    }
}

/// An answer that is given instead of the real one (D-220).
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    reason: String,
    message: String,
    retry_after: Option<u32>,
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
            409 => "Conflict",
            410 => "Expired",
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

    fn to_status(&self) -> Value {
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
        let header: HeaderName = header::RETRY_AFTER;
        match self.retry_after {
            Some(seconds) => reply.with_header(header, &seconds.to_string()),
            None => reply,
        }
    }
}

/// How a watch ends (D-221).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As at its timeout: the last chunk is sent.
    Clean,
    /// The connection breaks between two events.
    Hard,
    /// The connection breaks within an event.
    HalfLine,
}

/// When watches that are opened from now on are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAfter {
    /// After so many events.
    Events(usize),
    /// After this time.
    Time(Duration),
}

/// Puts faults into a cluster; all clones do so to the same one.
#[derive(Clone, Debug)]
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Answers the next `times` matching requests with `answer`. Nothing is done for them. Of several such faults the
    /// one that was set first is used up first.
    pub fn answer(&self, matcher: Matcher, answer: Answer, times: usize) {
        self.answer_after(matcher, answer, 0, times);
    }

    /// As [`Faults::answer`], after letting `skipped` matching requests pass.
    pub fn answer_after(&self, matcher: Matcher, answer: Answer, skipped: usize, times: usize) {
        self.plan(matcher, Action::Answer(answer), skipped, times);
    }

    /// Lets the next `times` matching requests wait before anything is done for them (D-224).
    pub fn delay(&self, matcher: Matcher, time: Duration, times: usize) {
        self.plan(matcher, Action::Delay(time), 0, times);
    }

    /// Never answers the next `times` matching requests, for which nothing is done.
    pub fn hang(&self, matcher: Matcher, times: usize) {
        self.plan(matcher, Action::Hang, 0, times);
    }

    /// Does what the next `times` matching requests ask for, and breaks the connection instead of answering (D-225).
    pub fn lose_answer(&self, matcher: Matcher, times: usize) {
        self.plan(matcher, Action::Lose, 0, times);
    }

    /// Merges a patch into the object of the next `times` matching requests, right before they are done: somebody else
    /// was faster (D-227).
    pub fn interfere(&self, matcher: Matcher, patch: Value, times: usize) {
        self.plan(matcher, Action::Interfere(patch), 0, times);
    }

    fn plan(&self, matcher: Matcher, action: Action, skipped: usize, times: usize) {
        if times > 0 {
            self.shared.faults.lock().requests.push(RequestFault { matcher, action, skipped, left: times });
        }
    }

    /// Sends nothing more into the matching watches that are open now, not even bookmarks, until they are cut or end;
    /// gives their number (D-224).
    pub fn stall_watches(&self, matcher: &Matcher) -> usize {
        self.shared.faults.inject(matcher, &Injected::Stall)
    }

    /// Cuts the matching watches that are open now; gives their number.
    pub fn cut_watches(&self, matcher: &Matcher, cut: Cut) -> usize {
        self.shared.faults.inject(matcher, &Injected::Cut(cut))
    }

    /// Cuts the next `times` matching watches that are opened from now on.
    pub fn cut_watches_after(&self, matcher: Matcher, after: CutAfter, cut: Cut, times: usize) {
        self.shared.faults.lock().cuts.push(CutFault { matcher, after, cut, left: times });
    }

    /// Sends an ERROR event into the matching watches that are open now, and ends them as a real server does; gives
    /// their number (D-223).
    pub fn error_event(&self, matcher: &Matcher, answer: &Answer) -> usize {
        let line = event_line("ERROR", &to_json(&answer.to_status()));
        self.shared.faults.inject(matcher, &Injected::LastLine(line))
    }

    /// Forgets all changes so far: whoever wants to go on from an older version is told that it has expired (D-222).
    /// Open watches that have seen everything are not disturbed.
    pub fn compact(&self) {
        self.shared.store.compact(self.shared.store.revision());
    }

    /// How many watches are open.
    #[must_use]
    pub fn open_watches(&self, matcher: &Matcher) -> usize {
        self.shared.faults.open(matcher).len()
    }

    /// Takes back all faults that have not happened yet.
    pub fn clear(&self) {
        let mut plan = self.shared.faults.lock();
        plan.requests.clear();
        plan.cuts.clear();
    }
}

/// The planned faults and open watches of a cluster.
#[derive(Debug, Default)]
pub(crate) struct State(Mutex<Plan>);

#[derive(Debug, Default)]
struct Plan {
    requests: Vec<RequestFault>,
    cuts: Vec<CutFault>,
    watches: Vec<Weak<WatchState>>,
}

#[derive(Debug)]
struct RequestFault {
    matcher: Matcher,
    action: Action,
    skipped: usize,
    left: usize,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Answer(Answer),
    Delay(Duration),
    Hang,
    Lose,
    Interfere(Value),
}

#[derive(Debug)]
struct CutFault {
    matcher: Matcher,
    after: CutAfter,
    cut: Cut,
    left: usize,
}

/// What happens to an open watch.
#[derive(Clone, Debug)]
pub(crate) enum Injected {
    Cut(Cut),
    /// This line is sent, and the stream ends.
    LastLine(Bytes),
    /// Nothing is sent any more.
    Stall,
}

impl State {
    /// What is planned for this request, in the order in which it was set, up to what ends it.
    pub(crate) fn actions_for(&self, request: &Request) -> Vec<Action> {
        let mut plan = self.lock();
        if plan.requests.is_empty() {
            return Vec::new();
        }
        let facts = request.facts();
        let mut actions = Vec::new();
        for fault in plan.requests.iter_mut().filter(|fault| fault.matcher.matches(&facts)) {
            if fault.skipped > 0 {
                fault.skipped -= 1;
                continue;
            }
            fault.left -= 1;
            actions.push(fault.action.clone());
            if matches!(fault.action, Action::Answer(_) | Action::Hang) {
                break;
            }
        }
        plan.requests.retain(|fault| fault.left > 0);
        actions
    }

    /// Registers a watch that is about to open.
    pub(crate) fn watch(&self, request: &Request) -> WatchFaults {
        let state = Arc::new(WatchState {
            facts: request.facts(),
            injected: Mutex::default(),
            notify: Notify::new(),
        });
        let mut plan = self.lock();
        plan.watches.retain(|watch| watch.strong_count() > 0);
        plan.watches.push(Arc::downgrade(&state));
        let planned = plan.cuts.iter_mut().find(|fault| fault.matcher.matches(&state.facts)).map(|fault| {
            fault.left = fault.left.saturating_sub(1);
            (fault.after, fault.cut)
        });
        plan.cuts.retain(|fault| fault.left > 0);
        let (mut cut_after_events, mut cut_at) = (None, None);
        match planned {
            Some((CutAfter::Events(events), cut)) => cut_after_events = Some((events, cut)),
            Some((CutAfter::Time(time), cut)) => cut_at = Some((Instant::now() + time, cut)),
            None => {}
        }
        WatchFaults { state, cut_after_events, cut_at }
    }

    fn open(&self, matcher: &Matcher) -> Vec<Arc<WatchState>> {
        let plan = self.lock();
        plan.watches.iter().filter_map(Weak::upgrade).filter(|watch| matcher.matches(&watch.facts)).collect()
    }

    fn inject(&self, matcher: &Matcher, injected: &Injected) -> usize {
        let watches = self.open(matcher);
        for watch in &watches {
            watch.lock().push_back(injected.clone());
            watch.notify.notify_one();
        }
        watches.len()
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct WatchState {
    facts: Facts,
    injected: Mutex<VecDeque<Injected>>,
    notify: Notify,
}

impl WatchState {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Injected>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch's own view of its faults.
#[derive(Debug)]
pub(crate) struct WatchFaults {
    state: Arc<WatchState>,
    cut_after_events: Option<(usize, Cut)>,
    cut_at: Option<(Instant, Cut)>,
}

impl WatchFaults {
    /// What is to happen now, if anything.
    pub(crate) fn take(&mut self) -> Option<Injected> {
        if let Some(injected) = self.state.lock().pop_front() {
            return Some(injected);
        }
        if let Some((_, cut)) = self.cut_at.take_if(|(at, _)| *at <= Instant::now()) {
            return Some(Injected::Cut(cut));
        }
        self.cut_after_events.take_if(|(left, _)| *left == 0).map(|(_, cut)| Injected::Cut(cut))
    }

    /// An event is being sent.
    pub(crate) fn count_event(&mut self) {
        if let Some((left, _)) = &mut self.cut_after_events {
            *left = left.saturating_sub(1);
        }
    }

    /// Until there may be something to [`WatchFaults::take`].
    pub(crate) async fn signalled(&self) {
        match self.cut_at {
            None => self.state.notify.notified().await,
            Some((at, _)) => tokio::select! {
                () = self.state.notify.notified() => {}
                () = sleep_until(at) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(glob("*", ""));
        assert!(glob("kopf/*", "kopf/1.45"));
        assert!(glob("a*c*e", "abcde"));
        assert!(!glob("a*c*e", "abcd"));
        assert!(!glob("pods", "pods/status"));
    }
}
