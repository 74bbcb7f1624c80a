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
//! - [`storage`], [`record`], [`essence`], [`diff`]: what is kept in the object, and what has changed in it. In the formats of
//!   [`key`], [`moment`] and [`json`], which are upstream's to the byte.
//! - [`json_patch`], [`finalizer`]: how a patch is said where a merge patch is not enough.
//! - [`detect`] and [`select`]: why something is to be done, and which handlers do it.
//! - [`attempt`] and [`state`]: how one handler is tried, and how far all are.
//! - [`plan`] and [`machine`]: the step machine that ties them together for one object; [`subcycle`], the same for the
//!   sub-handlers of one call.

pub mod attempt;
pub mod cause;
pub mod detect;
pub mod diff;
pub mod error;
pub mod essence;
pub mod field;
pub mod filter;
pub mod finalizer;
pub mod handler;
pub mod json;
pub mod json_patch;
pub mod key;
pub mod lifecycle;
pub mod log;
pub mod machine;
pub mod moment;
pub mod object;
pub mod outcome;
pub mod patch;
pub mod plan;
pub mod reason;
pub mod record;
pub mod resource;
pub mod select;
pub mod selector;
pub mod settings;
pub mod state;
pub mod storage;
pub mod subcycle;
#[cfg(test)]
mod testing;
