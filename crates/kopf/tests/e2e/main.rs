//! Whole operators end to end, on a dev cluster or on a real one: with `KOPF_TEST_KUBECONFIG` on the cluster that it names.
//!
//! In real time and over sockets. What needs paused time is in `operator.rs`.

mod cluster;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use cluster::{Cluster, unique};
use k8s_openapi::api::core::v1::ConfigMap;
use kopf::prelude::*;
use kube::{
    Resource as _,
    api::{Api, PostParams},
};
use serde_json::Value;

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "e2e.kopf.dev", version = "v1", kind = "Database", namespaced, status = "DatabaseStatus")]
struct DatabaseSpec {
    size: u32,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize, Serialize, Clone, Debug, Default, JsonSchema)]
struct DatabaseStatus {
    phase: Option<String>,
}

/// A kind without the subresource for the status.
#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "e2e.kopf.dev", version = "v1", kind = "Plain", namespaced)]
struct PlainSpec {
    size: u32,
}

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "e2e.kopf.dev", version = "v1", kind = "Realm")]
struct RealmSpec {
    size: u32,
}

const ROOT: &str = "/apis/e2e.kopf.dev/v1";
const LAST_HANDLED: &str = "kopf.zalando.org/last-handled-configuration";
const FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";

fn serve(on: kopf::On<Database>) -> Operator {
    Operator::new().serve(on.with_crd())
}

fn database(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "e2e.kopf.dev/v1", "kind": "Database", "metadata": {"name": name}, "spec": spec})
}

impl Cluster {
    fn databases(&self) -> String {
        self.all(ROOT, "databases")
    }

    fn main(&self) -> String {
        format!("{}/main", self.databases())
    }

    /// Creates a database of size 3.
    async fn create_main(&self) -> String {
        self.create(&self.databases(), &database("main", &json!({"size": 3}))).await;
        self.main()
    }
}

fn annotations(object: &Value) -> Vec<&str> {
    object["metadata"]["annotations"].as_object().into_iter().flatten().map(|(key, _)| &**key).collect()
}

/// Nothing is kept in the object but the state that was handled last, and that is the present one.
fn is_handled(object: &Value) -> bool {
    let last = object["metadata"]["annotations"][LAST_HANDLED].as_str().unwrap_or("null");
    let last: Value = serde_json::from_str(last).unwrap();
    annotations(object) == [LAST_HANDLED] && last["spec"] == object["spec"]
}

fn has_record(id: &str) -> impl Fn(&Value) -> bool {
    let key = format!("kopf.zalando.org/{id}");
    move |object| annotations(object).contains(&key.as_str())
}

/// What handlers have told, in order.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn sorted(&self) -> Vec<String> {
        let mut all = self.all();
        all.sort();
        all
    }

    async fn until(&self, wanted: &[&str]) {
        let waiting = async {
            while self.all() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(in_time.is_ok(), "{:?} was told instead of {wanted:?}", self.all());
    }
}

#[tokio::test]
async fn a_created_object_is_handled_once_and_the_result_is_in_its_status() {
    // A-RES-001, A-CAU-010.
    async fn provision(database: Obj<Database>, told: Ctx<Told>) -> Json<u32> {
        told.tell("provision");
        Json(database.spec.size)
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().create(provision)).with(told.clone())).await;
    let main = cluster.create_main().await;
    let handled = cluster.until(&main, |main| is_handled(main) && main["status"] != Value::Null).await;
    assert_eq!(handled["status"], json!({"provision": 3}));
    assert_eq!(handled["metadata"]["finalizers"], Value::Null);
    running.stop().await;
    assert_eq!(told.all(), ["provision"]);
}

#[tokio::test]
async fn an_update_comes_with_what_has_changed() {
    // A-KW-041, A-KW-042.
    async fn create() {}
    async fn update(diff: Diff, Old(old): Old<Value>, New(new): New<Value>, told: Ctx<Told>) {
        let sizes = [&old, &new].map(|state| state.as_ref().unwrap()["spec"]["size"].clone());
        told.tell(format!("{} {:?} {}", diff.len(), diff[0].op, json!([sizes[0], sizes[1]])));
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().create(create).update(update)).with(told.clone())).await;
    let main = cluster.create_main().await;
    cluster.until(&main, is_handled).await;
    cluster.merge(&main, &json!({"spec": {"size": 5}})).await;
    told.until(&["1 Change [3,5]"]).await;
    cluster.until(&main, is_handled).await;
    // Neither the status nor what nobody handles is a change.
    cluster.merge(&format!("{main}/status"), &json!({"status": {"phase": "x"}})).await;
    cluster.merge(&main, &json!({"spec": {"size": 6}})).await;
    told.until(&["1 Change [3,5]", "1 Change [5,6]"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_object_is_held_until_that_is_handled() {
    // A-CAU-050, A-CAU-052.
    async fn release(told: Ctx<Told>, raw: Raw, Retry(retry): Retry) -> Result {
        assert!(raw.0["metadata"]["deletionTimestamp"].is_string());
        told.tell(format!("release {retry}"));
        if retry == 0 { Err(temporary("not yet", Duration::from_millis(300))) } else { Ok(()) }
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().delete(release)).with(told.clone())).await;
    let main = cluster.create_main().await;
    let is_held = |main: &Value| main["metadata"]["finalizers"] == json!([FINALIZER]);
    cluster.until(&main, is_held).await;
    cluster.delete(&main).await;
    cluster.until(&main, Value::is_null).await;
    running.stop().await;
    assert_eq!(told.all(), ["release 0", "release 1"]);
}

#[tokio::test]
async fn the_finalizers_of_others_are_left_alone() {
    // A-CAU-051.
    async fn release(told: Ctx<Told>) {
        told.tell("release");
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().delete(release)).with(told.clone())).await;
    let mut object = database("main", &json!({"size": 3}));
    object["metadata"]["finalizers"] = json!(["example.com/first", "example.com/last"]);
    cluster.create(&cluster.databases(), &object).await;
    let main = cluster.main();
    let count = |count| move |main: &Value| main["metadata"]["finalizers"].as_array().unwrap().len() == count;
    cluster.until(&main, count(3)).await;
    cluster.delete(&main).await;
    let left = cluster.until(&main, count(2)).await;
    assert_eq!(left["metadata"]["finalizers"], json!(["example.com/first", "example.com/last"]));
    cluster.merge(&main, &json!({"metadata": {"finalizers": null}})).await;
    cluster.until(&main, Value::is_null).await;
    running.stop().await;
    assert_eq!(told.all(), ["release"]);
}

#[tokio::test]
async fn an_optional_deletion_holds_nothing() {
    // A-DEC-020, A-CAU-053.
    async fn create() {}
    async fn release() {}
    let cluster = Cluster::new().await;
    let running = cluster.run(serve(on().create(create).delete(handler(release).optional()))).await;
    let main = cluster.create_main().await;
    let handled = cluster.until(&main, is_handled).await;
    assert_eq!(handled["metadata"]["finalizers"], Value::Null);
    cluster.delete(&main).await;
    assert_eq!(cluster.get(&main).await, Value::Null);
    running.stop().await;
}

#[tokio::test]
async fn an_object_that_is_deleted_while_it_waits_is_not_created_any_more() {
    // A-CAU-034.
    async fn provision() -> Result {
        Err(temporary("later", Duration::from_secs(3600)))
    }
    async fn release(Retry(retry): Retry, told: Ctx<Told>) {
        told.tell(format!("release {retry}"));
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().create(provision).delete(release)).with(told.clone())).await;
    let main = cluster.create_main().await;
    cluster.until(&main, has_record("provision")).await;
    cluster.delete(&main).await;
    cluster.until(&main, Value::is_null).await;
    running.stop().await;
    assert_eq!(told.all(), ["release 0"]);
}

#[tokio::test]
async fn subhandlers_have_progress_and_results_of_their_own() {
    // A-SUB-020 to A-SUB-027.
    async fn build(
        Spec(spec): Spec<DatabaseSpec>,
        told: Ctx<Told>,
        parts: Subhandlers<Database>,
    ) -> Result<Json<&'static str>> {
        for tag in spec.tags {
            let (id, told) = (tag.clone(), told.0.clone());
            let part = move |Retry(retry): Retry| {
                let (tag, told) = (tag.clone(), told.clone());
                async move {
                    told.tell(format!("{tag} {retry}"));
                    if tag == "slow" && retry == 0 {
                        return Err(temporary("later", Duration::from_millis(300)));
                    }
                    Ok(Json(tag))
                }
            };
            parts.add(handler(part).id(id));
        }
        parts.execute().await?;
        Ok(Json("built"))
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().create(build)).with(told.clone())).await;
    cluster
        .create(&cluster.databases(), &database("main", &json!({"size": 3, "tags": ["a", "slow", "b"]})))
        .await;
    let is_built = |main: &Value| is_handled(main) && main["status"]["build"] == "built";
    let main = cluster.until(&cluster.main(), is_built).await;
    assert_eq!(
        main["status"],
        json!({"build": "built", "build/a": "a", "build/b": "b", "build/slow": "slow"})
    );
    running.stop().await;
    assert_eq!(told.sorted(), ["a 0", "b 0", "slow 0", "slow 1"]);
}

#[tokio::test]
async fn handlers_of_fields_see_nothing_else() {
    // A-KW-043, A-FLT-030.
    async fn resized(size: Change<u32>, told: Ctx<Told>) -> Json<Option<u32>> {
        told.tell(format!("{:?} {:?}", size.old, size.new));
        Json(size.new)
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().field("spec.size", resized)).with(told.clone())).await;
    let main = cluster.create_main().await;
    cluster.until(&main, is_handled).await;
    cluster.merge(&main, &json!({"spec": {"tags": ["x"]}})).await;
    cluster.until(&main, is_handled).await;
    cluster.merge(&main, &json!({"spec": {"size": 4}})).await;
    let has_result = |main: &Value| main["status"]["resized/spec.size"] == 4 && is_handled(main);
    cluster.until(&main, has_result).await;
    running.stop().await;
    assert_eq!(told.all(), ["None Some(3)", "Some(3) Some(4)"]);
}

#[tokio::test]
async fn retries_and_their_delays_survive_a_restart() {
    // A-ERR-030, A-KW-022, DEC-1.
    async fn done(told: Ctx<Told>) {
        told.tell("done");
    }
    async fn slow(Retry(retry): Retry, Runtime(runtime): Runtime, told: Ctx<Told>) -> Result<Json<bool>> {
        told.tell(format!("slow {retry}"));
        match retry {
            0 => Err(temporary("later", Duration::from_secs(1))),
            _ => Ok(Json(runtime >= Duration::from_secs(1))),
        }
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let operator = || serve(on().create(done).create(slow)).with(told.clone());
    let running = cluster.run(operator()).await;
    let main = cluster.create_main().await;
    let has_failed = |main: &Value| {
        let record = main["metadata"]["annotations"]["kopf.zalando.org/slow"].as_str().unwrap_or("null");
        let record: Value = serde_json::from_str(record).unwrap();
        (&record["retries"], &record["success"], &record["message"])
            == (&json!(1), &json!(false), &json!("later"))
    };
    cluster.until(&main, has_failed).await;
    running.stop().await;
    let running = cluster.run(operator()).await;
    cluster.until(&main, |main| is_handled(main) && main["status"]["slow"] == true).await;
    running.stop().await;
    assert_eq!(told.sorted(), ["done", "slow 0", "slow 1"]);
}

#[tokio::test]
async fn errors_and_panics_are_tried_again_until_the_limit() {
    // A-ERR-004, A-ERR-006, A-ERR-020.
    async fn panics(Retry(retry): Retry, told: Ctx<Told>) {
        told.tell(format!("panics {retry}"));
        assert!(retry > 0, "not yet");
    }
    async fn fails(Retry(retry): Retry, told: Ctx<Told>) -> Result {
        told.tell(format!("fails {retry}"));
        Err("always".into())
    }
    async fn refuses(told: Ctx<Told>) -> Result {
        told.tell("refuses");
        Err(permanent("never"))
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let soon = Duration::from_millis(100);
    let on = on()
        .create(handler(panics).backoff(soon))
        .create(handler(fails).backoff(soon).retries(2))
        .create(refuses);
    let running = cluster.run(serve(on).with(told.clone())).await;
    let main = cluster.create_main().await;
    cluster.until(&main, is_handled).await;
    running.stop().await;
    assert_eq!(told.sorted(), ["fails 0", "fails 1", "panics 0", "panics 1", "refuses"]);
}

#[tokio::test]
async fn objects_are_resumed_by_the_next_process() {
    // A-CAU-040, A-CAU-042, A-CAU-044.
    async fn welcome(reason: Reason, Name(name): Name, told: Ctx<Told>) {
        told.tell(format!("{reason} {name}"));
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let operator = || serve(on().create(welcome).resume(welcome)).with(told.clone());
    let running = cluster.run(operator()).await;
    let main = cluster.create_main().await;
    cluster.until(&main, is_handled).await;
    running.stop().await;
    let running = cluster.run(operator()).await;
    told.until(&["create main", "resume main"]).await;
    cluster.create(&cluster.databases(), &database("other", &json!({"size": 1}))).await;
    cluster.until(&format!("{}/other", cluster.databases()), is_handled).await;
    running.stop().await;
    assert_eq!(told.all(), ["create main", "resume main", "create other"]);
}

#[tokio::test]
async fn changes_while_no_operator_runs_are_handled_by_the_next() {
    // A-CAU-014, A-CAU-041.
    async fn changed(reason: Reason, New(size): New<u32>, told: Ctx<Told>) {
        told.tell(format!("{reason} {size:?}"));
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let operator = || serve(on().field("spec.size", changed)).with(told.clone());
    let running = cluster.run(operator()).await;
    let main = cluster.create_main().await;
    cluster.until(&main, is_handled).await;
    running.stop().await;
    cluster.merge(&main, &json!({"spec": {"size": 4}})).await;
    cluster.merge(&main, &json!({"spec": {"size": 5}})).await;
    let running = cluster.run(operator()).await;
    cluster.until(&main, is_handled).await;
    running.stop().await;
    assert_eq!(told.all(), ["create Some(3)", "update Some(5)"]);
}

#[tokio::test]
async fn events_are_posted_about_the_object_and_its_progress() {
    // A-EVT-006, DEC-12.
    async fn provision(events: Events) {
        events.normal("Growing", "three more");
        events.warning("Tight", "x".repeat(2000));
    }
    let cluster = Cluster::new().await;
    let running = cluster.run(serve(on().create(provision))).await;
    let main = cluster.create_main().await;
    let uid = cluster.until(&main, is_handled).await["metadata"]["uid"].clone();
    let events = cluster.until_list(&cluster.all("/api/v1", "events"), |events| events.len() == 3).await;
    running.stop().await;
    assert!(events.iter().all(|event| event["involvedObject"]["uid"] == uid), "{events:?}");
    let mut shown: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().unwrap();
            format!("{} {} {}", text("type"), text("reason"), text("message").len())
        })
        .collect();
    shown.sort();
    assert_eq!(shown, ["Normal Creation 45", "Normal Growing 10", "Warning Tight 1024"]);
}

#[tokio::test]
async fn a_patch_of_all_parts_reaches_the_object_and_its_status() {
    // A-PATCH-020, A-PATCH-021, A-PATCH-025.
    async fn provision(patch: Patch) {
        patch.label("tier", Some("gold"));
        patch.annotation("example.com/note", Some("hello"));
        patch.spec(json!({"tags": ["b", "obsolete", "a"]}));
        patch.status(json!({"phase": "ready"}));
    }
    async fn tidy(patch: Patch) {
        patch.transform(|body| {
            if let Some(tags) = body.pointer_mut("/spec/tags").and_then(Value::as_array_mut) {
                tags.retain(|tag| tag != "obsolete");
            }
        });
    }
    let cluster = Cluster::new().await;
    let running = cluster.run(serve(on().create(provision).update(tidy))).await;
    let main = cluster.create_main().await;
    let is_tidy = |main: &Value| main["spec"]["tags"] == json!(["b", "a"]);
    let patched = cluster.until(&main, is_tidy).await;
    running.stop().await;
    assert_eq!(patched["metadata"]["labels"], json!({"tier": "gold"}));
    assert_eq!(patched["metadata"]["annotations"]["example.com/note"], "hello");
    assert_eq!(patched["status"]["phase"], "ready");
    assert_eq!(patched["spec"]["size"], 3);
}

#[tokio::test]
async fn results_are_kept_where_the_status_is_no_subresource() {
    // A-PATCH-020.
    async fn provision(New(size): New<u32>, patch: Patch) -> Json<Option<u32>> {
        patch.label("patched", Some("yes"));
        Json(size)
    }
    let cluster = Cluster::new().await;
    let on = on::<Plain>().with_crd().create(handler(provision).field("spec.size"));
    let running = cluster.run(Operator::new().serve(on)).await;
    let plains = cluster.all(ROOT, "plains");
    let object = json!({"apiVersion": "e2e.kopf.dev/v1", "kind": "Plain", "metadata": {"name": "main"}, "spec": {"size": 3}});
    cluster.create(&plains, &object).await;
    let main = cluster.until(&format!("{plains}/main"), is_handled).await;
    running.stop().await;
    assert_eq!(
        (&main["status"], &main["metadata"]["labels"]),
        (&json!({"provision/spec.size": 3}), &json!({"patched": "yes"}))
    );
}

#[tokio::test]
async fn a_result_that_the_schema_drops_does_not_repeat_the_handler() {
    // W-PAT-020, A-PATCH-026.
    #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
    #[kube(group = "e2e.kopf.dev", version = "v1", kind = "Strict", namespaced, status = "DatabaseStatus")]
    struct StrictSpec {}

    async fn provision(patch: Patch, told: Ctx<Told>) -> Json<&'static str> {
        told.tell("provision");
        patch.status(json!({"phase": "kept"}));
        Json("dropped")
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    cluster.install(&<Strict as kube::CustomResourceExt>::crd()).await;
    let running =
        cluster.run(Operator::new().serve(on::<Strict>().create(provision)).with(told.clone())).await;
    let stricts = cluster.all(ROOT, "stricts");
    let object =
        json!({"apiVersion": "e2e.kopf.dev/v1", "kind": "Strict", "metadata": {"name": "main"}, "spec": {}});
    cluster.create(&stricts, &object).await;
    let is_done = |main: &Value| is_handled(main) && main["status"] != Value::Null;
    let main = cluster.until(&format!("{stricts}/main"), is_done).await;
    assert_eq!(main["status"], json!({"phase": "kept"}));
    running.stop().await;
    assert_eq!(told.all(), ["provision"]);
}

#[tokio::test]
async fn children_go_with_their_owner() {
    // A-HIE-004, DEC-34.
    async fn provision(
        owner: Obj<Database>,
        Namespace(namespace): Namespace,
        client: kube::Client,
    ) -> Result {
        let mut child = ConfigMap::default();
        child.metadata.name = Some("child".into());
        child.metadata.owner_references = Some(vec![owner.controller_owner_ref(&()).ok_or("no name yet")?]);
        Api::namespaced(client, &namespace).create(&PostParams::default(), &child).await?;
        Ok(())
    }
    let cluster = Cluster::new().await;
    let running = cluster.run(serve(on().create(provision))).await;
    let main = cluster.create_main().await;
    let uid = cluster.until(&main, is_handled).await["metadata"]["uid"].clone();
    let child = cluster.all("/api/v1", "configmaps/child");
    let owners = cluster.get(&child).await["metadata"]["ownerReferences"].clone();
    assert_eq!((&owners[0]["kind"], &owners[0]["uid"]), (&json!("Database"), &uid));
    cluster.delete(&main).await;
    cluster.until(&child, Value::is_null).await;
    running.stop().await;
}

#[tokio::test]
async fn filters_choose_the_objects() {
    // A-FLT-002, A-FLT-010, A-FLT-011.
    async fn gold(told: Ctx<Told>, Name(name): Name) {
        told.tell(name);
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let wanted = handler(gold)
        .label("tier", "gold")
        .annotation("skip", ABSENT)
        .field("spec.size")
        .value(matching(|size| size.and_then(Value::as_u64) > Some(2)));
    let running = cluster.run(serve(on().create(wanted)).with(told.clone())).await;
    let with = |name: &str, tier: &str, size: u32| {
        let mut object = database(name, &json!({"size": size}));
        object["metadata"]["labels"] = json!({"tier": tier});
        object
    };
    let mut skipped = with("skipped", "gold", 3);
    skipped["metadata"]["annotations"] = json!({"skip": "yes"});
    for object in [with("silver", "silver", 3), with("small", "gold", 1), skipped, with("wanted", "gold", 3)]
    {
        cluster.create(&cluster.databases(), &object).await;
    }
    cluster.until(&format!("{}/wanted", cluster.databases()), is_handled).await;
    assert_eq!(told.all(), ["wanted"]);
    let silver = format!("{}/silver", cluster.databases());
    assert!(annotations(&cluster.get(&silver).await).is_empty());
    // When it begins to match, that is its creation.
    cluster.merge(&silver, &json!({"metadata": {"labels": {"tier": "gold"}}})).await;
    told.until(&["wanted", "silver"]).await;
    running.stop().await;
}

#[tokio::test]
async fn watch_events_come_with_their_types() {
    // A-CAU-065, A-KW-050.
    async fn seen(event_type: Option<EventType>, Name(name): Name, told: Ctx<Told>) {
        told.tell(format!("{name} {}", event_type.map_or("listed", EventType::as_str)));
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    cluster.install(&kopf::crd::<Database>()).await;
    let main = cluster.create_main().await;
    let running = cluster.run(serve(on().event(seen)).with(told.clone())).await;
    told.until(&["main listed"]).await;
    cluster.merge(&main, &json!({"spec": {"size": 2}})).await;
    told.until(&["main listed", "main MODIFIED"]).await;
    cluster.delete(&main).await;
    told.until(&["main listed", "main MODIFIED", "main DELETED"]).await;
    cluster.create_main().await;
    told.until(&["main listed", "main MODIFIED", "main DELETED", "main ADDED"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_change_during_the_handling_is_handled_after_it() {
    // FIX-2, DEC-2.
    async fn quick(New(size): New<u32>, told: Ctx<Told>) {
        told.tell(format!("quick {size:?}"));
    }
    async fn slow(Retry(retry): Retry) -> Result {
        if retry == 0 { Err(temporary("again", Duration::from_millis(700))) } else { Ok(()) }
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().field("spec.size", quick).create(slow)).with(told.clone())).await;
    let main = cluster.create_main().await;
    cluster.until(&main, has_record("slow")).await;
    cluster.merge(&main, &json!({"spec": {"size": 4}})).await;
    told.until(&["quick Some(3)", "quick Some(4)"]).await;
    cluster.until(&main, is_handled).await;
    running.stop().await;
}

#[tokio::test]
async fn a_running_handler_may_finish_when_the_operator_stops() {
    // W-PRC-010, W-PRC-014.
    async fn provision(told: Ctx<Told>) {
        told.tell("begun");
        tokio::time::sleep(Duration::from_millis(500)).await;
        told.tell("finished");
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().create(provision)).with(told.clone())).await;
    let main = cluster.create_main().await;
    told.until(&["begun"]).await;
    running.stop().await;
    assert_eq!(told.all(), ["begun", "finished"]);
    assert!(is_handled(&cluster.get(&main).await));
}

#[tokio::test]
async fn cluster_scoped_objects_are_handled() {
    // A-KW-031.
    async fn provision(New(size): New<u32>, Name(name): Name) -> Json<String> {
        Json(format!("{name} {size:?}"))
    }
    async fn release() {}
    let (cluster, name) = (Cluster::new().await, unique("realm"));
    let on = on::<Realm>()
        .with_crd()
        .create(handler(provision).field("spec.size").label("test", name.as_str()))
        .delete(handler(release).label("test", name.as_str()));
    let running = cluster.run(Operator::new().serve(on)).await;
    let realms = format!("{ROOT}/realms");
    let metadata = json!({"name": name, "labels": {"test": name}});
    cluster.create(&realms, &json!({"apiVersion": "e2e.kopf.dev/v1", "kind": "Realm", "metadata": metadata, "spec": {"size": 3}})).await;
    let path = format!("{realms}/{name}");
    let realm = cluster.until(&path, is_handled).await;
    assert_eq!(realm["status"], json!({"provision/spec.size": format!("{name} Some(3)")}));
    cluster.delete(&path).await;
    cluster.until(&path, Value::is_null).await;
    running.stop().await;
}

#[tokio::test]
async fn built_in_kinds_are_handled() {
    use k8s_openapi::api::core::v1::Secret;

    async fn stamp(config: Obj<ConfigMap>, patch: Patch) {
        patch.label("stamp", Some(&config.data.as_ref().map_or(0, |data| data.len()).to_string()));
    }
    async fn count(secret: Obj<Secret>, patch: Patch) {
        let bytes = secret.data.iter().flatten().map(|(_, value)| value.0.len()).sum::<usize>();
        patch.label("bytes", Some(&bytes.to_string()));
    }
    let cluster = Cluster::new().await;
    let operator = Operator::new()
        .serve(on::<ConfigMap>().create(handler(stamp).when(|subject| subject.field("data.stamp").is_some())))
        .serve(on::<Secret>().create(count));
    let running = cluster.run(operator).await;
    let (configs, secrets) = (cluster.all("/api/v1", "configmaps"), cluster.all("/api/v1", "secrets"));
    cluster
        .create(&configs, &json!({"metadata": {"name": "c"}, "data": {"stamp": "yes", "other": "x"}}))
        .await;
    cluster.create(&secrets, &json!({"metadata": {"name": "s"}, "stringData": {"a": "12345"}})).await;
    let has = |key: &'static str, value: &'static str| {
        move |object: &Value| object["metadata"]["labels"][key] == value
    };
    cluster.until(&format!("{configs}/c"), has("stamp", "2")).await;
    cluster.until(&format!("{secrets}/s"), has("bytes", "5")).await;
    running.stop().await;
}

#[tokio::test]
async fn namespaces_that_come_later_are_served_if_they_match() {
    // A-CLI-012, W-NS-004.
    async fn provision(Namespace(namespace): Namespace, told: Ctx<Told>) {
        told.tell(namespace);
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let pattern = format!("{0}-*,!{0}-other", cluster.namespace);
    let operator = serve(on().create(provision)).with(told.clone()).namespaces([pattern]);
    let running = cluster.run_everywhere(operator).await;
    cluster.create_main().await;
    for suffix in ["other", "later"] {
        let name = format!("{}-{suffix}", cluster.namespace);
        cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await;
        cluster
            .create(&format!("{ROOT}/namespaces/{name}/databases"), &database("main", &json!({"size": 1})))
            .await;
    }
    told.until(&[&format!("{}-later", cluster.namespace)]).await;
    running.stop().await;
}

#[tokio::test]
async fn definitions_that_come_after_the_operator_are_served() {
    // A-SEL-027, W-DSC-015: and those that go and come back.
    #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
    #[kube(group = "late.kopf.dev", version = "v1", kind = "Late", namespaced)]
    struct LateSpec {}

    async fn provision(told: Ctx<Told>, Name(name): Name) {
        told.tell(name);
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lates.late.kopf.dev";
    let running = cluster.run(Operator::new().serve(on::<Late>().create(provision)).with(told.clone())).await;
    let lates = cluster.all("/apis/late.kopf.dev/v1", "lates");
    let object = |name: &str| json!({"apiVersion": "late.kopf.dev/v1", "kind": "Late", "metadata": {"name": name}, "spec": {}});
    cluster.install(&kopf::crd::<Late>()).await;
    cluster.create(&lates, &object("first")).await;
    told.until(&["first"]).await;
    cluster.delete(definition).await;
    cluster.until(definition, Value::is_null).await;
    cluster.install(&kopf::crd::<Late>()).await;
    cluster.create(&lates, &object("second")).await;
    told.until(&["first", "second"]).await;
    running.stop().await;
    cluster.delete(definition).await;
}

#[tokio::test]
async fn numbers_and_texts_of_all_kinds_are_no_change_after_a_restart() {
    // The server writes them as it likes; what was handled stays handled.
    const LOOSE: &str = r#"{
        "metadata": {"name": "looses.e2e.kopf.dev"},
        "spec": {
            "group": "e2e.kopf.dev", "scope": "Namespaced", "names": {"kind": "Loose", "plural": "looses"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
            }]
        }
    }"#;
    #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
    #[kube(group = "e2e.kopf.dev", version = "v1", kind = "Loose", namespaced)]
    struct LooseSpec {}

    async fn told_of(reason: Reason, told: Ctx<Told>) {
        told.tell(reason.to_string());
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    cluster.install(&serde_json::from_str(LOOSE).unwrap()).await;
    let operator = || {
        Operator::new()
            .serve(on::<Loose>().create(told_of).update(told_of).resume(told_of))
            .with(told.clone())
    };
    let running = cluster.run(operator()).await;
    let looses = cluster.all(ROOT, "looses");
    let spec: Value = serde_json::from_str(
        r#"{
            "floats": [1.0, -0.0, 0.1, 1e3, 1e21, 1e-7, 1.7976931348623157e308, 5e-324, 123456789.12345679],
            "integers": [0, -1, 9007199254740993, 9223372036854775807, -9223372036854775808],
            "texts": ["", "ä☃😀", "\u0000\u001f\u007f\u2028", "<a href=\"x\">&amp;</a>", "null", "1.0"],
            "nothing": [null, {}, [], {"x": {}}]
        }"#,
    )
    .unwrap();
    let object =
        json!({"apiVersion": "e2e.kopf.dev/v1", "kind": "Loose", "metadata": {"name": "main"}, "spec": spec});
    cluster.create(&looses, &object).await;
    cluster.until(&format!("{looses}/main"), is_handled).await;
    running.stop().await;
    let running = cluster.run(operator()).await;
    told.until(&["create", "resume"]).await;
    cluster.merge(&format!("{looses}/main"), &json!({"spec": {"one": "more"}})).await;
    told.until(&["create", "resume", "update"]).await;
    running.stop().await;
}

#[tokio::test]
async fn an_object_that_does_not_fit_is_told_once_and_holds_up_nothing() {
    #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
    #[kube(group = "e2e.kopf.dev", version = "v1", kind = "Odd", namespaced)]
    struct OddSpec {
        size: u32,
    }
    async fn provision(odd: Obj<Odd>) -> Json<u32> {
        Json(odd.spec.size)
    }
    async fn release(_: Obj<Odd>) {}
    let cluster = Cluster::new().await;
    let mut crd = json!(kopf::crd::<Odd>());
    crd["spec"]["versions"][0]["schema"] =
        json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    cluster.install(&serde_json::from_value(crd).unwrap()).await;
    let operator = Operator::new().serve(on::<Odd>().create(provision).delete(release));
    let running = cluster.run(operator).await;
    let odds = cluster.all(ROOT, "odds");
    let object = |name: &str, size: Value| json!({"apiVersion": "e2e.kopf.dev/v1", "kind": "Odd", "metadata": {"name": name}, "spec": {"size": size}});
    cluster.create(&odds, &object("odd", json!("large"))).await;
    cluster.create(&odds, &object("main", json!(3))).await;
    cluster.until(&format!("{odds}/main"), |main| main["status"]["provision"] == 3).await;
    let odd = format!("{odds}/odd");
    cluster.until(&odd, is_handled).await;
    let is_warning = |event: &&Value| event["type"] == "Warning";
    let events = cluster.all("/api/v1", "events");
    let events = cluster.until_list(&events, |events| events.iter().any(|event| is_warning(&event))).await;
    let warned: Vec<_> =
        events.iter().filter(is_warning).map(|event| &event["involvedObject"]["name"]).collect();
    assert_eq!(warned, ["odd"]);
    cluster.delete(&odd).await;
    cluster.until(&odd, Value::is_null).await;
    running.stop().await;
}

#[tokio::test]
async fn startup_comes_before_all_and_cleanup_after_all() {
    // A-ACT-001, A-ACT-006.
    async fn warm_up(told: Ctx<Told>) {
        told.tell("startup");
    }
    async fn provision(told: Ctx<Told>) {
        told.tell("create");
    }
    async fn say_bye(told: Ctx<Told>, client: kube::Client) -> Result {
        let version = client.apiserver_version().await?;
        told.tell(format!("cleanup in 1.{}", version.minor));
        Ok(())
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let operator = serve(on().create(provision)).with(told.clone()).startup(warm_up).cleanup(say_bye);
    let running = cluster.run(operator).await;
    let main = cluster.create_main().await;
    cluster.until(&main, is_handled).await;
    running.stop().await;
    assert_eq!(told.all(), ["startup", "create", "cleanup in 1.37"]);
}

#[tokio::test]
async fn many_objects_are_each_handled_once() {
    async fn provision(Name(name): Name, told: Ctx<Told>) -> Json<bool> {
        told.tell(name);
        Json(true)
    }
    let (cluster, told) = (Cluster::new().await, Told::default());
    let running = cluster.run(serve(on().create(provision)).with(told.clone())).await;
    let names: Vec<String> = (0..100).map(|number| format!("db-{number:03}")).collect();
    for name in &names {
        cluster.create(&cluster.databases(), &database(name, &json!({"size": 1}))).await;
    }
    let all_handled = |all: &[Value]| all.len() == 100 && all.iter().all(is_handled);
    cluster.until_list(&cluster.databases(), all_handled).await;
    running.stop().await;
    assert_eq!(told.sorted(), names);
}
