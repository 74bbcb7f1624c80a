//! The decisions of an operator, pure: why an object needs handling, which handlers run, what is written back.
//!
//! Nothing here does I/O, reads a clock, or knows an async runtime. Time comes in as a value; requests, handler calls and
//! log lines come out as values. So the same code serves Rust and Python, a crash after any output is a loop in a test,
//! and every decision can be compared with what upstream Kopf decides (`contract/golden`).
//!
//! In reading order:
//!
//! - [`object`], [`resource`], [`field`], [`selector`]: what is handled.
//! - [`handler`], [`filter`], [`cause`]: what was declared, and what happened.
//! - [`outcome`], [`patch`], [`log`]: what comes back from a handler, and what goes out.
//! - [`plan`] and [`machine`]: the step machine that ties them together for one object.

pub mod cause;
pub mod diff;
pub mod error;
pub mod field;
pub mod filter;
pub mod handler;
pub mod lifecycle;
pub mod log;
pub mod machine;
pub mod object;
pub mod outcome;
pub mod patch;
pub mod plan;
pub mod reason;
pub mod resource;
pub mod selector;
pub mod settings;
pub mod storage;
