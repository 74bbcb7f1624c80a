//! Tests of whole operators: a dev cluster and the operator in one process, with no socket between, so that time can be
//! paused.
//!
//! ```
//! use std::time::Duration;
//! use kopf::{prelude::*, testing::TestCluster};
//!
//! # #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
//! # #[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
//! # struct DatabaseSpec { size: u32 }
//! async fn provision(retry: Retry) -> Result<Json<&'static str>> {
//!     if retry.0 == 0 {
//!         return Err(temporary("not yet", Duration::from_secs(600)));
//!     }
//!     Ok(Json("done"))
//! }
//!
//! # async fn example() -> Result {
//! // In a test: #[tokio::test(start_paused = true)]
//! let cluster = TestCluster::start(Operator::new().serve(on::<Database>().with_crd().create(provision))).await?;
//! let databases = "/apis/example.com/v1/namespaces/default/databases";
//! cluster.create(databases, &json!({
//!     "apiVersion": "example.com/v1", "kind": "Database", "metadata": {"name": "main"}, "spec": {"size": 3},
//! })).await?;
//! // Ten minutes that take no time.
//! let path = format!("{databases}/main");
//! cluster.until(&path, |database| database["status"]["provision"] == "done").await?;
//! cluster.stop().await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(example()).unwrap();
//! ```

use std::{ops::Deref, time::Duration};

use kopf_devcluster::{DevCluster, ManifestError};
use kopf_engine::client::Connection;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Operator, OperatorError, error::Result};

/// How often the cluster is looked at. In paused time this costs nothing, and decides the precision of "until".
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What does not come in this time does not come at all. With paused time, a moment.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);

/// A dev cluster with an operator that runs on it. It gives all that [`DevCluster`] does.
///
/// Dropping it ends both at once; [`stop`](Self::stop) lets running handlers finish.
#[derive(Debug)]
pub struct TestCluster {
    cluster: DevCluster,
    operator: JoinHandle<Result<(), OperatorError>>,
    stop: DropGuard,
}

/// What was waited for has not come.
#[derive(Debug, thiserror::Error)]
#[error("{path} has not become what was waited for within {GIVE_UP_AFTER:?}; at last it was {last}")]
pub struct TimedOut {
    path: String,
    last: Value,
}

impl TestCluster {
    /// Starts a cluster with the definitions that the operator brings along, and the operator.
    ///
    /// # Errors
    /// If the cluster does not start or refuses a definition. Errors of the operator come later: see [`stop`](Self::stop).
    pub async fn start(operator: Operator) -> Result<Self> {
        Self::start_on(DevCluster::start().await?, operator).await
    }

    /// The same on a cluster that is there already.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_on(cluster: DevCluster, operator: Operator) -> Result<Self> {
        install(&cluster, &operator).await?;
        let stop = CancellationToken::new();
        let running = operator.run_with(Connection::service(cluster.service()), stop.clone());
        Ok(Self { cluster, operator: tokio::spawn(running), stop: stop.drop_guard() })
    }

    /// Waits until the object at the path is as wanted, and gives it. An object that does not exist is null.
    ///
    /// # Errors
    /// If the operator has ended meanwhile, the server refuses to show the object, or an hour has passed.
    pub async fn until(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + GIVE_UP_AFTER;
        loop {
            let object = match self.cluster.get(path).await {
                Ok(object) => object,
                Err(error) if error.reason() == "NotFound" => Value::Null,
                Err(error) => return Err(error.into()),
            };
            if is_wanted(&object) {
                return Ok(object);
            }
            if self.operator.is_finished() {
                return Err("the operator has ended: see what `stop` gives".into());
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(TimedOut { path: path.to_owned(), last: object }.into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until there is no object at the path.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn until_gone(&self, path: &str) -> Result {
        self.until(path, Value::is_null).await.map(drop)
    }

    /// Stops the operator in order, and then the cluster.
    ///
    /// # Errors
    /// Why the operator has failed, if it has.
    pub async fn stop(self) -> Result {
        self.stop_operator().await.map(drop)
    }

    /// Stops the operator in order, and leaves the cluster, to start another operator on it.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn stop_operator(self) -> Result<DevCluster> {
        drop(self.stop);
        self.operator.await??;
        Ok(self.cluster)
    }
}

impl Deref for TestCluster {
    type Target = DevCluster;

    fn deref(&self) -> &DevCluster {
        &self.cluster
    }
}

/// Installs the definitions that the operator brings along.
pub(crate) async fn install(cluster: &DevCluster, operator: &Operator) -> Result<(), ManifestError> {
    for crd in operator.crds() {
        // JSON is YAML.
        let manifest = serde_json::to_string(crd).map_err(|error| ManifestError::Yaml(error.to_string()))?;
        cluster.apply_manifest(&manifest).await?;
    }
    Ok(())
}
