//! A cluster as its user holds it: built, reached in process or over HTTP, filled, and dropped.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::access;
use crate::clock::Clock;
use crate::control;
use crate::controllers;
use crate::faults::Faults;
use crate::listener::{ListenError, ListenOptions, Listener};
use crate::requests::RequestRecord;
use crate::server::Shared;
use crate::server::path::{self, Path};
use crate::server::request::Door;
use crate::server::service::DevService;
use crate::server::shared::Options;
use crate::status::ApiError;
use crate::store::Retention;
use crate::types::table::BUILT_INS;
use crate::types::{BuiltIn, Registry, builtin};

/// The version that is claimed if none is said: that of the type data.
const VERSION: &str = "v1.37.2";
/// When the time of deterministic clusters begins: 2026-01-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// How many requests are remembered for the control endpoint.
const CONTROL_REQUESTS: usize = 10_000;
/// The field manager of objects that come from manifests.
const MANIFEST_MANAGER: &str = "kopf-dev";

/// A Kubernetes API server in this process. Dropping it ends its tasks, watches and listeners.
#[derive(Debug)]
pub struct DevCluster {
    shared: Arc<Shared>,
    faults: Faults,
    controllers: JoinHandle<()>,
}

/// What a cluster shall be like.
#[derive(Debug)]
pub struct Builder {
    options: Options,
    clock: Option<Clock>,
    seed: Option<u64>,
    rows: Vec<BuiltIn>,
    plain: Vec<PlainResource>,
}

/// A resource without a schema and without subresources (D-062).
#[derive(Clone, Debug)]
pub struct PlainResource {
    /// Empty for the core group.
    pub group: String,
    /// Such as `v1`.
    pub version: String,
    /// Such as `widgets`.
    pub plural: String,
    /// Such as `Widget`.
    pub kind: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let retention = Retention { changes: 100_000, age: Duration::from_secs(300) };
        let options = Options {
            version: VERSION.to_owned(),
            bookmark_period: Duration::from_secs(60),
            watch_timeout: Duration::from_secs(1800),
            watch_buffer: retention.changes,
            retention,
            establishing_delay: Duration::ZERO,
            namespace_contents: true,
            garbage_collection: true,
            event_ttl: Duration::from_secs(3600),
            streaming_lists: true,
            recorded_requests: 0,
            rbac: false,
            control: false,
        };
        Self { options, clock: None, seed: None, rows: BUILT_INS.to_vec(), plain: Vec::new() }
    }
}

impl Builder {
    /// The server's time; by default the present, running with Tokio's clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The Kubernetes version that is claimed, such as `v1.37.2`.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.options.version);
        self
    }

    /// Makes uids, generated names, and faults with a probability repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Nothing is left to chance and to real time: [`Builder::seed`], and a clock that stands at the beginning of 2026
    /// until the test moves it (D-229). Used in process on a runtime with one thread, the same requests have the same
    /// answers and events, byte by byte.
    #[must_use]
    pub fn deterministic(self, seed: u64) -> Self {
        self.seed(seed).clock(Clock::frozen_at(BEGINNING))
    }

    /// How often watches that ask for bookmarks get one; by default each minute.
    #[must_use]
    pub fn bookmark_period(mut self, period: Duration) -> Self {
        self.options.bookmark_period = period;
        self
    }

    /// When watches end that do not say it; by default after 30 to 60 minutes. A random factor between 1 and 2 is
    /// applied.
    #[must_use]
    pub fn watch_timeout(mut self, timeout: Duration) -> Self {
        self.options.watch_timeout = timeout;
        self
    }

    /// How many changes a reader of a watch may be behind before its stream is ended; by default 100,000.
    #[must_use]
    pub fn watch_buffer(mut self, changes: usize) -> Self {
        self.options.watch_buffer = changes;
        self
    }

    /// How many changes of each resource are kept for watches to go on from, and for how long; by default 100,000 and
    /// 5 minutes.
    #[must_use]
    pub fn history(mut self, changes: usize, age: Duration) -> Self {
        self.options.retention = Retention { changes, age };
        self
    }

    /// How long after its creation a custom resource is not served yet; by default not at all.
    #[must_use]
    pub fn establishing_delay(mut self, delay: Duration) -> Self {
        self.options.establishing_delay = delay;
        self
    }

    /// New namespaces stay empty, without a service account and a root certificate.
    #[must_use]
    pub fn without_namespace_contents(mut self) -> Self {
        self.options.namespace_contents = false;
        self
    }

    /// Owner references have no effect.
    #[must_use]
    pub fn without_garbage_collection(mut self) -> Self {
        self.options.garbage_collection = false;
        self
    }

    /// How long Events are kept after their last change; by default an hour.
    #[must_use]
    pub fn event_ttl(mut self, time: Duration) -> Self {
        self.options.event_ttl = time;
        self
    }

    /// Watches that ask for the initial objects are refused.
    #[must_use]
    pub fn without_streaming_lists(mut self) -> Self {
        self.options.streaming_lists = false;
        self
    }

    /// Remembers the newest requests, for [`DevCluster::take_requests`]; by default none.
    #[must_use]
    pub fn record_requests(mut self, capacity: usize) -> Self {
        self.options.recorded_requests = capacity;
        self
    }

    /// Tells users apart and asks for roles: requests need a bearer token, [`DevCluster::admin_token`] or one of a
    /// service account; others are `system:anonymous`. By default everyone is an administrator.
    #[must_use]
    pub fn rbac(mut self) -> Self {
        self.options.rbac = true;
        self
    }

    /// Serves the control endpoint `/_dev/…` as well, by which clients put faults into the cluster, move its clock and
    /// see what was asked; remembers the newest 10,000 requests if [`Builder::record_requests`] does not say more. Whoever
    /// may write to the cluster may use it; with [`Builder::rbac`] administrators only.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.options.control = true;
        self.options.recorded_requests = self.options.recorded_requests.max(CONTROL_REQUESTS);
        self
    }

    /// Serves one more resource, as if it were built in: its objects are stored as they are sent.
    #[must_use]
    pub fn with_resource(mut self, resource: PlainResource) -> Self {
        self.plain.push(resource);
        self
    }

    /// Does not serve a group (`""` for core), as an older or smaller server would not (D-062).
    #[must_use]
    pub fn without_group(mut self, group: &str) -> Self {
        self.rows.retain(|row| row.group != group);
        self
    }

    /// Does not serve a built-in resource.
    #[must_use]
    pub fn without_resource(mut self, group: &str, plural: &str) -> Self {
        self.rows.retain(|row| row.group != group || row.plural != plural);
        self
    }

    /// Starts the cluster.
    ///
    /// # Errors
    ///
    /// None so far; what may fail later must not break callers.
    #[expect(clippy::unused_async, reason = "tasks are spawned, which needs a runtime")]
    pub async fn start(self) -> Result<DevCluster, StartError> {
        let plain = self.plain.into_iter().map(builtin::plain);
        let registry = Registry::new(builtin::resources(&self.rows).into_iter().chain(plain).collect());
        let clock = self.clock.unwrap_or_else(Clock::system);
        let shared = Arc::new(Shared::new(self.options, registry, clock, self.seed));
        controllers::namespaces::create_initial(&shared);
        if shared.options.rbac {
            access::defaults::create_all(&shared);
        }
        let controllers = tokio::spawn(controllers::run(Arc::clone(&shared)));
        Ok(DevCluster { faults: Faults::new(Arc::clone(&shared)), shared, controllers })
    }
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {}

/// Why manifests were not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The text is no YAML.
    #[error("the manifest is no valid YAML: {0}")]
    Yaml(String),
    /// The file cannot be read.
    #[error("the manifest {path} cannot be read")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A document has no kind that is served.
    #[error(
        "document {index} of the manifest: no resource is served for apiVersion {api_version:?}, kind {kind:?}"
    )]
    UnknownKind {
        /// The number of the document, from 0.
        index: usize,
        /// What it says.
        api_version: String,
        /// What it says.
        kind: String,
    },
    /// The server refused a document.
    #[error("document {index} of the manifest ({kind} {name:?}) was refused")]
    Refused {
        /// The number of the document, from 0.
        index: usize,
        /// What it is.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: ApiError,
    },
}

impl DevCluster {
    /// A cluster with default options.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// Options for a cluster.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The in-process door: a service that clients can be built on, with no socket between.
    #[must_use]
    pub fn service(&self) -> DevService {
        let door = Door { closing: self.shared.stop.clone(), connection: None };
        DevService::new(Arc::clone(&self.shared), door)
    }

    /// Serves HTTP as well, until the listener or the cluster is dropped.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, or no certificate could be made.
    pub async fn listen(&self, options: ListenOptions) -> Result<Listener, ListenError> {
        Listener::start(&self.shared, options).await
    }

    /// Faults on demand.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The bearer token of the administrator, as kubeconfigs have it; it only matters with [`Builder::rbac`].
    #[must_use]
    pub fn admin_token(&self) -> &'static str {
        access::ADMIN_TOKEN
    }

    /// Says where a Service is that admission webhooks name: there is no network inside the cluster.
    pub fn route_service(&self, namespace: &str, name: &str, port: u16, address: SocketAddr) {
        self.shared.services.set(namespace, name, port, address);
    }

    /// The requests since the last call, oldest first, if [`Builder::record_requests`] asked for them.
    pub fn take_requests(&self) -> Vec<RequestRecord> {
        self.shared.requests.take()
    }

    /// Waits until the object at a path is as `is_ready` wants it, or is gone if it wants `None`; gives the object.
    /// Watches instead of asking again and again. Waits for ever if need be: callers set a timeout. Cancel safe.
    ///
    /// # Errors
    ///
    /// The path is none of an object.
    pub async fn wait_for(
        &self,
        path: &str,
        is_ready: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Option<Value>, ApiError> {
        let Path::Object(place) = path::parse(path) else { return Err(ApiError::no_such_path()) };
        loop {
            // Before the look at the object, so that no change after it is missed.
            let served = self.shared.registry().find(&place.group, &place.version, &place.plural);
            let store =
                served.map(|served| Arc::clone(&served.resource.store)).ok_or_else(ApiError::no_such_path)?;
            let mut changed = self.shared.store.subscribe(&store);
            let object = match self.get(path).await {
                Ok(object) => Some(object),
                Err(error) if error.code() == 404 => None,
                Err(error) => return Err(error),
            };
            if is_ready(object.as_ref()) {
                return Ok(object);
            }
            if changed.changed().await.is_err() {
                return Err(ApiError::no_such_path());
            }
        }
    }

    /// What a request to the control endpoint does, whether it is served or not: `path` is what follows `/_dev/`, such
    /// as `faults`, and `body` may be null.
    ///
    /// # Errors
    ///
    /// Something in the body is unknown or out of range: the message names the field and what was expected.
    pub async fn control(&self, method: &Method, path: &str, body: &Value) -> Result<Value, ApiError> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        control::handle(&self.shared, method, path, body.as_bytes()).await.map(|(_, value)| value)
    }

    /// The server's time, to be frozen and moved (D-230).
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The object at a path such as `/api/v1/namespaces/default/configmaps/a`.
    ///
    /// # Errors
    ///
    /// What the server answers, for example that the object is not there.
    pub async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.request(Method::GET, path, None).await
    }

    /// The items of the list at a path such as `/api/v1/pods?labelSelector=a`.
    ///
    /// # Errors
    ///
    /// What the server answers.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>, ApiError> {
        let list = self.request(Method::GET, path, None).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Creates an object in a collection such as `/api/v1/namespaces/default/configmaps`.
    ///
    /// # Errors
    ///
    /// What the server answers.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.request(Method::POST, path, Some(("application/json", object))).await
    }

    /// Replaces the object at a path.
    ///
    /// # Errors
    ///
    /// What the server answers.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value, ApiError> {
        self.request(Method::PUT, path, Some(("application/json", object))).await
    }

    /// Merges a patch into the object at a path, which may end in `/status`.
    ///
    /// # Errors
    ///
    /// What the server answers.
    pub async fn merge(&self, path: &str, patch: &Value) -> Result<Value, ApiError> {
        self.request(Method::PATCH, path, Some(("application/merge-patch+json", patch))).await
    }

    /// Deletes the object at a path.
    ///
    /// # Errors
    ///
    /// What the server answers.
    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.request(Method::DELETE, path, None).await
    }

    /// Any request with a JSON answer.
    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, ApiError> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", access::ADMIN_TOKEN))
            .header(header::USER_AGENT, concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
        if let Some((content_type, _)) = body {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = body.map(|(_, value)| value.to_string()).unwrap_or_default();
        let request = request
            .body(Full::new(bytes::Bytes::from(body)))
            .map_err(|error| ApiError::bad_request(format!("{path} is no path: {error}")))?;
        let response = self.service().answer(request).await;
        let response = response.map_err(|error| ApiError::internal(&error.to_string()))?;
        let status = response.status();
        let body =
            response.into_body().collect().await.map_err(|error| ApiError::internal(&error.to_string()))?;
        let body = body.to_bytes();
        if status.is_success() {
            serde_json::from_slice(&body).map_err(|error| ApiError::internal(&error.to_string()))
        } else {
            Err(ApiError::from_answer(status.as_u16(), &body))
        }
    }

    /// Creates the objects of a YAML text, or replaces them where they are; gives them as stored. Namespaced objects
    /// without a namespace go to `default`. A status in a document is kept.
    ///
    /// # Errors
    ///
    /// The text is no YAML, or a document is of an unknown kind or refused. The documents before it are applied.
    pub async fn apply_manifest(&self, yaml: &str) -> Result<Vec<Value>, ManifestError> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(yaml).map_err(|error| ManifestError::Yaml(error.to_string()))?;
        let documents = documents.into_iter().filter(|document| !document.is_null()).flat_map(items);
        let mut applied = Vec::new();
        for (index, document) in documents.enumerate() {
            applied.push(self.apply_document(index, document).await?);
        }
        Ok(applied)
    }

    /// As [`DevCluster::apply_manifest`], from a file.
    ///
    /// # Errors
    ///
    /// As there, or the file cannot be read.
    pub async fn apply_manifest_file(&self, path: &FilePath) -> Result<Vec<Value>, ManifestError> {
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|source| ManifestError::File { path: path.display().to_string(), source })?;
        self.apply_manifest(&text).await
    }

    async fn apply_document(&self, index: usize, mut document: Value) -> Result<Value, ManifestError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&document["apiVersion"]), text(&document["kind"]));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let Some(served) = self.shared.registry().find_kind(group, version, &kind) else {
            return Err(ManifestError::UnknownKind { index, api_version, kind });
        };
        let name = text(&document["metadata"]["name"]);
        let namespace = text(&document["metadata"]["namespace"]);
        let namespace = if namespace.is_empty() { "default" } else { &namespace };
        let prefix = if group.is_empty() { "/api" } else { "/apis" };
        let scope =
            if served.resource.namespaced { format!("/namespaces/{namespace}") } else { String::new() };
        let collection = format!("{prefix}/{api_version}{scope}/{}", served.resource.plural);
        let query = format!("?fieldManager={MANIFEST_MANAGER}");
        let status = document.get("status").cloned().filter(|_| served.version().has_status());
        let path = format!("{collection}/{name}");
        let applied = match self.create(&format!("{collection}{query}"), &document).await {
            Err(error) if error.reason() == "AlreadyExists" => {
                let current = self.get(&path).await;
                match current {
                    Ok(current) => {
                        document["metadata"]["resourceVersion"] =
                            current["metadata"]["resourceVersion"].clone();
                        self.replace(&format!("{path}{query}"), &document).await
                    }
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        let applied = match (applied, status) {
            (Ok(_), Some(status)) => {
                self.merge(&format!("{path}/status{query}"), &serde_json::json!({"status": status})).await
            }
            (applied, _) => applied,
        };
        applied.map_err(|source| ManifestError::Refused { index, kind, name, source })
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.controllers.abort();
    }
}

/// The items of a `List`, or the document itself.
fn items(document: Value) -> Vec<Value> {
    match document["items"].as_array() {
        Some(items) if document["kind"] == "List" => items.clone(),
        _ => vec![document],
    }
}
