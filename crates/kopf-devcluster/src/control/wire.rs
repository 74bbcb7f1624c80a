//! Faults as JSON, in both directions.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::cluster::PlainResource;
use crate::faults::fault::{Times, WatchEffect};
use crate::faults::{After, Answer, Cut, Effect, Ending, Fault, Interference, Matcher, Told};
use crate::restart::{Renew, Restart};
use crate::server::request::Facts;
use crate::status::ApiError;
use crate::store::Ago;

/// Verbs of objects, and methods of other paths.
const VERBS: &[&str] = &[
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "head",
    "options",
    "post",
    "put",
];

/// The ways to break something, by their names.
const CUTS: &[(&str, Cut)] = &[
    ("clean", Cut::Clean),
    ("hard", Cut::Hard),
    ("half-line", Cut::HalfLine),
    ("truncated", Cut::Truncated),
];

/// What can be done.
const DO: &str = "answer, delay, delay-body, hang, drop, lose, interfere, stale, cut, error, stall, delay-events, repeat \
                  or duplicate";

/// What times may say besides a number.
const UNLIMITED: &str = "unlimited";

/// The fault that an object describes.
pub(super) fn fault(value: &Value) -> Result<Fault, ApiError> {
    let mut fields = Fields::of("", value)?;
    let effect = effect(&mut fields)?;
    let mut fault = Fault::of(effect).on(matcher(&mut fields)?).skip(fields.count("skip")?.unwrap_or(0));
    match fields.take("times") {
        None => {}
        Some(Value::String(text)) if text == UNLIMITED => fault = fault.always(),
        Some(value) => {
            let times =
                value.as_u64().and_then(|times| usize::try_from(times).ok()).filter(|times| *times > 0);
            let expected = "a whole number from 1 on, or \"unlimited\"";
            fault = fault.times(times.ok_or_else(|| Fields::wrong("times", &value, expected))?);
        }
    }
    if let Some(time) = fields.duration("for")? {
        fault = fault.lasting(time);
    }
    if let Some(value) = fields.take("probability") {
        let probability = value.as_f64().filter(|probability| (0.0..=1.0).contains(probability));
        let expected = "a number between 0 and 1";
        fault = fault.probability(probability.ok_or_else(|| Fields::wrong("probability", &value, expected))?);
    }
    fields.finish()?;
    Ok(fault)
}

fn effect(fields: &mut Fields) -> Result<Effect, ApiError> {
    let name = fields.required("do", Fields::text)?;
    Ok(match name.as_str() {
        "answer" => Effect::Answer(answer(fields, None)?),
        "delay" => Effect::Delay(seconds(fields)?),
        "delay-body" => Effect::DelayBody(seconds(fields)?),
        "hang" => Effect::Hang,
        "drop" => Effect::Drop(cut(fields, "hard")?),
        "lose" => Effect::Lose(cut(fields, "hard")?),
        "interfere" => Effect::Interfere(interference(fields)?),
        "stale" => Effect::Stale(ago(fields)?),
        "cut" => {
            let cut = cut(fields, "clean")?;
            Effect::Watch(WatchEffect::End(Ending::Cut(cut), after(fields)?))
        }
        "error" => {
            let answer = answer(fields, Some(410))?;
            Effect::Watch(WatchEffect::End(Ending::Error(answer), after(fields)?))
        }
        "stall" => Effect::Watch(WatchEffect::Stall(after(fields)?)),
        "delay-events" => Effect::Watch(WatchEffect::DelayEvents(seconds(fields)?)),
        "repeat" => Effect::Watch(WatchEffect::Repeat(fields.count("changes")?.unwrap_or(1))),
        "duplicate" => Effect::Watch(WatchEffect::Duplicate),
        _ => return Err(Fields::wrong("do", &name.into(), DO)),
    })
}

fn seconds(fields: &mut Fields) -> Result<Duration, ApiError> {
    fields.required("seconds", Fields::duration)
}

/// The matcher in a body; everything if there is none.
pub(super) fn matcher(fields: &mut Fields) -> Result<Matcher, ApiError> {
    let Some(value) = fields.take("matcher") else { return Ok(Matcher::any()) };
    let mut fields = Fields::of("matcher", &value)?;
    let verbs = fields.texts("verbs")?;
    for (index, verb) in verbs.iter().enumerate() {
        if !VERBS.contains(&verb.as_str()) {
            let field = format!("verbs[{index}]");
            return Err(fields.wrong_here(
                &field,
                &verb.as_str().into(),
                &format!("one of {}", VERBS.join(", ")),
            ));
        }
    }
    let matcher = Matcher {
        verbs,
        resource: fields.text("resource")?,
        subresource: fields.text("subresource")?,
        namespace: fields.text("namespace")?,
        name: fields.text("name")?,
        path: fields.text("path")?,
        user_agent: fields.text("userAgent")?,
        user: fields.text("user")?,
    };
    fields.finish()?;
    Ok(matcher)
}

/// An answer; `status` has to be said if there is no default.
pub(super) fn answer(fields: &mut Fields, default: Option<u16>) -> Result<Answer, ApiError> {
    let status = match (fields.take("status"), default) {
        (None, Some(default)) => default,
        (None, None) => {
            return Err(ApiError::bad_request("status is missing: expected an HTTP status from 400 on"));
        }
        (Some(value), _) => {
            let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
            let status = status.filter(|status| (400..600).contains(status));
            status.ok_or_else(|| Fields::wrong("status", &value, "an HTTP status from 400 to 599"))?
        }
    };
    let mut answer = Answer::status(status);
    if let Some(reason) = fields.text("reason")? {
        answer = answer.reason(&reason);
    }
    if let Some(message) = fields.text("message")? {
        answer = answer.message(&message);
    }
    if let Some(value) = fields.take("retryAfter") {
        let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let expected = "a whole number of seconds";
        answer = answer.retry_after(seconds.ok_or_else(|| Fields::wrong("retryAfter", &value, expected))?);
    }
    Ok(answer)
}

/// How something breaks.
pub(super) fn cut(fields: &mut Fields, default: &str) -> Result<Cut, ApiError> {
    let how = fields.text("how")?.unwrap_or_else(|| default.to_owned());
    let known = CUTS.iter().find(|(name, _)| *name == how).map(|(_, cut)| *cut);
    known.ok_or_else(|| {
        let names: Vec<&str> = CUTS.iter().map(|(name, _)| *name).collect();
        Fields::wrong("how", &how.into(), &format!("one of {}", names.join(", ")))
    })
}

fn name_of(cut: Cut) -> &'static str {
    CUTS.iter().find(|(_, known)| *known == cut).map_or("", |(name, _)| name)
}

fn after(fields: &mut Fields) -> Result<After, ApiError> {
    match (fields.count("afterEvents")?, fields.duration("afterSeconds")?) {
        (Some(_), Some(time)) => {
            let value = time.as_secs_f64().into();
            Err(Fields::wrong("afterSeconds", &value, "only one of afterEvents and afterSeconds"))
        }
        (None, Some(time)) => Ok(After::Time(time)),
        (events, None) => Ok(After::Events(events.unwrap_or(0))),
    }
}

/// How far back.
pub(super) fn ago(fields: &mut Fields) -> Result<Ago, ApiError> {
    match (fields.count("changes")?, fields.duration("seconds")?) {
        (Some(changes), None) => Ok(Ago::Changes(changes)),
        (None, Some(time)) => Ok(Ago::Time(time)),
        (None, None) => Err(ApiError::bad_request("changes is missing: expected either changes or seconds")),
        (Some(_), Some(time)) => {
            Err(Fields::wrong("seconds", &time.as_secs_f64().into(), "only one of changes and seconds"))
        }
    }
}

fn interference(fields: &mut Fields) -> Result<Interference, ApiError> {
    let patch = fields.take("patch");
    if let Some(patch) = patch.as_ref().filter(|patch| !patch.is_object()) {
        return Err(Fields::wrong("patch", patch, "an object that is merged into the other"));
    }
    let interference = Interference {
        patch,
        add_finalizers: fields.texts("addFinalizers")?,
        remove_finalizers: fields.texts("removeFinalizers")?,
        deletes: fields.flag("delete")?,
    };
    let changes = Interference { deletes: false, ..interference.clone() };
    if interference.deletes && changes != Interference::default() {
        return Err(Fields::wrong("delete", &true.into(), "no change beside it"));
    }
    Ok(interference)
}

/// The restart that an object describes.
pub(super) fn restart(value: &Value) -> Result<Restart, ApiError> {
    let mut fields = Fields::of("", value)?;
    let mut restart = Restart {
        is_clean: cut(&mut fields, "hard")? == Cut::Clean,
        forget: fields.flag("forget")?,
        refuse: fields.duration("refuse")?.unwrap_or_default(),
        version: fields.text("version")?,
        unserve: fields.texts("unserve")?,
        ..Restart::default()
    };
    if let Some(value) = fields.take("lose") {
        let mut lost = Fields::of("lose", &value)?;
        restart.lose = Some(ago(&mut lost)?);
        lost.finish()?;
    }
    restart.renew = match fields.text("renew")?.as_deref() {
        None => None,
        Some("certificate") => Some(Renew::Certificate),
        Some("authority") => Some(Renew::Authority),
        Some(other) => return Err(Fields::wrong("renew", &other.into(), "certificate or authority")),
    };
    let served = match fields.take("serve") {
        None => Vec::new(),
        Some(Value::Array(served)) => served,
        Some(other) => return Err(Fields::wrong("serve", &other, "a list of resources")),
    };
    for (index, value) in served.iter().enumerate() {
        let mut resource = Fields::of(&format!("serve[{index}]"), value)?;
        restart.serve.push(PlainResource {
            group: resource.text("group")?.unwrap_or_default(),
            version: resource.required("version", Fields::text)?,
            plural: resource.required("plural", Fields::text)?,
            kind: resource.required("kind", Fields::text)?,
            namespaced: resource.flag("namespaced")?,
        });
        resource.finish()?;
    }
    fields.finish()?;
    Ok(restart)
}

/// A fault with its budget and how often it has happened.
pub(super) fn told(told: &Told) -> Value {
    let fault = &told.fault;
    let mut fields = Map::new();
    fields.insert("id".to_owned(), told.id.into());
    describe(&fault.effect, &mut fields);
    fields.insert("matcher".to_owned(), describe_matcher(&fault.matcher));
    fields.insert("skip".to_owned(), fault.skip.into());
    let times = match fault.times {
        Times::Limited(times) => Some(times),
        Times::Default | Times::Unlimited => fault.limit(),
    };
    fields.insert("times".to_owned(), times.map_or_else(|| UNLIMITED.into(), Value::from));
    if let Some(time) = fault.lasting {
        fields.insert("for".to_owned(), time.as_secs_f64().into());
    }
    if fault.probability < 1.0 {
        fields.insert("probability".to_owned(), fault.probability.into());
    }
    fields.insert("happened".to_owned(), told.happened.into());
    fields.insert("left".to_owned(), told.left.map_or_else(|| UNLIMITED.into(), Value::from));
    fields.into()
}

fn describe(effect: &Effect, fields: &mut Map<String, Value>) {
    let (name, parameters) = match effect {
        Effect::Answer(answer) => ("answer", describe_answer(answer)),
        Effect::Delay(time) => ("delay", json!({"seconds": time.as_secs_f64()})),
        Effect::DelayBody(time) => ("delay-body", json!({"seconds": time.as_secs_f64()})),
        Effect::Hang => ("hang", json!({})),
        Effect::Drop(cut) => ("drop", json!({"how": name_of(*cut)})),
        Effect::Lose(cut) => ("lose", json!({"how": name_of(*cut)})),
        Effect::Interfere(interference) => ("interfere", describe_interference(interference)),
        Effect::Stale(Ago::Changes(changes)) => ("stale", json!({"changes": changes})),
        Effect::Stale(Ago::Time(time)) => ("stale", json!({"seconds": time.as_secs_f64()})),
        Effect::Watch(WatchEffect::End(Ending::Cut(cut), after)) => {
            ("cut", with_after(json!({"how": name_of(*cut)}), *after))
        }
        Effect::Watch(WatchEffect::End(Ending::Error(answer), after)) => {
            ("error", with_after(describe_answer(answer), *after))
        }
        Effect::Watch(WatchEffect::Stall(after)) => ("stall", with_after(json!({}), *after)),
        Effect::Watch(WatchEffect::DelayEvents(time)) => {
            ("delay-events", json!({"seconds": time.as_secs_f64()}))
        }
        Effect::Watch(WatchEffect::Repeat(changes)) => ("repeat", json!({"changes": changes})),
        Effect::Watch(WatchEffect::Duplicate) => ("duplicate", json!({})),
    };
    fields.insert("do".to_owned(), name.into());
    if let Value::Object(parameters) = parameters {
        fields.extend(parameters);
    }
}

fn describe_answer(answer: &Answer) -> Value {
    let mut value = json!({"status": answer.status, "reason": answer.reason, "message": answer.message});
    if let Some(seconds) = answer.retry_after {
        value["retryAfter"] = seconds.into();
    }
    value
}

fn describe_interference(interference: &Interference) -> Value {
    let mut value = json!({});
    if let Some(patch) = &interference.patch {
        value["patch"] = patch.clone();
    }
    for (field, finalizers) in [
        ("addFinalizers", &interference.add_finalizers),
        ("removeFinalizers", &interference.remove_finalizers),
    ] {
        if !finalizers.is_empty() {
            value[field] = json!(finalizers);
        }
    }
    if interference.deletes {
        value["delete"] = true.into();
    }
    value
}

fn with_after(mut value: Value, after: After) -> Value {
    match after {
        After::Events(events) => value["afterEvents"] = events.into(),
        After::Time(time) => value["afterSeconds"] = time.as_secs_f64().into(),
    }
    value
}

fn describe_matcher(matcher: &Matcher) -> Value {
    let mut value = json!({});
    if !matcher.verbs.is_empty() {
        value["verbs"] = json!(matcher.verbs);
    }
    let texts = [
        ("resource", &matcher.resource),
        ("subresource", &matcher.subresource),
        ("namespace", &matcher.namespace),
        ("name", &matcher.name),
        ("path", &matcher.path),
        ("userAgent", &matcher.user_agent),
        ("user", &matcher.user),
    ];
    for (field, text) in texts {
        if let Some(text) = text {
            value[field] = text.as_str().into();
        }
    }
    value
}

/// An open watch.
pub(super) fn watch(facts: &Facts) -> Value {
    json!({
        "resource": facts.qualified, "namespace": facts.namespace, "path": facts.path, "userAgent": facts.user_agent,
        "user": facts.user,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-220 to D-227: what is told can be planned again.
    #[test]
    fn a_fault_that_is_told_is_the_fault_that_was_said() {
        let matcher = json!({"verbs": ["patch"], "resource": "widgets*", "subresource": "status", "namespace": "a",
            "name": "x*", "path": "/apis*", "userAgent": "kopf/*", "user": "me"});
        let effects = [
            json!({"do": "answer", "status": 429, "reason": "R", "message": "m", "retryAfter": 3}),
            json!({"do": "delay", "seconds": 0.5}),
            json!({"do": "delay-body", "seconds": 0.5}),
            json!({"do": "hang"}),
            json!({"do": "drop", "how": "hard"}),
            json!({"do": "lose", "how": "truncated"}),
            json!({"do": "interfere", "patch": {"a": null}, "addFinalizers": ["a/b"], "removeFinalizers": ["c/d"]}),
            json!({"do": "interfere", "delete": true}),
            json!({"do": "stale", "changes": 3}),
            json!({"do": "stale", "seconds": 3.0}),
            json!({"do": "cut", "how": "half-line", "afterEvents": 2}),
            json!({"do": "error", "status": 500, "reason": "R", "message": "m", "afterSeconds": 2.0}),
            json!({"do": "stall", "afterEvents": 0}),
            json!({"do": "delay-events", "seconds": 1.0}),
            json!({"do": "repeat", "changes": 2}),
            json!({"do": "duplicate"}),
        ];
        for mut said in effects {
            said["matcher"] = matcher.clone();
            said["skip"] = 1.into();
            said["times"] = 2.into();
            said["for"] = 5.0.into();
            said["probability"] = 0.5.into();
            let fault = fault(&said).unwrap();
            let mut again = told(&Told { id: 1, fault, happened: 0, left: None });
            for field in ["id", "happened", "left"] {
                again.as_object_mut().unwrap().remove(field);
            }
            assert_eq!(again, said);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        for (said, words) in [
            (json!([]), "the body: [] is not right: expected an object"),
            (json!({}), "do is missing"),
            (json!({"do": "explode"}), "do: \"explode\" is not right: expected answer, delay"),
            (json!({"do": "answer"}), "status is missing"),
            (
                json!({"do": "answer", "status": 200}),
                "status: 200 is not right: expected an HTTP status from 400",
            ),
            (json!({"do": "answer", "status": 429, "retryAfter": "1"}), "retryAfter: \"1\""),
            (
                json!({"do": "hang", "seconds": 3}),
                "seconds is no field that is known here: expected one of do, matcher",
            ),
            (
                json!({"do": "delay", "seconds": -1}),
                "seconds: -1 is not right: expected a number of seconds from 0",
            ),
            (json!({"do": "hang", "times": 0}), "times: 0 is not right: expected a whole number from 1 on"),
            (
                json!({"do": "hang", "probability": 2}),
                "probability: 2 is not right: expected a number between 0 and 1",
            ),
            (
                json!({"do": "hang", "matcher": {"verbs": ["fetch"]}}),
                "matcher.verbs[0]: \"fetch\" is not right",
            ),
            (json!({"do": "hang", "matcher": {"verbs": "get"}}), "matcher.verbs: \"get\" is not right"),
            (json!({"do": "hang", "matcher": {"kind": "x"}}), "matcher.kind is no field that is known here"),
            (
                json!({"do": "cut", "how": "softly"}),
                "how: \"softly\" is not right: expected one of clean, hard",
            ),
            (json!({"do": "stale"}), "changes is missing"),
            (json!({"do": "stale", "changes": 1, "seconds": 1}), "only one of changes and seconds"),
            (json!({"do": "interfere", "patch": 1}), "patch: 1 is not right"),
            (json!({"do": "interfere", "delete": true, "patch": {}}), "delete: true is not right"),
        ] {
            let error = fault(&said).unwrap_err();
            assert_eq!(error.code(), 400);
            assert!(error.to_string().contains(words), "{said}: {error}");
        }
    }
}
