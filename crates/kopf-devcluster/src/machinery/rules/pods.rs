//! Pods and their templates.

use serde_json::Value;

use super::{items, text};
use crate::machinery::{cause::Cause, metadata, names};

/// What is wrong with a pod template.
pub(super) fn validate_template(template: &Value, field: &str) -> Vec<Cause> {
    let labels = template["metadata"]["labels"].as_object();
    let mut causes = metadata::labels(labels, &format!("{field}.labels"));
    causes.extend(validate_spec(&template["spec"], &format!("{field}.spec")));
    causes
}

/// What is wrong with the spec of a pod.
pub(super) fn validate_spec(spec: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if items(spec, "containers").next().is_none() {
        causes.push(Cause::required(format!("{field}.containers"), ""));
    }
    let mut seen = Vec::new();
    for list in ["containers", "initContainers"] {
        for (index, container) in items(spec, list) {
            let field = format!("{field}.{list}[{index}]");
            causes.extend(validate_name(container, &field, &mut seen));
            if text(container, "image").is_empty() {
                causes.push(Cause::required(format!("{field}.image"), ""));
            }
        }
    }
    let mut seen = Vec::new();
    for (index, volume) in items(spec, "volumes") {
        causes.extend(validate_name(volume, &format!("{field}.volumes[{index}]"), &mut seen));
    }
    causes
}

/// Names of containers and of volumes are labels, and each is there once.
fn validate_name<'a>(named: &'a Value, field: &str, seen: &mut Vec<&'a str>) -> Vec<Cause> {
    let field = format!("{field}.name");
    let name = text(named, "name");
    if name.is_empty() {
        return vec![Cause::required(field, "")];
    }
    let faults = names::dns_1123_label(name).into_iter();
    let mut causes: Vec<_> =
        faults.map(|fault| Cause::invalid(field.as_str(), &name.into(), &fault)).collect();
    if seen.contains(&name) {
        causes.push(Cause::duplicate(field, &name.into()));
    }
    seen.push(name);
    causes
}
