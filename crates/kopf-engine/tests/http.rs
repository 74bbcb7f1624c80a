//! Over real connections: HTTP, TLS, kubeconfigs, tokens, plug-ins. In real time, waiting for events.

mod common;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{EXAMPLES, Requests, Setup, cluster, example, succeeds};
use kopf_core::{handler::Trigger, outcome::Outcome};
use kopf_devcluster::{Answer, Cut, DevCluster, Fault, ListenOptions, Listener, Matcher};
use kopf_engine::{client::Connection, registry::Activity};
use serde_json::json;

fn observer(connection: Connection) -> Setup {
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    setup.on("kopfexamples", "create", Trigger::Create, succeeds());
    setup.operator.connection = connection;
    setup
}

async fn serves_an_object(cluster: &DevCluster, setup: Setup) {
    let running = setup.run_as_is(Requests::default());
    running.script.line("Starting the watch-stream for kopfexamples").await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("[a] Creation is processed: 1 succeeded; 0 failed.").await;
    running.stop().await.unwrap();
}

fn write_kubeconfig(folder: &Path, listener: &Listener) -> std::path::PathBuf {
    let path = folder.join("config");
    std::fs::write(&path, listener.kubeconfig()).unwrap();
    path
}

#[tokio::test]
async fn an_operator_works_over_plain_http() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = write_kubeconfig(folder.path(), &listener);
    serves_an_object(&cluster, observer(Connection::Kubeconfig(vec![path]))).await;
}

/// DEC-23: TLS, with the authority of the kubeconfig; HTTP/2, which the server offers.
#[tokio::test]
async fn an_operator_works_over_tls() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default().with_tls()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = write_kubeconfig(folder.path(), &listener);
    serves_an_object(&cluster, observer(Connection::Kubeconfig(vec![path]))).await;
}

/// W-AUT-021: a certificate that nobody vouches for is refused.
#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default().with_tls()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = listener.kubeconfig();
    let without: String = text
        .lines()
        .filter(|line| !line.contains("certificate-authority"))
        .fold(String::new(), |all, line| all + line + "\n");
    let path = folder.path().join("config");
    std::fs::write(&path, &without).unwrap();
    let setup = observer(Connection::Kubeconfig(vec![path.clone()]));
    setup.operator.handle().settings().update(|settings| settings.networking.error_backoffs = Vec::new());
    let error = setup.run_as_is(Requests::default()).end().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("certificate"), "{source}");

    let insecure = without
        .replace("  cluster:\n    server", "  cluster:\n    insecure-skip-tls-verify: true\n    server");
    assert_ne!(insecure, without);
    std::fs::write(&path, insecure).unwrap();
    serves_an_object(&cluster, observer(Connection::Kubeconfig(vec![path]))).await;
}

/// W-AUT-001, A-ACT-020: a login activity tells the connection.
#[tokio::test]
async fn a_login_activity_tells_where_the_cluster_is() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let mut setup = observer(Connection::Infer);
    let server = listener.url();
    setup.activity(Activity::Authentication, "login", move |_| {
        let info = json!({"server": server, "token": "t", "default_namespace": "ns"});
        Box::pin(async move { Outcome::Succeeded(Some(info)) })
    });
    serves_an_object(&cluster, setup).await;
}

/// W-API-009, W-AUT-004, W-AUT-012, DEC-1: a token that has expired is replaced by the one that the login gives now, for writes
/// and for watches, and no handler notices.
#[tokio::test]
async fn a_refused_token_is_replaced_by_a_new_one() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let mut setup = observer(Connection::Infer);
    let (server, logins) = (listener.url(), AtomicUsize::new(0));
    setup.activity(Activity::Authentication, "login", move |_| {
        let number = logins.fetch_add(1, Ordering::Relaxed);
        let info = json!({"server": server, "token": format!("t{number}")});
        Box::pin(async move { Outcome::Succeeded(Some(info)) })
    });
    let running = setup.run_as_is(Requests::default());
    running.script.line("Starting the watch-stream for kopfexamples").await;
    let examples = |verb| Matcher::any().verb(verb).resource("kopfexamples.zalando.org");

    cluster.faults().answer(examples("patch"), Answer::status(401), 1);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("[a] Creation is processed: 1 succeeded; 0 failed.").await;
    running.script.line("Re-authentication has finished.").await;

    let refused = cluster.faults().plan(Fault::answer(Answer::status(401)).on(examples("watch")));
    cluster.faults().cut_watches(&examples("watch"), Cut::Hard);
    cluster.create(EXAMPLES, &example("b")).await.unwrap();
    running.script.line("[b] Creation is processed: 1 succeeded; 0 failed.").await;
    assert_eq!(cluster.faults().happened(refused), 1);
    assert_eq!(running.script.seen_of("create").len(), 2);
    assert_eq!(running.script.seen_of("login").len(), 3);
    running.stop().await.unwrap();
}

/// W-AUT-011: more than upstream; what the plug-in prints is used, and its failure is told.
#[cfg(unix)]
#[tokio::test]
async fn credential_plug_ins_are_run() {
    use std::os::unix::fs::PermissionsExt as _;

    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("plugin.sh");
    let write = |script: &str| {
        std::fs::write(&plugin, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let config = json!({
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "cl", "user": "u"}}],
        "clusters": [{"name": "cl", "cluster": {"server": listener.url()}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "./plugin.sh",
            "env": [{"name": "WORD", "value": "tok"}],
        }}}],
    });
    let path = folder.path().join("config");
    std::fs::write(&path, config.to_string()).unwrap();

    write(r#"test -n "$KUBERNETES_EXEC_INFO" && echo "{\"status\": {\"token\": \"$WORD\"}}""#);
    serves_an_object(&cluster, observer(Connection::Kubeconfig(vec![path.clone()]))).await;

    write("echo no luck >&2; exit 3");
    let setup = observer(Connection::Kubeconfig(vec![path]));
    let error = setup.run_as_is(Requests::default()).end().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("no luck") && source.contains("plugin.sh"), "{source}");
}

/// Many streams, more than a connection of HTTP/2 takes, and short requests beside them.
#[tokio::test]
async fn more_streams_than_a_connection_takes_do_not_hold_requests() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default().with_tls()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = write_kubeconfig(folder.path(), &listener);
    let mut setup = observer(Connection::Kubeconfig(vec![path]));
    let namespaces = 250;
    for i in 0..namespaces {
        let namespace = json!({"metadata": {"name": format!("many-{i}")}});
        cluster.create("/api/v1/namespaces", &namespace).await.unwrap();
    }
    setup.operator.scope =
        kopf_engine::namespaces::Scope::Namespaces(vec![kopf_engine::namespaces::NamespacePattern::Glob(
            "many-*".into(),
        )]);
    let running = setup.run_as_is(Requests::default());
    let script: Arc<common::Script> = running.script.clone();
    script
        .until("all streams", |script| {
            let starts =
                script.lines().iter().filter(|l| l.contains("Starting the watch-stream for kopf")).count();
            (starts == namespaces).then_some(())
        })
        .await;
    for i in 0..namespaces {
        let path = format!("/apis/zalando.org/v1/namespaces/many-{i}/kopfexamples");
        cluster.create(&path, &example(&format!("o{i}"))).await.unwrap();
    }
    script
        .until("all objects", |script| {
            let done = script.lines().iter().filter(|l| l.contains("Creation is processed")).count();
            (done == namespaces).then_some(())
        })
        .await;
    running.stop().await.unwrap();
}
