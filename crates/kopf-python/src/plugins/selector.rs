//! Selectors of resources and patterns of namespaces that are Python objects.

use std::sync::{Arc, Weak};

use kopf_core::{
    error::ErrorInfo,
    resource::Resource,
    selector::{Name, ResourcePredicate, Selector},
};
use kopf_engine::namespaces::{NamespacePattern, NamespacePredicate};
use pyo3::{exceptions::PyValueError, intern, prelude::*};

use super::attached;
use crate::{held::Held, hub::Hub};

/// Reads a selector (A-SEL), parsed by the decorators.
///
/// # Errors
/// If it has no name.
pub(crate) fn selector(hub: &Arc<Hub>, object: &Bound<'_, PyAny>) -> PyResult<Selector> {
    let text = |name: &str| object.getattr(name)?.extract::<Option<String>>();
    let named = [
        text("kind")?.map(Name::Kind),
        text("plural")?.map(Name::Plural),
        text("singular")?.map(Name::Singular),
        text("shortcut")?.map(Name::Shortcut),
        text("category")?.map(Name::Category),
        any_name(hub, &object.getattr("any_name")?)?,
    ];
    let name = named.into_iter().flatten().next();
    let name = name.ok_or_else(|| PyValueError::new_err("a selector without a name"))?;
    Ok(Selector { group: text("group")?, version: text("version")?, name })
}

fn any_name(hub: &Arc<Hub>, value: &Bound<'_, PyAny>) -> PyResult<Option<Name>> {
    let py = value.py();
    if value.is_none() {
        return Ok(None);
    }
    if value.is(&hub.host.object(py).getattr(intern!(py, "EVERYTHING"))?) {
        return Ok(Some(Name::Everything));
    }
    if value.is_callable() {
        let function = Held::new(value.clone().unbind(), &hub.trash);
        return Ok(Some(Name::Callback(Arc::new(PythonSelector { function, hub: Arc::downgrade(hub) }))));
    }
    Ok(Some(Name::Any(value.extract()?)))
}

/// A selector that is code.
#[derive(Debug)]
struct PythonSelector {
    function: Held,
    hub: Weak<Hub>,
}

impl ResourcePredicate for PythonSelector {
    fn test(&self, resource: &Resource) -> Result<bool, ErrorInfo> {
        let Some(hub) = self.hub.upgrade() else { return Ok(false) };
        attached(&hub, |py| {
            let resource = hub.host.make_resource(py, resource)?;
            self.function.bind(py).call1((resource,))?.is_truthy()
        })
    }
}

/// Reads the patterns of namespaces: texts, or compiled regular expressions (A-EMB-005).
pub(crate) fn namespaces(hub: &Arc<Hub>, patterns: &Bound<'_, PyAny>) -> PyResult<Vec<NamespacePattern>> {
    let pattern = |pattern: PyResult<Bound<'_, PyAny>>| {
        let pattern = pattern?;
        if let Ok(glob) = pattern.extract() {
            return Ok(NamespacePattern::Glob(glob));
        }
        let function = Held::new(pattern.getattr("fullmatch")?.unbind(), &hub.trash);
        Ok(NamespacePattern::Callback(Arc::new(PythonPattern { function, hub: Arc::downgrade(hub) })))
    };
    patterns.try_iter()?.map(pattern).collect()
}

/// A compiled regular expression.
#[derive(Debug)]
struct PythonPattern {
    function: Held,
    hub: Weak<Hub>,
}

impl NamespacePredicate for PythonPattern {
    fn test(&self, namespace: &str) -> bool {
        let Some(hub) = self.hub.upgrade() else { return false };
        let matched =
            attached(&hub, |py| self.function.bind(py).call1((namespace,)).map(|matched| !matched.is_none()));
        // Matching a text against a compiled expression raises nothing.
        matched.unwrap_or(false)
    }
}
