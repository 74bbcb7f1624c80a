//! Whole operators against a dev cluster in the process, in paused time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kopf::{Connection, OperatorError, prelude::*, testing::TestCluster};
use kopf_devcluster::DevCluster;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
struct DatabaseSpec {
    size: u32,
    #[serde(default)]
    tags: Vec<String>,
}

const ALL: &str = "/apis/example.com/v1/namespaces/default/databases";
const MAIN: &str = "/apis/example.com/v1/namespaces/default/databases/main";

/// A definition that checks nothing, as many are in the wild.
const LOOSE: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: databases.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Database, plural: databases}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

fn database(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Database", "metadata": {"name": name}, "spec": spec})
}

fn serve(on: kopf::On<Database>) -> Operator {
    Operator::new().serve(on.with_crd())
}

/// A cluster with the operator and one database of size 3.
async fn started(operator: Operator) -> TestCluster {
    let cluster = TestCluster::start(operator).await.unwrap();
    cluster.create(ALL, &database("main", &json!({"size": 3}))).await.unwrap();
    cluster
}

fn annotations(object: &Value) -> Vec<&str> {
    object["metadata"]["annotations"].as_object().into_iter().flatten().map(|(key, _)| &**key).collect()
}

/// Nothing is kept in the object but the state that was handled last.
fn is_handled(object: &Value) -> bool {
    annotations(object) == ["kopf.zalando.org/last-handled-configuration"]
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
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_fit_is_reported_once_and_holds_up_nothing() {
    async fn provision(database: Obj<Database>) -> Json<u32> {
        Json(database.spec.size)
    }
    async fn drop_it(_: Obj<Database>) {}
    let cluster = DevCluster::start().await.unwrap();
    cluster.apply_manifest(LOOSE).await.unwrap();
    let operator = Operator::new().serve(on::<Database>().create(provision).delete(drop_it));
    let cluster = TestCluster::start_on(cluster, operator).await.unwrap();
    cluster.create(ALL, &database("odd", &json!({"size": "large"}))).await.unwrap();
    cluster.create(ALL, &database("main", &json!({"size": 3}))).await.unwrap();

    cluster.until(MAIN, |main| main["status"]["provision"] == 3).await.unwrap();
    let odd = format!("{ALL}/odd");
    let handled = cluster.until(&odd, is_handled).await.unwrap();
    assert_eq!(handled["status"], Value::Null);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let events = cluster.list("/api/v1/namespaces/default/events").await.unwrap();
    let warnings: Vec<_> = events.iter().filter(|event| event["type"] == "Warning").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["involvedObject"]["name"], "odd");
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(message.contains("spec.size: invalid type: string \"large\", expected u32"), "{message}");

    cluster.delete(&odd).await.unwrap();
    cluster.until_gone(&odd).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_care_of_objects_that_do_not_fit() {
    async fn provision(database: Result<Obj<Database>, ParseError>) -> Json<String> {
        Json(match database {
            Ok(database) => database.spec.size.to_string(),
            Err(error) => format!("{}?", error.path()),
        })
    }
    let cluster = DevCluster::start().await.unwrap();
    cluster.apply_manifest(LOOSE).await.unwrap();
    let cluster = TestCluster::start_on(cluster, Operator::new().serve(on::<Database>().create(provision)))
        .await
        .unwrap();
    cluster.create(ALL, &database("main", &json!({"size": "large"}))).await.unwrap();
    cluster.until(MAIN, |main| main["status"]["provision"] == "spec.size?").await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_retried_after_the_backoff_and_the_operator_goes_on() {
    async fn shaky(Retry(retry): Retry) -> Json<u32> {
        assert!(retry > 1, "not yet");
        Json(retry)
    }
    let begun = tokio::time::Instant::now();
    let cluster = started(serve(on().create(handler(shaky).backoff(Duration::from_secs(20))))).await;
    cluster.until(MAIN, |main| main["status"]["shaky"] == 2).await.unwrap();
    let waited = begun.elapsed().as_secs_f64();
    assert!((40.0..45.0).contains(&waited), "{waited}");
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_failed_for_good_is_not_called_until_the_next_change() {
    // KEEP-3.
    async fn refuse(calls: Ctx<AtomicU32>) -> Result {
        calls.fetch_add(1, Ordering::SeqCst);
        Err(permanent("no"))
    }
    async fn count(calls: Ctx<AtomicU32>, New(size): New<u32>, patch: Patch) {
        patch.status(json!({"calls": calls.load(Ordering::SeqCst), "size": size}));
    }
    let on = on::<Database>().create(refuse).update(refuse).field("spec.size", count);
    let cluster = started(serve(on).with(AtomicU32::new(0))).await;
    cluster.until(MAIN, is_handled).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    cluster.merge(MAIN, &json!({"spec": {"size": 4}})).await.unwrap();
    cluster.until(MAIN, |main| main["status"]["size"] == 4 && is_handled(main)).await.unwrap();
    let main = cluster.get(MAIN).await.unwrap();
    assert!(main["status"]["calls"].as_u64().unwrap() <= 2, "{main}");
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn subhandlers_have_progress_and_results_of_their_own() {
    // A-SUB-020..027.
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
                        return Err(temporary("later", Duration::from_secs(100)));
                    }
                    Ok(Json(tag))
                }
            };
            parts.add(handler(part).id(id));
        }
        parts.execute().await?;
        told.tell("complete");
        Ok(Json("built"))
    }
    let told = Told::default();
    let cluster = TestCluster::start(serve(on().create(build)).with(told.clone())).await.unwrap();
    cluster.create(ALL, &database("main", &json!({"size": 3, "tags": ["a", "slow", "b"]}))).await.unwrap();
    let waiting = cluster
        .until(MAIN, |main| annotations(main).iter().any(|key| key.ends_with("build.slow")))
        .await
        .unwrap();
    assert_eq!(waiting["status"]["build"], Value::Null);
    let main = cluster.until(MAIN, is_handled).await.unwrap();
    assert_eq!(
        main["status"],
        json!({"build": "built", "build/a": "a", "build/b": "b", "build/slow": "slow"})
    );
    let mut all = told.all();
    assert_eq!(all.pop().unwrap(), "complete");
    all.sort();
    assert_eq!(all, ["a 0", "b 0", "slow 0", "slow 1"]);
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_operator_goes_on_where_the_first_was_stopped() {
    // A-CAU-040, DEC-1.
    async fn welcome(told: Ctx<Told>, reason: Reason) {
        told.tell(format!("{reason}"));
    }
    async fn slow(Retry(retry): Retry, told: Ctx<Told>) -> Result {
        told.tell(format!("slow {retry}"));
        if retry == 0 { Err(temporary("later", Duration::from_secs(100))) } else { Ok(()) }
    }
    let told = Told::default();
    let operator = || serve(on().create(welcome).resume(welcome).create(slow)).with(told.clone());
    let cluster = started(operator()).await;
    cluster.until(MAIN, |main| annotations(main).iter().any(|key| key.ends_with("/slow"))).await.unwrap();
    let cluster = cluster.stop_operator().await.unwrap();
    let cluster = TestCluster::start_on(cluster, operator()).await.unwrap();
    cluster.until(MAIN, is_handled).await.unwrap();
    let cluster = cluster.stop_operator().await.unwrap();
    let cluster = TestCluster::start_on(cluster, operator()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.stop().await.unwrap();
    assert_eq!(told.all(), ["create", "slow 0", "slow 1", "resume"]);
}

#[tokio::test(start_paused = true)]
async fn watch_events_come_one_by_one_with_their_types() {
    // A-CAU-065, A-KW-013.
    async fn seen(event_type: Option<EventType>, count: Memo<AtomicU32>, told: Ctx<Told>) {
        let number = count.fetch_add(1, Ordering::SeqCst);
        told.tell(format!("{number} {}", event_type.map_or("listed", EventType::as_str)));
    }
    let told = Told::default();
    let cluster = DevCluster::start().await.unwrap();
    cluster.apply_manifest(LOOSE).await.unwrap();
    cluster.create(ALL, &database("main", &json!({"size": 1}))).await.unwrap();
    let operator = Operator::new().with(told.clone()).serve(on::<Database>().event(seen));
    let cluster = TestCluster::start_on(cluster, operator).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.merge(MAIN, &json!({"spec": {"size": 2}})).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.delete(MAIN).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.create(ALL, &database("main", &json!({"size": 3}))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.stop().await.unwrap();
    // The memo ends with the object.
    assert_eq!(told.all(), ["0 listed", "1 MODIFIED", "2 DELETED", "0 ADDED"]);
}

#[tokio::test(start_paused = true)]
async fn only_objects_that_pass_the_filters_are_handled() {
    async fn gold(told: Ctx<Told>, Name(name): Name) {
        told.tell(name);
    }
    let told = Told::default();
    let wanted = handler(gold)
        .label("tier", "gold")
        .annotation("skip", ABSENT)
        .field("spec.size")
        .value(matching(|size| size.and_then(Value::as_u64) > Some(2)))
        .when(|subject| subject.typed::<Database>().is_some_and(|database| database.spec.tags.is_empty()));
    let cluster = TestCluster::start(serve(on().create(wanted)).with(told.clone())).await.unwrap();
    let with = |name: &str, metadata: Value, spec: Value| {
        let mut all = database(name, &spec);
        all["metadata"] = metadata;
        all["metadata"]["name"] = name.into();
        all
    };
    let gold = json!({"labels": {"tier": "gold"}});
    for object in [
        with("silver", json!({"labels": {"tier": "silver"}}), json!({"size": 3})),
        with("small", gold.clone(), json!({"size": 1})),
        with("tagged", gold.clone(), json!({"size": 3, "tags": ["x"]})),
        with(
            "skipped",
            json!({"labels": {"tier": "gold"}, "annotations": {"skip": "yes"}}),
            json!({"size": 3}),
        ),
        with("wanted", gold, json!({"size": 3})),
    ] {
        cluster.create(ALL, &object).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(told.all(), ["wanted"]);
    // A-FLT-002: nothing is kept in the others.
    for name in ["silver", "small", "tagged"] {
        assert!(annotations(&cluster.get(&format!("{ALL}/{name}")).await.unwrap()).is_empty());
    }
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn functions_of_the_patch_change_what_merge_patches_cannot() {
    // A-PATCH-021.
    async fn tidy(patch: Patch) {
        patch.transform(|body| {
            if let Some(tags) = body.pointer_mut("/spec/tags").and_then(Value::as_array_mut) {
                tags.retain(|tag| tag != "obsolete");
            }
        });
    }
    let cluster = TestCluster::start(serve(on().create(tidy))).await.unwrap();
    cluster
        .create(ALL, &database("main", &json!({"size": 3, "tags": ["a", "obsolete", "b"]})))
        .await
        .unwrap();
    let main = cluster.until(MAIN, is_handled).await.unwrap();
    assert_eq!(main["spec"]["tags"], json!(["a", "b"]));
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn handlers_reach_the_cluster_by_the_client() {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{Api, PostParams};

    async fn provision(Name(name): Name, Namespace(namespace): Namespace, client: kube::Client) -> Result {
        let mut config = ConfigMap::default();
        config.metadata.name = Some(format!("config-of-{name}"));
        Api::namespaced(client, &namespace).create(&PostParams::default(), &config).await?;
        Ok(())
    }
    let cluster = started(serve(on().create(provision))).await;
    cluster
        .until("/api/v1/namespaces/default/configmaps/config-of-main", |config| !config.is_null())
        .await
        .unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_runs_at_the_stop_may_finish() {
    // W-PRC-010.
    async fn slow(told: Ctx<Told>) {
        told.tell("begun");
        tokio::time::sleep(Duration::from_millis(1500)).await;
        told.tell("finished");
    }
    let told = Told::default();
    let cluster = started(serve(on().create(slow)).with(told.clone())).await;
    while told.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cluster = cluster.stop_operator().await.unwrap();
    assert_eq!(told.all(), ["begun", "finished"]);
    assert!(is_handled(&cluster.get(MAIN).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_object_does_not_hold_up_another() {
    async fn provision(Name(name): Name, told: Ctx<Told>) {
        if name == "main" {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        told.tell(name);
    }
    let told = Told::default();
    let cluster = started(serve(on().create(provision)).with(told.clone())).await;
    cluster.create(ALL, &database("other", &json!({"size": 1}))).await.unwrap();
    cluster.until(MAIN, is_handled).await.unwrap();
    assert_eq!(told.all(), ["other", "main"]);
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_cannot_work_does_not_start() {
    async fn ask(_: Ctx<Told>) {}
    let cluster = DevCluster::start().await.unwrap();
    let operator = Operator::new().serve(on::<Database>().create(ask));
    let ended = operator.run_with(Connection::service(cluster.service()), CancellationToken::new()).await;
    assert!(matches!(ended, Err(OperatorError::Declaration(problems)) if problems.len() == 1));
}

#[tokio::test(start_paused = true)]
async fn events_are_posted_about_the_object() {
    // A-EVT-006.
    async fn provision(events: Events) {
        events.normal("Growing", "three more");
        events.warning("Tight", "almost full");
    }
    async fn posted(settings: impl FnOnce(&mut kopf::Settings)) -> Vec<[String; 4]> {
        let cluster = started(serve(on().create(provision)).settings(settings)).await;
        cluster.until(MAIN, is_handled).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let events = cluster.list("/api/v1/namespaces/default/events").await.unwrap();
        cluster.stop().await.unwrap();
        let text = |event: &Value, path: &str| event.pointer(path).unwrap().as_str().unwrap().to_owned();
        let paths = ["/type", "/reason", "/message", "/involvedObject/name"];
        events.iter().map(|event| paths.map(|path| text(event, path))).collect()
    }
    let normal = ["Normal", "Growing", "three more", "main"].map(String::from);
    let warning = ["Warning", "Tight", "almost full", "main"].map(String::from);
    let mut explicit = posted(|settings| settings.posting.progress = false).await;
    explicit.sort();
    assert_eq!(explicit, [normal, warning.clone()]);
    // A-EVT-004.
    let only_warnings = posted(|settings| {
        settings.posting.progress = false;
        settings.posting.level = 30;
    });
    assert_eq!(only_warnings.await, [warning]);
}

#[tokio::test(start_paused = true)]
async fn startup_comes_before_all_and_cleanup_after_all() {
    // A-ACT-001: an activity is retried like any handler.
    async fn warm_up(told: Ctx<Told>, Retry(retry): Retry) -> Result {
        told.tell(format!("startup {retry}"));
        if retry == 0 { Err(temporary("not yet", Duration::from_secs(10))) } else { Ok(()) }
    }
    async fn provision(told: Ctx<Told>) {
        told.tell("create");
    }
    async fn say_bye(told: Ctx<Told>, client: kube::Client) {
        told.tell(format!("cleanup in {}", client.default_namespace()));
    }
    let told = Told::default();
    let operator = serve(on().create(provision)).with(told.clone()).startup(warm_up).cleanup(say_bye);
    let cluster = started(operator).await;
    cluster.until(MAIN, is_handled).await.unwrap();
    cluster.stop().await.unwrap();
    assert_eq!(told.all(), ["startup 0", "startup 1", "create", "cleanup in default"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_whose_startup_fails_ends_with_its_error() {
    async fn fail() {
        panic!("no way");
    }
    let cluster = DevCluster::start().await.unwrap();
    let operator = Operator::new().startup(handler(fail).errors(ErrorsMode::Permanent));
    let ended = operator.run_with(Connection::service(cluster.service()), CancellationToken::new()).await;
    let Err(OperatorError::Run(error)) = ended else { panic!("{ended:?}") };
    assert!(matches!(*error, kopf::RunError::Activity { first, .. } if first.text == "panicked: no way"));
}

#[tokio::test(start_paused = true)]
async fn built_in_kinds_are_handled_too_in_namespaces_and_outside() {
    use k8s_openapi::api::core::v1::{ConfigMap, Namespace as K8sNamespace};

    async fn stamp(config: Obj<ConfigMap>, Namespace(namespace): Namespace, patch: Patch) {
        let count = config.data.as_ref().map_or(0, |data| data.len());
        patch.label("stamp", Some(&format!("{namespace}-{count}")));
    }
    async fn welcome(Name(name): Name, patch: Patch) {
        patch.annotation("example.com/welcome", Some(&name));
    }
    async fn part(_: Name) {}
    let operator = Operator::new()
        .serve(on::<ConfigMap>().create(handler(stamp).when(|subject| subject.field("data.stamp").is_some())))
        .serve(
            on::<K8sNamespace>()
                .create(handler(welcome).label("team", PRESENT))
                .delete(handler(part).optional()),
        );
    let cluster = TestCluster::start(operator).await.unwrap();
    let config = json!({"metadata": {"name": "c"}, "data": {"stamp": "yes", "other": "x"}});
    cluster.create("/api/v1/namespaces/default/configmaps", &config).await.unwrap();
    let is_stamped = |config: &Value| config["metadata"]["labels"]["stamp"] == "default-2";
    cluster.until("/api/v1/namespaces/default/configmaps/c", is_stamped).await.unwrap();

    let team = json!({"metadata": {"name": "team-a", "labels": {"team": "a"}}});
    cluster.create("/api/v1/namespaces", &team).await.unwrap();
    let is_welcome = |team: &Value| team["metadata"]["annotations"]["example.com/welcome"] == "team-a";
    let team = cluster.until("/api/v1/namespaces/team-a", is_welcome).await.unwrap();
    // A-DEC-020.
    assert_eq!(team["metadata"]["finalizers"], Value::Null);
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_served_namespaces_are_served() {
    // A-CLI-012.
    async fn provision(Namespace(namespace): Namespace, told: Ctx<Told>) {
        told.tell(namespace);
    }
    let told = Told::default();
    let operator = serve(on().create(provision)).with(told.clone()).namespaces(["team-*,!team-b"]);
    let cluster = TestCluster::start(operator).await.unwrap();
    for name in ["team-a", "team-b", "other"] {
        cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": name}})).await.unwrap();
        let path = format!("/apis/example.com/v1/namespaces/{name}/databases");
        cluster.create(&path, &database("main", &json!({"size": 1}))).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.stop().await.unwrap();
    assert_eq!(told.all(), ["team-a"]);
}

#[tokio::test(start_paused = true)]
async fn limits_end_the_attempts() {
    // A-ERR-020, A-ERR-021.
    async fn again(told: Ctx<Told>, Retry(retry): Retry) -> Result {
        told.tell(format!("again {retry}"));
        Err("always".into())
    }
    async fn late(told: Ctx<Told>, Retry(retry): Retry) -> Result {
        told.tell(format!("late {retry}"));
        Err(temporary("always", Duration::from_secs(40)))
    }
    let told = Told::default();
    let operator = serve(
        on().create(handler(again).retries(2).backoff(Duration::from_secs(1)))
            .create(handler(late).timeout(Duration::from_secs(100))),
    );
    let cluster = started(operator.with(told.clone())).await;
    cluster.until(MAIN, is_handled).await.unwrap();
    cluster.stop().await.unwrap();
    let mut all = told.all();
    all.sort();
    assert_eq!(all, ["again 0", "again 1", "late 0", "late 1", "late 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_stop_is_cancelled_and_runs_again() {
    // W-PRC-014, DEC-1.
    async fn provision(told: Ctx<Told>, Retry(retry): Retry, first: Ctx<AtomicU32>) {
        told.tell(format!("begun {retry}"));
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        told.tell("finished");
    }
    let told = Told::default();
    let cluster = started(serve(on().create(provision)).with(told.clone()).with(AtomicU32::new(0))).await;
    while told.all().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stopping = tokio::time::Instant::now();
    let cluster = cluster.stop_operator().await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(60), "{:?}", stopping.elapsed());
    assert_eq!(told.all(), ["begun 0"]);
    let again = serve(on().create(provision)).with(told.clone()).with(AtomicU32::new(1));
    let cluster = TestCluster::start_on(cluster, again).await.unwrap();
    cluster.until(MAIN, is_handled).await.unwrap();
    cluster.stop().await.unwrap();
    assert_eq!(told.all(), ["begun 0", "begun 0", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn delays_beyond_the_end_of_time_are_only_long() {
    async fn never(told: Ctx<Told>) -> Result {
        told.tell("never");
        Err(temporary("see you", Duration::MAX))
    }
    async fn hardly(told: Ctx<Told>) -> Result {
        told.tell("hardly");
        Err("oh".into())
    }
    let told = Told::default();
    let operator = serve(
        on().create(never)
            .create(handler(hardly).backoff(Duration::MAX))
            .create(handler(tell).timeout(Duration::MAX)),
    );
    async fn tell(told: Ctx<Told>) {
        told.tell("tell");
    }
    let cluster = started(operator.with(told.clone())).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut all = told.all();
    all.sort();
    assert_eq!(all, ["hardly", "never", "tell"]);
    // It is held by its progress, and goes when it is deleted.
    cluster.delete(MAIN).await.unwrap();
    cluster.until_gone(MAIN).await.unwrap();
    cluster.stop().await.unwrap();
}
