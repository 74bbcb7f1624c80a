//! The command `kopf` without Python: a cluster to try operators on.
//!
//! Operators in Rust have their own commands, made by `#[kopf::main]`; those in Python come with the Python package.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

mod child;
mod cluster;
mod signals;

/// Kubernetes operators, and a cluster to try them on.
#[derive(Debug, Parser)]
#[command(name = "kopf", version, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a Kubernetes API server in this process, until it is interrupted or a command has ended.
    Cluster(cluster::ClusterArguments),
}

fn main() -> ExitCode {
    let Arguments { command: Command::Cluster(arguments) } = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut builder = match arguments.on_one_thread() {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("kopf: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cluster::run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kopf: {}", cluster::told(&*error));
            ExitCode::FAILURE
        }
    }
}
