//! What is declared for one kind of objects.

use std::{fmt, marker::PhantomData, sync::Arc};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kopf_core::{
    handler::{Handler as CoreHandler, HandlerId, Options, Trigger},
    selector::{Name, Selector},
};
use kube::CustomResourceExt;

use crate::{
    attempt::{Attempt, attempt_erased},
    cause::Kind,
    environment::States,
    extract::{Place, Setup},
    handler::{Check, Function, Handler},
    options::{Declared, IntoFieldPath},
};

/// The handlers of the objects of `K`, to be given to [`Operator::serve`](crate::Operator::serve).
pub fn on<K: Kind>() -> On<K> {
    On { declarations: Vec::new(), crd: None, kind: PhantomData }
}

/// The handlers of the objects of `K`, made by [`on`]. They run in the order of declaration.
#[must_use = "handlers have an effect only if they are given to an operator"]
pub struct On<K> {
    declarations: Vec<(Trigger, Function<K>)>,
    crd: Option<CustomResourceDefinition>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> On<K> {
    /// Once for a new object.
    pub fn create<A>(self, handler: impl Handler<K, A>) -> Self {
        self.add(Trigger::Create, handler)
    }

    /// Once for every change of the object, but of its status and of most of its metadata.
    pub fn update<A>(self, handler: impl Handler<K, A>) -> Self {
        self.add(Trigger::Update, handler)
    }

    /// Before the object is gone: it is held by a finalizer until the handler has finished.
    pub fn delete<A>(self, handler: impl Handler<K, A>) -> Self {
        self.add(Trigger::Delete { optional: false }, handler)
    }

    /// Once per process for an object that was there, and was handled, before.
    pub fn resume<A>(self, handler: impl Handler<K, A>) -> Self {
        self.add(Trigger::Resume { deleted: false }, handler)
    }

    /// Once for every change of one field, in creations too (KEEP-6).
    pub fn field<A>(mut self, path: impl IntoFieldPath, handler: impl Handler<K, A>) -> Self {
        let mut function = handler.into_function();
        function.declared.filters.field = Some(path.into_field_path());
        self.declarations.push((Trigger::Field, function));
        self
    }

    /// On every watch event. Nothing is kept in the object, and nothing is retried. Handlers of the same event run one after
    /// another, in the order of declaration; each gets the patch as the one before it has left it.
    pub fn event<A>(self, handler: impl Handler<K, A>) -> Self {
        self.add(Trigger::Event, handler)
    }

    /// Declares that the operator brings the definition of `K` along, as [`crd`](crate::crd) makes it: the command `dev` and
    /// tests install it.
    pub fn with_crd(mut self) -> Self
    where
        K: CustomResourceExt,
    {
        self.crd = Some(crate::crd::<K>());
        self
    }

    fn add<A>(mut self, trigger: Trigger, handler: impl Handler<K, A>) -> Self {
        self.declarations.push((trigger, handler.into_function()));
        self
    }

    pub(crate) fn into_kind(self) -> Served {
        Served {
            kind: K::kind(&()).into_owned(),
            selector: Selector {
                group: Some(K::group(&()).into_owned()),
                version: Some(K::version(&()).into_owned()),
                name: Name::Plural(K::plural(&()).into_owned()),
            },
            crd: self.crd,
            handlers: self
                .declarations
                .into_iter()
                .map(|(trigger, function)| erase(trigger, function))
                .collect(),
        }
    }
}

impl<K> fmt::Debug for On<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("On").field("declarations", &self.declarations).finish_non_exhaustive()
    }
}

/// The handlers of one kind, without its type.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) kind: String,
    pub(crate) selector: Selector,
    pub(crate) crd: Option<CustomResourceDefinition>,
    pub(crate) handlers: Vec<ErasedHandler>,
}

/// One handler as it was declared, without the types of its function and its kind.
pub(crate) struct ErasedHandler {
    trigger: Trigger,
    name: Option<&'static str>,
    declared: Declared,
    checks: Vec<Check>,
    needs: kopf_core::handler::Needs,
    identity: u64,
    pub(crate) attempt: Arc<dyn Attempt>,
}

fn erase<K: Kind>(trigger: Trigger, function: Function<K>) -> ErasedHandler {
    let Function { identity, name, needs, checks, run, declared } = function;
    let trigger = match trigger {
        Trigger::Delete { .. } => Trigger::Delete { optional: declared.optional },
        Trigger::Resume { .. } => Trigger::Resume { deleted: declared.deleted },
        other => other,
    };
    ErasedHandler { trigger, name, declared, checks, needs, identity, attempt: attempt_erased(run) }
}

impl ErasedHandler {
    /// The handler as the engine knows it.
    ///
    /// # Errors
    /// All that is wrong with its declaration, as sentences.
    pub(crate) fn declare(&self, kind: &str, states: &States) -> Result<Arc<CoreHandler>, Vec<String>> {
        let what = trigger_word(self.trigger);
        let Some(own) = self.declared.id.as_deref().or(self.name) else {
            return Err(vec![format!(
                "a handler given to `on::<{kind}>().{what}(..)` has no name, being a closure or a function pointer: \
                 name it by `handler(..).id(\"..\")`"
            )]);
        };
        let id = full_id(own, &self.declared);
        let mut problems = misused(self.trigger, &self.declared);
        let setup = Setup { states, place: Place::Objects(self.trigger) };
        problems.extend(self.checks.iter().filter_map(|check| check(&setup).err()));
        if problems.is_empty() {
            let Declared { options, filters, .. } = self.declared.clone();
            let (needs, function) = (self.needs, self.identity);
            return Ok(Arc::new(CoreHandler {
                id,
                trigger: self.trigger,
                filters,
                options,
                function,
                needs,
            }));
        }
        let about = |problem| format!("the {what} handler `{id}` of {kind} {problem}");
        Err(problems.into_iter().map(about).collect())
    }
}

impl fmt::Debug for ErasedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedHandler")
            .field("trigger", &self.trigger)
            .field("name", &self.name)
            .field("declared", &self.declared)
            .finish_non_exhaustive()
    }
}

/// With the field, if there is one (A-HID-004).
fn full_id(own: &str, declared: &Declared) -> HandlerId {
    let id = HandlerId::from(own);
    match &declared.filters.field {
        Some(field) => id.with_field(field),
        None => id,
    }
}

/// Options that make no sense where the handler is declared: refused rather than ignored (A-DEC-005, A-DEC-018).
pub(crate) fn misused(trigger: Trigger, declared: &Declared) -> Vec<String> {
    let Declared { options, filters, optional, deleted, .. } = declared;
    let Options { errors, timeout, retries, backoff } = options;
    let has_attempts = errors.is_some() || timeout.is_some() || retries.is_some() || backoff.is_some();
    let has_sides = filters.old.is_some() || filters.new.is_some();
    let compares = matches!(trigger, Trigger::Update | Trigger::Field | Trigger::Sub { needs_change: true });
    let cases = [
        (
            trigger == Trigger::Event && has_attempts,
            "has `errors`, `timeout`, `retries` or `backoff`, but is never retried: remove them",
        ),
        (
            filters.field.is_none() && (filters.value.is_some() || has_sides),
            "has `value`, `old` or `new` of no field: add `field`",
        ),
        (
            filters.value.is_some() && has_sides,
            "has `value` together with `old` or `new`: keep one of the two",
        ),
        (has_sides && !compares, "has `old` or `new`, which only handlers of updates and of fields have"),
        (*optional && !matches!(trigger, Trigger::Delete { .. }), "is `optional`, but not of deletions"),
        (*deleted && !matches!(trigger, Trigger::Resume { .. }), "is `deleted`, but not of resumes"),
    ];
    cases.into_iter().filter(|(is_misused, _)| *is_misused).map(|(_, problem)| problem.to_owned()).collect()
}

fn trigger_word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Event => "event",
        Trigger::Create => "create",
        Trigger::Update => "update",
        Trigger::Delete { .. } => "delete",
        Trigger::Resume { .. } => "resume",
        Trigger::Field => "field",
        Trigger::Sub { .. } => "sub",
    }
}
