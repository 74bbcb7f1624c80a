//! Sub-handlers in one call of their parent, without an engine.

use std::time::Duration;

use kopf_core::outcome::Outcome;
use serde_json::{Value, json};

use super::*;
use crate::{
    environment::Environment,
    prelude::*,
    testing_cause::{Database, body, call, cause_of, handler as parent},
};

/// One attempt of a parent with this body of the object: its end, and the object as the patch makes it.
async fn run<A>(function: impl Handler<Database, A>, body: Value) -> (Ended, Value) {
    let cause = cause_of(call(1, parent("build", 1), body.clone()), Environment::default());
    let ended = attempt(cause.clone(), function.into_function().run).await;
    let mut after = body;
    apply(&mut after, &cause.patch().merge_patch());
    (ended, after)
}

fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            apply(&mut target[key], value);
        }
    }
}

fn names(ids: &[HandlerId]) -> Vec<&str> {
    ids.iter().map(HandlerId::as_str).collect()
}

async fn launch() -> Json<&'static str> {
    Json("afloat")
}

async fn stuck() -> Result {
    Err(temporary("no wind", Duration::from_secs(30)))
}

async fn sunk() -> Result {
    Err(permanent("a hole"))
}

async fn broken() {
    panic!("oops");
}

#[tokio::test]
async fn they_run_after_their_parent_and_keep_their_results() {
    // A-SUB-002, A-RES-005.
    async fn build(ships: Subhandlers<Database>) -> Json<&'static str> {
        ships.add(launch);
        Json("ready")
    }
    let (ended, after) = run(build, body()).await;
    assert!(matches!(ended.outcome, Outcome::Succeeded(Some(result)) if result == "ready"));
    assert_eq!(names(&ended.subrefs), ["build/launch"]);
    assert_eq!(after["status"]["build/launch"], "afloat");
}

#[tokio::test]
async fn a_parent_with_unfinished_ones_is_unfinished_and_only_those_run_again() {
    // A-SUB-021, A-SUB-023.
    async fn build(ships: Subhandlers<Database>, patch: Patch) -> Result {
        ships.add(launch);
        ships.add(stuck);
        ships.execute().await?;
        patch.label("complete", Some("yes"));
        Ok(())
    }
    let (first, after) = run(build, body()).await;
    // One after another, as the lifecycle says: the first step may not have run both.
    assert!(matches!(first.outcome, Outcome::Unfinished(Some(_))), "{:?}", first.outcome);
    let (second, after) = run(build, after).await;
    let Outcome::Unfinished(Some(delay)) = second.outcome else { panic!("{:?}", second.outcome) };
    assert!((29..=30).contains(&delay.as_secs()), "{delay}");
    assert_eq!(after["status"]["build/launch"], "afloat");
    assert_eq!(after["metadata"]["labels"], body()["metadata"]["labels"]);
}

#[tokio::test]
async fn an_error_that_is_swallowed_does_not_finish_the_parent() {
    // FIX-15.
    async fn build(ships: Subhandlers<Database>) {
        ships.add(stuck);
        let _ = ships.execute().await;
    }
    assert!(matches!(run(build, body()).await.0.outcome, Outcome::Unfinished(Some(_))));
}

#[tokio::test]
async fn an_error_of_the_parent_itself_is_its_own() {
    async fn build(ships: Subhandlers<Database>) -> Result {
        ships.add(stuck);
        let _ = ships.execute().await;
        Err(permanent("the wharf is closed"))
    }
    let (ended, _) = run(build, body()).await;
    assert!(matches!(ended.outcome, Outcome::Permanent(error) if error.text == "the wharf is closed"));
    assert_eq!(names(&ended.subrefs), ["build/stuck"]);
}

#[tokio::test]
async fn those_that_failed_for_good_are_finished() {
    // KEEP-9.
    async fn build(ships: Subhandlers<Database>) {
        ships.add(sunk);
        ships.add(handler(broken).errors(ErrorsMode::Permanent));
    }
    let (_, after) = run(build, body()).await;
    let (ended, _) = run(build, after).await;
    assert!(matches!(ended.outcome, Outcome::Succeeded(None)), "{:?}", ended.outcome);
}

#[tokio::test]
async fn they_nest() {
    // A-SUB-006, W-REC-010.
    async fn fleet(ships: Subhandlers<Database>) {
        ships.add(launch);
    }
    async fn build(fleets: Subhandlers<Database>) {
        fleets.add(fleet);
    }
    let (ended, after) = run(build, body()).await;
    assert!(matches!(ended.outcome, Outcome::Succeeded(None)), "{:?} {after:#}", ended.outcome);
    assert_eq!(names(&ended.subrefs), ["build/fleet", "build/fleet/launch"]);
    assert_eq!(after["status"]["build/fleet/launch"], "afloat");
}

#[tokio::test]
async fn what_is_declared_wrongly_fails_the_parent_for_good() {
    async fn nameless(ships: Subhandlers<Database>) {
        ships.add(|| async {});
    }
    async fn twice(ships: Subhandlers<Database>) {
        ships.add(launch);
        ships.add(handler(stuck).id("launch"));
    }
    async fn sides(ships: Subhandlers<Database>) {
        // A-SUB-008.
        ships.add(handler(launch).field("spec.size").old(1));
    }
    async fn problem<A>(function: impl Handler<Database, A>) -> String {
        match run(function, body()).await.0.outcome {
            Outcome::Permanent(error) => error.text,
            other => panic!("{other:?}"),
        }
    }
    assert!(problem(nameless).await.contains("has no name"));
    assert_eq!(problem(twice).await, "two sub-handlers have the id `build/launch`");
    assert!(problem(sides).await.contains("only handlers of updates and of fields"));
}
