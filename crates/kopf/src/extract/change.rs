//! What has changed. Only for state-changing handlers: on a watch event there is no last handled state to compare with.

use std::{ops::Deref, sync::Arc};

use kopf_core::{
    diff::{Diff as CoreDiff, DiffItem},
    handler::Needs,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{FromCause, Setup, missing, only_changing};
use crate::{
    Reason,
    cause::{Cause, Kind, parse},
    error::Result,
};

/// The state that was handled last: the handler's field, or the whole essence (labels, annotations, spec and all that is
/// neither status nor other metadata). None if the object was never handled, or had no such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old<T>(pub Option<T>);

/// The state now, as [`Old`]. None if there is no such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct New<T>(pub Option<T>);

/// [`Old`] and [`New`] together: the natural argument of a handler of a field.
///
/// ```
/// use kopf::prelude::*;
///
/// async fn resize(size: Change<u32>, patch: Patch) {
///     patch.status(json!({"grown": size.new > size.old}));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// The state that was handled last.
    pub old: Option<T>,
    /// The state now.
    pub new: Option<T>,
}

/// The differences, item by item; within the handler's field, if it has one.
#[derive(Clone, Debug)]
pub struct Diff(pub Arc<CoreDiff>);

impl Deref for Diff {
    type Target = [DiffItem];

    fn deref(&self) -> &[DiffItem] {
        &self.0.0
    }
}

impl<K: Kind, T: DeserializeOwned + Send> FromCause<K> for Old<T> {
    const NEEDS: Needs = Needs::OLD;

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        only_changing("`Old`", setup)
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(state("old", cause, cause.old())?))
    }
}

impl<K: Kind, T: DeserializeOwned + Send> FromCause<K> for New<T> {
    const NEEDS: Needs = Needs::OLD;

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        only_changing("`New`", setup)
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(state("new", cause, cause.new_state())?))
    }
}

impl<K: Kind, T: DeserializeOwned + Send> FromCause<K> for Change<T> {
    const NEEDS: Needs = Needs::OLD;

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        only_changing("`Change`", setup)
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self { old: state("old", cause, cause.old())?, new: state("new", cause, cause.new_state())? })
    }
}

impl<K: Kind> FromCause<K> for Diff {
    const NEEDS: Needs = Needs::OLD;

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        only_changing("`Diff`", setup)
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.diff().clone()))
    }
}

impl<K: Kind> FromCause<K> for Reason {
    const NEEDS: Needs = Needs::OLD;

    fn check(setup: &Setup<'_>) -> std::result::Result<(), String> {
        only_changing("`Reason`", setup)
    }

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        cause.reason().ok_or_else(|| missing("reason"))
    }
}

fn state<K, T: DeserializeOwned>(which: &str, cause: &Cause<K>, value: Option<&Value>) -> Result<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    let title = cause.title();
    let part = match cause.handler().field() {
        Some(field) => format!("the {which} {field} of {title}"),
        None => format!("the {which} state of {title}"),
    };
    Ok(parse(&part, value)?)
}
