//! A Kubernetes API server in the process: run, try and test operators on a bare machine.
//!
//! Start one with [`DevCluster::start`], reach it in process through [`DevCluster::service`] or over HTTP through
//! [`DevCluster::listen`], put faults into it through [`DevCluster::faults`], and drop it.
//!
//! It is the API and the controllers that belong to it: definitions, namespaces, garbage collection. It runs no
//! containers, and nothing is kept on disk. Unknown things are answered with warnings, never silently ignored.

mod access;
mod admission;
mod clock;
mod cluster;
mod connection;
mod control;
mod controllers;
mod crd;
mod discovery;
mod events;
mod faults;
mod listener;
mod machinery;
mod openapi;
mod random;
mod requests;
mod restart;
mod reviews;
mod server;
mod status;
mod store;
mod tls;
mod types;

pub use clock::Clock;
pub use cluster::{Builder, DevCluster, ManifestError, PlainResource, StartError};
pub use faults::{After, Answer, Cut, Fault, FaultId, Faults, Interference, Matcher};
pub use listener::{ListenError, ListenOptions, Listener};
pub use requests::RequestRecord;
pub use restart::{Renew, Restart, RestartError};
pub use server::body::{Body, CutOff};
pub use server::service::DevService;
pub use status::ApiError;
pub use store::Ago;
pub use tls::TlsError;
