//! Settings as the engine reads them: a snapshot. Names and defaults are those of Kopf 1.45.2 (A-SET); what is ours says so.

use std::time::Duration;

use crate::selector::Selector;

/// All settings, by section.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The process.
    pub process: Process,
    /// Kubernetes Events.
    pub posting: Posting,
    /// Listing and watching.
    pub watching: Watching,
    /// Queues and workers.
    pub queueing: Queueing,
    /// Discovery.
    pub scanning: Scanning,
    /// Execution of handlers.
    pub execution: Execution,
    /// Requests.
    pub networking: Networking,
    /// What is kept in the objects.
    pub persistence: Persistence,
}

/// `settings.process`.
#[derive(Clone, Debug)]
pub struct Process {
    /// From the stop to the kill of the process; none = never.
    pub ultimate_exiting_timeout: Option<Duration>,
}

impl Default for Process {
    fn default() -> Self {
        Self { ultimate_exiting_timeout: Some(Duration::from_secs(600)) }
    }
}

/// `settings.posting`.
#[derive(Clone, Debug)]
pub struct Posting {
    /// Whether Kubernetes Events are posted at all.
    pub enabled: bool,
    /// Whether log messages about objects are posted.
    pub loggers: bool,
    /// The least level (Python's numbers: 20 = INFO) that is posted.
    pub level: u8,
    /// Whether the progress of handling is posted (ours, DEC-12).
    pub progress: bool,
    /// Pauses between the attempts to post explicit Events.
    pub default_backoffs: Vec<Duration>,
    /// Pauses between the attempts to post log messages.
    pub logging_backoffs: Vec<Duration>,
    /// `reportingComponent` and `source.component`.
    pub reporting_component: String,
    /// `reportingInstance`.
    pub reporting_instance: String,
    /// `metadata.generateName`.
    pub event_name_prefix: String,
}

impl Default for Posting {
    fn default() -> Self {
        Self {
            enabled: true,
            loggers: false,
            level: 20,
            progress: true,
            default_backoffs: seconds([1, 1, 2, 3, 5, 8, 13, 21]),
            logging_backoffs: seconds([1, 1, 2, 3, 5]),
            reporting_component: "kopf".into(),
            reporting_instance: "dev".into(),
            event_name_prefix: "kopf-event-".into(),
        }
    }
}

/// `settings.watching`.
#[derive(Clone, Debug)]
pub struct Watching {
    /// `timeoutSeconds` of watch requests.
    pub server_timeout: Option<f64>,
    /// The time of one watch request.
    pub client_timeout: Option<Duration>,
    /// The time to connect; else that of `networking`.
    pub connect_timeout: Option<Duration>,
    /// The pause between rounds of listing and watching.
    pub reconnect_backoff: Duration,
    /// A stream without a line for so long is dead; none = never.
    pub inactivity_timeout: Option<Duration>,
    /// `limit` of lists; none = all at once.
    pub chunk_size: Option<u64>,
    /// Whether the initial list is streamed by the watch.
    pub initial_streaming: bool,
    /// Label selectors that the server applies, by resource: all that match, joined.
    pub label_selectors: Vec<(Selector, String)>,
    /// Field selectors, in the same way.
    pub field_selectors: Vec<(Selector, String)>,
    /// Shard selectors: the first that matches.
    pub shard_selectors: Vec<(Selector, String)>,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            server_timeout: None,
            client_timeout: None,
            connect_timeout: None,
            reconnect_backoff: Duration::from_millis(100),
            inactivity_timeout: Some(Duration::from_secs(70)),
            chunk_size: None,
            initial_streaming: false,
            label_selectors: Vec::new(),
            field_selectors: Vec::new(),
            shard_selectors: Vec::new(),
        }
    }
}

/// `settings.queueing`.
#[derive(Clone, Debug)]
pub struct Queueing {
    /// The number of objects of one stream that are processed at the same time; none = all.
    pub worker_limit: Option<usize>,
    /// A worker without events exits after it.
    pub idle_timeout: Duration,
    /// What runs at a stop has so long to finish.
    pub exit_timeout: Duration,
    /// The pauses of an object after unexpected errors; the last repeats; empty = none.
    pub error_delays: Vec<Duration>,
}

impl Default for Queueing {
    fn default() -> Self {
        Self {
            worker_limit: None,
            idle_timeout: Duration::from_secs(5),
            exit_timeout: Duration::from_secs(2),
            error_delays: seconds([1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610]),
        }
    }
}

/// `settings.scanning`.
#[derive(Clone, Debug, Default)]
pub struct Scanning {
    /// One scan at the start, and no watching of CRDs and namespaces.
    pub disabled: bool,
}

/// `settings.execution`.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The delay after an arbitrary error of a handler without `backoff=`.
    pub default_backoff: Duration,
    /// The number of threads for sync handlers; none = the door's default.
    pub max_workers: Option<usize>,
}

impl Default for Execution {
    fn default() -> Self {
        Self { default_backoff: Duration::from_secs(60), max_workers: None }
    }
}

/// `settings.networking`.
#[derive(Clone, Debug)]
pub struct Networking {
    /// The time of one attempt of a request that is no watch.
    pub request_timeout: Duration,
    /// The time to connect.
    pub connect_timeout: Option<Duration>,
    /// The pauses between attempts after connection errors, 5xx, 403 and 429; empty = one attempt.
    pub error_backoffs: Vec<Duration>,
    /// Obeys `Retry-After` even if it is shorter than the pause.
    pub enforce_retry_after: bool,
    /// Takes proxies from the environment.
    pub trust_env: bool,
}

impl Default for Networking {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(300),
            connect_timeout: None,
            error_backoffs: seconds([1, 1, 2, 3, 5, 8, 13, 21]),
            enforce_retry_after: false,
            trust_env: false,
        }
    }
}

/// `settings.persistence`, but for the storages.
#[derive(Clone, Debug)]
pub struct Persistence {
    /// The finalizer.
    pub finalizer: String,
    /// How long an own write is waited for in the stream; zero = not at all.
    pub consistency_timeout: Duration,
}

impl Default for Persistence {
    fn default() -> Self {
        Self {
            finalizer: "kopf.zalando.org/KopfFinalizerMarker".into(),
            consistency_timeout: Duration::from_secs(5),
        }
    }
}

fn seconds<const N: usize>(all: [u64; N]) -> Vec<Duration> {
    all.into_iter().map(Duration::from_secs).collect()
}
