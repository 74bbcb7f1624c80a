//! The cluster as its users reach it: in process with paused time, and over HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kopf_devcluster::{After, Answer, Body, Cut, DevCluster, ListenOptions, Matcher, PlainResource};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.dev}
spec:
  group: test.dev
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
const COLLECTION: &str = "/apis/test.dev/v1/namespaces/default/widgets";

fn widget(name: &str) -> Value {
    json!({"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}})
}

async fn cluster() -> DevCluster {
    let cluster = DevCluster::start().await.unwrap();
    cluster.apply_manifest(WIDGETS).await.unwrap();
    cluster
}

/// An open watch in process.
struct Watch(Body, Vec<u8>);

impl Watch {
    async fn open(cluster: &DevCluster, path: &str) -> Self {
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let response = cluster.service().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self(response.into_body(), Vec::new())
    }

    /// The next event; `None` at the end, clean or not.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.1.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.1.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.0.frame().await?.ok()?;
            self.1.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    async fn types(&mut self, count: usize) -> Vec<String> {
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(self.next().await.unwrap()["type"].as_str().unwrap().to_owned());
        }
        types
    }
}

/// D-005, D-071, D-121, D-122, D-123: the life of an object, in process and with paused time.
#[tokio::test(start_paused = true)]
async fn an_object_lives_and_ends_with_its_finalizers() {
    let cluster = cluster().await;
    let mut watch = Watch::open(&cluster, &format!("{COLLECTION}?watch=true&resourceVersion=1")).await;
    let created = cluster.create(COLLECTION, &widget("a")).await.unwrap();
    assert_eq!(created["metadata"]["generation"], 1);
    let path = format!("{COLLECTION}/a");
    cluster.merge(&path, &json!({"metadata": {"finalizers": ["x.dev/f"]}})).await.unwrap();
    let status =
        cluster.merge(&format!("{path}/status"), &json!({"status": {"ok": true}, "spec": 1})).await.unwrap();
    assert_eq!((&status["status"]["ok"], &status["spec"]["size"]), (&json!(true), &json!(1)));
    let marked = cluster.delete(&path).await.unwrap();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["generation"], 2);
    let last = cluster.merge(&path, &json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(last["metadata"]["resourceVersion"], marked["metadata"]["resourceVersion"]);
    assert_eq!(cluster.get(&path).await.unwrap_err().code(), 404);
    assert_eq!(watch.types(5).await, ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]);
}

/// D-184, D-185: with paused time bookmarks and the end come without waiting.
#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_bookmarks_and_ends_at_its_timeout() {
    let cluster = cluster().await;
    let path = format!("{COLLECTION}?watch=true&allowWatchBookmarks=true&timeoutSeconds=150");
    let mut watch = Watch::open(&cluster, &path).await;
    let started = tokio::time::Instant::now();
    let mut bookmarks = 0;
    while let Some(event) = watch.next().await {
        assert_eq!(event["type"], "BOOKMARK");
        assert_eq!(event["object"]["kind"], "Widget");
        bookmarks += 1;
    }
    assert_eq!(started.elapsed(), Duration::from_secs(150));
    assert_eq!(bookmarks, 3, "after 60 and 120 seconds, and at the end");
}

/// D-071: a definition appears without conditions, then with them.
#[tokio::test(start_paused = true)]
async fn a_definition_is_established_after_it_was_created() {
    let cluster = DevCluster::start().await.unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut watch = Watch::open(&cluster, &format!("{path}?watch=true")).await;
    cluster.apply_manifest(WIDGETS).await.unwrap();
    let (added, modified) = (watch.next().await.unwrap(), watch.next().await.unwrap());
    assert_eq!((&added["type"], &added["object"]["status"]["conditions"]), (&json!("ADDED"), &Value::Null));
    let conditions = &modified["object"]["status"]["conditions"];
    assert_eq!(conditions[1]["type"], "Established");
    assert_eq!(conditions[1]["status"], "True");
}

/// D-072: before it is established a resource is not there.
#[tokio::test(start_paused = true)]
async fn establishing_can_be_delayed() {
    let cluster = DevCluster::builder().establishing_delay(Duration::from_secs(5)).start().await.unwrap();
    cluster.apply_manifest(WIDGETS).await.unwrap();
    assert_eq!(cluster.list(COLLECTION).await.unwrap_err().code(), 404);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(cluster.list(COLLECTION).await.unwrap().is_empty());
}

/// D-088: objects go first, watches see it and end, then the resource is gone.
#[tokio::test(start_paused = true)]
async fn a_definition_takes_its_objects_with_it() {
    let cluster = cluster().await;
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    let mut watch = Watch::open(&cluster, &format!("{COLLECTION}?watch=true")).await;
    assert_eq!(watch.types(1).await, ["ADDED"]);
    cluster.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.test.dev").await.unwrap();
    assert_eq!(watch.types(1).await, ["DELETED"]);
    assert_eq!(watch.next().await, None);
    assert_eq!(cluster.list(COLLECTION).await.unwrap_err().code(), 404);
}

/// D-141: a namespace is emptied, then it goes.
#[tokio::test(start_paused = true)]
async fn a_namespace_takes_its_objects_with_it() {
    let cluster = cluster().await;
    cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": "n"}})).await.unwrap();
    let mut held = widget("held");
    held["metadata"]["finalizers"] = json!(["x.dev/f"]);
    cluster.create("/apis/test.dev/v1/namespaces/n/widgets", &held).await.unwrap();
    let mut watch =
        Watch::open(&cluster, "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dn").await;
    let terminating = cluster.delete("/api/v1/namespaces/n").await.unwrap();
    assert_eq!(terminating["status"]["phase"], "Terminating");
    let refused = cluster.create("/apis/test.dev/v1/namespaces/n/widgets", &widget("b")).await.unwrap_err();
    assert_eq!(refused.code(), 403);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(cluster.list("/api/v1/namespaces/n/configmaps").await.unwrap().is_empty());
    cluster.get("/api/v1/namespaces/n").await.unwrap();
    cluster
        .merge("/apis/test.dev/v1/namespaces/n/widgets/held", &json!({"metadata": {"finalizers": null}}))
        .await
        .unwrap();
    assert_eq!(watch.types(3).await, ["ADDED", "MODIFIED", "DELETED"]);
}

/// D-140: what every namespace has comes back.
#[tokio::test(start_paused = true)]
async fn the_contents_of_a_namespace_come_back() {
    let cluster = cluster().await;
    for path in ["configmaps/kube-root-ca.crt", "serviceaccounts/default"] {
        let path = format!("/api/v1/namespaces/default/{path}");
        let before = cluster.get(&path).await.unwrap();
        cluster.delete(&path).await.unwrap();
        assert_ne!(cluster.get(&path).await.unwrap()["metadata"]["uid"], before["metadata"]["uid"]);
    }
}

/// D-129: dependents go with the last owner, across kinds.
#[tokio::test(start_paused = true)]
async fn dependents_go_with_their_last_owner() {
    let cluster = cluster().await;
    let owners = [cluster.create(COLLECTION, &widget("a")).await.unwrap(), {
        cluster.create(COLLECTION, &widget("b")).await.unwrap()
    }];
    let references: Vec<Value> = owners
        .iter()
        .map(|owner| {
            let metadata = &owner["metadata"];
            json!({"apiVersion": "test.dev/v1", "kind": "Widget", "name": metadata["name"], "uid": metadata["uid"]})
        })
        .collect();
    let configs = "/api/v1/namespaces/default/configmaps";
    cluster
        .create(configs, &json!({"metadata": {"name": "d", "ownerReferences": references}}))
        .await
        .unwrap();
    cluster.delete(&format!("{COLLECTION}/a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let dependent = cluster.get(&format!("{configs}/d")).await.unwrap();
    assert_eq!(dependent["metadata"]["ownerReferences"], json!([references[1]]));
    cluster.delete(&format!("{COLLECTION}/b")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.get(&format!("{configs}/d")).await.unwrap_err().code(), 404);
}

/// D-220.
#[tokio::test(start_paused = true)]
async fn a_fault_answers_so_many_requests_and_no_more() {
    let cluster = cluster().await;
    let patches = Matcher::any().verb("patch").resource("widgets.test.dev");
    cluster.faults().answer_after(patches, Answer::status(429).retry_after(7), 1, 2);
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    let path = format!("{COLLECTION}/a");
    let mut codes = Vec::new();
    for size in 0..4 {
        let answer = cluster.merge(&path, &json!({"spec": {"size": size}})).await;
        codes.push(answer.map_or_else(|error| error.code(), |_| 200));
    }
    assert_eq!(codes, [200, 429, 429, 200]);
    assert_eq!(cluster.get(&path).await.unwrap()["spec"]["size"], 3);
}

/// D-221.
#[tokio::test(start_paused = true)]
async fn watches_can_be_cut_now_after_events_and_after_a_time() {
    let cluster = cluster().await;
    let path = format!("{COLLECTION}?watch=true");
    let watches = Matcher::any().verb("watch");
    let mut watch = Watch::open(&cluster, &path).await;
    assert_eq!(cluster.faults().cut_watches(&watches, Cut::Clean), 1);
    assert!(watch.0.frame().await.is_none());
    let mut watch = Watch::open(&cluster, &path).await;
    assert_eq!(cluster.faults().cut_watches(&watches, Cut::HalfLine), 1);
    assert!(watch.0.frame().await.unwrap().is_ok());
    assert!(watch.0.frame().await.unwrap().is_err());
    cluster.faults().cut_watches_after(watches.clone(), After::Events(1), Cut::Hard, 1);
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    cluster.create(COLLECTION, &widget("b")).await.unwrap();
    let mut watch = Watch::open(&cluster, &path).await;
    assert_eq!(watch.types(1).await, ["ADDED"]);
    assert!(watch.0.frame().await.unwrap().is_err());
    cluster.faults().cut_watches_after(watches, After::Time(Duration::from_secs(9)), Cut::Clean, 1);
    let started = tokio::time::Instant::now();
    let mut watch = Watch::open(&cluster, &path).await;
    assert_eq!(watch.types(2).await, ["ADDED", "ADDED"]);
    assert_eq!(watch.next().await, None);
    assert_eq!(started.elapsed(), Duration::from_secs(9));
}

/// D-222, D-223, D-182: an expired version and other errors arrive inside the stream.
#[tokio::test(start_paused = true)]
async fn errors_arrive_inside_watches() {
    let cluster = cluster().await;
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    cluster.faults().compact();
    let mut watch = Watch::open(&cluster, &format!("{COLLECTION}?watch=true&resourceVersion=1")).await;
    let error = watch.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(watch.next().await, None);
    let mut watch = Watch::open(&cluster, &format!("{COLLECTION}?watch=true")).await;
    assert_eq!(watch.types(1).await, ["ADDED"]);
    cluster.faults().error_event(&Matcher::any().resource("widgets*"), &Answer::status(500));
    let error = watch.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(500)));
    assert_eq!(watch.next().await, None);
}

/// D-187: a reader that does not read is cut off, and delays nobody.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_ended() {
    let cluster = DevCluster::builder().watch_buffer(3).start().await.unwrap();
    cluster.apply_manifest(WIDGETS).await.unwrap();
    let list = cluster.get(COLLECTION).await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut slow = Watch::open(&cluster, &format!("{COLLECTION}?watch=true&resourceVersion={version}")).await;
    cluster.create(COLLECTION, &widget("first")).await.unwrap();
    assert_eq!(slow.types(1).await, ["ADDED"]);
    for name in ["a", "b", "c", "d"] {
        cluster.create(COLLECTION, &widget(name)).await.unwrap();
    }
    assert_eq!(slow.next().await, None);
}

/// D-001, D-006: over HTTP, with a kubeconfig; watches end when the listener closes.
#[tokio::test]
async fn the_same_over_http() {
    let cluster = cluster().await;
    let listener = cluster.listen(ListenOptions { port: 0, ..ListenOptions::default() }).await.unwrap();
    let url = listener.url();
    let kubeconfig: Value = serde_saphyr::from_str(&listener.kubeconfig()).unwrap();
    assert_eq!(kubeconfig["clusters"][0]["cluster"]["server"], url.as_str());
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Full<Bytes>>();
    let request = |method: Method, path: &str, body: &str| {
        let body = Full::new(Bytes::from(body.to_owned()));
        Request::builder().method(method).uri(format!("{url}{path}")).body(body).unwrap()
    };
    let response = client.request(request(Method::POST, COLLECTION, &widget("a").to_string())).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let mut watch = client
        .request(request(Method::GET, &format!("{COLLECTION}?watch=true"), ""))
        .await
        .unwrap()
        .into_body();
    let frame = watch.frame().await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(frame.data_ref().unwrap()).unwrap();
    assert_eq!(event["object"]["metadata"]["name"], "a");
    listener.shutdown().await;
    assert!(watch.frame().await.is_none(), "the end is a clean one");
    assert!(client.request(request(Method::GET, COLLECTION, "")).await.is_err(), "the port is free");
}

/// D-004, D-011.
#[tokio::test]
async fn a_taken_port_and_a_public_address_are_refused() {
    let cluster = DevCluster::start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let port = listener.address().port();
    let error = cluster.listen(ListenOptions::on_port(port)).await.unwrap_err();
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    let public = ListenOptions { address: [0, 0, 0, 0].into(), ..ListenOptions::default() };
    assert!(cluster.listen(public).await.unwrap_err().to_string().contains("0.0.0.0"));
}

/// D-087: a running watch shows what a new schema allows.
#[tokio::test(start_paused = true)]
async fn a_running_watch_follows_the_schema() {
    let cluster = DevCluster::start().await.unwrap();
    let schema = |properties: &str| {
        WIDGETS
            .replace("x-kubernetes-preserve-unknown-fields: true", &format!("properties: {{{properties}}}"))
    };
    cluster.apply_manifest(&schema("")).await.unwrap();
    let mut watch = Watch::open(&cluster, &format!("{COLLECTION}?watch=true")).await;
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    assert!(watch.next().await.unwrap()["object"]["spec"].is_null());
    cluster
        .apply_manifest(&schema("spec: {type: object, properties: {size: {type: integer}}}"))
        .await
        .unwrap();
    cluster.create(COLLECTION, &widget("b")).await.unwrap();
    assert_eq!(watch.next().await.unwrap()["object"]["spec"]["size"], 1);
}

/// D-189, 3.3: an event is encoded once, and its bytes are shared.
#[tokio::test(start_paused = true)]
async fn watchers_share_the_bytes_of_an_event() {
    let cluster = cluster().await;
    let path = format!("{COLLECTION}?watch=true");
    let (mut one, mut two) = (Watch::open(&cluster, &path).await, Watch::open(&cluster, &path).await);
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    let first = one.0.frame().await.unwrap().unwrap().into_data().unwrap();
    let second = two.0.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first.as_ptr(), second.as_ptr());
}

/// D-009, D-010.
#[tokio::test(start_paused = true)]
async fn tests_can_wait_for_objects_and_count_requests() {
    let cluster = DevCluster::builder().record_requests(10).start().await.unwrap();
    cluster.apply_manifest(WIDGETS).await.unwrap();
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    let path = format!("{COLLECTION}/a");
    let ready = cluster.wait_for(&path, |object| object.is_some_and(|object| object["status"]["ok"] == true));
    let write = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.take_requests();
        cluster.merge(&format!("{path}/status"), &json!({"status": {"ok": true}})).await.unwrap();
    };
    let (ready, ()) = tokio::join!(ready, write);
    assert_eq!(ready.unwrap().unwrap()["status"]["ok"], true);
    let requests = cluster.take_requests();
    assert_eq!((requests[0].verb.as_str(), requests[0].status), ("patch", 200));
    assert_eq!(requests[0].body, Some(json!({"status": {"ok": true}})));
}

/// D-062.
#[tokio::test(start_paused = true)]
async fn a_cluster_can_serve_more_and_fewer_resources() {
    let plain = PlainResource {
        group: "old.dev".to_owned(),
        version: "v1beta1".to_owned(),
        plural: "relics".to_owned(),
        kind: "Relic".to_owned(),
        namespaced: false,
    };
    let cluster =
        DevCluster::builder().without_group("events.k8s.io").with_resource(plain).start().await.unwrap();
    assert_eq!(cluster.get("/apis/events.k8s.io/v1").await.unwrap_err().code(), 404);
    let relic = json!({"metadata": {"name": "r"}, "spec": {"a": 1}});
    let stored = cluster.create("/apis/old.dev/v1beta1/relics", &relic).await.unwrap();
    assert_eq!(stored["spec"]["a"], 1);
}

/// D-225: the write is there, the answer is not.
#[tokio::test(start_paused = true)]
async fn an_answer_can_be_lost() {
    let cluster = cluster().await;
    cluster.faults().lose_answer(Matcher::any().verb("create").resource("widgets*"), 1);
    cluster.create(COLLECTION, &widget("a")).await.unwrap_err();
    assert_eq!(cluster.create(COLLECTION, &widget("a")).await.unwrap_err().reason(), "AlreadyExists");
}

/// D-224: late answers, and none at all.
#[tokio::test(start_paused = true)]
async fn requests_can_be_delayed_and_hang() {
    let cluster = cluster().await;
    cluster.faults().delay(Matcher::any().verb("list"), Duration::from_secs(3), 1);
    let started = tokio::time::Instant::now();
    cluster.list(COLLECTION).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    cluster.faults().hang(Matcher::any().verb("list"), 1);
    assert!(tokio::time::timeout(Duration::from_secs(3600), cluster.list(COLLECTION)).await.is_err());
    cluster.list(COLLECTION).await.unwrap();
}

/// D-224: a stalled watch is silent until it is cut.
#[tokio::test(start_paused = true)]
async fn watches_can_stall() {
    let cluster = cluster().await;
    let mut watch = Watch::open(&cluster, &format!("{COLLECTION}?watch=true&allowWatchBookmarks=true")).await;
    assert_eq!(cluster.faults().stall_watches(&Matcher::any().verb("watch")), 1);
    cluster.create(COLLECTION, &widget("a")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(600), watch.next()).await.is_err());
    cluster.faults().cut_watches(&Matcher::any(), Cut::Hard);
    assert_eq!(watch.next().await, None);
}

/// D-066: a Service keeps the address that it does not speak of, and gets no other one.
#[tokio::test(start_paused = true)]
async fn a_service_keeps_its_address() {
    let cluster = cluster().await;
    let services = "/api/v1/namespaces/default/services";
    let mut service = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
    let created = cluster.create(services, &service).await.unwrap();
    let path = format!("{services}/s");
    service["spec"]["ports"][0]["port"] = 81.into();
    let replaced = cluster.replace(&path, &service).await.unwrap();
    assert_eq!(replaced["spec"]["ports"][0]["port"], 81);
    for field in ["clusterIP", "clusterIPs"] {
        assert!(!created["spec"][field].is_null());
        assert_eq!(replaced["spec"][field], created["spec"][field]);
    }
    let other = json!({"spec": {"clusterIP": "10.96.255.254", "clusterIPs": ["10.96.255.254"]}});
    let refused = cluster.merge(&path, &other).await.unwrap_err();
    assert_eq!(refused.reason(), "Invalid");
    assert!(refused.to_string().contains("spec.clusterIPs[0]"), "{refused}");
}

/// D-066: new objects of built-in types are checked, and so is what changes of them.
#[tokio::test(start_paused = true)]
async fn objects_of_built_in_types_are_checked() {
    let cluster = cluster().await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let mut claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"]}});
    let refused = cluster.create(claims, &claim).await.unwrap_err();
    assert!(refused.to_string().contains("spec.resources[storage]: Required value"), "{refused}");
    claim["spec"]["resources"] = json!({"requests": {"storage": "1Gi"}});
    cluster.create(claims, &claim).await.unwrap();
    let path = format!("{claims}/c");
    let refused =
        cluster.merge(&path, &json!({"spec": {"accessModes": ["ReadOnlyMany"]}})).await.unwrap_err();
    assert!(refused.to_string().contains("spec is immutable after creation"), "{refused}");
    cluster.merge(&path, &json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
}

/// D-160: `kubectl apply` changes over to the server's side, and its note of what it applied stays up to date.
#[tokio::test(start_paused = true)]
async fn kubectl_changes_over_to_server_side_apply() {
    const NOTE: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let cluster = cluster().await;
    let config = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
    let mut noted = config("1");
    noted["metadata"]["annotations"] = json!({NOTE: config("1").to_string()});
    let collection = "/api/v1/namespaces/default/configmaps";
    let by_client = format!("{collection}?fieldManager=kubectl-client-side-apply");
    cluster.create(&by_client, &noted).await.unwrap();
    for (manager, status) in [("other", StatusCode::CONFLICT), ("kubectl", StatusCode::OK)] {
        let request = Request::patch(format!("{collection}/a?fieldManager={manager}"))
            .header("content-type", "application/apply-patch+yaml")
            .body(Full::<Bytes>::from(config("2").to_string()))
            .unwrap();
        assert_eq!(cluster.service().oneshot(request).await.unwrap().status(), status, "{manager}");
    }
    let object = cluster.get(&format!("{collection}/a")).await.unwrap();
    assert_eq!(object["data"]["k"], "2");
    let note = object["metadata"]["annotations"][NOTE].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(note).unwrap(), config("2"));
}

/// D-227: somebody else writes between a read and a write.
#[tokio::test(start_paused = true)]
async fn another_writer_can_be_faster() {
    let cluster = cluster().await;
    let mut object = cluster.create(COLLECTION, &widget("a")).await.unwrap();
    let updates = Matcher::any().verb("update").resource("widgets.test.dev");
    cluster.faults().interfere(updates, json!({"metadata": {"labels": {"by": "another"}}}), 1);
    object["spec"]["size"] = 5.into();
    let path = format!("{COLLECTION}/a");
    assert_eq!(cluster.replace(&path, &object).await.unwrap_err().reason(), "Conflict");
    let object = cluster.get(&path).await.unwrap();
    assert_eq!(
        (&object["metadata"]["labels"]["by"], &object["spec"]["size"]),
        (&json!("another"), &json!(1))
    );
}

/// D-129: an owner in another namespace counts as absent, and the user is told.
#[tokio::test(start_paused = true)]
async fn an_owner_in_another_namespace_is_no_owner() {
    let cluster = cluster().await;
    let owner = cluster.create(COLLECTION, &widget("owner")).await.unwrap();
    cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.unwrap();
    let reference = json!({"apiVersion": "test.dev/v1", "kind": "Widget", "name": "owner", "uid": owner["metadata"]["uid"]});
    let dependent = json!({"metadata": {"name": "d", "ownerReferences": [reference]}});
    cluster.create("/api/v1/namespaces/other/configmaps", &dependent).await.unwrap();
    let gone = cluster.wait_for("/api/v1/namespaces/other/configmaps/d", |object| object.is_none());
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap().unwrap(), None);
    let events = cluster.list("/api/v1/namespaces/other/events").await.unwrap();
    assert_eq!(events[0]["reason"], "OwnerRefInvalidNamespace");
}

/// D-126: a pod with a node goes when its grace is over.
#[tokio::test(start_paused = true)]
async fn a_pod_ends_after_its_grace() {
    let cluster = cluster().await;
    let spec = json!({"nodeName": "n", "terminationGracePeriodSeconds": 7, "containers": [{"name": "c", "image": "i"}]});
    let pods = "/api/v1/namespaces/default/pods";
    cluster.create(pods, &json!({"metadata": {"name": "p"}, "spec": spec})).await.unwrap();
    let started = tokio::time::Instant::now();
    let marked = cluster.delete(&format!("{pods}/p")).await.unwrap();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 7);
    cluster.wait_for(&format!("{pods}/p"), |object| object.is_none()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(7));
}
