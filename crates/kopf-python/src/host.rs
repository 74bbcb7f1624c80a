//! The Python classes that the engine makes or recognises, looked up once per operator.

use kopf_core::{
    diff::{Diff, Op},
    reason::Reason,
    resource::Resource,
};
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyFrozenSet, PyList, PyTuple},
};

use crate::{slot::Slot, values};

/// See `_Host` in the stub for what each is.
pub(crate) struct Host {
    object: Py<PyAny>,
    patch: Py<PyAny>,
    memo: Py<PyAny>,
    diff: Py<PyAny>,
    diff_item: Py<PyAny>,
    diff_operation: Py<PyAny>,
    reason: Py<PyAny>,
    resource: Py<PyAny>,
    loggers: [Py<PyAny>; 3],
    temporary_error: Py<PyAny>,
    permanent_error: Py<PyAny>,
    children_retry: Py<PyAny>,
    reasons: [Slot; 7],
    operations: [Slot; 3],
}

/// Which logger a handler gets (A-LOG-010).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logger {
    /// Its messages may become Kubernetes Events.
    Posting,
    /// They never do.
    Local,
    /// They never do, and show only one level more verbose (A-IDX-020).
    Terse,
}

impl Host {
    /// Looks everything up.
    ///
    /// # Errors
    /// `AttributeError` if something is missing.
    pub(crate) fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let of = |name: &str| object.getattr(name).map(Bound::unbind);
        Ok(Self {
            patch: of("Patch")?,
            memo: of("Memo")?,
            diff: of("Diff")?,
            diff_item: of("DiffItem")?,
            diff_operation: of("DiffOperation")?,
            reason: of("Reason")?,
            resource: of("Resource")?,
            loggers: [of("ObjectLogger")?, of("LocalObjectLogger")?, of("TerseObjectLogger")?],
            temporary_error: of("TemporaryError")?,
            permanent_error: of("PermanentError")?,
            children_retry: of("HandlerChildrenRetry")?,
            reasons: Default::default(),
            operations: Default::default(),
            object: object.clone().unbind(),
        })
    }

    /// The object itself, for its methods.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// `kopf.Memo`.
    pub(crate) fn memo_class<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.memo.bind(py)
    }

    /// A new patch.
    pub(crate) fn make_patch<'py>(
        &self,
        merge: Bound<'py, PyDict>,
        body: Bound<'py, PyAny>,
        functions: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = merge.py();
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "body"), body)?;
        kwargs.set_item(intern!(py, "fns"), PyList::new(py, functions)?)?;
        self.patch.bind(py).call((merge,), Some(&kwargs))
    }

    /// A new logger of an object.
    pub(crate) fn make_logger<'py>(
        &self,
        kind: Logger,
        body: Bound<'py, PyAny>,
        settings: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = body.py();
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "body"), body)?;
        kwargs.set_item(intern!(py, "settings"), settings)?;
        self.loggers[kind as usize].bind(py).call((), Some(&kwargs))
    }

    /// A new diff.
    pub(crate) fn make_diff<'py>(&self, py: Python<'py>, diff: &Diff) -> PyResult<Bound<'py, PyAny>> {
        let items = PyList::empty(py);
        for item in &diff.0 {
            let operation = self.operations[item.op as usize].get_or_make(py, || {
                let word = match item.op {
                    Op::Add => "add",
                    Op::Change => "change",
                    Op::Remove => "remove",
                };
                self.diff_operation.bind(py).call1((word,))
            })?;
            let path = PyTuple::new(py, &item.path.0)?;
            let old = values::to_python(py, &item.old)?;
            let new = values::to_python(py, &item.new)?;
            items.append(self.diff_item.bind(py).call1((operation, path, old, new))?)?;
        }
        self.diff.bind(py).call1((items,))
    }

    /// The member of `kopf.Reason`.
    pub(crate) fn reason<'py>(&self, py: Python<'py>, reason: Reason) -> PyResult<Bound<'py, PyAny>> {
        self.reasons[reason as usize].get_or_make(py, || self.reason.bind(py).call1((reason.as_str(),)))
    }

    /// A new `kopf.Resource` (A-KW-032).
    pub(crate) fn make_resource<'py>(
        &self,
        py: Python<'py>,
        resource: &Resource,
    ) -> PyResult<Bound<'py, PyAny>> {
        let kwargs = PyDict::new(py);
        kwargs.set_item("group", &resource.group)?;
        kwargs.set_item("version", &resource.version)?;
        kwargs.set_item("plural", &resource.plural)?;
        kwargs.set_item("kind", &resource.kind)?;
        kwargs.set_item("singular", &resource.singular)?;
        kwargs.set_item("shortcuts", PyFrozenSet::new(py, &resource.short_names)?)?;
        kwargs.set_item("categories", PyFrozenSet::new(py, &resource.categories)?)?;
        kwargs.set_item("subresources", PyFrozenSet::new(py, &resource.subresources)?)?;
        kwargs.set_item("namespaced", resource.namespaced)?;
        kwargs.set_item("preferred", resource.preferred)?;
        kwargs.set_item("verbs", PyFrozenSet::new(py, &resource.verbs)?)?;
        self.resource.bind(py).call((), Some(&kwargs))
    }

    /// Whether it is a `kopf.TemporaryError`.
    pub(crate) fn is_temporary(&self, py: Python<'_>, error: &PyErr) -> bool {
        error.is_instance(py, self.temporary_error.bind(py))
    }

    /// Whether it is a `kopf.PermanentError`.
    pub(crate) fn is_permanent(&self, py: Python<'_>, error: &PyErr) -> bool {
        error.is_instance(py, self.permanent_error.bind(py))
    }

    /// Whether it says that sub-handlers are not finished (A-SUB-022).
    pub(crate) fn is_children_retry(&self, py: Python<'_>, error: &PyErr) -> bool {
        error.is_instance(py, self.children_retry.bind(py))
    }
}
