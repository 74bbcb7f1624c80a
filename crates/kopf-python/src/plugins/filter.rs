//! `when=`, `labels=`, `annotations=`, `field=`, `value=`, `old=`, `new=` of a declaration (A-FLT).

use std::sync::Arc;

use kopf_core::{
    cause::Cause,
    error::ErrorInfo,
    field::FieldPath,
    filter::{Criterion, Filters, Predicate},
};
use pyo3::{intern, prelude::*, types::PyMapping};
use serde_json::Value;

use super::Callback;
use crate::{declared::Kind, hub::Hub, values};

/// Reads the filters of a declaration.
///
/// # Errors
/// For values that JSON cannot say: they could never be equal to anything.
pub(crate) fn filters(hub: &Arc<Hub>, declaration: &Bound<'_, PyAny>, kind: Kind) -> PyResult<Filters> {
    let of = |name: &str| declaration.getattr_opt(name).map(|value| value.filter(|value| !value.is_none()));
    let criterion = |name: &str| of(name)?.map(|value| criterion(hub, &value, kind)).transpose();
    let field: Option<Vec<String>> = of("field")?.map(|field| field.extract()).transpose()?;
    let when = of("when")?.map(|function| Callback::new(hub, &function, kind)).transpose()?;
    Ok(Filters {
        labels: keyed(hub, of("labels")?, kind)?,
        annotations: keyed(hub, of("annotations")?, kind)?,
        field: field.filter(|field| !field.is_empty()).map(FieldPath),
        value: criterion("value")?,
        old: if kind == Kind::Changing { criterion("old")? } else { None },
        new: if kind == Kind::Changing { criterion("new")? } else { None },
        when: when
            .map(|callback| Arc::new(PythonPredicate { callback, takes_value: false }) as Arc<dyn Predicate>),
    })
}

/// A filter that is code.
#[derive(Debug)]
struct PythonPredicate {
    callback: Callback,
    /// Called with the value first; `when=` is not.
    takes_value: bool,
}

impl Predicate for PythonPredicate {
    fn test(&self, value: Option<&Value>, cause: &Cause) -> Result<bool, ErrorInfo> {
        self.callback.attached(|py, hub| {
            let value = match (self.takes_value, value) {
                (false, _) => None,
                (true, None) => Some(py.None().into_bound(py)),
                (true, Some(value)) => Some(values::to_python(py, value)?),
            };
            self.callback.call(py, hub, cause, value)?.is_truthy()
        })
    }
}

fn keyed(
    hub: &Arc<Hub>,
    patterns: Option<Bound<'_, PyAny>>,
    kind: Kind,
) -> PyResult<Vec<(String, Criterion)>> {
    let Some(patterns) = patterns else { return Ok(Vec::new()) };
    let mut criteria = Vec::new();
    for pair in patterns.cast::<PyMapping>()?.items()? {
        let (key, value): (String, Bound<'_, PyAny>) = pair.extract()?;
        criteria.push((key, criterion(hub, &value, kind)?));
    }
    Ok(criteria)
}

fn criterion(hub: &Arc<Hub>, value: &Bound<'_, PyAny>, kind: Kind) -> PyResult<Criterion> {
    let py = value.py();
    if value.is(&hub.host.object(py).getattr(intern!(py, "PRESENT"))?) {
        return Ok(Criterion::Present);
    }
    if value.is(&hub.host.object(py).getattr(intern!(py, "ABSENT"))?) {
        return Ok(Criterion::Absent);
    }
    if value.is_callable() {
        let callback = Callback::new(hub, value, kind)?;
        return Ok(Criterion::Callback(Arc::new(PythonPredicate { callback, takes_value: true })));
    }
    values::from_python(value).map(Criterion::Equals)
}
