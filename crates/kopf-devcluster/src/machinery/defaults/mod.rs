//! What built-in types fill in when it is not said (D-065).
//!
//! Most defaults are data: a field of a type and its value. Those that depend on other fields are in
//! [`derived`]. What a real server fills in later, when it prepares or admits an object, is not here, but for
//! pods in [`pods`]: such fields belong to no field manager.
//!
//! Left out: what needs the object's uid (selectors of Jobs) or a range of addresses (Services).

mod derived;
pub(crate) mod pods;

use std::{collections::HashMap, sync::LazyLock};

use serde_json::{Map, Value};

use super::types::{self, Shape, TypeId, decode};

/// The defaults of a type: paths of fields, and values.
type Defaults = Vec<(Vec<&'static str>, Value)>;

static TABLE: LazyLock<HashMap<TypeId, Defaults>> = LazyLock::new(load);

/// Fills in the defaults of a decoded object of a built-in type.
///
/// The object is written anew as its type writes it, so that its fields keep their order.
pub(crate) fn apply(object: &mut Value, id: TypeId) {
    fill_in(object, id);
    // Cannot fail: the object was decoded, and defaults have the right types, as a test shows.
    if let Ok(decoded) = decode::decode(object, id, "") {
        *object = decoded.value;
    }
}

fn fill_in(object: &mut Value, id: TypeId) {
    for (path, default) in TABLE.get(&id).into_iter().flatten() {
        set_if_missing(object, path, default);
    }
    derived::fill_in(object, id);
    for field in &id.get().fields {
        match (&field.shape, field.is_inline) {
            (Shape::Object(inner), true) => fill_in(object, *inner),
            (shape, _) => {
                if let Some(value) = object.get_mut(&field.name) {
                    fill_in_value(value, shape);
                }
            }
        }
    }
}

fn fill_in_value(value: &mut Value, shape: &Shape) {
    match (shape, value) {
        (Shape::Object(id), value @ Value::Object(_)) => fill_in(value, *id),
        (Shape::List(item), Value::Array(items)) => {
            items.iter_mut().for_each(|value| fill_in_value(value, item))
        }
        (Shape::Map(item), Value::Object(entries)) => {
            entries.values_mut().for_each(|value| fill_in_value(value, item));
        }
        _ => {}
    }
}

/// Sets the field at a path unless it has a value, making objects on the way.
fn set_if_missing(object: &mut Value, path: &[&str], default: &Value) {
    let Value::Object(fields) = object else { return };
    match path {
        [] => {}
        [name] => {
            let is_missing = fields.get(*name).is_none_or(|value| value.is_null() || value == "");
            if is_missing {
                fields.insert((*name).to_owned(), default.clone());
            }
        }
        [name, rest @ ..] => {
            let inner = fields.entry(*name).or_insert(Value::Null);
            if inner.is_null() {
                *inner = Value::Object(Map::new());
            }
            set_if_missing(inner, rest, default);
        }
    }
}

/// # Panics
///
/// A line of the table is malformed. A test loads it.
fn load() -> HashMap<TypeId, Defaults> {
    let mut table: HashMap<TypeId, Defaults> = HashMap::new();
    let mut current = None;
    for line in include_str!("table.txt").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            None => {
                let (scope, name) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} names no type"));
                let id = types::find(scope, name).unwrap_or_else(|| panic!("there is no type {line:?}"));
                current = Some(id);
            }
            Some(line) => {
                let (path, value) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?} has no value"));
                let value = serde_json::from_str(value).unwrap_or_else(|_| panic!("{line:?} is no JSON"));
                let id = current.unwrap_or_else(|| panic!("{line:?} belongs to no type"));
                table.entry(id).or_default().push((path.split('.').collect(), value));
            }
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::testing;
    use serde_json::json;

    fn defaulted(group: &str, version: &str, kind: &str, object: &Value) -> Value {
        let id = types::of_kind(group, version, kind).unwrap();
        let mut object = decode::decode(object, id, "").unwrap().value;
        apply(&mut object, id);
        object
    }

    /// Defaults are values of their fields.
    #[test]
    fn the_table_fits_the_types() {
        assert!(TABLE.len() > 40);
        for (id, defaults) in TABLE.iter() {
            for (path, value) in defaults {
                let mut object = json!({});
                set_if_missing(&mut object, path, value);
                let decoded = decode::decode(&object, *id, "").unwrap();
                assert_eq!(decoded.unknown, Vec::<String>::new(), "{}", id.name());
            }
        }
    }

    /// D-065: what the real server stores of each built-in object that the scenarios create.
    #[test]
    fn created_objects_are_defaulted_as_by_the_real_server() {
        let scenarios = testing::scenarios();
        let answers = testing::contract_json("golden/apiserver-1.37.2.json");
        let mut kinds = std::collections::BTreeSet::new();
        for (scenario, steps) in answers["scenarios"].as_object().unwrap() {
            for answer in steps.as_array().unwrap() {
                let body = &answer["body"];
                let Some(api_version) = body["apiVersion"].as_str().filter(|_| answer["status"] == 201)
                else {
                    continue;
                };
                let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
                let kind = body["kind"].as_str().unwrap();
                let index = usize::try_from(answer["step"].as_u64().unwrap()).unwrap();
                let request = &testing::scenario_step(&scenarios, scenario, index)["b"];
                // Definitions get their names elsewhere, reviews their answers.
                let is_other =
                    kind.ends_with("Review") || kind == "CustomResourceDefinition" || kind == "TokenRequest";
                if types::of_kind(group, version, kind).is_none() || is_other || !request.is_object() {
                    continue;
                }
                let mut request = request.clone();
                request["kind"] = kind.into();
                request["apiVersion"] = api_version.into();
                let mut object = defaulted(group, version, kind, &request);
                if kind == "Pod" {
                    pods::admit(&mut object);
                    object["status"] = body["status"].clone();
                }
                let mut expected = body.clone();
                let late: &[&str] = match kind {
                    "Namespace" => &["/spec/finalizers", "/status/phase"],
                    "Service" => {
                        &["/spec/clusterIP", "/spec/clusterIPs", "/spec/ipFamilies", "/spec/ipFamilyPolicy"]
                    }
                    "Event" => &["/firstTimestamp", "/lastTimestamp", "/eventTime"],
                    "Lease" => &["/spec/renewTime"],
                    _ => &[],
                };
                for object in [&mut expected, &mut object] {
                    object["metadata"] = json!({});
                    for (parent, name) in late.iter().map(|pointer| pointer.rsplit_once('/').unwrap()) {
                        object.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().shift_remove(name);
                    }
                }
                let text = expected.to_string().replace("$NS", "").replace("$ID", "");
                assert_eq!(
                    object.to_string().replace("$NS", "").replace("$ID", ""),
                    text,
                    "{scenario} {index}"
                );
                kinds.insert(kind);
            }
        }
        assert!(kinds.len() >= 9, "{kinds:?}");
    }

    /// D-065: defaulting is done on every write and on apply, so it must settle at once.
    #[test]
    fn defaulting_twice_is_defaulting_once() {
        for (group, version, kind, object) in [
            (
                "apps",
                "v1",
                "Deployment",
                json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}}}),
            ),
            (
                "apps",
                "v1",
                "StatefulSet",
                json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "v"}}]}}),
            ),
            ("apps", "v1", "DaemonSet", json!({"spec": {}})),
            ("batch", "v1", "Job", json!({"spec": {}})),
            ("batch", "v1", "CronJob", json!({"spec": {"jobTemplate": {}}})),
            ("", "v1", "Service", json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}})),
            (
                "",
                "v1",
                "Pod",
                json!({"spec": {"volumes": [{"name": "v"}], "containers": [{"name": "c", "image": "i:1"}]}}),
            ),
            ("networking.k8s.io", "v1", "NetworkPolicy", json!({"spec": {"egress": [{}]}})),
            (
                "rbac.authorization.k8s.io",
                "v1",
                "RoleBinding",
                json!({"subjects": [{"kind": "User", "name": "u"}], "roleRef": {"kind": "Role", "name": "r"}}),
            ),
            ("autoscaling", "v2", "HorizontalPodAutoscaler", json!({"spec": {"maxReplicas": 3}})),
        ] {
            let once = defaulted(group, version, kind, &object);
            assert_eq!(defaulted(group, version, kind, &once).to_string(), once.to_string(), "{kind}");
        }
    }

    /// D-065.
    #[test]
    fn an_explicit_value_stays() {
        let deployment = defaulted(
            "apps",
            "v1",
            "Deployment",
            &json!({
                "spec": {"replicas": 0, "strategy": {"type": "Recreate"}, "revisionHistoryLimit": 0},
            }),
        );
        assert_eq!(deployment["spec"]["replicas"], 0);
        assert_eq!(deployment["spec"]["revisionHistoryLimit"], 0);
        assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
    }
}
