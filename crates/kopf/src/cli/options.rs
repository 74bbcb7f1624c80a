//! Options that several commands have: logging (A-CLI-002).

use clap::{ArgAction, Args};

use crate::logging::{LogFormat, LogOptions, Verbosity};

/// How to log.
#[derive(Debug, Default, Args)]
pub(super) struct LogArguments {
    /// Logs what the operator does in detail.
    #[arg(short, long, env = "KOPF_RUN_VERBOSE")]
    verbose: bool,
    /// Logs in detail what the HTTP libraries do, too.
    #[arg(short, long, env = "KOPF_RUN_DEBUG")]
    debug: bool,
    /// Logs warnings and errors only.
    #[arg(short, long, env = "KOPF_RUN_QUIET")]
    quiet: bool,
    /// The form of log lines.
    #[arg(long, value_enum, ignore_case = true, default_value_t, env = "KOPF_RUN_LOG_FORMAT")]
    log_format: LogFormat,
    /// The key of the object in JSON lines; `object` by default.
    #[arg(long, value_name = "TEXT", env = "KOPF_RUN_LOG_REFKEY")]
    log_refkey: Option<String>,
    /// Lines begin with the object they are about: the default, unless they are JSON.
    #[arg(long, overrides_with = "no_log_prefix", env = "KOPF_RUN_LOG_PREFIX", num_args = 0..=1,
          default_missing_value = "true", require_equals = true, value_name = "BOOL", action = ArgAction::Set)]
    log_prefix: Option<bool>,
    /// Lines do not begin with the object they are about.
    #[arg(long, overrides_with = "log_prefix")]
    no_log_prefix: bool,
}

impl LogArguments {
    pub(super) fn options(&self) -> LogOptions {
        // A-LOG-001: verbose beats quiet.
        let verbosity = match self {
            Self { debug: true, .. } => Verbosity::Debug,
            Self { verbose: true, .. } => Verbosity::Verbose,
            Self { quiet: true, .. } => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        LogOptions {
            verbosity,
            format: self.log_format,
            prefix: if self.no_log_prefix { Some(false) } else { self.log_prefix },
            refkey: self.log_refkey.clone(),
        }
    }
}
