//! Refuses definitions that cannot be served (D-074).

use serde_json::{Value, json};

use crate::machinery::cause::Cause;
use crate::machinery::schema::check;

/// What is wrong with a definition, beside its metadata.
pub(crate) fn validate(definition: &Value) -> Vec<Cause> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let name = text(&definition["metadata"]["name"]);
    let mut causes = Vec::new();
    if name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &name.into(), detail));
    }
    for (field, value) in [("group", &spec["group"]), ("scope", &spec["scope"])] {
        if value.as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("spec.{field}"), ""));
        }
    }
    if !matches!(spec["scope"].as_str(), None | Some("" | "Cluster" | "Namespaced")) {
        causes.push(Cause::not_supported("spec.scope", &spec["scope"], &["Cluster", "Namespaced"]));
    }
    for field in ["plural", "kind"] {
        if text(&spec["names"][field]).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}"), ""));
        }
    }
    causes.extend(versions(spec));
    causes
}

fn versions(spec: &Value) -> Vec<Cause> {
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut causes = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, ""));
        } else {
            // The real server moves the schema of an only version, and reports it from where it is then (DEC-33).
            let path = match versions.len() {
                1 => "spec.validation.openAPIV3Schema".to_owned(),
                _ => format!("spec.versions[{index}].schema.openAPIV3Schema"),
            };
            causes.extend(check::check(&version["schema"]["openAPIV3Schema"], &path));
        }
    }
    if versions.iter().filter(|version| version["storage"] == true).count() == 1 {
        return causes;
    }
    let shown: Value = versions.iter().map(|version| go_version(version, versions.len() == 1)).collect();
    let detail = "must have exactly one version marked as storage version";
    causes.push(Cause::invalid("spec.versions", &shown, detail));
    let detail = "must have at least one stored version";
    causes.push(Cause::invalid("status.storedVersions", &Value::Null, detail));
    causes
}

/// A version as Go prints it in error messages; the only version's schema has moved elsewhere by then.
fn go_version(version: &Value, is_only: bool) -> Value {
    let unless_only = |value: &Value| if is_only { Value::Null } else { value.clone() };
    json!({
        "Name": version["name"],
        "Served": version["served"] == true,
        "Storage": version["storage"] == true,
        "Deprecated": version["deprecated"] == true,
        "DeprecationWarning": version["deprecationWarning"],
        "Schema": unless_only(&version["schema"]),
        "Subresources": unless_only(&version["subresources"]),
        "AdditionalPrinterColumns": unless_only(&version["additionalPrinterColumns"]),
        "SelectableFields": unless_only(&version["selectableFields"]),
    })
}
