//! HTTP over the in-process door: a loopback listener, TLS on request, and a kubeconfig.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::{Connection, Tcp, Wire};
use crate::restart::{Renew, Restart};
use crate::server::Shared;
use crate::server::request::Door;
use crate::server::service::DevService;
use crate::tls::{self, Certificates, TlsError};

/// How long connections may take to end after their last answer.
const CLOSING_TIME: Duration = Duration::from_millis(100);
/// How long clients may keep a connection of HTTP/1.1 without a request: as kube-apiserver has it.
const IDLE_TIME: Duration = Duration::from_secs(90);
/// How long to wait after a failed accept, for example when there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the connection of somebody who asked for a restart may take to end.
const SPARED_TIME: Duration = Duration::from_secs(10);

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
    socket: Arc<Socket>,
    context: String,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// What the tasks of a listener share with it.
#[derive(Debug)]
struct Socket {
    address: SocketAddr,
    certificates: Mutex<Option<Certificates>>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    /// The connections since the last restart.
    life: Mutex<Life>,
    restarts: mpsc::Sender<Down>,
    /// Cancelled when the listener closes.
    closing: CancellationToken,
}

/// The time between two restarts.
#[derive(Clone, Debug)]
struct Life {
    /// Cancelled at its end.
    ended: CancellationToken,
    /// Whether connections are reset then.
    is_hard: Arc<AtomicBool>,
}

impl Life {
    fn new(closing: &CancellationToken) -> Self {
        Self { ended: closing.child_token(), is_hard: Arc::default() }
    }
}

/// The order to close the port for a time.
#[derive(Debug)]
struct Down {
    time: Duration,
    is_down: oneshot::Sender<()>,
}

/// The listeners of a cluster, which restart with it.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Weak<Socket>>>);

impl Listeners {
    /// Ends all connections, renews certificates, and closes the ports if they are to be closed.
    pub(crate) async fn go_down(&self, restart: &Restart) -> Result<(), TlsError> {
        let sockets: Vec<Arc<Socket>> = lock(&self.0).iter().filter_map(Weak::upgrade).collect();
        for socket in &sockets {
            socket.renew(restart.renew)?;
        }
        for socket in &sockets {
            socket.end_life(!restart.is_clean);
            if restart.refuse.is_zero() {
                continue;
            }
            let (is_down, down) = oneshot::channel();
            // Fails only if the listener is gone meanwhile.
            if socket.restarts.send(Down { time: restart.refuse, is_down }).await.is_ok() {
                let _ = down.await;
            }
        }
        Ok(())
    }

    fn add(&self, socket: &Arc<Socket>) {
        let mut sockets = lock(&self.0);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(socket));
    }
}

impl Socket {
    fn renew(&self, renew: Option<Renew>) -> Result<(), TlsError> {
        let mut certificates = lock(&self.certificates);
        let (Some(certificates), Some(renew)) = (certificates.as_mut(), renew) else { return Ok(()) };
        match renew {
            Renew::Certificate => certificates.renew()?,
            Renew::Authority => certificates.replace()?,
        }
        *lock(&self.tls) = Some(tls::server_config(certificates)?);
        Ok(())
    }

    /// Ends all connections.
    fn end_life(&self, is_hard: bool) {
        let mut life = lock(&self.life);
        life.is_hard.store(is_hard, Ordering::Release);
        life.ended.cancel();
        // Not a child of what was just cancelled: of the listener.
        *life = Life::new(&self.closing);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let config = certificates.as_ref().map(tls::server_config).transpose()?;
        let closing = shared.stop.child_token();
        let tasks = TaskTracker::new();
        // One order at a time: whoever gives it waits.
        let (restarts, downs) = mpsc::channel(1);
        let state = Arc::new(Socket {
            address,
            certificates: Mutex::new(certificates),
            tls: Mutex::new(config),
            life: Mutex::new(Life::new(&closing)),
            restarts,
            closing: closing.clone(),
        });
        shared.listeners.add(&state);
        tasks.spawn(accept(socket, Arc::clone(&state), downs, Arc::clone(shared), tasks.clone()));
        let unique: String = shared.random.uid().chars().take(8).collect();
        let context = format!("dev-cluster-{}-{unique}", address.port());
        Ok(Self { socket: state, context, closing, tasks })
    }

    /// The base address, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if lock(&self.socket.certificates).is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.socket.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.socket.address
    }

    /// The certificate of the authority in PEM, if it serves TLS.
    #[must_use]
    pub fn authority_pem(&self) -> Option<String> {
        lock(&self.socket.certificates).as_ref().map(|certificates| certificates.authority_pem.clone())
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
    mut listener: TcpListener,
    socket: Arc<Socket>,
    mut downs: mpsc::Receiver<Down>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = socket.closing.cancelled() => return,
            Some(down) = downs.recv() => {
                drop(listener);
                let _ = down.is_down.send(());
                match come_back(&socket, down.time).await {
                    Some(again) => listener = again,
                    None => return,
                }
                continue;
            }
            accepted = listener.accept() => accepted,
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
        let life = lock(&socket.life).clone();
        let acceptor = lock(&socket.tls).clone().map(TlsAcceptor::from);
        tasks.spawn(serve(stream, acceptor, Arc::clone(&shared), life));
    }
}

/// Opens the port again after a time; `None` if the listener closes meanwhile.
async fn come_back(socket: &Socket, time: Duration) -> Option<TcpListener> {
    let mut pause = time;
    loop {
        tokio::select! {
            biased;
            () = socket.closing.cancelled() => return None,
            () = tokio::time::sleep(pause) => {}
        }
        match TcpListener::bind(socket.address).await {
            Ok(listener) => return Some(listener),
            Err(error) => tracing::warn!(%error, address = %socket.address, "the port is not free again yet"),
        }
        pause = ACCEPT_PAUSE;
    }
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>, life: Life) {
    let Some(acceptor) = acceptor else { return connection(stream, shared, life).await };
    let accepted = tokio::select! {
        biased;
        () = life.ended.cancelled() => return,
        accepted = acceptor.accept(stream) => accepted,
    };
    match accepted {
        Ok(stream) => connection(stream, shared, life).await,
        Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
    }
}

async fn connection<S>(stream: S, shared: Arc<Shared>, life: Life)
where
    S: AsyncRead + AsyncWrite + Tcp + Unpin + Send + 'static,
{
    let handle = Connection::new();
    let door = Door { closing: life.ended.clone(), connection: Some(handle.clone()) };
    let service = DevService::new(shared, door);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Names of headers as Go writes them. The time for the head of a request begins with the answer before it.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIME).title_case_headers(true);
    builder.http2().timer(TokioTimer::new());
    let stream = TokioIo::new(Wire::new(stream, handle.clone()));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        () = life.ended.cancelled() => {
            if life.is_hard.load(Ordering::Acquire) && !handle.is_spared() {
                return handle.reset();
            }
            let time = if handle.is_spared() { SPARED_TIME } else { CLOSING_TIME };
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(time, connection).await.unwrap_or(Ok(()))
        }
        // What breaks it drops it here, with the socket.
        () = handle.broken() => return,
        ended = connection.as_mut() => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection broke");
    }
}
