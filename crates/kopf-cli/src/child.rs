//! A command that is run beside the cluster.

use std::{
    error::Error,
    path::Path,
    process::{ExitCode, ExitStatus},
};

use tokio::process::{Child, Command};

use crate::signals::{Signal, Signals};

/// Runs a command with `KUBECONFIG` set. It gets the signals that we get, and we end when it has ended, with its exit code.
pub(crate) async fn run(
    program: &str,
    arguments: &[String],
    kubeconfig: &Path,
    signals: &mut Signals,
) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(code(status?)),
            signal = signals.next() => pass_on(signal, &mut child).await?,
        }
    }
}

/// A terminal sends its interrupts to the child itself; a request to terminate is sent to us alone.
async fn pass_on(signal: Signal, child: &mut Child) -> std::io::Result<()> {
    let (Signal::Terminate, Some(pid)) = (signal, child.id()) else { return Ok(()) };
    let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
    if sent.is_ok_and(|status| status.success()) { Ok(()) } else { child.start_kill() }
}

/// As shells tell it: 128 and the number of the signal, if it was ended by one.
fn code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let by_signal: Option<i32> = None;
    let code = status.code().or_else(|| Some(128 + by_signal?)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
