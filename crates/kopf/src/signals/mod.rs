//! Signals: the first one stops the operator in order, a second one ends the process at once.

use std::io;

use tokio_util::sync::CancellationToken;

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "other.rs")]
mod platform;

/// A token that is cancelled by the first signal.
///
/// # Errors
/// If the system does not let us listen to signals.
pub(crate) fn stop_on_signals() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = platform::Signals::listen()?;
    let cancelled = stop.clone();
    // Lives as long as the runtime: it ends with the process.
    tokio::spawn(async move {
        let name = signals.next().await;
        // A-LOG-151.
        tracing::info!(target: "kopf", logger = "kopf._core.reactor.running", "Signal {name} is received. Operator is stopping.");
        cancelled.cancel();
        let name = signals.next().await;
        tracing::warn!(target: "kopf", logger = "kopf._core.reactor.running", "Signal {name} is received again. Exiting at once.");
        std::process::exit(1);
    });
    Ok(stop)
}
