//! Many objects, a troubled server, chance: whatever happens, nothing is lost, handled twice, or stuck.

mod common;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{EXAMPLES, Setup, cluster, example, finished};
use kopf_core::{error::ErrorInfo, handler::Trigger, machine::Call, outcome::Outcome};
use kopf_devcluster::{Answer, Cut, DevCluster, Matcher};
use serde_json::{Value, json};

/// Chance that can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What handlers have finished, by object: the names of the handlers, and the last field that was seen.
#[derive(Default)]
struct Ledger(Mutex<HashMap<String, (Vec<String>, Value)>>);

impl Ledger {
    fn finish(&self, call: &Call) {
        let object = &call.cause.object;
        let mut all = self.0.lock().unwrap();
        let (handlers, field) = all.entry(object.name().to_owned()).or_default();
        handlers.push(call.handler.id.to_string());
        *field = object.body()["spec"]["field"].clone();
    }

    fn of(&self, name: &str) -> (Vec<String>, Value) {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

fn setup(ledger: &Arc<Ledger>, seed: u64) -> Setup {
    let mut setup = Setup::new();
    // The server's troubles reach the machine, and not only the client.
    setup.operator.handle().settings().update(|settings| {
        settings.networking.error_backoffs = vec![Duration::from_millis(100)];
    });
    let triggers = [
        ("create", Trigger::Create),
        ("create2", Trigger::Create),
        ("update", Trigger::Update),
        ("delete", Trigger::Delete { optional: false }),
    ];
    for (id, trigger) in triggers {
        let chance = Arc::new(Mutex::new(Chance(seed)));
        let ledger = ledger.clone();
        setup.on("kopfexamples", id, trigger, move |call| {
            let (dice, pause) = {
                let mut chance = chance.lock().unwrap();
                (chance.below(5), chance.below(2_000))
            };
            let ledger = ledger.clone();
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let outcome = match dice {
                    0 => Outcome::Temporary {
                        error: ErrorInfo::new("later"),
                        delay: Some(jiff::SignedDuration::from_secs(3)),
                    },
                    _ => {
                        ledger.finish(&call);
                        Outcome::Succeeded(Some(json!(pause)))
                    }
                };
                finished(outcome, call.patch)
            })
        });
    }
    setup
}

async fn trouble(cluster: &DevCluster, chance: &mut Chance) {
    let faults = cluster.faults();
    let of = |verb: &str| {
        Matcher::any().verb(verb).resource("kopfexamples.zalando.org").user_agent("kopf-engine/*")
    };
    match chance.below(8) {
        0 => drop(faults.cut_watches(&of("watch"), Cut::Clean)),
        1 => drop(faults.cut_watches(&of("watch"), Cut::Hard)),
        2 => drop(faults.cut_watches(&of("watch"), Cut::HalfLine)),
        3 => {
            faults.compact();
            faults.error_event(&of("watch"), &Answer::status(410));
        }
        4 => faults.answer(of("patch"), Answer::status(409), 2),
        5 => faults.answer(of("patch"), Answer::status(503), 4),
        6 => faults.answer(of("patch"), Answer::status(429).retry_after(2), 3),
        _ => faults.answer(of("watch"), Answer::status(500), 1),
    }
}

/// Waits until no object has anything left to do, and gives those that are left.
async fn settled(cluster: &DevCluster, seed: u64) -> Vec<Value> {
    let mut last = Vec::new();
    for _ in 0..1_000 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let now = cluster.list(EXAMPLES).await.unwrap();
        let is_deleting = |object: &Value| object["metadata"].get("deletionTimestamp").is_some();
        if now == last && !now.iter().any(is_deleting) {
            return now;
        }
        last = now;
    }
    panic!("seed {seed}: it does not settle: {last:#?}");
}

/// DEC-1, DEC-7, DEC-13, DEC-14. With crashes the operator is killed and started again, now and then.
async fn course(seed: u64, crashes: bool) {
    const OBJECTS: u64 = 12;
    let mut chance = Chance(seed);
    let cluster = cluster().await;
    let ledger = Arc::new(Ledger::default());
    let mut running = setup(&ledger, seed).run(&cluster);
    let mut fields: HashMap<String, Option<u64>> = HashMap::new();
    for step in 0..250 {
        let name = format!("o{}", chance.below(OBJECTS));
        let path = format!("{EXAMPLES}/{name}");
        match (chance.below(10), fields.get(&name).copied().flatten()) {
            (0..=3, None) if !fields.contains_key(&name) => {
                let mut object = example(&name);
                object["spec"]["field"] = json!(step);
                cluster.create(EXAMPLES, &object).await.unwrap();
                fields.insert(name, Some(step));
            }
            (0..=5, Some(_)) => {
                cluster.merge(&path, &json!({"spec": {"field": step}})).await.unwrap();
                fields.insert(name, Some(step));
            }
            (6, Some(_)) => {
                cluster.delete(&path).await.unwrap();
                fields.insert(name, None);
            }
            (7, _) if crashes => {
                running.task.abort();
                running = setup(&ledger, seed).run(&cluster);
            }
            (7..=9, _) => trouble(&cluster, &mut chance).await,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(chance.below(3_000))).await;
    }
    cluster.faults().clear();

    let left = settled(&cluster, seed).await;
    let names: Vec<&str> = left.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
    for (name, field) in &fields {
        let (handlers, seen) = ledger.of(name);
        let count = |id: &str| handlers.iter().filter(|handler| *handler == id).count();
        assert_eq!(names.contains(&name.as_str()), field.is_some(), "seed {seed}: {name} {handlers:?}");
        let creations = (count("create"), count("create2"));
        match field {
            Some(field) => {
                let once = creations == (1, 1) || crashes && creations.0 >= 1 && creations.1 >= 1;
                assert!(once, "seed {seed}: {name} {handlers:?}");
                assert_eq!(
                    seen,
                    json!(field),
                    "seed {seed}: the last change of {name} was not handled: {handlers:?}"
                );
                assert_eq!(count("delete"), 0, "seed {seed}: {name} {handlers:?}");
            }
            // It may have been deleted before its creation was handled.
            None if crashes => {}
            None => {
                assert!(creations.0 <= 1 && creations.1 <= 1, "seed {seed}: {name} {handlers:?}");
                assert!(count("delete") <= 1, "seed {seed}: {name} {handlers:?}");
            }
        }
    }
    for object in &left {
        let annotations = object["metadata"]["annotations"].as_object().unwrap();
        let keys: Vec<_> =
            annotations.keys().filter(|key| !key.ends_with("last-handled-configuration")).collect();
        assert!(keys.is_empty(), "seed {seed}: progress is left in {object:#}");
        let handled: Value = annotations
            .values()
            .map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap())
            .next()
            .unwrap();
        assert_eq!(handled["spec"], object["spec"], "seed {seed}");
    }
    running.stop().await.unwrap();
}

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_every_object_is_handled_once_and_to_its_end() {
    for seed in 0..seeds() {
        course(seed, false).await;
    }
}

/// DEC-1: what a killed operator had not finished, the next one finishes.
#[tokio::test(start_paused = true)]
async fn whatever_happens_and_whoever_is_killed_every_object_is_handled_to_its_end() {
    for seed in 0..seeds() {
        course(seed, true).await;
    }
}
