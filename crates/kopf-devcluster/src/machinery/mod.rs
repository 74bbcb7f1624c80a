//! The pure part of the API server: functions on JSON values.
//!
//! What a real API server does to an object between decoding a request and storing the result is decided
//! here: patches, selectors, names, validation. Nothing in this folder does I/O, reads a clock, draws random
//! numbers or knows of HTTP and Tokio: moments and random input are given by the caller, and what is refused
//! comes back as data ([`cause::Cause`] or a text), from which the caller makes a `Status`.
//!
//! In reading order:
//!
//! - [`cause`]: one reason why an object is refused, and the texts of Kubernetes' field errors;
//! - [`go`]: values and errors as Go prints them;
//! - [`names`], [`metadata`]: what object names and object metadata may look like;
//! - [`selector`]: label and field selectors;
//! - [`merge_patch`], [`json_patch`]: the patches that need no knowledge of types;
//! - [`types`], [`object_meta`], [`normalize`]: Kubernetes' own types and how their values are written;
//! - [`defaults`], [`rules`]: what built-in types fill in, and what they refuse;
//! - [`protobuf`]: bodies in protobuf as JSON;
//! - [`schema`]: the schemas of custom resources;
//! - [`strategic`]: the patches that know the built-in types;
//! - [`fieldset`]: managed fields and server-side apply;
//! - [`table`]: the tables that `kubectl get` prints.

#![cfg_attr(test, allow(clippy::needless_pass_by_value, reason = "helpers of tests take what json! makes"))]

pub(crate) mod cause;
pub(crate) mod defaults;
#[cfg(test)]
mod differential;
pub(crate) mod fieldset;
pub(crate) mod go;
pub(crate) mod json;
pub(crate) mod json_patch;
pub(crate) mod merge_patch;
pub(crate) mod metadata;
pub(crate) mod names;
pub(crate) mod normalize;
pub(crate) mod object_meta;
pub(crate) mod protobuf;
#[cfg(test)]
mod robustness;
pub(crate) mod rules;
pub(crate) mod schema;
pub(crate) mod selector;
pub(crate) mod strategic;
pub(crate) mod table;
#[cfg(test)]
mod testing;
pub(crate) mod types;
