//! `kopf cluster`: the dev cluster over HTTP, for `kubectl` and for operators in any language.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use kopf_devcluster::{DevCluster, ListenOptions};
use tempfile::TempDir;

use crate::{child, signals::Signals};

/// The options of `kopf cluster`.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// The port; any free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serves HTTPS, with a certificate that the kubeconfig vouches for.
    #[arg(long)]
    tls: bool,
    /// Serves `/_dev/…` as well, by which clients put faults into the cluster and move its clock.
    #[arg(long)]
    control: bool,
    /// Makes uids, generated names and faults with a probability repeatable.
    #[arg(long)]
    seed: Option<u64>,
    /// Tells users apart, as a real cluster does: what the administrator of the kubeconfig may, others may by roles only.
    #[arg(long)]
    rbac: bool,
    /// As --seed, on one thread, with a clock that stands at the beginning of 2026: the same requests get the same answers.
    #[arg(long, value_name = "SEED", conflicts_with = "seed")]
    deterministic: Option<u64>,
    /// Writes the kubeconfig into this file, and leaves it there; by default into a temporary one.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Applies the objects of this YAML file at the start. May be repeated.
    #[arg(long, value_name = "FILE")]
    apply: Vec<PathBuf>,
    /// A command to run with KUBECONFIG set: the cluster ends with it, and the exit code is its.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl ClusterArguments {
    /// Whether the order of things must not depend on threads.
    pub(crate) fn on_one_thread(&self) -> bool {
        self.deterministic.is_some()
    }
}

/// Serves until it is interrupted, or the command has ended.
pub(crate) async fn run(arguments: ClusterArguments) -> Result<ExitCode, Box<dyn Error + Send + Sync>> {
    let mut signals = Signals::listen()?;
    let mut builder = DevCluster::builder();
    if arguments.control {
        builder = builder.control();
    }
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    if arguments.rbac {
        builder = builder.rbac();
    }
    if let Some(seed) = arguments.deterministic {
        builder = builder.deterministic(seed);
    }
    let cluster = builder.start().await?;
    for file in &arguments.apply {
        cluster.apply_manifest_file(file).await?;
    }
    let options = ListenOptions { tls: arguments.tls, ..ListenOptions::on_port(arguments.port) };
    let listener = cluster.listen(options).await?;
    let kubeconfig = Kubeconfig::write(arguments.kubeconfig, &listener.kubeconfig())?;
    let code = if let [program, rest @ ..] = &arguments.command[..] {
        child::run(program, rest, &kubeconfig.path, &mut signals).await?
    } else {
        tell(&listener.url(), &kubeconfig)?;
        signals.next().await;
        ExitCode::SUCCESS
    };
    listener.shutdown().await;
    Ok(code)
}

/// An error with its causes, for people.
pub(crate) fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Scripts read the standard output: it has the one line that they need. People read both.
fn tell(url: &str, kubeconfig: &Kubeconfig) -> io::Result<()> {
    eprintln!("The cluster listens at {url}, and ends with all that is in it by Ctrl-C.");
    eprintln!("In another terminal:\n");
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "export KUBECONFIG={}", quoted(&kubeconfig.path.display().to_string()))?;
    stdout.flush()?;
    eprintln!("kubectl get namespaces");
    Ok(())
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The file of the kubeconfig.
struct Kubeconfig {
    path: PathBuf,
    /// Removes a temporary one at the end.
    _directory: Option<TempDir>,
}

impl Kubeconfig {
    fn write(path: Option<PathBuf>, text: &str) -> io::Result<Self> {
        let (path, directory) = match path {
            Some(path) => (path, None),
            None => {
                let directory = tempfile::Builder::new().prefix("kopf-cluster-").tempdir()?;
                (directory.path().join("kubeconfig"), Some(directory))
            }
        };
        let explained = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot write the kubeconfig {}: {error}", path.display()))
        };
        fs::write(&path, text).map_err(explained)?;
        // Children and other terminals may be in another directory.
        let path = fs::canonicalize(&path).map_err(explained)?;
        Ok(Self { path, _directory: directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word_of_a_shell() {
        assert_eq!(quoted("/tmp/kopf-1/kubeconfig"), "/tmp/kopf-1/kubeconfig");
        assert_eq!(quoted("/my files/it's"), r"'/my files/it'\''s'");
    }
}
