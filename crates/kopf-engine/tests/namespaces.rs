//! Operators that serve some namespaces: in process, in paused time.

mod common;

use common::{Setup, cluster, example, succeeds};
use kopf_core::handler::Trigger;
use kopf_devcluster::{Answer, DevCluster, Matcher};
use kopf_engine::namespaces::{NamespacePattern, NamespacePredicate, Scope};
use serde_json::json;

fn observer(patterns: &[&str]) -> Setup {
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    let globs = patterns.iter().map(|pattern| NamespacePattern::Glob((*pattern).into()));
    setup.operator.scope = Scope::Namespaces(globs.collect());
    setup
}

async fn create_namespace(cluster: &DevCluster, name: &str) {
    cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
}

async fn create_example(cluster: &DevCluster, namespace: &str, name: &str) {
    let path = format!("/apis/zalando.org/v1/namespaces/{namespace}/kopfexamples");
    cluster.create(&path, &example(name)).await.unwrap();
}

/// W-NS-002, W-NS-007, W-NS-008, W-WAT-001.
#[tokio::test(start_paused = true)]
async fn namespaces_are_served_as_they_come_and_go() {
    let cluster = cluster().await;
    for name in ["in-1", "out"] {
        create_namespace(&cluster, name).await;
        create_example(&cluster, name, &format!("{name}-a")).await;
    }
    let running = observer(&["in-*"]).run(&cluster);
    running.script.line("Starting the watch-stream for kopfexamples.v1.zalando.org in 'in-1'.").await;
    create_namespace(&cluster, "in-2").await;
    create_example(&cluster, "in-2", "in-2-a").await;
    let seen = running.script.calls("event", 2).await;
    let names: Vec<_> = seen.iter().map(|seen| seen.object.as_str()).collect();
    assert_eq!(names, ["in-1-a", "in-2-a"]);

    cluster.delete("/api/v1/namespaces/in-1").await.unwrap();
    running.script.line("Stopping the watch-stream for kopfexamples.v1.zalando.org in 'in-1'.").await;
    assert!(running.requests.of("GET /apis/zalando.org/v1/kopfexamples").is_empty());
    assert!(running.requests.of("GET /apis/zalando.org/v1/namespaces/out").is_empty());
    running.stop().await.unwrap();
}

/// W-DSC-011: warnings come with what is discovered, not with each change of a namespace.
#[tokio::test(start_paused = true)]
async fn changes_of_namespaces_are_no_reason_to_warn_again() {
    let cluster = cluster().await;
    let mut setup = observer(&["in-*"]);
    setup.on("nosuchthings", "never", Trigger::Event, succeeds());
    let running = setup.run(&cluster);
    running.script.line("Unresolved resources cannot be served").await;
    for i in 0..5 {
        create_namespace(&cluster, &format!("in-{i}")).await;
        let line = format!("Starting the watch-stream for kopfexamples.v1.zalando.org in 'in-{i}'.");
        running.script.line(&line).await;
    }
    let warnings = running.script.lines().into_iter().filter(|line| line.contains("Unresolved")).count();
    assert_eq!(warnings, 1);
    running.stop().await.unwrap();
}

/// W-NS-005.
#[tokio::test(start_paused = true)]
async fn exact_names_are_served_if_namespaces_cannot_be_listed() {
    let cluster = cluster().await;
    create_namespace(&cluster, "ns1").await;
    create_example(&cluster, "ns1", "a").await;
    cluster.faults().answer(Matcher::any().resource("namespaces"), Answer::status(403), 1000);
    let running = observer(&["ns1", "some*"]).run(&cluster);
    running.script.calls("event", 1).await;
    running
        .script
        .line(
            "Not enough permissions to list namespaces. Falling back to a list of namespaces which are assumed to exist: \
             {'ns1'}",
        )
        .await;
    running.stop().await.unwrap();
}

/// W-NS-006.
#[tokio::test(start_paused = true)]
async fn an_operator_goes_on_if_namespaces_cannot_be_watched() {
    let cluster = cluster().await;
    create_namespace(&cluster, "ns1").await;
    cluster.faults().answer(Matcher::any().verb("watch").resource("namespaces"), Answer::status(403), 1000);
    let running = observer(&["ns*"]).run(&cluster);
    running.script.line("Not enough permissions to watch for namespaces: changes (deletion/creation)").await;
    create_example(&cluster, "ns1", "a").await;
    running.script.calls("event", 1).await;
    running.stop().await.unwrap();
}

/// W-DSC-014, W-NS-005.
#[tokio::test(start_paused = true)]
async fn nothing_is_observed_if_scanning_is_disabled() {
    let cluster = cluster().await;
    let setup = observer(&["default", "other*"]);
    setup.operator.handle().settings().update(|settings| settings.scanning.disabled = true);
    let running = setup.run(&cluster);
    create_example(&cluster, "default", "a").await;
    running.script.calls("event", 1).await;
    for path in ["GET /api/v1/namespaces?", "GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions"] {
        assert!(running.requests.of(path).is_empty(), "{path}");
    }
    running.stop().await.unwrap();
}

#[derive(Debug)]
struct Suffix(&'static str);

impl NamespacePredicate for Suffix {
    fn test(&self, namespace: &str) -> bool {
        namespace.ends_with(self.0)
    }
}

/// W-NS-004, DEC-6.
#[tokio::test(start_paused = true)]
async fn patterns_may_be_code() {
    let cluster = cluster().await;
    create_namespace(&cluster, "a-prod").await;
    create_example(&cluster, "a-prod", "a").await;
    let mut setup = observer(&[]);
    setup.operator.scope =
        Scope::Namespaces(vec![NamespacePattern::Callback(std::sync::Arc::new(Suffix("-prod")))]);
    let running = setup.run(&cluster);
    running.script.calls("event", 1).await;
    running.stop().await.unwrap();
}

/// W-WAT-001: cluster-scoped resources have one stream, whatever the namespaces.
#[tokio::test(start_paused = true)]
async fn cluster_scoped_resources_are_served_as_a_whole() {
    let cluster = cluster().await;
    let mut setup = observer(&["default"]);
    setup.on("nodes", "node", Trigger::Event, succeeds());
    let running = setup.run(&cluster);
    cluster.create("/api/v1/nodes", &json!({"metadata": {"name": "n1"}})).await.unwrap();
    running.script.calls("node", 1).await;
    running.script.line("Starting the watch-stream for nodes.v1 cluster-wide.").await;
    running.stop().await.unwrap();
}
