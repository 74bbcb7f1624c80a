//! Schemas of custom resources: what a CustomResourceDefinition's `openAPIV3Schema` does to objects.
//!
//! [`Schema`] is the schema in a form that is quick to walk. The steps on a write are, in this order (D-075):
//! [`prune`] (and report) unknown fields, [`defaults`] for nulls and defaults, [`validate`] keywords,
//! [`embedded`] metadata, [`lists`] for uniqueness. [`check`] decides whether a definition may have the schema.
//!
//! Rules in CEL are not evaluated here; [`Schema::has_rules`] tells that there are some.

pub(crate) mod check;
pub(crate) mod defaults;
pub(crate) mod embedded;
mod formats;
pub(crate) mod lists;
pub(crate) mod prune;
pub(crate) mod structural;
pub(crate) mod validate;

pub(crate) use structural::Schema;

#[cfg(test)]
mod tests {
    use super::{Schema, defaults, embedded, prune, validate};
    use crate::machinery::testing;

    /// D-075, D-076, D-077, DT-101, DT-102: what the real server stores, and what it warns of.
    #[test]
    fn a_write_gives_what_the_real_server_stores() {
        let scenarios = testing::scenarios();
        let schema = Schema::parse(testing::fixture_schema(&scenarios, "widgets.test.dev"));
        for (scenario, unknown) in [("DT-101", &["spec.x", "top"][..]), ("DT-102", &[])] {
            let mut object = testing::scenario_step(&scenarios, scenario, 0)["b"].clone();
            assert_eq!(prune::prune(&mut object, &schema), unknown);
            defaults::apply(&mut object, &schema);
            assert_eq!(embedded::coerce(&mut object, &schema).unwrap(), Vec::<String>::new());
            assert_eq!(validate::validate(&object, None, &schema, ""), []);
            let answer = testing::golden_step(scenario, 0)["body"].clone();
            assert_eq!(object["spec"], answer["spec"], "{scenario}");
            assert_eq!(object.get("status"), answer.get("status"), "{scenario}");
        }
    }
}
