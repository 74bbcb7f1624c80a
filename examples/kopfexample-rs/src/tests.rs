//! The operator on a dev cluster, in one process and in paused time.

use kopf::testing::TestCluster;
use serde_json::{Value, json};

use super::*;

const ALL: &str = "/apis/zalando.org/v1/namespaces/default/kopfexamples";
const ONE: &str = "/apis/zalando.org/v1/namespaces/default/kopfexamples/example-1";

/// A cluster on which the operator runs, with one object.
async fn started(items: &[&str]) -> TestCluster {
    let cluster = TestCluster::start(operator()).await.unwrap();
    let example = json!({
        "apiVersion": "zalando.org/v1",
        "kind": "KopfExample",
        "metadata": {"name": "example-1"},
        "spec": {"duration": "1m", "items": items},
    });
    cluster.create(ALL, &example).await.unwrap();
    cluster
}

/// Handled: the state that is there is the one that was handled last, and nothing is left to do.
fn is_handled(example: &Value) -> bool {
    let Some(annotations) = example["metadata"]["annotations"].as_object() else { return false };
    let Some(last) = annotations.get("kopf.zalando.org/last-handled-configuration") else { return false };
    let last: Value = serde_json::from_str(last.as_str().unwrap_or_default()).unwrap_or_default();
    let is_idle = annotations.keys().all(|key| key.ends_with("/last-handled-configuration"));
    is_idle && last["spec"] == example["spec"]
}

#[tokio::test(start_paused = true)]
async fn a_new_object_gets_its_answers_into_the_status() {
    let cluster = started(&["bread", "butter"]).await;
    let example = cluster.until(ONE, is_handled).await.unwrap();
    assert_eq!(example["status"]["create"], json!({"items": 2, "for": "1m"}));
    assert_eq!(example["status"]["cooked"], json!(["bread", "butter"]));
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_the_handlers_with_what_has_changed() {
    let cluster = started(&["bread"]).await;
    cluster.until(ONE, is_handled).await.unwrap();
    cluster.merge(ONE, &json!({"spec": {"items": ["jam"]}})).await.unwrap();
    let example = cluster.until(ONE, |example| example["status"]["cooked"] == json!(["jam"])).await.unwrap();
    // The result of the creation stays.
    assert_eq!(example["status"]["create"]["items"], 1);
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_for_its_handler() {
    let cluster = started(&[]).await;
    let example = cluster.until(ONE, is_handled).await.unwrap();
    assert_eq!(example["metadata"]["finalizers"], json!(["kopf.zalando.org/KopfFinalizerMarker"]));
    cluster.delete(ONE).await.unwrap();
    // The server holds it until the operator lets it go.
    assert!(cluster.get(ONE).await.unwrap()["metadata"]["deletionTimestamp"].is_string());
    cluster.until_gone(ONE).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_temporary_error_is_tried_again_after_its_delay() {
    let before = tokio::time::Instant::now();
    let cluster = started(&["slow"]).await;
    let example = cluster.until(ONE, is_handled).await.unwrap();
    assert_eq!(example["status"]["cooked"], json!(["slow"]));
    // Thirty seconds as the operator sees them; none as we do.
    let waited = before.elapsed();
    assert!((30.0..40.0).contains(&waited.as_secs_f64()), "{waited:?}");
    cluster.stop().await.unwrap();
}
