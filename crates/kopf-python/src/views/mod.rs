//! Objects as handlers see them: read-only mappings that are made of the engine's tree only as far as they are read.

mod document;
mod view;

pub(crate) use document::Document;
pub(crate) use view::{Body, MappingView, Meta, Place, register};
