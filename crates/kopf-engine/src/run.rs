//! The order in which an operator starts and stops (W-PRC-004, W-PRC-010..019).

use std::sync::{Arc, atomic::AtomicU64};

use kopf_core::error::ErrorInfo;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    activities::Activities,
    client::{ApiClient, Retriever, Vault},
    error::RunError,
    log::{Logger, logger},
    objects::Shop,
    operator::Operator,
    orchestrate::Orchestrator,
    posting::{Means, post_all},
    registry::Activity,
};

pub(crate) async fn run(operator: Operator, stop: CancellationToken) -> Result<(), RunError> {
    let registry = Arc::new(operator.registry.clone());
    let activities = Activities {
        door: operator.door.clone(),
        registry,
        settings: operator.handle.settings().clone(),
        clock: operator.clock,
    };
    let logger = Logger::new(&operator.door, logger::RUNNING);
    logger.debug(format_args!("Starting {}.", operator.user_agent.replacen("kopf/", "Kopf ", 1)));
    let started = tokio::select! {
        started = activities.run(Activity::Startup) => started,
        () = stop.cancelled() => {
            logger.warning("Startup activity is only partially executed due to cancellation.");
            return Ok(());
        }
    };
    if let Err(error) = started {
        log_failure(&logger, &error);
        return Err(error);
    }
    operator.door.ready();
    let served = serve(operator, &activities, stop).await;
    if let Err(error) = &served {
        log_failure(&logger, error);
    }
    logger.debug("Root tasks are stopped: finishing normally; tasks left: set()");
    let cleaned = activities.run(Activity::Cleanup).await;
    if let Err(error) = &cleaned {
        log_failure(&logger, error);
    }
    logger.debug("Hung tasks stopping is skipped: no tasks given.");
    served.and(cleaned.map(drop))
}

/// Says what has failed, by the names that upstream's tasks have (W-PRC-005, W-PRC-017, W-PRC-018).
fn log_failure(logger: &Logger, error: &RunError) {
    let (task, info) = match error {
        RunError::Activity { activity: "authentication", first } => ("Credentials retriever", first.clone()),
        RunError::Activity { first, .. } => ("Startup/cleanup activities", first.clone()),
        RunError::Login(_) => ("Credentials retriever", ErrorInfo::new(chain(error))),
        RunError::Api { .. } | RunError::Plugin(_) => ("Resource observer", ErrorInfo::new(chain(error))),
        RunError::Watch(_) | RunError::Worker(_) => {
            ("Multidimensional multitasker", ErrorInfo::new(chain(error)))
        }
    };
    logger.exception(format_args!("{task} has failed: {}", chain(error)), info);
}

/// Everything between the startup and the cleanup activities.
async fn serve(operator: Operator, activities: &Activities, stop: CancellationToken) -> Result<(), RunError> {
    let Operator { scope, connection, user_agent, door, clock, handle, posts, .. } = operator;
    // Stopped by whoever runs us, or by a failure of ours.
    let stop = stop.child_token();
    let kill = CancellationToken::new();
    let posting_ends = CancellationToken::new();
    // Whoever drops us abandons what runs: it ends by itself then.
    let _guards = [&stop, &kill, &posting_ends].map(|token| token.clone().drop_guard());

    let vault = Arc::new(Vault::new());
    let api = ApiClient::new(vault.clone(), handle.settings().clone(), clock);
    let means = Means {
        api: api.clone(),
        settings: handle.settings().clone(),
        clock,
        logger: Logger::new(&door, logger::POSTING),
    };
    let posting = tokio::spawn(post_all(means, posts, posting_ends.clone()));

    let (fatal, mut failures) = mpsc::channel(1);
    let shop = Shop {
        door,
        api,
        clock,
        poster: handle.poster().clone(),
        fatal: fatal.clone(),
        next_object_id: AtomicU64::new(1),
    };
    let registry = activities.registry.clone();
    let orchestrator =
        Orchestrator::new(Arc::new(shop), registry, handle.clone(), scope, stop.clone(), kill.clone());
    let mut serving = tokio::spawn(orchestrator.run());
    let retriever = Retriever::new(vault, connection, activities.clone(), handle, user_agent);
    let retrieving = AbortOnDropHandle::new(tokio::spawn(retriever.run(fatal)));

    let (served, failure) = tokio::select! {
        served = &mut serving => (served, failures.try_recv().ok()),
        failure = failures.recv() => {
            stop.cancel();
            (serving.await, failure)
        }
    };
    // What the streams needed ends after them.
    posting_ends.cancel();
    let posted = posting.await.map_err(|error| RunError::Worker(error.to_string()));
    retrieving.abort();
    // Its error, if any, was told.
    drop(retrieving.await);
    let served = served.unwrap_or_else(|error| Err(RunError::Worker(error.to_string())));
    failure.map_or(served, Err).and(posted)
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
