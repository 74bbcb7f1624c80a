//! The runtime of an operator: everything that the pure core asks for and the doors share.
//!
//! It owns time, tasks and sockets; it decides nothing about objects, which [`kopf_core`] does, and it knows no language
//! of handlers, which the doors do ([`door::Door`]).

pub mod door;
