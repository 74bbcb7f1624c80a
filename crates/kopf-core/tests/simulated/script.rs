//! Handlers as scripts: what each does at each attempt.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kopf_core::{
    error::ErrorInfo,
    field::FieldPath,
    filter::{Criterion, Filters},
    handler::{ErrorsMode, Handler, HandlerId, Needs, Options, Trigger},
    log::Log,
    machine::Call,
    outcome::Outcome,
    patch::{self, Patch, Transform},
    plan::Plan,
    subcycle::Subcycle,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A scripted handler.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Script {
    #[serde(default)]
    pub(crate) decorator: String,
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) options: Map<String, Value>,
    /// What it does at each attempt; the last repeats; empty = it returns nothing.
    #[serde(default)]
    pub(crate) does: Vec<Behaviour>,
}

/// What a handler does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    pub(crate) returns: Option<Value>,
    #[serde(rename = "raise")]
    pub(crate) raises: Option<Map<String, Value>>,
    pub(crate) merge_patch: Option<Value>,
    /// Appends a value to the list at a path, unless it is there.
    pub(crate) append: Option<(Vec<String>, Value)>,
    pub(crate) sleep: Option<f64>,
    pub(crate) wait_stopped: Option<bool>,
    #[serde(default)]
    pub(crate) subhandlers: Vec<Script>,
}

/// The scripts of an operator, with how often each was called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scripts {
    scripts: BTreeMap<u64, Script>,
    attempts: BTreeMap<u64, usize>,
}

/// What a run of a handler gives.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) patch: Patch,
    pub(crate) subrefs: Vec<HandlerId>,
    /// The subcycle has failed: what its handlers have achieved is lost.
    pub(crate) is_lost: bool,
    /// What was logged and called in it.
    pub(crate) traces: Vec<Trace>,
}

/// What can be seen of a run.
#[derive(Debug)]
pub(crate) enum Trace {
    Log(Log),
    /// A sub-handler was called: its id, and the call.
    Call(String, Call),
}

impl Scripts {
    /// The handlers of the scripts, in the order of declaration.
    pub(crate) fn new(scripts: &[Script]) -> (Self, Vec<Arc<Handler>>) {
        let mut all = Self::default();
        let mut handlers = Vec::new();
        for script in scripts {
            let function = all.add(script.clone());
            for decorator in script.decorator.split('+') {
                handlers.push(Arc::new(handler(
                    &script.id,
                    function,
                    trigger(decorator, &script.options),
                    &script.options,
                )));
            }
        }
        (all, handlers)
    }

    pub(crate) fn id(&self, call: &Call) -> String {
        self.scripts[&call.handler.function].id.clone()
    }

    /// What the handler does at its next attempt.
    pub(crate) fn next(&mut self, call: &Call) -> Behaviour {
        let attempt = self.attempts.entry(call.handler.function).or_default();
        let does = &self.scripts[&call.handler.function].does;
        let behaviour = does.get(*attempt).or(does.last()).cloned().unwrap_or_default();
        *attempt += 1;
        behaviour
    }

    /// Runs a handler, and its sub-handlers.
    pub(crate) fn run(
        &mut self,
        call: &Call,
        behaviour: &Behaviour,
        plan: &Arc<Plan>,
        now: Timestamp,
    ) -> Run {
        let mut patch = call.patch.clone();
        if let Some(change) = &behaviour.merge_patch {
            // As users do it: values are set, and nulls kept.
            combine(&mut patch.merge, change.as_object().unwrap());
        }
        if let Some((path, value)) = &behaviour.append {
            patch.transforms.push(Arc::new(Append { path: path.clone(), value: value.clone() }));
        }
        let outcome = match &behaviour.raises {
            Some(raises) => raised(raises),
            None => Outcome::Succeeded(behaviour.returns.clone()),
        };
        let mut run = Run { outcome, patch, subrefs: Vec::new(), is_lost: false, traces: Vec::new() };
        if !behaviour.subhandlers.is_empty() && matches!(run.outcome, Outcome::Succeeded(_)) {
            self.run_children(call, &behaviour.subhandlers, plan, now, &mut run);
        }
        run
    }

    fn run_children(
        &mut self,
        parent: &Call,
        scripts: &[Script],
        plan: &Arc<Plan>,
        now: Timestamp,
        run: &mut Run,
    ) {
        let children: Vec<_> = scripts
            .iter()
            .map(|script| {
                let id = parent.handler.id.child(&script.id);
                let function = self
                    .known(id.as_str())
                    .unwrap_or_else(|| self.add(Script { id: id.to_string(), ..script.clone() }));
                let trigger = Trigger::Sub { needs_change: false };
                Arc::new(handler(id.as_str(), function, trigger, &script.options))
            })
            .collect();
        // What the subcycle itself raises is an error of the parent.
        if let Err(error) = self.drive(parent, &children, plan, now, run) {
            run.outcome = Outcome::Arbitrary(error);
            run.is_lost = true;
        }
    }

    fn drive(
        &mut self,
        parent: &Call,
        children: &[Arc<Handler>],
        plan: &Arc<Plan>,
        now: Timestamp,
        run: &mut Run,
    ) -> Result<(), ErrorInfo> {
        let mut subcycle =
            Subcycle::open(plan.clone(), parent.cause.clone(), children, run.patch.clone(), now)?;
        loop {
            let step = subcycle.next(now)?;
            run.traces.extend(step.logs.into_iter().map(Trace::Log));
            let Some(call) = step.call else { break };
            let behaviour = self.next(&call);
            run.traces.push(Trace::Call(self.id(&call), call.clone()));
            let child = self.run(&call, &behaviour, plan, now);
            run.traces.extend(child.traces);
            run.is_lost |= child.is_lost;
            let logs = subcycle.finished(call.id, child.outcome, child.patch, child.subrefs, now);
            run.traces.extend(logs.into_iter().map(Trace::Log));
        }
        let closed = subcycle.close(now)?;
        run.patch = closed.patch;
        run.subrefs = closed.subrefs;
        if let Some(delay) = closed.unfinished {
            run.outcome = Outcome::Unfinished(Some(delay));
        }
        Ok(())
    }

    fn add(&mut self, script: Script) -> u64 {
        let function = self.scripts.len() as u64 + 1;
        self.scripts.insert(function, script);
        function
    }

    fn known(&self, id: &str) -> Option<u64> {
        self.scripts.iter().find(|(_, script)| script.id == id).map(|(function, _)| *function)
    }
}

fn trigger(decorator: &str, options: &Map<String, Value>) -> Trigger {
    let flag = |name: &str| options.get(name) == Some(&Value::Bool(true));
    match decorator {
        "on.create" => Trigger::Create,
        "on.update" => Trigger::Update,
        "on.delete" => Trigger::Delete { optional: flag("optional") },
        "on.resume" => Trigger::Resume { deleted: flag("deleted") },
        "on.field" => Trigger::Field,
        "on.event" => Trigger::Event,
        other => panic!("there is no machine for {other}"),
    }
}

fn handler(id: &str, function: u64, trigger: Trigger, options: &Map<String, Value>) -> Handler {
    let seconds = |name: &str| options.get(name).and_then(Value::as_f64).map(SignedDuration::from_secs_f64);
    let labels = options.get("labels").and_then(Value::as_object).into_iter().flatten();
    let field = options.get("field").and_then(Value::as_str).map(FieldPath::dotted);
    let id = HandlerId::from(id);
    Handler {
        id: field.as_ref().map_or_else(|| id.clone(), |field| id.with_field(field)),
        trigger,
        filters: Filters {
            labels: labels.map(|(key, value)| (key.clone(), Criterion::Equals(value.clone()))).collect(),
            field,
            ..Filters::default()
        },
        options: Options {
            errors: options.get("errors").and_then(Value::as_str).map(|mode| match mode {
                "IGNORED" => ErrorsMode::Ignored,
                "PERMANENT" => ErrorsMode::Permanent,
                _ => ErrorsMode::Temporary,
            }),
            timeout: seconds("timeout"),
            retries: options.get("retries").and_then(Value::as_u64).map(|n| u32::try_from(n).unwrap()),
            backoff: seconds("backoff"),
        },
        function,
        needs: Needs::ALL,
    }
}

/// The outcome of an exception, classified as the Python door does.
fn raised(raises: &Map<String, Value>) -> Outcome {
    let class = raises["type"].as_str().unwrap();
    let message = raises.get("message").and_then(Value::as_str);
    let is_temporary = class == "TemporaryError";
    let text =
        message.map_or_else(|| if is_temporary { "None".into() } else { String::new() }, str::to_owned);
    let repr = message.map_or_else(|| format!("{class}()"), |message| format!("{class}('{message}')"));
    let error = ErrorInfo { text, repr, origin: None };
    match class {
        "TemporaryError" => Outcome::Temporary {
            error,
            delay: match raises.get("delay") {
                None => Some(SignedDuration::from_secs(60)),
                Some(delay) => delay.as_f64().map(SignedDuration::from_secs_f64),
            },
        },
        "PermanentError" => Outcome::Permanent(error),
        _ => Outcome::Arbitrary(error),
    }
}

fn combine(target: &mut Map<String, Value>, change: &Map<String, Value>) {
    for (key, value) in change {
        match (target.get_mut(key), value) {
            (Some(Value::Object(target)), Value::Object(change)) => combine(target, change),
            _ => {
                target.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Appends a value to a list, unless it is there.
#[derive(Clone, Debug)]
struct Append {
    path: Vec<String>,
    value: Value,
}

impl Transform for Append {
    fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo> {
        let path = FieldPath(self.path.clone());
        let mut list = path.resolve(body).and_then(Value::as_array).cloned().unwrap_or_default();
        if !list.contains(&self.value) {
            list.push(self.value.clone());
        }
        let change = self
            .path
            .iter()
            .rev()
            .fold(Value::Array(list), |inner, key| Value::Object(Map::from_iter([(key.clone(), inner)])));
        patch::merge(body, &change);
        Ok(())
    }
}
