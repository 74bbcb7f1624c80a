//! An API server with one object, and operators made of scripts: what the machine is played against.
//!
//! The server has the semantics that matter to the machine: merge patches, JSON patches with tests, finalizers, versions, no
//! new version without a change. It is no dev cluster: no schemas, no lists, no other objects.

#![allow(dead_code, reason = "each test file compiles its own copy and uses a part of it")]

pub(crate) mod script;
pub(crate) mod server;
