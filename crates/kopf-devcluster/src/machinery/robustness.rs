//! Whatever a client sends gets an answer: real objects with arbitrary parts replaced never make these functions
//! panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    defaults,
    fieldset::{
        apply,
        managed::{self, Writer},
        set::Set,
        view::View,
    },
    json_patch, merge_patch, metadata, names, object_meta, rules,
    schema::{self, Schema},
    selector::field,
    strategic,
    table::Printer,
    testing,
    types::{self, decode},
};

static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let scenarios = testing::scenarios();
    let answers = testing::contract_json("golden/apiserver-1.37.2.json");
    let steps = answers["scenarios"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|steps| steps.as_array().unwrap().clone());
    let bodies = steps.map(|step| step["body"].clone());
    let fixtures = scenarios["fixtures"].as_array().unwrap().clone();
    bodies.filter(|body| body["metadata"].is_object() && body["kind"].is_string()).chain(fixtures).collect()
});

/// A real object with a part replaced.
fn any_object() -> impl Strategy<Value = Value> {
    let pick = any::<prop::sample::Index>();
    let part = prop_oneof![
        testing::any_value(),
        prop_oneof![
            Just(json!("ä")),
            Just(json!(i64::MIN)),
            Just(json!(u64::MAX)),
            Just(json!(1e300)),
            Just(json!({"": null, "a/b": [[]]})),
        ],
    ];
    (pick, prop::collection::vec((any::<prop::sample::Index>(), part), 1..4)).prop_map(|(object, parts)| {
        let mut object = object.get(&OBJECTS).clone();
        for (position, part) in parts {
            replace(&mut object, position, part);
        }
        object
    })
}

fn replace(object: &mut Value, position: prop::sample::Index, part: Value) {
    let mut pointers = Vec::new();
    collect(object, "", &mut pointers);
    if let Some(target) = object.pointer_mut(&pointers[position.index(pointers.len())]) {
        *target = part;
    }
}

/// JSON pointers to all parts of a value.
fn collect(value: &Value, prefix: &str, pointers: &mut Vec<String>) {
    pointers.push(prefix.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(field, &format!("{prefix}/{name}"), pointers);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{prefix}/{index}"), pointers);
            }
        }
        _ => {}
    }
}

fn write(object: &Value, live: &Value, view: View<'_>) {
    let reset = managed::status_only();
    let writer =
        Writer { manager: "kubectl", api_version: "v1", subresource: "", now: "t", view, reset: &reset };
    let mut new = object.clone();
    managed::update(None, &mut new, &writer);
    managed::update(Some(live), &mut new, &writer);
    managed::keep_times(live, &mut new);
    for is_forced in [true, false] {
        let _ = apply::apply(Some(live), object, &writer, is_forced);
        let _ = apply::apply(None, object, &writer, is_forced);
    }
    let _ = Set::decode(object);
}

/// All kinds with tables, to look at an object as if it were of each.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Pod", "pods"),
    ("", "Service", "services"),
    ("", "Event", "events"),
    ("", "Secret", "secrets"),
    ("", "Namespace", "namespaces"),
    ("", "Node", "nodes"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apps", "Deployment", "deployments"),
    ("apps", "StatefulSet", "statefulsets"),
    ("batch", "Job", "jobs"),
    ("networking.k8s.io", "Ingress", "ingresses"),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
];

proptest! {
    #[test]
    fn built_in_objects_never_panic(object in any_object(), live in any_object(), kind in any::<prop::sample::Index>()) {
        let own = object["apiVersion"].as_str().unwrap_or_default();
        let (group, _) = own.rsplit_once('/').unwrap_or(("", own));
        let own = (group, object["kind"].as_str().unwrap_or_default(), "configmaps");
        for (group, kind, plural) in [own, *kind.get(KINDS)] {
            let now = "2020-01-01T00:00:00Z".parse().unwrap();
            Printer::of_built_in(group, plural).cells(&object, now);
            rules::validate_create(group, kind, &object);
            rules::validate_update(group, kind, &object, &live);
            field::text_of(&object, group, kind, "spec.nodeName");
            let mut patched = live.clone();
            let id = types::of_kind(group, "v1", kind);
            let _ = strategic::apply(&mut patched, &object, id);
            let Some(id) = id else { continue };
            if let Ok(decoded) = decode::decode(&object, id, "") {
                let mut object = decoded.value;
                defaults::apply(&mut object, id);
                write(&object, &live, View::BuiltIn(id));
                // What is written is read as it is.
                let again = decode::decode(&object, id, "").unwrap();
                prop_assert_eq!((again.value.to_string(), again.unknown), (object.to_string(), Vec::new()));
            }
        }
    }

    #[test]
    fn custom_objects_never_panic(object in any_object(), live in any_object(), definition in any_object()) {
        let parsed = Schema::parse(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
        schema::check::check(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "s");
        let now = "2020-01-01T00:00:00Z".parse().unwrap();
        Printer::of_version(&definition["spec"]["versions"][0]).cells(&object, now);
        let mut pruned = object.clone();
        schema::prune::prune(&mut pruned, &parsed);
        schema::defaults::apply(&mut pruned, &parsed);
        let causes = schema::validate::validate(&pruned, Some(&live), &parsed, "");
        schema::validate::unchecked_rules(&causes, &parsed);
        schema::lists::validate(&pruned, &parsed);
        schema::embedded::validate(&pruned, &parsed);
        let _ = schema::embedded::coerce(&mut pruned, &parsed);
        write(&pruned, &live, View::Custom(&parsed));
    }

    #[test]
    fn patches_and_metadata_never_panic(object in any_object(), live in any_object()) {
        let mut patched = live.clone();
        merge_patch::apply(&mut patched, &object);
        let _ = json_patch::apply(&mut patched, &object);
        let _ = object_meta::decode(&object["metadata"], "metadata");
        let rules = metadata::Rules {
            is_namespaced: true,
            name_syntax: names::NameSyntax::Subdomain,
            layers: metadata::Layers::BuiltIn,
        };
        metadata::validate_create(&object["metadata"], rules);
        metadata::validate_update(&object["metadata"], &live["metadata"], rules);
        metadata::warnings(&object["metadata"]);
        metadata::drop_repeated_owners(patched.pointer_mut("/metadata").unwrap_or(&mut json!({})));
    }
}
