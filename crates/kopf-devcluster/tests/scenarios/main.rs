//! The contract's scenarios, judged by their own expectations and by what a real API server answered.
//!
//! Run twice: in process with paused time, and over HTTP. `NOT_YET` may only shrink: a scenario that is listed and
//! passes fails the test. What the real server answers beyond what we do is listed in `missing.txt`, per scenario, and
//! must be exactly that; run with `UPDATE_MISSING=1` to rewrite it after a review of the difference.

mod door;
mod expect;
mod golden;
mod hook;
mod runner;

use std::collections::{BTreeMap, BTreeSet};

use door::Door;
use kopf_devcluster::{DevCluster, ListenOptions};
use runner::{Outcome, Runner};

/// Scenarios that are known to fail.
#[rustfmt::skip]
const NOT_YET: &[&str] = &[
    // Rules in CEL.
    "DT-104",
];

#[tokio::test(start_paused = true)]
async fn scenarios_hold_in_process() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let door = Door::in_process(&cluster);
    judge(&Runner::new(&cluster, door).await.run_all().await);
}

#[tokio::test]
async fn scenarios_hold_over_http() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let door = Door::http(&listener.url());
    judge(&Runner::new(&cluster, door).await.run_all().await);
}

fn judge(outcomes: &[Outcome]) {
    let filter = std::env::var("SCENARIO").ok();
    let failed: BTreeSet<&str> = outcomes
        .iter()
        .filter(|outcome| !outcome.problems.is_empty())
        .map(|outcome| outcome.id.as_str())
        .collect();
    let listed: BTreeSet<&str> = NOT_YET.iter().copied().collect();
    let mut report = String::new();
    for outcome in outcomes {
        let is_listed = listed.contains(outcome.id.as_str());
        if !outcome.problems.is_empty() && (!is_listed || filter.is_some()) {
            let count = if filter.is_some() { usize::MAX } else { 2 };
            let problems: Vec<&str> = outcome.problems.iter().map(String::as_str).take(count).collect();
            report += &format!("{} ({}):\n  {}\n", outcome.id, outcome.title, problems.join("\n  "));
        }
        if is_listed && outcome.problems.is_empty() {
            report += &format!("{} passes: take it off the list of those that do not\n", outcome.id);
        }
    }
    if filter.is_none() {
        for id in listed.iter().filter(|id| !outcomes.iter().any(|outcome| outcome.id == **id)) {
            report += &format!("{id} is listed and does not exist\n");
        }
        report += &missing_fields(outcomes, &failed);
    }
    assert!(report.is_empty(), "{} of {} scenarios failed\n{report}", failed.len(), outcomes.len());
}

/// Compares what only the real server answers with the reviewed list.
fn missing_fields(outcomes: &[Outcome], failed: &BTreeSet<&str>) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios/missing.txt");
    let found: BTreeMap<&str, BTreeSet<&str>> = outcomes
        .iter()
        .filter(|outcome| !failed.contains(outcome.id.as_str()) && !outcome.missing.is_empty())
        .map(|outcome| (outcome.id.as_str(), outcome.missing.iter().map(String::as_str).collect()))
        .collect();
    if std::env::var("UPDATE_MISSING").is_ok() {
        let lines: Vec<String> = found
            .iter()
            .flat_map(|(id, fields)| fields.iter().map(move |field| format!("{id} {field}\n")))
            .collect();
        std::fs::write(path, lines.concat()).unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut reviewed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, field) in text.lines().filter_map(|line| line.split_once(' ')) {
        reviewed.entry(id).or_default().insert(field);
    }
    let mut report = String::new();
    for id in found.keys().chain(reviewed.keys()).collect::<BTreeSet<_>>() {
        let (found, reviewed) =
            (found.get(*id).cloned().unwrap_or_default(), reviewed.get(*id).cloned().unwrap_or_default());
        for field in found.difference(&reviewed) {
            report +=
                &format!("{id}: only the real server answers {field}, and missing.txt does not say so\n");
        }
        for field in reviewed.difference(&found) {
            report += &format!("{id}: missing.txt names {field}, which is not missing\n");
        }
    }
    report
}
