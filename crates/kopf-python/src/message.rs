//! The messages to the event loop's thread.

use std::sync::Arc;

use kopf_core::{machine::Call, machine::CallId, resource::Resource};
use kopf_engine::door::{ActivityCall, Record, Step};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::{calls::Running, report::Report};

/// What the event loop's thread is to do. Messages are processed in the order in which they were put in.
pub(crate) enum Message {
    /// Run a handler of an object.
    Call {
        /// The resource of the object.
        resource: Arc<Resource>,
        /// The attempt.
        call: Box<Call>,
        /// Where the end is reported.
        report: Report,
    },
    /// Run a handler of an activity.
    Activity {
        /// The attempt.
        call: Box<ActivityCall>,
        /// Where the end is reported.
        report: Report,
    },
    /// A function in a thread has returned, but is not done: its sub-handlers are to be run, or its result awaited.
    Continue(Running, Py<PyAny>),
    /// A future of the loop is to be completed: a sub-handler in a thread has ended.
    Resolve(Py<PyAny>, PyResult<Py<PyAny>>),
    /// Ask a running handler to end.
    Cancel(u64, CallId),
    /// Run a step that may call plug-ins.
    Step(Step, oneshot::Sender<()>),
    /// Log a line.
    Log(Record),
    /// An object is gone.
    Forget(u64),
    /// The startup activities have succeeded.
    Ready,
    /// The engine has ended. Nothing comes after it.
    Ended(Result<(), kopf_engine::RunError>),
}
