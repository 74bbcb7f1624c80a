//! Admission webhooks: who is asked about a write, and what they answer (D-210 to D-217).
//!
//! Mutating webhooks one after another in the order of their names, then, when the object is complete and valid, the
//! validating ones all at once. Conditions in CEL are not evaluated, which is told.

mod call;
mod hooks;
mod review;

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::Value;

use crate::machinery::json_patch;
use crate::server::decode::Decoded;
use crate::server::write::validate::{self, Checked};
use crate::server::write::{Target, WriteOptions};
use crate::status::ApiError;
use hooks::{Hook, Phase};

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// A write, as webhooks are asked about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) target: &'a Target<'a>,
    pub(crate) operation: Operation,
    pub(crate) name: &'a str,
    /// Before the write; none on create.
    pub(crate) old: Option<&'a Value>,
    /// Not to be stored: asked for in the query or in the body of a deletion.
    pub(crate) dry_run: bool,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(
        target: &'a Target<'a>,
        operation: Operation,
        name: &'a str,
        old: Option<&'a Value>,
    ) -> Self {
        Self { target, operation, name, old, dry_run: target.options.dry_run }
    }

    fn options(&self) -> &'a WriteOptions {
        self.target.options
    }
}

/// Whether there is any webhook that changes objects.
pub(crate) fn may_mutate(target: &Target<'_>) -> bool {
    !target.shared.store.is_empty(Phase::Mutating.store())
}

/// Lets mutating webhooks change the object; gives warnings. An object that is deleted is not changed.
///
/// # Errors
///
/// A webhook has refused the write, or could not be asked and must be.
pub(crate) async fn mutate(
    attempt: Attempt<'_>,
    object: Option<&mut Value>,
) -> Result<Vec<String>, ApiError> {
    let hooks = hooks::matching(attempt, Phase::Mutating, object.as_deref());
    if hooks.is_empty() {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    let mut current = object.as_deref().cloned();
    // Which hooks have seen the object as it is now.
    let mut seen: Vec<Option<Value>> = vec![None; hooks.len()];
    for (index, hook) in hooks.iter().enumerate() {
        current = ask_to_change(attempt, hook, current, &mut warnings).await?;
        seen[index] = current.clone();
    }
    for (hook, seen) in hooks.iter().zip(&seen).filter(|(hook, _)| hook.is_reinvoked()) {
        if *seen != current {
            current = ask_to_change(attempt, hook, current, &mut warnings).await?;
        }
    }
    if let (Some(object), Some(current)) = (object, current) {
        *object = current;
    }
    Ok(warnings)
}

async fn ask_to_change(
    attempt: Attempt<'_>,
    hook: &Hook,
    object: Option<Value>,
    warnings: &mut Vec<String>,
) -> Result<Option<Value>, ApiError> {
    let Some(answer) = ask(attempt, hook, object.as_ref(), warnings).await? else { return Ok(object) };
    let (Some(patch), Some(mut object)) = (answer.patch, object) else { return Ok(None) };
    json_patch::apply(&mut object, &patch).map_err(|error| hook.failed_call(&error.to_string()))?;
    let body = Decoded { value: object, duplicates: Vec::new() };
    let Checked { mut value, warnings: noticed } = validate::decoded(attempt.target, body)?;
    warnings.extend(noticed);
    warnings.extend(validate::complete(attempt.target, &mut value, attempt.old));
    Ok(Some(value))
}

/// Lets validating webhooks refuse the write; gives warnings.
///
/// # Errors
///
/// As [`mutate`].
pub(crate) async fn check(attempt: Attempt<'_>, object: Option<&Value>) -> Result<Vec<String>, ApiError> {
    let hooks = hooks::matching(attempt, Phase::Validating, object);
    let answers = join_all(hooks.iter().map(|hook| async {
        let mut warnings = Vec::new();
        ask(attempt, hook, object, &mut warnings).await.map(|_| warnings)
    }));
    let mut warnings = Vec::new();
    for answer in answers.await {
        warnings.extend(answer?);
    }
    Ok(warnings)
}

/// Asks one webhook. `None` if it could not be asked and need not be.
async fn ask(
    attempt: Attempt<'_>,
    hook: &Hook,
    object: Option<&Value>,
    warnings: &mut Vec<String>,
) -> Result<Option<review::Answer>, ApiError> {
    if attempt.dry_run && !hook.allows_dry_run() {
        let message = format!("admission webhook \"{}\" does not support dry run", hook.name);
        return Err(ApiError::bad_request(message));
    }
    warnings.extend(hook.caveats());
    let shared = attempt.target.shared;
    let uid = shared.random.uid();
    let question = review::question(attempt, hook, object, &uid);
    let answer = match call::call(shared, hook, &question).await {
        Ok(answer) => review::answer(hook, &answer, &uid),
        Err(why) => Err(why),
    };
    match answer {
        Ok(answer) => {
            warnings.extend(answer.warnings.iter().cloned());
            match answer.denial {
                Some(denial) => Err(denial),
                None => Ok(Some(answer)),
            }
        }
        Err(why) => {
            tracing::warn!(webhook = hook.name, why, "an admission webhook could not be asked");
            if hook.may_fail() {
                warnings.push(format!(
                    "the dev cluster failed to call webhook \"{}\", which may be: {why}",
                    hook.name
                ));
                return Ok(None);
            }
            Err(hook.failed_call(&why))
        }
    }
}

/// Where Services of webhooks are reached: there is no network inside the cluster.
#[derive(Debug, Default)]
pub(crate) struct Services(
    std::sync::Mutex<std::collections::HashMap<(String, String, u16), std::net::SocketAddr>>,
);

impl Services {
    pub(crate) fn set(&self, namespace: &str, name: &str, port: u16, address: std::net::SocketAddr) {
        let key = (namespace.to_owned(), name.to_owned(), port);
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key, address);
    }

    fn address(&self, namespace: &str, name: &str, port: u16) -> Option<std::net::SocketAddr> {
        let key = (namespace.to_owned(), name.to_owned(), port);
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(&key).copied()
    }
}

/// A webhook configuration as stored: its place in the order, and its webhooks.
fn configurations(target: &Target<'_>, store: &str) -> Vec<Arc<crate::store::Object>> {
    target.shared.store.list(store, None).objects.into_iter().map(|(_, object)| object).collect()
}
