//! The control endpoint `/_dev/…`: faults, the clock and the log of requests for clients in any language.
//!
//! Off unless asked for ([`crate::Builder::control`]). It says in JSON what [`crate::Faults`] and [`crate::Clock`] say in
//! Rust: `wire` translates between the two, and is what Python uses too, so that a fault is described in one way.

mod fields;
mod wire;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::faults::{Ending, Injected};
use crate::requests::RequestRecord;
use crate::server::Shared;
use crate::status::ApiError;
use fields::Fields;

/// What follows `/_dev/` in a path.
pub(crate) fn path(raw: &str) -> Option<&str> {
    raw.strip_prefix("/_dev/").or_else(|| (raw == "/_dev").then_some(""))
}

/// Does what a request to the endpoint asks for.
///
/// # Errors
///
/// 400 for a body that cannot be understood, 404 for what is not there, 405 for other methods.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<(StatusCode, Value), ApiError> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let body = || parse(body);
    let value = match (method.as_str(), segments.as_slice()) {
        ("GET", []) => json!({"paths": PATHS}),
        ("POST", ["faults"]) => {
            let fault = wire::fault(&body()?)?;
            let id = shared.faults.plan(fault, shared.clock.moment());
            return Ok((StatusCode::CREATED, json!({"id": id.0})));
        }
        ("GET", ["faults"]) => json!({"faults": told(shared)}),
        ("DELETE", ["faults"]) => json!({"faults": shared.faults.clear()}),
        ("GET", ["faults", id]) => {
            let id = fault_id(id)?;
            let fault = told(shared).into_iter().find(|fault| fault["id"] == id);
            fault.ok_or_else(|| no_fault(id))?
        }
        ("DELETE", ["faults", id]) => {
            let id = fault_id(id)?;
            if !shared.faults.remove(id) {
                return Err(no_fault(id));
            }
            json!({})
        }
        ("GET", ["watches"]) => {
            let watches = shared.faults.open(&crate::faults::Matcher::any());
            json!({"watches": watches.iter().map(|watch| wire::watch(&watch.facts)).collect::<Vec<_>>()})
        }
        ("POST", ["watches", what @ ("cut" | "error" | "stall" | "delay")]) => {
            watches(shared, what, &body()?)?
        }
        ("POST", ["compact"]) => compact(shared, &body()?)?,
        ("POST", ["restart"]) => {
            let restart = wire::restart(&body()?)?;
            let done = crate::restart::restart(shared, restart).await;
            done.map_err(|error| ApiError::bad_request(error.to_string()))?;
            json!({"resourceVersion": shared.store.revision().to_string(), "version": shared.version()})
        }
        ("GET", ["clock"]) => clock(&shared.clock),
        ("POST", ["clock"]) => move_clock(&shared.clock, &body()?)?,
        ("GET", ["requests"]) => {
            json!({"requests": shared.requests.all().iter().map(record).collect::<Vec<_>>()})
        }
        ("DELETE", ["requests"]) => json!({"requests": shared.requests.take().len()}),
        (_, segments) if is_known(segments) => return Err(ApiError::method_not_allowed()),
        _ => {
            let message = format!(
                "/_dev/{path} is no path of the control endpoint: expected one of {}",
                PATHS.join(", ")
            );
            return Err(ApiError::new(404, "NotFound", message, None));
        }
    };
    Ok((StatusCode::OK, value))
}

/// What there is.
const PATHS: &[&str] = &[
    "/_dev/faults",
    "/_dev/faults/{id}",
    "/_dev/watches",
    "/_dev/watches/cut",
    "/_dev/watches/error",
    "/_dev/watches/stall",
    "/_dev/watches/delay",
    "/_dev/compact",
    "/_dev/restart",
    "/_dev/clock",
    "/_dev/requests",
];

fn is_known(segments: &[&str]) -> bool {
    let path = format!("/_dev/{}", segments.join("/"));
    PATHS.contains(&path.as_str()) || matches!(segments, ["faults", _])
}

fn parse(body: &[u8]) -> Result<Value, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(json!({}));
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body is no JSON: {error}: expected an object")))
}

fn fault_id(text: &str) -> Result<u64, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad_request(format!("{text:?} is no id of a fault: expected a number")))
}

fn no_fault(id: u64) -> ApiError {
    ApiError::new(404, "NotFound", format!("there is no fault {id}, or not any more"), None)
}

fn told(shared: &Shared) -> Vec<Value> {
    shared.faults.told(shared.clock.moment()).iter().map(wire::told).collect()
}

/// Lets something happen to the watches that are open.
fn watches(shared: &Shared, what: &str, body: &Value) -> Result<Value, ApiError> {
    let mut fields = Fields::of("", body)?;
    let matcher = wire::matcher(&mut fields)?;
    let injected = match what {
        "cut" => Injected::from(Ending::Cut(wire::cut(&mut fields, "clean")?)),
        "error" => Injected::from(Ending::Error(wire::answer(&mut fields, Some(410))?)),
        "delay" => Injected::DelayEvents(fields.required("seconds", Fields::duration)?),
        _ => Injected::Stall,
    };
    fields.finish()?;
    Ok(json!({"watches": shared.faults.inject(&matcher, &injected)}))
}

fn compact(shared: &Shared, body: &Value) -> Result<Value, ApiError> {
    let mut fields = Fields::of("", body)?;
    let asked = fields.count("resourceVersion")?;
    fields.finish()?;
    let newest = shared.store.revision();
    let revision = match asked.map(|asked| u64::try_from(asked).unwrap_or(u64::MAX)) {
        Some(asked) if asked > newest => {
            return Err(Fields::wrong(
                "resourceVersion",
                &asked.into(),
                &format!("at most {newest}, the newest"),
            ));
        }
        asked => asked.unwrap_or(newest),
    };
    shared.store.compact(revision);
    Ok(json!({"resourceVersion": revision.to_string()}))
}

fn clock(clock: &Clock) -> Value {
    json!({"now": clock.now().to_string(), "frozen": clock.is_frozen()})
}

fn move_clock(clock: &Clock, body: &Value) -> Result<Value, ApiError> {
    let mut fields = Fields::of("", body)?;
    let (advance, freeze, run) = (fields.duration("advance")?, fields.flag("freeze")?, fields.flag("run")?);
    fields.finish()?;
    if freeze && run {
        return Err(Fields::wrong("run", &true.into(), "only one of freeze and run"));
    }
    if advance.is_none() && !freeze && !run {
        return Err(ApiError::bad_request("the body says nothing: expected advance, freeze or run"));
    }
    if freeze {
        clock.freeze();
    }
    if let Some(time) = advance {
        clock.advance(time);
    }
    if run {
        clock.run();
    }
    Ok(self::clock(clock))
}

fn record(record: &RequestRecord) -> Value {
    json!({
        "method": record.method, "path": record.path, "query": record.query, "verb": record.verb,
        "contentType": record.content_type, "userAgent": record.user_agent, "user": record.user,
        "body": record.body, "status": record.status, "time": record.time.to_string(),
    })
}
