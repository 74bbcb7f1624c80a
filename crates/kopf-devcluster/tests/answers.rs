//! The answers as clients get them: their bytes and headers, beside what the scenarios check.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use kopf_devcluster::{DevCluster, ListenOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

const NAMESPACE: &str = "/api/v1/namespaces/default";

async fn get(cluster: &DevCluster, path: &str, agent: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).header("user-agent", agent).body(Full::<Bytes>::default()).unwrap();
    let (parts, body) = cluster.service().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

/// D-031.
#[tokio::test(start_paused = true)]
async fn documents_of_the_api_are_one_line_and_those_for_people_are_indented() {
    let cluster = DevCluster::start().await.unwrap();
    for path in [NAMESPACE, "/api/v1/namespaces", "/apis", "/apis/apps/v1", "/api/v1/namespaces/none"] {
        let (_, _, line) = get(&cluster, path, "tests/1").await;
        assert!(line.ends_with("}\n"), "{path}: {line}");
        assert_eq!(line.lines().count(), 1, "{path}: {line}");
        let (_, _, page) = get(&cluster, path, "curl/8").await;
        assert!(page.starts_with("{\n  \"kind\": \"") && page.ends_with("\n}"), "{path}: {page}");
        let values = [&line, &page].map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(values[0], values[1], "{path}");
        let (_, _, asked) = get(&cluster, &format!("{path}?pretty=true"), "tests/1").await;
        assert_eq!(asked, page, "{path}");
        let (_, _, refused) = get(&cluster, &format!("{path}?pretty=false"), "curl/8").await;
        assert_eq!(refused, line, "{path}");
    }
    for path in ["/version", "/"] {
        let (_, _, page) = get(&cluster, path, "tests/1").await;
        assert!(page.starts_with("{\n  \"") && page.ends_with("\n}"), "{path}: {page}");
    }
    let (_, _, schema) = get(&cluster, "/openapi/v3/api/v1", "curl/8").await;
    assert!(schema.ends_with("}}") && schema.lines().count() == 1);
}

/// D-028: the type of plain texts is not to be guessed; of JSON nothing is said.
#[tokio::test(start_paused = true)]
async fn only_plain_texts_are_protected_from_guesses_of_their_type() {
    let cluster = DevCluster::start().await.unwrap();
    for (path, is_text) in [("/readyz", true), ("/none", true), ("/api/v1/namespaces/none", false)] {
        let (_, headers, _) = get(&cluster, path, "tests/1").await;
        assert_eq!(headers.contains_key("x-content-type-options"), is_text, "{path}");
    }
}

/// D-020: clients of HTTP/1.1 show headers as they were written.
#[tokio::test]
async fn names_of_headers_are_written_as_go_writes_them() {
    let cluster = DevCluster::start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(listener.address()).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: tests\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\r\nAudit-Id: ") && answer.contains("\r\nContent-Type: text/plain"), "{answer}");
}

/// D-163: like objects that are kept.
#[tokio::test(start_paused = true)]
async fn who_has_written_a_review_is_told() {
    let cluster = DevCluster::start().await.unwrap();
    let review = json!({"spec": {"resourceAttributes": {"resource": "pods", "verb": "get"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = cluster.create(path, &review).await.unwrap();
    let fields = &answer["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(
        fields,
        &json!({"f:spec": {"f:resourceAttributes": {".": {}, "f:resource": {}, "f:verb": {}}}})
    );
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let answer = cluster.create(path, &json!({"spec": {"expirationSeconds": 600}})).await.unwrap();
    let entry = &answer["metadata"]["managedFields"][0];
    assert_eq!(entry["subresource"], "token");
    assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:expirationSeconds": {}}}));
}

/// D-163, D-190.
#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_was_given_is_nobodys() {
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let answer = cluster.create(path, &json!({"spec": {"token": "t"}})).await.unwrap();
    assert_eq!(answer["status"], json!({"user": {}, "error": "invalid bearer token"}));
    let answer = cluster.create(path, &json!({"spec": {"token": cluster.admin_token()}})).await.unwrap();
    assert_eq!(answer["status"]["user"]["groups"], json!(["system:masters", "system:authenticated"]));

    let permissive = DevCluster::start().await.unwrap();
    let answer = permissive.create(path, &json!({"spec": {"token": "t"}})).await.unwrap();
    assert_eq!(answer["status"]["authenticated"], true);
}

/// D-115: what is not there is told before what is not possible.
#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_has_no_logs_and_no_shell() {
    let cluster = DevCluster::start().await.unwrap();
    let path = format!("{NAMESPACE}/pods/p/log");
    let (status, _, text) = get(&cluster, &path, "tests/1").await;
    assert_eq!((status, text.contains(r#"pods \"p\" not found"#)), (StatusCode::NOT_FOUND, true), "{text}");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    cluster.create(&format!("{NAMESPACE}/pods"), &pod).await.unwrap();
    let (status, _, text) = get(&cluster, &path, "tests/1").await;
    assert_eq!((status, text), (StatusCode::NO_CONTENT, String::new()));
    let (status, _, text) = get(&cluster, &format!("{NAMESPACE}/pods/p/exec"), "tests/1").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("pod p does not have a host assigned"), "{text}");
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    cluster.create(&format!("{NAMESPACE}/pods/p/binding"), &binding).await.unwrap();
    let (status, ..) = get(&cluster, &path, "tests/1").await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
}

/// D-153: the patch is what is invalid.
#[tokio::test(start_paused = true)]
async fn a_patch_that_makes_an_object_unfit_for_its_type_is_invalid() {
    let cluster = DevCluster::start().await.unwrap();
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    cluster.create(deployments, &json!({"metadata": {"name": "d"}, "spec": spec})).await.unwrap();
    for (media_type, patch, begin, end) in [
        (
            "application/strategic-merge-patch+json",
            json!({"spec": {"replicas": "many"}}),
            " \"\" is invalid: patch: Invalid value: \"map[spec:map[replicas:many]]\": ",
            "unrecognized type: int32",
        ),
        (
            "application/merge-patch+json",
            json!({"spec": {"replicas": "many"}}),
            " \"\" is invalid: patch: Invalid value: \"{\\\"",
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "application/json-patch+json",
            json!([{"op": "add", "path": "/spec/replicas", "value": "many"}]),
            " \"\" is invalid: patch: Invalid value: \"{\\\"",
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
    ] {
        let request = Request::patch(format!("{deployments}/d")).header("content-type", media_type);
        let request = request.body(Full::<Bytes>::from(patch.to_string())).unwrap();
        let (parts, body) = cluster.service().oneshot(request).await.unwrap().into_parts();
        let answer: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(parts.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.starts_with(begin) && message.ends_with(end), "{message}");
        let details = answer["details"].as_object().unwrap();
        assert_eq!((details.len(), &details["causes"][0]["field"]), (1, &json!("patch")), "{answer}");
    }
}

/// D-113, D-163: as the real server describes it.
#[tokio::test(start_paused = true)]
async fn a_token_of_a_service_account_tells_the_account_and_itself() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    let account = cluster.get(&format!("{NAMESPACE}/serviceaccounts/default")).await.unwrap();
    let path = format!("{NAMESPACE}/serviceaccounts/default/token");
    let answer = cluster.create(&path, &json!({"spec": {}})).await.unwrap();
    let review = json!({"spec": {"token": answer["status"]["token"]}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let user = &cluster.create(path, &review).await.unwrap()["status"]["user"];
    assert_eq!(user["uid"], account["metadata"]["uid"]);
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!(user["groups"], groups);
    let id = user["extra"]["authentication.kubernetes.io/credential-id"][0].as_str().unwrap();
    assert!(id.starts_with("JTI="), "{id}");
}
