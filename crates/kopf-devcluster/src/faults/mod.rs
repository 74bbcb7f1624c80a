//! Faults on demand: errors, delays and lost answers, stale reads, other writers, cut, stalled and repeating watches, a
//! forgotten past.
//!
//! The reason to have this server rather than a real one in tests. A [`Fault`] says what happens, to which requests
//! ([`Matcher`]), and how often; everything else of the cluster goes on as before. In reading order: `fault` and
//! `matcher` describe, `plan` decides what happens to a request, `watch` is one open watch.

pub(crate) mod fault;
mod matcher;
mod plan;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use fault::{After, Answer, Cut, Fault, Interference};
pub use matcher::Matcher;

use crate::restart::{Restart, RestartError};
use crate::server::Shared;
pub(crate) use fault::{Effect, Ending};
pub(crate) use plan::{State, Told};
pub(crate) use watch::{Injected, WatchFaults};

/// A planned fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaultId(pub(crate) u64);

/// Puts faults into a cluster; all clones do so to the same one.
#[derive(Clone, Debug)]
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Plans a fault. Of several that end the same request, the one that was planned first happens.
    pub fn plan(&self, fault: Fault) -> FaultId {
        self.shared.faults.plan(fault, self.shared.clock.moment())
    }

    /// How often a fault has happened; 0 if it was taken back.
    #[must_use]
    pub fn happened(&self, id: FaultId) -> usize {
        let told = self.shared.faults.told(self.shared.clock.moment());
        told.iter().find(|told| told.id == id.0).map_or(0, |told| told.happened)
    }

    /// Takes back one fault; whether it was known.
    pub fn remove(&self, id: FaultId) -> bool {
        self.shared.faults.remove(id.0)
    }

    /// Answers the next `times` matching requests with `answer`. Nothing is done for them. Of several such faults the
    /// one that was set first is used up first.
    pub fn answer(&self, matcher: Matcher, answer: Answer, times: usize) {
        self.plan(Fault::answer(answer).on(matcher).times(times));
    }

    /// As [`Faults::answer`], after letting `skipped` matching requests pass.
    pub fn answer_after(&self, matcher: Matcher, answer: Answer, skipped: usize, times: usize) {
        self.plan(Fault::answer(answer).on(matcher).skip(skipped).times(times));
    }

    /// Lets the next `times` matching requests wait before anything is done for them (D-224).
    pub fn delay(&self, matcher: Matcher, time: Duration, times: usize) {
        self.plan(Fault::delay(time).on(matcher).times(times));
    }

    /// Never answers the next `times` matching requests, for which nothing is done.
    pub fn hang(&self, matcher: Matcher, times: usize) {
        self.plan(Fault::hang().on(matcher).times(times));
    }

    /// Does what the next `times` matching requests ask for, and breaks the connection instead of answering (D-225).
    pub fn lose_answer(&self, matcher: Matcher, times: usize) {
        self.plan(Fault::lose_answer(Cut::Hard).on(matcher).times(times));
    }

    /// Merges a patch into the object of the next `times` matching requests, right before they are done: somebody else
    /// was faster (D-227).
    pub fn interfere(&self, matcher: Matcher, patch: Value, times: usize) {
        self.plan(Fault::interfere(Interference::merge(patch)).on(matcher).times(times));
    }

    /// Sends nothing more into the matching watches that are open now, not even bookmarks, until they are cut or end;
    /// gives their number (D-224).
    pub fn stall_watches(&self, matcher: &Matcher) -> usize {
        self.shared.faults.inject(matcher, &Injected::Stall)
    }

    /// Lets each event of the matching watches that are open now take so long; gives their number (D-224).
    pub fn delay_events(&self, matcher: &Matcher, time: Duration) -> usize {
        self.shared.faults.inject(matcher, &Injected::DelayEvents(time))
    }

    /// Cuts the matching watches that are open now; gives their number (D-221).
    pub fn cut_watches(&self, matcher: &Matcher, cut: Cut) -> usize {
        self.shared.faults.end(matcher, Ending::Cut(cut))
    }

    /// Cuts the next `times` matching watches that are opened from now on (D-221).
    pub fn cut_watches_after(&self, matcher: Matcher, after: After, cut: Cut, times: usize) {
        self.plan(Fault::cut_watch(after, cut).on(matcher).times(times));
    }

    /// Sends an ERROR event into the matching watches that are open now, and ends them as a real server does; gives
    /// their number (D-223).
    pub fn error_event(&self, matcher: &Matcher, answer: &Answer) -> usize {
        self.shared.faults.end(matcher, Ending::Error(answer.clone()))
    }

    /// Forgets all changes so far: whoever wants to go on from an older version is told that it has expired (D-222).
    /// Open watches that have seen everything are not disturbed.
    pub fn compact(&self) {
        self.compact_to(u64::MAX);
    }

    /// Forgets all changes up to a resource version, or up to now if that is still to come (D-222).
    pub fn compact_to(&self, resource_version: u64) {
        self.shared.store.compact(resource_version);
    }

    /// Lets the server go down and come back (D-228). When this returns, it is down if connections are refused for a time,
    /// else up again.
    ///
    /// # Errors
    ///
    /// Something is to be served no more that is not served, or no certificate could be made. Nothing was done then.
    pub async fn restart(&self, restart: Restart) -> Result<(), RestartError> {
        crate::restart::restart(&self.shared, restart).await
    }

    /// How many watches are open.
    #[must_use]
    pub fn open_watches(&self, matcher: &Matcher) -> usize {
        self.shared.faults.open(matcher).len()
    }

    /// Takes back all faults and forgets how often they have happened.
    pub fn clear(&self) {
        self.shared.faults.clear();
    }
}
