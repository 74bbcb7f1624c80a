//! The dev cluster for Python: an API server on threads of its own, behind an HTTP listener.

use std::sync::Mutex;

use kopf_devcluster::{DevCluster as Cluster, ListenOptions, Listener};
use pyo3::{
    exceptions::{PyKeyError, PyOSError, PyRuntimeError, PyValueError},
    prelude::*,
};
use serde_json::Value;

use crate::{guard::guarded, locked, logs, runtime::Runtime};

/// A dev cluster. All methods may block, detached from the interpreter.
#[pyclass(frozen, module = "kopf._native")]
pub(crate) struct DevCluster {
    options: ListenOptions,
    control: bool,
    rbac: bool,
    seed: Option<u64>,
    deterministic: Option<u64>,
    running: Mutex<Option<Running>>,
}

struct Running {
    // In this order they are dropped: the listener closes while there are threads to do it.
    listener: Listener,
    cluster: Cluster,
    runtime: Runtime,
}

#[pymethods]
impl DevCluster {
    #[new]
    #[pyo3(signature = (*, host = "127.0.0.1", port = 0, tls = false, control = false, rbac = false, seed = None, deterministic = None))]
    fn new(
        host: &str,
        port: u16,
        tls: bool,
        control: bool,
        rbac: bool,
        seed: Option<u64>,
        deterministic: Option<u64>,
    ) -> PyResult<Self> {
        let address = host.parse();
        let address =
            address.map_err(|_| PyValueError::new_err(format!("host={host:?} is no IP address")))?;
        Ok(Self {
            options: ListenOptions { address, tls, ..ListenOptions::on_port(port) },
            control,
            rbac,
            seed,
            deterministic,
            running: Mutex::default(),
        })
    }

    fn start(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| {
            py.detach(|| {
                let mut running = locked(&self.running);
                if running.is_some() {
                    return Err(PyRuntimeError::new_err("the dev cluster was started already"));
                }
                let runtime = match self.deterministic {
                    Some(_) => Runtime::with_threads(1)?,
                    None => Runtime::start()?,
                };
                let options = self.options.clone();
                let mut builder = Cluster::builder();
                if self.control {
                    builder = builder.control();
                }
                if self.rbac {
                    builder = builder.rbac();
                }
                if let Some(seed) = self.seed {
                    builder = builder.seed(seed);
                }
                if let Some(seed) = self.deterministic {
                    builder = builder.deterministic(seed);
                }
                let (cluster, listener) = runtime.handle()?.block_on(async move {
                    let cluster = builder.start().await.map_err(|error| failure(&error))?;
                    let listener = cluster
                        .listen(options)
                        .await
                        .map_err(|error| PyOSError::new_err(logs::chain(&error)))?;
                    Ok::<_, PyErr>((cluster, listener))
                })?;
                *running = Some(Running { listener, cluster, runtime });
                Ok(())
            })
        })
    }

    /// Ends connections and forgets everything. Does nothing if it does not run.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        guarded(|| {
            py.detach(|| {
                let Some(running) = locked(&self.running).take() else { return Ok(()) };
                let Running { listener, cluster, runtime } = running;
                runtime.handle()?.block_on(listener.shutdown());
                drop(cluster);
                runtime.shut_down();
                Ok(())
            })
        })
    }

    #[getter]
    fn url(&self) -> PyResult<String> {
        self.with(|running| Ok(running.listener.url()))
    }

    #[getter]
    fn kubeconfig(&self) -> PyResult<String> {
        self.with(|running| Ok(running.listener.kubeconfig()))
    }

    /// What a request to the control endpoint does, whether it is served or not: JSON in, JSON out.
    #[pyo3(signature = (method, path, body, /))]
    fn control(&self, py: Python<'_>, method: &str, path: &str, body: &str) -> PyResult<String> {
        guarded(|| {
            py.detach(|| {
                let method = method.parse().map_err(|_| PyValueError::new_err("this is no HTTP method"))?;
                let body =
                    serde_json::from_str(body).map_err(|error| PyValueError::new_err(error.to_string()))?;
                self.with(|running| {
                    let answer = running.cluster.control(&method, path, &body);
                    let answer = running.runtime.handle()?.block_on(answer);
                    answer.map(|value| value.to_string()).map_err(|error| match error.code() {
                        404 => PyKeyError::new_err(error.to_string()),
                        _ => PyValueError::new_err(error.to_string()),
                    })
                })
            })
        })
    }

    /// Creates or replaces the objects of YAML documents; a line for each.
    #[pyo3(signature = (manifests, /))]
    fn apply(&self, py: Python<'_>, manifests: &str) -> PyResult<Vec<String>> {
        guarded(|| {
            py.detach(|| {
                self.with(|running| {
                    let applied =
                        running.runtime.handle()?.block_on(running.cluster.apply_manifest(manifests));
                    let applied = applied.map_err(|error| PyValueError::new_err(logs::chain(&error)))?;
                    Ok(applied.iter().map(told).collect())
                })
            })
        })
    }
}

impl DevCluster {
    fn with<T>(&self, body: impl FnOnce(&Running) -> PyResult<T>) -> PyResult<T> {
        match &*locked(&self.running) {
            Some(running) => {
                running.runtime.check_process()?;
                body(running)
            }
            None => Err(PyRuntimeError::new_err("the dev cluster does not run")),
        }
    }
}

/// What was done with an object, as `kubectl apply` tells.
fn told(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    let api_version = text(&object["apiVersion"]);
    let group = api_version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    let is_new = object["metadata"]["generation"].as_u64().unwrap_or(1) <= 1;
    let done = if is_new { "created" } else { "configured" };
    format!("{kind}{group}/{} {done}", text(&object["metadata"]["name"]))
}

fn failure(error: &dyn std::error::Error) -> PyErr {
    PyRuntimeError::new_err(logs::chain(error))
}
