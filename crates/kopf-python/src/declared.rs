//! Declarations of Python handlers (`kopf._handlers`), read once, and the kwargs that their functions want.

use std::sync::Arc;

use kopf_core::handler::{Handler, HandlerId};
use pyo3::{
    exceptions::PyValueError,
    intern,
    prelude::*,
    types::{PyFunction, PyString, PyTuple},
};

use crate::host::Logger;

/// `CO_COROUTINE`: calling the function runs none of its code.
const CO_COROUTINE: u32 = 0x80;

/// A declaration.
pub(crate) struct Declared {
    /// The Python object.
    pub(crate) declaration: Py<PyAny>,
    /// Its function.
    pub(crate) function: Py<PyAny>,
    /// Its full id.
    pub(crate) id: HandlerId,
    /// Its `param`.
    pub(crate) param: Py<PyAny>,
    /// What it handles.
    pub(crate) kind: Kind,
    /// Whether it runs in the event loop.
    pub(crate) is_async: bool,
    /// Whether it is a coroutine function itself, so that calling it runs no code of the user yet.
    pub(crate) is_coroutine_function: bool,
    /// What it is called with.
    pub(crate) wanted: Wanted,
    /// What the engine knows of it.
    pub(crate) handler: Arc<Handler>,
}

/// What a handler handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The operator as a whole.
    Activity,
    /// Admission reviews.
    Admission,
    /// Changes of objects.
    Changing,
    /// Objects as long as they live.
    Daemon,
    /// What other handlers see as an index.
    Index,
    /// Objects by the clock.
    Timer,
    /// Watch events.
    Watching,
}

/// A keyword argument (A-KW).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kwarg {
    Activity,
    Annotations,
    Body,
    Cause,
    Diff,
    Event,
    Labels,
    Logger,
    Memo,
    Meta,
    Name,
    Namespace,
    New,
    Old,
    Param,
    Patch,
    Reason,
    Resource,
    Retry,
    Runtime,
    Settings,
    Spec,
    Started,
    Status,
    Type,
    Uid,
    /// The position in the list of indices: an index hides a kwarg of its name (A-KW-002).
    Index(usize),
}

/// What a function is called with.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The arguments, in the order of `names`.
    pub(crate) kwargs: Vec<Kwarg>,
    /// Their names, interned.
    pub(crate) names: Py<PyTuple>,
}

const ATTEMPT: &[(&str, Kwarg)] = &[
    ("param", Kwarg::Param),
    ("retry", Kwarg::Retry),
    ("started", Kwarg::Started),
    ("runtime", Kwarg::Runtime),
];

const ACTIVITY: &[(&str, Kwarg)] = &[
    ("logger", Kwarg::Logger),
    ("memo", Kwarg::Memo),
    ("settings", Kwarg::Settings),
    ("activity", Kwarg::Activity),
];

const OBJECT: &[(&str, Kwarg)] = &[
    ("logger", Kwarg::Logger),
    ("memo", Kwarg::Memo),
    ("resource", Kwarg::Resource),
    ("patch", Kwarg::Patch),
    ("body", Kwarg::Body),
    ("spec", Kwarg::Spec),
    ("meta", Kwarg::Meta),
    ("status", Kwarg::Status),
    ("uid", Kwarg::Uid),
    ("name", Kwarg::Name),
    ("namespace", Kwarg::Namespace),
    ("labels", Kwarg::Labels),
    ("annotations", Kwarg::Annotations),
    ("event", Kwarg::Event),
    ("cause", Kwarg::Cause),
];

const WATCHING: &[(&str, Kwarg)] = &[("type", Kwarg::Type)];

const CHANGING: &[(&str, Kwarg)] =
    &[("reason", Kwarg::Reason), ("old", Kwarg::Old), ("new", Kwarg::New), ("diff", Kwarg::Diff)];

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "activity" => Self::Activity,
            "admission" => Self::Admission,
            "changing" => Self::Changing,
            "daemon" => Self::Daemon,
            "index" => Self::Index,
            "timer" => Self::Timer,
            "watching" => Self::Watching,
            _ => return None,
        })
    }

    /// Which logger it gets.
    pub(crate) fn logger(self) -> Logger {
        match self {
            Self::Changing | Self::Daemon | Self::Timer | Self::Activity => Logger::Posting,
            Self::Watching | Self::Admission => Logger::Local,
            Self::Index => Logger::Terse,
        }
    }

    /// The kwargs about what is handled: also those of filters and lifecycles (section 5.1 of the contract).
    fn subject_kwargs(self) -> impl Iterator<Item = &'static (&'static str, Kwarg)> {
        let (common, own): (&[_], &[_]) = match self {
            Self::Activity => (ACTIVITY, &[]),
            Self::Watching => (OBJECT, WATCHING),
            Self::Changing => (OBJECT, CHANGING),
            Self::Admission | Self::Daemon | Self::Index | Self::Timer => (OBJECT, &[]),
        };
        common.iter().chain(own)
    }
}

impl Wanted {
    /// What a handler's function wants.
    pub(crate) fn of_handler(
        py: Python<'_>,
        kind: Kind,
        named: Option<&[String]>,
        indices: &[String],
    ) -> PyResult<Self> {
        Self::choose(py, kind.subject_kwargs().chain(ATTEMPT), named, indices)
    }

    /// What a filter or a lifecycle wants.
    pub(crate) fn of_callback(
        py: Python<'_>,
        kind: Kind,
        named: Option<&[String]>,
        indices: &[String],
    ) -> PyResult<Self> {
        Self::choose(py, kind.subject_kwargs(), named, indices)
    }

    fn choose(
        py: Python<'_>,
        known: impl Iterator<Item = &'static (&'static str, Kwarg)>,
        named: Option<&[String]>,
        indices: &[String],
    ) -> PyResult<Self> {
        let is_wanted = |name: &str| named.is_none_or(|named| named.iter().any(|wanted| wanted == name));
        let is_hidden = |name: &str| indices.iter().any(|index| index == name);
        let mut chosen: Vec<(&str, Kwarg)> = known.filter(|(name, _)| !is_hidden(name)).copied().collect();
        chosen.extend(
            indices.iter().enumerate().map(|(position, name)| (name.as_str(), Kwarg::Index(position))),
        );
        chosen.retain(|(name, _)| is_wanted(name));
        let names = chosen.iter().map(|(name, _)| PyString::intern(py, name));
        Ok(Self {
            names: PyTuple::new(py, names.collect::<Vec<_>>())?.unbind(),
            kwargs: chosen.into_iter().map(|(_, kwarg)| kwarg).collect(),
        })
    }
}

impl Declared {
    /// Reads a declaration. `handler` is made of the same declaration.
    ///
    /// # Errors
    /// `AttributeError`, `TypeError` or `ValueError` if it is not as `kopf._handlers` has it.
    pub(crate) fn read(
        declaration: &Bound<'_, PyAny>,
        handler: Arc<Handler>,
        indices: &[String],
    ) -> PyResult<Self> {
        let py = declaration.py();
        let kind = kind_of(declaration)?;
        let function = declaration.getattr(intern!(py, "fn"))?;
        let named: Option<Vec<String>> = declaration.getattr(intern!(py, "wanted"))?.extract()?;
        Ok(Self {
            id: handler.id.clone(),
            param: declaration.getattr(intern!(py, "param"))?.unbind(),
            kind,
            is_async: declaration.getattr(intern!(py, "is_async"))?.extract()?,
            is_coroutine_function: is_coroutine_function(&function)?,
            wanted: Wanted::of_handler(py, kind, named.as_deref(), indices)?,
            function: function.unbind(),
            declaration: declaration.clone().unbind(),
            handler,
        })
    }
}

/// What a declaration handles.
pub(crate) fn kind_of(declaration: &Bound<'_, PyAny>) -> PyResult<Kind> {
    let word: String = declaration.getattr(intern!(declaration.py(), "kind"))?.extract()?;
    Kind::parse(&word)
        .ok_or_else(|| PyValueError::new_err(format!("unknown kind of a declaration: {word:?}")))
}

fn is_coroutine_function(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !function.is_exact_instance_of::<PyFunction>() {
        return Ok(false);
    }
    let flags: u32 = function.getattr("__code__")?.getattr("co_flags")?.extract()?;
    Ok(flags & CO_COROUTINE != 0)
}
