//! One attempt to run a handler: the call of the user's function, and what is made of its end.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use kopf_core::{error::ErrorInfo, handler::HandlerId, machine::Call, outcome::Outcome, resource::Resource};
use kopf_engine::door::BoxFuture;
use tracing::{Instrument, Span, info_span};

use crate::{
    Patch,
    cause::{Cause, Kind},
    environment::Environment,
    error::Error,
    handler::Run,
    logging, panic,
    subhandlers::{self, Unfinished},
};

/// All that a call comes with.
pub(crate) struct Invocation {
    pub(crate) call: Call,
    pub(crate) resource: Arc<Resource>,
    pub(crate) patch: Patch,
    pub(crate) environment: Arc<Environment>,
}

/// How an attempt has ended.
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) subrefs: Vec<HandlerId>,
}

/// A handler that can be called without knowing its types.
pub(crate) trait Attempt: Send + Sync {
    fn start(&self, invocation: Invocation) -> BoxFuture<Ended>;
}

struct Typed<K>(Run<K>);

impl<K: Kind> Attempt for Typed<K> {
    fn start(&self, invocation: Invocation) -> BoxFuture<Ended> {
        let Invocation { call, resource, patch, environment } = invocation;
        let cause = Cause::new(call, resource, &patch, environment);
        let run = self.0.clone();
        let span = span(&cause);
        Box::pin(attempt(cause, run).instrument(span))
    }
}

/// Erases the kind of a handler.
pub(crate) fn attempt_erased<K: Kind>(run: Run<K>) -> Arc<dyn Attempt> {
    Arc::new(Typed(run))
}

/// Calls the function, then the sub-handlers that it has declared and not run itself. Whatever they do ends here as an outcome:
/// a panic in one handler never ends the operator.
pub(crate) async fn attempt<K: Kind>(cause: Cause<K>, run: Run<K>) -> Ended {
    let whole = async {
        let result = run(&cause).await?;
        cause.patch().check()?;
        subhandlers::execute(&cause).await?;
        Ok::<_, Error>(result)
    };
    let called = AssertUnwindSafe(whole).catch_unwind().await;
    let unfinished = cause.children().unfinished();
    let outcome = match (called, unfinished) {
        (Err(payload), _) => Outcome::Arbitrary(ErrorInfo::new(panic::text(&*payload))),
        (Ok(Err(error)), None) => error.into_outcome(),
        (Ok(Err(error)), Some(_)) if !error.is::<Unfinished>() => error.into_outcome(),
        (Ok(_), Some(delay)) => Outcome::Unfinished(Some(delay)),
        (Ok(Ok(result)), None) => Outcome::Succeeded(result),
    };
    Ended { outcome, subrefs: cause.children().subrefs() }
}

/// What the lines that a handler logs are about.
pub(crate) fn span<K>(cause: &Cause<K>) -> Span {
    let object = cause.object();
    info_span!(
        target: logging::OBJECTS,
        "handler",
        handler = cause.handler_id(),
        api_version = object.api_version(),
        kind = object.kind(),
        namespace = object.namespace(),
        name = object.name(),
        uid = object.uid(),
    )
}
