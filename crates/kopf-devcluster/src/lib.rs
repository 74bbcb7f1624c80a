//! Placeholder.

pub(crate) mod machinery;
