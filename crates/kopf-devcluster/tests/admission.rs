//! What webhooks are asked, beside what the scenarios check.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kopf_devcluster::DevCluster;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const CONFIGS: &str = "/api/v1/namespaces/default/configmaps";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";

/// A webhook over plain HTTP that allows all but deletions of `kept`; gives its URL and what it was asked.
async fn webhook() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/path", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let seen = Arc::clone(&seen);
            let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (url, asked)
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Value>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let review: Value = serde_json::from_slice(&body).unwrap();
    let question = &review["request"];
    let allowed = question["operation"] != "DELETE" || question["name"] != "kept";
    let response = json!({"uid": question["uid"], "allowed": allowed});
    let answer = json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response});
    seen.lock().unwrap().push(review);
    Ok(Response::new(Full::new(answer.to_string().into())))
}

fn configuration(url: &str) -> Value {
    json!({"metadata": {"name": "hooks"}, "webhooks": [{
        "name": "a.test.dev",
        "admissionReviewVersions": ["v1", "v1beta1"],
        "sideEffects": "None",
        "objectSelector": null,
        "rules": [{
            "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"], "operations": ["*"], "scope": "*",
        }],
        "clientConfig": {"url": url},
    }]})
}

/// D-212, D-215: old and new object by operation, and a denial without a word.
#[tokio::test]
async fn webhooks_see_the_object_before_and_after() {
    let cluster = DevCluster::start().await.unwrap();
    let (url, asked) = webhook().await;
    cluster.create(WEBHOOKS, &configuration(&url)).await.unwrap();
    cluster.create(CONFIGS, &json!({"metadata": {"name": "kept"}, "data": {"k": "1"}})).await.unwrap();
    let path = format!("{CONFIGS}/kept");
    cluster.merge(&path, &json!({"data": {"k": "2"}})).await.unwrap();
    let denied = cluster.delete(&path).await.unwrap_err();
    assert_eq!(denied.code(), 400);
    assert_eq!(denied.to_string(), "admission webhook \"a.test.dev\" denied the request without explanation");
    let asked = asked.lock().unwrap().clone();
    let values = |field: &str| -> Vec<Value> {
        asked.iter().map(|review| review["request"][field]["data"]["k"].clone()).collect()
    };
    assert_eq!(values("object"), [json!("1"), json!("2"), Value::Null]);
    assert_eq!(values("oldObject"), [Value::Null, json!("1"), json!("2")]);
    let question = &asked[0]["request"];
    assert_eq!(asked[0]["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(question["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(question["requestResource"], json!({"group": "", "version": "v1", "resource": "configmaps"}));
    assert_eq!(question["userInfo"]["username"], "dev-cluster-admin");
    assert_eq!((&question["dryRun"], &question["namespace"]), (&json!(false), &json!("default")));
}

/// Kopf empties the list of webhooks when it exits: nobody is asked then.
#[tokio::test]
async fn an_emptied_configuration_asks_nobody() {
    let cluster = DevCluster::start().await.unwrap();
    let (url, asked) = webhook().await;
    cluster.create(WEBHOOKS, &configuration(&url)).await.unwrap();
    cluster.merge(&format!("{WEBHOOKS}/hooks"), &json!({"webhooks": []})).await.unwrap();
    cluster.create(CONFIGS, &json!({"metadata": {"name": "a"}})).await.unwrap();
    assert!(asked.lock().unwrap().is_empty());
}

/// D-213: Services have addresses only where a test has said so.
#[tokio::test]
async fn a_service_without_an_address_is_a_failed_call() {
    let cluster = DevCluster::start().await.unwrap();
    let mut hooks = configuration("");
    let service = json!({"namespace": "ns", "name": "svc", "port": 8443});
    hooks["webhooks"][0]["clientConfig"] = json!({"service": service});
    cluster.create(WEBHOOKS, &hooks).await.unwrap();
    let refused = cluster.create(CONFIGS, &json!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert_eq!(refused.code(), 500);
    assert!(refused.to_string().contains("ns/svc:8443"), "{refused}");
    // Now there is an address, at which nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    cluster.route_service("ns", "svc", 8443, nobody);
    let refused = cluster.create(CONFIGS, &json!({"metadata": {"name": "a"}})).await.unwrap_err();
    assert!(
        refused.to_string().contains("Post \"https://svc.ns.svc:8443/?timeout=10s\": dial tcp "),
        "{refused}"
    );
}
