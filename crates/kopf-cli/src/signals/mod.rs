//! The signals that end the command.

#[cfg_attr(unix, path = "unix.rs")]
#[cfg_attr(not(unix), path = "other.rs")]
mod platform;

pub(crate) use platform::Signals;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// From the terminal: Ctrl-C.
    Interrupt,
    /// From another process.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is none"))]
    Terminate,
}
