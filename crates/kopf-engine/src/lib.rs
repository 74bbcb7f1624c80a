//! The runtime of an operator: everything that the pure core asks for and the doors share.
//!
//! It owns time, tasks and sockets; it decides nothing about objects, which [`kopf_core`] does, and it knows no language
//! of handlers, which the doors do ([`door::Door`]).
//!
//! In reading order:
//!
//! - [`operator`], [`registry`], [`namespaces`], [`shared`]: what an operator is made of.
//! - [`door`]: how handlers are called. [`posting`]: Kubernetes Events.
//! - [`client`]: requests to the cluster. [`clock`]: time.

pub mod client;
pub mod clock;
pub mod door;
pub mod error;
pub mod namespaces;
pub mod operator;
pub mod posting;
pub mod registry;
mod run;
pub mod shared;

pub use error::RunError;
pub use operator::{Operator, OperatorHandle};
