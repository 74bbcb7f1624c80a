//! The credentials in use: handed to requests, taken away when they are refused or expire (W-AUT-003..007).
//!
//! Logging in is not done here: [`Vault::wanted`] tells when it is due, [`Vault::populate`] takes what came out.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{ConnectionInfo, LoginError, transport::Connector};

/// Refused credentials of one login that are remembered, so that they are not taken again.
const REMEMBERED: usize = 3;
/// Watches that share an HTTP/2 connection: servers allow 100 streams or more, and what exceeds their limit would wait for
/// a watch to end.
const STREAMS_PER_CLIENT: usize = 64;

/// Credentials with the clients that use them.
pub(crate) struct Session {
    id: u64,
    key: String,
    info: Option<ConnectionInfo>,
    /// For requests that end soon.
    pub(crate) client: kube::Client,
    /// What requests have to say of us, unless the client does.
    pub(crate) user_agent: Option<HeaderValue>,
    connector: Option<Connector>,
    streams: Mutex<Vec<(kube::Client, Arc<()>)>>,
}

/// A client for one stream, which counts for as long as it is held.
pub(crate) struct StreamClient {
    pub(crate) client: kube::Client,
    _slot: Arc<()>,
}

#[derive(Debug)]
pub(crate) struct Vault {
    state: Mutex<State>,
    /// Told whenever the state changes.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    sessions: Vec<Arc<Session>>,
    refused: HashMap<String, VecDeque<ConnectionInfo>>,
    next_id: u64,
    /// Why there will be no more credentials.
    failed: Option<LoginError>,
}

impl Vault {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Credentials to ask with: of the highest priority, one by chance. Waits while a login is going on (W-API-011).
    pub(crate) async fn session(&self, now: Timestamp) -> Result<Arc<Session>, LoginError> {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = self.pick(now) {
                return found;
            }
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }

    fn pick(&self, now: Timestamp) -> Option<Result<Arc<Session>, LoginError>> {
        let mut state = self.lock();
        let before = state.sessions.len();
        state.sessions.retain(|session| !session.is_expired(now));
        if state.sessions.len() != before && state.sessions.is_empty() {
            self.changed.send_replace(());
        }
        if let Some(error) = state.failed.clone().filter(|_| state.sessions.is_empty()) {
            return Some(Err(error));
        }
        let highest = state.sessions.iter().map(|session| session.priority()).max()?;
        let best: Vec<_> = state.sessions.iter().filter(|session| session.priority() == highest).collect();
        Some(Ok(best[rand::random_range(0..best.len())].clone()))
    }

    /// Takes refused credentials away; asking again for the same session is harmless.
    pub(crate) fn invalidate(&self, session: &Session) {
        let mut state = self.lock();
        let before = state.sessions.len();
        state.sessions.retain(|known| known.id != session.id);
        if state.sessions.len() == before {
            return;
        }
        if let Some(info) = session.info.clone() {
            let refused = state.refused.entry(session.key.clone()).or_default();
            refused.push_back(info);
            if refused.len() > REMEMBERED {
                refused.pop_front();
            }
        }
        self.changed.send_replace(());
    }

    /// Waits until a login is due.
    pub(crate) async fn wanted(&self) {
        let mut changed = self.changed.subscribe();
        while !self.lock().sessions.is_empty() {
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }

    /// Whether credentials were refused already.
    pub(crate) fn is_refused(&self, key: &str, info: &ConnectionInfo) -> bool {
        self.lock().refused.get(key).is_some_and(|all| all.contains(info))
    }

    /// Takes the results of a login. None: there is no way to log in, and whoever waits fails.
    pub(crate) fn populate(&self, results: Vec<(String, Option<ConnectionInfo>, Clients)>) {
        let mut state = self.lock();
        if results.is_empty() && state.sessions.is_empty() {
            state.failed = Some(LoginError::NoCredentials);
        }
        for (key, info, clients) in results {
            state.next_id += 1;
            let id = state.next_id;
            let session = Session {
                id,
                key,
                info,
                client: clients.short,
                user_agent: clients.user_agent,
                connector: clients.connector,
                streams: Mutex::default(),
            };
            state.sessions.push(Arc::new(session));
        }
        self.changed.send_replace(());
    }

    /// Makes whoever waits for credentials fail.
    pub(crate) fn fail(&self, error: LoginError) {
        self.lock().failed = Some(error);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clients of one login.
pub(crate) struct Clients {
    short: kube::Client,
    user_agent: Option<HeaderValue>,
    connector: Option<Connector>,
}

impl Clients {
    /// Of a connection. `connect_timeout` is that of short requests.
    pub(crate) fn new(connector: Connector, connect_timeout: Option<Duration>) -> Self {
        Self { short: connector(connect_timeout), user_agent: None, connector: Some(connector) }
    }

    /// The client of short requests.
    pub(crate) fn short(&self) -> kube::Client {
        self.short.clone()
    }

    /// One client for everything, which is somebody else's.
    pub(crate) fn single(client: kube::Client, user_agent: &str) -> Self {
        Self { short: client, user_agent: user_agent.parse().ok(), connector: None }
    }
}

impl Session {
    /// A client for a stream that may last.
    pub(crate) fn stream_client(&self, connect_timeout: Option<Duration>) -> StreamClient {
        let Some(connector) = &self.connector else {
            return StreamClient { client: self.client.clone(), _slot: Arc::default() };
        };
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let free = streams.iter().find(|(_, slots)| Arc::strong_count(slots) <= STREAMS_PER_CLIENT);
        let (client, slot) = match free {
            Some((client, slots)) => (client.clone(), slots.clone()),
            None => {
                let made = (connector(connect_timeout), Arc::default());
                streams.push(made.clone());
                made
            }
        };
        StreamClient { client, _slot: slot }
    }

    /// For Kubernetes Events about cluster-scoped objects (W-AUT-022).
    pub(crate) fn default_namespace(&self) -> Option<&str> {
        self.info.as_ref()?.default_namespace.as_deref()
    }

    /// Where the requests go, without a slash at the end; empty if the client knows that alone.
    pub(crate) fn server(&self) -> &str {
        self.info.as_ref().map_or("", |info| info.server.trim_end_matches('/'))
    }

    fn priority(&self) -> i64 {
        self.info.as_ref().map_or(0, |info| info.priority)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.info.as_ref().and_then(|info| info.expiration).is_some_and(|expiration| expiration <= now)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("key", &self.key).field("info", &self.info).finish_non_exhaustive()
    }
}
