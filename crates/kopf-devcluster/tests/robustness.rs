//! Whatever a client sends, it gets an answer and never a broken server.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use kopf_devcluster::DevCluster;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

const COLLECTIONS: &[&str] = &[
    "/api/v1/namespaces",
    "/api/v1/namespaces/default/configmaps",
    "/api/v1/namespaces/default/secrets",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/events",
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/events.k8s.io/v1/namespaces/default/events",
    "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    "/apis/resource.k8s.io/v1/deviceclasses",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/test.dev/v1/widgets",
];
const KEYS: &[&str] = &[
    "metadata",
    "name",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "spec",
    "status",
    "data",
    "stringData",
    "names",
    "kind",
    "plural",
    "versions",
    "schema",
    "openAPIV3Schema",
    "properties",
    "type",
    "template",
    "replicas",
    "conditions",
    "group",
    "served",
    "storage",
    "preconditions",
    "uid",
    "apiVersion",
];

/// JSON with the keys of objects and values of any type.
fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        prop_oneof![Just("a"), Just(""), Just("x.dev/f"), Just("object"), Just("v1")].prop_map(Value::from),
    ];
    scalar.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(KEYS), inner), 0..6).prop_map(|fields| {
                let fields: Map<String, Value> =
                    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                Value::from(fields)
            }),
        ]
    })
}

fn method_and_type() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("POST", "application/json"),
        ("PUT", "application/json"),
        ("PATCH", "application/merge-patch+json"),
        ("PATCH", "application/json-patch+json"),
        ("PATCH", "application/strategic-merge-patch+json"),
        ("PATCH", "application/apply-patch+yaml"),
        ("DELETE", "application/json"),
    ])
}

fn definition() -> Value {
    json!({
        "metadata": {"name": "widgets.test.dev"},
        "spec": {
            "group": "test.dev", "scope": "Cluster", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                }},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_request_gets_an_answer(
        requests in prop::collection::vec(
            (prop::sample::select(COLLECTIONS), method_and_type(), any_json(), 0..5_usize), 1..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = DevCluster::start().await.unwrap();
            cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition()).await.unwrap();
            for (collection, (method, content_type), body, place) in requests {
                let path = match (method, place) {
                    ("POST", _) => collection.to_owned(),
                    (_, 0) => format!("{collection}/a/status"),
                    (_, 1) => format!("{collection}/a/scale?fieldManager=x"),
                    _ => format!("{collection}/a?fieldManager=x"),
                };
                let mut body = body;
                if let Value::Object(fields) = &mut body && place > 2 {
                    fields.insert("metadata".to_owned(), json!({"name": "a", "finalizers": ["x.dev/f"]}));
                }
                let request = Request::builder().method(method).uri(path).header("content-type", content_type);
                let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
                let response = cluster.service().oneshot(request).await.unwrap();
                assert!(response.status().as_u16() >= 200);
            }
            // The controllers are alive as well.
            cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": "last"}})).await.unwrap();
            cluster.delete("/api/v1/namespaces/last").await.unwrap();
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            assert_eq!(cluster.get("/api/v1/namespaces/last").await.unwrap_err().code(), 404);
        });
    }
}
