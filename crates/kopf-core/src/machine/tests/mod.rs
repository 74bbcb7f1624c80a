//! Single ways through the machine, step by step. Whole courses are in `tests/golden_cycles.rs`, laws in `tests/simulation.rs`.

mod consistency;
mod cycles;
mod deletions;
mod subhandlers;
mod ways_back;
mod writing;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{completion::digest, *};
use crate::{
    field::FieldPath,
    filter::{Filters, Predicate},
    handler::{Needs, Options, Trigger},
    lifecycle,
    object::{Head, Received},
    resource::Resource,
    settings::Settings,
    storage::{
        AnnotationsDiffBaseStorage, MultiProgressStorage, SmartProgressStorage, StatusProgressStorage,
    },
    subcycle::Subcycle,
};

const HANDLED: &str = "{\"spec\":{\"f\":1}}\n";

/// A machine with its plan and its clock.
struct Bench {
    plan: Arc<Plan>,
    machine: Machine,
    now: Timestamp,
}

impl Bench {
    fn new(handlers: &[(&str, Trigger)]) -> Self {
        Self::with(handlers.iter().map(|(id, trigger)| handler(id, *trigger)).collect(), |_| {})
    }

    fn with(handlers: Vec<Handler>, change: impl Fn(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let plan = Plan {
            resource: Arc::new(Resource::default()),
            handlers: handlers.into_iter().map(Arc::new).collect(),
            extra_fields: Vec::new(),
            progress: Arc::new(SmartProgressStorage::default()),
            diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
            lifecycle: lifecycle::asap(),
            settings: Arc::new(settings),
        };
        Self { plan: Arc::new(plan), machine: Machine::new(1), now: Timestamp::UNIX_EPOCH }
    }

    fn step(&mut self, input: Input) -> Outputs {
        match self.machine.step(input, self.now, &self.plan) {
            Ok(outputs) => Outputs(outputs),
            Err(error) => Outputs(self.machine.fail(error, self.now, &self.plan)),
        }
    }

    fn event(&mut self, object: &Object) -> Outputs {
        self.step(Input::Event {
            event_type: Some(EventType::Modified),
            object: object.clone(),
            more_queued: false,
        })
    }

    fn finish(&mut self, outputs: &Outputs, outcome: Outcome) -> Outputs {
        self.finish_with(outputs, outcome, json!({}))
    }

    /// Finishes a call that has put this into the patch.
    fn finish_with(&mut self, outputs: &Outputs, outcome: Outcome, merge: Value) -> Outputs {
        let Value::Object(merge) = merge else { panic!("no mapping") };
        let patch = Patch { merge, transforms: Vec::new() };
        self.step(Input::Finished { call: outputs.call().id, outcome, patch, subrefs: Vec::new() })
    }

    fn answer(&mut self, outputs: &Outputs, answer: Answer) -> Outputs {
        self.step(Input::Answered { request: outputs.request().id, answer })
    }

    fn after(&mut self, seconds: u64, input: Input) -> Outputs {
        self.now += Duration::from_secs(seconds);
        self.step(input)
    }
}

#[derive(Debug)]
struct Outputs(Vec<Output>);

impl Outputs {
    fn lines(&self) -> Vec<String> {
        let line = |output: &Output| match output {
            Output::Log(log) => Some(log.line.to_string()),
            _ => None,
        };
        self.0.iter().filter_map(line).collect()
    }

    fn posts(&self) -> Vec<&str> {
        let posts = self.0.iter().filter_map(|output| match output {
            Output::Post(post) => Some(post.message.as_str()),
            _ => None,
        });
        posts.collect()
    }

    fn call(&self) -> &Call {
        self.calls().next().unwrap_or_else(|| panic!("no call in {self:?}"))
    }

    fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter().filter_map(|output| match output {
            Output::Call(call) => Some(call),
            _ => None,
        })
    }

    fn request(&self) -> &Request {
        let request = self.0.iter().find_map(|output| match output {
            Output::Request(request) => Some(request),
            _ => None,
        });
        request.unwrap_or_else(|| panic!("no request in {self:?}"))
    }

    fn body(&self) -> Value {
        match &self.request().body {
            PatchBody::Merge(body) => Value::clone(body),
            PatchBody::Json(operations) => operations.to_vec().into(),
        }
    }

    fn is_quiet(&self) -> bool {
        !self.0.iter().any(|output| matches!(output, Output::Call(_) | Output::Request(_)))
    }
}

fn handler(id: &str, trigger: Trigger) -> Handler {
    Handler {
        id: id.into(),
        trigger,
        filters: Filters::default(),
        options: Options::default(),
        function: 1,
        needs: Needs::ALL,
    }
}

/// An object that was never handled, with changes.
fn object(version: &str, rest: &Value) -> Object {
    let mut body = json!({"metadata": {"name": "ex1", "resourceVersion": version}, "spec": {"f": 1}});
    crate::patch::merge(&mut body, rest);
    Object::new(body)
}

/// The same, handled.
fn handled(version: &str, rest: &Value) -> Object {
    let mut base =
        json!({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": HANDLED}}});
    crate::patch::merge(&mut base, rest);
    object(version, &base)
}

fn marked() -> Value {
    json!({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": HANDLED}}})
}

fn unknown() -> Answer {
    Answer::Unknown(ErrorInfo::new("connection lost"))
}

fn rejected(status: u16) -> Answer {
    Answer::Rejected { status, error: ErrorInfo::new("spec.x: must be a number") }
}

fn with_version(body: &Value, version: &str) -> Object {
    let mut body = body.clone();
    body["metadata"]["resourceVersion"] = version.into();
    Object::new(body)
}

/// Accepts what is sent, and gives the object as it is then.
fn accept(bench: &mut Bench, outputs: &Outputs, object: &Object, version: &str) -> Object {
    let mut body = object.body().clone();
    match &outputs.request().body {
        PatchBody::Merge(change) => crate::patch::merge(&mut body, change),
        PatchBody::Json(operations) => crate::json_patch::apply(&mut body, operations).unwrap(),
    }
    let object = with_version(&body, version);
    bench.answer(outputs, Answer::Object(object.clone()));
    object
}

fn temporary() -> Outcome {
    Outcome::Temporary { error: ErrorInfo::new("wait"), delay: None }
}
