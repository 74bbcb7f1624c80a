//! An operator against a dev cluster in the same process: a door whose handlers are closures, and what was requested.

#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use kopf_core::{
    filter::Filters,
    handler::{Handler, HandlerId, Needs, Options, Trigger},
    log::Level,
    machine::{Call, CallId},
    outcome::Outcome,
    patch::Patch,
    reason::{EventType, Reason},
    resource::Resource,
    selector::{Keywords, Positional, Selector},
    storage::{AnnotationsDiffBaseStorage, SmartProgressStorage},
};
use kopf_devcluster::DevCluster;
use kopf_engine::{
    Operator, OperatorHandle, RunError,
    client::Connection,
    door::{ActivityCall, BoxFuture, Door, Finished, Record, Step},
    registry::Activity,
    shared::Storages,
};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::Service;

/// Where the example objects are.
pub(crate) const EXAMPLES: &str = "/apis/zalando.org/v1/namespaces/default/kopfexamples";

/// The definition of the example objects.
pub(crate) fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "kopfexamples.zalando.org"},
        "spec": {
            "group": "zalando.org",
            "scope": "Namespaced",
            "names": {"kind": "KopfExample", "plural": "kopfexamples", "singular": "kopfexample"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// An example object.
pub(crate) fn example(name: &str) -> Value {
    json!({
        "apiVersion": "zalando.org/v1",
        "kind": "KopfExample",
        "metadata": {"name": name},
        "spec": {"field": "value"},
    })
}

/// A cluster that knows the example objects.
pub(crate) async fn cluster() -> DevCluster {
    let cluster = DevCluster::start().await.unwrap();
    define(&cluster).await;
    cluster
}

pub(crate) async fn define(cluster: &DevCluster) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.create(path, &definition()).await.unwrap();
}

/// A call as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) handler: String,
    pub(crate) object: String,
    pub(crate) reason: Option<Reason>,
    pub(crate) event_type: Option<EventType>,
    pub(crate) version: String,
    pub(crate) retry: u32,
}

type Function = Arc<dyn Fn(Call) -> BoxFuture<Finished> + Send + Sync>;
type ActivityFunction = Arc<dyn Fn(ActivityCall) -> BoxFuture<Outcome> + Send + Sync>;

/// A door whose handlers are closures.
#[derive(Default)]
pub(crate) struct Script {
    functions: Mutex<HashMap<HandlerId, Function>>,
    activities: Mutex<HashMap<HandlerId, ActivityFunction>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    counts: HashMap<String, usize>,
    lines: Vec<(Level, String)>,
    cancelled: Vec<CallId>,
    forgotten: Vec<u64>,
    is_ready: bool,
    steps: usize,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
    }

    fn see(&self, seen: Seen) {
        self.change(|state| {
            *state.counts.entry(seen.handler.clone()).or_default() += 1;
            state.seen.push(seen);
        });
    }

    /// Waits until something is so, in paused time no longer than an hour.
    pub(crate) async fn until<T>(&self, what: &str, check: impl Fn(&Self) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = check(self) {
                    return found;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(3600), waiting).await {
            Ok(found) => found,
            Err(_) => panic!("{what} has not come; calls: {:#?}\nlines: {:#?}", self.seen(), self.lines()),
        }
    }

    /// Waits for so many calls of a handler.
    pub(crate) async fn calls(&self, handler: &str, number: usize) -> Vec<Seen> {
        self.until(&format!("call {number} of {handler}"), |script| {
            let count = script.state.lock().unwrap().counts.get(handler).copied().unwrap_or_default();
            (count >= number).then(|| script.seen_of(handler))
        })
        .await
    }

    /// Waits for a line of the log.
    pub(crate) async fn line(&self, part: &str) -> String {
        self.until(&format!("the line {part:?}"), |script| {
            script.lines().into_iter().find(|line| line.contains(part))
        })
        .await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(crate) fn seen_of(&self, handler: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.handler == handler).collect()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.state.lock().unwrap().lines.iter().map(|(level, text)| format!("{level:?} {text}")).collect()
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.state.lock().unwrap().cancelled.len()
    }

    pub(crate) fn forgotten(&self) -> Vec<u64> {
        self.state.lock().unwrap().forgotten.clone()
    }

    pub(crate) fn steps(&self) -> usize {
        self.state.lock().unwrap().steps
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state.lock().unwrap().is_ready
    }
}

impl Door for Script {
    fn call(&self, _resource: &Arc<Resource>, call: Call) -> BoxFuture<Finished> {
        let function = self.functions.lock().unwrap()[&call.handler.id].clone();
        let object = &call.cause.object;
        let seen = Seen {
            handler: call.handler.id.to_string(),
            object: object.name().to_owned(),
            reason: call.cause.reason,
            event_type: call.cause.event_type,
            version: object.resource_version().unwrap_or_default().to_owned(),
            retry: call.retry,
        };
        self.see(seen);
        function(call)
    }

    fn cancel(&self, _object_id: u64, call: CallId) {
        self.change(|state| state.cancelled.push(call));
    }

    fn call_activity(&self, call: ActivityCall) -> BoxFuture<Outcome> {
        let function = self.activities.lock().unwrap()[&call.handler.id].clone();
        let seen = Seen {
            handler: call.handler.id.to_string(),
            object: call.activity.to_owned(),
            reason: None,
            event_type: None,
            version: String::new(),
            retry: call.retry,
        };
        self.see(seen);
        function(call)
    }

    fn step(&self, step: Step) -> BoxFuture<()> {
        self.change(|state| state.steps += 1);
        Box::pin(async move { step() })
    }

    fn wants(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, record: Record) {
        let (level, text) = match record {
            Record::Object { object, log } => (log.level, format!("[{}] {}", object.name(), log.line)),
            Record::Activity { log, .. } => (log.level, log.line.to_string()),
            Record::Engine { level, text, .. } => (level, text),
        };
        self.change(|state| state.lines.push((level, text)));
    }

    fn forget(&self, object_id: u64) {
        self.change(|state| state.forgotten.push(object_id));
    }

    fn ready(&self) {
        self.change(|state| state.is_ready = true);
    }
}

/// The end of a call that has done nothing more.
pub(crate) fn finished(outcome: Outcome, patch: Patch) -> Finished {
    Finished { outcome, patch, subrefs: Vec::new() }
}

/// A handler that succeeds at once.
pub(crate) fn succeeds() -> impl Fn(Call) -> BoxFuture<Finished> + Send + Sync + 'static {
    |call| Box::pin(async move { finished(Outcome::Succeeded(None), call.patch) })
}

/// An operator being put together.
pub(crate) struct Setup {
    pub(crate) script: Arc<Script>,
    pub(crate) operator: Operator,
    functions: u64,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let script = Arc::new(Script::default());
        let storages = Storages {
            progress: Arc::new(SmartProgressStorage::default()),
            diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
        };
        let operator = Operator::new(script.clone(), storages);
        operator.handle().settings().update(|settings| settings.posting.enabled = false);
        Self { script, operator, functions: 0 }
    }

    fn handler(&mut self, id: &str, trigger: Trigger) -> Arc<Handler> {
        self.functions += 1;
        Arc::new(Handler {
            id: id.into(),
            trigger,
            filters: Filters::default(),
            options: Options::default(),
            function: self.functions,
            needs: Needs::ALL,
        })
    }

    /// A handler of the resources of a name.
    pub(crate) fn on(
        &mut self,
        resource: &str,
        id: &str,
        trigger: Trigger,
        function: impl Fn(Call) -> BoxFuture<Finished> + Send + Sync + 'static,
    ) -> &mut Self {
        let selector = Selector::parse(&[Positional::Text(resource.into())], Keywords::default()).unwrap();
        let handler = self.handler(id, trigger);
        self.script.functions.lock().unwrap().insert(handler.id.clone(), Arc::new(function));
        self.operator.registry.resources.push((selector, handler));
        self
    }

    pub(crate) fn activity(
        &mut self,
        activity: Activity,
        id: &str,
        function: impl Fn(ActivityCall) -> BoxFuture<Outcome> + Send + Sync + 'static,
    ) -> &mut Self {
        let handler = self.handler(id, Trigger::Event);
        self.script.activities.lock().unwrap().insert(handler.id.clone(), Arc::new(function));
        self.operator.registry.activities.push((activity, handler));
        self
    }

    /// Runs it against the cluster.
    pub(crate) fn run(mut self, cluster: &DevCluster) -> Running {
        let requests = Requests::default();
        self.operator.connection =
            Connection::service(Recording { inner: cluster.service(), requests: requests.clone() });
        self.run_as_is(requests)
    }

    pub(crate) fn run_as_is(self, requests: Requests) -> Running {
        let stop = CancellationToken::new();
        let handle = self.operator.handle();
        let task = tokio::spawn(self.operator.run(stop.clone()));
        Running { script: self.script, stop, handle, task, requests }
    }
}

/// An operator that runs.
pub(crate) struct Running {
    pub(crate) script: Arc<Script>,
    pub(crate) stop: CancellationToken,
    pub(crate) handle: OperatorHandle,
    pub(crate) task: JoinHandle<Result<(), RunError>>,
    pub(crate) requests: Requests,
}

impl Running {
    /// Stops it and waits for its end.
    pub(crate) async fn stop(self) -> Result<(), RunError> {
        self.stop.cancel();
        self.end().await
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> Result<(), RunError> {
        match tokio::time::timeout(Duration::from_secs(3600), self.task).await {
            Ok(ended) => ended.unwrap(),
            Err(_) => panic!("it does not end; lines: {:#?}", self.script.lines()),
        }
    }
}

/// The requests so far: `GET /apis?…`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Those whose text begins so.
    pub(crate) fn of(&self, beginning: &str) -> Vec<String> {
        self.all().into_iter().filter(|request| request.starts_with(beginning)).collect()
    }
}

/// A service that remembers what it is asked.
#[derive(Clone)]
struct Recording<S> {
    inner: S,
    requests: Requests,
}

impl<S, B> Service<Request<Body>> for Recording<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let text = format!("{} {}", request.method(), request.uri());
        self.requests.0.lock().unwrap().push(text);
        Box::pin(self.inner.call(request))
    }
}
