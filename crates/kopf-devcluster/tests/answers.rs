//! The answers as clients get them: their bytes and headers, beside what the scenarios check.

use std::time::Duration;

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

/// D-020: clients keep connections for later, and not all of them look whether one was closed meanwhile.
#[tokio::test]
async fn idle_connections_are_kept_for_as_long_as_by_a_real_server() {
    let cluster = DevCluster::start().await.unwrap();
    let listener = cluster.listen(ListenOptions::default()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(listener.address()).await.unwrap();
    let mut answer = [0; 1024];
    for _ in 0..2 {
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: tests\r\n\r\n").await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 OK"));
        idle(Duration::from_secs(80)).await;
    }
    idle(Duration::from_secs(20)).await;
    assert_eq!(stream.read(&mut answer).await.unwrap(), 0, "closed after 90 seconds");
}

/// Lets time pass, and the server see it.
async fn idle(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
    tokio::task::yield_now().await;
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

const THINGS: &str = "/apis/said.dev/v1/namespaces/default/things";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A cluster with the thing `a`.
async fn with_a_thing() -> DevCluster {
    let cluster = DevCluster::start().await.unwrap();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.said.dev"},
        "spec": {
            "group": "said.dev",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                }},
            }],
        },
    });
    cluster.apply_manifest(&definition.to_string()).await.unwrap();
    let thing = json!({"apiVersion": "said.dev/v1", "kind": "Thing", "metadata": {"name": "a"}});
    cluster.create(THINGS, &thing).await.unwrap();
    cluster
}

/// The code of an answer to a dry run, and the message of a refusal.
async fn tried(cluster: &DevCluster, call: &str, media_type: &str, body: &str) -> (u16, String) {
    let (method, path) = call.split_once(' ').unwrap();
    let path = format!("{THINGS}{path}?dryRun=All&fieldManager=tests");
    let request = Request::builder().method(method).uri(path).header("content-type", media_type);
    let request = request.body(Full::<Bytes>::from(body.to_owned())).unwrap();
    let (parts, body) = cluster.service().oneshot(request).await.unwrap().into_parts();
    let answer: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    (parts.status.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
}

/// D-101, in the words of a real server.
#[tokio::test(start_paused = true)]
async fn a_custom_resource_that_does_not_say_its_kind_is_not_recognized() {
    let cluster = with_a_thing().await;
    for (call, media_type, body, shown) in [
        ("POST ", JSON, r#"{"metadata":{}}"#, r#"{"metadata":{}}"#),
        ("POST ", JSON, r#"{"kind":"","a":"123456789012345"}"#, r#"{"kind":"","a":"12345678901234 ..."#),
        ("POST ", YAML, "metadata: {}", "6d657461646174613a207b7d"),
        ("PUT /a", JSON, r#"{"apiVersion":"said.dev/v1"}"#, r#"{"apiVersion":"said.dev/v1"}"#),
        ("PUT /none", JSON, "{}", "{}"),
        ("PUT /a/status", JSON, "{}", "{}"),
    ] {
        let told = "the object provided is unrecognized (must be of type Thing): Object 'Kind' is missing in";
        let expected = (400, format!("{told} '{body}' ({shown})"));
        assert_eq!(tried(&cluster, call, media_type, body).await, expected, "{call} {body}");
    }
}

/// D-101, in the words of a real server.
#[tokio::test(start_paused = true)]
async fn a_custom_resource_must_be_of_the_version_of_the_path() {
    let cluster = with_a_thing().await;
    for (call, body) in [
        ("POST ", r#"{"kind":"Thing","metadata":{"name":"b"}}"#),
        ("POST ", r#"{"kind":"Other","apiVersion":"","metadata":{"name":"b"}}"#),
        ("PUT /a", r#"{"kind":"Thing","metadata":{"name":"a"}}"#),
        ("PUT /none", r#"{"kind":"Thing","metadata":{"name":"none"}}"#),
        ("PUT /a/status", r#"{"kind":"Thing","metadata":{"name":"a"}}"#),
    ] {
        let told = "the API version in the data () does not match the expected API version (said.dev/v1)";
        assert_eq!(tried(&cluster, call, JSON, body).await, (400, told.to_owned()), "{call} {body}");
    }
    let null = r#"{"kind":"Thing","apiVersion":null,"metadata":{"name":"b"}}"#;
    let told = "Thing in version \"\" cannot be handled as a Thing: .apiVersion accessor error: <nil> is of the type \
                <nil>, expected string";
    assert_eq!(tried(&cluster, "POST ", JSON, null).await, (400, told.to_owned()));
}

/// D-101, in the words of a real server: of a new status nothing else is read.
#[tokio::test(start_paused = true)]
async fn a_custom_resource_cannot_be_of_another_kind() {
    let cluster = with_a_thing().await;
    let told = "Other.said.dev \"a\" is invalid: kind: Invalid value: \"Other\": must be Thing";
    let other =
        r#"{"kind":"Other","apiVersion":"said.dev/v1","metadata":{"name":"a","resourceVersion":"1"}}"#;
    let created = r#"{"kind":"Other","apiVersion":"said.dev/v1","metadata":{"name":"a"}}"#;
    assert_eq!(tried(&cluster, "POST ", JSON, created).await, (422, told.to_owned()));
    assert_eq!(tried(&cluster, "PUT /a", JSON, other).await, (422, told.to_owned()));
    assert_eq!(tried(&cluster, "PATCH /a", MERGE, r#"{"kind":"Other"}"#).await, (422, told.to_owned()));
    assert_eq!(tried(&cluster, "PATCH /a/status", MERGE, r#"{"kind":"Other"}"#).await, (200, String::new()));
    assert_eq!(tried(&cluster, "PUT /none", JSON, &created.replace(r#""a""#, r#""none""#)).await.0, 404);
}

/// D-101, D-153: in the words of a real server.
#[tokio::test(start_paused = true)]
async fn a_patch_cannot_take_the_type_from_a_custom_resource() {
    let cluster = with_a_thing().await;
    let told = "Internal error occurred: Object 'apiVersion' is missing in 'object has no apiVersion field'";
    for call in ["PATCH /a", "PATCH /a/status"] {
        assert_eq!(tried(&cluster, call, MERGE, r#"{"spec":{}}"#).await, (200, String::new()));
        assert_eq!(tried(&cluster, call, MERGE, r#"{"apiVersion":null}"#).await, (500, told.to_owned()));
        let (code, message) = tried(&cluster, call, MERGE, r#"{"kind":null}"#).await;
        assert_eq!(code, 422);
        let begin =
            " \"\" is invalid: patch: Invalid value: \"{\\\"apiVersion\\\":\\\"said.dev/v1\\\",\\\"metadata";
        let middle = ": Object 'Kind' is missing in '{\"apiVersion\":\"said.dev/v1\",\"metadata";
        assert!(message.starts_with(begin) && message.contains(middle), "{message}");
    }
}

/// D-101, D-158: in the words of a real server, which are the same for built-in types.
#[tokio::test(start_paused = true)]
async fn what_is_applied_must_say_its_type() {
    let cluster = with_a_thing().await;
    for (body, said) in [
        ("metadata: {name: a}", "/, Kind="),
        ("kind: Thing", "/, Kind=Thing"),
        ("{kind: Thing, apiVersion: v1}", "/v1, Kind=Thing"),
        ("apiVersion: said.dev/v1", "said.dev/v1, Kind="),
    ] {
        let expected = (400, format!("invalid object type: {said}"));
        assert_eq!(tried(&cluster, "PATCH /a", APPLY, body).await, expected, "{body}");
    }
}
