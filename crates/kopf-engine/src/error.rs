//! Why an operator ended.

use kopf_core::error::ErrorInfo;

use crate::client::{ApiError, LoginError};

/// Why an operator ended, other than because it was asked to. The process exits with 1 (W-PRC-017).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// An activity has failed for good (W-ACT-002). `origin` is the first failure, for the door to raise from.
    #[error("One or more handlers failed.")]
    Activity {
        /// `startup`, `cleanup`, `authentication`.
        activity: &'static str,
        /// The first failure.
        first: ErrorInfo,
    },
    /// There is no way to connect: a missing or broken kubeconfig, or no valid credentials (W-AUT-006).
    #[error("cannot log in to the cluster")]
    Login(#[from] LoginError),
    /// A request that the operator cannot do without was refused.
    #[error("cannot {doing}")]
    Api {
        /// What was done: `discover the resources`.
        doing: String,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// A stream sent an error that is no expired version (W-WAT-009).
    #[error("Error in the watch-stream: {0}")]
    Watch(String),
    /// The door's code has failed where only code of the door decides: a callable selector, a namespace pattern.
    #[error("the operator's code has failed: {0}")]
    Plugin(ErrorInfo),
    /// A defect of the engine.
    #[error(
        "Event processing has failed with an unrecoverable error. This seems to be a framework bug. The operator will stop to \
         prevent damage. ({0})"
    )]
    Worker(String),
}
