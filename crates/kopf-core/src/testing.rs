//! Values for property tests.

use proptest::prelude::*;
use serde_json::{Map, Number, Value};

/// JSON of few keys and values, so that two of them have much in common.
pub(crate) fn any_value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_i64..3).prop_map(Value::from),
        prop_oneof![Just(0.0), Just(1.0), Just(0.5)]
            .prop_map(|float| Number::from_f64(float).map_or(Value::Null, Value::from)),
        "[xy/~']{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![mapping_of(inner.clone()), prop::collection::vec(inner, 0..5).prop_map(Value::from)]
    })
    .boxed()
}

/// A mapping of such values.
pub(crate) fn any_mapping() -> BoxedStrategy<Value> {
    mapping_of(any_value()).boxed()
}

fn mapping_of(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec(("[abc/]|~1?", values), 0..4)
        .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>()))
}
