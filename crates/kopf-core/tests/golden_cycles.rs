//! Plays whole courses of one object, and compares what is seen with what was seen of upstream (`contract/golden/cycles.json`).

mod golden;
mod simulated;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use golden::Case;
use jiff::{SignedDuration, Timestamp};
use kopf_core::{
    field::FieldPath,
    key::Prefix,
    lifecycle::{Builtin, Lifecycle},
    log::{Level, Line, Log},
    machine::{Answer, Call, Input, Machine, Output, PatchBody, Request},
    plan::Plan,
    reason::EventType,
    resource::Resource,
    settings::Settings,
    storage::{
        AnnotationsDiffBaseStorage, AnnotationsProgressStorage, DiffBaseStorage, ProgressStorage,
        SmartProgressStorage, StatusDiffBaseStorage, StatusProgressStorage,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use simulated::{
    script::{Behaviour, Run, Script, Scripts, Trace},
    server::{Event, Server, rejected},
};

/// Courses with daemons or timers, which the machine does not run yet. May only shrink.
const NOT_PLAYED: [&str; 10] = [
    "daemon",
    "daemon-and-delete-handler",
    "daemon-exits-on-its-own",
    "daemon-filter-mismatch-and-back",
    "daemon-retried",
    "daemon-slow-exit-polling",
    "daemon-slow-exit-with-backoff-and-cancellation",
    "timer",
    "timer-error-backoff",
    "timer-idle",
];

#[derive(Deserialize)]
struct Setup {
    handlers: Vec<Script>,
    lifecycle: String,
    settings: Map<String, Value>,
    progress_storage: Option<(String, Map<String, Value>)>,
    diffbase_storage: Option<(String, Map<String, Value>)>,
    status_is_subresource: bool,
    kind: String,
    initial_object: Option<Value>,
    steps: VecDeque<Step>,
    faults: Vec<Fault>,
    watch_echo: bool,
    simulated_until: f64,
}

#[derive(Clone, Deserialize)]
struct Step {
    at: f64,
    #[serde(rename = "do")]
    action: String,
    object: Option<Value>,
    patch: Option<Value>,
}

#[derive(Deserialize)]
struct Fault {
    nth: usize,
    status: u16,
    then: Option<String>,
}

impl Setup {
    /// Whether all its handlers are of kinds that the machine runs.
    fn is_playable(&self) -> bool {
        self.handlers
            .iter()
            .all(|script| script.decorator.split('+').all(|decorator| decorator.starts_with("on.")))
    }
}

/// W-CYC, W-EXE, W-PAT, W-TCH, W-CON, W-FIN, W-RST, W-LOG; DEC-3 for the overrides.
#[test]
fn courses_are_those_of_upstream() {
    golden::check_by(
        "cycles",
        "",
        |case| {
            let setup: Setup = serde_json::from_value(case.input.clone()).unwrap();
            if !setup.is_playable() {
                assert!(NOT_PLAYED.contains(&case.id.as_str()), "{} is not played, and not listed", case.id);
                return Ok(case.output.clone());
            }
            assert!(!NOT_PLAYED.contains(&case.id.as_str()), "{} can be played: shorten the list", case.id);
            Ok(Player::new(setup).play())
        },
        is_same_course,
    );
}

/// Says at which entry two courses part.
#[expect(clippy::print_stdout, reason = "shown only if the test fails")]
fn is_same_course(case: &Case, expected: &Value, ours: &Value) -> bool {
    let entries = |course: &Value| course["transcript"].as_array().cloned().unwrap_or_default();
    let (theirs, mine) = (entries(expected), entries(ours));
    let length = theirs.len().max(mine.len());
    let parting = (0..length).find(|&i| {
        !theirs.get(i).zip(mine.get(i)).is_some_and(|(theirs, mine)| golden::is_same(theirs, mine))
    });
    if let Some(i) = parting {
        println!(
            "{} parts at {i}:\n  theirs {:?}\n  ours   {:?}",
            case.id,
            theirs.get(i).map(Value::to_string),
            mine.get(i).map(Value::to_string)
        );
    }
    golden::is_same(expected, ours)
}

/// Plays one course: the server, the stream, the clock, the handlers, and the machine in the middle.
struct Player {
    setup: Setup,
    plan: Arc<Plan>,
    server: Server,
    scripts: Scripts,
    machine: Machine,
    start: Timestamp,
    now: Timestamp,
    /// Events that the stream has shown, and the machine has not processed.
    queue: VecDeque<Event>,
    inputs: VecDeque<Input>,
    wake: Option<Timestamp>,
    /// A call that takes time.
    sleeping: Option<(Timestamp, Call, Behaviour)>,
    requests: usize,
    transcript: Vec<Value>,
}

impl Player {
    fn new(setup: Setup) -> Self {
        let (scripts, handlers) = Scripts::new(&setup.handlers);
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let api_version = if setup.kind == "ReplicaSet" { "apps/v1" } else { "kopf.dev/v1" };
        let mut settings = Settings::default();
        settings.posting.progress = false;
        for (name, value) in &setup.settings {
            assert_eq!(name, "persistence.consistency_timeout");
            settings.persistence.consistency_timeout = Duration::from_secs_f64(value.as_f64().unwrap());
        }
        let extra_fields: Vec<FieldPath> =
            handlers.iter().filter_map(|handler| handler.field().cloned()).collect();
        let plan = Plan {
            resource: Arc::new(Resource {
                subresources: if setup.status_is_subresource { vec!["status".into()] } else { vec![] },
                ..Resource::default()
            }),
            handlers,
            extra_fields,
            progress: progress_storage(setup.progress_storage.as_ref()),
            diff_base: diff_base_storage(setup.diffbase_storage.as_ref()),
            lifecycle: lifecycle(&setup.lifecycle),
            settings: Arc::new(settings),
        };
        Self {
            plan: Arc::new(plan),
            server: Server::new(api_version, &setup.kind, setup.status_is_subresource),
            scripts,
            machine: Machine::new(1),
            start,
            now: start,
            queue: VecDeque::new(),
            inputs: VecDeque::new(),
            wake: None,
            sleeping: None,
            requests: 0,
            transcript: Vec::new(),
            setup,
        }
    }

    fn play(mut self) -> Value {
        if let Some(object) = self.setup.initial_object.take() {
            let (_, object) = self.server.create(object);
            self.arrive((None, object));
        }
        loop {
            if let Some(input) = self.inputs.pop_front() {
                self.step(input);
            } else if self.machine.accepts_events() && !self.queue.is_empty() {
                self.process();
            } else if !self.advance() {
                break;
            }
        }
        let last = self.server.object().map_or(Value::Null, |object| object.body().clone());
        json!({"transcript": self.transcript, "final_object": last})
    }

    /// Goes to the next moment at which something happens; false at the end of the course.
    fn advance(&mut self) -> bool {
        let end = self.moment(self.setup.simulated_until);
        let step = self.setup.steps.front().map(|step| self.moment(step.at));
        let sleeping = self.sleeping.as_ref().map(|(until, ..)| *until);
        let Some(next) = [step, sleeping, self.wake].into_iter().flatten().min() else { return false };
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        if step == Some(next) {
            let step = self.setup.steps.pop_front().unwrap();
            self.change(&step);
        } else if sleeping == Some(next) {
            let (_, call, behaviour) = self.sleeping.take().unwrap();
            self.finish(&call, &behaviour);
        } else {
            self.wake = None;
            self.inputs.push_back(Input::Tick);
        }
        true
    }

    /// Somebody else changes the object.
    fn change(&mut self, step: &Step) {
        let mut entry = json!({"t": self.seconds(), "external": step.action});
        let event = match step.action.as_str() {
            "create" => {
                entry["object"] = step.object.clone().unwrap();
                Some(self.server.create(step.object.clone().unwrap()))
            }
            "merge" => {
                entry["patch"] = step.patch.clone().unwrap();
                self.server.merge(step.patch.as_ref().unwrap())
            }
            _ => self.server.delete(),
        };
        self.transcript.push(entry);
        if let Some(event) = event {
            self.arrive(event);
        }
    }

    fn arrive(&mut self, event: Event) {
        if let Some(version) = event.1.resource_version() {
            self.machine.observe(version);
        }
        self.queue.push_back(event);
    }

    /// Feeds the next event of the queue.
    fn process(&mut self) {
        let (event_type, object) = self.queue.pop_front().unwrap();
        let more_queued = !self.queue.is_empty();
        let version = object.resource_version().map(str::to_owned);
        let input = Input::Event { event_type, object, more_queued };
        let outputs = self.machine.step(input, self.now, &self.plan).unwrap();
        let entry = json!({
            "t": self.seconds(),
            "event": event_type.map(EventType::as_str),
            "resourceVersion": version,
            "awaiting_consistency": self.machine.expects_own_write(),
        });
        // The end of a sleep is logged before its cause is processed.
        let is_interruption =
            |output: &Output| matches!(output, Output::Log(Log { line: Line::SleepInterrupted(_), .. }));
        let interrupted = outputs.first().is_some_and(is_interruption);
        let mut outputs = VecDeque::from(outputs);
        if interrupted {
            let first = outputs.pop_front().unwrap();
            self.carry_out(first);
        }
        self.transcript.push(entry);
        outputs.into_iter().for_each(|output| self.carry_out(output));
    }

    fn step(&mut self, input: Input) {
        let outputs = match self.machine.step(input, self.now, &self.plan) {
            Ok(outputs) => outputs,
            Err(error) => self.machine.fail(error, self.now, &self.plan),
        };
        outputs.into_iter().for_each(|output| self.carry_out(output));
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Call(call) => self.call(call),
            Output::Request(request) => self.request(&request),
            Output::Log(log) => self.log(&log),
            Output::WakeAt(time) => self.wake = Some(time),
            Output::Forget => self.wake = None,
            Output::Cancel(_) | Output::Post(_) => panic!("{output:?}"),
        }
    }

    fn call(&mut self, call: Call) {
        self.note_call(&self.scripts.id(&call), &call);
        let behaviour = self.scripts.next(&call);
        match behaviour.sleep {
            Some(seconds) => {
                self.sleeping = Some((self.now + SignedDuration::from_secs_f64(seconds), call, behaviour))
            }
            None => self.finish(&call, &behaviour),
        }
    }

    fn note_call(&mut self, id: &str, call: &Call) {
        let mut entry = json!({"t": self.seconds(), "call": id, "retry": call.retry});
        match call.cause.reason {
            Some(reason) => entry["reason"] = reason.as_str().into(),
            None => entry["type"] = call.cause.event_type.map(EventType::as_str).into(),
        }
        let mut items: Vec<_> = call.cause.diff.0.iter().collect();
        items.sort_by_key(|item| (item.path.clone(), item.op));
        if !items.is_empty() {
            let item = |item: &&kopf_core::diff::DiffItem| {
                json!([item.op.as_str(), item.path.0, item.old, item.new])
            };
            entry["diff"] = items.iter().map(item).collect();
        }
        self.transcript.push(entry);
    }

    fn finish(&mut self, call: &Call, behaviour: &Behaviour) {
        let Run { outcome, patch, subrefs, traces, .. } =
            self.scripts.run(call, behaviour, &self.plan.clone(), self.now);
        for trace in traces {
            match trace {
                Trace::Log(log) => self.log(&log),
                Trace::Call(id, call) => self.note_call(&id, &call),
            }
        }
        self.inputs.push_back(Input::Finished { call: call.id, outcome, patch, subrefs });
    }

    fn request(&mut self, request: &Request) {
        self.requests += 1;
        let fault = self.setup.faults.iter().find(|fault| fault.nth == self.requests);
        let (answer, status, event) = match fault {
            Some(Fault { status, then, .. }) => {
                let event = then.as_ref().and_then(|_| self.server.vanish());
                (rejected(*status), *status, event)
            }
            None => {
                let (answer, event) = self.server.patch(request);
                let status = match &answer {
                    Answer::Object(_) => 200,
                    Answer::Gone => 404,
                    Answer::Rejected { status, .. } => *status,
                    Answer::Conflict(_) | Answer::Unknown(_) => 409,
                };
                (answer, status, event)
            }
        };
        let plural = if self.setup.kind == "ReplicaSet" {
            "apps/v1/namespaces/ns1/replicasets"
        } else {
            "kopf.dev/v1/namespaces/ns1/kopfexamples"
        };
        let suffix = request.subresource.map(|name| format!("/{name}")).unwrap_or_default();
        let (content_type, payload) = match &request.body {
            PatchBody::Merge(body) => ("application/merge-patch+json", Value::clone(body)),
            PatchBody::Json(operations) => ("application/json-patch+json", operations.to_vec().into()),
        };
        self.transcript.push(json!({
            "t": self.seconds(),
            "request": "PATCH",
            "path": format!("/apis/{plural}/ex1{suffix}"),
            "content_type": content_type,
            "payload": payload,
            "response": status,
        }));
        if let Some(event) =
            event.filter(|(event_type, _)| self.setup.watch_echo || *event_type == Some(EventType::Deleted))
        {
            self.arrive(event);
        }
        self.inputs.push_back(Input::Answered { request: request.id, answer });
    }

    fn log(&mut self, log: &Log) {
        let level = match log.level {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        };
        self.transcript.push(json!({"t": self.seconds(), "log": level, "message": elided(&log.line)}));
    }

    fn moment(&self, seconds: f64) -> Timestamp {
        self.start + SignedDuration::from_secs_f64(seconds)
    }

    fn seconds(&self) -> f64 {
        self.now.duration_since(self.start).as_secs_f64()
    }
}

/// The text of a line, without the bodies in it, as in the recorded courses.
fn elided(line: &Line) -> String {
    let text = line.to_string();
    let cut = |mark: &str, rest: &str| text.split_once(mark).map(|(head, _)| format!("{head}{mark}{rest}"));
    match line {
        Line::InProgress(..) => cut("is in progress: ", "{...}"),
        Line::MergePatching { .. } | Line::JsonPatching { .. } => cut("with: ", "..."),
        Line::PatchConflict { .. } => cut("Remaining: ", "..."),
        _ => None,
    }
    .unwrap_or(text)
}

fn lifecycle(name: &str) -> Arc<dyn Lifecycle> {
    Arc::new(match name {
        "asap (default)" => Builtin::Asap,
        "all_at_once" => Builtin::AllAtOnce,
        "one_by_one" => Builtin::OneByOne,
        other => panic!("no such lifecycle: {other}"),
    })
}

fn progress_storage(described: Option<&(String, Map<String, Value>)>) -> Arc<dyn ProgressStorage> {
    let Some((class, options)) = described else { return Arc::new(SmartProgressStorage::default()) };
    let defaults = AnnotationsProgressStorage::default();
    match class.as_str() {
        "Annotations" => Arc::new(AnnotationsProgressStorage {
            prefix: prefix(options).unwrap_or(defaults.prefix),
            verbose: options.get("verbose").map_or(defaults.verbose, |value| value == true),
            v1: options.get("v1").map_or(defaults.v1, |value| value == true),
            ..defaults
        }),
        _ => Arc::new(StatusProgressStorage::named(options["name"].as_str().unwrap())),
    }
}

fn diff_base_storage(described: Option<&(String, Map<String, Value>)>) -> Arc<dyn DiffBaseStorage> {
    let defaults = AnnotationsDiffBaseStorage::default();
    match described {
        None => Arc::new(defaults),
        Some((class, options)) if class == "Annotations" => Arc::new(AnnotationsDiffBaseStorage {
            prefix: prefix(options).unwrap_or(defaults.prefix.clone()),
            ..defaults
        }),
        Some((_, options)) => Arc::new(StatusDiffBaseStorage::named(options["name"].as_str().unwrap())),
    }
}

fn prefix(options: &Map<String, Value>) -> Option<Prefix> {
    options.get("prefix").and_then(Value::as_str).map(|prefix| Prefix::new(prefix).unwrap())
}
