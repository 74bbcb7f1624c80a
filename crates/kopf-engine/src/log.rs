//! The engine's own log lines, on the loggers that users know from upstream (A-LOG-007).

use std::{fmt, sync::Arc};

use kopf_core::{
    error::ErrorInfo,
    log::{Level, Line, Log},
    object::Object,
};

use crate::door::{Door, Record};

/// The loggers of the engine.
pub(crate) mod logger {
    pub(crate) const RUNNING: &str = "kopf._core.reactor.running";
    pub(crate) const OBSERVATION: &str = "kopf._core.reactor.observation";
    pub(crate) const QUEUEING: &str = "kopf._core.reactor.queueing";
    pub(crate) const ACTIVITIES: &str = "kopf._core.engines.activities";
    pub(crate) const AUTHENTICATION: &str = "kopf.activities.authentication";
    pub(crate) const POSTING: &str = "kopf._core.engines.posting";
    pub(crate) const WATCHING: &str = "kopf._cogs.clients.watching";
}

/// Where lines go.
#[derive(Clone, Debug)]
pub(crate) struct Logger {
    door: Arc<dyn Door>,
    about: About,
}

#[derive(Clone, Debug)]
enum About {
    Engine(&'static str),
    Object(Object),
}

impl Logger {
    /// A logger of the engine.
    pub(crate) fn new(door: &Arc<dyn Door>, name: &'static str) -> Self {
        Self { door: door.clone(), about: About::Engine(name) }
    }

    /// The logger of an object.
    pub(crate) fn object(door: &Arc<dyn Door>, object: &Object) -> Self {
        Self { door: door.clone(), about: About::Object(object.clone()) }
    }

    pub(crate) fn debug(&self, text: impl fmt::Display) {
        self.log(Level::Debug, text, None);
    }

    pub(crate) fn info(&self, text: impl fmt::Display) {
        self.log(Level::Info, text, None);
    }

    pub(crate) fn warning(&self, text: impl fmt::Display) {
        self.log(Level::Warning, text, None);
    }

    pub(crate) fn error(&self, text: impl fmt::Display) {
        self.log(Level::Error, text, None);
    }

    /// An error that the door may show with a traceback.
    pub(crate) fn exception(&self, text: impl fmt::Display, error: ErrorInfo) {
        self.log(Level::Error, text, Some(error));
    }

    fn log(&self, level: Level, text: impl fmt::Display, error: Option<ErrorInfo>) {
        let record = match &self.about {
            About::Engine(logger) => Record::Engine { logger, level, text: text.to_string(), error },
            About::Object(_) if !self.door.wants(level) => return,
            About::Object(object) => Record::Object {
                object: object.clone(),
                log: Log { level, line: Line::Text(text.to_string()), local: true },
            },
        };
        self.door.log(record);
    }
}
