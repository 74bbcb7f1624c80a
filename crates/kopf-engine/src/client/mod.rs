//! Requests to the cluster: where it is, who we are, how often we try.

mod connection;
mod error;

pub use connection::{Connection, ConnectionInfo, Secret};
pub use error::{ApiError, LoginError};
