//! Options of a handler: its id, its attempts, its filters.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use kopf_core::{
    cause::Cause as CoreCause,
    error::ErrorInfo,
    field::FieldPath,
    filter::{Criterion, Filters, Predicate},
    handler::Options,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{ErrorsMode, EventType, Reason, panic};

/// Gives options to a handler. What is not set is as in Kopf: arbitrary errors are retried every 60 seconds without end.
///
/// ```
/// use std::time::Duration;
/// use kopf::prelude::*;
///
/// # #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
/// # #[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
/// # struct DatabaseSpec { size: u32 }
/// async fn provision(database: Obj<Database>) -> Result {
///     Ok(())
/// }
///
/// on::<Database>()
///     .create(handler(provision).retries(5).backoff(Duration::from_secs(10)).label("tier", "gold"))
///     .update(handler(|name: Name| async move { info!("{}", name.0) }).id("tell"));
/// ```
pub fn handler<F>(function: F) -> Configured<F> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Configured { function, unique: NEXT.fetch_add(1, Ordering::Relaxed), declared: Declared::default() }
}

/// A function with options, made by [`handler`]. A clone is the same function as its original.
#[derive(Clone, Debug)]
#[must_use = "options have an effect only on a handler that is given to an operator"]
pub struct Configured<F> {
    pub(crate) function: F,
    pub(crate) unique: u64,
    pub(crate) declared: Declared,
}

/// What is declared about a handler beside its function. Only for the compiler.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    pub(crate) id: Option<String>,
    pub(crate) options: Options,
    pub(crate) filters: Filters,
    pub(crate) optional: bool,
    pub(crate) deleted: bool,
}

/// What a label, an annotation or a field must be. Texts, numbers, booleans and JSON values convert into it: it must equal
/// them. See also [`PRESENT`], [`ABSENT`] and [`matching`].
#[derive(Clone, Debug)]
pub struct Expected(Criterion);

/// It must be there, whatever it is.
pub const PRESENT: Expected = Expected(Criterion::Present);

/// It must not be there.
pub const ABSENT: Expected = Expected(Criterion::Absent);

/// The test must accept it; absent values are none.
pub fn matching(test: impl Fn(Option<&Value>) -> bool + Send + Sync + 'static) -> Expected {
    Expected(Criterion::Callback(Arc::new(Test {
        test: move |value: Option<&Value>, _: &CoreCause| test(value),
    })))
}

/// What [`Configured::when`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a>(&'a CoreCause);

/// A path to a field: dotted text, or the keys, for keys with dots in them.
pub trait IntoFieldPath {
    /// The path.
    fn into_field_path(self) -> FieldPath;
}

impl<F> Configured<F> {
    /// The handler's id, instead of the function's name: names its progress, its result and its log lines.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.declared.id = Some(id.into());
        self
    }

    /// The number of attempts; after the last one the handler has failed for good. Unlimited by default.
    pub fn retries(mut self, retries: u32) -> Self {
        self.declared.options.retries = Some(retries);
        self
    }

    /// The time for all attempts together, from the first selection; a running attempt is not interrupted. Unlimited by
    /// default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.declared.options.timeout = Some(signed(timeout));
        self
    }

    /// The delay after an arbitrary error. 60 seconds by default.
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.declared.options.backoff = Some(signed(backoff));
        self
    }

    /// What happens after errors that are neither temporary nor permanent. By default they are retried; in event handlers,
    /// logged and ignored.
    pub fn errors(mut self, errors: ErrorsMode) -> Self {
        self.declared.options.errors = Some(errors);
        self
    }

    /// Only for objects with this label.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<Expected>) -> Self {
        self.declared.filters.labels.push((key.into(), value.into().0));
        self
    }

    /// Only for objects with this annotation.
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<Expected>) -> Self {
        self.declared.filters.annotations.push((key.into(), value.into().0));
        self
    }

    /// Only for objects with this field. [`Old`](crate::Old), [`New`](crate::New), [`Change`](crate::Change) and
    /// [`Diff`](crate::Diff) are reduced to it, and it becomes a part of the id: `resize/spec.size`. A handler of updates
    /// runs only if it has changed.
    pub fn field(mut self, path: impl IntoFieldPath) -> Self {
        self.declared.filters.field = Some(path.into_field_path());
        self
    }

    /// What the field must be, now or before.
    pub fn value(mut self, value: impl Into<Expected>) -> Self {
        self.declared.filters.value = Some(value.into().0);
        self
    }

    /// What the field must have been. Only for handlers of updates and of fields.
    pub fn old(mut self, value: impl Into<Expected>) -> Self {
        self.declared.filters.old = Some(value.into().0);
        self
    }

    /// What the field must have become. Only for handlers of updates and of fields.
    pub fn new(mut self, value: impl Into<Expected>) -> Self {
        self.declared.filters.new = Some(value.into().0);
        self
    }

    /// Only for objects that the test accepts. Asked last, several times per event: it must be pure and cheap.
    pub fn when(mut self, test: impl Fn(Subject<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.declared.filters.when =
            Some(Arc::new(Test { test: move |_: Option<&Value>, cause: &CoreCause| test(Subject(cause)) }));
        self
    }

    /// A handler of deletions that does not hold the object: it runs only if something else does (A-DEC-020).
    pub fn optional(mut self) -> Self {
        self.declared.optional = true;
        self
    }

    /// A handler of resumes that runs also for objects which are being deleted (A-DEC-019).
    pub fn deleted(mut self) -> Self {
        self.declared.deleted = true;
        self
    }
}

impl Subject<'_> {
    /// The object as it was received.
    #[must_use]
    pub fn raw(&self) -> &Value {
        self.0.object.body()
    }

    /// The object as a Rust type; none if it does not fit.
    #[must_use]
    pub fn typed<K: DeserializeOwned>(&self) -> Option<K> {
        K::deserialize(self.raw()).ok()
    }

    /// A field of the object, by its dotted path or its keys.
    #[must_use]
    pub fn field(&self, path: impl IntoFieldPath) -> Option<&Value> {
        path.into_field_path().resolve(self.raw())
    }

    /// Why the handler would run; none for event handlers.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// The type of the watch event; none for an object of the initial listing.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        self.0.event_type
    }
}

impl<T: Into<Value>> From<T> for Expected {
    fn from(value: T) -> Self {
        Self(Criterion::Equals(value.into()))
    }
}

impl IntoFieldPath for &str {
    fn into_field_path(self) -> FieldPath {
        FieldPath::dotted(self)
    }
}

impl<const N: usize> IntoFieldPath for [&str; N] {
    fn into_field_path(self) -> FieldPath {
        FieldPath(self.map(str::to_owned).into())
    }
}

impl IntoFieldPath for FieldPath {
    fn into_field_path(self) -> FieldPath {
        self
    }
}

/// A filter in Rust. A panic in it is an error of the step, as an exception is in Python (A-FLT-041).
struct Test<F> {
    test: F,
}

impl<F: Fn(Option<&Value>, &CoreCause) -> bool + Send + Sync> Predicate for Test<F> {
    fn test(&self, value: Option<&Value>, cause: &CoreCause) -> Result<bool, ErrorInfo> {
        catch_unwind(AssertUnwindSafe(|| (self.test)(value, cause)))
            .map_err(|payload| ErrorInfo::new(format!("a filter {}", panic::text(&*payload))))
    }
}

impl<F> fmt::Debug for Test<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<F>())
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
