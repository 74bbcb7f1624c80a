//! The command line of an operator: what [`#[kopf::main]`](crate::main) makes of a function that returns one.
//!
//! Options, environment variables and exit codes are those of `kopf run` (A-CLI), as far as they make sense for a program
//! that is compiled: there are no files to load.

use std::{error::Error as StdError, ffi::OsString, future::Future, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    Error, Operator,
    logging::{self, LogOptions},
};

mod crd;
mod dev;
mod options;
mod run;

use options::LogArguments;

/// The program: its name and version in help texts and logs.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As in `CARGO_PKG_NAME`.
    pub name: &'static str,
    /// As in `CARGO_PKG_VERSION`.
    pub version: &'static str,
}

/// What a function under `#[kopf::main]` may return.
///
/// ```no_run
/// # use kopf::prelude::*;
/// #[kopf::main]
/// async fn main() -> Result<Operator> {
///     let token = std::fs::read_to_string("token")?;
///     Ok(Operator::new().with(token))
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an operator",
    label = "not an operator",
    note = "a function under `#[kopf::main]` returns `Operator`, or a `Result` of one with any error type"
)]
pub trait IntoOperator {
    /// The operator.
    ///
    /// # Errors
    /// Why there is none: the program ends with it.
    fn into_operator(self) -> Result<Operator, Error>;
}

impl IntoOperator for Operator {
    fn into_operator(self) -> Result<Operator, Error> {
        Ok(self)
    }
}

impl<E: Into<Error>> IntoOperator for Result<Operator, E> {
    fn into_operator(self) -> Result<Operator, Error> {
        self.map_err(Into::into)
    }
}

/// A Kubernetes operator.
#[derive(Debug, Parser)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the operator on a cluster: that of the kubeconfig, or the one it is in.
    Run(run::RunArguments),
    /// Runs the operator with a cluster of its own, in one process, to try it out.
    Dev(dev::DevArguments),
    /// Prints the definitions of the operator's kinds, as YAML for `kubectl apply -f -`.
    Crd,
}

impl Command {
    fn logging(&self) -> LogOptions {
        match self {
            Self::Run(arguments) => arguments.logging.options(),
            Self::Dev(arguments) => arguments.logging.options(),
            Self::Crd => LogOptions::default(),
        }
    }
}

/// Runs the program. `operator` is called within the runtime, once the command line is understood.
///
/// The exit code is 0 after a stop by SIGINT or SIGTERM, 1 if the operator has failed, 2 if the command line is wrong
/// (A-CLI-007).
pub fn main<F, Fut>(program: Program, operator: F) -> ExitCode
where
    F: FnOnce() -> Fut,
    Fut: Future<Output: IntoOperator>,
{
    let arguments = match parse(program, std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // There is nothing to be done if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    logging::init(&arguments.command.logging());
    match block_on(arguments.command, operator) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", program.name);
            ExitCode::FAILURE
        }
    }
}

fn block_on<F, Fut>(command: Command, operator: F) -> Result<(), Error>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output: IntoOperator>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let operator = operator().await.into_operator()?;
        match command {
            Command::Run(arguments) => run::run(&arguments, operator).await,
            Command::Dev(arguments) => dev::run(&arguments, operator).await,
            Command::Crd => crd::run(&operator),
        }
    })
}

fn parse(
    program: Program,
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Arguments, clap::Error> {
    let command = Arguments::command().name(program.name).version(program.version);
    Arguments::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// An error that is told to the user with all its causes.
fn told(error: impl StdError + Send + Sync + 'static) -> Error {
    Error::from(error)
}

#[cfg(test)]
mod tests;
