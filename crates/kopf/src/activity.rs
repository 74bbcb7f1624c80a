//! Handlers of the operator as a whole: at its startup, and when it has stopped.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use kopf_core::{
    cause::Cause as CoreCause,
    error::ErrorInfo,
    filter::Filters,
    handler::{Handler as CoreHandler, HandlerId, Trigger},
    machine::{Call, CallId},
    object::Object,
    outcome::Outcome,
};
use kopf_engine::{
    door::{ActivityCall, BoxFuture},
    registry::Activity,
};
use serde_json::Value;

use crate::{
    Patch,
    attempt::{Attempt, Ended, Invocation},
    cause::Cause,
    environment::{Environment, States},
    extract::{Place, Setup},
    handler::{Function, Run},
    panic,
};

/// The operator as a whole, where others are handlers of objects: the `K` of handlers given to
/// [`Operator::startup`](crate::Operator::startup) and [`Operator::cleanup`](crate::Operator::cleanup).
///
/// Their arguments are those that are about no object: [`Ctx`](crate::Ctx), [`Retry`](crate::Retry),
/// [`Started`](crate::Started), [`Runtime`](crate::Runtime), and at the cleanup [`kube::Client`].
#[derive(Clone, Copy, Debug)]
pub struct Whole(());

/// A handler of an activity as it was declared.
#[derive(Debug)]
pub(crate) struct ActivityHandler {
    pub(crate) activity: Activity,
    pub(crate) function: Function<Whole>,
}

impl ActivityHandler {
    /// The handler as the engine knows it.
    ///
    /// # Errors
    /// All that is wrong with its declaration, as sentences.
    pub(crate) fn declare(&self, states: &States) -> Result<Arc<CoreHandler>, Vec<String>> {
        let Self { activity, function } = self;
        let what = activity.as_str();
        let Some(own) = function.declared.id.as_deref().or(function.name) else {
            return Err(vec![format!(
                "a handler given to `Operator::{what}(..)` has no name, being a closure or a function pointer: name it by \
                 `handler(..).id(\"..\")`"
            )]);
        };
        let setup = Setup { states, place: Place::Activity(*activity) };
        let mut problems: Vec<_> = function.checks.iter().filter_map(|check| check(&setup).err()).collect();
        if is_about_objects(&function.declared.filters)
            || function.declared.optional
            || function.declared.deleted
        {
            problems.push("has options that are about objects: remove them".to_owned());
        }
        if problems.is_empty() {
            return Ok(Arc::new(CoreHandler {
                id: HandlerId::from(own),
                // Means nothing for activities.
                trigger: Trigger::Event,
                filters: Filters::default(),
                options: function.declared.options.clone(),
                function: function.identity,
                needs: function.needs,
            }));
        }
        Err(problems.into_iter().map(|problem| format!("the {what} handler `{own}` {problem}")).collect())
    }

    pub(crate) fn attempt(&self) -> Arc<dyn Attempt> {
        Arc::new(Typed(self.function.run.clone()))
    }
}

fn is_about_objects(filters: &Filters) -> bool {
    let Filters { labels, annotations, field, value, old, new, when } = filters;
    let has_value = value.is_some() || old.is_some() || new.is_some();
    !labels.is_empty() || !annotations.is_empty() || field.is_some() || has_value || when.is_some()
}

/// A call of an activity as a call about no object.
pub(crate) fn invocation(call: ActivityCall, environment: Arc<Environment>) -> Invocation {
    let ActivityCall { handler, retry, started, runtime, .. } = call;
    let cause = CoreCause {
        object_id: 0,
        cycle: 0,
        resource: Arc::default(),
        event_type: None,
        object: Object::new(Value::Null),
        reason: None,
        initial: false,
        old: None,
        new: None,
        diff: Arc::default(),
        waits: Default::default(),
    };
    let (cause, patch) = (Arc::new(cause), Default::default());
    Invocation {
        call: Call { id: CallId(0), handler, cause, retry, started, runtime, patch },
        resource: Arc::default(),
        patch: Patch::default(),
        environment,
    }
}

struct Typed(Run<Whole>);

impl Attempt for Typed {
    fn start(&self, invocation: Invocation) -> BoxFuture<Ended> {
        let Invocation { call, resource, patch, environment } = invocation;
        let cause = Cause::new(call, resource, &patch, environment);
        let run = self.0.clone();
        Box::pin(async move {
            let called = AssertUnwindSafe(async { run(&cause).await }).catch_unwind().await;
            let outcome = match called {
                Ok(Ok(result)) => Outcome::Succeeded(result),
                Ok(Err(error)) => error.into_outcome(),
                Err(payload) => Outcome::Arbitrary(ErrorInfo::new(panic::text(&*payload))),
            };
            Ended { outcome, subrefs: Vec::new() }
        })
    }
}
