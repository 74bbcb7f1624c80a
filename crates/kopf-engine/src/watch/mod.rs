//! Listing and watching (wire section 5.1).
//!
//! - `requests`: what is asked. `lines`, `items`, `decode`: taking answers apart while they arrive.
//! - `shown`: what need not be told again.
//! - `stream`: the loop. It knows nothing of objects; what happens goes to a consumer.

mod backoff;
mod decode;
mod items;
mod lines;
mod requests;
mod shown;
mod stream;

pub(crate) use decode::Extent;
pub(crate) use requests::{Place, ServerFilters};
pub(crate) use stream::{Consumer, Stream, StreamEnd};
