//! Faults and time: what is planned happens, to whom it was planned and as often (D-220 to D-230).

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kopf_devcluster::{
    After, Ago, Answer, Body, Builder, Clock, Cut, DevCluster, Fault, Interference, ListenOptions, Matcher,
    Renew, Restart,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

const CONFIGS: &str = "/api/v1/namespaces/default/configmaps";

fn config(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"k": "0"}})
}

fn set(value: &str) -> Value {
    json!({"data": {"k": value}})
}

async fn start(builder: Builder) -> DevCluster {
    builder.without_namespace_contents().start().await.unwrap()
}

async fn cluster() -> DevCluster {
    start(DevCluster::builder()).await
}

fn gets() -> Matcher {
    Matcher::any().verb("get").resource("configmaps")
}

/// The statuses of so many gets of the object `a`.
async fn statuses(cluster: &DevCluster, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        let got = cluster.get(&format!("{CONFIGS}/a")).await;
        statuses.push(got.map_or_else(|error| error.code(), |_| 200));
    }
    statuses
}

/// An open watch in process.
struct Watch(Body, Vec<u8>);

impl Watch {
    async fn open(cluster: &DevCluster, query: &str) -> Self {
        let request = Request::get(format!("{CONFIGS}?watch=true&{query}"));
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = cluster.service().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self(response.into_body(), Vec::new())
    }

    /// The next event; `None` at a clean end, an error at another.
    async fn next(&mut self) -> Option<Result<Value, String>> {
        loop {
            if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                return Some(Ok(serde_json::from_slice(&line).unwrap()));
            }
            match self.0.frame().await? {
                Ok(frame) => self.1.extend_from_slice(frame.data_ref().unwrap()),
                Err(error) => return Some(Err(error.to_string())),
            }
        }
    }

    /// Type and name of the next event.
    async fn told(&mut self) -> String {
        let event = self.next().await.expect("the watch has ended").expect("the watch is broken");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }

    /// Nothing comes within three minutes, not even the end.
    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(180), self.next()).await.is_err()
    }
}

/// The control endpoint, as a client reaches it.
async fn control(cluster: &DevCluster, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::from(body)).unwrap();
    let response = cluster.service().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

// Budgets.

/// D-220.
#[tokio::test(start_paused = true)]
async fn a_fault_lets_requests_pass_first_and_happens_as_often_as_it_was_said() {
    let cluster = cluster().await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    let fault = Fault::answer(Answer::status(503)).on(gets().name("a")).skip(1).times(2);
    let id = cluster.faults().plan(fault);
    assert_eq!(statuses(&cluster, 4).await, [200, 503, 503, 200]);
    assert_eq!(cluster.faults().happened(id), 2);
}

/// D-220.
#[tokio::test(start_paused = true)]
async fn a_fault_happens_once_if_nothing_else_is_said() {
    let cluster = cluster().await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.faults().plan(Fault::answer(Answer::status(500)));
    assert_eq!(statuses(&cluster, 2).await, [500, 200]);
}

/// D-220, D-230: the budget in time is on the server's clock.
#[tokio::test(start_paused = true)]
async fn a_fault_ends_when_its_time_is_over() {
    let cluster = cluster().await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.clock().freeze();
    let fault = Fault::answer(Answer::status(504)).on(gets()).lasting(Duration::from_secs(60));
    let id = cluster.faults().plan(fault);
    tokio::time::advance(Duration::from_secs(100)).await;
    assert_eq!(statuses(&cluster, 2).await, [504, 504]);
    cluster.clock().advance(Duration::from_secs(60));
    assert_eq!(statuses(&cluster, 1).await, [200]);
    assert_eq!(cluster.faults().happened(id), 2);
}

/// D-220, D-229.
#[tokio::test(start_paused = true)]
async fn chance_is_the_same_with_the_same_seed_and_does_not_depend_on_other_faults() {
    let mut runs = Vec::new();
    for (seed, others) in [(7, false), (7, true), (8, false)] {
        let cluster = start(DevCluster::builder().seed(seed)).await;
        cluster.create(CONFIGS, &config("a")).await.unwrap();
        cluster.faults().plan(Fault::answer(Answer::status(503)).on(gets()).probability(0.3));
        if others {
            cluster.faults().plan(Fault::delay(Duration::from_secs(1)).on(gets()).probability(0.5));
        }
        runs.push(statuses(&cluster, 200).await);
    }
    let failed = runs[0].iter().filter(|status| **status == 503).count();
    assert!((30..90).contains(&failed), "{failed} of 200");
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// D-220.
#[tokio::test(start_paused = true)]
async fn faults_find_requests_by_namespace_user_agent_user_and_path() {
    let cluster = cluster().await;
    let ask = async |path: &str, agent: &str, user: &str| {
        let request = Request::get(path).header("user-agent", agent).header("impersonate-user", user);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        cluster.service().oneshot(request).await.unwrap().status().as_u16()
    };
    let teapot = || Fault::answer(Answer::status(418)).always();
    for (matcher, hit) in [
        (Matcher::any().namespace("def*"), (CONFIGS, "a/1", "me")),
        (Matcher::any().user_agent("kopf/*"), ("/version", "kopf/1", "me")),
        (Matcher::any().user("you"), ("/version", "a/1", "you")),
        (Matcher::any().path("/apis*"), ("/apis/apps/v1", "a/1", "me")),
    ] {
        let id = cluster.faults().plan(teapot().on(matcher.clone()));
        assert_eq!(ask(hit.0, hit.1, hit.2).await, 418, "{matcher:?}");
        assert_eq!(ask("/api/v1/namespaces/kube-system/pods", "a/1", "me").await, 200, "{matcher:?}");
        assert!(cluster.faults().remove(id));
        assert_eq!(ask(hit.0, hit.1, hit.2).await, 200, "{matcher:?} was taken back");
    }
}

// The control endpoint.

#[tokio::test(start_paused = true)]
async fn the_control_endpoint_is_not_there_unless_it_is_asked_for() {
    let cluster = cluster().await;
    for path in ["/_dev/faults", "/_dev", "/_dev/clock"] {
        assert_eq!(control(&cluster, Method::GET, path, Value::Null).await.0, 404, "{path}");
        assert_eq!(control(&cluster, Method::POST, path, json!({"do": "hang"})).await.0, 405, "{path}");
    }
    assert_eq!(cluster.get("/version").await.unwrap()["major"], "1");
}

/// D-220.
#[tokio::test(start_paused = true)]
async fn faults_are_planned_counted_and_taken_back_over_http() {
    let cluster = start(DevCluster::builder().control()).await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    let matcher = json!({"verbs": ["get"], "resource": "configmaps", "name": "a"});
    let fault = json!({"do": "answer", "status": 429, "retryAfter": 3, "matcher": matcher, "times": 2});
    let (status, planned) = control(&cluster, Method::POST, "/_dev/faults", fault).await;
    assert_eq!((status, &planned["id"]), (201, &json!(1)));
    assert_eq!(statuses(&cluster, 1).await, [429]);
    let (_, told) = control(&cluster, Method::GET, "/_dev/faults", Value::Null).await;
    let fault = &told["faults"][0];
    assert_eq!((&fault["happened"], &fault["left"], &fault["do"]), (&json!(1), &json!(1), &json!("answer")));
    assert_eq!(control(&cluster, Method::DELETE, "/_dev/faults/1", Value::Null).await.0, 200);
    assert_eq!(control(&cluster, Method::DELETE, "/_dev/faults/1", Value::Null).await.0, 404);
    assert_eq!(statuses(&cluster, 1).await, [200]);
    let (_, all) = control(&cluster, Method::DELETE, "/_dev/faults", Value::Null).await;
    assert_eq!(all, json!({"faults": 0}));
}

#[tokio::test(start_paused = true)]
async fn no_fault_happens_to_the_control_endpoint() {
    let cluster = start(DevCluster::builder().control()).await;
    cluster.faults().plan(Fault::drop_request(Cut::Hard).always());
    assert_eq!(control(&cluster, Method::GET, "/_dev/clock", Value::Null).await.0, 200);
    assert_eq!(control(&cluster, Method::DELETE, "/_dev/faults", Value::Null).await.1, json!({"faults": 1}));
    assert!(cluster.get("/version").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_control_endpoint_names_what_is_wrong_in_a_request() {
    let cluster = start(DevCluster::builder().control()).await;
    for (method, path, body, status, words) in [
        (
            Method::POST,
            "/_dev/faults",
            json!({"do": "hang", "tims": 1}),
            400,
            "tims is no field that is known here",
        ),
        (Method::POST, "/_dev/watches/cut", json!({"how": "?"}), 400, "how: \"?\" is not right"),
        (Method::POST, "/_dev/clock", json!({}), 400, "expected advance, freeze or run"),
        (Method::POST, "/_dev/clock", json!({"advance": -1}), 400, "advance: -1 is not right"),
        (Method::POST, "/_dev/compact", json!({"resourceVersion": 1e9 as u64}), 400, "expected at most"),
        (Method::GET, "/_dev/fault", Value::Null, 404, "/_dev/fault is no path of the control endpoint"),
        (Method::GET, "/_dev/compact", Value::Null, 405, "does not allow this method"),
        (Method::GET, "/_dev/faults/x", Value::Null, 400, "\"x\" is no id of a fault"),
    ] {
        let (code, answer) = control(&cluster, method, path, body).await;
        assert_eq!(code, status, "{path}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{path}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_roles_only_administrators_may_use_the_control_endpoint() {
    let cluster = start(DevCluster::builder().control().rbac()).await;
    let ask = async |token: Option<&str>| {
        let mut request = Request::get("/_dev/clock");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        cluster.service().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((ask(None).await, ask(Some(cluster.admin_token())).await), (403, 200));
}

/// D-010.
#[tokio::test(start_paused = true)]
async fn the_control_endpoint_tells_what_was_asked() {
    let cluster = start(DevCluster::builder().control()).await;
    cluster.create(&format!("{CONFIGS}?fieldManager=m"), &config("a")).await.unwrap();
    let (_, told) = control(&cluster, Method::GET, "/_dev/requests", Value::Null).await;
    let request = &told["requests"][0];
    assert_eq!(
        [&request["method"], &request["path"], &request["query"], &request["status"]],
        [&json!("POST"), &json!(CONFIGS), &json!("fieldManager=m"), &json!(201)]
    );
    assert!(request["userAgent"].as_str().unwrap().starts_with("kopf-devcluster/"));
    assert!(request["time"].as_str().unwrap().ends_with('Z'));
    control(&cluster, Method::DELETE, "/_dev/requests", Value::Null).await;
    let (_, told) = control(&cluster, Method::GET, "/_dev/requests", Value::Null).await;
    assert_eq!(told, json!({"requests": []}));
}

/// D-221, D-223, D-224.
#[tokio::test(start_paused = true)]
async fn open_watches_are_told_cut_stalled_and_ended_with_errors_over_http() {
    let cluster = start(DevCluster::builder().control()).await;
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(Watch::open(&cluster, "").await);
    }
    let (_, told) = control(&cluster, Method::GET, "/_dev/watches", Value::Null).await;
    assert_eq!(told["watches"].as_array().unwrap().len(), 3);
    assert_eq!(told["watches"][0]["resource"], "configmaps");
    let nobody = json!({"matcher": {"resource": "pods"}});
    assert_eq!(control(&cluster, Method::POST, "/_dev/watches/cut", nobody).await.1, json!({"watches": 0}));
    let error = json!({"status": 500, "message": "oh"});
    assert_eq!(control(&cluster, Method::POST, "/_dev/watches/error", error).await.1, json!({"watches": 3}));
    let event = watches[0].next().await.unwrap().unwrap();
    assert_eq!((&event["type"], &event["object"]["message"]), (&json!("ERROR"), &json!("oh")));
    assert!(watches[0].next().await.is_none());
    let mut stalled = Watch::open(&cluster, "").await;
    let all = json!({"matcher": {"verbs": ["watch"]}});
    control(&cluster, Method::POST, "/_dev/watches/stall", all).await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    assert!(stalled.is_silent().await);
    control(&cluster, Method::POST, "/_dev/watches/cut", json!({"how": "half-line"})).await;
    assert!(stalled.next().await.unwrap().is_err());
}

/// D-222.
#[tokio::test(start_paused = true)]
async fn the_past_is_forgotten_up_to_a_resource_version() {
    let cluster = start(DevCluster::builder().control()).await;
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        let created = cluster.create(CONFIGS, &config(name)).await.unwrap();
        versions.push(created["metadata"]["resourceVersion"].as_str().unwrap().to_owned());
    }
    let compact = json!({"resourceVersion": versions[1]});
    control(&cluster, Method::POST, "/_dev/compact", compact).await;
    let mut old = Watch::open(&cluster, &format!("resourceVersion={}", versions[0])).await;
    assert_eq!(old.next().await.unwrap().unwrap()["object"]["code"], 410);
    let mut newer = Watch::open(&cluster, &format!("resourceVersion={}", versions[1])).await;
    assert_eq!(newer.told().await, "ADDED c");
    let page = cluster.get(&format!("{CONFIGS}?limit=1")).await.unwrap();
    let next = page["metadata"]["continue"].as_str().unwrap();
    cluster.create(CONFIGS, &config("d")).await.unwrap();
    cluster.faults().compact();
    assert_eq!(cluster.get(&format!("{CONFIGS}?limit=1&continue={next}")).await.unwrap_err().code(), 410);
}

// Watches from now on.

/// D-221, D-223, D-224.
#[tokio::test(start_paused = true)]
async fn watches_that_are_opened_later_end_and_stall_after_events_and_after_a_time() {
    let cluster = cluster().await;
    for name in ["a", "b", "c"] {
        cluster.create(CONFIGS, &config(name)).await.unwrap();
    }
    cluster.faults().plan(Fault::watch_error(After::Events(2), Answer::status(410)));
    let mut watch = Watch::open(&cluster, "").await;
    assert_eq!((watch.told().await, watch.told().await), ("ADDED a".to_owned(), "ADDED b".to_owned()));
    assert_eq!(watch.next().await.unwrap().unwrap()["object"]["code"], 410);
    cluster.faults().plan(Fault::stall_watch(After::Events(1)));
    let mut watch = Watch::open(&cluster, "allowWatchBookmarks=true&timeoutSeconds=1000000").await;
    assert_eq!(watch.told().await, "ADDED a");
    assert!(watch.is_silent().await);
    cluster.faults().plan(Fault::cut_watch(After::Time(Duration::from_secs(5)), Cut::Hard));
    let mut watch = Watch::open(&cluster, "").await;
    let started = tokio::time::Instant::now();
    for _ in 0..3 {
        watch.told().await;
    }
    assert!(watch.next().await.unwrap().is_err());
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

/// D-224.
#[tokio::test(start_paused = true)]
async fn each_event_of_a_slow_watch_takes_its_time() {
    let cluster = cluster().await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.create(CONFIGS, &config("b")).await.unwrap();
    cluster.faults().plan(Fault::delay_events(Duration::from_secs(4)));
    let mut watch = Watch::open(&cluster, "").await;
    let started = tokio::time::Instant::now();
    assert_eq!((watch.told().await, watch.told().await), ("ADDED a".to_owned(), "ADDED b".to_owned()));
    assert_eq!(started.elapsed(), Duration::from_secs(8));
    assert_eq!(cluster.faults().delay_events(&Matcher::any(), Duration::ZERO), 1);
    cluster.create(CONFIGS, &config("c")).await.unwrap();
    assert_eq!(watch.told().await, "ADDED c");
    assert_eq!(started.elapsed(), Duration::from_secs(8));
}

/// D-227.
#[tokio::test(start_paused = true)]
async fn a_watch_repeats_what_was_seen_before_and_tells_everything_twice() {
    let cluster = cluster().await;
    let mut version = Value::Null;
    for name in ["a", "b", "c"] {
        version =
            cluster.create(CONFIGS, &config(name)).await.unwrap()["metadata"]["resourceVersion"].clone();
    }
    let after_all = format!("resourceVersion={}", version.as_str().unwrap());
    cluster.faults().plan(Fault::repeat_events(2));
    cluster.faults().plan(Fault::duplicate_events());
    let mut watch = Watch::open(&cluster, &after_all).await;
    for expected in ["ADDED b", "ADDED b", "ADDED c", "ADDED c"] {
        assert_eq!(watch.told().await, expected);
    }
    let mut usual = Watch::open(&cluster, &after_all).await;
    assert!(usual.is_silent().await);
}

// Answers.

/// D-224.
#[tokio::test(start_paused = true)]
async fn a_body_comes_later_than_its_header() {
    let cluster = cluster().await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.faults().plan(Fault::delay_body(Duration::from_secs(7)).times(2));
    let started = tokio::time::Instant::now();
    let request = Request::get(format!("{CONFIGS}/a")).body(Full::<Bytes>::default()).unwrap();
    let response = cluster.service().oneshot(request).await.unwrap();
    assert_eq!((response.status(), started.elapsed()), (StatusCode::OK, Duration::ZERO));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["data"]["k"], "0");
    assert_eq!(started.elapsed(), Duration::from_secs(7));
    let mut watch = Watch::open(&cluster, "").await;
    assert_eq!(watch.told().await, "ADDED a");
    assert_eq!(started.elapsed(), Duration::from_secs(14));
}

/// D-225.
#[tokio::test(start_paused = true)]
async fn a_write_is_stored_though_its_answer_is_lost_and_not_if_the_request_was_dropped() {
    let cluster = cluster().await;
    for (index, cut) in [Cut::Clean, Cut::Hard, Cut::HalfLine, Cut::Truncated].into_iter().enumerate() {
        let name = format!("lost-{index}");
        cluster.faults().plan(Fault::lose_answer(cut).on(Matcher::any().verb("create")));
        cluster.create(CONFIGS, &config(&name)).await.unwrap_err();
        assert!(cluster.get(&format!("{CONFIGS}/{name}")).await.is_ok(), "{cut:?}");
        let name = format!("dropped-{index}");
        cluster.faults().plan(Fault::drop_request(cut).on(Matcher::any().verb("create")));
        cluster.create(CONFIGS, &config(&name)).await.unwrap_err();
        assert_eq!(cluster.get(&format!("{CONFIGS}/{name}")).await.unwrap_err().code(), 404, "{cut:?}");
    }
}

// Stale reads.

/// D-226.
#[tokio::test(start_paused = true)]
async fn reads_show_the_past_by_changes_and_by_time() {
    let cluster = cluster().await;
    let path = format!("{CONFIGS}/a");
    let created = cluster.create(CONFIGS, &config("a")).await.unwrap();
    for value in ["1", "2", "3"] {
        tokio::time::advance(Duration::from_secs(10)).await;
        cluster.merge(&path, &set(value)).await.unwrap();
    }
    let seen = async |ago: Ago| {
        cluster.faults().plan(Fault::stale(ago).times(2));
        let object = cluster.get(&path).await.map_or(Value::Null, |object| object["data"]["k"].clone());
        let list = cluster.get(CONFIGS).await.unwrap();
        let listed = list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "a");
        assert_eq!(listed.map_or(&Value::Null, |item| &item["data"]["k"]), &object, "{ago:?}");
        object
    };
    assert_eq!(seen(Ago::Changes(0)).await, "3");
    assert_eq!(seen(Ago::Changes(1)).await, "2");
    assert_eq!(seen(Ago::Changes(3)).await, "0");
    assert_eq!(seen(Ago::Changes(4)).await, Value::Null, "before it was created");
    assert_eq!(seen(Ago::Time(Duration::from_secs(5))).await, "2");
    assert_eq!(seen(Ago::Time(Duration::from_secs(15))).await, "1");
    assert_eq!(cluster.get(&path).await.unwrap()["data"]["k"], "3", "only as often as it was said");
    cluster.faults().plan(Fault::stale(Ago::Changes(1)));
    let list = cluster.get(CONFIGS).await.unwrap();
    assert_ne!(list["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    let newest = cluster.get(&path).await.unwrap()["metadata"]["resourceVersion"].clone();
    cluster.faults().plan(Fault::stale(Ago::Changes(1)));
    let newer = format!("{CONFIGS}?resourceVersion={}", newest.as_str().unwrap());
    let error = cluster.get(&newer).await.unwrap_err();
    assert!(error.to_string().contains("Too large resource version"), "{error}");
}

/// D-226: each watch lags on its own.
#[tokio::test(start_paused = true)]
async fn a_watch_lags_behind_while_another_does_not() {
    let cluster = cluster().await;
    cluster.faults().plan(Fault::stale(Ago::Time(Duration::from_secs(30))));
    let mut late = Watch::open(&cluster, "").await;
    cluster.faults().plan(Fault::stale(Ago::Changes(1)));
    let mut behind = Watch::open(&cluster, "").await;
    let mut usual = Watch::open(&cluster, "").await;
    let started = tokio::time::Instant::now();
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    assert_eq!((usual.told().await, started.elapsed()), ("ADDED a".to_owned(), Duration::ZERO));
    assert_eq!((late.told().await, started.elapsed()), ("ADDED a".to_owned(), Duration::from_secs(30)));
    assert!(behind.is_silent().await);
    cluster.create(CONFIGS, &config("b")).await.unwrap();
    assert_eq!(behind.told().await, "ADDED a");
}

/// D-226.
#[tokio::test(start_paused = true)]
async fn a_client_does_not_read_what_it_wrote() {
    let cluster = cluster().await;
    let path = format!("{CONFIGS}/a");
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.faults().plan(Fault::stale(Ago::Changes(1)).on(gets()).lasting(Duration::from_secs(60)));
    cluster.merge(&path, &set("1")).await.unwrap();
    assert_eq!(cluster.get(&path).await.unwrap()["data"]["k"], "0");
    let old = cluster.get(&path).await.unwrap();
    assert_eq!(cluster.replace(&path, &old).await.unwrap_err().reason(), "Conflict", "writes are not stale");
}

// Other writers.

/// D-227.
#[tokio::test(start_paused = true)]
async fn a_storm_of_conflicts_lets_no_write_through_that_names_a_version() {
    let cluster = cluster().await;
    let path = format!("{CONFIGS}/a");
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    let storm = Fault::interfere(Interference::touch()).on(Matcher::any().verb("update")).times(3);
    cluster.faults().plan(storm);
    for round in 1..=4 {
        let mut object = cluster.get(&path).await.unwrap();
        object["data"]["k"] = "mine".into();
        let written = cluster.replace(&path, &object).await;
        assert_eq!(written.is_err(), round < 4, "{round}");
    }
    let object = cluster.get(&path).await.unwrap();
    assert_eq!(object["metadata"]["annotations"]["dev-cluster/touched"], "3");
}

/// D-227.
#[tokio::test(start_paused = true)]
async fn somebody_else_adds_and_removes_finalizers_and_deletes() {
    let cluster = cluster().await;
    let path = format!("{CONFIGS}/a");
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.merge(&path, &json!({"metadata": {"finalizers": ["mine/f"]}})).await.unwrap();
    let patches = || Matcher::any().verb("patch").name("a");
    let swap = Interference::default().add_finalizer("other/f").remove_finalizer("mine/f");
    cluster.faults().plan(Fault::interfere(swap).on(patches()));
    let merged = cluster.merge(&path, &set("1")).await.unwrap();
    assert_eq!(merged["metadata"]["finalizers"], json!(["other/f"]));
    cluster.faults().plan(Fault::interfere(Interference::delete()).on(patches()));
    let merged = cluster.merge(&path, &set("2")).await.unwrap();
    assert!(merged["metadata"]["deletionTimestamp"].is_string());
    let release = Interference::default().remove_finalizer("other/f");
    cluster.faults().plan(Fault::interfere(release).on(patches()));
    assert_eq!(cluster.merge(&path, &set("3")).await.unwrap_err().code(), 404);
}

// The clock.

/// D-230.
#[tokio::test(start_paused = true)]
async fn times_in_objects_follow_the_clock() {
    let clock = Clock::frozen_at("2026-01-01T00:00:00Z".parse().unwrap());
    let cluster = start(DevCluster::builder().clock(clock)).await;
    let created = cluster.create(CONFIGS, &config("a")).await.unwrap();
    assert_eq!(created["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    cluster.merge(&format!("{CONFIGS}/a"), &json!({"metadata": {"finalizers": ["a/b"]}})).await.unwrap();
    cluster.clock().advance(Duration::from_secs(3 * 3600));
    let marked = cluster.delete(&format!("{CONFIGS}/a")).await.unwrap();
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-01-01T03:00:00Z");
    let request = Request::get(format!("{CONFIGS}/a"))
        .header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")
        .body(Full::<Bytes>::default())
        .unwrap();
    let table =
        cluster.service().oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let table: Value = serde_json::from_slice(&table).unwrap();
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells.last().unwrap(), "3h");
}

/// D-230: over real sockets, where Tokio's time is not paused.
#[tokio::test]
async fn watches_end_and_get_bookmarks_when_the_clock_is_moved() {
    let cluster = start(DevCluster::builder().control()).await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    cluster.clock().freeze();
    let path = format!("{CONFIGS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=100000");
    let mut watch = raw(listener.address(), &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    read_until(&mut watch, "\r\n\r\n").await;
    let advance = |seconds: u32| json!({"advance": seconds});
    control(&cluster, Method::POST, "/_dev/clock", advance(61)).await;
    assert!(read_until(&mut watch, "}\n").await.contains("BOOKMARK"));
    let (_, clock) = control(&cluster, Method::POST, "/_dev/clock", advance(100_000)).await;
    assert_eq!(clock["frozen"], true);
    assert!(read_until(&mut watch, "0\r\n\r\n").await.contains("BOOKMARK"), "the last one, and the end");
}

/// D-230: what is kept of the past, the grace of Pods, and tokens.
#[tokio::test]
async fn tokens_graces_and_the_past_end_when_the_clock_is_moved() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    cluster.clock().freeze();
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let asked = json!({"spec": {"expirationSeconds": 3600}});
    let token = cluster.create(&format!("{accounts}/default/token"), &asked).await.unwrap();
    let token = token["status"]["token"].as_str().unwrap();
    let ask = async || {
        let request = Request::get("/version").header("authorization", format!("Bearer {token}"));
        let request = request.body(Full::<Bytes>::default()).unwrap();
        cluster.service().oneshot(request).await.unwrap().status().as_u16()
    };
    let spec = json!({"nodeName": "n", "containers": [{"name": "c", "image": "i"}]});
    let pods = "/api/v1/namespaces/default/pods";
    let pod = cluster.create(pods, &json!({"metadata": {"name": "p"}, "spec": spec})).await.unwrap();
    cluster.delete(&format!("{pods}/p")).await.unwrap();
    assert_eq!((ask().await, cluster.list(pods).await.unwrap().len()), (200, 1));
    cluster.clock().advance(Duration::from_secs(3600));
    let path = format!("{pods}/p");
    let gone = cluster.wait_for(&path, |object| object.is_none());
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    assert_eq!(ask().await, 401);
    let version = pod["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{pods}?resourceVersionMatch=Exact&resourceVersion={version}");
    assert_eq!(cluster.get(&path).await.unwrap_err().code(), 410);
}

// Sockets.

/// A connection on which something was written.
async fn raw(address: std::net::SocketAddr, text: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What comes up to a text, inclusive. Fails at the end of the connection, and after a minute.
async fn read_until(stream: &mut tokio::net::TcpStream, end: &str) -> String {
    let reading = async {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            read.push(stream.read_u8().await.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&read));
            }));
        }
        String::from_utf8(read).unwrap()
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap()
}

/// What comes up to the end of the connection, and how that was.
async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> (String, std::io::Result<usize>) {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut read)).await.unwrap();
    (String::from_utf8(read).unwrap(), ended)
}

fn watch_request() -> String {
    format!("GET {CONFIGS}?watch=true HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// D-221: over HTTP/1.1 each cut looks different, and what was sent before it arrives.
#[tokio::test]
async fn over_a_socket_a_watch_is_reset_or_ends_in_a_line_or_in_a_chunk() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    for cut in [Cut::Clean, Cut::Hard, Cut::HalfLine, Cut::Truncated] {
        cluster.faults().plan(Fault::cut_watch(After::Events(1), cut));
        let mut watch = raw(listener.address(), &watch_request()).await;
        let (read, ended) = read_to_end(&mut watch).await;
        let rest = read.split_once("}\n\r\n").unwrap_or_else(|| panic!("{cut:?}: no event in {read:?}")).1;
        match cut {
            Cut::Clean => assert_eq!(rest, "0\r\n\r\n"),
            Cut::Hard => assert_eq!(rest, ""),
            Cut::HalfLine => {
                assert!(rest.starts_with("26\r\n{") && rest.ends_with("apiVersi\r\n"), "{rest:?}")
            }
            Cut::Truncated => assert!(rest.starts_with("26\r\n{") && rest.len() < 0x26, "{rest:?}"),
        }
        let error = ended.err().map(|error| error.kind());
        assert_eq!(error, (cut == Cut::Hard).then_some(std::io::ErrorKind::ConnectionReset), "{cut:?}");
    }
}

/// D-225: over HTTP/1.1 an answer is missing in order, by a reset, or in its second half.
#[tokio::test]
async fn over_a_socket_an_answer_is_lost_whole_or_in_part() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    for cut in [Cut::Clean, Cut::Hard, Cut::HalfLine, Cut::Truncated] {
        cluster.faults().plan(Fault::lose_answer(cut));
        let get = format!("GET {CONFIGS}/a HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut client = raw(listener.address(), &get).await;
        let (read, ended) = read_to_end(&mut client).await;
        assert_eq!(ended.is_err(), cut == Cut::Hard, "{cut:?}");
        if let Cut::Clean | Cut::Hard = cut {
            assert_eq!(read, "", "{cut:?}");
            continue;
        }
        let (header, body) = read.split_once("\r\n\r\n").unwrap();
        let header = header.to_lowercase();
        let length = header.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert_eq!(body.len(), length.parse::<usize>().unwrap() / 2, "{cut:?}");
    }
}

/// A client of HTTP/2 over TLS, which trusts an authority.
async fn http2(
    address: std::net::SocketAddr,
    authority: &str,
) -> std::io::Result<hyper::client::conn::http2::SendRequest<Full<Bytes>>> {
    use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = tokio::net::TcpStream::connect(address).await?;
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    Ok(client)
}

fn url(listener: &kopf_devcluster::Listener, path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("{}{path}", listener.url())).body(Full::default()).unwrap()
}

/// D-221: over HTTP/2 and TLS.
#[tokio::test]
async fn over_http2_a_watch_breaks_and_a_reset_takes_the_connection_with_it() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default().with_tls()).await.unwrap();
    let authority = listener.authority_pem().unwrap();
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    for cut in [Cut::Clean, Cut::Hard, Cut::HalfLine, Cut::Truncated] {
        let mut client = http2(listener.address(), &authority).await.unwrap();
        cluster.faults().plan(Fault::cut_watch(After::Time(Duration::ZERO), cut).skip(1));
        let mut other = client.send_request(url(&listener, &format!("{CONFIGS}?watch=true"))).await.unwrap();
        assert!(other.frame().await.unwrap().is_ok());
        let answer = client.send_request(url(&listener, &format!("{CONFIGS}?watch=true"))).await;
        let broken = match answer {
            Ok(answer) => answer.into_body().collect().await.is_err(),
            Err(_) => true,
        };
        assert_eq!(broken, cut != Cut::Clean, "{cut:?}");
        if let Cut::Hard | Cut::Truncated = cut {
            assert!(other.frame().await.unwrap().is_err(), "{cut:?}");
        } else {
            assert!(client.send_request(url(&listener, "/version")).await.is_ok(), "{cut:?}");
        }
    }
}

/// D-224: over a socket the header arrives before its body.
#[tokio::test]
async fn over_a_socket_the_body_comes_when_the_clock_is_moved() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    cluster.clock().freeze();
    cluster.faults().plan(Fault::delay_body(Duration::from_secs(3600)));
    let mut client = raw(listener.address(), "GET /version HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let header = read_until(&mut client, "\r\n\r\n").await.to_lowercase();
    assert!(header.starts_with("http/1.1 200") && header.contains("content-length: "), "{header}");
    cluster.clock().advance(Duration::from_secs(3600));
    assert!(read_until(&mut client, "}").await.contains("gitVersion"));
}

// Restarts.

/// D-228.
#[tokio::test]
async fn a_restart_resets_all_connections_but_that_of_who_asked_for_it() {
    let cluster = start(DevCluster::builder().control()).await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let mut watch = raw(listener.address(), &watch_request()).await;
    read_until(&mut watch, "\r\n\r\n").await;
    let mut here = Watch::open(&cluster, "").await;
    let body = r#"{"version": "v1.99.0"}"#;
    let request = format!(
        "POST /_dev/restart HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (answer, ended) = read_to_end(&mut raw(listener.address(), &request).await).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("v1.99.0"), "{answer}");
    assert!(ended.is_ok());
    assert_eq!(read_to_end(&mut watch).await.1.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(here.next().await.unwrap().is_err());
    let mut again =
        raw(listener.address(), "GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(read_to_end(&mut again).await.0.contains("v1.99.0"));
}

/// D-228.
#[tokio::test]
async fn a_restart_in_order_ends_watches_with_their_last_chunk() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let mut watch = raw(listener.address(), &watch_request()).await;
    read_until(&mut watch, "\r\n\r\n").await;
    cluster.faults().restart(Restart::default().clean()).await.unwrap();
    let (rest, ended) = read_to_end(&mut watch).await;
    assert_eq!((rest.as_str(), ended.is_ok()), ("0\r\n\r\n", true));
}

/// D-228.
#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    cluster.faults().restart(Restart::default().refuse(Duration::from_millis(300))).await.unwrap();
    let connect = || tokio::net::TcpStream::connect(listener.address());
    assert_eq!(connect().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let back = async {
        while connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), back).await.unwrap();
}

/// D-228, D-191.
#[tokio::test]
async fn certificates_are_renewed_by_the_same_and_by_another_authority() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions::default().with_tls()).await.unwrap();
    let (old, kubeconfig) = (listener.authority_pem().unwrap(), listener.kubeconfig());
    cluster.faults().restart(Restart::default().renew(Renew::Certificate)).await.unwrap();
    assert_eq!(listener.kubeconfig(), kubeconfig);
    assert!(http2(listener.address(), &old).await.is_ok());
    cluster.faults().restart(Restart::default().renew(Renew::Authority)).await.unwrap();
    let new = listener.authority_pem().unwrap();
    assert!(http2(listener.address(), &old).await.is_err(), "the old authority vouches for it no more");
    assert!(http2(listener.address(), &new).await.is_ok());
    assert_ne!(listener.kubeconfig(), kubeconfig);
}

/// D-228.
#[tokio::test(start_paused = true)]
async fn the_newest_changes_never_happened_by_number_and_by_time() {
    let cluster = cluster().await;
    cluster.create(CONFIGS, &config("a")).await.unwrap();
    cluster.create(CONFIGS, &config("b")).await.unwrap();
    let before = cluster.get(CONFIGS).await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    cluster.merge(&format!("{CONFIGS}/a"), &set("1")).await.unwrap();
    cluster.delete(&format!("{CONFIGS}/b")).await.unwrap();
    cluster.create(CONFIGS, &config("c")).await.unwrap();
    cluster.faults().restart(Restart::default().lose(Ago::Changes(2))).await.unwrap();
    let names = async || -> Vec<String> {
        let list = cluster.list(CONFIGS).await.unwrap();
        list.iter().map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names().await, ["a", "b"]);
    assert_eq!(cluster.get(&format!("{CONFIGS}/a")).await.unwrap()["data"]["k"], "1");
    cluster.faults().restart(Restart::default().lose(Ago::Time(Duration::from_secs(5)))).await.unwrap();
    assert_eq!(cluster.get(CONFIGS).await.unwrap(), before, "with the old resource versions");
    cluster.create(CONFIGS, &config("d")).await.unwrap();
    assert_eq!(names().await, ["a", "b", "d"]);
}

/// D-228, D-222.
#[tokio::test(start_paused = true)]
async fn after_a_restart_the_past_may_be_forgotten() {
    let cluster = cluster().await;
    let created = cluster.create(CONFIGS, &config("a")).await.unwrap();
    let version = format!("resourceVersion={}", created["metadata"]["resourceVersion"].as_str().unwrap());
    cluster.create(CONFIGS, &config("b")).await.unwrap();
    cluster.faults().restart(Restart::default()).await.unwrap();
    assert_eq!(Watch::open(&cluster, &version).await.told().await, "ADDED b");
    cluster.faults().restart(Restart::default().forget()).await.unwrap();
    let mut watch = Watch::open(&cluster, &version).await;
    assert_eq!(watch.next().await.unwrap().unwrap()["object"]["code"], 410);
}

/// D-228: an upgrade.
#[tokio::test(start_paused = true)]
async fn after_a_restart_other_types_are_served() {
    let cluster = start(DevCluster::builder().control()).await;
    let job = json!({"group": "test.dev", "version": "v1", "plural": "relics", "kind": "Relic", "namespaced": true});
    let restart =
        json!({"version": "v1.40.1", "unserve": ["batch", "leases.coordination.k8s.io"], "serve": [job]});
    let (status, answer) = control(&cluster, Method::POST, "/_dev/restart", restart).await;
    assert_eq!((status, &answer["version"]), (200, &json!("v1.40.1")), "{answer}");
    assert_eq!(cluster.get("/version").await.unwrap()["minor"], "40");
    assert_eq!(cluster.get("/apis/batch/v1").await.unwrap_err().code(), 404);
    assert_eq!(cluster.get("/apis/coordination.k8s.io/v1/leases").await.unwrap_err().code(), 404);
    assert!(cluster.get("/apis/apps/v1/deployments").await.is_ok());
    cluster
        .create("/apis/test.dev/v1/namespaces/default/relics", &json!({"metadata": {"name": "r"}}))
        .await
        .unwrap();
    let (status, answer) =
        control(&cluster, Method::POST, "/_dev/restart", json!({"unserve": ["batch"]})).await;
    assert_eq!(status, 400);
    assert!(
        answer["message"].as_str().unwrap().contains("\"batch\" is no group and no resource"),
        "{answer}"
    );
}

/// D-228: a definition that is lost is served no more.
#[tokio::test(start_paused = true)]
async fn a_definition_that_is_lost_is_served_no_more() {
    let cluster = cluster().await;
    let version = |name: &str| json!({"name": name, "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.test.dev"},
        "spec": {"group": "test.dev", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version("v1")]},
    });
    tokio::time::advance(Duration::from_secs(10)).await;
    cluster.apply_manifest(&definition.to_string()).await.unwrap();
    assert!(cluster.get("/apis/test.dev/v1").await.is_ok());
    cluster.faults().restart(Restart::default().lose(Ago::Time(Duration::from_secs(5)))).await.unwrap();
    assert_eq!(cluster.get("/apis/test.dev/v1").await.unwrap_err().code(), 404);
}

// The clock, and chance.

/// D-230.
#[tokio::test(start_paused = true)]
async fn events_end_an_hour_after_they_were_written() {
    let cluster = cluster().await;
    cluster.clock().freeze();
    let events = "/api/v1/namespaces/default/events";
    let event = |name: &str| json!({"metadata": {"name": name}, "involvedObject": {"namespace": "default"}});
    cluster.create(events, &event("kept")).await.unwrap();
    cluster.create(events, &event("gone")).await.unwrap();
    cluster.clock().advance(Duration::from_secs(1800));
    cluster.merge(&format!("{events}/kept"), &json!({"count": 2})).await.unwrap();
    cluster.clock().advance(Duration::from_secs(1800));
    let path = format!("{events}/gone");
    let gone = cluster.wait_for(&path, |object| object.is_none());
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
    assert!(cluster.get(&format!("{events}/kept")).await.is_ok());
    cluster.clock().advance(Duration::from_secs(1800));
    let path = format!("{events}/kept");
    let gone = cluster.wait_for(&path, |object| object.is_none());
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap().unwrap();
}

/// Everything that clients and a watcher see of a busy, broken cluster.
async fn trace(seed: u64) -> String {
    let cluster = start(DevCluster::builder().deterministic(seed).record_requests(10_000)).await;
    cluster
        .faults()
        .plan(Fault::answer(Answer::status(503)).on(Matcher::any().verb("patch")).probability(0.2));
    cluster.faults().plan(Fault::lose_answer(Cut::Hard).on(Matcher::any().verb("create")).probability(0.1));
    cluster
        .faults()
        .plan(Fault::interfere(Interference::touch()).on(Matcher::any().verb("update")).probability(0.3));
    let mut watch = Watch::open(&cluster, "").await;
    let cluster = std::sync::Arc::new(cluster);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let cluster = std::sync::Arc::clone(&cluster);
            tokio::spawn(async move {
                let mut seen = String::new();
                for step in 0..20 {
                    let path = format!("{CONFIGS}/o-{}", (writer + step) % 3);
                    let answer = match step % 4 {
                        0 => cluster.create(CONFIGS, &json!({"metadata": {"generateName": "o-"}})).await,
                        1 => cluster.create(CONFIGS, &config(&format!("o-{}", (writer + step) % 3))).await,
                        2 => cluster.merge(&path, &set(&step.to_string())).await,
                        _ => match cluster.get(&path).await {
                            Ok(object) => cluster.replace(&path, &object).await,
                            Err(error) => Err(error),
                        },
                    };
                    seen += &answer.map_or_else(|error| error.to_string(), |object| object.to_string());
                    cluster.clock().advance(Duration::from_secs(1));
                }
                seen
            })
        })
        .collect();
    let mut trace = String::new();
    for writer in writers {
        trace += &writer.await.unwrap();
    }
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(1), watch.next()).await {
        trace += &event.unwrap().to_string();
    }
    trace + &format!("{:?}", cluster.take_requests())
}

/// D-229.
#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_requests_and_events_byte_by_byte() {
    let (first, second, other) = (trace(7).await, trace(7).await, trace(8).await);
    assert!(first.contains("a fault of the dev cluster") && first.contains("dev-cluster/touched"));
    assert!(first.contains("2026-01-01T00:00:19Z"));
    assert!(first == second, "two runs with one seed differ");
    assert!(first != other);
}
