//! The contract's scenarios, judged by their own expectations and by what a real API server answers.
//!
//! Run in process with paused time, and over HTTP: judged by recorded answers. And in lock step with a real cluster,
//! which `KOPF_TEST_KUBECONFIG` names. `NOT_YET` may only shrink: a scenario that is listed and passes fails the test.
//! What is answered differently must stand in `docs/devcluster-differences.md`; and what stands there must differ.

mod compare;
mod differences;
mod door;
mod expect;
mod hook;
mod runner;

use std::collections::BTreeSet;

use differences::Differences;
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
    judge(&Runner::new(&cluster, door).await.run_all().await, false);
}

#[tokio::test]
async fn scenarios_hold_over_http() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let door = Door::http(&listener.url());
    judge(&Runner::new(&cluster, door).await.run_all().await, false);
}

#[tokio::test]
#[ignore = "needs a real cluster: make test-real"]
async fn scenarios_hold_in_lock_step_with_a_real_server() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let door = Door::http(&listener.url());
    judge(&Runner::in_lock_step(&cluster, door, real()).await.run_all().await, true);
}

/// The real cluster.
fn real() -> Door {
    let kubeconfig = std::env::var("KOPF_TEST_KUBECONFIG")
        .expect("KOPF_TEST_KUBECONFIG must name the kubeconfig of a real cluster: run `make test-real`");
    Door::real(&kubeconfig)
}

/// Fails with what does not hold, what differs, and with lists that say so of what does not.
fn judge(outcomes: &[Outcome], is_real: bool) {
    let filter = std::env::var("SCENARIO").ok();
    let shown = if filter.is_some() { usize::MAX } else { 4 };
    let listed: BTreeSet<&str> = NOT_YET.iter().copied().collect();
    let mut known = Differences::read();
    let (mut report, mut failed) = (String::new(), 0);
    for outcome in outcomes {
        let mut problems = outcome.problems.clone();
        for (step, difference) in &outcome.differences {
            if !known.allow(&format!("{} {step}", outcome.id), difference) {
                problems.push(format!("step {step}: {difference}"));
            }
        }
        let is_listed = listed.contains(outcome.id.as_str());
        if is_listed && problems.is_empty() {
            report += &format!("{} passes: take it off the list of those that do not\n", outcome.id);
        }
        if !problems.is_empty() && (!is_listed || filter.is_some()) {
            failed += 1;
            let problems: Vec<String> = problems.into_iter().take(shown).collect();
            report += &format!("{} ({}):\n  {}\n", outcome.id, outcome.title, problems.join("\n  "));
        }
    }
    if filter.is_none() {
        for id in listed.iter().filter(|id| !outcomes.iter().any(|outcome| outcome.id == **id)) {
            report += &format!("{id} is listed and does not exist\n");
        }
        if is_real {
            let unused = known.unused(|place| place.starts_with("DT-"));
            report.extend(unused.iter().map(|row| format!("docs/devcluster-differences.md: {row}\n")));
        }
    }
    assert!(report.is_empty(), "{failed} of {} scenarios failed\n{report}", outcomes.len());
}
