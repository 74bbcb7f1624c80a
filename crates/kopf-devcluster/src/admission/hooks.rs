//! Which webhooks are asked about a write.

use serde_json::Value;

use super::{Attempt, configurations};
use crate::machinery::selector::label::LabelSelector;
use crate::status::ApiError;
use crate::types::registry::Served;

/// When webhooks are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Mutating,
    Validating,
}

impl Phase {
    pub(super) fn store(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations.admissionregistration.k8s.io",
            Self::Validating => "validatingwebhookconfigurations.admissionregistration.k8s.io",
        }
    }
}

/// A webhook that is to be asked.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) phase: Phase,
    /// As it stands in `webhooks`.
    pub(super) spec: Value,
    /// The version through which the object is shown to it.
    pub(super) seen_as: Served,
}

impl Hook {
    pub(super) fn may_fail(&self) -> bool {
        self.spec["failurePolicy"] == "Ignore"
    }

    pub(super) fn is_reinvoked(&self) -> bool {
        self.spec["reinvocationPolicy"] == "IfNeeded"
    }

    pub(super) fn allows_dry_run(&self) -> bool {
        matches!(self.spec["sideEffects"].as_str(), Some("None" | "NoneOnDryRun"))
    }

    pub(super) fn failed_call(&self, why: &str) -> ApiError {
        ApiError::internal(&format!("failed calling webhook \"{}\": {why}", self.name))
    }

    /// What is not done as a real server would do it.
    pub(super) fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if self.spec["matchConditions"].as_array().is_some_and(|conditions| !conditions.is_empty()) {
            caveats.push(format!(
                "the dev cluster does not evaluate the matchConditions of webhook \"{}\" and calls it",
                self.name
            ));
        }
        if self.spec["clientConfig"]["url"].as_str().is_some_and(|url| url.starts_with("http://")) {
            caveats.push(format!(
                "the dev cluster calls webhook \"{}\" over plain http, which a real cluster refuses",
                self.name
            ));
        }
        caveats
    }
}

/// The webhooks of one phase that a write concerns, in their order.
pub(super) fn matching(attempt: Attempt<'_>, phase: Phase, object: Option<&Value>) -> Vec<Hook> {
    let target = attempt.target;
    let resource = &target.served.resource;
    // They cannot lock themselves in.
    if resource.group == "admissionregistration.k8s.io" {
        return Vec::new();
    }
    let mut hooks = Vec::new();
    for configuration in configurations(target, phase.store()) {
        for spec in configuration.value["webhooks"].as_array().into_iter().flatten() {
            let selected = in_namespace(attempt, object, &spec["namespaceSelector"])
                && (has_labels(object, &spec["objectSelector"])
                    || has_labels(attempt.old, &spec["objectSelector"]));
            let Some(seen_as) = by_rules(attempt, spec).filter(|_| selected) else { continue };
            let name = spec["name"].as_str().unwrap_or_default().to_owned();
            hooks.push(Hook { name, phase, spec: spec.clone(), seen_as });
        }
    }
    hooks
}

/// The version by which the rules match, if they do: the one of the request, or an equivalent one (D-211).
fn by_rules(attempt: Attempt<'_>, spec: &Value) -> Option<Served> {
    let served = attempt.target.served;
    let rules = spec["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let matches = |served: &Served| rules.iter().any(|rule| matches_rule(attempt, served, rule));
    if matches(served) {
        return Some(served.clone());
    }
    if spec["matchPolicy"] == "Exact" {
        return None;
    }
    let versions = served.resource.versions.iter();
    versions
        .filter_map(|version| Served::new(std::sync::Arc::clone(&served.resource), &version.name))
        .find(|equivalent| matches(equivalent))
}

fn matches_rule(attempt: Attempt<'_>, served: &Served, rule: &Value) -> bool {
    let has = |field: &str, wanted: &str| {
        let texts = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.into_iter().any(|text| text == "*" || text == wanted)
    };
    let resource = &served.resource;
    // A Namespace is itself not in a namespace.
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let in_scope = matches!(rule["scope"].as_str(), None | Some("" | "*")) || rule["scope"] == scope;
    let resources = rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str);
    in_scope
        && has("operations", attempt.operation.name())
        && has("apiGroups", &resource.group)
        && has("apiVersions", &served.version().name)
        && resources
            .into_iter()
            .any(|pattern| matches_resource(pattern, &resource.plural, attempt.target.subresource))
}

/// Patterns are `*`, `*/*`, `pods`, `pods/*`, `*/status`, `pods/status`.
fn matches_resource(pattern: &str, plural: &str, subresource: Option<&str>) -> bool {
    let (resource, sub) =
        pattern.split_once('/').map_or((pattern, None), |(resource, sub)| (resource, Some(sub)));
    let resource_fits = resource == "*" || resource == plural;
    let subresource_fits = match (sub, subresource) {
        (None, None) => true,
        (None, Some(_)) => false,
        // `*/*` is everything, with and without a subresource; `pods/*` only with one.
        (Some("*"), None) => resource == "*",
        (Some("*"), Some(_)) => true,
        (Some(sub), subresource) => Some(sub) == subresource,
    };
    resource_fits && subresource_fits
}

fn in_namespace(attempt: Attempt<'_>, object: Option<&Value>, selector: &Value) -> bool {
    let target = attempt.target;
    if &*target.served.resource.store == "namespaces" {
        return has_labels(object.or(attempt.old), selector);
    }
    if !target.served.resource.namespaced {
        return true;
    }
    let namespace = target.shared.namespace(target.namespace);
    has_labels(namespace.as_ref().map(|namespace| &namespace.value), selector)
}

fn has_labels(object: Option<&Value>, selector: &Value) -> bool {
    if selector.is_null() {
        return true;
    }
    let labels = object.and_then(|object| object["metadata"]["labels"].as_object());
    object.is_some() && LabelSelector::from_spec(selector).is_some_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-211.
    #[test]
    fn patterns_name_resources_and_subresources() {
        assert!(matches_resource("pods", "pods", None));
        assert!(!matches_resource("pods", "pods", Some("status")));
        assert!(matches_resource("pods/*", "pods", Some("status")));
        assert!(!matches_resource("pods/*", "pods", None));
        assert!(matches_resource("*/status", "widgets", Some("status")));
        assert!(matches_resource("*", "widgets", None));
        assert!(!matches_resource("*", "widgets", Some("status")));
        assert!(matches_resource("*/*", "widgets", None));
    }
}
