//! HTTP over the in-process door: a loopback listener, TLS on request, and a kubeconfig.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::server::Shared;
use crate::server::service::DevService;
use crate::tls::{self, Certificates, TlsError};

/// How long connections may take to end after their last answer.
const CLOSING_TIME: Duration = Duration::from_millis(100);
/// How long to wait after a failed accept, for example when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where and how to listen.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// The port; 0 for any free one.
    pub port: u16,
    /// The address; only loopback ones, unless `any_address` is set.
    pub address: IpAddr,
    /// Permits addresses that other machines can reach. Everyone who can connect is an administrator.
    pub any_address: bool,
    /// Serves TLS, with a certificate of an authority that is made at start.
    pub tls: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { port: 0, address: Ipv4Addr::LOCALHOST.into(), any_address: false, tls: false }
    }
}

impl ListenOptions {
    /// A port of 127.0.0.1; 0 for any free one.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    /// With TLS.
    #[must_use]
    pub fn with_tls(self) -> Self {
        Self { tls: true, ..self }
    }
}

/// Why the cluster does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is not of this machine alone.
    #[error(
        "{0} can be reached from other machines, and everyone is an administrator here: permit it explicitly"
    )]
    NotLoopback(IpAddr),
    /// The address is taken or cannot be had.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// No certificate could be made.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
}

/// A listener; dropping it closes the port and ends its connections.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    certificates: Option<Certificates>,
    context: String,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    pub(crate) async fn start(shared: &Arc<Shared>, options: ListenOptions) -> Result<Self, ListenError> {
        if !options.address.is_loopback() && !options.any_address {
            return Err(ListenError::NotLoopback(options.address));
        }
        let address = SocketAddr::new(options.address, options.port);
        let bind = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        let certificates = if options.tls { Some(Certificates::generate(options.address)?) } else { None };
        let acceptor = certificates.as_ref().map(tls::acceptor).transpose()?;
        let closing = shared.stop.child_token();
        let tasks = TaskTracker::new();
        let service = DevService::new(Arc::clone(shared), closing.clone());
        tasks.spawn(accept(socket, acceptor, service, closing.clone(), tasks.clone()));
        let unique: String = shared.random.uid().chars().take(8).collect();
        let context = format!("dev-cluster-{}-{unique}", address.port());
        Ok(Self { address, certificates, context, closing, tasks })
    }

    /// The base address, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the authority in PEM, if it serves TLS.
    #[must_use]
    pub fn authority_pem(&self) -> Option<&str> {
        self.certificates.as_ref().map(|certificates| certificates.authority_pem.as_str())
    }

    /// A kubeconfig for this listener, as YAML. The context's name is unique to it (D-012).
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let (context, server) = (&self.context, self.url());
        let authority = self.authority_pem().map_or_else(String::new, |pem| {
            format!("    certificate-authority-data: {}\n", STANDARD.encode(pem))
        });
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context}\nclusters:\n- name: {context}\n  cluster:\n    \
             server: {server}\n{authority}contexts:\n- name: {context}\n  context:\n    cluster: {context}\n    \
             user: {context}\n    namespace: default\nusers:\n- name: {context}\n  user:\n    token: dev-cluster\n"
        )
    }

    /// Closes the port, ends watches cleanly, and waits until all connections are gone.
    pub async fn shutdown(self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.closing.cancel();
        self.tasks.close();
    }
}

async fn accept(
    socket: TcpListener,
    acceptor: Option<TlsAcceptor>,
    service: DevService,
    closing: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Small answers must not wait for acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let (service, closing) = (service.clone(), closing.clone());
        match acceptor.clone() {
            None => tasks.spawn(connection(stream, service, closing)),
            Some(acceptor) => tasks.spawn(async move {
                let accepted = tokio::select! {
                    () = closing.cancelled() => return,
                    accepted = acceptor.accept(stream) => accepted,
                };
                match accepted {
                    Ok(stream) => connection(stream, service, closing).await,
                    Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
                }
            }),
        };
    }
}

async fn connection<S>(stream: S, service: DevService, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Names of headers as Go writes them.
    builder.http1().timer(TokioTimer::new()).title_case_headers(true);
    builder.http2().timer(TokioTimer::new());
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(CLOSING_TIME, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection broke");
    }
}
