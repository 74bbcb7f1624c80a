//! Users and roles, beside what the scenarios check.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use kopf_devcluster::DevCluster;
use serde_json::json;
use tower::ServiceExt as _;

const CONFIGS: &str = "/api/v1/namespaces/default/configmaps";
const ROLES: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
";

async fn status(cluster: &DevCluster, path: &str, token: Option<&str>) -> StatusCode {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    cluster.service().oneshot(request).await.unwrap().status()
}

/// D-113, D-190, D-193: a service account with a token of its own, until it expires.
#[tokio::test(start_paused = true)]
async fn a_service_account_may_do_what_its_roles_say() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    cluster.apply_manifest(ROLES).await.unwrap();
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let request = json!({"spec": {"expirationSeconds": 600}});
    let token = cluster.create(path, &request).await.unwrap()["status"]["token"].as_str().unwrap().to_owned();
    assert_eq!(status(&cluster, CONFIGS, Some(&token)).await, StatusCode::OK);
    assert_eq!(status(&cluster, &format!("{CONFIGS}/a"), Some(&token)).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&cluster, "/api/v1/configmaps", Some(&token)).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&cluster, CONFIGS, Some(cluster.admin_token())).await, StatusCode::OK);
    tokio::time::advance(std::time::Duration::from_secs(601)).await;
    assert_eq!(status(&cluster, CONFIGS, Some(&token)).await, StatusCode::UNAUTHORIZED);
}

/// D-190: whoever does not say who they are is nobody, and sees only what everyone may.
#[tokio::test(start_paused = true)]
async fn without_a_token_one_is_anonymous() {
    let cluster = DevCluster::builder().rbac().start().await.unwrap();
    assert_eq!(status(&cluster, CONFIGS, None).await, StatusCode::FORBIDDEN);
    assert_eq!(status(&cluster, "/version", None).await, StatusCode::OK);
    assert_eq!(status(&cluster, "/apis", None).await, StatusCode::FORBIDDEN);
    let open = DevCluster::start().await.unwrap();
    assert_eq!(status(&open, CONFIGS, None).await, StatusCode::OK);
    assert_eq!(status(&open, CONFIGS, Some("anything")).await, StatusCode::OK);
}
