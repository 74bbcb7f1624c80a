//! How a call ended: what Python says becomes what the engine understands (DEC-11, A-ERR, A-RES).

use std::sync::Arc;

use jiff::SignedDuration;
use kopf_core::{error::ErrorInfo, handler::HandlerId, machine::CallId, outcome::Outcome, patch::Patch};
use kopf_engine::door::Finished;
use pyo3::{
    exceptions::{PyException, PyRuntimeError, PyTypeError},
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::PyType,
};
use tokio::sync::oneshot;

use crate::{
    held::Held,
    hub::Hub,
    invocation::{Family, Invocation, Subject},
    values,
};

/// Where the end of a call is told, exactly once: a report that is dropped says "cancelled", so that nothing ever waits for
/// a call that the event loop has lost.
pub(crate) struct Report(Option<Sink>);

enum Sink {
    Object { sender: oneshot::Sender<Finished>, patch: Patch, key: (u64, CallId) },
    Activity(oneshot::Sender<Outcome>),
}

/// How a function ended.
pub(crate) enum Ending<'py> {
    Returned(Bound<'py, PyAny>),
    Raised(PyErr),
}

impl Report {
    /// For a call about an object, with the patch as it was before.
    pub(crate) fn object(sender: oneshot::Sender<Finished>, patch: Patch, key: (u64, CallId)) -> Self {
        Self(Some(Sink::Object { sender, patch, key }))
    }

    /// For a call of an activity.
    pub(crate) fn activity(sender: oneshot::Sender<Outcome>) -> Self {
        Self(Some(Sink::Activity(sender)))
    }

    /// By what the call may be cancelled; none if it may not.
    pub(crate) fn key(&self) -> Option<(u64, CallId)> {
        match &self.0 {
            Some(Sink::Object { key, .. }) => Some(*key),
            _ => None,
        }
    }

    /// Tells the end.
    pub(crate) fn finish(mut self, invocation: &Bound<'_, Invocation>, ending: Ending<'_>) {
        let py = invocation.py();
        let hub = &invocation.get().hub;
        let Some(sink) = self.0.take() else { return };
        let outcome = classify(hub, invocation, ending);
        match sink {
            Sink::Activity(sender) => {
                // Startup handlers change settings; what they change by `__dict__` tells nobody.
                let pushed = hub.push_settings(hub.settings_object(py));
                let outcome = match (outcome, pushed) {
                    (Outcome::Succeeded(_), Err(error)) => Outcome::Permanent(error_info(py, hub, &error)),
                    (outcome, _) => outcome,
                };
                drop(sender.send(outcome));
            }
            Sink::Object { sender, patch, key } => {
                hub.forget_running(key);
                let (outcome, patch) = take_patch(py, invocation.get(), outcome).unwrap_or_else(|error| {
                    error.write_unraisable(py, None);
                    (Outcome::Cancelled, patch)
                });
                if let Subject::Object(cause) = &invocation.get().subject {
                    hub.objects.leave(&cause.get().scene);
                }
                let subrefs: Vec<HandlerId> = invocation.get().family().subrefs;
                drop(sender.send(Finished { outcome, patch, subrefs }));
            }
        }
    }

    /// Tells that the function could not even be called.
    pub(crate) fn refuse(mut self, py: Python<'_>, hub: &Arc<Hub>, error: &PyErr) {
        let outcome = Outcome::Arbitrary(error_info(py, hub, error));
        match self.0.take() {
            Some(Sink::Object { sender, patch, .. }) => {
                drop(sender.send(Finished { outcome, patch, subrefs: Vec::new() }));
            }
            Some(Sink::Activity(sender)) => drop(sender.send(outcome)),
            None => {}
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        match self.0.take() {
            Some(Sink::Object { sender, patch, .. }) => {
                drop(sender.send(Finished { outcome: Outcome::Cancelled, patch, subrefs: Vec::new() }));
            }
            Some(Sink::Activity(sender)) => drop(sender.send(Outcome::Cancelled)),
            None => {}
        }
    }
}

/// What an ending means.
pub(crate) fn classify(hub: &Arc<Hub>, invocation: &Bound<'_, Invocation>, ending: Ending<'_>) -> Outcome {
    let py = invocation.py();
    match ending {
        Ending::Returned(result) => match invocation.get().family() {
            // Also if the handler has swallowed what told it so (FIX-15).
            Family { unfinished: Some(delay), .. } => Outcome::Unfinished(delay),
            _ => succeeded(hub, invocation, &result),
        },
        Ending::Raised(error) if hub.host.is_children_retry(py, &error) => {
            Outcome::Unfinished(invocation.get().family().unfinished.flatten())
        }
        // Temporary before permanent: errors may be both (A-ERR-008).
        Ending::Raised(error) if hub.host.is_temporary(py, &error) => {
            let delay = delay_of(py, &error);
            Outcome::Temporary { error: error_info(py, hub, &error), delay }
        }
        Ending::Raised(error) if hub.host.is_permanent(py, &error) => {
            Outcome::Permanent(error_info(py, hub, &error))
        }
        Ending::Raised(error) if error.is_instance_of::<PyException>(py) => {
            Outcome::Arbitrary(error_info(py, hub, &error))
        }
        Ending::Raised(error) => {
            if !is_cancelled(py, &error) {
                // SystemExit, KeyboardInterrupt: the operator's, not the handler's; nothing is stored (DEC-11).
                hub.fail(error);
            }
            Outcome::Cancelled
        }
    }
}

fn succeeded(hub: &Arc<Hub>, invocation: &Bound<'_, Invocation>, result: &Bound<'_, PyAny>) -> Outcome {
    let py = invocation.py();
    if result.is_none() {
        return Outcome::Succeeded(None);
    }
    let value = match invocation.get().subject {
        Subject::Activity("startup" | "cleanup") => return Outcome::Succeeded(None),
        Subject::Activity("authentication") => hub
            .host
            .object(py)
            .call_method1(intern!(py, "credentials"), (result,))
            .and_then(|info| values::from_python(&info)),
        _ => values::from_python(result),
    };
    match value {
        Ok(value) => Outcome::Succeeded(Some(value)),
        Err(error) => {
            // FIX-14: it fails this handler, not everything that is written with it.
            let text = format!(
                "The result of the handler {:?} cannot be stored: {}",
                invocation.get().declared.id.as_str(),
                error.value(py)
            );
            let error = PyTypeError::new_err(text);
            Outcome::Permanent(error_info(py, hub, &error))
        }
    }
}

/// The patch as the handler has left it. If it holds what JSON cannot say, the handler has failed, and nothing of what it and
/// those before it have put into the patch in this cycle is lost but that.
///
/// # Errors
/// If the patch is no patch any more.
pub(crate) fn take_patch(
    py: Python<'_>,
    invocation: &Invocation,
    outcome: Outcome,
) -> PyResult<(Outcome, Patch)> {
    let Subject::Object(cause) = &invocation.subject else { return Ok((outcome, Patch::default())) };
    let scene = cause.get().scene.get();
    match scene.current_patch(py) {
        Ok(patch) => Ok((outcome, patch)),
        Err(error) => {
            let text = format!(
                "The patch of the handler {:?} cannot be sent: {}",
                invocation.declared.id.as_str(),
                error.value(py)
            );
            let error = error_info(py, &invocation.hub, &PyTypeError::new_err(text));
            Ok((Outcome::Permanent(error), scene.readable_patch(py)?))
        }
    }
}

fn delay_of(py: Python<'_>, error: &PyErr) -> Option<SignedDuration> {
    let delay: f64 = error.value(py).getattr(intern!(py, "delay")).ok()?.extract().ok()?;
    SignedDuration::try_from_secs_f64(delay).ok().filter(|delay| !delay.is_negative())
}

/// Whether it is `asyncio.CancelledError`.
pub(crate) fn is_cancelled(py: Python<'_>, error: &PyErr) -> bool {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "asyncio", "CancelledError").is_ok_and(|class| error.is_instance(py, class))
}

/// An exception as the engine carries it.
pub(crate) fn error_info(py: Python<'_>, hub: &Hub, error: &PyErr) -> ErrorInfo {
    error_info_with(py, &hub.trash, error)
}

/// An exception as the engine carries it.
pub(crate) fn error_info_with(py: Python<'_>, trash: &Arc<crate::held::Trash>, error: &PyErr) -> ErrorInfo {
    let value = error.value(py);
    let text = |text: PyResult<Bound<'_, pyo3::types::PyString>>| {
        text.map_or_else(|_| values::type_name(value), |text| text.to_string_lossy().into_owned())
    };
    ErrorInfo {
        text: text(value.str()),
        repr: text(value.repr()),
        origin: Some(Arc::new(Held::new(value.clone().unbind().into_any(), trash))),
    }
}

/// An error of the engine as an exception: the one that it was made of, if it was raised in Python.
pub(crate) fn raise(py: Python<'_>, error: &ErrorInfo) -> PyErr {
    match origin(py, error) {
        Some(origin) => PyErr::from_value(origin),
        None => PyRuntimeError::new_err(error.to_string()),
    }
}

/// The exception behind an error, if it was raised in Python.
pub(crate) fn origin<'py>(py: Python<'py>, error: &ErrorInfo) -> Option<Bound<'py, PyAny>> {
    let origin = error.origin.as_ref()?;
    origin.downcast_ref::<Held>().map(|held| held.bind(py).clone())
}
