//! What happens to one open watch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::fault::{After, Cut, Ending, WatchEffect};
use crate::clock::Moment;
use crate::server::Request;
use crate::server::encode::{event_line, json as to_json};
use crate::server::request::Facts;

/// What happens to an open watch.
#[derive(Clone, Debug)]
pub(crate) enum Injected {
    Cut(Cut),
    /// This line is sent, and the stream ends.
    LastLine(Bytes),
    /// Nothing is sent any more.
    Stall,
    /// Each event takes so long from now on.
    DelayEvents(Duration),
}

impl From<Ending> for Injected {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Cut(cut) => Self::Cut(cut),
            Ending::Error(answer) => Self::LastLine(event_line("ERROR", &to_json(&answer.to_status()))),
        }
    }
}

/// An open watch, as faults find it.
#[derive(Debug)]
pub(crate) struct WatchState {
    pub(crate) facts: Facts,
    /// Whether there is anything in `injected`.
    is_injected: AtomicBool,
    injected: Mutex<VecDeque<Injected>>,
    notify: Notify,
}

impl WatchState {
    pub(super) fn new(request: &Request) -> Self {
        Self {
            facts: request.facts(),
            is_injected: AtomicBool::new(false),
            injected: Mutex::default(),
            notify: Notify::new(),
        }
    }

    pub(super) fn inject(&self, injected: Injected) {
        self.lock().push_back(injected);
        self.is_injected.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    fn take(&self) -> Option<Injected> {
        if !self.is_injected.load(Ordering::Acquire) {
            return None;
        }
        let mut injected = self.lock();
        let next = injected.pop_front();
        self.is_injected.store(!injected.is_empty(), Ordering::Release);
        next
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Injected>> {
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch's own view of its faults.
#[derive(Debug)]
pub(crate) struct WatchFaults {
    state: Arc<WatchState>,
    /// What ends or stalls it after so many events.
    after_events: Option<(usize, Injected)>,
    /// What ends or stalls it at a moment.
    at: Option<(Moment, Injected)>,
    /// How long each event takes.
    pub(crate) event_delay: Duration,
    /// How many changes too early it begins.
    pub(crate) repeated: usize,
    /// Whether each event comes twice.
    pub(crate) duplicates: bool,
}

impl WatchFaults {
    pub(super) fn new(state: Arc<WatchState>) -> Self {
        Self {
            state,
            after_events: None,
            at: None,
            event_delay: Duration::ZERO,
            repeated: 0,
            duplicates: false,
        }
    }

    /// Whether it is known already how it ends.
    pub(super) fn has_end(&self) -> bool {
        self.after_events.is_some() || self.at.is_some()
    }

    pub(super) fn plan(&mut self, effect: WatchEffect, now: Moment) {
        let (injected, after) = match effect {
            WatchEffect::End(ending, after) => (ending.into(), after),
            WatchEffect::Stall(after) => (Injected::Stall, after),
            WatchEffect::DelayEvents(time) => {
                self.event_delay = time;
                return;
            }
            WatchEffect::Repeat(changes) => {
                self.repeated = changes;
                return;
            }
            WatchEffect::Duplicate => {
                self.duplicates = true;
                return;
            }
        };
        match after {
            After::Events(events) => self.after_events = Some((events, injected)),
            After::Time(time) => self.at = Some((now.after(time), injected)),
        }
    }

    /// What is to happen now, if anything.
    pub(crate) fn take(&mut self, now: impl FnOnce() -> Moment) -> Option<Injected> {
        if let Some(injected) = self.state.take() {
            return Some(injected);
        }
        if self.at.is_some() {
            let now = now();
            if let Some((_, injected)) = self.at.take_if(|(at, _)| *at <= now) {
                return Some(injected);
            }
        }
        self.after_events.take_if(|(left, _)| *left == 0).map(|(_, injected)| injected)
    }

    /// An event is being sent.
    pub(crate) fn count_event(&mut self) {
        if let Some((left, _)) = &mut self.after_events {
            *left = left.saturating_sub(1);
        }
    }

    /// When something is planned to happen.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.at.as_ref().map(|(at, _)| *at)
    }

    /// Until something is injected.
    pub(crate) async fn signalled(&self) {
        self.state.notify.notified().await;
    }
}
