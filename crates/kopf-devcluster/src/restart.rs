//! The server goes down and comes back: the same, with a shorter memory, or as a newer one (D-228).

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::PlainResource;
use crate::crd;
use crate::faults::{Cut, Ending, Matcher};
use crate::server::Shared;
use crate::store::Ago;
use crate::tls::TlsError;
use crate::types::builtin;

/// What is different after a restart. By default nothing: all connections are reset, and the server is there again.
#[derive(Clone, Debug, Default)]
pub struct Restart {
    pub(crate) is_clean: bool,
    pub(crate) lose: Option<Ago>,
    pub(crate) forget: bool,
    pub(crate) refuse: Duration,
    pub(crate) renew: Option<Renew>,
    pub(crate) version: Option<String>,
    pub(crate) unserve: Vec<String>,
    pub(crate) serve: Vec<PlainResource>,
}

/// Which certificates are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renew {
    /// That of the server, by the same authority: clients notice nothing.
    Certificate,
    /// The authority's too: clients need a new kubeconfig.
    Authority,
}

/// Why a cluster was not restarted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// Nothing that is served has this name.
    #[error(
        "{0:?} is no group and no resource that is served: expected such as \"batch\" or \"cronjobs.batch\""
    )]
    NotServed(String),
    /// No new certificate could be made.
    #[error("cannot renew the certificate")]
    Tls(#[from] TlsError),
}

impl Restart {
    /// Connections end in order: watches with their last chunk, requests with their answers.
    #[must_use]
    pub fn clean(mut self) -> Self {
        self.is_clean = true;
        self
    }

    /// The newest changes never happened, as far as the log reaches: the server had not stored them yet. Resource versions
    /// are given again.
    #[must_use]
    pub fn lose(mut self, ago: Ago) -> Self {
        self.lose = Some(ago);
        self
    }

    /// Nothing that was before can be watched: whoever wants to go on from there is told 410.
    #[must_use]
    pub fn forget(mut self) -> Self {
        self.forget = true;
        self
    }

    /// The ports are closed so long, in real time: connections are refused.
    #[must_use]
    pub fn refuse(mut self, time: Duration) -> Self {
        self.refuse = time;
        self
    }

    /// Certificates are new.
    #[must_use]
    pub fn renew(mut self, renew: Renew) -> Self {
        self.renew = Some(renew);
        self
    }

    /// Another version of Kubernetes is claimed, such as `v1.38.0`.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// A built-in group, such as `batch`, or a resource, such as `cronjobs.batch`, is not served any more. Objects stay
    /// in the store.
    #[must_use]
    pub fn unserve(mut self, name: &str) -> Self {
        self.unserve.push(name.to_owned());
        self
    }

    /// One more resource is served, as if it were built in.
    #[must_use]
    pub fn serve(mut self, resource: PlainResource) -> Self {
        self.serve.push(resource);
        self
    }
}

/// Restarts the server of a cluster. When this returns, it is down if connections are refused for a time, else up again.
pub(crate) async fn restart(shared: &Arc<Shared>, restart: Restart) -> Result<(), RestartError> {
    let registry = shared.registry();
    for name in &restart.unserve {
        if !registry.resources().iter().any(|resource| is_named(resource, name)) {
            return Err(RestartError::NotServed(name.clone()));
        }
    }
    shared.listeners.go_down(&restart).await?;
    let cut = if restart.is_clean { Cut::Clean } else { Cut::Hard };
    shared.faults.end(&Matcher::any(), Ending::Cut(cut));
    shared.restarted.notify_waiters();
    if let Some(ago) = restart.lose {
        shared.store.take_back(ago);
    }
    if restart.forget {
        shared.store.compact(u64::MAX);
    }
    if let Some(version) = restart.version {
        shared.set_version(version);
    }
    if !restart.unserve.is_empty() || !restart.serve.is_empty() {
        let added: Vec<_> = restart.serve.into_iter().map(builtin::plain).collect();
        shared.change_registry(|before| {
            let gone = |resource: &_| restart.unserve.iter().any(|name| is_named(resource, name));
            before.with_built_ins(|resource| !gone(resource), added)
        });
    }
    // Definitions may be gone, or be there again.
    crd::controller::serve(shared);
    shared.work.notify_one();
    Ok(())
}

fn is_named(resource: &crate::types::Resource, name: &str) -> bool {
    resource.custom.is_none() && (resource.group == name || resource.qualified() == name)
}
