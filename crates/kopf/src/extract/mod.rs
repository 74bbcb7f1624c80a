//! The arguments of handlers: each names by its type what it needs of the cause.

use kopf_core::handler::{Needs, Trigger};
use kopf_engine::registry::Activity;

use crate::{
    cause::Cause,
    environment::States,
    error::{Error, Result},
};

mod attempt;
mod change;
mod events;
mod object;
mod state;

pub use attempt::{Event, Retry, Runtime, Started};
pub use change::{Change, Diff, New, Old};
pub use events::Events;
pub use object::{Annotations, Labels, Name, Namespace, Obj, Raw, Resource, Spec, Status, Uid};
pub use state::{Ctx, Memo};

/// An argument of a handler of `K`: of objects, if `K` is a [`Kind`](crate::Kind); of the operator as a whole, if it is
/// [`Whole`](crate::Whole).
///
/// Implement it for your own types to give handlers what they often need, made of the arguments that are there:
///
/// ```
/// use kopf::prelude::*;
/// use kopf::{FromCause, Kind, Needs};
///
/// struct Tier(String);
///
/// impl<K: Kind> FromCause<K> for Tier {
///     const NEEDS: Needs = Needs::METADATA;
///
///     fn from_cause(cause: &Cause<K>) -> Result<Self> {
///         let Labels(labels) = Labels::from_cause(cause)?;
///         Ok(Self(labels.get("tier").cloned().unwrap_or_else(|| "bronze".into())))
///     }
/// }
///
/// async fn greet(Tier(tier): Tier, Name(name): Name) {
///     info!("{name} is {tier}");
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler of `{K}`",
    label = "no argument of a handler",
    note = "arguments are `Obj<K>`, `Name`, `Patch`, `Change<T>`, `Ctx<T>` and the others in `kopf::extract`, \
            or types of your own that implement `FromCause`"
)]
pub trait FromCause<K>: Sized + Send {
    /// What it reads or changes of the object: decides what is kept in memory.
    const NEEDS: Needs;

    /// Whether it can be had at all where the handler is declared. Asked once, at the start of the operator.
    ///
    /// # Errors
    /// Why not, and what to do, as the end of a sentence about the handler.
    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        let _ = setup;
        Ok(())
    }

    /// Takes it out of the cause.
    ///
    /// # Errors
    /// Those of the handler: it is not called then.
    fn from_cause(cause: &Cause<K>) -> Result<Self>;
}

/// Where a handler is declared.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    pub(crate) states: &'a States,
    pub(crate) place: Place,
}

/// What a handler is declared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Objects.
    Objects(Trigger),
    /// The operator as a whole.
    Activity(Activity),
}

impl Setup<'_> {
    /// Whether the operator has a state of the type.
    #[must_use]
    pub fn has_state<T: std::any::Any>(&self) -> bool {
        self.states.contains::<T>()
    }

    /// Whether the handler is called on every watch event, so that there is neither a reason nor a change.
    #[must_use]
    pub fn is_event_handler(&self) -> bool {
        self.place == Place::Objects(Trigger::Event)
    }
}

/// For arguments that only state-changing handlers have.
fn only_changing(what: &str, setup: &Setup<'_>) -> std::result::Result<(), String> {
    if setup.is_event_handler() {
        return Err(format!("asks for {what}, which there is none of on a watch event"));
    }
    Ok(())
}

/// For what [`only_changing`] keeps out already.
fn missing(what: &str) -> Error {
    crate::error::permanent(format!("there is no {what} on a watch event"))
}

#[cfg(test)]
mod tests;
