//! Who owns which fields: field sets, managed fields and server-side apply (D-157 to D-160, DEC-34).
//!
//! In reading order:
//!
//! - [`path`] and [`set`]: paths into objects and sets of them, with the codec of `FieldsV1`;
//! - [`view`]: what the schema of a custom resource or a built-in type says about merging;
//! - [`compare`], [`merge`], [`extent`], [`remove`]: the four walks over typed values;
//! - [`managed`]: the entries of `metadata.managedFields`, and what an update does to them;
//! - [`apply`]: server-side apply, and [`kubectl`]: how client-side apply changes over to it.
//!
//! The algorithm is that of Kubernetes' structured-merge-diff. Two things are left out: conversion of sets
//! between versions (the versions of a custom resource have the same fields) and changes of list types in a
//! schema that is in use.

pub(crate) mod apply;
mod compare;
mod extent;
mod kubectl;
pub(crate) mod managed;
mod merge;
pub(crate) mod path;
mod remove;
pub(crate) mod set;
pub(crate) mod view;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod golden;
