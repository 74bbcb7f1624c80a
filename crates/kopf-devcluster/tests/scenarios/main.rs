//! The contract's scenarios, judged by their own expectations and by what a real API server answers.
//!
//! Run in process with paused time, and over HTTP: judged by recorded answers. And in lock step with a real cluster,
//! which `KOPF_TEST_KUBECONFIG` names. `NOT_YET` may only shrink: a scenario that is listed and passes fails the test.
//! What is answered differently must stand in `docs/devcluster-differences.md`; and what stands there must differ.

mod compare;
mod differences;
mod door;
mod expect;
mod generator;
mod hook;
mod runner;

use std::collections::{BTreeMap, BTreeSet};

use differences::Differences;
use door::Door;
use generator::Kind;
use kopf_devcluster::{DevCluster, ListenOptions};
use runner::{Outcome, Pair, Runner};
use serde_json::Value;

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

/// `SEED` and `COUNT` say which episodes and how many, `KIND` of which kind.
#[tokio::test]
#[ignore = "needs a real cluster: make test-real"]
async fn generated_requests_are_answered_as_by_a_real_server() {
    let number = |name: &str, default: u64| {
        let given = std::env::var(name).ok();
        given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
    };
    let (seed, count) = (number("SEED", 1), number("COUNT", 100));
    let filter = std::env::var("KIND").unwrap_or_default();
    let kinds: Vec<Kind> = Kind::all().into_iter().filter(|kind| kind.name.contains(&filter)).collect();
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let (ours, real) = (Door::http(&listener.url()), real());
    let definitions: Value = kinds.iter().filter_map(Kind::definition).collect();
    let mut pair = Pair::new(&cluster, &ours, &real, &definitions).await;
    let mut known = Differences::read();
    // By what differs: how often, and the first example.
    let mut found: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (number, kind) in (0..count).zip(kinds.iter().cycle()) {
        let place = format!("generated {}", kind.name);
        let mut is_known = |difference: &_| known.allow(&place, difference);
        let mut steps = kind.episode(seed, number);
        let Some((last, mut differences)) = pair.play(&steps, &mut is_known).await else { continue };
        steps.truncate(last + 1);
        let call = steps[last]["c"].as_str().unwrap().split(' ').next().unwrap().to_owned();
        let what = format!("{} {call} {}", kind.name, differences[0].kind());
        if let Some((times, _)) = found.get_mut(&what) {
            *times += 1;
            continue;
        }
        // The fewest steps that show it.
        for index in (0..last).rev() {
            let mut fewer = steps.clone();
            fewer.remove(index);
            if let Some((number, again)) = pair.play(&fewer, &mut is_known).await
                && number + 1 == fewer.len()
                && again[0].kind() == differences[0].kind()
            {
                (steps, differences) = (fewer, again);
            }
        }
        let lines = steps.iter().map(|step| format!("    {step}\n"));
        let differences = differences.iter().take(4).map(|difference| format!("  {difference}\n"));
        let example = format!("{}{}", differences.collect::<String>(), lines.collect::<String>());
        found.insert(what, (1, format!("episode {number}\n{example}")));
    }
    pair.clean_up().await;
    let mut report: String =
        found.iter().map(|(what, (times, example))| format!("{what}, {times} times, {example}")).collect();
    if filter.is_empty() {
        let unused = known.unused(|place| place.starts_with("generated "));
        report.extend(unused.iter().map(|row| format!("docs/devcluster-differences.md: {row}\n")));
    }
    assert!(report.is_empty(), "with SEED={seed} COUNT={count} KIND={filter}\n{report}");
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
