//! What a handler may return.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, PermanentError, Result};

/// A result to be kept in the object, under `status.<handler id>` (A-RES-001).
///
/// An object is merged into what is there; anything else replaces it; null keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// What handlers return: nothing, a [`Json`] result, or a `Result` of these with any error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a handler may return",
    label = "cannot be returned from a handler",
    note = "handlers return `()`, `Json<T>` with a `T: Serialize`, or a `Result` of these with any error type",
    note = "wrap a value to be kept in the object's status: `Json(value)`"
)]
pub trait IntoOutcome {
    /// The result to be kept, if any.
    ///
    /// # Errors
    /// The handler's error; also if the result cannot be serialised, which is permanent (FIX-14).
    fn into_outcome(self) -> Result<Option<Value>>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Option<Value>> {
        Ok(None)
    }
}

impl<T: Serialize> IntoOutcome for Json<T> {
    fn into_outcome(self) -> Result<Option<Value>> {
        match serde_json::to_value(self.0) {
            Ok(Value::Null) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(PermanentError::new(format!("the result is no JSON: {error}")).into()),
        }
    }
}

impl<T: IntoOutcome, E: Into<Error>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<Option<Value>> {
        self.map_err(Into::into)?.into_outcome()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn null_is_no_result_and_all_else_is_one() {
        assert_eq!(Json(None::<u8>).into_outcome().unwrap(), None);
        assert_eq!(Json(false).into_outcome().unwrap(), Some(json!(false)));
        assert_eq!(().into_outcome().unwrap(), None);
        assert_eq!(Ok::<_, Error>(Json("x")).into_outcome().unwrap(), Some(json!("x")));
    }

    #[test]
    fn a_result_that_is_no_json_is_a_permanent_error() {
        // FIX-14: keys that are no texts cannot be written as JSON.
        let error = Json(BTreeMap::from([((1, 2), 3)])).into_outcome().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent);
    }
}
