//! The event that is handled, and this attempt to handle it.

use std::time::Duration;

use jiff::Timestamp;
use kopf_core::handler::Needs;

use super::{FromCause, Raw};
use crate::{
    EventType, Patch,
    cause::{Cause, Kind},
    error::Result,
};

/// The watch event that is handled.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its type; none for an object of the initial listing.
    pub event_type: Option<EventType>,
    /// The object as the event shows it.
    pub object: Raw,
}

impl<K: Kind> FromCause<K> for Event {
    const NEEDS: Needs = <Raw as FromCause<K>>::NEEDS;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self { event_type: cause.event_type(), object: Raw::from_cause(cause)? })
    }
}

/// The type of the event alone.
impl<K: Kind> FromCause<K> for Option<EventType> {
    const NEEDS: Needs = Needs(0);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(cause.event_type())
    }
}

/// How often the handler was tried before in this cycle; 0 at first (A-KW-020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Retry(pub u32);

impl<K> FromCause<K> for Retry {
    const NEEDS: Needs = Needs(0);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.retry()))
    }
}

/// When the handler was first selected in this cycle (A-KW-023). Survives restarts of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Started(pub Timestamp);

impl<K> FromCause<K> for Started {
    const NEEDS: Needs = Needs(0);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.started()))
    }
}

/// The time since [`Started`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Runtime(pub Duration);

impl<K> FromCause<K> for Runtime {
    const NEEDS: Needs = Needs(0);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.runtime()))
    }
}

impl<K: Kind> FromCause<K> for Patch {
    const NEEDS: Needs = Needs::PATCH;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(cause.patch().clone())
    }
}

/// The whole cause. It can read everything, so everything is kept in memory for it.
impl<K: Kind> FromCause<K> for Cause<K> {
    const NEEDS: Needs = Needs::ALL;

    fn from_cause(cause: &Self) -> Result<Self> {
        Ok(cause.clone())
    }
}

/// The span of the call, which names the object and the handler. Everything that the handler logs itself is in it
/// already; give it to tasks that the handler spawns.
impl<K> FromCause<K> for tracing::Span {
    const NEEDS: Needs = Needs(0);

    fn from_cause(_: &Cause<K>) -> Result<Self> {
        Ok(Self::current())
    }
}
