#![doc = include_str!("guide.md")]

/// Compiles the examples of the front page.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod activity;
mod attempt;
mod cause;
mod crd;
mod door;
mod environment;
mod error;
mod handler;
mod on;
mod operator;
mod options;
mod outcome;
mod panic;
mod patch;
mod settings;
mod signals;
mod subhandlers;
#[cfg(test)]
mod testing_cause;

pub mod cli;
pub mod extract;
pub mod logging;
pub mod prelude;
pub mod testing;

#[doc(no_inline)]
pub use kopf_core::{
    diff::{DiffItem, Op},
    field::FieldPath,
    handler::{ErrorsMode, Needs},
    reason::{EventType, Reason},
    settings::Settings,
};
#[doc(no_inline)]
pub use kopf_engine::{RunError, client::Connection, namespaces::Scope};
pub use kopf_macros::main;
#[doc(no_inline)]
pub use kube;

pub use crate::{
    activity::Whole,
    cause::{Cause, Kind},
    crd::crd,
    error::{Error, ErrorKind, ParseError, PermanentError, Result, TemporaryError, permanent, temporary},
    extract::{
        Annotations, Change, Ctx, Diff, Event, Events, FromCause, Labels, Memo, Name, Namespace, New, Obj,
        Old, Raw, Resource, Retry, Runtime, Setup, Spec, Started, Status, Uid,
    },
    handler::{Function, Handler},
    on::{On, on},
    operator::{Operator, OperatorError},
    options::{ABSENT, Configured, Declared, Expected, IntoFieldPath, PRESENT, Subject, handler, matching},
    outcome::{IntoOutcome, Json},
    patch::Patch,
    subhandlers::Subhandlers,
};
