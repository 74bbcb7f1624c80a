//! Requests to the cluster: where it is, who we are, how often we try.
//!
//! - [`Connection`], [`ConnectionInfo`]: how to find the cluster. `kubeconfig`, `exec`, `login`: where that is written.
//! - `transport`: TCP, TLS, HTTP. `trust`: whether the server is the right one.
//! - `vault`: the credentials in use. `retriever`: logs in when there are none.
//! - `request`: one request with its retries.

mod connection;
mod error;
mod exec;
mod kubeconfig;
mod login;
mod request;
mod retriever;
mod retry_after;
mod transport;
mod trust;
mod url;
mod vault;

pub use connection::{Connection, ConnectionInfo, Secret, ServiceConnection};
pub use error::{ApiError, LoginError, StatusError};
pub(crate) use request::{ApiClient, ApiRequest, payload};
pub(crate) use retriever::Retriever;
pub(crate) use vault::Vault;
