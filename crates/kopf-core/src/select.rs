//! Selection of handlers: which of the declared ones are concerned by a cause (W-HSL, A-FLT).
//!
//! A handler *matches* if all its criteria hold; it *prematches* if they hold but for the change of its field. An object
//! that no state-changing handler prematches is invisible to change detection (W-CYC-009).

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    cause::Cause,
    error::ErrorInfo,
    field::FieldPath,
    filter::Criterion,
    handler::{Handler, Trigger},
    json::python_eq,
    object::Object,
};

/// The event handlers that match, in the order of declaration.
///
/// # Errors
/// What a filter raises.
pub fn watching(handlers: &[Arc<Handler>], cause: &Cause) -> Result<Vec<Arc<Handler>>, ErrorInfo> {
    select(handlers, |handler| Ok(handler.trigger == Trigger::Event && prematches(handler, cause)?))
}

/// The state-changing handlers that match, in the order of declaration; one function under one id comes once (W-CYC-018).
///
/// # Errors
/// What a filter raises.
pub fn changing(handlers: &[Arc<Handler>], cause: &Cause) -> Result<Vec<Arc<Handler>>, ErrorInfo> {
    select(handlers, |handler| Ok(is_due(handler, cause) && matches(handler, cause)?))
}

/// Whether any state-changing handler prematches (W-HSL-002).
///
/// # Errors
/// What a filter raises.
pub fn is_concerned(handlers: &[Arc<Handler>], cause: &Cause) -> Result<bool, ErrorInfo> {
    any(handlers, |handler| {
        Ok(handler.trigger.is_changing()
            && (prematches(handler, cause)? || awaits_its_removal(handler, cause)?))
    })
}

/// Whether a handler requires the finalizer: a delete handler that is not optional, and prematches (W-FIN-003).
///
/// # Errors
/// What a filter raises.
pub fn requires_finalizer(handlers: &[Arc<Handler>], cause: &Cause) -> Result<bool, ErrorInfo> {
    any(handlers, |handler| {
        Ok(handler.trigger == Trigger::Delete { optional: false } && prematches(handler, cause)?)
    })
}

/// Whether the handler runs for the reason of the cause (W-HSL-003).
fn is_due(handler: &Handler, cause: &Cause) -> bool {
    let Some(reason) = cause.reason.filter(|reason| reason.is_handled()) else { return false };
    match handler.trigger {
        Trigger::Event => false,
        Trigger::Create | Trigger::Update | Trigger::Delete { .. } => {
            handler.trigger.reason() == Some(reason)
        }
        Trigger::Resume { deleted } => cause.initial && (deleted || !cause.object.is_deleting()),
        Trigger::Field | Trigger::Sub { .. } => true,
    }
}

/// Whether all criteria hold. Callbacks come last, and only if all else holds (A-FLT-001).
fn matches(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    Ok(matches_metadata(handler, cause)?
        && matches_value(handler, cause)?
        && matches_change(handler, cause)?
        && matches_when(handler, cause)?)
}

/// Whether all criteria hold but for the change of the field.
fn prematches(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    Ok(matches_metadata(handler, cause)? && matches_value(handler, cause)? && matches_when(handler, cause)?)
}

/// Whether an object that was never handled has a field whose removal the handler is about: it must be noted what there was,
/// or else the removal is no update but a creation.
fn awaits_its_removal(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    let is_about_changes = matches!(handler.trigger, Trigger::Update | Trigger::Field);
    let Some(criterion) = handler.filters.value.as_ref().filter(|_| handler.field().is_some()) else {
        return Ok(false);
    };
    Ok(is_about_changes
        && cause.old.is_none()
        && matches_metadata(handler, cause)?
        && holds(criterion, None, cause)?
        && matches_when(handler, cause)?)
}

fn matches_metadata(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    let filters = &handler.filters;
    Ok(matches_keys(&filters.labels, Object::labels, cause)?
        && matches_keys(&filters.annotations, Object::annotations, cause)?)
}

/// Reads nothing of the object if there is nothing to compare: it may not be decoded yet.
fn matches_keys(
    criteria: &[(String, Criterion)],
    content: impl FnOnce(&Object) -> Option<&Map<String, Value>>,
    cause: &Cause,
) -> Result<bool, ErrorInfo> {
    if criteria.is_empty() {
        return Ok(true);
    }
    let content = content(&cause.object);
    for (key, criterion) in criteria {
        if !holds(criterion, content.and_then(|content| content.get(key)), cause)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Checks the value of the field in the states that the handler is about: any of them suffices (W-HSL-005).
fn matches_value(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    let Some(field) = handler.field() else { return Ok(true) };
    let criterion = handler.filters.value.as_ref().unwrap_or(&Criterion::Present);
    let new = if handler.trigger.is_changing() {
        resolve(field, cause.new.as_deref())
    } else {
        field.resolve(cause.object.body())
    };
    if holds(criterion, new, cause)? {
        return Ok(true);
    }
    // The state before does not count where there was none, nor for handlers that are about the object as it is (FIX-4).
    let is_about_changes = matches!(handler.trigger, Trigger::Update | Trigger::Field | Trigger::Sub { .. });
    match cause.old.as_deref() {
        Some(old) if is_about_changes => holds(criterion, field.resolve(old), cause),
        _ => Ok(false),
    }
}

/// Checks that the field has changed, and from what to what (W-HSL-006). Presence counts, so no value at all differs from null.
fn matches_change(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    let needs_change =
        matches!(handler.trigger, Trigger::Update | Trigger::Field | Trigger::Sub { needs_change: true });
    let Some(field) = handler.field().filter(|_| needs_change) else { return Ok(true) };
    let (old, new) = (resolve(field, cause.old.as_deref()), resolve(field, cause.new.as_deref()));
    Ok(!is_same(old, new)
        && side_holds(handler.filters.old.as_ref(), old, cause)?
        && side_holds(handler.filters.new.as_ref(), new, cause)?)
}

fn matches_when(handler: &Handler, cause: &Cause) -> Result<bool, ErrorInfo> {
    handler.filters.when.as_ref().map_or(Ok(true), |when| when.test(None, cause))
}

fn side_holds(
    criterion: Option<&Criterion>,
    value: Option<&Value>,
    cause: &Cause,
) -> Result<bool, ErrorInfo> {
    criterion.map_or(Ok(true), |criterion| holds(criterion, value, cause))
}

fn holds(criterion: &Criterion, value: Option<&Value>, cause: &Cause) -> Result<bool, ErrorInfo> {
    match criterion {
        Criterion::Equals(expected) => Ok(value.is_some_and(|value| python_eq(value, expected))),
        Criterion::Present => Ok(value.is_some()),
        Criterion::Absent => Ok(value.is_none()),
        Criterion::Callback(callback) => callback.test(value, cause),
    }
}

fn is_same(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => python_eq(old, new),
        _ => false,
    }
}

fn resolve<'a>(field: &FieldPath, state: Option<&'a Value>) -> Option<&'a Value> {
    field.resolve(state?)
}

fn any(
    handlers: &[Arc<Handler>],
    accepts: impl Fn(&Handler) -> Result<bool, ErrorInfo>,
) -> Result<bool, ErrorInfo> {
    for handler in handlers {
        if accepts(handler)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn select(
    handlers: &[Arc<Handler>],
    accepts: impl Fn(&Handler) -> Result<bool, ErrorInfo>,
) -> Result<Vec<Arc<Handler>>, ErrorInfo> {
    let mut selected: Vec<Arc<Handler>> = Vec::new();
    for handler in handlers {
        let is_same = |other: &Arc<Handler>| other.function == handler.function && other.id == handler.id;
        if accepts(handler)? && !selected.iter().any(is_same) {
            selected.push(handler.clone());
        }
    }
    Ok(selected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        filter::{Filters, Predicate},
        handler::{Needs, Options},
        reason::Reason,
    };

    fn cause(reason: Option<Reason>, body: Value, old: Option<Value>) -> Cause {
        let new = json!({"spec": body.get("spec")});
        Cause {
            object_id: 1,
            cycle: 1,
            resource: Arc::default(),
            event_type: None,
            object: Object::new(body),
            reason,
            initial: false,
            old: old.map(Arc::new),
            new: Some(Arc::new(new)),
            diff: Arc::default(),
            waits: None,
        }
    }

    fn handler(trigger: Trigger, filters: Filters) -> Handler {
        let id = "fn".into();
        Handler { id, trigger, filters, options: Options::default(), function: 1, needs: Needs::ALL }
    }

    fn about(field: &str, value: Criterion) -> Filters {
        Filters { field: Some(FieldPath::dotted(field)), value: Some(value), ..Filters::default() }
    }

    /// FIX-4: there is no state before a creation, so nothing was absent in it.
    #[test]
    fn the_state_before_counts_for_updates_only() {
        let check = |trigger, old: Option<Value>, expected: bool| {
            let cause = cause(Some(Reason::Update), json!({"spec": {"f": 1}}), old);
            let handler = handler(trigger, about("spec.f", Criterion::Absent));
            assert_eq!(matches_value(&handler, &cause).unwrap(), expected, "{trigger:?}");
        };
        check(Trigger::Create, None, false);
        check(Trigger::Field, None, false);
        check(Trigger::Field, Some(json!({})), true);
        check(Trigger::Update, Some(json!({})), true);
        check(Trigger::Delete { optional: false }, Some(json!({})), false);
        check(Trigger::Resume { deleted: false }, Some(json!({})), false);
    }

    /// W-CYC-009: what it had must be known when it is removed; no handler is called before (FIX-4).
    #[test]
    fn an_object_is_noted_for_those_who_wait_for_a_removal() {
        let check = |trigger, old: Option<Value>, expected: bool| {
            let cause = cause(Some(Reason::Create), json!({"spec": {"f": 1}}), old);
            let handlers = [Arc::new(handler(trigger, about("spec.f", Criterion::Absent)))];
            assert_eq!(is_concerned(&handlers, &cause).unwrap(), expected, "{trigger:?}");
            assert!(changing(&handlers, &cause).unwrap().is_empty(), "{trigger:?}");
        };
        check(Trigger::Update, None, true);
        check(Trigger::Field, None, true);
        check(Trigger::Create, None, false);
        check(Trigger::Delete { optional: false }, None, false);
        check(Trigger::Update, Some(json!({"spec": {"f": 1}})), false);
    }

    /// FIX-5: callbacks get nothing for what is absent, in labels and in fields alike.
    #[test]
    fn callbacks_see_absent_values_as_none() {
        #[derive(Debug)]
        struct IsNone;
        impl Predicate for IsNone {
            fn test(&self, value: Option<&Value>, _: &Cause) -> Result<bool, ErrorInfo> {
                Ok(value.is_none())
            }
        }
        let absent = || Criterion::Callback(Arc::new(IsNone));
        let cause = cause(None, json!({"metadata": {"labels": {"here": "x"}}, "spec": {}}), None);
        let check = |filters: Filters, expected: bool| {
            assert_eq!(prematches(&handler(Trigger::Event, filters), &cause).unwrap(), expected);
        };
        check(about("spec.f", absent()), true);
        check(about("spec", absent()), false);
        check(Filters { labels: vec![("gone".into(), absent())], ..Filters::default() }, true);
        check(Filters { labels: vec![("here".into(), absent())], ..Filters::default() }, false);
    }

    /// FIX-20, A-FLT-026: parts that are null or no mappings are as absent.
    #[test]
    fn malformed_objects_are_no_errors() {
        let body = json!({"metadata": {"labels": null, "annotations": "x"}, "spec": "text"});
        let cause = cause(None, body, None);
        let check = |filters: Filters, expected: bool| {
            assert_eq!(prematches(&handler(Trigger::Event, filters), &cause).unwrap(), expected);
        };
        check(Filters { labels: vec![("l".into(), Criterion::Present)], ..Filters::default() }, false);
        check(Filters { labels: vec![("l".into(), Criterion::Absent)], ..Filters::default() }, true);
        check(Filters { annotations: vec![("a".into(), Criterion::Absent)], ..Filters::default() }, true);
        check(about("spec.f", Criterion::Present), false);
    }

    /// A-HID-009, A-HID-010: one function under one id comes once, two functions under one id are two handlers.
    #[test]
    fn a_function_under_an_id_is_selected_once() {
        let resume = Trigger::Resume { deleted: false };
        let same = |trigger, function| Arc::new(Handler { function, ..handler(trigger, Filters::default()) });
        let cause = Cause { initial: true, ..cause(Some(Reason::Update), json!({}), Some(json!({}))) };
        let handlers = [same(resume, 1), same(Trigger::Update, 1), same(Trigger::Update, 2)];
        let selected = changing(&handlers, &cause).unwrap();
        assert_eq!(selected.iter().map(|handler| handler.function).collect::<Vec<_>>(), [1, 2]);
    }
}
