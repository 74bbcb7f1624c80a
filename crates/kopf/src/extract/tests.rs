//! Arguments, made of hand-made causes.

use std::{sync::Mutex, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    EventType, ParseError, Patch, Reason,
    error::ErrorKind,
    testing_cause::{Database, DatabaseSpec, DatabaseStatus, body, call, cause, cause_of, handler},
};

fn take<T: FromCause<Database>>(body: Value) -> Result<T> {
    T::from_cause(&cause(body))
}

#[test]
fn arguments_show_the_parts_of_the_object() {
    assert_eq!(take::<Name>(body()).unwrap().0, "main");
    assert_eq!(take::<Namespace>(body()).unwrap().0, "prod");
    assert_eq!(take::<Uid>(body()).unwrap().0, "uid-1");
    assert_eq!(take::<Labels>(body()).unwrap().0["tier"], "gold");
    assert_eq!(take::<Annotations>(body()).unwrap().0["note"], "x");
    assert_eq!(take::<Obj<Database>>(body()).unwrap().spec.size, 3);
    assert_eq!(take::<Spec<DatabaseSpec>>(body()).unwrap().0.size, 3);
    assert_eq!(take::<Status<DatabaseStatus>>(body()).unwrap().0, None);
    assert_eq!(take::<Raw>(body()).unwrap()["spec"]["size"], 3);
}

#[test]
fn arguments_show_what_has_changed_and_which_attempt_it_is() {
    assert_eq!(take::<Old<u32>>(body()).unwrap().0, Some(2));
    assert_eq!(take::<New<u32>>(body()).unwrap().0, Some(3));
    assert_eq!(take::<Change<u32>>(body()).unwrap(), Change { old: Some(2), new: Some(3) });
    assert_eq!(take::<Reason>(body()).unwrap(), Reason::Update);
    assert_eq!(take::<Option<EventType>>(body()).unwrap(), Some(EventType::Modified));
    assert_eq!(take::<Event>(body()).unwrap().object["kind"], "Database");
    assert_eq!(take::<Retry>(body()).unwrap().0, 4);
    assert_eq!(take::<Runtime>(body()).unwrap().0, Duration::from_secs(9));
    assert_eq!(take::<Started>(body()).unwrap().0, jiff::Timestamp::UNIX_EPOCH);
}

#[test]
fn absent_and_malformed_metadata_reads_as_empty() {
    // FIX-20.
    let bare = json!({"metadata": {"labels": null, "annotations": "x"}});
    assert!(take::<Labels>(bare.clone()).unwrap().0.is_empty());
    assert!(take::<Annotations>(bare.clone()).unwrap().0.is_empty());
    assert_eq!(take::<Uid>(bare).unwrap().0, "");
}

#[test]
fn an_object_that_does_not_fit_is_a_permanent_error_that_says_where() {
    let mut odd = body();
    odd["spec"]["size"] = json!("large");
    let error = take::<Obj<Database>>(odd.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    assert_eq!(
        error.to_string(),
        "Database prod/main does not fit its Rust type: spec.size: invalid type: string \"large\", expected u32"
    );
    let error = take::<Spec<DatabaseSpec>>(json!({"metadata": {"name": "a"}})).unwrap_err();
    assert!(error.to_string().starts_with("the spec of a does not fit its Rust type: "), "{error}");
    // A handler that wants to know gets it.
    let result = take::<Result<Obj<Database>, ParseError>>(odd).unwrap();
    assert_eq!(result.unwrap_err().path(), "spec.size");
}

#[test]
fn an_old_state_that_does_not_fit_names_the_field() {
    let mut field = handler("update", 1);
    field.filters.field = Some(kopf_core::field::FieldPath::dotted("spec.size"));
    let cause = cause_of(call(1, field, body()), crate::environment::Environment::default());
    let error = Old::<String>::from_cause(&cause).unwrap_err();
    assert!(error.to_string().starts_with("the old spec.size of prod/main does not fit"), "{error}");
}

#[test]
fn the_patch_is_that_of_the_cycle() {
    let cause = cause(body());
    Patch::from_cause(&cause).unwrap().label("a", Some("b"));
    assert_eq!(cause.patch().merge_patch(), json!({"metadata": {"labels": {"a": "b"}}}));
}

#[test]
fn a_state_is_there_if_the_operator_has_it() {
    let mut states = States::default();
    states.insert(7_u32);
    let setup = Setup { states: &states, place: Place::Objects(Trigger::Create) };
    assert!(<Ctx<u32> as FromCause<Database>>::check(&setup).is_ok());
    let problem = <Ctx<String> as FromCause<Database>>::check(&setup).unwrap_err();
    assert!(problem.contains("Ctx<alloc::string::String>"), "{problem}");

    let environment = crate::environment::Environment::new(states.clone());
    let cause = cause_of(call(1, handler("x", 1), body()), environment);
    assert_eq!(*Ctx::<u32>::from_cause(&cause).unwrap(), 7);
}

#[test]
fn a_memo_lives_as_long_as_the_object() {
    let cause = cause(body());
    let remember = || Memo::<Mutex<u32>>::from_cause(&cause).unwrap();
    *remember().lock().unwrap() = 5;
    assert_eq!(*remember().lock().unwrap(), 5);
    cause.environment().forget(cause.core().object_id);
    assert_eq!(*remember().lock().unwrap(), 0);
}

#[test]
fn what_there_is_none_of_on_a_watch_event_is_refused_at_the_start() {
    let states = States::default();
    let setup = Setup { states: &states, place: Place::Objects(Trigger::Event) };
    assert!(<Reason as FromCause<Database>>::check(&setup).is_err());
    assert!(<Change<u32> as FromCause<Database>>::check(&setup).is_err());
    assert!(<Diff as FromCause<Database>>::check(&setup).is_err());
    assert!(<Name as FromCause<Database>>::check(&setup).is_ok());
}
