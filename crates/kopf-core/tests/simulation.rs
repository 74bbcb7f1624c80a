//! Thousands of random courses: handlers that fail, changes at any moment, late events, lost answers, crashes. Whatever
//! happens, the laws hold (DEC-1):
//!
//! - no handler runs again for an essence for which it has finished, once the server has accepted that;
//! - no change is lost: in the end the object is handled as it is, and its handlers have seen it so;
//! - nothing is left behind in the object, and no object is stuck; a deleted object goes.
//!
//! `SIMULATION_SEEDS=100000` plays more courses, `SIMULATION_FIRST=20000` others; `SIMULATION_SEED=17` plays one and shows it.

mod simulated;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kopf_core::{
    cause::Cause,
    error::ErrorInfo,
    filter::Predicate,
    handler::{Handler, HandlerId, Trigger},
    lifecycle::Builtin,
    log::{Ending, Line, Log},
    machine::{Answer, Call, Input, Machine, Output, PatchBody, Request},
    object::Object,
    patch::Patch,
    plan::Plan,
    reason::{EventType, Reason},
    resource::Resource,
    select,
    settings::Settings,
    storage::{AnnotationsDiffBaseStorage, ProgressStorage, RawRecord, SmartProgressStorage},
};
use serde_json::{Map, Value, json};
use simulated::{
    script::{Behaviour, Run, Script, Scripts, Trace},
    server::{Event, Server, rejected},
};

/// As many as take a few seconds without optimisation.
const DEFAULT_SEEDS: u64 = 800;
/// Others change the object, and things fail, for so long; then there is calm.
const STORM: SignedDuration = SignedDuration::from_secs(120);
/// After the storm everything is at rest in less than this.
const CALM: SignedDuration = SignedDuration::from_hours(6);
/// A course of more steps goes in circles.
const MOST_STEPS: usize = 5_000;

#[test]
fn the_laws_hold_whatever_happens() {
    let variable = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    if let Some(seed) = variable("SIMULATION_SEED") {
        let (log, result) = World::new(seed, true).play();
        panic!("{log}\n{}", result.err().unwrap_or_else(|| "the laws hold".into()));
    }
    let first = variable("SIMULATION_FIRST").unwrap_or(0);
    for seed in first..first + variable("SIMULATION_SEEDS").unwrap_or(DEFAULT_SEEDS) {
        let (_, result) = World::new(seed, false).play();
        if let Err(violation) = result {
            panic!(
                "seed {seed}: {violation}\n\
                 see it by: SIMULATION_SEED={seed} cargo test -p kopf-core --test simulation"
            );
        }
    }
}

/// What happens at some time.
#[derive(Debug)]
enum Happening {
    /// Somebody changes the object.
    Change,
    /// An event arrives by the stream of a process.
    Arrive(u64, Event),
    /// A process is told.
    Tell(u64, Input),
    /// A request of a process about an object reaches the server, with the work that is finished if it is accepted.
    Serve(u64, String, Request, Vec<Ended>),
    /// A new process begins.
    Start,
    /// A process is asked to stop.
    Stop,
    /// A stopped process is at its end.
    Exit(u64),
}

/// The shortest time that anything takes.
const MOMENT: SignedDuration = SignedDuration::from_millis(1);

/// An essence without what handlers themselves change: that is no news to the others of the same cycle (DEC-2 (e)).
fn without_own(essence: &Value) -> Value {
    let mut essence = essence.clone();
    essence["spec"].as_object_mut().and_then(|spec| spec.remove("h"));
    essence
}

/// A handler that has succeeded or failed for good.
#[derive(Debug)]
struct Ended {
    id: String,
    /// What it has worked on, and the essence it has seen; none if a limit was hit before the call.
    work: Option<(String, Option<Value>)>,
}

struct World {
    random: Random,
    log: String,
    plan: Arc<Plan>,
    scripts: Scripts,
    server: Server,
    start: Timestamp,
    now: Timestamp,
    happenings: Vec<(Timestamp, u64, Happening)>,
    sequence: u64,
    /// The number of the running process. Whatever was meant for another is lost.
    process: u64,
    is_running: bool,
    machine: Option<Machine>,
    /// Whose machine it is.
    uid: String,
    queue: VecDeque<Event>,
    wake: Option<Timestamp>,
    /// The stream keeps its order: nothing arrives before this.
    stream_at: Timestamp,
    coalesces: bool,
    /// Essences by version, numbered.
    epochs: BTreeMap<String, u64>,
    epoch: u64,
    essence: Option<Value>,
    /// How many essences were stored as handled since the object was created.
    bases: usize,
    base: Option<Value>,
    /// What handlers are working on: by id, with the essence they see.
    working: BTreeMap<String, (String, Option<Value>)>,
    /// Work that has ended, and was not accepted yet.
    ended: Vec<Ended>,
    /// Work that is never to be done again.
    finished: BTreeSet<String>,
    /// The last essence that each handler has finished with, as far as the server has accepted it. None: a limit was hit.
    seen: BTreeMap<String, Option<Value>>,
    violation: Option<String>,
    /// The course is written down.
    shows: bool,
    calm: Arc<AtomicBool>,
}

impl World {
    fn new(seed: u64, shows: bool) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995);
        let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let scripts = random_scripts(&mut random);
        let (scripts, handlers) = Scripts::new(&scripts);
        let coalesces =
            random.chance(50) && !handlers.iter().any(|handler| handler.trigger == Trigger::Event);
        let calm = Arc::new(AtomicBool::new(false));
        let plan = random_plan(&mut random, handlers, &calm);
        let separate = plan.resource.has_subresource("status");
        let mut world = Self {
            random,
            log: String::new(),
            plan: Arc::new(plan),
            scripts,
            server: Server::new("kopf.dev/v1", "KopfExample", separate),
            start,
            now: start,
            happenings: Vec::new(),
            sequence: 0,
            process: 0,
            is_running: false,
            machine: None,
            uid: String::new(),
            queue: VecDeque::new(),
            wake: None,
            stream_at: start,
            coalesces,
            epochs: BTreeMap::new(),
            epoch: 0,
            essence: None,
            bases: 0,
            base: None,
            working: BTreeMap::new(),
            ended: Vec::new(),
            finished: BTreeSet::new(),
            seen: BTreeMap::new(),
            violation: None,
            shows,
            calm,
        };
        world.schedule(SignedDuration::ZERO, Happening::Start);
        for _ in 0..world.random.below(8) + 1 {
            let at = world.random.millis(STORM);
            world.schedule(at, Happening::Change);
        }
        if world.random.chance(30) {
            let at = world.random.millis(STORM);
            world.schedule(at, Happening::Stop);
        }
        world
    }

    fn play(mut self) -> (String, Result<(), String>) {
        let mut steps = 0;
        while self.violation.is_none() {
            steps += 1;
            if steps > MOST_STEPS {
                self.violation = Some(format!("no rest after {MOST_STEPS} steps"));
            } else if self.now.duration_since(self.start) > CALM {
                self.violation = Some("no rest after the calm".into());
            } else if self.can_process() {
                self.process_event();
            } else if !self.advance() {
                break;
            }
        }
        let result = match self.violation.take() {
            Some(violation) => Err(violation),
            None => self.check_end(),
        };
        (self.log, result)
    }

    fn advance(&mut self) -> bool {
        let next = self.happenings.iter().enumerate().min_by_key(|(_, (at, sequence, _))| (*at, *sequence));
        let next = next.map(|(position, (at, ..))| (position, *at));
        match (next, self.wake) {
            (None, None) => return false,
            (happening, Some(wake)) if happening.is_none_or(|(_, at)| wake < at) => {
                self.now = self.now.max(wake);
                self.wake = None;
                self.tell(Input::Tick);
            }
            (None, Some(_)) => {}
            (Some((position, at)), _) => {
                self.now = self.now.max(at);
                self.calm.store(self.is_calm(), Ordering::Relaxed);
                let (_, _, happening) = self.happenings.swap_remove(position);
                self.happen(happening);
            }
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Change => self.change(),
            Happening::Arrive(process, event) if process == self.process => self.arrive(event),
            Happening::Tell(process, input) if process == self.process => self.tell(input),
            Happening::Arrive(..) | Happening::Tell(..) => {}
            Happening::Serve(process, uid, request, carried) => self.serve(process, &uid, &request, carried),
            Happening::Start => self.start(),
            Happening::Stop => {
                self.note("stop");
                let grace = self.random.millis(SignedDuration::from_secs(10));
                self.schedule(grace, Happening::Exit(self.process));
                self.tell(Input::Stop);
            }
            Happening::Exit(process) if process == self.process => self.crash(),
            Happening::Exit(_) => {}
        }
    }

    /// A new process lists the object.
    fn start(&mut self) {
        self.process += 1;
        self.is_running = true;
        self.note(&format!("process {} starts", self.process));
        self.machine = None;
        self.queue.clear();
        self.wake = None;
        self.ended.clear();
        self.working.clear();
        self.stream_at = self.now;
        if let Some(object) = self.server.object() {
            self.schedule(SignedDuration::ZERO, Happening::Arrive(self.process, (None, object)));
        }
    }

    /// Everything of the process is lost: what it knew, what it was to be told. The next one starts a little later.
    fn crash(&mut self) {
        self.note("crash");
        self.is_running = false;
        self.process += 1;
        self.machine = None;
        self.queue.clear();
        self.wake = None;
        self.ended.clear();
        self.working.clear();
        let pause = self.random.millis(SignedDuration::from_secs(10));
        self.schedule(pause, Happening::Start);
    }

    /// Somebody else changes the object.
    fn change(&mut self) {
        let value = self.random.below(3);
        let event = if self.server.object().is_none() {
            self.note("others create");
            Some(self.server.create(json!({"spec": {"f": value}})))
        } else {
            let change = match self.random.below(10) {
                0..5 => json!({"spec": {"f": value}}),
                5 => json!({"spec": {"g": value}}),
                6 => json!({"metadata": {"labels": {"l": value.to_string()}}}),
                7 => json!({"status": {"x": value}}),
                8 => json!({"metadata": {"annotations": {"note": value.to_string()}}}),
                _ => {
                    self.note("others delete");
                    let event = self.server.delete();
                    self.stored(event);
                    return;
                }
            };
            self.note(&format!("others merge {change}"));
            self.server.merge(&change)
        };
        self.stored(event);
    }

    /// The server has made a new version: it is numbered, and its event goes out.
    fn stored(&mut self, event: Option<Event>) {
        let Some(event) = event else { return };
        let object = &event.1;
        let base = self.plan.diff_base.fetch(object).unwrap();
        if event.0 == Some(EventType::Added) {
            (self.bases, self.base) = (0, None);
            self.seen.clear();
        }
        if base != self.base {
            self.bases += 1;
            self.base = base;
        }
        let essence = self.essence_of(object);
        if self.essence.as_ref() != Some(&essence) {
            self.epoch += 1;
            self.essence = Some(essence);
        }
        self.epochs.insert(object.resource_version().unwrap().to_owned(), self.epoch);
        let latency = match self.random.below(20) {
            0 if !self.is_calm() => self.random.millis(SignedDuration::from_secs(12)),
            1..8 => self.random.millis(SignedDuration::from_secs(2)),
            _ => SignedDuration::from_millis(1),
        };
        self.stream_at = self.stream_at.max(self.now + latency);
        let wait = self.stream_at.duration_since(self.now);
        self.schedule(wait, Happening::Arrive(self.process, event));
    }

    fn arrive(&mut self, event: Event) {
        if !self.is_running {
            return;
        }
        let version = event.1.resource_version().unwrap().to_owned();
        if let Some(machine) = &mut self.machine {
            machine.observe(&version);
        }
        let is_deleted = |event: &Event| event.0 == Some(EventType::Deleted);
        if self.coalesces && self.queue.back().is_some_and(|last| !is_deleted(last)) {
            self.queue.pop_back();
        }
        self.queue.push_back(event);
    }

    /// Whether the next event may be processed. Objects have machines of their own: another one has to wait until the first
    /// is forgotten.
    fn can_process(&self) -> bool {
        let Some((_, object)) = self.queue.front() else { return false };
        match &self.machine {
            Some(machine) => machine.accepts_events() && object.uid() == Some(self.uid.as_str()),
            None => true,
        }
    }

    fn process_event(&mut self) {
        let (event_type, object) = self.queue.pop_front().unwrap();
        self.note(&format!("event {event_type:?} {}", object.body()));
        if self.machine.is_none() {
            self.machine = Some(Machine::new(1));
            self.uid = object.uid().unwrap().to_owned();
        }
        let more_queued = !self.queue.is_empty();
        self.tell(Input::Event { event_type, object, more_queued });
    }

    fn tell(&mut self, input: Input) {
        let Some(machine) = &mut self.machine else { return };
        let outputs = match machine.step(input, self.now, &self.plan) {
            Ok(outputs) => outputs,
            Err(error) => machine.fail(error, self.now, &self.plan),
        };
        for output in outputs {
            if !self.is_calm() && self.random.chance(1) {
                self.crash();
                return;
            }
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Call(call) => self.call(&call),
            Output::Request(request) => self.request(request),
            Output::Log(log) => self.read(&log),
            Output::WakeAt(time) => self.wake = Some(time),
            Output::Forget => {
                self.note("forgotten");
                self.machine = None;
                self.wake = None;
                self.ended.clear();
                self.working.clear();
            }
            Output::Post(_) => {}
            Output::Cancel(call) => panic!("{call:?}"),
        }
    }

    fn call(&mut self, call: &Call) {
        let behaviour = self.scripts.next(call);
        self.begin(call);
        let Run { outcome, patch, subrefs, is_lost, traces } =
            self.scripts.run(call, &behaviour, &self.plan.clone(), self.now);
        let ended = self.ended.len();
        for trace in traces {
            match trace {
                Trace::Call(_, call) => self.begin(&call),
                Trace::Log(log) => self.read(&log),
            }
        }
        if is_lost {
            self.ended.truncate(ended);
        }
        let duration =
            if self.random.chance(30) { self.random.millis(SignedDuration::from_secs(4)) } else { MOMENT };
        let input = Input::Finished { call: call.id, outcome, patch, subrefs };
        self.schedule(duration, Happening::Tell(self.process, input));
    }

    /// A handler is called: not for what it has finished already.
    fn begin(&mut self, call: &Call) {
        let Some(reason) = call.cause.reason else { return };
        let work = self.work(call, reason);
        self.note(&format!("call {work}"));
        if self.finished.contains(&work) {
            self.violation = Some(format!("{} runs again for the same: {work}", call.handler.id));
        }
        let new = call.cause.new.as_deref().cloned();
        self.working.insert(call.handler.id.to_string(), (work, new));
    }

    /// What a call is about: the handler, the state of the object, and what it is compared with.
    fn work(&self, call: &Call, reason: Reason) -> String {
        let object = &call.cause.object;
        let epoch = self.epochs[object.resource_version().unwrap()];
        // Resume handlers run once per process.
        let is_resume = matches!(call.handler.trigger, Trigger::Resume { .. }) || reason == Reason::Resume;
        let process = if is_resume { self.process } else { 0 };
        let old = self.plan.diff_base.fetch(object).unwrap().unwrap_or_default();
        format!(
            "{} {} {reason} epoch {epoch} old {old} process {process}",
            object.uid().unwrap(),
            call.handler.id
        )
    }

    /// Reads a line: the end of an attempt may be the end of a handler.
    fn read(&mut self, log: &Log) {
        self.note(&format!("log {}", log.line).chars().take(200).collect::<String>());
        let Line::Ended(subject, ending) = &log.line else { return };
        let is_final = !matches!(
            ending,
            Ending::Unfinished | Ending::Temporary(_) | Ending::Retried(..) | Ending::Cancelled
        );
        let id = subject.id.to_string();
        let work = self.working.remove(&id);
        if is_final {
            self.ended.push(Ended { id, work });
        }
    }

    /// A request goes out; what becomes of it, is decided when it reaches the server.
    fn request(&mut self, request: Request) {
        self.note(&format!("request {request:?}"));
        let carried = if carries_progress(&request) { std::mem::take(&mut self.ended) } else { Vec::new() };
        let latency =
            if self.random.chance(20) { self.random.millis(SignedDuration::from_secs(3)) } else { MOMENT };
        self.schedule(latency, Happening::Serve(self.process, self.uid.clone(), request, carried));
    }

    /// A request reaches the server, also if its sender is gone.
    fn serve(&mut self, process: u64, uid: &str, request: &Request, carried: Vec<Ended>) {
        // Two processes that write at once are a matter of peering, not of the machine.
        let has_successor = process != self.process && (self.is_running || self.process > process + 1);
        if has_successor {
            return;
        }
        let fate = if self.is_calm() { 0 } else { self.random.below(100) };
        // Requests name the object, not its uid: one that is late may meet another object, and upstream's format has nothing
        // against it (W-PAT-003). That is no matter of the machine, so it is kept out of its laws.
        let is_gone = self.server.object().is_none_or(|object| object.uid() != Some(uid));
        let mut is_refused = (80..96).contains(&fate) || is_gone;
        let answer = match fate {
            _ if is_gone => Answer::Gone,
            80..84 => rejected(409),
            84..88 => rejected(503),
            88..92 => rejected(422),
            92..96 => rejected(413),
            _ => {
                let (answer, event) = self.server.patch(request);
                is_refused |= matches!(answer, Answer::Rejected { .. });
                self.stored(event);
                if fate >= 96 { rejected(503) } else { answer }
            }
        };
        if !is_refused {
            for Ended { id, work } in carried {
                let (work, essence) = work.unzip();
                self.seen.insert(id, essence.flatten());
                self.finished.extend(work);
            }
        } else if process == self.process {
            self.ended.splice(0..0, carried);
        }
        self.note(&format!("answer {answer:?}"));
        let latency =
            if self.random.chance(20) { self.random.millis(SignedDuration::from_secs(3)) } else { MOMENT };
        self.schedule(latency, Happening::Tell(process, Input::Answered { request: request.id, answer }));
    }

    /// Everything is at rest: is all done?
    fn check_end(&mut self) -> Result<(), String> {
        self.calm.store(true, Ordering::Relaxed);
        let Some(object) = self.server.object() else { return Ok(()) };
        let plan = self.plan.clone();
        if object.is_deleting() {
            return Err(format!("a deleted object stays: {}", object.body()));
        }
        let essence = self.essence_of(&object);
        let cause = Cause {
            object_id: 1,
            cycle: 1,
            resource: Arc::default(),
            event_type: None,
            reason: None,
            initial: false,
            old: None,
            new: Some(Arc::new(essence.clone())),
            diff: Arc::default(),
            waits: None,
            object: object.clone(),
        };
        let requires = select::requires_finalizer(&plan.handlers, &cause).unwrap();
        if requires != object.has_finalizer(&plan.settings.persistence.finalizer) {
            return Err(format!("the finalizer is wrong: {}", object.body()));
        }
        if !select::is_concerned(&plan.handlers, &cause).unwrap() {
            return Ok(());
        }
        let base = plan.diff_base.fetch(&object).unwrap();
        if base.as_ref() != Some(&essence) {
            return Err(format!("the object is not handled as it is: {}", object.body()));
        }
        let left: Vec<_> =
            object.annotations().into_iter().flatten().map(|(key, _)| key.as_str()).filter(is_own).collect();
        if !left.is_empty() {
            return Err(format!("something is left behind: {left:?}"));
        }
        let is_for_all = |handler: &&Arc<Handler>| handler.filters.labels.is_empty();
        let updates =
            plan.handlers.iter().filter(|handler| handler.trigger == Trigger::Update).filter(is_for_all);
        for handler in updates.filter(|_| self.bases > 1) {
            let seen = self.seen.get(handler.id.as_str());
            if seen.is_none_or(|seen| {
                seen.as_ref().is_some_and(|seen| without_own(seen) != without_own(&essence))
            }) {
                return Err(format!("{} has not seen the object as it is", handler.id));
            }
        }
        Ok(())
    }

    fn essence_of(&self, object: &Object) -> Value {
        self.plan.progress.clear(self.plan.diff_base.build(object, &self.plan.extra_fields).unwrap()).unwrap()
    }

    fn schedule(&mut self, wait: SignedDuration, happening: Happening) {
        self.sequence += 1;
        self.happenings.push((self.now + wait, self.sequence, happening));
    }

    fn is_calm(&self) -> bool {
        self.now.duration_since(self.start) > STORM
    }

    fn note(&mut self, text: &str) {
        if self.shows {
            let _ = writeln!(self.log, "{:8.3} {text}", self.now.duration_since(self.start).as_secs_f64());
        }
    }
}

/// Whether a request carries what the handlers have achieved: their records, or the end of all of them.
fn carries_progress(request: &Request) -> bool {
    match &request.body {
        PatchBody::Merge(body) => {
            let annotations = body["metadata"]["annotations"].as_object();
            annotations.into_iter().flatten().any(|(key, _)| !key.ends_with("touch-dummy"))
        }
        PatchBody::Json(operations) => operations.iter().any(|operation| {
            operation["op"] != "test"
                && operation["path"].as_str().is_some_and(|path| path.starts_with("/metadata/finalizers"))
        }),
    }
}

/// Whether an annotation is one that must be gone in the end.
fn is_own(key: &&str) -> bool {
    key.starts_with("kopf.zalando.org/")
        && !key.ends_with("/last-handled-configuration")
        && !key.ends_with("/touch-dummy")
}

fn random_plan(random: &mut Random, mut handlers: Vec<Arc<Handler>>, is_calm: &Arc<AtomicBool>) -> Plan {
    if random.chance(30) {
        let position = random.below(handlers.len() as u64) as usize;
        let mut flaky = Handler::clone(&handlers[position]);
        flaky.filters.when =
            Some(Arc::new(Flaky { calls: AtomicU64::new(random.next()), is_calm: is_calm.clone() }));
        handlers[position] = Arc::new(flaky);
    }
    let lifecycles =
        [Builtin::Asap, Builtin::AllAtOnce, Builtin::OneByOne, Builtin::Randomized, Builtin::Shuffled];
    let mut settings = Settings::default();
    settings.persistence.consistency_timeout = Duration::from_secs(*random.choose(&[5, 5, 2]));
    Plan {
        resource: Arc::new(Resource {
            subresources: if random.chance(50) { vec!["status".into()] } else { Vec::new() },
            ..Resource::default()
        }),
        extra_fields: handlers.iter().filter_map(|handler| handler.field().cloned()).collect(),
        handlers,
        progress: if random.chance(25) {
            Arc::new(FlakyStorage(SmartProgressStorage::default(), Flaky::new(random, is_calm)))
        } else {
            Arc::new(SmartProgressStorage::default())
        },
        diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
        lifecycle: Arc::new(*random.choose(&lifecycles)),
        settings: Arc::new(settings),
    }
}

fn random_scripts(random: &mut Random) -> Vec<Script> {
    let decorators = [
        "on.create",
        "on.create",
        "on.update",
        "on.update",
        "on.delete",
        "on.resume",
        "on.field",
        "on.event",
    ];
    (0..=random.below(4))
        .map(|number| {
            let mut options = Map::new();
            if random.chance(10) {
                options.insert("retries".into(), (random.below(3) + 1).into());
            }
            if random.chance(10) {
                options.insert("timeout".into(), (random.below(30) + 1).into());
            }
            let decorator = *random.choose(&decorators);
            if decorator == "on.field" {
                options.insert("field".into(), (*random.choose(&["spec.f", "spec.g", "status.x"])).into());
            }
            if random.chance(10) {
                options.insert("labels".into(), json!({"l": "1"}));
            }
            if decorator == "on.delete" && random.chance(20) {
                options.insert("optional".into(), true.into());
            }
            options.insert("backoff".into(), random.below(4).into());
            Script {
                decorator: decorator.into(),
                id: format!("h{number}"),
                options,
                does: random_behaviours(random, 2),
            }
        })
        .collect()
}

/// What a handler does at its attempts: some fail, the last does not.
fn random_behaviours(random: &mut Random, depth: u32) -> Vec<Behaviour> {
    let children = if depth > 0 && random.chance(25) { random.below(3) } else { 0 };
    let subhandlers: Vec<_> = (0..children)
        .map(|number| Script {
            decorator: String::new(),
            id: format!("s{number}"),
            options: Map::from_iter([("backoff".to_owned(), 1.into())]),
            does: random_behaviours(random, depth - 1),
        })
        .collect();
    let failures = random.below(6);
    let mut all: Vec<_> = (0..failures)
        .map(|_| match random.below(6) {
            0 | 1 => failing(
                json!({"type": "TemporaryError", "message": "wait", "delay": random.choose(&[0, 1, 5, 20])}),
            ),
            2 => failing(json!({"type": "TemporaryError", "message": "wait", "delay": null})),
            3 => failing(json!({"type": "ValueError", "message": "boo"})),
            4 => failing(json!({"type": "PermanentError", "message": "no"})),
            _ => Behaviour { subhandlers: subhandlers.clone(), ..Behaviour::default() },
        })
        .collect();
    all.push(Behaviour {
        returns: random.chance(50).then(|| json!("done")),
        merge_patch: random
            .chance(20)
            .then(|| json!({"status": {"y": 1}}))
            .or(random.chance(10).then(|| json!({"spec": {"h": 1}}))),
        append: random.chance(15).then(|| (vec!["status".into(), "list".into()], json!(1))),
        subhandlers,
        ..Behaviour::default()
    });
    all
}

fn failing(raises: Value) -> Behaviour {
    let Value::Object(raises) = raises else { unreachable!("it is a mapping") };
    Behaviour { raises: Some(raises), ..Behaviour::default() }
}

/// A filter that accepts all objects, and fails now and then.
#[derive(Debug)]
struct Flaky {
    calls: AtomicU64,
    is_calm: Arc<AtomicBool>,
}

impl Flaky {
    fn new(random: &mut Random, is_calm: &Arc<AtomicBool>) -> Self {
        Self { calls: AtomicU64::new(random.next()), is_calm: is_calm.clone() }
    }

    fn may_fail(&self, one_in: u64) -> Result<(), ErrorInfo> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let fails = Random(call).below(one_in) == 0 && !self.is_calm.load(Ordering::Relaxed);
        if fails { Err(ErrorInfo::new("flaky")) } else { Ok(()) }
    }
}

impl Predicate for Flaky {
    fn test(&self, _: Option<&Value>, _: &Cause) -> Result<bool, ErrorInfo> {
        self.may_fail(10).map(|()| true)
    }
}

/// A storage that fails now and then.
#[derive(Debug)]
struct FlakyStorage(SmartProgressStorage, Flaky);

impl ProgressStorage for FlakyStorage {
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        self.1.may_fail(100)?;
        self.0.fetch(id, object)
    }

    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        object: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo> {
        self.1.may_fail(10)?;
        self.0.store(id, record, object, patch)
    }

    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.1.may_fail(10)?;
        self.0.purge(id, object, patch)
    }

    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo> {
        self.1.may_fail(10)?;
        self.0.touch(object, patch, value)
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        self.0.clear(essence)
    }

    fn fetch_cycle(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        self.1.may_fail(20)?;
        self.0.fetch_cycle(object)
    }

    fn store_cycle(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.0.store_cycle(essence, object, patch)
    }

    fn purge_cycle(&self, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.0.purge_cycle(object, patch)
    }
}

/// SplitMix64, so that a seed gives the same course on any machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    fn millis(&mut self, most: SignedDuration) -> SignedDuration {
        SignedDuration::from_millis(self.below(most.as_millis() as u64) as i64)
    }
}
