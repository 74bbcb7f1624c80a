//! Configurations of admission webhooks.

use std::collections::HashSet;

use http::Uri;
use serde_json::Value;

use super::{items, text};
use crate::machinery::{cause::Cause, names};

/// The versions of reviews that API servers speak.
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// What is wrong with a ValidatingWebhookConfiguration or MutatingWebhookConfiguration.
pub(super) fn validate(configuration: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut taken = HashSet::new();
    for (index, hook) in items(configuration, "webhooks") {
        let field = format!("webhooks[{index}]");
        validate_webhook(hook, &field, &mut causes);
        let name = text(hook, "name");
        if !name.is_empty() && !taken.insert(name) {
            causes.push(Cause::duplicate(format!("{field}.name"), &name.into()));
        }
    }
    causes
}

fn validate_webhook(hook: &Value, field: &str, causes: &mut Vec<Cause>) {
    validate_name(text(hook, "name"), &format!("{field}.name"), causes);
    for (index, rule) in items(hook, "rules") {
        validate_rule(rule, &format!("{field}.rules[{index}]"), causes);
    }
    for (name, kinds) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        let found = text(hook, name);
        if !found.is_empty() && !kinds.contains(&found) {
            causes.push(Cause::not_supported(format!("{field}.{name}"), &found.into(), &kinds));
        }
    }
    match text(hook, "sideEffects") {
        "" => {
            causes.push(Cause::required(
                format!("{field}.sideEffects"),
                "must specify one of None, NoneOnDryRun",
            ));
        }
        "None" | "NoneOnDryRun" => {}
        other => causes.push(Cause::not_supported(
            format!("{field}.sideEffects"),
            &other.into(),
            &["None", "NoneOnDryRun"],
        )),
    }
    if hook["timeoutSeconds"].as_i64().is_some_and(|seconds| !(1..=30).contains(&seconds)) {
        let fault = "the timeout value must be between 1 and 30 seconds";
        causes.push(Cause::invalid(format!("{field}.timeoutSeconds"), &hook["timeoutSeconds"], fault));
    }
    validate_client(&hook["clientConfig"], &format!("{field}.clientConfig"), causes);
    validate_versions(hook, &format!("{field}.admissionReviewVersions"), causes);
}

fn validate_name(name: &str, field: &str, causes: &mut Vec<Cause>) {
    let faults = names::dns_1123_subdomain(name);
    if name.is_empty() {
        causes.push(Cause::required(field, ""));
    } else if !faults.is_empty() {
        causes.extend(faults.iter().map(|fault| Cause::invalid(field, &name.into(), fault)));
    } else if name.split('.').count() < 3 {
        let fault = "should be a domain with at least three segments separated by dots";
        causes.push(Cause::invalid(field, &name.into(), fault));
    }
}

fn validate_versions(hook: &Value, field: &str, causes: &mut Vec<Cause>) {
    let versions: Vec<&str> =
        items(hook, "admissionReviewVersions").filter_map(|(_, version)| version.as_str()).collect();
    if versions.is_empty() {
        causes.push(Cause::required(field, "must specify one of v1, v1beta1"));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if versions[..index].contains(version) {
            causes.push(Cause::invalid(field, &(*version).into(), "duplicate version"));
        } else {
            let faults = names::dns_1035_label(version).into_iter();
            causes.extend(faults.map(|fault| Cause::invalid(field.as_str(), &(*version).into(), &fault)));
        }
    }
    if !versions.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        let fault = "must include at least one of v1, v1beta1";
        causes.push(Cause::invalid(field, &hook["admissionReviewVersions"], fault));
    }
}

fn validate_rule(rule: &Value, field: &str, causes: &mut Vec<Cause>) {
    let operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    for (name, what) in [
        ("operations", "operations"),
        ("apiGroups", "API groups"),
        ("apiVersions", "API versions"),
        ("resources", "resources without subresources"),
    ] {
        let field = format!("{field}.{name}");
        let values: Vec<&str> = items(rule, name).filter_map(|(_, value)| value.as_str()).collect();
        if values.is_empty() {
            causes.push(Cause::required(field, ""));
            continue;
        }
        for (index, value) in values.iter().enumerate() {
            let field = format!("{field}[{index}]");
            match name {
                "operations" if !operations.contains(value) => {
                    causes.push(Cause::not_supported(field, &(*value).into(), &operations));
                }
                "apiVersions" | "resources" if value.is_empty() => causes.push(Cause::required(field, "")),
                _ => {}
            }
        }
        let others = values.iter().filter(|value| name != "resources" || !value.contains('/')).count();
        if values.contains(&"*") && others > 1 {
            let fault = format!("if '*' is present, must not specify other {what}");
            causes.push(Cause::invalid(field, &rule[name], &fault));
        }
    }
    let scopes = ["*", "Cluster", "Namespaced"];
    let scope = text(rule, "scope");
    if !scope.is_empty() && !scopes.contains(&scope) {
        causes.push(Cause::not_supported(format!("{field}.scope"), &scope.into(), &scopes));
    }
}

fn validate_client(client: &Value, field: &str, causes: &mut Vec<Cause>) {
    let service = &client["service"];
    match client["url"].as_str() {
        Some(url) if service.is_null() => validate_url(url, &format!("{field}.url"), causes),
        None if !service.is_null() => {
            for name in ["name", "namespace"] {
                if text(service, name).is_empty() {
                    causes.push(Cause::required(format!("{field}.service.{name}"), ""));
                }
            }
            if service["port"].as_i64().is_some_and(|port| !(1..=65_535).contains(&port)) {
                let fault = "port is not valid: must be between 1 and 65535, inclusive";
                causes.push(Cause::invalid(format!("{field}.service.port"), &service["port"], fault));
            }
        }
        _ => causes.push(Cause::required(field, "exactly one of url or service is required")),
    }
}

fn validate_url(url: &str, field: &str, causes: &mut Vec<Cause>) {
    const FORM: &str = "desired format: https://host[/path]";
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut refuse = |value: &str, fault: &str| causes.push(Cause::invalid(field, &value.into(), fault));
    // Quick tests have no certificates: http is taken on this machine (D-213).
    if scheme != "https" && !(scheme == "http" && is_on_this_machine(url)) {
        refuse(scheme, &format!("'https' is the only allowed URL scheme; {FORM}"));
    }
    if host.is_empty() {
        refuse("", &format!("host must be specified; {FORM}"));
    }
    for (part, fault) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            refuse(part, fault);
        }
    }
}

fn is_on_this_machine(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    uri.as_ref().and_then(Uri::host).is_some_and(names::is_loopback)
}
