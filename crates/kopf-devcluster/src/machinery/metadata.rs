//! Checks of `metadata`: labels, annotations, owner references, finalizers, and what may not change.
//!
//! The checks see metadata after the server has set its own fields.

use serde_json::{Map, Value};

use super::{
    cause::{Cause, quote},
    names::{self, NameSyntax},
};

/// Whether objects of the type live in namespaces, and the syntax of their names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Whether a namespace is required, or forbidden.
    pub(crate) is_namespaced: bool,
    /// The syntax of names.
    pub(crate) name_syntax: NameSyntax,
    pub(crate) layers: Layers,
}

/// Which layers of a real server look at the metadata of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    /// Custom resources and their definitions: most causes of an update come three times.
    Custom,
    /// Most built-in types: finalizers must have a domain, too.
    BuiltIn,
    /// The other built-in types.
    Single,
}

/// The finalizer of foreground deletion.
pub(crate) const FOREGROUND_DELETION: &str = "foregroundDeletion";
/// The finalizer of deletion that leaves dependents alone.
pub(crate) const ORPHAN_DEPENDENTS: &str = "orphan";

/// The most bytes that all annotations of an object may have.
const TOTAL_ANNOTATION_BYTES: u64 = 256 * 1024;

/// Checks the metadata of an object about to be created, its name generated already.
pub(crate) fn validate_create(metadata: &Value, rules: Rules) -> Vec<Cause> {
    let mut causes = Vec::new();
    let invalid = |field: &str, text: &str, faults: Vec<String>| {
        faults.into_iter().map(|fault| Cause::invalid(field, &text.into(), &fault)).collect::<Vec<_>>()
    };
    let generate_name = text(metadata, "generateName");
    if !generate_name.is_empty() {
        let faults = rules.name_syntax.check_prefix(generate_name);
        causes.extend(invalid("metadata.generateName", generate_name, faults));
    }
    match text(metadata, "name") {
        "" => causes.push(Cause::required("metadata.name", "name or generateName is required")),
        name => causes.extend(invalid("metadata.name", name, rules.name_syntax.check(name))),
    }
    match (rules.is_namespaced, text(metadata, "namespace")) {
        (true, "") => causes.push(Cause::required("metadata.namespace", "")),
        (true, namespace) => {
            causes.extend(invalid("metadata.namespace", namespace, names::dns_1123_label(namespace)));
        }
        (false, "") => {}
        (false, _) => causes.push(Cause::forbidden("metadata.namespace", "not allowed on this type")),
    }
    if metadata["generation"].as_i64().is_some_and(|generation| generation < 0) {
        let fault = "must be greater than or equal to 0";
        causes.push(Cause::invalid("metadata.generation", &metadata["generation"], fault));
    }
    causes.extend(validate_common(metadata));
    causes.extend(finalizers(metadata));
    if rules.layers == Layers::BuiltIn {
        causes.extend(unqualified_finalizers(metadata));
    }
    causes
}

/// Checks the metadata of an object about to replace another one.
///
/// Whether a resourceVersion must be there, and that name and namespace are the old ones, is checked before.
/// The real server checks an update in two layers, so that most causes come twice or more; so they do here.
pub(crate) fn validate_update(metadata: &Value, old: &Value, rules: Rules) -> Vec<Cause> {
    let mut causes = validate_create(metadata, Rules { name_syntax: NameSyntax::PathSegment, ..rules });
    for layer in 0..2 {
        if old.get("deletionTimestamp").is_some_and(|time| !time.is_null()) {
            causes.extend(new_finalizers(metadata, old));
        }
        if layer == 0 || rules.layers == Layers::Custom {
            causes.extend(changed_identity(metadata, old));
        }
        if rules.layers == Layers::Custom {
            causes.extend(validate_common(metadata));
        }
    }
    causes
}

/// Most built-in types demand finalizers with a domain, or known ones.
fn unqualified_finalizers(metadata: &Value) -> Vec<Cause> {
    let standard = [FOREGROUND_DELETION, ORPHAN_DEPENDENTS, "kubernetes"];
    let short = texts(metadata, "finalizers")
        .enumerate()
        .filter(|(_, name)| !name.contains('/') && !standard.contains(name));
    let fault = "name is neither a standard finalizer name nor is it fully qualified";
    short
        .map(|(index, name)| Cause::invalid(format!("metadata.finalizers[{index}]"), &name.into(), fault))
        .collect()
}

fn changed_identity(metadata: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let immutable = ["name", "namespace", "uid", "creationTimestamp"];
    let immutable = immutable.into_iter().chain(["deletionTimestamp", "deletionGracePeriodSeconds"]);
    for name in immutable {
        let (new, old) = (&metadata[name], &old[name]);
        if new != old {
            causes.push(Cause::invalid(format!("metadata.{name}"), new, "field is immutable"));
        }
    }
    causes
}

/// Warnings that accompany a successful write (D-111): finalizers that are not domain-qualified.
pub(crate) fn warnings(metadata: &Value) -> Vec<String> {
    let standard = [FOREGROUND_DELETION, ORPHAN_DEPENDENTS, "kubernetes"];
    let short = texts(metadata, "finalizers").filter(|name| !name.contains('/') && !standard.contains(name));
    short
        .map(|name| {
            format!(
                "metadata.finalizers: {}: prefer a domain-qualified finalizer name including a path (/) to avoid \
                 accidental conflicts with other finalizer writers",
                quote(name)
            )
        })
        .collect()
}

/// Drops repeated owner references and gives the warning to answer with, if any was dropped (D-111).
pub(crate) fn drop_repeated_owners(metadata: &mut Value) -> Option<String> {
    let owners = metadata.get_mut("ownerReferences")?.as_array_mut()?;
    let mut unique: Vec<Value> = Vec::with_capacity(owners.len());
    let mut repeated: Vec<String> = Vec::new();
    for owner in owners.drain(..) {
        if unique.contains(&owner) {
            repeated.push(owner["uid"].as_str().unwrap_or_default().to_owned());
        } else {
            unique.push(owner);
        }
    }
    *owners = unique;
    (!repeated.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, \
             and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: \
             {}",
            repeated.join(", ")
        )
    })
}

fn validate_common(metadata: &Value) -> Vec<Cause> {
    let mut causes = labels(object(metadata, "labels"), "metadata.labels");
    causes.extend(annotations(metadata));
    causes.extend(owner_references(metadata));
    causes.extend(managed_fields(metadata));
    causes
}

/// Checks a map of labels, of an object or of a template.
pub(crate) fn labels(labels: Option<&Map<String, Value>>, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in labels.into_iter().flatten() {
        for fault in names::qualified_name(key) {
            causes.push(Cause::invalid(field, &key.as_str().into(), &fault));
        }
        for fault in names::label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(field, value, &fault));
        }
    }
    causes
}

fn annotations(metadata: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut bytes = 0;
    for (key, value) in object(metadata, "annotations").into_iter().flatten() {
        // Upper case is fine in the domain too.
        for fault in names::qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &fault));
        }
        bytes += (key.len() + value.as_str().map_or(0, str::len)) as u64;
    }
    if bytes > TOTAL_ANNOTATION_BYTES {
        causes.push(Cause::too_long("metadata.annotations", TOTAL_ANNOTATION_BYTES));
    }
    causes
}

fn owner_references(metadata: &Value) -> Vec<Cause> {
    const FIELD: &str = "metadata.ownerReferences";
    let mut causes = Vec::new();
    let mut controller: Option<String> = None;
    let owners = metadata.get("ownerReferences").unwrap_or(&Value::Null);
    for (index, owner) in owners.as_array().into_iter().flatten().enumerate() {
        let field = format!("{FIELD}[{index}]");
        let api_version = text(owner, "apiVersion");
        for name in ["apiVersion", "kind", "name", "uid"] {
            let field = format!("{field}.{name}");
            if text(owner, name).is_empty() {
                causes.push(Cause::required(field, "must not be empty"));
            } else if name == "apiVersion" && !is_group_version(api_version) {
                causes.push(Cause::invalid(
                    field,
                    &api_version.into(),
                    "must be <group>/<version> or <version>",
                ));
            }
        }
        if (api_version, text(owner, "kind")) == ("v1", "Event") {
            let fault = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(Cause::invalid(field, &in_go_order(owner), fault));
        }
        if owner["controller"] == Value::Bool(true) {
            let name = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            match &controller {
                None => controller = Some(name),
                Some(first) => {
                    let all = owners.as_array().into_iter().flatten().map(in_go_order).collect();
                    let fault = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for \
                         {first} and {name}"
                    );
                    causes.push(Cause::invalid(FIELD, &Value::Array(all), &fault));
                }
            }
        }
    }
    causes
}

/// `v1` or `group/v1`.
fn is_group_version(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    parts.len() <= 2 && parts.last().is_some_and(|version| !version.is_empty())
}

/// An owner reference with its fields in the order in which Go prints them.
fn in_go_order(owner: &Value) -> Value {
    let mut ordered = Map::new();
    for name in ["apiVersion", "kind", "name", "uid"] {
        ordered.insert(name.to_owned(), text(owner, name).into());
    }
    for name in ["controller", "blockOwnerDeletion"] {
        if let Some(value) = owner.get(name).filter(|value| !value.is_null()) {
            ordered.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(ordered)
}

/// D-112: clients may send managed fields, in the right form.
fn managed_fields(metadata: &Value) -> Vec<Cause> {
    const MAX_MANAGER_BYTES: u64 = 128;
    const MAX_SUBRESOURCE_BYTES: u64 = 256;
    let mut causes = Vec::new();
    let entries = metadata.get("managedFields").and_then(Value::as_array).into_iter().flatten();
    for (index, entry) in entries.enumerate() {
        let field = |name: &str| format!("metadata.managedFields[{index}].{name}");
        match text(entry, "operation") {
            "" => causes.push(Cause::required(field("operation"), "must not be empty")),
            "Apply" | "Update" => {}
            other => {
                causes.push(Cause::not_supported(field("operation"), &other.into(), &["Apply", "Update"]));
            }
        }
        if !matches!(text(entry, "fieldsType"), "" | "FieldsV1") {
            causes.push(Cause::invalid(field("fieldsType"), &entry["fieldsType"], "must be `FieldsV1`"));
        }
        for (name, limit) in [("manager", MAX_MANAGER_BYTES), ("subresource", MAX_SUBRESOURCE_BYTES)] {
            if text(entry, name).len() as u64 > limit {
                causes.push(Cause::too_long(field(name), limit));
            }
        }
    }
    causes
}

fn finalizers(metadata: &Value) -> Vec<Cause> {
    const FIELD: &str = "metadata.finalizers";
    let mut causes = Vec::new();
    for name in texts(metadata, "finalizers") {
        for fault in names::qualified_name(name) {
            causes.push(Cause::invalid(FIELD, &name.into(), &fault));
        }
    }
    let has = |wanted: &str| texts(metadata, "finalizers").any(|name| name == wanted);
    if has(ORPHAN_DEPENDENTS) && has(FOREGROUND_DELETION) {
        let fault = format!("finalizer {ORPHAN_DEPENDENTS} and {FOREGROUND_DELETION} cannot be both set");
        causes.push(Cause::invalid(FIELD, &metadata["finalizers"], &fault));
    }
    causes
}

/// D-124: while an object is being deleted, finalizers can only go.
fn new_finalizers(metadata: &Value, old: &Value) -> Option<Cause> {
    let is_new = |name: &&str| !texts(old, "finalizers").any(|old| old == *name);
    let mut new: Vec<_> = texts(metadata, "finalizers").filter(is_new).collect();
    if new.is_empty() {
        return None;
    }
    new.sort_unstable();
    new.dedup();
    let quoted: Vec<_> = new.into_iter().map(quote).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        quoted.join(", ")
    );
    Some(Cause::forbidden("metadata.finalizers", &detail))
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn object<'a>(object: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    object.get(name).and_then(Value::as_object)
}

fn texts<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    object.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{cause, testing::golden_step};
    use serde_json::json;

    const RULES: Rules =
        Rules { is_namespaced: true, name_syntax: NameSyntax::Subdomain, layers: Layers::BuiltIn };

    /// Compares message and causes with the real server's answer to a step of a scenario.
    fn check_golden(scenario: &str, step: usize, causes: &[Cause]) {
        let answer = golden_step(scenario, step);
        let message = answer["body"]["message"].as_str().unwrap().to_owned();
        let (_, expected) = message.split_once(" is invalid: ").unwrap();
        assert_eq!(cause::join(causes), expected);
        let rendered: Vec<_> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        assert_eq!(Value::Array(rendered), answer["body"]["details"]["causes"]);
    }

    /// D-103, DT-004, DT-005, D-111, DT-026.
    #[test]
    fn bad_metadata_is_refused_as_by_the_real_server() {
        let created = |scenario, step, extra: Value| {
            let mut metadata = json!({"name": "a", "namespace": "ns"});
            crate::machinery::merge_patch::apply(&mut metadata, &extra);
            check_golden(scenario, step, &validate_create(&metadata, RULES));
        };
        created("DT-004", 0, json!({"name": null}));
        created("DT-005", 0, json!({"name": "Bad_Name"}));
        created("DT-026", 0, json!({"labels": {"bad key": "v"}}));
        created("DT-026", 1, json!({"labels": {"k": "bad value!"}}));
        created(
            "DT-026",
            2,
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]}),
        );
        created(
            "DT-026",
            3,
            json!({"ownerReferences": [
                {"apiVersion": "v1", "kind": "A", "name": "x", "uid": "u1", "controller": true},
                {"controller": true, "apiVersion": "v1", "kind": "A", "name": "y", "uid": "u2"},
            ]}),
        );
    }

    #[test]
    fn good_metadata_passes() {
        let metadata = json!({
            "name": "a.b", "namespace": "ns", "generateName": "a-",
            "labels": {"example.com/a": "", "b": "C"},
            "annotations": {"Example.COM/A": "any\ntext"},
            "finalizers": ["example.com/f", "orphan"],
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "A", "name": "x", "uid": "u", "controller": true}],
        });
        assert_eq!(validate_create(&metadata, RULES), []);
        assert_eq!(validate_update(&metadata, &metadata, RULES), []);
    }

    /// D-124: the real answer has the cause twice and says it once.
    #[test]
    fn no_finalizer_is_added_while_an_object_is_being_deleted() {
        let metadata = |finalizers: Value| json!({"name": "a", "namespace": "ns", "deletionTimestamp": "t", "finalizers": finalizers});
        let old = metadata(json!(["x.dev/f", "x.dev/h"]));
        let causes = validate_update(&metadata(json!(["x.dev/h", "x.dev/g"])), &old, RULES);
        check_golden("DT-061", 4, &causes);
        assert_eq!(validate_update(&metadata(json!([])), &old, RULES), []);
    }

    /// D-111, D-128.
    #[test]
    fn large_annotations_and_contrary_finalizers_are_refused() {
        let metadata = json!({
            "name": "a", "namespace": "ns",
            "annotations": {"a": "x".repeat(256 * 1024)},
            "finalizers": ["orphan", "foregroundDeletion"],
        });
        let causes = validate_create(&metadata, RULES);
        let messages: Vec<_> = causes.iter().map(|cause| cause.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "Too long: may not be more than 262144 bytes",
                "Invalid value: [\"orphan\",\"foregroundDeletion\"]: finalizer orphan and foregroundDeletion \
                 cannot be both set",
            ]
        );
    }

    /// D-112.
    #[test]
    fn managed_fields_have_a_form() {
        let metadata = json!({"name": "a", "namespace": "ns", "managedFields": [
            {"operation": "Guess", "fieldsType": "FieldsV2", "manager": "m".repeat(129)},
            {"manager": "m"},
            {"operation": "Apply", "fieldsType": "FieldsV1"},
        ]});
        let causes = validate_create(&metadata, RULES);
        let found: Vec<_> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        assert_eq!(
            found,
            [
                "metadata.managedFields[0].operation: Unsupported value: \"Guess\": supported values: \"Apply\", \
                 \"Update\"",
                "metadata.managedFields[0].fieldsType: Invalid value: \"FieldsV2\": must be `FieldsV1`",
                "metadata.managedFields[0].manager: Too long: may not be more than 128 bytes",
                "metadata.managedFields[1].operation: Required value: must not be empty",
            ]
        );
    }

    /// D-108.
    #[test]
    fn identity_is_immutable() {
        let metadata = |uid: &str| json!({"name": "a", "namespace": "ns", "uid": uid});
        let causes = validate_update(&metadata("2"), &metadata("1"), RULES);
        assert_eq!(cause::join(&causes), "metadata.uid: Invalid value: \"2\": field is immutable");
    }

    /// D-111, DEC-32: built-in types refuse what custom resources are only warned of; how often a cause is in the list.
    #[test]
    fn finalizers_of_built_in_types_have_a_domain() {
        let count = |layers, extra: Value| {
            let mut metadata = json!({"name": "a", "namespace": "ns"});
            let old = metadata.clone();
            crate::machinery::merge_patch::apply(&mut metadata, &extra);
            validate_update(&metadata, &old, Rules { layers, ..RULES }).len()
        };
        let counts = |layers| {
            [json!({"labels": {"l": "bad value"}}), json!({"finalizers": ["bad key"]})]
                .map(|extra| count(layers, extra))
        };
        assert_eq!(counts(Layers::Custom), [3, 1]);
        assert_eq!(counts(Layers::BuiltIn), [1, 2]);
        assert_eq!(counts(Layers::Single), [1, 1]);
    }

    /// D-111.
    #[test]
    fn repeated_owners_are_dropped_with_a_warning() {
        let owner = json!({"apiVersion": "v1", "kind": "A", "name": "x", "uid": "u1"});
        let mut metadata = json!({"ownerReferences": [owner, owner]});
        let warning = drop_repeated_owners(&mut metadata).unwrap();
        assert!(warning.ends_with("duplicate UID(s) observed: u1"), "{warning}");
        assert_eq!(metadata, json!({"ownerReferences": [owner]}));
        assert_eq!(drop_repeated_owners(&mut metadata), None);
        assert_eq!(warnings(&json!({"finalizers": ["a/b", "orphan"]})), Vec::<String>::new());
        assert_eq!(warnings(&json!({"finalizers": ["short"]})).len(), 1);
    }
}
