//! The Rust door: handlers are futures, called where the engine polls them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::{Either, select};
use kopf_core::{
    error::ErrorInfo,
    handler::{Handler, HandlerId},
    log::Level,
    machine::{Call, CallId},
    outcome::Outcome,
    resource::Resource,
};
use kopf_engine::door::{ActivityCall, BoxFuture, Door, Finished, Record, Step};
use tokio::sync::oneshot;

use crate::{
    Patch, activity,
    attempt::{Attempt, Ended, Invocation},
    environment::Environment,
    logging,
};

/// The door of one operator.
pub(crate) struct RustDoor {
    /// The functions by their identity.
    functions: HashMap<u64, Arc<dyn Attempt>>,
    environment: Arc<Environment>,
    running: Arc<Running>,
}

impl RustDoor {
    pub(crate) fn new(functions: HashMap<u64, Arc<dyn Attempt>>, environment: Arc<Environment>) -> Self {
        Self { functions, environment, running: Arc::default() }
    }
}

impl Door for RustDoor {
    fn call(&self, resource: &Arc<Resource>, call: Call) -> BoxFuture<Finished> {
        let Some(function) = self.functions.get(&call.handler.function) else {
            let outcome = Outcome::Permanent(without_function(&call.handler));
            let finished = Finished { outcome, patch: call.patch, subrefs: vec![] };
            return Box::pin(std::future::ready(finished));
        };
        let (guard, cancelled) = Running::begin(&self.running, &call);
        let patch = Patch::from_core(call.patch.clone());
        let attempt = function.start(Invocation {
            call,
            resource: resource.clone(),
            patch: patch.clone(),
            environment: self.environment.clone(),
        });
        Box::pin(async move {
            let ended = match select(attempt, cancelled).await {
                Either::Left((ended, _)) => ended,
                Either::Right((_, attempt)) => {
                    drop(attempt);
                    Ended { outcome: Outcome::Cancelled, subrefs: Vec::new() }
                }
            };
            drop(guard);
            finished(ended, &patch)
        })
    }

    fn cancel(&self, object_id: u64, call: CallId) {
        // Sending to a call that has just ended is fine.
        if let Some(cancel) = self.running.lock().remove(&(object_id, call)) {
            let _ = cancel.send(());
        }
    }

    fn call_activity(&self, call: ActivityCall) -> BoxFuture<Outcome> {
        let Some(function) = self.functions.get(&call.handler.function) else {
            return Box::pin(std::future::ready(Outcome::Permanent(without_function(&call.handler))));
        };
        let attempt = function.start(activity::invocation(call, self.environment.clone()));
        Box::pin(async move { attempt.await.outcome })
    }

    /// Filters and functions of patches in Rust run anywhere.
    fn step(&self, step: Step) -> BoxFuture<()> {
        Box::pin(async move { step() })
    }

    fn wants(&self, level: Level) -> bool {
        logging::wants(level)
    }

    fn log(&self, record: Record) {
        logging::log(&record);
    }

    fn forget(&self, object_id: u64) {
        self.environment.forget(object_id);
    }

    fn ready(&self) {}
}

impl fmt::Debug for RustDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RustDoor").field("functions", &self.functions.len()).finish_non_exhaustive()
    }
}

/// Cannot be: handlers come from the registry only, which was made together with the functions.
fn without_function(handler: &Handler) -> ErrorInfo {
    ErrorInfo::new(format!("the handler {} has no function", handler.id))
}

fn finished(ended: Ended, patch: &Patch) -> Finished {
    let Ended { outcome, subrefs } = ended;
    let subrefs: Vec<HandlerId> = subrefs;
    Finished { outcome, patch: patch.to_core(), subrefs }
}

/// The calls that run now, with what cancels them.
#[derive(Default)]
struct Running(Mutex<HashMap<(u64, CallId), oneshot::Sender<()>>>);

/// Ends a call when it is dropped, also if it was abandoned.
struct Guard {
    running: Arc<Running>,
    call: (u64, CallId),
}

impl Running {
    fn begin(running: &Arc<Self>, call: &Call) -> (Guard, oneshot::Receiver<()>) {
        let (sender, cancelled) = oneshot::channel();
        let call = (call.cause.object_id, call.id);
        running.lock().insert(call, sender);
        (Guard { running: running.clone(), call }, cancelled)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u64, CallId), oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.running.lock().remove(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;
    use crate::{
        Error, Json, Memo, Obj, handler as with_options,
        prelude::*,
        testing_cause::{Database, body, call, handler},
    };

    fn door<A>(function: impl crate::Handler<Database, A>) -> RustDoor {
        let attempt = crate::attempt::attempt_erased(function.into_function().run);
        RustDoor::new(HashMap::from([(1, attempt)]), Arc::default())
    }

    fn start(door: &RustDoor, id: u64) -> BoxFuture<Finished> {
        door.call(&Arc::new(Resource::default()), call(id, handler("h", 1), body()))
    }

    #[tokio::test]
    async fn a_handler_ends_as_its_result() {
        let door = door(|object: Obj<Database>, patch: Patch| async move {
            patch.label("seen", Some("yes"));
            Json(object.spec.size)
        });
        let finished = start(&door, 1).await;
        assert!(matches!(finished.outcome, Outcome::Succeeded(Some(result)) if result == json!(3)));
        assert_eq!(json!(finished.patch.merge), json!({"metadata": {"labels": {"seen": "yes"}}}));
    }

    #[tokio::test]
    async fn a_panic_is_an_arbitrary_error_and_changes_made_before_are_kept() {
        // A-PATCH-025.
        let door = door(|patch: Patch| async move {
            patch.status(json!({"a": 1}));
            panic!("oops");
            #[expect(unreachable_code, reason = "names the type")]
            ()
        });
        let finished = start(&door, 1).await;
        assert!(matches!(finished.outcome, Outcome::Arbitrary(error) if error.text == "panicked: oops"));
        assert_eq!(json!(finished.patch.merge), json!({"status": {"a": 1}}));
    }

    #[tokio::test]
    async fn an_argument_that_cannot_be_had_is_the_error_of_the_handler() {
        let door = door(|_: Spec<Vec<u8>>| async {});
        assert!(matches!(start(&door, 1).await.outcome, Outcome::Permanent(_)));
    }

    #[tokio::test]
    async fn a_value_that_is_no_json_fails_the_handler_and_not_the_patch() {
        let door = door(|patch: Patch| async move { patch.spec("text") });
        assert!(matches!(start(&door, 1).await.outcome, Outcome::Permanent(_)));
    }

    #[tokio::test]
    async fn a_cancelled_call_ends_as_cancelled_and_drops_the_function() {
        struct Dropped(Arc<AtomicU32>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        let door = door(with_options(move || {
            let guard = Dropped(counted.clone());
            async move {
                std::future::pending::<()>().await;
                drop(guard);
            }
        }));
        let mut running = start(&door, 5);
        assert!(futures_util::poll!(&mut running).is_pending());
        door.cancel(1, CallId(5));
        assert!(matches!(running.await.outcome, Outcome::Cancelled));
        assert_eq!(count.load(Ordering::SeqCst), 1);
        assert!(door.running.lock().is_empty());
    }

    #[tokio::test]
    async fn a_call_goes_on_with_the_patch_that_it_comes_with() {
        // W-CYC-008: the engine has put the results of earlier handlers into it.
        let door = door(|patch: Patch| async move { patch.status(json!({"b": 2})) });
        let mut call = call(1, handler("h", 1), body());
        call.patch.merge.insert("status".to_owned(), json!({"a": 1}));
        let finished = door.call(&Arc::new(Resource::default()), call).await;
        assert_eq!(json!(finished.patch.merge), json!({"status": {"a": 1, "b": 2}}));
    }

    #[tokio::test]
    async fn what_is_remembered_of_an_object_ends_with_it() {
        let door = door(|count: Memo<AtomicU32>| async move { Json(count.fetch_add(1, Ordering::SeqCst)) });
        let count = async |id| match start(&door, id).await.outcome {
            Outcome::Succeeded(Some(count)) => count,
            other => panic!("{other:?}"),
        };
        assert_eq!((count(1).await, count(2).await), (json!(0), json!(1)));
        door.forget(1);
        assert_eq!(count(3).await, json!(0));
    }

    #[tokio::test]
    async fn an_abandoned_call_leaves_nothing_behind() {
        let door = door(with_options(std::future::pending::<Result<(), Error>>));
        let mut running = start(&door, 1);
        assert!(futures_util::poll!(&mut running).is_pending());
        drop(running);
        assert!(door.running.lock().is_empty());
    }
}
