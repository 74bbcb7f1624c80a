//! SIGINT and SIGTERM.

use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::Signal;

pub(crate) struct Signals {
    interrupt: Stream,
    terminate: Stream,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next signal. Never ends if there can be none. Cancel safe.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            Some(()) = self.terminate.recv() => Signal::Terminate,
            else => std::future::pending().await,
        }
    }
}
