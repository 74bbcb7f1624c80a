//! The start and the stop of an operator: against a dev cluster in process, in paused time.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{EXAMPLES, Setup, cluster, example, finished, succeeds};
use kopf_core::{error::ErrorInfo, handler::Trigger, outcome::Outcome};
use kopf_devcluster::{Answer, Matcher};
use kopf_engine::{
    RunError,
    client::{Connection, LoginError},
    registry::Activity,
};
use serde_json::json;
use tokio::{sync::Semaphore, time::Instant};

fn done()
-> impl Fn(kopf_engine::door::ActivityCall) -> kopf_engine::door::BoxFuture<Outcome> + Send + Sync + 'static {
    |_| Box::pin(async { Outcome::Succeeded(None) })
}

/// W-PRC-004, W-PRC-006, A-ACT-003, A-ACT-005: nothing is requested before the startup activities have succeeded.
#[tokio::test(start_paused = true)]
async fn startup_comes_first_and_is_tried_until_it_succeeds() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.activity(Activity::Startup, "start", |call| {
        let outcome = match call.retry {
            0 => Outcome::Arbitrary(ErrorInfo::new("not yet")),
            _ => Outcome::Succeeded(None),
        };
        Box::pin(async { outcome })
    });
    setup.activity(Activity::Cleanup, "end", done());
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    let start = Instant::now();
    let running = setup.run(&cluster);
    running.script.calls("start", 1).await;
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(running.requests.all().is_empty() && !running.script.is_ready());
    running.script.line("Starting the watch-stream").await;
    assert_eq!(start.elapsed().as_secs(), 60);
    assert!(running.script.is_ready());
    let script = running.script.clone();
    running.stop().await.unwrap();
    let lines = script.lines();
    let position = |part: &str| lines.iter().position(|line| line.contains(part)).expect(part);
    assert!(position("Activity 'start' succeeded.") < position("Initial authentication has been initiated."));
    assert!(position("Stopping the watch-stream") < position("Activity 'end' succeeded."));
}

/// W-PRC-017, A-ACT-007: if the startup fails nothing else starts, and nothing is cleaned up.
#[tokio::test(start_paused = true)]
async fn an_operator_ends_if_its_startup_fails() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.activity(Activity::Startup, "start", |_| {
        Box::pin(async { Outcome::Permanent(ErrorInfo::new("broken")) })
    });
    setup.activity(Activity::Cleanup, "end", done());
    let running = setup.run(&cluster);
    let (script, requests) = (running.script.clone(), running.requests.clone());
    let error = running.end().await.unwrap_err();
    assert_eq!(error.to_string(), "One or more handlers failed.");
    assert!(matches!(error, RunError::Activity { activity: "startup", first } if first.text == "broken"));
    assert!(script.seen_of("end").is_empty() && requests.all().is_empty() && !script.is_ready());
    script.line("Error Startup/cleanup activities has failed: One or more handlers failed.").await;
}

/// W-PRC-019: a stop during the startup.
#[tokio::test(start_paused = true)]
async fn a_stop_interrupts_the_startup() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.activity(Activity::Startup, "start", |_| Box::pin(std::future::pending()));
    let running = setup.run(&cluster);
    running.script.calls("start", 1).await;
    let script = running.script.clone();
    running.stop().await.unwrap();
    script.line("Startup activity is only partially executed due to cancellation.").await;
}

/// W-PRC-014: a handler that runs at the stop may finish, and its outcome is stored.
#[tokio::test(start_paused = true)]
async fn a_graceful_stop_lets_a_running_handler_finish() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1900)).await;
            finished(Outcome::Succeeded(Some(json!("finished"))), call.patch)
        })
    });
    setup.activity(Activity::Cleanup, "end", done());
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("create", 1).await;
    let script = running.script.clone();
    running.stop().await.unwrap();
    let object = cluster.get(&format!("{EXAMPLES}/a")).await.unwrap();
    assert_eq!(object["status"]["create"], json!("finished"));
    assert_eq!((script.cancelled(), script.seen_of("end").len()), (0, 1));
}

/// W-PRC-014: one that does not finish is cancelled and awaited; nothing of it is stored, and it runs again later.
#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_finish_at_the_stop_is_cancelled_and_awaited() {
    let cluster = cluster().await;
    let ended = Arc::new(AtomicBool::new(false));
    let gate = Arc::new(Semaphore::new(0));
    let mut setup = Setup::new();
    let (ends, opens) = (ended.clone(), gate.clone());
    setup.on("kopfexamples", "create", Trigger::Create, move |call| {
        let (ends, opens) = (ends.clone(), opens.clone());
        Box::pin(async move {
            // A thread cannot be cancelled: it ends when it ends.
            opens.acquire().await.unwrap().forget();
            ends.store(true, Ordering::SeqCst);
            finished(Outcome::Succeeded(Some(json!("too late"))), call.patch)
        })
    });
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("create", 1).await;
    let script = running.script.clone();
    running.stop.cancel();
    let start = Instant::now();
    script.until("the cancellation", |script| (script.cancelled() == 1).then_some(())).await;
    assert_eq!(start.elapsed().as_secs(), 2);
    script.line("Unprocessed streams left for [(kopfexamples.v1.zalando.org, '").await;
    assert!(!ended.load(Ordering::SeqCst));
    gate.add_permits(1);
    running.end().await.unwrap();
    assert!(ended.load(Ordering::SeqCst));
    let object = cluster.get(&format!("{EXAMPLES}/a")).await.unwrap();
    assert_eq!(object.get("status"), None);

    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, succeeds());
    let again = setup.run(&cluster);
    again.script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    assert_eq!(again.script.seen()[0].retry, 0);
    again.stop().await.unwrap();
}

/// W-PRC-014: what runs may finish, but nothing is begun after the stop.
#[tokio::test(start_paused = true)]
async fn no_handler_is_begun_after_the_stop() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    let handle = setup.operator.handle();
    handle.lifecycle().store(Arc::new(kopf_core::lifecycle::Builtin::AllAtOnce));
    setup.on("kopfexamples", "first", Trigger::Create, |call| {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            finished(Outcome::Succeeded(Some(json!("finished"))), call.patch)
        })
    });
    setup.on("kopfexamples", "second", Trigger::Create, succeeds());
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("first", 1).await;
    let script = running.script.clone();
    running.stop().await.unwrap();
    assert!(script.seen_of("second").is_empty());
    let object = cluster.get(&format!("{EXAMPLES}/a")).await.unwrap();
    assert_eq!(object["status"]["first"], json!("finished"));

    let mut setup = Setup::new();
    setup.on("kopfexamples", "first", Trigger::Create, succeeds());
    setup.on("kopfexamples", "second", Trigger::Create, succeeds());
    let again = setup.run(&cluster);
    again.script.line("Creation is processed: 2 succeeded; 0 failed.").await;
    assert!(again.script.seen_of("first").is_empty(), "it has finished before");
    again.stop().await.unwrap();
}

/// W-QUE-006: an object that sleeps does not hold the stop.
#[tokio::test(start_paused = true)]
async fn sleeping_objects_do_not_hold_the_stop() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        let outcome = Outcome::Temporary {
            error: ErrorInfo::new("later"),
            delay: Some(jiff::SignedDuration::from_hours(1)),
        };
        Box::pin(async move { finished(outcome, call.patch) })
    });
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("Sleeping for").await;
    let start = Instant::now();
    running.stop().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// W-PRC-019: cleanup activities run after a failure; the first error counts.
#[tokio::test(start_paused = true)]
async fn cleanup_runs_after_a_failure() {
    let cluster = cluster().await;
    let matcher = Matcher::any().verb("list").resource("kopfexamples.zalando.org");
    cluster.faults().answer(matcher, Answer::status(400).message("nonsense"), 1);
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    setup.activity(Activity::Cleanup, "end", |_| {
        Box::pin(async { Outcome::Permanent(ErrorInfo::new("broken")) })
    });
    let running = setup.run(&cluster);
    let script = running.script.clone();
    let error = running.end().await.unwrap_err();
    assert!(matches!(error, RunError::Api { .. }), "{error}");
    assert_eq!(script.seen_of("end").len(), 1);
}

/// W-PRC-017: a cleanup that fails is the operator's error.
#[tokio::test(start_paused = true)]
async fn a_failed_cleanup_is_an_error() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.activity(Activity::Cleanup, "end", |_| {
        Box::pin(async { Outcome::Permanent(ErrorInfo::new("broken")) })
    });
    let running = setup.run(&cluster);
    running.script.until("ready", |script| script.is_ready().then_some(())).await;
    let error = running.stop().await.unwrap_err();
    assert!(matches!(error, RunError::Activity { activity: "cleanup", .. }), "{error}");
}

/// W-AUT-001, W-AUT-008, A-ACT-020: login activities that fail, or return something else, end the operator at once.
#[tokio::test(start_paused = true)]
async fn failed_logins_end_the_operator_at_once() {
    let run = async |outcome: Outcome| {
        let mut setup = Setup::new();
        let outcome = Arc::new(std::sync::Mutex::new(Some(outcome)));
        setup.activity(Activity::Authentication, "login", move |_| {
            let outcome = outcome.lock().unwrap().take().unwrap();
            Box::pin(async { outcome })
        });
        let running = setup.run_as_is(common::Requests::default());
        running.end().await.unwrap_err()
    };
    let error = run(Outcome::Permanent(ErrorInfo::new("wrong password"))).await;
    assert!(matches!(error, RunError::Activity { activity: "authentication", .. }), "{error:?}");
    let error = run(Outcome::Succeeded(Some(json!("no connection")))).await;
    assert!(matches!(error, RunError::Login(LoginError::NoConnection)), "{error:?}");
    let error = run(Outcome::Succeeded(None)).await;
    assert!(matches!(error, RunError::Login(LoginError::NoCredentials)), "{error:?}");
}

/// W-API-002.
#[tokio::test(start_paused = true)]
async fn requests_say_who_asks() {
    let cluster = cluster().await;
    let ours = Matcher::any().verb("list").user_agent("my-operator/1 kopf/2");
    cluster.faults().answer(ours, Answer::status(400).message("seen"), 1);
    let mut setup = Setup::new();
    setup.operator.user_agent = "my-operator/1 kopf/2".into();
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    let RunError::Api { source, .. } = setup.run(&cluster).end().await.unwrap_err() else { panic!() };
    assert_eq!(source.to_string(), "seen");
}

/// Dropping an operator that runs leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_dropped_operator_ends_by_itself() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |_| Box::pin(std::future::pending()));
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("create", 1).await;
    let script = running.script.clone();
    running.task.abort();
    script.until("the cancellation", |script| (script.cancelled() == 1).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.faults().open_watches(&Matcher::any()), 0);
}

/// W-AUT-006: credentials that are refused for ever end the operator.
#[tokio::test(start_paused = true)]
async fn refused_credentials_end_the_operator() {
    let cluster = cluster().await;
    cluster.faults().answer(Matcher::any(), Answer::status(401), 100);
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    let running = setup.run(&cluster);
    let script = running.script.clone();
    let error = running.end().await.unwrap_err();
    assert!(matches!(error, RunError::Login(LoginError::NoCredentials)), "{error:?}");
    script.line("Re-authentication has failed: no credentials were retrieved from the login handlers.").await;
}

/// W-QUE-007: a panic in the engine's own work ends the operator instead of losing the object.
#[tokio::test(start_paused = true)]
async fn a_defect_ends_the_operator_with_a_clear_error() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, |_| panic!("a defect"));
    setup.activity(Activity::Cleanup, "end", done());
    let running = setup.run(&cluster);
    let script = running.script.clone();
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    let error = running.end().await.unwrap_err();
    assert!(matches!(&error, RunError::Worker(text) if text == "a defect"), "{error:?}");
    script.line("Event processing has failed with an unrecoverable error for").await;
    assert_eq!(script.seen_of("end").len(), 1);
}

/// W-AUT-010: a missing kubeconfig is told at once, by its name.
#[tokio::test]
async fn a_missing_kubeconfig_is_a_clear_error() {
    let mut setup = Setup::new();
    setup.operator.connection = Connection::Kubeconfig(vec!["/no/such/kubeconfig".into()]);
    let running = setup.run_as_is(common::Requests::default());
    let script = running.script.clone();
    let error = running.end().await.unwrap_err();
    let RunError::Login(error) = error else { panic!("{error:?}") };
    script.line("Credentials retriever has failed: cannot log in to the cluster: cannot read /no/such").await;
    assert!(error.to_string().starts_with("cannot read /no/such/kubeconfig: "), "{error}");
}

/// W-API-003, W-DSC-002: a cluster that cannot be reached is tried as any request, and then given up with its name.
#[tokio::test(start_paused = true)]
async fn an_unreachable_cluster_is_a_clear_error() {
    let mut setup = Setup::new();
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("connection refused"))
    });
    setup.operator.connection = Connection::service(service);
    let start = Instant::now();
    let running = setup.run_as_is(common::Requests::default());
    running.script.line("Request attempt #1/9 failed; will retry: GET /api").await;
    let RunError::Api { doing, source } = running.end().await.unwrap_err() else { panic!() };
    assert_eq!(doing, "discover the resources");
    assert!(source.to_string().contains("connection refused"), "{source}");
    assert_eq!(start.elapsed().as_secs(), 54);
}
