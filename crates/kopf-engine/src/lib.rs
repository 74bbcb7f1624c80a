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
//!
//! How it runs: `run` starts and stops everything; `orchestrate` keeps one stream (`watch`) per served resource and namespace,
//! by `discovery` and `serving`; a stream feeds `objects`, whose `worker`s drive the machines of the core.

mod activities;
mod answers;
mod at_door;
mod belief;
pub mod client;
pub mod clock;
mod discovery;
pub mod door;
pub mod error;
#[cfg(test)]
mod golden;
mod log;
mod mailbox;
pub mod namespaces;
mod objects;
mod observe;
pub mod operator;
mod orchestrate;
mod pending;
mod plans;
pub mod posting;
mod queue;
pub mod registry;
mod repr;
mod run;
mod serving;
pub mod shared;
mod watch;
mod worker;

pub use error::RunError;
pub use operator::{Operator, OperatorHandle};
