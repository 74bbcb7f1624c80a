//! What all requests and controllers of one cluster share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::access;
use crate::admission;
use crate::clock::Clock;
use crate::controllers::Pending;
use crate::faults;
use crate::listener::Listeners;
use crate::random::Random;
use crate::requests;
use crate::store::{Key, Object, Retention, Store};
use crate::types::Registry;

/// How a cluster behaves; set by [`crate::Builder`].
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `gitVersion` in the beginning, such as `v1.37.2`.
    pub(crate) version: String,
    pub(crate) bookmark_period: Duration,
    /// The end of watches that name none; times a random factor between 1 and 2.
    pub(crate) watch_timeout: Duration,
    /// How many changes a watcher may be behind before its stream is ended.
    pub(crate) watch_buffer: usize,
    pub(crate) retention: Retention,
    /// How long after its creation a definition is served.
    pub(crate) establishing_delay: Duration,
    /// Whether new namespaces get a service account and a root certificate.
    pub(crate) namespace_contents: bool,
    pub(crate) garbage_collection: bool,
    /// How long Events of core/v1 and events.k8s.io/v1 are kept.
    pub(crate) event_ttl: Duration,
    /// Whether a list may be asked for as a watch.
    pub(crate) streaming_lists: bool,
    /// How many requests are remembered.
    pub(crate) recorded_requests: usize,
    /// Whether users are told apart, and need roles.
    pub(crate) rbac: bool,
    /// Whether there is a control endpoint.
    pub(crate) control: bool,
}

/// The state of a cluster, shared by its services and tasks.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Apart, so that reads do not change which uids are given.
    pub(crate) audit_ids: Random,
    pub(crate) options: Options,
    pub(crate) faults: faults::State,
    /// Ends watches and tasks when the cluster goes.
    pub(crate) stop: CancellationToken,
    /// Wakes the controllers.
    pub(crate) work: Notify,
    /// What the controllers have to look at.
    pub(crate) pending: Pending,
    /// Tokens of service accounts.
    pub(crate) tokens: access::Tokens,
    /// Where Services of webhooks are.
    pub(crate) services: admission::Services,
    /// What has been asked.
    pub(crate) requests: requests::Log,
    /// The doors to the network.
    pub(crate) listeners: Listeners,
    /// Wakes requests in process that wait when the server restarts.
    pub(crate) restarted: Notify,
    /// `gitVersion`, such as `v1.37.2`.
    version: RwLock<String>,
    registry: RwLock<Arc<Registry>>,
}

impl Shared {
    pub(crate) fn new(options: Options, registry: Registry, clock: Clock, seed: Option<u64>) -> Self {
        Self {
            store: Store::new(options.retention, clock.clone()),
            clock,
            random: Random::new(seed),
            audit_ids: Random::derived(seed, u64::MAX),
            faults: faults::State::new(seed),
            stop: CancellationToken::new(),
            work: Notify::new(),
            pending: Pending::default(),
            tokens: access::Tokens::default(),
            services: admission::Services::default(),
            requests: requests::Log::new(options.recorded_requests),
            listeners: Listeners::default(),
            restarted: Notify::new(),
            version: RwLock::new(options.version.clone()),
            options,
            registry: RwLock::new(Arc::new(registry)),
        }
    }

    /// The version that is claimed.
    pub(crate) fn version(&self) -> String {
        self.version.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_version(&self, version: String) {
        *self.version.write().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// What is served at this moment.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces what is served.
    pub(crate) fn change_registry(&self, change: impl FnOnce(&Registry) -> Registry) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&registry);
        *registry = Arc::new(changed);
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<Object>> {
        self.store.get("namespaces", &Key::new("", name))
    }
}
