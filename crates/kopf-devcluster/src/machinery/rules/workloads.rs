//! Workloads: selectors, templates, restart policies.

use serde_json::{Value, json};

use super::{pods, text};
use crate::machinery::{cause::Cause, selector::label::LabelSelector};

/// What is wrong with a workload whose pods run on and on.
pub(super) fn validate(kind: &str, workload: &Value) -> Vec<Cause> {
    let spec = &workload["spec"];
    let mut causes = Vec::new();
    let selector = match kind {
        // The older type has a plain map of labels.
        "ReplicationController" => json!({ "matchLabels": spec["selector"] }),
        _ => spec["selector"].clone(),
    };
    if spec["selector"].is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if LabelSelector::from_spec(&selector).is_some_and(|selector| selector.is_empty()) {
        // Replica sets speak of deployments on the real server.
        let what = if kind == "ReplicaSet" { "deployment".to_owned() } else { kind.to_lowercase() };
        let fault = format!("empty selector is invalid for {what}");
        causes.push(Cause::invalid("spec.selector", &spec["selector"], &fault));
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas < 0) {
        causes.push(Cause::invalid("spec.replicas", &spec["replicas"], "must be greater than or equal to 0"));
    }
    causes.extend(validate_template(spec, &selector));
    causes
}

fn validate_template(spec: &Value, selector: &Value) -> Vec<Cause> {
    const FIELD: &str = "spec.template";
    let template = &spec["template"];
    let labels = &template["metadata"]["labels"];
    let mut causes = Vec::new();
    let selects = LabelSelector::from_spec(selector)
        .is_some_and(|selector| selector.is_empty() || selector.matches(labels.as_object()));
    if !selects {
        let fault = "`selector` does not match template `labels`";
        causes.push(Cause::invalid(format!("{FIELD}.metadata.labels"), labels, fault));
    }
    causes.extend(pods::validate_template(template, FIELD));
    let policy = text(&template["spec"], "restartPolicy");
    if policy != "Always" {
        causes.push(Cause::not_supported(format!("{FIELD}.spec.restartPolicy"), &policy.into(), &["Always"]));
    }
    causes
}

/// What is wrong with the spec of a job.
pub(super) fn validate_job(spec: &Value, field: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    for name in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        if spec[name].as_i64().is_some_and(|number| number < 0) {
            let fault = "must be greater than or equal to 0";
            causes.push(Cause::invalid(format!("{field}.{name}"), &spec[name], fault));
        }
    }
    let template = format!("{field}.template");
    causes.extend(pods::validate_template(&spec["template"], &template));
    let policy = text(&spec["template"]["spec"], "restartPolicy");
    if !matches!(policy, "OnFailure" | "Never") {
        // The default of pods is not one of them, so that it must be said.
        let field = format!("{template}.spec.restartPolicy");
        causes.push(match policy {
            "" | "Always" => Cause::required(field, "valid values: \"OnFailure\", \"Never\""),
            other => Cause::not_supported(field, &other.into(), &["OnFailure", "Never"]),
        });
    }
    causes
}

/// What is wrong with a cron job. The schedule itself is not parsed.
pub(super) fn validate_cron_job(job: &Value) -> Vec<Cause> {
    let spec = &job["spec"];
    let mut causes = validate_job(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec");
    if text(spec, "schedule").is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    }
    let policy = text(spec, "concurrencyPolicy");
    let policies = ["Allow", "Forbid", "Replace"];
    if !policies.contains(&policy) {
        causes.push(Cause::not_supported("spec.concurrencyPolicy", &policy.into(), &policies));
    }
    causes
}
