//! Objects from their creation to their end: an operator against a dev cluster, in process, in paused time.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{EXAMPLES, Setup, cluster, example, finished, succeeds};
use kopf_core::{
    error::ErrorInfo,
    handler::Trigger,
    outcome::Outcome,
    reason::{EventType, Reason},
};
use kopf_devcluster::{Answer, Matcher};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const DELETE: Trigger = Trigger::Delete { optional: false };

/// W-CYC-012, W-FIN: the whole life of an object.
#[tokio::test(start_paused = true)]
async fn an_object_is_created_updated_and_deleted() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        Box::pin(async move { finished(Outcome::Succeeded(Some(json!({"seen": 1}))), call.patch) })
    });
    setup.on("kopfexamples", "update", Trigger::Update, succeeds());
    setup.on("kopfexamples", "delete", DELETE, succeeds());
    let running = setup.run(&cluster);
    let script = running.script.clone();

    script.line("Starting the watch-stream for kopfexamples.v1.zalando.org cluster-wide.").await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    let path = format!("{EXAMPLES}/a");
    cluster.merge(&path, &json!({"spec": {"field": "other"}})).await.unwrap();
    script.line("Updating is processed: 1 succeeded; 0 failed.").await;
    let object = cluster.get(&path).await.unwrap();
    assert_eq!(object["status"]["create"], json!({"seen": 1}));
    assert_eq!(object["metadata"]["finalizers"], json!(["kopf.zalando.org/KopfFinalizerMarker"]));

    cluster.delete(&path).await.unwrap();
    script.until("the end", |script| (!script.forgotten().is_empty()).then_some(())).await;
    assert!(cluster.get(&path).await.is_err());
    let reasons: Vec<_> = script.seen().iter().map(|seen| seen.reason).collect();
    assert_eq!(reasons, [Reason::Create, Reason::Update, Reason::Delete].map(Some));
    running.stop().await.unwrap();
}

/// W-EXE-004, W-TCH-012, W-TCH-013.
#[tokio::test(start_paused = true)]
async fn a_failed_handler_is_tried_again_after_its_delay() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        let outcome = match call.retry {
            0 => Outcome::Temporary {
                error: ErrorInfo::new("not yet"),
                delay: Some(jiff::SignedDuration::from_secs(30)),
            },
            1 => Outcome::Arbitrary(ErrorInfo::new("broken")),
            _ => Outcome::Succeeded(None),
        };
        Box::pin(async move { finished(outcome, call.patch) })
    });
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    let start = tokio::time::Instant::now();
    running.script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    let took = start.elapsed().as_secs();
    assert!((90..100).contains(&took), "30 s and 60 s, not {took}");
    let retries: Vec<_> = running.script.seen().iter().map(|seen| seen.retry).collect();
    assert_eq!(retries, [0, 1, 2]);
    running.stop().await.unwrap();
}

/// W-QUE-001, W-CYC-007: event handlers see every event, in order, also of objects that change fast.
#[tokio::test(start_paused = true)]
async fn events_of_an_object_come_in_order_and_none_is_left_out() {
    let cluster = cluster().await;
    let versions = Arc::new(Mutex::new(Vec::new()));
    let mut setup = Setup::new();
    let seen = versions.clone();
    setup.on("kopfexamples", "event", Trigger::Event, move |call| {
        let seen = seen.clone();
        Box::pin(async move {
            // The second event comes while the first is being handled.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let version = call.cause.object.resource_version().unwrap_or_default().to_owned();
            seen.lock().unwrap().push((call.cause.object.name().to_owned(), version));
            finished(Outcome::Succeeded(None), call.patch)
        })
    });
    let running = setup.run(&cluster);
    running.script.line("Starting the watch-stream").await;
    let mut expected: Vec<(String, String)> = Vec::new();
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    for name in ["a", "b"] {
        let object = cluster.create(EXAMPLES, &example(name)).await.unwrap();
        expected.push((name.into(), version(&object)));
    }
    for i in 0..50 {
        for name in ["a", "b"] {
            let patch = json!({"spec": {"i": i}});
            let object = cluster.merge(&format!("{EXAMPLES}/{name}"), &patch).await.unwrap();
            expected.push((name.into(), version(&object)));
        }
    }
    running.script.calls("event", expected.len()).await;
    let script = running.script.clone();
    running.stop().await.unwrap();
    let of = |all: &[(String, String)], name: &str| {
        all.iter().filter(|(its, _)| its == name).map(|(_, v)| v.clone()).collect::<Vec<_>>()
    };
    for name in ["a", "b"] {
        assert_eq!(of(&versions.lock().unwrap(), name), of(&expected, name), "{name}");
    }
    assert_eq!(script.seen()[0].event_type, Some(EventType::Added));
}

/// DEC-13: where only states count, a slow object does not pile up events.
#[tokio::test(start_paused = true)]
async fn only_the_newest_state_of_a_slow_object_is_handled() {
    let cluster = cluster().await;
    let gate = Arc::new(Semaphore::new(0));
    let mut setup = Setup::new();
    let entry = gate.clone();
    setup.on("kopfexamples", "create", Trigger::Create, move |call| {
        let entry = entry.clone();
        Box::pin(async move {
            entry.acquire().await.unwrap().forget();
            finished(Outcome::Succeeded(None), call.patch)
        })
    });
    let field = Arc::new(Mutex::new(Vec::new()));
    let fields = field.clone();
    setup.on("kopfexamples", "update", Trigger::Update, move |call| {
        fields.lock().unwrap().push(call.cause.object.body()["spec"]["field"].clone());
        Box::pin(async move { finished(Outcome::Succeeded(None), call.patch) })
    });
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("create", 1).await;
    for i in 0..100 {
        cluster.merge(&format!("{EXAMPLES}/a"), &json!({"spec": {"field": i}})).await.unwrap();
    }
    gate.add_permits(1);
    running.script.line("Updating is processed").await;
    assert_eq!(*field.lock().unwrap(), [json!(99)]);
    running.stop().await.unwrap();
}

/// W-CYC-001: other objects do not wait for a slow one.
#[tokio::test(start_paused = true)]
async fn a_slow_object_does_not_hold_others() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        Box::pin(async move {
            if call.cause.object.name() == "slow" {
                std::future::pending::<()>().await;
            }
            finished(Outcome::Succeeded(None), call.patch)
        })
    });
    let running = setup.run(&cluster);
    for name in ["slow", "fast"] {
        cluster.create(EXAMPLES, &example(name)).await.unwrap();
    }
    running.script.line("[fast] Creation is processed").await;
    running.task.abort();
}

/// W-QUE-005: so many objects are worked on at the same time; those that sleep take nobody's place (unlike W-TCH-016).
#[tokio::test(start_paused = true)]
async fn the_number_of_objects_that_are_worked_on_is_limited() {
    let cluster = cluster().await;
    let running_now = Arc::new(Mutex::new((0, 0)));
    let counted = running_now.clone();
    let mut setup = Setup::new();
    setup.operator.handle().settings().update(|settings| settings.queueing.worker_limit = Some(2));
    setup.on("kopfexamples", "create", Trigger::Create, move |call| {
        let counted = counted.clone();
        Box::pin(async move {
            {
                let mut counted = counted.lock().unwrap();
                counted.0 += 1;
                counted.1 = counted.1.max(counted.0);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            counted.lock().unwrap().0 -= 1;
            let outcome = match call.retry {
                0 => Outcome::Temporary {
                    error: ErrorInfo::new("later"),
                    delay: Some(jiff::SignedDuration::from_secs(100)),
                },
                _ => Outcome::Succeeded(None),
            };
            finished(outcome, call.patch)
        })
    });
    for i in 0..10 {
        cluster.create(EXAMPLES, &example(&format!("o{i}"))).await.unwrap();
    }
    let running = setup.run(&cluster);
    let start = tokio::time::Instant::now();
    running.script.calls("create", 10).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    running.script.calls("create", 20).await;
    assert_eq!(running_now.lock().unwrap().1, 2);
    running.stop().await.unwrap();
}

#[derive(Debug)]
struct HasLabel;

impl kopf_core::filter::Predicate for HasLabel {
    fn test(&self, _: Option<&Value>, cause: &kopf_core::cause::Cause) -> Result<bool, ErrorInfo> {
        Ok(cause.object.labels().is_some())
    }
}

/// DEC-6: steps that may call the door's code run where the door wants it, others do not.
#[tokio::test(start_paused = true)]
async fn steps_with_code_of_the_door_run_at_the_door() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, succeeds());
    let (_, handler) = setup.operator.registry.resources.last_mut().unwrap();
    Arc::get_mut(handler).unwrap().filters.when = Some(Arc::new(HasLabel));
    setup.on("configmaps", "event", Trigger::Event, succeeds());
    let running = setup.run(&cluster);
    running.script.calls("event", 1).await;
    assert_eq!(running.script.steps(), 0);
    let mut labelled = example("with");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    cluster.create(EXAMPLES, &labelled).await.unwrap();
    cluster.create(EXAMPLES, &example("without")).await.unwrap();
    running.script.line("[with] Creation is processed").await;
    assert!(running.script.steps() > 1);
    assert!(running.script.seen().iter().all(|seen| seen.object != "without"));
    running.stop().await.unwrap();
}

/// 10,000 objects that are there at the start: listed in pages and handled, each once.
#[tokio::test(start_paused = true)]
async fn ten_thousand_listed_objects_are_handled_once_each() {
    const NUMBER: usize = 10_000;
    let cluster = cluster().await;
    for i in 0..NUMBER {
        cluster.create(EXAMPLES, &example(&format!("o{i}"))).await.unwrap();
    }
    let mut setup = Setup::new();
    setup.operator.handle().settings().update(|settings| settings.watching.chunk_size = Some(500));
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    let running = setup.run(&cluster);
    let seen = running.script.calls("event", NUMBER).await;
    let mut names: Vec<_> = seen.iter().map(|seen| seen.object.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!((seen.len(), names.len()), (NUMBER, NUMBER));
    assert!(seen.iter().all(|seen| seen.event_type.is_none()), "listed objects have no type");
    let pages = running.requests.of("GET /apis/zalando.org/v1/kopfexamples?limit=500");
    assert_eq!(pages.len(), NUMBER / 500);
    running.stop().await.unwrap();
}

/// Lists wait a little for what they have shown: not all objects are in memory at once.
#[tokio::test(start_paused = true)]
async fn a_list_waits_for_what_it_has_shown() {
    const NUMBER: usize = 4_000;
    let cluster = cluster().await;
    for i in 0..NUMBER {
        cluster.create(EXAMPLES, &example(&format!("o{i}"))).await.unwrap();
    }
    let handled_now = Arc::new(Mutex::new((0, 0)));
    let counted = handled_now.clone();
    let mut setup = Setup::new();
    setup.operator.handle().settings().update(|settings| settings.watching.chunk_size = Some(100));
    setup.on("kopfexamples", "event", Trigger::Event, move |call| {
        let counted = counted.clone();
        Box::pin(async move {
            {
                let mut counted = counted.lock().unwrap();
                counted.0 += 1;
                counted.1 = counted.1.max(counted.0);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            counted.lock().unwrap().0 -= 1;
            finished(Outcome::Succeeded(None), call.patch)
        })
    });
    let running = setup.run(&cluster);
    running.script.calls("event", NUMBER).await;
    let most = handled_now.lock().unwrap().1;
    assert!((1_000..=1_100).contains(&most), "{most}");
    running.stop().await.unwrap();
}

/// But not for ever: objects that take long do not keep others from being handled.
#[tokio::test(start_paused = true)]
async fn a_list_does_not_wait_for_ever() {
    const NUMBER: usize = 2_000;
    let cluster = cluster().await;
    for i in 0..NUMBER {
        cluster.create(EXAMPLES, &example(&format!("o{i}"))).await.unwrap();
    }
    let mut setup = Setup::new();
    setup.operator.handle().settings().update(|settings| settings.watching.chunk_size = Some(100));
    setup.on("kopfexamples", "event", Trigger::Event, |_| Box::pin(std::future::pending()));
    let running = setup.run(&cluster);
    let start = tokio::time::Instant::now();
    running.script.calls("event", NUMBER).await;
    assert_eq!(start.elapsed().as_secs(), 20);
    running.task.abort();
}

/// DEC-7: somebody else has written between the event and our finalizer.
#[tokio::test(start_paused = true)]
async fn a_conflict_on_the_finalizer_is_overcome() {
    let cluster = cluster().await;
    let matcher = Matcher::any().verb("patch").resource("kopfexamples.zalando.org");
    cluster.faults().answer(matcher, Answer::status(409), 1);
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, succeeds());
    setup.on("kopfexamples", "delete", DELETE, succeeds());
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    let object = cluster.get(&format!("{EXAMPLES}/a")).await.unwrap();
    assert_eq!(object["metadata"]["finalizers"], json!(["kopf.zalando.org/KopfFinalizerMarker"]));
    assert_eq!(running.script.seen_of("create").len(), 1);
    running.stop().await.unwrap();
}

/// DEC-7: an outcome is not lost, and no handler runs twice, if the server is in trouble when it is to be stored.
#[tokio::test(start_paused = true)]
async fn an_outcome_is_stored_after_the_servers_troubles() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        Box::pin(async move { finished(Outcome::Succeeded(Some(json!("done"))), call.patch) })
    });
    setup.operator.handle().settings().update(|s| s.networking.error_backoffs = Vec::new());
    let matcher = Matcher::any().verb("patch").resource("kopfexamples.zalando.org");
    cluster.faults().answer(matcher, Answer::status(503), 3);
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    let path = format!("{EXAMPLES}/a");
    running
        .script
        .until("the result", |script| {
            script.lines().iter().any(|l| l.contains("Handling cycle is finished")).then_some(())
        })
        .await;
    assert_eq!(cluster.get(&path).await.unwrap()["status"]["create"], json!("done"));
    assert_eq!(running.script.seen_of("create").len(), 1);
    running.stop().await.unwrap();
}

/// W-PAT-012: what was meant for an object does not reach the one that is made under its name meanwhile.
#[tokio::test(start_paused = true)]
async fn a_patch_under_way_does_not_land_on_a_namesake() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "create", Trigger::Create, |call| {
        Box::pin(async move { finished(Outcome::Succeeded(Some(json!({"seen": 1}))), call.patch) })
    });
    setup.on("kopfexamples", "update", Trigger::Update, succeeds());
    let running = setup.run(&cluster);
    let script = running.script.clone();
    let path = format!("{EXAMPLES}/a");

    cluster.faults().delay(Matcher::any().verb("patch"), Duration::from_secs(10), 1);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    script.until("the first call", |script| (!script.seen().is_empty()).then_some(())).await;
    cluster.delete(&path).await.unwrap();
    let mut namesake = example("a");
    namesake["spec"] = json!({"field": "of the namesake"});
    cluster.create(EXAMPLES, &namesake).await.unwrap();

    script.until("the second call", |script| (script.seen().len() > 1).then_some(())).await;
    script.until("the end of the first", |script| (!script.forgotten().is_empty()).then_some(())).await;
    let reasons: Vec<_> = script.seen().iter().map(|seen| seen.reason).collect();
    assert_eq!(reasons, [Reason::Create, Reason::Create].map(Some));
    script.line("Creation is processed: 1 succeeded; 0 failed.").await;
    let object = cluster.get(&path).await.unwrap();
    let handled = object["metadata"]["annotations"]["kopf.zalando.org/last-handled-configuration"].as_str();
    assert!(handled.is_some_and(|essence| essence.contains("of the namesake")), "{object:#}");
    running.stop().await.unwrap();
}
