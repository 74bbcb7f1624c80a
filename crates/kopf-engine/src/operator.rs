//! An operator: what is declared, where its cluster is, how it runs.

use std::sync::Arc;

use kopf_core::lifecycle::{self, Lifecycle};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    client::Connection,
    clock::Clock,
    door::Door,
    error::RunError,
    namespaces::Scope,
    posting::{ExplicitEvent, PostError, Poster, Posting},
    registry::Registry,
    shared::{SettingsHandle, Shared, Storages, StoragesHandle},
};

/// An operator before it runs.
#[derive(Debug)]
pub struct Operator {
    /// What is declared.
    pub registry: Registry,
    /// What is served. Default: the whole cluster.
    pub scope: Scope,
    /// Where the cluster is.
    pub connection: Connection,
    /// What the cluster's log shows of us: `kopf/1.45.2` (W-API-002). Default: the engine's own name and version.
    pub user_agent: String,
    pub(crate) door: Arc<dyn Door>,
    pub(crate) clock: Clock,
    pub(crate) handle: OperatorHandle,
    pub(crate) posts: mpsc::Receiver<Posting>,
}

/// What may be done with an operator from outside, from any thread, before and while it runs. Cloning shares it.
#[derive(Clone, Debug)]
pub struct OperatorHandle {
    settings: SettingsHandle,
    storages: StoragesHandle,
    lifecycle: Shared<Arc<dyn Lifecycle>>,
    client: Shared<Option<kube::Client>>,
    poster: Poster,
}

impl Operator {
    /// An operator with nothing declared, default settings, and the cluster that [`Connection::Infer`] finds. Within a
    /// Tokio runtime: its clock starts.
    #[must_use]
    pub fn new(door: Arc<dyn Door>, storages: Storages) -> Self {
        let settings = SettingsHandle::default();
        let (poster, posts) = Poster::new(settings.clone());
        Self {
            registry: Registry::default(),
            scope: Scope::default(),
            connection: Connection::default(),
            user_agent: concat!("kopf-engine/", env!("CARGO_PKG_VERSION")).into(),
            door,
            clock: Clock::system(),
            handle: OperatorHandle {
                settings,
                storages: Shared::new(storages),
                lifecycle: Shared::new(lifecycle::asap()),
                client: Shared::new(None),
                poster,
            },
            posts,
        }
    }

    /// The handle, to be kept by the door.
    #[must_use]
    pub fn handle(&self) -> OperatorHandle {
        self.handle.clone()
    }

    /// Runs until `stop` is cancelled, or something has failed that the operator cannot do without.
    ///
    /// In order: startup activities, [`Door::ready`], login, discovery, watching; at the stop: no new events, running
    /// handlers have `queueing.exit_timeout` to finish, then they are cancelled and awaited, cleanup activities
    /// (W-PRC-004, W-PRC-010..014). Every task ends before this does.
    ///
    /// # Errors
    /// See [`RunError`]; cleanup activities have run then as well, unless startup activities have failed.
    ///
    /// # Cancel safety
    /// None: dropping the future abandons what runs; cleanup activities do not run. Cancel `stop` instead.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        crate::run::run(self, stop).await
    }
}

impl OperatorHandle {
    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &SettingsHandle {
        &self.settings
    }

    /// The storages.
    #[must_use]
    pub fn storages(&self) -> &StoragesHandle {
        &self.storages
    }

    /// The lifecycle of state-changing handlers.
    #[must_use]
    pub fn lifecycle(&self) -> &Shared<Arc<dyn Lifecycle>> {
        &self.lifecycle
    }

    /// The client of the operator, for handlers in Rust; none before the first login.
    #[must_use]
    pub fn client(&self) -> Option<kube::Client> {
        Option::clone(&self.client.load())
    }

    pub(crate) fn set_client(&self, client: kube::Client) {
        self.client.store(Some(client));
    }

    pub(crate) fn poster(&self) -> &Poster {
        &self.poster
    }

    /// Posts an Event, in the background. The gates of A-EVT-004 are the caller's, but for `posting.enabled`.
    ///
    /// # Errors
    /// If it was not taken.
    pub fn post(&self, event: ExplicitEvent) -> Result<(), PostError> {
        self.poster.explicit(event)
    }
}
