//! Changes of the object by its handlers: one patch, shared by all handlers of a cycle.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kopf_core::{
    error::ErrorInfo,
    patch::{Patch as CorePatch, Transform},
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{PermanentError, Result};

/// What is to be changed in the object, sent once after the handlers of a step have run (A-PATCH-020).
///
/// It is shared by all handlers of the step, and sent whatever their outcomes are (A-PATCH-025). Nothing is sent at the
/// time of the call, so nothing can fail here but the serialisation of a value: that makes the handler fail for good.
///
/// ```
/// use kopf::Patch;
/// use serde_json::json;
///
/// let patch = Patch::default();
/// patch.status(json!({"phase": "Ready"}));
/// patch.label("tier", Some("gold"));
/// patch.annotation("old", None);
/// assert_eq!(
///     patch.merge_patch(),
///     json!({
///         "status": {"phase": "Ready"},
///         "metadata": {"labels": {"tier": "gold"}, "annotations": {"old": null}},
///     }),
/// );
/// ```
#[derive(Clone, Default)]
pub struct Patch {
    shared: Arc<Mutex<CorePatch>>,
    /// What could not be serialised; of one call, not of the cycle.
    problem: Arc<Mutex<Option<String>>>,
}

impl Patch {
    /// Adds a merge patch (RFC 7386) of the whole object: null deletes, objects merge, all else replaces.
    pub fn merge(&self, patch: impl Serialize) {
        if let Some(Value::Object(patch)) = self.object("the patch", patch) {
            merge(&mut lock(&self.shared).merge, patch);
        }
    }

    /// Merges into `status`.
    pub fn status(&self, fields: impl Serialize) {
        self.within("status", fields);
    }

    /// Merges into `spec`.
    pub fn spec(&self, fields: impl Serialize) {
        self.within("spec", fields);
    }

    /// Sets a label, or removes it.
    pub fn label(&self, key: &str, value: Option<&str>) {
        self.merge(serde_json::json!({ "metadata": { "labels": { key: value } } }));
    }

    /// Sets an annotation, or removes it.
    pub fn annotation(&self, key: &str, value: Option<&str>) {
        self.merge(serde_json::json!({ "metadata": { "annotations": { key: value } } }));
    }

    /// Adds a function that changes the freshest body in place: for what a merge patch cannot say, such as one item of a
    /// list. The difference is sent as a JSON patch, guarded by the resource version; if the object has changed meanwhile,
    /// the function is applied again to the newer one. So it may run several times, and must be idempotent (A-PATCH-022).
    ///
    /// ```
    /// # let patch = kopf::Patch::default();
    /// patch.transform(|body| {
    ///     if let Some(items) = body.pointer_mut("/spec/items").and_then(|items| items.as_array_mut()) {
    ///         items.retain(|item| item != "obsolete");
    ///     }
    /// });
    /// ```
    pub fn transform(&self, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        lock(&self.shared).transforms.push(Arc::new(Function(change)));
    }

    /// The merge patch as it is so far.
    #[must_use]
    pub fn merge_patch(&self) -> Value {
        Value::Object(lock(&self.shared).merge.clone())
    }

    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock(&self.shared).is_empty()
    }

    pub(crate) fn from_core(patch: CorePatch) -> Self {
        Self { shared: Arc::new(Mutex::new(patch)), problem: Arc::default() }
    }

    pub(crate) fn to_core(&self) -> CorePatch {
        lock(&self.shared).clone()
    }

    /// Changes the patch as the core sees it, under its lock.
    pub(crate) fn with_core<T>(&self, change: impl FnOnce(&mut CorePatch) -> T) -> T {
        change(&mut lock(&self.shared))
    }

    /// The same patch for another call.
    pub(crate) fn of_call(&self) -> Self {
        Self { shared: self.shared.clone(), problem: Arc::default() }
    }

    /// What could not be serialised in this call, as the handler's error.
    pub(crate) fn check(&self) -> Result {
        match lock(&self.problem).take() {
            None => Ok(()),
            Some(problem) => Err(PermanentError::new(problem).into()),
        }
    }

    fn within(&self, stanza: &str, fields: impl Serialize) {
        if let Some(fields) = self.object(stanza, fields) {
            merge(&mut lock(&self.shared).merge, Map::from_iter([(stanza.to_owned(), fields)]));
        }
    }

    fn object(&self, what: &str, value: impl Serialize) -> Option<Value> {
        let problem = match serde_json::to_value(value) {
            Ok(value @ Value::Object(_)) => return Some(value),
            Ok(_) => format!("{what} can be patched with a JSON object only"),
            Err(error) => format!("{what} cannot be patched with what is no JSON: {error}"),
        };
        lock(&self.problem).get_or_insert(problem);
        None
    }
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lock(&self.shared).fmt(f)
    }
}

/// Adds one merge patch to another. The sum does what both do one after the other, but for one thing that no merge patch
/// can say: to clear an object first and then put something into it.
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, value) in patch {
        match (target.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => {
                target.insert(key, value);
            }
        }
    }
}

struct Function<F>(F);

impl<F: Fn(&mut Value) + Send + Sync> Transform for Function<F> {
    fn apply(&self, body: &mut Value) -> std::result::Result<(), ErrorInfo> {
        catch_unwind(AssertUnwindSafe(|| (self.0)(body))).map_err(|panic| {
            ErrorInfo::new(format!("a function of the patch {}", crate::panic::text(&*panic)))
        })
    }
}

impl<F> fmt::Debug for Function<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<F>())
    }
}

/// No value is left half changed under these locks, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn fragments_merge_and_later_ones_win() {
        let patch = Patch::default();
        patch.status(json!({"a": {"x": 1}, "b": [1]}));
        patch.status(json!({"a": {"y": 2}, "b": [2]}));
        patch.merge(json!({"status": {"a": {"x": null}}}));
        assert_eq!(patch.merge_patch(), json!({"status": {"a": {"x": null, "y": 2}, "b": [2]}}));
    }

    #[test]
    fn what_is_no_json_is_told_once_by_the_call_that_wrote_it() {
        let shared = Patch::default();
        let (mine, other) = (shared.of_call(), shared.of_call());
        mine.status(BTreeMap::from([((1, 2), 3)]));
        mine.spec("text");
        assert!(other.check().is_ok());
        assert!(mine.check().unwrap_err().to_string().starts_with("status cannot be patched"));
        assert!(mine.check().is_ok());
        assert!(shared.is_empty());
    }

    #[test]
    fn a_panic_in_a_function_is_an_error_of_the_step() {
        let patch = Patch::default();
        patch.transform(|_| panic!("oops"));
        let error = patch.to_core().transforms[0].apply(&mut json!({})).unwrap_err();
        assert_eq!(error.text, "a function of the patch panicked: oops");
    }
}
