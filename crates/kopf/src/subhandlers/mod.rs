//! Sub-handlers: handlers that a handler declares while it runs, each with its own progress.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::SignedDuration;
use kopf_core::{
    error::ErrorInfo,
    handler::{Handler as CoreHandler, HandlerId, Needs, Trigger},
    subcycle::{SubOutcome, SubStep, Subcycle},
};

use crate::{
    attempt::{Ended, attempt, span},
    cause::{Cause, Kind},
    error::{Error, Result, permanent},
    extract::{FromCause, Setup},
    handler::{Handler, Run},
    logging,
    on::misused,
    options::Declared,
};

/// Declares sub-handlers: parts of the handler's work that succeed, fail and are retried alone.
///
/// They run after the handler has returned, or in [`execute`](Self::execute), and the handler is called again until all of
/// them are finished: it must declare the same ones each time, and have no effects of its own before that. Those that have
/// failed for good count as finished (KEEP-9). A sub-handler's progress and result are kept under `handler/its-own-id`.
///
/// ```
/// use kopf::prelude::*;
///
/// # #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
/// # #[kube(group = "example.com", version = "v1", kind = "Fleet", namespaced)]
/// # struct FleetSpec { ships: Vec<String> }
/// async fn build(fleet: Obj<Fleet>, ships: Subhandlers<Fleet>) -> Result {
///     for ship in fleet.spec.ships.clone() {
///         let id = ship.clone();
///         let launch = move || {
///             let ship = ship.clone();
///             async move { info!("{ship} is launched") }
///         };
///         ships.add(handler(launch).id(id).retries(3));
///     }
///     ships.execute().await?;
///     info!("the fleet is complete");
///     Ok(())
/// }
///
/// on::<Fleet>().create(build);
/// ```
pub struct Subhandlers<K>(Cause<K>);

impl<K: Kind> FromCause<K> for Subhandlers<K> {
    const NEEDS: Needs = Needs::ALL;

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        if setup.is_event_handler() {
            return Err("asks for `Subhandlers`, but handlers of watch events keep no progress".into());
        }
        Ok(())
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.clone()))
    }
}

impl<K: Kind> Subhandlers<K> {
    /// Declares one. What is wrong with it (no id, an id that is there already, options that make no sense) makes the handler
    /// fail for good before any sub-handler runs.
    pub fn add<A>(&self, handler: impl Handler<K, A>) {
        self.0.children().declare(self.0.handler(), handler);
    }

    /// Runs those that were declared since the last time and may run now. It returns when all of them are finished.
    ///
    /// # Errors
    /// If some have to be tried again later: pass the error on with `?`. The handler is called again then, whatever it returns.
    ///
    /// # Cancel safety
    /// None: progress that was made is lost, and made again.
    pub async fn execute(&self) -> Result {
        execute(&self.0).await
    }
}

impl<K> fmt::Debug for Subhandlers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subhandlers").field(&self.0).finish()
    }
}

/// The sub-handlers of one call.
pub(crate) struct Children<K>(Mutex<Family<K>>);

struct Family<K> {
    declared: Vec<Child<K>>,
    problem: Option<String>,
    subrefs: Vec<HandlerId>,
    /// The earliest delay of those that are not finished. Kept outside of the error, so that a handler that swallows the
    /// error does not count as finished (FIX-15).
    unfinished: Option<SignedDuration>,
}

struct Child<K> {
    handler: Arc<CoreHandler>,
    run: Run<K>,
}

/// Not all sub-handlers are finished. Only a signal: what counts is kept in [`Family`].
#[derive(Debug, thiserror::Error)]
#[error("some sub-handlers are not finished")]
pub(crate) struct Unfinished;

impl<K: Kind> Children<K> {
    fn declare<A>(&self, parent: &CoreHandler, handler: impl Handler<K, A>) {
        let function = handler.into_function();
        let needs_change = match parent.trigger {
            Trigger::Update | Trigger::Field => true,
            Trigger::Sub { needs_change } => needs_change,
            Trigger::Event | Trigger::Create | Trigger::Delete { .. } | Trigger::Resume { .. } => false,
        };
        let trigger = Trigger::Sub { needs_change };
        let mut family = self.lock();
        let Some(own) = function.declared.id.as_deref().or(function.name) else {
            family.complain(format!(
                "a sub-handler of `{}` has no name, being a closure or a function pointer: name it by \
                 `handler(..).id(\"..\")`",
                parent.id
            ));
            return;
        };
        let id = parent.id.child(own);
        if family.declared.iter().any(|child| child.handler.id == id) {
            family.complain(format!("two sub-handlers have the id `{id}`"));
        }
        for problem in misused(trigger, &function.declared) {
            family.complain(format!("the sub-handler `{id}` {problem}"));
        }
        let Declared { options, filters, .. } = function.declared;
        let (function_id, needs) = (function.identity, function.needs);
        let handler = Arc::new(CoreHandler { id, trigger, filters, options, function: function_id, needs });
        family.declared.push(Child { handler, run: function.run });
    }

    fn take_declared(&self) -> Result<Vec<Child<K>>> {
        let mut family = self.lock();
        match family.problem.take() {
            Some(problem) => Err(permanent(problem)),
            None => Ok(std::mem::take(&mut family.declared)),
        }
    }
}

impl<K> Children<K> {
    /// All sub-handlers of any depth that were seen.
    pub(crate) fn subrefs(&self) -> Vec<HandlerId> {
        self.lock().subrefs.clone()
    }

    /// How long until the first of those that are not finished may run.
    pub(crate) fn unfinished(&self) -> Option<SignedDuration> {
        self.lock().unfinished
    }

    fn remember(&self, subrefs: Vec<HandlerId>, unfinished: Option<SignedDuration>) {
        let mut family = self.lock();
        family.subrefs.extend(subrefs);
        family.unfinished = [family.unfinished, unfinished].into_iter().flatten().min();
    }

    fn lock(&self) -> MutexGuard<'_, Family<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Family<K> {
    fn complain(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

impl<K> Default for Children<K> {
    fn default() -> Self {
        let family = Family { declared: vec![], problem: None, subrefs: vec![], unfinished: None };
        Self(Mutex::new(family))
    }
}

/// Runs the sub-handlers that were declared and not run yet, one after another, in the future of their parent (DEC-5).
pub(crate) async fn execute<K: Kind>(cause: &Cause<K>) -> Result {
    let children = cause.children().take_declared()?;
    if children.is_empty() {
        return Ok(());
    }
    let environment = cause.environment();
    let now = || environment.now();
    let handlers: Vec<_> = children.iter().map(|child| child.handler.clone()).collect();
    let runs: HashMap<_, _> =
        children.into_iter().map(|child| (child.handler.id.clone(), child.run)).collect();
    let plan = environment.plan(cause.resource());
    let patch = cause.patch();
    let mut subcycle = Subcycle::open(plan, cause.core().clone(), &handlers, patch.to_core(), now())?;
    loop {
        let SubStep { logs, call } = subcycle.next(now())?;
        logs.iter().for_each(|log| logging::log_object(cause.object(), log));
        let Some(call) = call else { break };
        let Some(run) = runs.get(&call.handler.id) else {
            // The subcycle calls what it was given.
            return Err(ErrorInfo::new(format!("the sub-handler {} has no function", call.handler.id)).into());
        };
        let id = call.id;
        let Ended { outcome, subrefs } = start(cause.of_child(call), run.clone()).await;
        let logs = subcycle.finished(id, outcome, patch.to_core(), subrefs, now());
        logs.iter().for_each(|log| logging::log_object(cause.object(), log));
    }
    let SubOutcome { patch: with_progress, subrefs, unfinished } = subcycle.close(now())?;
    patch.with_core(|patch| *patch = with_progress);
    cause.children().remember(subrefs, unfinished);
    if unfinished.is_some() { Err(Error::from(Unfinished)) } else { Ok(()) }
}

/// Boxed: a sub-handler may have sub-handlers.
fn start<K: Kind>(cause: Cause<K>, run: Run<K>) -> kopf_engine::door::BoxFuture<Ended> {
    use tracing::Instrument;

    let span = span(&cause);
    Box::pin(attempt(cause, run).instrument(span))
}

#[cfg(test)]
mod tests;
