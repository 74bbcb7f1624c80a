//! The cluster of a test: the one that `KOPF_TEST_KUBECONFIG` names, or a dev cluster behind HTTP. Both in real time.
//!
//! A real cluster is shared by all tests: each has a namespace of its own, and serves no other.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use http::{Method, Request};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kopf::{Connection, Operator, OperatorError, prelude::*};
use kopf_devcluster::{DevCluster, ListenOptions, Listener};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// The cluster of a test.
pub(crate) struct Cluster {
    /// The namespace of the test.
    pub(crate) namespace: String,
    kubeconfig: PathBuf,
    client: Client,
    /// Ends with the test.
    _dev: Option<(DevCluster, Listener, TempDir)>,
}

/// An operator at work.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), OperatorError>>,
}

impl Cluster {
    /// An empty namespace in a cluster.
    pub(crate) async fn new() -> Self {
        let (kubeconfig, dev) = match std::env::var_os("KOPF_TEST_KUBECONFIG") {
            Some(kubeconfig) => (kubeconfig.into(), None),
            None => {
                let (cluster, folder) = (DevCluster::start().await.unwrap(), TempDir::new().unwrap());
                let listener = cluster.listen(ListenOptions::default()).await.unwrap();
                let kubeconfig = folder.path().join("kubeconfig");
                std::fs::write(&kubeconfig, listener.kubeconfig()).unwrap();
                (kubeconfig, Some((cluster, listener, folder)))
            }
        };
        let config = Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
        let cluster =
            Self { namespace: unique("e2e"), kubeconfig, client: config.try_into().unwrap(), _dev: dev };
        cluster.create("/api/v1/namespaces", &json!({"metadata": {"name": cluster.namespace}})).await;
        cluster
    }

    /// Runs an operator in the namespace of the test, after its definitions are installed.
    pub(crate) async fn run(&self, operator: Operator) -> Running {
        self.run_everywhere(operator.namespaces([&self.namespace])).await
    }

    /// Runs an operator in the namespaces that it says.
    pub(crate) async fn run_everywhere(&self, operator: Operator) -> Running {
        for crd in operator.crds() {
            self.install(crd).await;
        }
        let stop = CancellationToken::new();
        let connection = Connection::Kubeconfig(vec![self.kubeconfig.clone()]);
        let task = tokio::spawn(operator.run_with(connection, stop.clone()));
        Running { stop, task }
    }

    /// Installs a definition, and waits until objects can be written.
    pub(crate) async fn install(&self, crd: &CustomResourceDefinition) {
        let name = crd.metadata.name.as_deref().unwrap();
        let path = format!("{DEFINITIONS}/{name}?fieldManager=tests&force=true");
        self.send(Method::PATCH, &path, APPLY_PATCH, Some(&json!(crd))).await.unwrap();
        let (group, plural) = (&crd.spec.group, &crd.spec.names.plural);
        for version in crd.spec.versions.iter().filter(|version| version.served) {
            let path = format!("/apis/{group}/{}/{plural}", version.name);
            let begun = Instant::now();
            while self.send(Method::GET, &path, JSON, None).await.is_err() {
                assert!(begun.elapsed() < PATIENCE, "{name} is not served");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Where the objects of a resource are in the namespace of the test: of `/apis/example.com/v1`, `databases`.
    pub(crate) fn all(&self, root: &str, plural: &str) -> String {
        format!("{root}/namespaces/{}/{plural}", self.namespace)
    }

    pub(crate) async fn create(&self, collection: &str, object: &Value) -> Value {
        self.send(Method::POST, collection, JSON, Some(object)).await.unwrap()
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Value {
        self.send(Method::PATCH, path, MERGE_PATCH, Some(patch)).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.send(Method::DELETE, path, JSON, None).await.unwrap();
    }

    /// The object, or null if there is none.
    pub(crate) async fn get(&self, path: &str) -> Value {
        match self.send(Method::GET, path, JSON, None).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Value::Null,
            answer => answer.unwrap(),
        }
    }

    /// Waits until the object is as wanted, and gives it. An object that does not exist is null.
    pub(crate) async fn until(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let object = self.get(path).await;
            if is_wanted(&object) {
                return object;
            }
            assert!(begun.elapsed() < PATIENCE, "{path} has not become what was waited for: {object}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until the objects are so many as wanted, and gives them.
    pub(crate) async fn until_list(&self, path: &str, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let listed = self.until(path, |list| is_wanted(list["items"].as_array().map_or(&[], Vec::as_slice)));
        serde_json::from_value(listed.await["items"].take()).unwrap()
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> kube::Result<Value> {
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let request = Request::builder().method(method).uri(path).header("content-type", content_type);
        self.client.request(request.body(body).unwrap()).await
    }
}

impl Running {
    /// Stops the operator in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// A name that nobody else has.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{count}", std::process::id())
}
