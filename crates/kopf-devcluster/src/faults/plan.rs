//! What is planned, and what becomes of it: budgets, chance, and counts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::fault::{Effect, Ending, Fault, WatchEffect};
use super::watch::{Injected, WatchFaults, WatchState};
use super::{FaultId, Matcher};
use crate::clock::Moment;
use crate::random::Random;
use crate::server::Request;
use crate::server::request::Facts;

/// How many faults that can happen no more are remembered with their counts.
const REMEMBERED: usize = 1000;

/// The planned faults and open watches of a cluster.
#[derive(Debug)]
pub(crate) struct State {
    /// Whether anything is planned: the only cost where there are no faults.
    is_planned: AtomicBool,
    plan: Mutex<Plan>,
    seed: Option<u64>,
}

#[derive(Debug, Default)]
struct Plan {
    planned: Vec<Planned>,
    /// What can happen no more.
    over: VecDeque<Planned>,
    last_id: u64,
    watches: Vec<Weak<WatchState>>,
}

/// A fault with what is left of its budget.
#[derive(Debug)]
struct Planned {
    id: u64,
    fault: Fault,
    to_skip: usize,
    left: Option<usize>,
    until: Option<Moment>,
    chance: Random,
    happened: usize,
}

/// A fault as it is told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) id: u64,
    pub(crate) fault: Fault,
    pub(crate) happened: usize,
    /// `None`: without a limit.
    pub(crate) left: Option<usize>,
}

impl Planned {
    /// Whether it happens to a request now.
    fn happens(&mut self, facts: &Facts, now: Moment) -> bool {
        if self.is_over(now) || !self.fault.matcher.matches(facts) {
            return false;
        }
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return false;
        }
        if self.fault.probability < 1.0 && !self.chance.happens(self.fault.probability) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        self.happened += 1;
        true
    }

    fn is_over(&self, now: Moment) -> bool {
        self.left == Some(0) || self.until.is_some_and(|until| until <= now)
    }

    fn told(&self) -> Told {
        Told { id: self.id, fault: self.fault.clone(), happened: self.happened, left: self.left }
    }
}

impl State {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self { is_planned: AtomicBool::new(false), plan: Mutex::default(), seed }
    }

    pub(crate) fn plan(&self, fault: Fault, now: Moment) -> FaultId {
        let mut plan = self.lock();
        plan.last_id += 1;
        let id = plan.last_id;
        let planned = Planned {
            id,
            to_skip: fault.skip,
            left: fault.limit(),
            until: fault.lasting.map(|time| now.after(time)),
            // Each has its own generator, so that one does not change the chances of another.
            chance: Random::derived(self.seed, id),
            happened: 0,
            fault,
        };
        plan.planned.push(planned);
        self.is_planned.store(true, Ordering::Relaxed);
        FaultId(id)
    }

    /// What happens to this request, in the order in which it was planned, up to what ends it.
    pub(crate) fn effects_on(&self, request: &Request, now: impl FnOnce() -> Moment) -> Vec<Effect> {
        if !self.is_planned.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let (facts, now) = (request.facts(), now());
        let mut effects = Vec::new();
        let mut plan = self.lock();
        for planned in &mut plan.planned {
            if matches!(planned.fault.effect, Effect::Watch(_)) || !planned.happens(&facts, now) {
                continue;
            }
            effects.push(planned.fault.effect.clone());
            if matches!(planned.fault.effect, Effect::Answer(_) | Effect::Hang | Effect::Drop(_)) {
                break;
            }
        }
        self.sort_out(&mut plan, now);
        effects
    }

    /// Registers a watch that is about to open.
    pub(crate) fn watch(&self, request: &Request, now: Moment) -> WatchFaults {
        let state = Arc::new(WatchState::new(request));
        let mut plan = self.lock();
        if plan.watches.len() == plan.watches.capacity() {
            plan.watches.retain(|watch| watch.strong_count() > 0);
        }
        plan.watches.push(Arc::downgrade(&state));
        let mut faults = WatchFaults::new(Arc::clone(&state));
        if !self.is_planned.load(Ordering::Relaxed) {
            return faults;
        }
        for planned in &mut plan.planned {
            let Effect::Watch(effect) = &planned.fault.effect else { continue };
            let effect = effect.clone();
            let ends = matches!(effect, WatchEffect::End(..) | WatchEffect::Stall(_));
            if ends && faults.has_end() || !planned.happens(&state.facts, now) {
                continue;
            }
            faults.plan(effect, now);
        }
        self.sort_out(&mut plan, now);
        faults
    }

    fn sort_out(&self, plan: &mut Plan, now: Moment) {
        if !plan.planned.iter().any(|planned| planned.is_over(now)) {
            return;
        }
        let (over, planned) = plan.planned.drain(..).partition(|planned| planned.is_over(now));
        plan.planned = planned;
        let over: Vec<Planned> = over;
        plan.over.extend(over);
        while plan.over.len() > REMEMBERED {
            plan.over.pop_front();
        }
        self.is_planned.store(!plan.planned.is_empty(), Ordering::Relaxed);
    }

    /// All faults, with their counts, by their ids.
    pub(crate) fn told(&self, now: Moment) -> Vec<Told> {
        let mut plan = self.lock();
        self.sort_out(&mut plan, now);
        let mut told: Vec<Told> = plan.over.iter().chain(&plan.planned).map(Planned::told).collect();
        told.sort_by_key(|told| told.id);
        told
    }

    /// Takes a fault back and forgets it; whether it was known.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut plan = self.lock();
        let before = plan.planned.len() + plan.over.len();
        plan.planned.retain(|planned| planned.id != id);
        plan.over.retain(|planned| planned.id != id);
        self.is_planned.store(!plan.planned.is_empty(), Ordering::Relaxed);
        plan.planned.len() + plan.over.len() < before
    }

    /// Takes all faults back and forgets them; gives the number of those that could still have happened.
    pub(crate) fn clear(&self) -> usize {
        let mut plan = self.lock();
        plan.over.clear();
        self.is_planned.store(false, Ordering::Relaxed);
        std::mem::take(&mut plan.planned).len()
    }

    /// The open watches of a kind.
    pub(crate) fn open(&self, matcher: &Matcher) -> Vec<Arc<WatchState>> {
        let plan = self.lock();
        plan.watches.iter().filter_map(Weak::upgrade).filter(|watch| matcher.matches(&watch.facts)).collect()
    }

    /// Lets something happen to the open watches of a kind; gives their number.
    pub(crate) fn inject(&self, matcher: &Matcher, injected: &Injected) -> usize {
        let watches = self.open(matcher);
        for watch in &watches {
            watch.inject(injected.clone());
        }
        watches.len()
    }

    /// Ends the open watches of a kind; gives their number.
    pub(crate) fn end(&self, matcher: &Matcher, ending: Ending) -> usize {
        self.inject(matcher, &Injected::from(ending))
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
