//! Declarations: what the engine is told, and what is refused.

use kopf_core::handler::{Needs, Trigger};

use super::*;
use crate::{ErrorsMode, prelude::*, testing_cause::Database};

async fn provision(_: Obj<Database>) {}
async fn resize(_: Change<u32>, _: Patch) {}
async fn tell(_: Name) {}

mod other {
    pub(super) async fn provision() {}
}

fn declared(operator: &Operator) -> Registry {
    operator.declare().unwrap_or_else(|problems| panic!("{problems:?}")).0
}

fn problems(operator: &Operator) -> Vec<String> {
    operator.declare().err().unwrap_or_default()
}

#[test]
fn handlers_are_declared_in_order_with_the_names_of_their_functions() {
    // A-HID-004, A-HID-008.
    let operator = Operator::new().serve(
        on::<Database>()
            .create(provision)
            .field("spec.size", resize)
            .event(tell)
            .delete(handler(tell).id("bye").optional()),
    );
    let registry = declared(&operator);
    let ids: Vec<_> = registry.resources.iter().map(|(_, handler)| handler.id.to_string()).collect();
    assert_eq!(ids, ["provision", "resize/spec.size", "tell", "bye"]);
    assert_eq!(registry.resources[3].1.trigger, Trigger::Delete { optional: true });
    let selector = &registry.resources[0].0;
    assert_eq!(selector.group.as_deref(), Some("example.com"));
    assert!(matches!(&selector.name, kopf_core::selector::Name::Plural(plural) if plural == "databases"));
}

#[test]
fn the_needs_of_a_handler_are_those_of_its_arguments() {
    let registry = declared(&Operator::new().serve(on::<Database>().event(tell).field("spec.size", resize)));
    let needs: Vec<_> = registry.resources.iter().map(|(_, handler)| handler.needs).collect();
    assert_eq!(needs, [Needs::METADATA, Needs::OLD.union(Needs::PATCH)]);
}

#[test]
fn one_function_under_two_triggers_is_one_function() {
    // A-HID-009.
    let registry = declared(&Operator::new().serve(on::<Database>().create(provision).resume(provision)));
    assert_eq!(registry.resources[0].1.function, registry.resources[1].1.function);
    assert_eq!(registry.resources[0].1.id, registry.resources[1].1.id);
}

#[test]
fn two_functions_with_one_id_are_refused() {
    // FIX-26.
    let colliding = on::<Database>().create(provision).update(other::provision);
    assert_eq!(
        problems(&Operator::new().serve(colliding)),
        ["two different handlers of Database have the id `provision`: rename one, or give it another id by \
          `handler(..).id(\"..\")`"]
    );
    let renamed = on::<Database>().create(provision).update(handler(other::provision).id("other"));
    assert!(problems(&Operator::new().serve(renamed)).is_empty());
}

#[test]
fn a_closure_must_have_an_id() {
    let on = on::<Database>().create(|_: Name| async {});
    assert_eq!(
        problems(&Operator::new().serve(on)),
        [
            "a handler given to `on::<Database>().create(..)` has no name, being a closure or a function pointer: \
          name it by `handler(..).id(\"..\")`"
        ]
    );
}

#[test]
fn a_missing_state_is_told_before_anything_starts() {
    async fn ask(_: Ctx<String>) {}
    let operator = Operator::new().serve(on::<Database>().create(ask));
    assert_eq!(
        problems(&operator),
        [
            "the create handler `ask` of Database asks for `Ctx<alloc::string::String>`, which the operator does not have: \
          give it one by `.with(..)`"
        ]
    );
    let operator = Operator::new().with(String::new()).serve(on::<Database>().create(ask));
    assert!(problems(&operator).is_empty());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    // A-DEC-005, A-DEC-018.
    fn problem(on: On<Database>) -> String {
        let all = problems(&Operator::new().serve(on));
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }
    assert!(problem(on().event(handler(tell).retries(3))).contains("is never retried"));
    assert!(problem(on().event(handler(tell).errors(ErrorsMode::Permanent))).contains("is never retried"));
    assert!(problem(on().create(handler(tell).value(1))).contains("add `field`"));
    assert!(
        problem(on().update(handler(tell).field("spec.size").value(1).old(2)))
            .contains("keep one of the two")
    );
    assert!(
        problem(on().create(handler(tell).field("spec.size").old(2))).contains("only handlers of updates")
    );
    assert!(problem(on().create(handler(tell).optional())).contains("not of deletions"));
    assert!(problem(on().create(handler(tell).deleted())).contains("not of resumes"));
}

#[test]
fn what_is_wrong_is_told_all_at_once() {
    let operator =
        Operator::new().serve(on::<Database>().create(|| async {}).event(handler(tell).retries(1)));
    let error = operator.into_engine().unwrap_err().to_string();
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn activities_are_checked_like_other_handlers() {
    async fn ask(_: Ctx<String>) {}
    async fn connect(_: kube::Client) {}
    async fn fine() {}
    let operator = Operator::new()
        .startup(ask)
        .startup(connect)
        .cleanup(connect)
        .cleanup(|| async {})
        .cleanup(handler(fine).label("a", "b"))
        .startup(fine);
    let all = problems(&operator);
    assert_eq!(all.len(), 4, "{all:?}");
    assert!(all[0].starts_with("the startup handler `ask` asks for `Ctx<alloc::string::String>`"));
    assert!(all[1].starts_with("the startup handler `connect` asks for a client"));
    assert!(all[2].starts_with("a handler given to `Operator::cleanup(..)` has no name"));
    assert!(all[3].starts_with("the cleanup handler `fine` has options that are about objects"));
}

#[test]
fn a_field_with_dots_in_its_keys_is_named_by_its_keys() {
    // A-DEC-017.
    let path = ["metadata", "labels", "example.com/tier"];
    let registry = declared(&Operator::new().serve(on::<Database>().field(path, resize)));
    let handler = &registry.resources[0].1;
    assert_eq!(handler.field().unwrap().0, path);
    assert_eq!(handler.id.as_str(), "resize/metadata.labels.example.com/tier");
}
