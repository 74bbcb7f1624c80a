//! Filters: for which objects a handler runs. Pure matching of values; callbacks are the door's.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{cause::Cause, error::ErrorInfo, field::FieldPath};

/// A filter that is code: `when=`, or a callable as the value of a label, an annotation or a field.
pub trait Predicate: fmt::Debug + Send + Sync {
    /// Whether the object passes. `value` is the value in question, none if it is absent (FIX-5) or for `when=`.
    ///
    /// # Errors
    /// What the code raises: no error of a handler; the step fails, and the object is throttled (W-EXE-005).
    fn test(&self, value: Option<&Value>, cause: &Cause) -> Result<bool, ErrorInfo>;
}

/// What a value must be.
#[derive(Clone, Debug)]
pub enum Criterion {
    /// Equal to it, by Python's rules (A-FLT-023).
    Equals(Value),
    /// There, whatever it is.
    Present,
    /// Not there.
    Absent,
    /// What the callback accepts.
    Callback(Arc<dyn Predicate>),
}

/// All the criteria of one handler; all must hold. The default accepts everything.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Criteria of labels by key.
    pub labels: Vec<(String, Criterion)>,
    /// Criteria of annotations by key.
    pub annotations: Vec<(String, Criterion)>,
    /// The field that the handler is about.
    pub field: Option<FieldPath>,
    /// What the field must be, now or before.
    pub value: Option<Criterion>,
    /// What the field must have been.
    pub old: Option<Criterion>,
    /// What the field must have become.
    pub new: Option<Criterion>,
    /// The last word.
    pub when: Option<Arc<dyn Predicate>>,
}

impl Criterion {
    fn is_callback(&self) -> bool {
        matches!(self, Self::Callback(_))
    }
}

impl Filters {
    /// Whether matching may call the door's code (DEC-6).
    #[must_use]
    pub fn has_callbacks(&self) -> bool {
        let keyed = self.labels.iter().chain(&self.annotations).any(|(_, criterion)| criterion.is_callback());
        let valued = [&self.value, &self.old, &self.new].into_iter().flatten().any(Criterion::is_callback);
        self.when.is_some() || keyed || valued
    }
}
