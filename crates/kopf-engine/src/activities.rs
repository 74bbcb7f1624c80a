//! Activities: handlers of the operator as a whole, tried until all are finished (W-ACT).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kopf_core::{
    attempt::{Children, Judgement, Rules},
    error::ErrorInfo,
    handler::{ErrorsMode, Handler, HandlerId},
    log::{Ending, Log, Role, Subject},
    outcome::Outcome,
    record::ProgressRecord,
};
use serde_json::Value;

use crate::{
    clock::Clock,
    door::{ActivityCall, Door, Record},
    error::RunError,
    registry::{Activity, Registry},
    shared::SettingsHandle,
};

/// Runs activities.
#[derive(Clone, Debug)]
pub(crate) struct Activities {
    pub(crate) door: Arc<dyn Door>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) settings: SettingsHandle,
    pub(crate) clock: Clock,
}

/// The progress of one handler.
struct Progress {
    handler: Arc<Handler>,
    record: ProgressRecord,
    result: Option<Value>,
    failure: Option<ErrorInfo>,
}

impl Activities {
    /// Runs all handlers of an activity: those that may run one after another, then again after the shortest delay, until
    /// all are finished (A-ACT-001). Gives what they returned.
    ///
    /// # Errors
    /// If one has failed for good (W-ACT-002).
    ///
    /// # Cancel safety
    /// Dropping the future abandons the handler that runs.
    pub(crate) async fn run(&self, activity: Activity) -> Result<Vec<(HandlerId, Value)>, RunError> {
        let now = self.clock.now();
        let begin = |handler| Progress {
            handler,
            record: ProgressRecord::new(None, now),
            result: None,
            failure: None,
        };
        let mut all: Vec<Progress> = self.registry.of(activity).into_iter().map(begin).collect();
        loop {
            for progress in &mut all {
                if progress.record.is_awakened(self.clock.now()) {
                    self.attempt(activity, progress).await;
                }
            }
            let now = self.clock.now();
            let Some(delay) = all.iter().filter_map(|progress| progress.record.delay(now)).min() else {
                break;
            };
            tokio::time::sleep(delay.unsigned_abs()).await;
        }
        if let Some(first) = all.iter_mut().find_map(|progress| progress.failure.take()) {
            return Err(RunError::Activity { activity: activity.as_str(), first });
        }
        Ok(all
            .into_iter()
            .filter_map(|progress| Some((progress.handler.id.clone(), progress.result?)))
            .collect())
    }

    async fn attempt(&self, activity: Activity, progress: &mut Progress) {
        let handler = progress.handler.clone();
        let backoff = self.settings.load().execution.default_backoff;
        let rules = Rules {
            subject: Subject { role: Role::Activity, id: handler.id.clone() },
            options: &handler.options,
            default_errors: ErrorsMode::Temporary,
            default_backoff: SignedDuration::try_from(backoff).unwrap_or(SignedDuration::MAX),
            children: Children::default(),
        };
        let now = self.clock.now();
        self.log(activity, rules.invoked());
        let judgement = match rules.forbid(&progress.record, now) {
            Some(judgement) => judgement,
            None => {
                let outcome = self.call(activity, progress, now).await;
                match rules.judge(outcome, &progress.record, self.clock.now()) {
                    Some(judgement) => judgement,
                    // Cancelled by itself: nothing has happened, so it would run for ever.
                    None => Judgement {
                        attempt: kopf_core::record::Attempt {
                            is_final: true,
                            error: Some("cancelled".into()),
                            ..Default::default()
                        },
                        ending: Ending::Cancelled,
                        result: None,
                    },
                }
            }
        };
        self.log(activity, rules.ended(judgement.ending.clone()));
        let message = judgement.attempt.error.clone();
        progress.record = std::mem::replace(&mut progress.record, ProgressRecord::new(None, now))
            .after(judgement.attempt, self.clock.now());
        progress.result = judgement.result;
        if progress.record.failure {
            let raised = raised(&judgement.ending).cloned();
            progress.failure = Some(raised.unwrap_or_else(|| ErrorInfo::new(message.unwrap_or_default())));
        }
    }

    async fn call(&self, activity: Activity, progress: &Progress, now: Timestamp) -> Outcome {
        let call = ActivityCall {
            activity: activity.as_str(),
            handler: progress.handler.clone(),
            retry: progress.record.retries,
            started: progress.record.started.timestamp(),
            runtime: progress.record.runtime(now),
        };
        self.door.call_activity(call).await
    }

    fn log(&self, activity: Activity, log: Log) {
        self.door.log(Record::Activity { activity: activity.as_str(), log });
    }
}

/// The error that ended the last attempt.
fn raised(ending: &Ending) -> Option<&ErrorInfo> {
    match ending {
        Ending::Permanent(error)
        | Ending::Stopped(error)
        | Ending::TemporaryAtLimit(_, error)
        | Ending::StoppedAtLimit(_, error) => Some(error),
        _ => None,
    }
}
