//! Which streams run: for every served resource and namespace one, as discovery and namespaces come and go (W-DSC, W-NS).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use kopf_core::{error::ErrorInfo, handler::Handler, json::python_repr_str, resource::Resource};
use tokio::{
    task::{Id, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    at_door::at_door,
    client::ApiError,
    discovery::{self, BACKBONE},
    error::RunError,
    log::{Logger, logger},
    namespaces::{NamespacePattern, Scope, exact_names},
    objects::{Intake, Objects, Shop},
    observe::{Definitions, Namespaces},
    operator::OperatorHandle,
    plans::Plans,
    registry::Registry,
    serving,
    watch::{Consumer, Place, ServerFilters, Stream, StreamEnd},
};

/// How soon something is asked again that discovery should know but does not, or knows but does not serve.
const FIRST_RECHECK: Duration = Duration::from_secs(1);
const LAST_RECHECK: Duration = Duration::from_secs(30);

/// Starts and stops streams.
pub(crate) struct Orchestrator {
    pub(crate) shop: Arc<Shop>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) handle: OperatorHandle,
    pub(crate) scope: Scope,
    /// Nothing new is begun.
    pub(crate) stop: CancellationToken,
    /// What runs is cancelled.
    pub(crate) kill: CancellationToken,
    resources: Vec<Arc<Resource>>,
    definitions: Arc<Definitions>,
    namespaces: Arc<Namespaces>,
    streams: HashMap<Key, Running>,
    tasks: JoinSet<(Key, Option<StreamEnd>)>,
    observers: JoinSet<(Observer, StreamEnd)>,
    /// Streams that the server has refused to serve, and when they are tried again.
    refused: HashMap<Key, Recheck>,
    recheck: Recheck,
    /// The resources have been looked at since the last warnings about them (W-DSC-011).
    is_revised: bool,
    logger: Logger,
}

/// What makes a stream: one runs for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    resource: Arc<Resource>,
    namespace: Option<String>,
    place: Place,
}

struct Running {
    cancel: CancellationToken,
    plans: Arc<Plans>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Observer {
    Definitions,
    Namespaces,
}

/// When something is looked at again, later and later.
#[derive(Clone, Copy, Debug, Default)]
struct Recheck {
    at: Option<Instant>,
    pause: Duration,
}

impl Orchestrator {
    pub(crate) fn new(
        shop: Arc<Shop>,
        registry: Arc<Registry>,
        handle: OperatorHandle,
        scope: Scope,
        stop: CancellationToken,
        kill: CancellationToken,
    ) -> Self {
        let logger = Logger::new(&shop.door, logger::OBSERVATION);
        Self {
            registry,
            handle,
            scope,
            stop,
            kill,
            resources: Vec::new(),
            definitions: Arc::default(),
            namespaces: Arc::new(Namespaces::new(logger.clone())),
            streams: HashMap::new(),
            tasks: JoinSet::new(),
            observers: JoinSet::new(),
            refused: HashMap::new(),
            recheck: Recheck::default(),
            is_revised: false,
            logger,
            shop,
        }
    }

    /// Serves until it is told to stop, or cannot go on; then lets everything end (W-QUE-006).
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let stop = self.stop.clone();
        let result = tokio::select! {
            result = self.serve() => result,
            () = stop.cancelled() => Ok(()),
        };
        self.stop.cancel();
        self.observers.shutdown().await;
        while self.tasks.join_next().await.is_some() {}
        result
    }

    async fn serve(&mut self) -> Result<(), RunError> {
        self.scan(None).await?;
        self.observe()?;
        self.reconcile().await?;
        loop {
            let recheck = self.next_recheck();
            let (definitions, namespaces) = (self.definitions.clone(), self.namespaces.clone());
            tokio::select! {
                () = definitions.changed() => self.rescan().await?,
                () = namespaces.changed() => self.reconcile().await?,
                Some(ended) = self.tasks.join_next_with_id() => self.stream_ended(ended).await?,
                Some(Ok((observer, end))) = self.observers.join_next() => self.observer_ended(observer, &end)?,
                () = until(recheck) => self.recheck().await?,
            }
        }
    }

    /// Watches definitions and namespaces (W-DSC-013, W-NS-002), unless scanning is disabled.
    fn observe(&mut self) -> Result<(), RunError> {
        let disabled = self.handle.settings().load().scanning.disabled;
        if let Scope::Namespaces(patterns) = &self.scope {
            match self.find("", "namespaces").filter(|_| !disabled) {
                Some(resource) => {
                    self.start_observer(Observer::Namespaces, resource, self.namespaces.clone())?;
                }
                None => self.namespaces.assume(exact_names(patterns)),
            }
        }
        let definitions = self.find("apiextensions.k8s.io", "customresourcedefinitions");
        if let Some(resource) = definitions.filter(|_| !disabled) {
            self.start_observer(Observer::Definitions, resource, self.definitions.clone())?;
        }
        Ok(())
    }

    fn start_observer(
        &mut self,
        observer: Observer,
        resource: Arc<Resource>,
        consumer: Arc<dyn Consumer>,
    ) -> Result<(), RunError> {
        let place = self.place(&resource, None)?;
        let stream = self.stream(&Key { resource, namespace: None, place }, consumer);
        self.observers.spawn(async move { (observer, stream.run().await) });
        Ok(())
    }

    /// Looks at what is served: of all wanted groups, or of these, whose resources are replaced.
    async fn scan(&mut self, groups: Option<BTreeSet<String>>) -> Result<(), RunError> {
        let of_all = groups.is_none();
        let groups = groups.or_else(|| self.wanted_groups());
        let found = discovery::scan(&self.shop.api, &self.logger, groups.as_ref()).await;
        let found = found.map_err(|source| api_error("discover the resources", source))?;
        self.is_revised = true;
        match groups.filter(|_| !of_all) {
            None => self.resources = found,
            Some(groups) => {
                self.resources.retain(|resource| !groups.contains(&resource.group));
                self.resources.extend(found);
            }
        }
        Ok(())
    }

    /// The groups of the selectors and ours; none: all, as a selector has no group (W-DSC-001).
    fn wanted_groups(&self) -> Option<BTreeSet<String>> {
        let of_selectors: Option<BTreeSet<String>> =
            self.registry.resources.iter().map(|(selector, _)| selector.group.clone()).collect();
        let ours = BACKBONE.map(str::to_owned);
        of_selectors.map(|groups| groups.into_iter().chain(ours).collect())
    }

    /// Definitions have changed: their groups are looked at again (W-DSC-013).
    async fn rescan(&mut self) -> Result<(), RunError> {
        let mut groups = self.definitions.take_changed();
        groups.extend(self.definitions.missing(&self.resources));
        groups.extend(self.refused.keys().map(|key| key.resource.group.clone()));
        let wanted = self.wanted_groups();
        groups.retain(|group| wanted.as_ref().is_none_or(|wanted| wanted.contains(group)));
        if groups.is_empty() {
            self.recheck = Recheck::default();
            return Ok(());
        }
        match self.scan(Some(groups)).await {
            Ok(()) if self.lacks_wanted() => self.recheck.later(),
            Ok(()) => self.recheck = Recheck::default(),
            Err(RunError::Api { source, .. }) if !matches!(source, ApiError::Login(_)) => {
                self.logger.error(format_args!("The resources cannot be looked at again: {source}"));
                self.recheck.later();
            }
            Err(error) => return Err(error),
        }
        self.reconcile().await
    }

    fn lacks_wanted(&self) -> bool {
        let wanted = self.wanted_groups();
        let mut missing = self.definitions.missing(&self.resources).into_iter();
        missing.any(|group| wanted.as_ref().is_none_or(|wanted| wanted.contains(&group)))
    }

    async fn recheck(&mut self) -> Result<(), RunError> {
        self.recheck.at = None;
        let now = Instant::now();
        for recheck in self.refused.values_mut() {
            recheck.at = recheck.at.filter(|at| *at > now);
        }
        self.rescan().await
    }

    fn next_recheck(&self) -> Option<Instant> {
        self.refused.values().chain([&self.recheck]).filter_map(|recheck| recheck.at).min()
    }

    /// Starts the streams that are missing and stops those that are too much.
    async fn reconcile(&mut self) -> Result<(), RunError> {
        let Some(namespaces) = self.served_namespaces().await? else { return Ok(()) };
        let (registry, resources) = (self.registry.clone(), self.resources.clone());
        let has_callbacks = registry.resources.iter().any(|(selector, _)| selector.has_callback());
        let serving =
            at_door(&self.shop.door, has_callbacks, move || serving::resolve(&registry, &resources))
                .await
                .unwrap_or_else(|| Err(ErrorInfo::new("the selectors were not tried")))
                .map_err(RunError::Plugin)?;
        if std::mem::take(&mut self.is_revised) {
            serving.warnings.iter().for_each(|warning| self.logger.warning(warning));
        }
        let mut wanted = HashMap::new();
        for (resource, handlers) in serving.resources {
            for namespace in namespaces.iter().filter(|ns| resource.namespaced || ns.is_none()) {
                let place = self.place(&resource, namespace.as_deref())?;
                let key = Key { resource: resource.clone(), namespace: namespace.clone(), place };
                wanted.insert(key, handlers.clone());
            }
            if !resource.namespaced && !namespaces.contains(&None) {
                let place = self.place(&resource, None)?;
                wanted.insert(Key { resource: resource.clone(), namespace: None, place }, handlers);
            }
        }
        self.refused.retain(|key, _| wanted.contains_key(key));
        for (key, running) in &self.streams {
            let handlers = wanted.get(key);
            if !handlers.is_some_and(|handlers| running.plans.has_handlers(handlers)) {
                running.cancel.cancel();
            }
        }
        for (key, handlers) in wanted {
            match self.streams.get(&key) {
                // If it is being stopped, its end brings us here again.
                Some(running) => running.plans.set_resource(key.resource.clone()),
                None if self.refused.get(&key).is_some_and(|recheck| recheck.at.is_some()) => {}
                None if self.streams.keys().any(|running| running.shares_objects(&key)) => {}
                None => self.start(key, handlers),
            }
        }
        Ok(())
    }

    /// The namespaces to serve, none for all of them together; nothing as long as they are not known.
    async fn served_namespaces(&self) -> Result<Option<Vec<Option<String>>>, RunError> {
        let Scope::Namespaces(patterns) = &self.scope else { return Ok(Some(vec![None])) };
        let Some(names) = self.namespaces.names() else { return Ok(None) };
        let patterns = patterns.clone();
        let has_callbacks = patterns.iter().any(NamespacePattern::has_callback);
        let matching = move || {
            let matches = |name: &String| patterns.iter().any(|pattern| pattern.matches(name));
            names.into_iter().filter(matches).map(Some).collect()
        };
        match at_door(&self.shop.door, has_callbacks, matching).await {
            Some(namespaces) => Ok(Some(namespaces)),
            None => Err(RunError::Plugin(ErrorInfo::new("the namespaces were not tried"))),
        }
    }

    fn start(&mut self, key: Key, handlers: Vec<Arc<Handler>>) {
        let plans = Arc::new(Plans::new(key.resource.clone(), handlers, self.handle.clone()));
        let objects =
            Objects::new(self.shop.clone(), key.resource.clone(), plans.clone(), &self.stop, &self.kill);
        let stream = self.stream(&key, Arc::new(Intake(objects.clone())));
        let cancel = self.stop.child_token();
        self.streams.insert(key.clone(), Running { cancel: cancel.clone(), plans });
        self.tasks.spawn(async move {
            let end = tokio::select! {
                end = stream.run() => Some(end),
                () = cancel.cancelled() => None,
            };
            stream.logger.debug(format_args!("Stopping the watch-stream for {stream}."));
            drain(&stream, &objects).await;
            (key, end)
        });
    }

    fn stream(&self, key: &Key, consumer: Arc<dyn Consumer>) -> Stream {
        Stream {
            api: self.shop.api.clone(),
            settings: self.handle.settings().clone(),
            logger: Logger::new(&self.shop.door, logger::WATCHING),
            resource: key.resource.clone(),
            namespace: key.namespace.clone(),
            place: key.place.clone(),
            consumer,
        }
    }

    async fn stream_ended(
        &mut self,
        ended: Result<(Id, (Key, Option<StreamEnd>)), tokio::task::JoinError>,
    ) -> Result<(), RunError> {
        let (key, end) = match ended {
            Ok((_, ended)) => ended,
            Err(error) => return Err(RunError::Worker(error.to_string())),
        };
        self.streams.remove(&key);
        match end {
            None => self.reconcile().await,
            Some(StreamEnd::NotServed) => {
                self.logger.warning(format_args!(
                    "{} is not served any more, or not yet; it will be looked for again.",
                    key.resource
                ));
                self.refused.entry(key).or_default().later();
                Ok(())
            }
            Some(StreamEnd::Refused(source)) => {
                let doing = format!("list or watch {}", shown(&key));
                self.watcher_failed(&key, &source);
                Err(api_error(&doing, source))
            }
            Some(StreamEnd::Error(error)) => {
                let error = RunError::Watch(error);
                self.watcher_failed(&key, &error);
                Err(error)
            }
        }
    }

    /// W-PRC-017, W-PRC-018.
    fn watcher_failed(&self, key: &Key, error: &dyn std::error::Error) {
        let namespace = key.namespace.as_deref().unwrap_or("none");
        Logger::new(&self.shop.door, logger::RUNNING).exception(
            format_args!("Watcher for {}@{namespace} has failed: {error}", key.resource),
            ErrorInfo::new(error.to_string()),
        );
    }

    /// An observer cannot go on: what it would have told stays as it is.
    fn observer_ended(&mut self, observer: Observer, end: &StreamEnd) -> Result<(), RunError> {
        if let StreamEnd::Refused(ApiError::Login(error)) = end {
            return Err(RunError::Login(error.clone()));
        }
        match (observer, &self.scope) {
            (Observer::Definitions, _) => self.logger.warning(
                "Not enough permissions to watch for resources: changes (creation/deletion/updates) will not be noticed; \
                 the resources are only refreshed on operator restarts.",
            ),
            (Observer::Namespaces, Scope::Namespaces(patterns)) if self.namespaces.names().is_none() => {
                let names = exact_names(patterns);
                let shown = crate::repr::set(names.iter().map(|name| python_repr_str(name)));
                self.logger.warning(format_args!(
                    "Not enough permissions to list namespaces. Falling back to a list of namespaces which are assumed to \
                     exist: {shown}"
                ));
                self.namespaces.assume(names);
            }
            (Observer::Namespaces, _) => self.logger.warning(
                "Not enough permissions to watch for namespaces: changes (deletion/creation) will not be noticed; the \
                 namespaces are only refreshed on operator restarts.",
            ),
        }
        Ok(())
    }

    fn place(&self, resource: &Resource, namespace: Option<&str>) -> Result<Place, RunError> {
        let settings = self.handle.settings().load();
        let filters = ServerFilters::of(&settings, resource).map_err(RunError::Plugin)?;
        // Namespaces are asked for of namespaced resources only.
        Place::new(resource, namespace, filters)
            .map_err(|error| api_error("list", ApiError::Request(error.to_string())))
    }

    fn find(&self, group: &str, plural: &str) -> Option<Arc<Resource>> {
        let mut all = self.resources.iter();
        all.find(|resource| resource.group == group && resource.plural == plural && resource.preferred)
            .cloned()
    }
}

/// Lets the workers of a stream end: in time, or cancelled.
async fn drain(stream: &Stream, objects: &Arc<Objects>) {
    let exit_timeout = stream.settings.load().queueing.exit_timeout;
    if timeout(exit_timeout, objects.drained()).await.is_err() {
        let unfinished = objects.unfinished().into_iter();
        let keys: Vec<String> =
            unfinished.map(|key| format!("({}, {})", stream.resource, python_repr_str(&key))).collect();
        stream.logger.warning(format_args!("Unprocessed streams left for [{}].", keys.join(", ")));
        objects.kill.cancel();
        objects.drained().await;
    }
    objects.forget_all();
}

impl Key {
    /// Whether objects of one may be those of the other: they differ in what the server filters by.
    fn shares_objects(&self, other: &Self) -> bool {
        self.resource == other.resource && self.namespace == other.namespace
    }
}

impl Recheck {
    fn later(&mut self) {
        self.pause = (self.pause * 2).clamp(FIRST_RECHECK, LAST_RECHECK);
        self.at = Some(Instant::now() + self.pause);
    }
}

fn shown(key: &Key) -> String {
    match &key.namespace {
        None => format!("{} cluster-wide", key.resource),
        Some(namespace) => format!("{} in {}", key.resource, python_repr_str(namespace)),
    }
}

fn api_error(doing: &str, source: ApiError) -> RunError {
    match source {
        ApiError::Login(error) => RunError::Login(error),
        source => RunError::Api { doing: doing.to_owned(), source },
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
