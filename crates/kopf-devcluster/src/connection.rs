//! A client's connection, as faults break it: reset, closed, or ended in the middle of what is being written.
//!
//! [`Wire`] lies between HTTP and the socket (or TLS), so that it counts what HTTP writes; it costs one atomic load for
//! each write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// Everything that is written arrives.
const UNLIMITED: usize = usize::MAX;

/// The handle by which a connection is broken.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Ends the connection without ceremony.
    broken: CancellationToken,
    /// Whether the other side sees a reset instead of an end.
    resets: AtomicBool,
    /// How many more bytes are let through.
    allowed: AtomicUsize,
    /// Whether it outlives a restart until its answer is written: whoever asked for the restart waits for it.
    is_spared: AtomicBool,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            broken: CancellationToken::new(),
            resets: AtomicBool::new(false),
            allowed: AtomicUsize::new(UNLIMITED),
            is_spared: AtomicBool::new(false),
        }))
    }

    /// Breaks it with a reset (RST).
    pub(crate) fn reset(&self) {
        self.0.resets.store(true, Ordering::Release);
        self.0.broken.cancel();
    }

    /// Lets so many more bytes through; then it ends.
    pub(crate) fn end_after(&self, bytes: usize) {
        self.0.allowed.store(bytes, Ordering::Release);
    }

    /// Lets it finish its answer at a restart.
    pub(crate) fn spare(&self) {
        self.0.is_spared.store(true, Ordering::Release);
    }

    pub(crate) fn is_spared(&self) -> bool {
        self.0.is_spared.load(Ordering::Acquire)
    }

    /// Until it is broken.
    pub(crate) async fn broken(&self) {
        self.0.broken.cancelled().await;
    }
}

/// What is a TCP stream in the end.
pub(crate) trait Tcp {
    fn tcp(&self) -> &TcpStream;
}

impl Tcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Tcp for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A stream that can be broken by its [`Connection`].
#[derive(Debug)]
pub(crate) struct Wire<S: Tcp> {
    stream: S,
    connection: Connection,
}

impl<S: Tcp> Wire<S> {
    pub(crate) fn new(stream: S, connection: Connection) -> Self {
        Self { stream, connection }
    }
}

impl<S: Tcp> Drop for Wire<S> {
    fn drop(&mut self) {
        // With no time to linger the system resets the connection when the socket is closed, right after this.
        if self.connection.0.resets.load(Ordering::Acquire)
            && let Err(error) = self.stream.tcp().set_zero_linger()
        {
            tracing::debug!(%error, "a connection is closed instead of reset");
        }
    }
}

impl<S: Tcp + AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(ctx, buffer)
    }
}

impl<S: Tcp + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let allowed = self.connection.0.allowed.load(Ordering::Acquire);
        if allowed == UNLIMITED {
            return Pin::new(&mut self.stream).poll_write(ctx, bytes);
        }
        if allowed == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let bytes = &bytes[..bytes.len().min(allowed)];
        let written = Pin::new(&mut self.stream).poll_write(ctx, bytes);
        if let Poll::Ready(Ok(written)) = written {
            self.connection.0.allowed.store(allowed - written, Ordering::Release);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.connection.0.allowed.load(Ordering::Acquire) == UNLIMITED {
            return Pin::new(&mut self.stream).poll_write_vectored(ctx, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.poll_write(ctx, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}
