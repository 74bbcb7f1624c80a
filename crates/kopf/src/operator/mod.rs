//! The operator: what is declared, and how it is run.

use std::{any::Any, collections::HashMap, fmt, sync::Arc};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kopf_core::{
    handler::{Handler as CoreHandler, HandlerId},
    settings::Settings,
};
use kopf_engine::{
    RunError,
    client::Connection,
    namespaces::{NamespacePattern, Scope},
    registry::{Activity, Registry},
};
use tokio_util::sync::CancellationToken;

use crate::{
    activity::{ActivityHandler, Whole},
    attempt::Attempt,
    cause::Kind,
    door::RustDoor,
    environment::{Environment, States},
    handler::Handler,
    on::{On, Served},
    signals,
};

/// An operator: the handlers of one or several kinds, what they share, and how it is run.
///
/// ```no_run
/// use kopf::prelude::*;
///
/// # #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
/// # #[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
/// # struct DatabaseSpec { size: u32 }
/// async fn provision(database: Obj<Database>) {
///     info!("{} GiB, please", database.spec.size);
/// }
///
/// #[tokio::main]
/// async fn main() -> Result<(), kopf::OperatorError> {
///     Operator::new().serve(on::<Database>().create(provision)).run().await
/// }
/// ```
#[must_use = "an operator does nothing until it is run"]
pub struct Operator {
    served: Vec<Served>,
    activities: Vec<ActivityHandler>,
    states: States,
    settings: Settings,
    scope: Scope,
}

/// Why an operator did not start, or has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The handlers are declared in a way that cannot work. Nothing was started.
    #[error("the operator cannot start:{}", bullets(.0))]
    Declaration(Vec<String>),
    /// The system does not tell of signals, so that nothing could stop the operator.
    #[error("cannot listen to signals")]
    Signals(#[source] std::io::Error),
    /// Something has failed that the operator cannot do without.
    #[error("the operator has failed")]
    Run(#[source] Box<RunError>),
}

impl From<RunError> for OperatorError {
    fn from(error: RunError) -> Self {
        Self::Run(Box::new(error))
    }
}

impl Operator {
    /// An operator without handlers.
    pub fn new() -> Self {
        let settings = crate::settings::defaults();
        Self {
            served: Vec::new(),
            activities: Vec::new(),
            states: States::default(),
            settings,
            scope: Scope::default(),
        }
    }

    /// Adds the handlers of a kind. A kind may be served in several parts.
    pub fn serve<K: Kind>(mut self, on: On<K>) -> Self {
        self.served.push(on.into_kind());
        self
    }

    /// Runs a handler before anything else: before the operator connects to the cluster. If it fails for good, the operator
    /// does not start.
    ///
    /// ```
    /// # use kopf::prelude::*;
    /// # struct Pool;
    /// # impl Pool { async fn warm_up(&self) -> Result { Ok(()) } }
    /// async fn warm_up(pool: Ctx<Pool>) -> Result {
    ///     pool.warm_up().await
    /// }
    ///
    /// Operator::new().with(Pool).startup(handler(warm_up).retries(3));
    /// ```
    pub fn startup<A>(self, handler: impl Handler<Whole, A>) -> Self {
        self.activity(Activity::Startup, handler)
    }

    /// Runs a handler after everything else, unless the startup has failed.
    pub fn cleanup<A>(self, handler: impl Handler<Whole, A>) -> Self {
        self.activity(Activity::Cleanup, handler)
    }

    fn activity<A>(mut self, activity: Activity, handler: impl Handler<Whole, A>) -> Self {
        self.activities.push(ActivityHandler { activity, function: handler.into_function() });
        self
    }

    /// Gives the handlers a state that they share: they take it as [`Ctx<T>`](crate::Ctx). One per type; a second one
    /// replaces the first.
    pub fn with<T: Any + Send + Sync>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// Changes the settings.
    ///
    /// ```
    /// # use kopf::Operator;
    /// Operator::new().settings(|settings| settings.posting.progress = false);
    /// ```
    pub fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Serves these namespaces only, as globs (`team-*`). The whole cluster by default.
    pub fn namespaces(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let globs = patterns.into_iter().map(|pattern| NamespacePattern::Glob(pattern.into()));
        self.scope = Scope::Namespaces(globs.collect());
        self
    }

    /// Serves this scope.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The definitions that the kinds bring along ([`On::with_crd`]).
    #[must_use]
    pub fn crds(&self) -> Vec<&CustomResourceDefinition> {
        self.served.iter().filter_map(|served| served.crd.as_ref()).collect()
    }

    /// Runs on the cluster that the environment tells of: the kubeconfig, or the service account of the pod. Until SIGINT or
    /// SIGTERM comes; a second one ends the process at once.
    ///
    /// # Errors
    /// See [`OperatorError`].
    ///
    /// # Cancel safety
    /// None: see [`run_with`](Self::run_with).
    pub async fn run(self) -> Result<(), OperatorError> {
        let stop = signals::stop_on_signals().map_err(OperatorError::Signals)?;
        self.run_with(Connection::Infer, stop).await
    }

    /// Runs until `stop` is cancelled. Running handlers then have `settings.queueing.exit_timeout` to finish.
    ///
    /// # Errors
    /// See [`OperatorError`].
    ///
    /// # Cancel safety
    /// None: dropping the future abandons the handlers that run. Cancel `stop` instead.
    pub async fn run_with(
        self,
        connection: impl Into<Connection>,
        stop: CancellationToken,
    ) -> Result<(), OperatorError> {
        let mut operator = self.into_engine()?;
        operator.connection = connection.into();
        Ok(operator.run(stop).await?)
    }

    /// The handlers as the engine knows them, and their functions by identity.
    ///
    /// # Errors
    /// All that is wrong with the declarations, as sentences.
    fn declare(&self) -> Result<(Registry, Functions), Vec<String>> {
        let (mut registry, mut functions) = (Registry::default(), Functions::new());
        let mut ids = Ids::default();
        for Served { kind, selector, handlers, .. } in &self.served {
            let key = format!("{selector:?}");
            for erased in handlers {
                let Some(handler) = ids.take(kind, &key, erased.declare(kind, &self.states)) else {
                    continue;
                };
                functions.insert(handler.function, erased.attempt.clone());
                registry.resources.push((selector.clone(), handler));
            }
        }
        for declared in &self.activities {
            let what = declared.activity.as_str();
            let Some(handler) = ids.take(what, what, declared.declare(&self.states)) else { continue };
            functions.insert(handler.function, declared.attempt());
            registry.activities.push((declared.activity, handler));
        }
        if ids.problems.is_empty() { Ok((registry, functions)) } else { Err(ids.problems) }
    }

    /// What the engine runs.
    fn into_engine(self) -> Result<kopf_engine::Operator, OperatorError> {
        let (registry, functions) = self.declare().map_err(OperatorError::Declaration)?;
        let Self { states, settings, scope, .. } = self;
        let environment = Arc::new(Environment::new(states));
        let door = Arc::new(RustDoor::new(functions, environment.clone()));
        let mut operator = kopf_engine::Operator::new(door, crate::settings::storages());
        operator.handle().settings().store(settings);
        environment.connect(operator.handle());
        operator.registry = registry;
        operator.scope = scope;
        operator.user_agent = concat!("kopf-rs/", env!("CARGO_PKG_VERSION")).into();
        Ok(operator)
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { served, activities, states, scope, .. } = self;
        f.debug_struct("Operator")
            .field("served", served)
            .field("activities", activities)
            .field("states", states)
            .field("scope", scope)
            .finish_non_exhaustive()
    }
}

type Functions = HashMap<u64, Arc<dyn Attempt>>;

/// The ids that are taken, and all that is wrong.
#[derive(Default)]
struct Ids {
    owners: HashMap<(String, HandlerId), u64>,
    problems: Vec<String>,
}

impl Ids {
    /// Takes the id of a handler; none if there is a problem. Two functions with one id would share their progress, and the
    /// second one would never run (FIX-26).
    fn take(
        &mut self,
        of: &str,
        key: &str,
        declared: Result<Arc<CoreHandler>, Vec<String>>,
    ) -> Option<Arc<CoreHandler>> {
        let handler = declared.map_err(|problems| self.problems.extend(problems)).ok()?;
        let key = (key.to_owned(), handler.id.clone());
        let owner = *self.owners.entry(key).or_insert(handler.function);
        if owner == handler.function {
            return Some(handler);
        }
        self.problems.push(format!(
            "two different handlers of {of} have the id `{}`: rename one, or give it another id by \
             `handler(..).id(\"..\")`",
            handler.id
        ));
        None
    }
}

fn bullets(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n- {problem}")).collect()
}

#[cfg(test)]
mod tests;
