//! `dev`: the operator with a cluster of its own, in one process.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use kopf_devcluster::{DevCluster, ListenOptions};
use kopf_engine::client::Connection;
use tempfile::TempDir;

use super::{LogArguments, told};
use crate::{Error, Operator, signals, testing::install};

/// The options of `dev`.
#[derive(Debug, Default, Args)]
pub(super) struct DevArguments {
    /// The port of the cluster; any free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Writes the kubeconfig into this file, and leaves it there; by default into a temporary one.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Applies the objects of this YAML file at the start. May be repeated.
    #[arg(long, value_name = "FILE")]
    apply: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) logging: LogArguments,
}

/// Runs until a signal comes: the operator reaches the cluster in process, everybody else over HTTP.
pub(super) async fn run(arguments: &DevArguments, operator: Operator) -> Result<(), Error> {
    let stop = signals::stop_on_signals()?;
    let cluster = DevCluster::start().await?;
    install(&cluster, &operator).await.map_err(told)?;
    for file in &arguments.apply {
        cluster.apply_manifest_file(file).await?;
    }
    let listener = cluster.listen(ListenOptions::on_port(arguments.port)).await?;
    let directory = TempDir::with_prefix("kopf-dev-")?;
    let path = arguments.kubeconfig.clone().unwrap_or_else(|| directory.path().join("kubeconfig"));
    fs::write(&path, listener.kubeconfig())
        .map_err(|error| format!("cannot write the kubeconfig {}: {error}", path.display()))?;
    tell(&listener.url(), &fs::canonicalize(&path)?, &operator);
    let ended = operator.run_with(Connection::service(cluster.service()), stop).await.map_err(told);
    listener.shutdown().await;
    ended
}

/// What to type into a second terminal.
fn tell(url: &str, kubeconfig: &Path, operator: &Operator) {
    let plurals: Vec<_> = operator.crds().iter().map(|crd| crd.spec.names.plural.as_str()).collect();
    let watched = if plurals.is_empty() { "namespaces".to_owned() } else { plurals.join(",") };
    eprintln!(
        "A cluster of its own for the operator: {url}. Ctrl-C ends it and all that is in it.\n\
         In a second terminal:\n\n\
         \x20   export KUBECONFIG=\"{}\"\n\
         \x20   kubectl get {watched} --all-namespaces --watch\n",
        kubeconfig.display()
    );
}
