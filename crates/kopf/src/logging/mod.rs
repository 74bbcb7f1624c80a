//! Logging by `tracing`: the engine's lines, with the object that they are about, and a format like Kopf's for the terminal.
//!
//! The engine's lines are ordinary `tracing` events, and every call of a handler is in a span with the object's fields, so
//! any other subscriber works as well.

use std::io::stderr;

use kopf_core::{
    error::ErrorInfo,
    log::{Level, Log},
    object::Object,
};
use kopf_engine::door::Record;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

mod format;
mod objects;

pub use format::LogFormat;

/// The target of lines about objects (A-LOG-007).
pub(crate) const OBJECTS: &str = "kopf.objects";

/// How to log. The default is Kopf's: lines of level INFO and above, in full, with the object in front.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Which lines.
    pub verbosity: Verbosity,
    /// In which form.
    pub format: LogFormat,
    /// Whether lines about objects begin with `[namespace/name]`; by default, unless they are JSON (A-LOG-004).
    pub prefix: Option<bool>,
    /// The key of the object in JSON lines; `object` by default (A-LOG-005).
    pub refkey: Option<String>,
}

/// Which lines are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// WARNING and above.
    Quiet,
    /// INFO and above.
    #[default]
    Normal,
    /// DEBUG and above, of the operator and the engine.
    Verbose,
    /// DEBUG and above, of the HTTP libraries and the dev cluster too.
    Debug,
}

/// Logs to the standard error. Does nothing if the process has a `tracing` subscriber already.
///
/// `RUST_LOG`, if set, says which lines, in the syntax of `tracing_subscriber::EnvFilter`.
pub fn init(options: &LogOptions) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(options.directives()));
    let lines = tracing_subscriber::fmt::layer()
        .event_format(format::Lines::new(options))
        .fmt_fields(format::NoFields)
        .with_writer(stderr);
    // Somebody else's subscriber is there: the embedding application knows better.
    let _ = tracing_subscriber::registry().with(filter).with(objects::ObjectLayer).with(lines).try_init();
}

impl LogOptions {
    fn directives(&self) -> &'static str {
        match self.verbosity {
            Verbosity::Quiet => "warn",
            Verbosity::Normal => "info",
            Verbosity::Verbose => {
                "debug,h2=info,hyper=info,hyper_util=info,kopf_devcluster=info,kube=info,rustls=info,tower=info"
            }
            Verbosity::Debug => "debug",
        }
    }

    fn has_prefix(&self) -> bool {
        self.prefix.unwrap_or(self.format != LogFormat::Json)
    }
}

/// An event of a level that is known only now: callsites are static.
macro_rules! event {
    ($level:expr, $($rest:tt)*) => {
        match $level {
            Level::Debug => tracing::debug!($($rest)*),
            Level::Info => tracing::info!($($rest)*),
            Level::Warning => tracing::warn!($($rest)*),
            Level::Error => tracing::error!($($rest)*),
        }
    };
}

/// Whether lines of this level about objects are wanted.
pub(crate) fn wants(level: Level) -> bool {
    match level {
        Level::Debug => tracing::event_enabled!(target: OBJECTS, tracing::Level::DEBUG),
        Level::Info => tracing::event_enabled!(target: OBJECTS, tracing::Level::INFO),
        Level::Warning => tracing::event_enabled!(target: OBJECTS, tracing::Level::WARN),
        Level::Error => tracing::event_enabled!(target: OBJECTS, tracing::Level::ERROR),
    }
}

/// Logs a line of the engine.
pub(crate) fn log(record: &Record) {
    match record {
        Record::Object { object, log } => log_object(object, log),
        Record::Activity { activity, log } => {
            event!(log.level, target: "kopf.activities", logger = format!("kopf.activities.{activity}"), "{}", log.line);
        }
        Record::Engine { logger, level, text, error } => {
            let cause = error.as_ref().map(ErrorInfo::shown).filter(|cause| !text.contains(cause));
            match cause {
                None => event!(*level, target: "kopf", logger, "{text}"),
                Some(cause) => event!(*level, target: "kopf", logger, "{text} {cause}"),
            }
        }
    }
}

/// Logs a line about an object.
pub(crate) fn log_object(object: &Object, log: &Log) {
    event!(
        log.level,
        target: OBJECTS,
        api_version = object.api_version(),
        kind = object.kind(),
        namespace = object.namespace(),
        name = object.name(),
        uid = object.uid(),
        "{}",
        log.line
    );
}

#[cfg(test)]
mod tests;
