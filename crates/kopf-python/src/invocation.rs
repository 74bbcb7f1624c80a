//! One attempt of one handler: its kwargs, and the context variable by which `kopf.adopt`, `kopf.event`, `kopf.execute` and
//! the like find it.

use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kopf_core::handler::HandlerId;
use pyo3::{
    PyTraverseError, PyVisit,
    exceptions::PyLookupError,
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDateTime, PyDelta, PyDict, PyList, PyString, PyTuple, PyTzInfo},
};

use crate::{
    cause::Cause,
    cpython::{self, ContextVar},
    declared::{Declared, Kwarg, Wanted},
    engine::Engine,
    guard::guarded,
    hub::Hub,
    locked,
    slot::Slot,
    subcycle::Subcycle,
};

static CURRENT: PyOnceLock<ContextVar> = PyOnceLock::new();

/// One attempt of one handler.
#[pyclass(frozen, module = "kopf._native")]
pub(crate) struct Invocation {
    pub(crate) hub: Arc<Hub>,
    pub(crate) declared: Arc<Declared>,
    pub(crate) subject: Subject,
    attempt: Attempt,
    children: Slot,
    family: Mutex<Family>,
    token: Mutex<Option<Py<PyAny>>>,
}

/// What the handler is called about.
pub(crate) enum Subject {
    /// An object.
    Object(Py<Cause>),
    /// The operator.
    Activity(&'static str),
}

/// The bookkeeping of the attempts (A-KW-020..025).
pub(crate) struct Attempt {
    pub(crate) retry: u32,
    pub(crate) started: Timestamp,
    pub(crate) runtime: SignedDuration,
}

/// What is known of the sub-handlers, kept apart from the exception that tells of them (FIX-15).
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    /// All of any depth that were seen.
    pub(crate) subrefs: Vec<HandlerId>,
    /// Some are not finished; the earliest runs after the delay.
    pub(crate) unfinished: Option<Option<SignedDuration>>,
}

impl Invocation {
    /// An attempt.
    pub(crate) fn new(hub: Arc<Hub>, declared: Arc<Declared>, subject: Subject, attempt: Attempt) -> Self {
        Self {
            hub,
            declared,
            subject,
            attempt,
            children: Slot::default(),
            family: Mutex::default(),
            token: Mutex::default(),
        }
    }

    /// Calls the function with the kwargs that it wants. What comes back may be a coroutine.
    pub(crate) fn call<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let declared = &slf.get().declared;
        let values: Vec<_> =
            declared.wanted.kwargs.iter().map(|kwarg| Self::kwarg(slf, *kwarg)).collect::<PyResult<_>>()?;
        cpython::call_by_names(declared.function.bind(py), &values, declared.wanted.names.bind(py))
    }

    /// Makes it the current one in the current context.
    pub(crate) fn enter_context<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        current_var(slf.py())?.set(slf.as_any())
    }

    /// Whether sub-handlers were declared that have not been executed.
    pub(crate) fn has_children(&self, py: Python<'_>) -> bool {
        self.children
            .get(py)
            .and_then(|children| children.cast_into::<PyList>().ok())
            .is_some_and(|list| !list.is_empty())
    }

    /// What is known of the sub-handlers.
    pub(crate) fn family(&self) -> Family {
        locked(&self.family).clone()
    }

    /// Notes what is known of the sub-handlers after one `execute()`.
    pub(crate) fn note_family(&self, change: impl FnOnce(&mut Family)) {
        change(&mut locked(&self.family));
    }

    fn kwarg<'py>(slf: &Bound<'py, Self>, kwarg: Kwarg) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        Ok(match kwarg {
            Kwarg::Param => this.declared.param.bind(py).clone(),
            Kwarg::Retry => this.attempt.retry.into_pyobject(py)?.into_any(),
            Kwarg::Started => datetime(py, this.attempt.started)?.into_any(),
            Kwarg::Runtime => timedelta(py, this.attempt.runtime)?.into_any(),
            Kwarg::Settings => this.hub.settings_object(py).clone(),
            Kwarg::Index(position) => this.hub.indices[position].bind(py).clone(),
            _ => match &this.subject {
                Subject::Object(cause) => {
                    let found = Cause::kwarg(cause.bind(py), kwarg, this.declared.kind.logger())?;
                    found.unwrap_or_else(|| py.None().into_bound(py))
                }
                Subject::Activity(activity) => match kwarg {
                    Kwarg::Activity => PyString::intern(py, activity).into_any(),
                    Kwarg::Logger => activity_logger(py, activity)?,
                    Kwarg::Memo => this.hub.memo.bind(py).clone(),
                    _ => py.None().into_bound(py),
                },
            },
        })
    }
}

#[pymethods]
impl Invocation {
    #[getter]
    fn engine(&self, py: Python<'_>) -> PyResult<Py<Engine>> {
        self.hub.engine(py)
    }

    #[getter]
    fn handler(&self, py: Python<'_>) -> Py<PyAny> {
        self.declared.declaration.clone_ref(py)
    }

    #[getter]
    fn cause(&self, py: Python<'_>) -> Option<Py<Cause>> {
        match &self.subject {
            Subject::Object(cause) => Some(cause.clone_ref(py)),
            Subject::Activity(_) => None,
        }
    }

    #[getter]
    fn settings(&self, py: Python<'_>) -> Py<PyAny> {
        self.hub.settings_object(py).clone().unbind()
    }

    /// The sub-handlers that were declared and not executed yet.
    #[getter]
    fn children<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.children.get_or_make(py, || Ok(PyList::empty(py).into_any()))
    }

    /// All kwargs that the function may take.
    fn kwargs<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let py = slf.py();
        let kwargs = PyDict::new(py);
        let wanted = Wanted::of_handler(py, slf.get().declared.kind, None, slf.get().hub.index_names())?;
        for (name, kwarg) in wanted.names.bind(py).iter().zip(wanted.kwargs) {
            kwargs.set_item(name, Self::kwarg(slf, kwarg)?)?;
        }
        Ok(kwargs)
    }

    /// One step of its sub-handlers.
    #[pyo3(signature = (children, lifecycle, /))]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from a list of Python")]
    fn subcycle(
        slf: &Bound<'_, Self>,
        children: Vec<Bound<'_, PyAny>>,
        lifecycle: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Subcycle> {
        guarded(|| Subcycle::open(slf, &children, lifecycle))
    }

    /// Calls the function, as a sub-handler in the current task: gives a coroutine, or, if it is sync, a future of its end
    /// in a thread.
    fn run<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| {
            let py = slf.py();
            let hub = &slf.get().hub;
            if slf.get().declared.is_async {
                return Self::call(slf);
            }
            let future = hub.event_loop()?.new_future(py)?;
            let context = cpython::current_context(py)?.unbind();
            hub.workers.submit_child(py, hub, slf.clone().unbind(), context, future.clone().unbind());
            Ok(future)
        })
    }

    /// Makes it the running one in the current context, until `__exit__`.
    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let token = Self::enter_context(slf)?;
        let replaced = locked(&slf.get().token).replace(token.unbind());
        drop(replaced);
        Ok(slf.clone())
    }

    #[pyo3(signature = (*_arguments))]
    fn __exit__(&self, py: Python<'_>, _arguments: &Bound<'_, PyTuple>) -> PyResult<()> {
        let token = locked(&self.token).take();
        token.map_or(Ok(()), |token| current_var(py)?.reset(token.bind(py)))
    }

    fn __repr__(&self) -> String {
        format!("<Invocation of {:?}>", self.declared.id.as_str())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Subject::Object(cause) = &self.subject {
            visit.call(cause)?;
        }
        self.children.traverse(visit)
    }
}

/// The running invocation.
///
/// # Errors
/// `LookupError` outside of handlers.
#[pyfunction]
pub(crate) fn current_invocation(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let current = current_var(py)?.get(py)?;
    current.ok_or_else(|| {
        PyLookupError::new_err("this is possible only in handlers: no handler is running here")
    })
}

/// The context variable.
pub(crate) fn current_var(py: Python<'_>) -> PyResult<&'static ContextVar> {
    CURRENT.get_or_try_init(py, || ContextVar::new(py, c"kopf_invocation"))
}

/// The logger of an activity (A-LOG-010).
pub(crate) fn activity_logger<'py>(py: Python<'py>, activity: &str) -> PyResult<Bound<'py, PyAny>> {
    let name = format!("kopf.activities.{activity}");
    py.import(intern!(py, "logging"))?.call_method1(intern!(py, "getLogger"), (name,))
}

/// A moment as Python has it, in UTC.
pub(crate) fn datetime(py: Python<'_>, moment: Timestamp) -> PyResult<Bound<'_, PyDateTime>> {
    let utc = moment.to_zoned(TimeZone::UTC).datetime();
    let part = |part: i8| u8::try_from(part).unwrap_or_default();
    let micros = u32::try_from(utc.subsec_nanosecond() / 1000).unwrap_or_default();
    let zone = PyTzInfo::utc(py)?.to_owned();
    PyDateTime::new(
        py,
        utc.year().into(),
        part(utc.month()),
        part(utc.day()),
        part(utc.hour()),
        part(utc.minute()),
        part(utc.second()),
        micros,
        Some(&zone),
    )
}

/// A duration as Python has it.
pub(crate) fn timedelta(py: Python<'_>, duration: SignedDuration) -> PyResult<Bound<'_, PyDelta>> {
    let (days, rest) = (duration.as_secs().div_euclid(86_400), duration.as_secs().rem_euclid(86_400));
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    let seconds = i32::try_from(rest).unwrap_or_default();
    PyDelta::new(py, days, seconds, duration.subsec_micros(), true)
}
