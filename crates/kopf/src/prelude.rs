//! What operators usually need: `use kopf::prelude::*;`.

#[doc(no_inline)]
pub use kube::CustomResource;
#[doc(no_inline)]
pub use schemars::JsonSchema;
#[doc(no_inline)]
pub use serde::{Deserialize, Serialize};
#[doc(no_inline)]
pub use serde_json::json;
#[doc(no_inline)]
pub use tracing::{debug, error, info, warn};

pub use crate::{
    ABSENT, Annotations, Cause, Change, Ctx, Diff, DiffItem, Error, ErrorsMode, Event, EventType, Events,
    Json, Labels, Memo, Name, Namespace, New, Obj, Old, Operator, PRESENT, ParseError, Patch, Raw, Reason,
    Result, Retry, Runtime, Spec, Started, Status, Subhandlers, Uid, handler, matching, on, permanent,
    temporary,
};
