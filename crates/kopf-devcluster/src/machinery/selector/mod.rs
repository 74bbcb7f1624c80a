//! Selectors of list, watch and delete-collection requests.
//!
//! [`label`] has the complete grammar of label selectors, [`field`] that of field selectors and the fields
//! that each type supports. Errors are the texts of the real server's 400 answers.

pub(crate) mod field;
pub(crate) mod label;
