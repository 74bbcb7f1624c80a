//! The shortest way through the machine, step by step. Whole courses are in `tests/golden_cycles.rs`.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    filter::Filters,
    handler::{Needs, Options, Trigger},
    lifecycle,
    resource::Resource,
    settings::Settings,
    storage::{AnnotationsDiffBaseStorage, SmartProgressStorage},
};

fn plan(triggers: &[(&str, Trigger)]) -> Arc<Plan> {
    let mut settings = Settings::default();
    settings.posting.progress = false;
    Arc::new(Plan {
        resource: Arc::new(Resource::default()),
        handlers: triggers.iter().map(|(id, trigger)| Arc::new(handler(id, *trigger))).collect(),
        extra_fields: Vec::new(),
        progress: Arc::new(SmartProgressStorage::default()),
        diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
        lifecycle: lifecycle::asap(),
        settings: Arc::new(settings),
    })
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

fn object(version: &str, rest: &Value) -> Object {
    let mut body = json!({"metadata": {"name": "ex1", "resourceVersion": version}, "spec": {"f": 1}});
    crate::patch::merge(&mut body, rest);
    Object::new(body)
}

fn event(object: &Object) -> Input {
    Input::Event { event_type: Some(EventType::Added), object: object.clone(), more_queued: false }
}

fn lines(outputs: &[Output]) -> Vec<String> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Log(log) => Some(log.line.to_string()),
            _ => None,
        })
        .collect()
}

fn call(outputs: &[Output]) -> &Call {
    outputs
        .iter()
        .find_map(|output| match output {
            Output::Call(call) => Some(call),
            _ => None,
        })
        .expect("a call")
}

fn request(outputs: &[Output]) -> &Request {
    outputs
        .iter()
        .find_map(|output| match output {
            Output::Request(request) => Some(request),
            _ => None,
        })
        .expect("a request")
}

/// W-CYC, W-PAT-001, W-CON-003: an object is created, handled, written, and seen again.
#[test]
fn a_new_object_is_handled_and_written_once() {
    let plan = plan(&[("c", Trigger::Create)]);
    let now = Timestamp::UNIX_EPOCH;
    let mut machine = Machine::new(1);
    let first = object("101", &json!({}));

    let outputs = machine.step(event(&first), now, &plan).unwrap();
    assert_eq!(call(&outputs).cause.reason, Some(crate::reason::Reason::Create));
    assert!(!machine.accepts_events());
    let finished = Input::Finished {
        call: call(&outputs).id,
        outcome: Outcome::Succeeded(Some(json!("done"))),
        patch: Patch::default(),
        subrefs: Vec::new(),
    };

    let outputs = machine.step(finished, now, &plan).unwrap();
    let body = json!({
        "metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": "{\"spec\":{\"f\":1}}\n"}},
        "status": {"c": "done"},
    });
    assert_eq!(request(&outputs).body, PatchBody::Merge(body.clone()));
    assert_eq!(
        lines(&outputs)[..2],
        ["Handler 'c' succeeded.".to_owned(), "Creation is processed: 1 succeeded; 0 failed.".to_owned()]
    );
    let second = object("102", &body);
    let answered = Input::Answered { request: request(&outputs).id, answer: Answer::Object(second.clone()) };

    assert!(machine.step(answered, now, &plan).unwrap().is_empty());
    assert!(machine.accepts_events());
    let outputs = machine.step(event(&second), now, &plan).unwrap();
    assert_eq!(
        lines(&outputs),
        [
            "Something has changed, but we are not interested (the essence is the same).",
            "Handling cycle is finished, waiting for new changes."
        ]
    );
}

/// W-CON-002: an event from before the own write does not make the handler run again.
#[test]
fn an_older_event_waits_for_the_own_write() {
    let plan = plan(&[("c", Trigger::Create)]);
    let now = Timestamp::UNIX_EPOCH;
    let mut machine = Machine::new(1);
    let outputs = machine.step(event(&object("101", &json!({}))), now, &plan).unwrap();
    let finished = Input::Finished {
        call: call(&outputs).id,
        outcome: Outcome::Succeeded(None),
        patch: Patch::default(),
        subrefs: Vec::new(),
    };
    let outputs = machine.step(finished, now, &plan).unwrap();
    let answer = Answer::Object(object("103", &json!({})));
    machine.step(Input::Answered { request: request(&outputs).id, answer }, now, &plan).unwrap();

    let outputs = machine.step(event(&object("102", &json!({}))), now, &plan).unwrap();
    let deadline = now + Duration::from_secs(5);
    assert!(matches!(outputs.as_slice(), [Output::WakeAt(time)] if *time == deadline), "{outputs:?}");
}
