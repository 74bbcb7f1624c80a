//! Kubernetes Events: explicit ones and those on the progress of handling. In process, in paused time.

mod common;

use std::time::Duration;

use common::{EXAMPLES, Setup, cluster, example, finished, succeeds};
use kopf_core::{error::ErrorInfo, handler::Trigger, outcome::Outcome};
use kopf_devcluster::{Answer, DevCluster, Matcher};
use kopf_engine::posting::ExplicitEvent;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v1/namespaces/default/events";

fn events() -> Matcher {
    Matcher::any().verb("create").resource("events")
}

async fn posted(cluster: &DevCluster, number: usize) -> Vec<Value> {
    for _ in 0..10_000 {
        let list = cluster.list(EVENTS).await.unwrap();
        if list.len() >= number {
            return list;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{number} events have not come: {:#?}", cluster.list(EVENTS).await.unwrap());
}

fn event(message: &str) -> ExplicitEvent {
    let reference = json!({"apiVersion": "zalando.org/v1", "kind": "KopfExample", "name": "a", "uid": "u", "namespace": "default"});
    ExplicitEvent {
        reference: reference.as_object().unwrap().clone(),
        kind: "Normal".into(),
        reason: "Reason".into(),
        message: message.into(),
        backoffs: None,
    }
}

fn enabled() -> Setup {
    let setup = Setup::new();
    setup.operator.handle().settings().update(|settings| settings.posting.enabled = true);
    setup
}

/// W-EVT-008, W-EVT-012, A-EVT-001: in order for each object, also from other threads, also before the operator runs.
#[tokio::test(start_paused = true)]
async fn explicit_events_are_posted_in_order() {
    let cluster = cluster().await;
    let setup = enabled();
    let handle = setup.operator.handle();
    handle.post(event("first")).unwrap();
    let running = setup.run(&cluster);
    for i in 0..20 {
        handle.post(event(&format!("{i:02}"))).unwrap();
    }
    let mut list = posted(&cluster, 21).await;
    list.sort_by_key(|event| event["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap());
    let messages: Vec<_> = list.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> =
        std::iter::once("first".to_owned()).chain((0..20).map(|i| format!("{i:02}"))).collect();
    assert_eq!(messages, expected);
    assert_eq!(list[0]["involvedObject"]["uid"], json!("u"));
    running.stop().await.unwrap();
    assert!(handle.post(event("late")).is_err(), "nobody would post it");
}

/// W-EVT-010, W-EVT-013: failures are tried again, then logged; nothing else suffers.
#[tokio::test(start_paused = true)]
async fn events_that_cannot_be_posted_are_logged_and_forgotten() {
    let cluster = cluster().await;
    cluster.faults().answer(events(), Answer::status(500), 2);
    let setup = enabled();
    let handle = setup.operator.handle();
    let running = setup.run(&cluster);
    handle.post(event("retried")).unwrap();
    posted(&cluster, 1).await;
    cluster.faults().answer(events(), Answer::status(422).message("bad"), 1);
    handle.post(event("refused")).unwrap();
    let line = running.script.line("Failed to post an event. Ignoring and continuing. ").await;
    assert!(line.contains("Code: 422. Message: bad.") && line.contains("message='refused'"), "{line}");
    running.stop().await.unwrap();
}

/// W-EVT-014 improved: what waits at the stop is posted still, if that goes fast.
#[tokio::test(start_paused = true)]
async fn waiting_events_are_posted_at_the_stop() {
    let cluster = cluster().await;
    let setup = enabled();
    let handle = setup.operator.handle();
    let running = setup.run(&cluster);
    running.script.until("ready", |script| script.is_ready().then_some(())).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for i in 0..100 {
        handle.post(event(&i.to_string())).unwrap();
    }
    running.stop().await.unwrap();
    assert_eq!(cluster.list(EVENTS).await.unwrap().len(), 100);
}

/// DEC-12: one Event per finished cycle, one per failed attempt; the same again is counted.
#[tokio::test(start_paused = true)]
async fn the_progress_of_handling_is_posted_and_counted() {
    let cluster = cluster().await;
    let mut setup = enabled();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        let outcome = match call.retry {
            0..3 => Outcome::Temporary {
                error: ErrorInfo::new("not yet"),
                delay: Some(jiff::SignedDuration::from_secs(1)),
            },
            _ => Outcome::Succeeded(None),
        };
        Box::pin(async move { finished(outcome, call.patch) })
    });
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let list = posted(&cluster, 2).await;
    assert_eq!(list.len(), 2, "{list:#?}");
    let of = |kind: &str| list.iter().find(|event| event["type"] == kind).unwrap();
    assert_eq!(of("Warning")["count"], json!(3));
    assert_eq!(of("Normal")["message"], json!("Creation is processed: 1 succeeded; 0 failed."));
    assert_eq!(of("Normal")["involvedObject"]["name"], json!("a"));
    running.stop().await.unwrap();
}

/// DEC-12: without the right to post, one warning, and no more attempts.
#[tokio::test(start_paused = true)]
async fn progress_is_not_posted_without_the_right_to() {
    let cluster = cluster().await;
    cluster.faults().answer(events(), Answer::status(403), 1000);
    let mut setup = enabled();
    setup.on("kopfexamples", "create", Trigger::Create, succeeds());
    let running = setup.run(&cluster);
    for i in 0..10 {
        cluster.create(EXAMPLES, &example(&format!("o{i}"))).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    running.script.line("Not enough permissions to post events").await;
    assert_eq!(running.requests.of("POST /api/v1/namespaces/default/events").len(), 1);
    running.stop().await.unwrap();
}

/// DEC-12: `posting.enabled = False` silences everything.
#[tokio::test(start_paused = true)]
async fn nothing_is_posted_if_posting_is_disabled() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, succeeds());
    let handle = setup.operator.handle();
    let running = setup.run(&cluster);
    handle.post(event("x")).unwrap();
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.stop().await.unwrap();
    assert!(cluster.list(EVENTS).await.unwrap().is_empty());
}
