//! Log lines of the engine on Python's loggers.

use std::{error::Error, fmt::Write};

use kopf_core::{
    log::{Line, Log},
    object::Object,
};
use kopf_engine::door::Record;
use pyo3::{intern, prelude::*, types::PyDict};

use crate::{
    hub::{Hub, python_level},
    invocation::activity_logger,
    report,
};

/// Publishes the effective level of `kopf.objects` (DEC-17): it has effect on lines that come into being from now on.
pub(crate) fn publish_level(py: Python<'_>, hub: &Hub) {
    let level = hub.host.object(py).call_method0(intern!(py, "object_level"));
    if let Ok(level) = level.and_then(|level| level.extract::<u32>()) {
        hub.publish_level(u8::try_from(level).unwrap_or(u8::MAX));
    }
}

/// Logs one line.
pub(crate) fn emit(py: Python<'_>, hub: &Hub, record: Record) -> PyResult<()> {
    match record {
        Record::Object { object, log } => {
            let error = error_of(py, &log.line);
            let reference = reference(py, &object)?;
            let arguments = (python_level(log.level), log.line.to_string(), reference, log.local, error);
            hub.host.object(py).call_method1(intern!(py, "log_object"), arguments).map(drop)
        }
        Record::Activity { activity, log } => emit_activity(py, activity, &log),
        Record::Engine { logger, level, text, error } => {
            let error = error.as_ref().and_then(|error| report::origin(py, error));
            let logger =
                py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), (logger,))?;
            log(&logger, python_level(level), &text, error)
        }
    }
}

/// What names an object in log records (A-LOG-010), as `ObjectLogger` has it.
fn reference<'py>(py: Python<'py>, object: &Object) -> PyResult<Bound<'py, PyDict>> {
    let reference = PyDict::new(py);
    reference.set_item(intern!(py, "apiVersion"), some(object.api_version()))?;
    reference.set_item(intern!(py, "kind"), some(object.kind()))?;
    reference.set_item(intern!(py, "name"), some(object.name()))?;
    reference.set_item(intern!(py, "uid"), object.uid())?;
    reference.set_item(intern!(py, "namespace"), object.namespace())?;
    Ok(reference)
}

/// Says how many lines were lost while the loop was blocked.
pub(crate) fn tell_dropped(py: Python<'_>, hub: &Hub) {
    let dropped = hub.inbox.take_dropped_logs();
    if dropped == 0 {
        return;
    }
    let text = format!("{dropped} log lines were dropped: the event loop was blocked for too long.");
    let logger = py
        .import("logging")
        .and_then(|logging| logging.call_method1("getLogger", ("kopf._core.reactor.running",)));
    if let Err(error) = logger.and_then(|logger| log(&logger, 30, &text, None)) {
        error.write_unraisable(py, None);
    }
}

/// An error with its causes, as text.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

fn emit_activity(py: Python<'_>, activity: &str, entry: &Log) -> PyResult<()> {
    let logger = activity_logger(py, activity)?;
    log(&logger, python_level(entry.level), &entry.line.to_string(), error_of(py, &entry.line))
}

fn log(logger: &Bound<'_, PyAny>, level: u8, text: &str, error: Option<Bound<'_, PyAny>>) -> PyResult<()> {
    let py = logger.py();
    if !logger.call_method1(intern!(py, "isEnabledFor"), (level,))?.is_truthy()? {
        return Ok(());
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "exc_info"), error)?;
    // Without arguments, so that a `%` in the text is only a `%`.
    logger.call_method(intern!(py, "log"), (level, text), Some(&kwargs)).map(drop)
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn error_of<'py>(py: Python<'py>, line: &Line) -> Option<Bound<'py, PyAny>> {
    line.traceback().and_then(|error| report::origin(py, error))
}
