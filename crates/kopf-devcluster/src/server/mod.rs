//! The API over the store: from a request to its answer.
//!
//! In reading order: [`service`] takes HTTP requests in, [`dispatch`] finds out what they mean, [`read`], [`watch`] and
//! [`write`](mod@write) do it, [`reply`] and [`encode`] write the answer. None of them knows of sockets.

pub(crate) mod body;
pub(crate) mod decode;
pub(crate) mod dispatch;
pub(crate) mod encode;
mod interfere;
pub(crate) mod negotiation;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod selection;
pub(crate) mod service;
pub(crate) mod shared;
pub(crate) mod transform;
pub(crate) mod watch;
pub(crate) mod write;

pub(crate) use request::Request;
pub(crate) use shared::Shared;
