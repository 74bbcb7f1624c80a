//! What handlers share beside the object.

use std::{
    any::{Any, type_name},
    ops::Deref,
    sync::Arc,
};

use kopf_core::handler::Needs;
use kopf_engine::registry::Activity;

use super::{FromCause, Place, Setup};
use crate::{
    cause::{Cause, Kind},
    error::{Result, permanent},
};

/// A state of the operator, given to it by [`Operator::with`](crate::Operator::with). An operator without it does not start.
#[derive(Debug)]
pub struct Ctx<T>(pub Arc<T>);

impl<T> Deref for Ctx<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Ctx<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, T: Any + Send + Sync> FromCause<K> for Ctx<T> {
    const NEEDS: Needs = Needs(0);

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        let name = type_name::<T>();
        if setup.has_state::<T>() {
            Ok(())
        } else {
            Err(format!(
                "asks for `Ctx<{name}>`, which the operator does not have: give it one by `.with(..)`"
            ))
        }
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        let state = cause.environment().states.get().map(Self);
        state.ok_or_else(|| permanent(format!("the operator has no state of type {}", type_name::<T>())))
    }
}

/// Something kept in memory for each object, from its first use until the object is gone or the operator ends. One per
/// object and type, shared by all its handlers; use a mutex or atomics within it.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use kopf::prelude::*;
///
/// async fn count(seen: Memo<AtomicU32>) {
///     info!("event number {}", seen.fetch_add(1, Ordering::Relaxed));
/// }
/// ```
#[derive(Debug)]
pub struct Memo<T>(pub Arc<T>);

impl<T> Deref for Memo<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Kind, T: Any + Default + Send + Sync> FromCause<K> for Memo<T> {
    const NEEDS: Needs = Needs(0);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.environment().memo(cause.core().object_id)))
    }
}

/// The operator's own connection to the cluster.
impl<K> FromCause<K> for kube::Client {
    const NEEDS: Needs = Needs(0);

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        if setup.place == Place::Activity(Activity::Startup) {
            return Err("asks for a client, but the operator connects only after its startup".into());
        }
        Ok(())
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        cause.client().ok_or_else(|| permanent("the operator is not connected to a cluster"))
    }
}
