//! Where the cluster is and who we are.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use serde::{Deserialize, Serialize};
use tower::{BoxError, Service};

use super::LoginError;

/// How to find the cluster.
#[derive(Debug, Default)]
pub enum Connection {
    /// By the login activities if any are declared; else by the kubeconfig (`$KUBECONFIG`, `~/.kube/config`), else by the
    /// service account of the pod (W-AUT-001, W-AUT-010..012).
    #[default]
    Infer,
    /// By these kubeconfig files, as if `$KUBECONFIG` named them.
    Kubeconfig(Vec<PathBuf>),
    /// As told.
    Info(Box<ConnectionInfo>),
    /// By a service in this process: a dev cluster. See [`Connection::service`].
    Service(ServiceConnection),
}

/// A connection that is a service. Made into a client within the runtime of the operator.
pub struct ServiceConnection(Mutex<MakeClient>);

/// Is used once, by whoever owns it; the mutex only makes it shareable meanwhile.
type MakeClient = Box<dyn FnOnce() -> kube::Client + Send>;

impl Connection {
    /// By a service in this process, such as the one of a dev cluster: requests have paths only.
    pub fn service<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let make: MakeClient = Box::new(move || kube::Client::new(service, "default"));
        Self::Service(ServiceConnection(Mutex::new(make)))
    }
}

impl ServiceConnection {
    /// The client. Within the runtime in which it is used (DEC-23).
    #[must_use]
    pub fn into_client(self) -> kube::Client {
        (self.0.into_inner().unwrap_or_else(PoisonError::into_inner))()
    }
}

impl fmt::Debug for ServiceConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceConnection")
    }
}

/// A text that is not shown.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// All about a connection: the fields of Kopf's `ConnectionInfo` (A-PUB), and what kubeconfigs know besides, which is ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionInfo {
    /// The URL of the API server.
    pub server: String,
    /// The file of the CA's certificates; else `ca_data`, else the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<PathBuf>,
    /// The CA's certificates: PEM, or base64 of PEM (W-AUT-021).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_data: Option<String>,
    /// The server's certificate is not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// For HTTP Basic authentication, together with `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For HTTP Basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The scheme of the authorization header; `Bearer` if only a token is given (W-AUT-020).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// The file of our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_path: Option<PathBuf>,
    /// Our certificate: PEM, or base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_data: Option<String>,
    /// The file of our key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_path: Option<PathBuf>,
    /// Our key: PEM, or base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_data: Option<Secret>,
    /// The proxy: `http://`, `https://`, `socks5://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// Takes proxies from the environment, unless `proxy_url` is set.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trust_env: bool,
    /// For Kubernetes Events about cluster-scoped objects (W-AUT-022).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_namespace: Option<String>,
    /// The highest wins (W-AUT-003).
    pub priority: i64,
    /// When it is of no use any more (W-AUT-007).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Timestamp>,
    /// The file of the token, read again every minute (ours).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The name in the server's certificate, if not the host's (ours).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Headers of every request (ours).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl ConnectionInfo {
    /// Refuses what is given twice (A-ACT-025).
    ///
    /// # Errors
    /// If the path and the data of the CA, the certificate, or the key are set.
    pub fn check(&self) -> Result<(), LoginError> {
        let twice = [
            ("CA", self.ca_path.is_some() && self.ca_data.is_some()),
            ("certificate", self.certificate_path.is_some() && self.certificate_data.is_some()),
            ("private key", self.private_key_path.is_some() && self.private_key_data.is_some()),
        ];
        match twice.into_iter().find(|(_, is_twice)| *is_twice) {
            Some((what, _)) => Err(LoginError::Both(what)),
            None => Ok(()),
        }
    }
}
