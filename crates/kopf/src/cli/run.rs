//! `run`: the operator on a cluster.

use clap::Args;
use kopf_engine::{
    client::Connection,
    namespaces::{NamespacePattern, Scope},
};

use super::{LogArguments, told};
use crate::{Error, Operator, signals};

/// The options of `run` (A-CLI-003).
#[derive(Debug, Default, Args)]
pub(super) struct RunArguments {
    /// Serves the whole cluster.
    #[arg(short = 'A', long, env = "KOPF_RUN_CLUSTERWIDE", conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Serves this namespace, or these: globs, separated by commas, `!` negates. May be repeated.
    #[arg(short, long, value_name = "PATTERN", env = "KOPF_RUN_NAMESPACES", value_delimiter = ' ')]
    namespace: Vec<String>,
    /// Does not look for other operators of the same name: the only way there is yet.
    #[arg(long, env = "KOPF_RUN_STANDALONE")]
    standalone: bool,
    #[command(flatten)]
    pub(super) logging: LogArguments,
}

impl RunArguments {
    /// What is served; what the operator itself says, if the command line says nothing.
    fn scope(&self) -> Option<Scope> {
        if self.all_namespaces {
            return Some(Scope::Cluster);
        }
        let globs = || self.namespace.iter().cloned().map(NamespacePattern::Glob).collect();
        (!self.namespace.is_empty()).then(|| Scope::Namespaces(globs()))
    }

    /// The operator as the command line wants it.
    pub(super) fn apply(&self, operator: Operator) -> Operator {
        match self.scope() {
            Some(scope) => operator.scope(scope),
            None => operator,
        }
    }
}

/// Runs until a signal comes.
pub(super) async fn run(arguments: &RunArguments, operator: Operator) -> Result<(), Error> {
    let stop = signals::stop_on_signals()?;
    arguments.apply(operator).run_with(Connection::Infer, stop).await.map_err(told)
}
