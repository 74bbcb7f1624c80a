//! The operator of the chaos suite. `tests/chaos/handlers.py` is the same in Python, and says what it is about.

use std::{
    fs::{File, OpenOptions},
    future::Future,
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use k8s_openapi::api::core::v1::ConfigMap;
use kopf::prelude::*;
use kube::{Api, Resource as _};
use serde_json::Value;

/// The time until the next attempt.
const DELAY: Duration = Duration::from_millis(200);

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "kopf.dev", version = "v1", kind = "KopfExample", namespaced)]
struct KopfExampleSpec {
    #[serde(default)]
    parts: Vec<String>,
    /// How many attempts of a handler with troubles fail.
    #[serde(default)]
    troubles: u32,
    /// How long each call takes, in seconds.
    #[serde(default)]
    pause: f64,
}

type Example = Cause<KopfExample>;

/// Where calls are told of: whole lines, appended at once, so that they survive a killed process.
struct Journal(File);

impl Journal {
    fn open() -> std::io::Result<Self> {
        let path = std::env::var_os("CHAOS_JOURNAL").expect("CHAOS_JOURNAL: the file of the journal");
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        // Ends a line that a kill has torn: tests/support/journals.py.
        file.write_all(b"\n\n")?;
        Ok(Self(file))
    }

    fn write(&self, cause: &Example, event: &Value) {
        let object = cause.raw();
        let mut line = json!({
            "pid": std::process::id(),
            "handler": cause.handler_id(),
            "uid": object["metadata"]["uid"],
            "name": object["metadata"]["name"],
            "version": object["metadata"]["resourceVersion"],
            "spec": object["spec"],
            "reason": cause.reason().map(|reason| reason.to_string()),
            "retry": cause.retry(),
            "at": now(),
        });
        for (key, value) in event.as_object().into_iter().flatten() {
            line[key] = value.clone();
        }
        let text = format!("{line}\n");
        let mut file = &self.0;
        file.write_all(text.as_bytes()).expect("the journal takes a line");
    }
}

/// Unix seconds, as Python's `time.time()`.
#[expect(clippy::disallowed_methods, reason = "it is compared with the clocks of other processes")]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Tells the journal of a call, and how it ends.
async fn told<T>(cause: &Example, journal: &Journal, call: impl Future<Output = Result<T>>) -> Result<T> {
    journal.write(cause, &json!({"do": "start"}));
    let result = call.await;
    let outcome = if result.is_ok() { "done" } else { "retry" };
    journal.write(cause, &json!({"do": "end", "outcome": outcome}));
    result
}

/// What all handlers do that have nothing special to do.
async fn work(cause: &Example) -> Result {
    let spec = cause.typed()?.spec.clone();
    tokio::time::sleep(Duration::from_secs_f64(spec.pause)).await;
    Ok(())
}

async fn work_with_troubles(cause: &Example) -> Result {
    work(cause).await?;
    if cause.retry() < cause.typed()?.spec.troubles {
        return Err(temporary("not yet", DELAY));
    }
    Ok(())
}

async fn seen(cause: Example, journal: Ctx<Journal>) -> Result {
    told(&cause, &journal, async { Ok(()) }).await
}

async fn simple(cause: Example, journal: Ctx<Journal>) -> Result {
    told(&cause, &journal, work(&cause)).await
}

async fn with_result(cause: Example, journal: Ctx<Journal>) -> Result<Json<Value>> {
    told(&cause, &journal, work(&cause)).await?;
    Ok(Json(json!({"by": std::process::id()})))
}

async fn retried(cause: Example, journal: Ctx<Journal>) -> Result {
    told(&cause, &journal, work_with_troubles(&cause)).await
}

async fn create_child(cause: Example, journal: Ctx<Journal>, client: kube::Client) -> Result {
    told(&cause, &journal, async {
        let owner = cause.typed()?;
        let mut child = ConfigMap::default();
        child.metadata.name = owner.meta().uid.as_ref().map(|uid| format!("child-of-{uid}"));
        child.metadata.owner_references = owner.controller_owner_ref(&()).map(|owner| vec![owner]);
        let namespace = owner.meta().namespace.clone().unwrap_or_default();
        match Api::<ConfigMap>::namespaced(client, &namespace).create(&Default::default(), &child).await {
            // The attempt before this one has made it.
            Err(kube::Error::Api(error)) if error.code == 409 => Ok(()),
            result => Ok(result.map(drop)?),
        }
    })
    .await
}

async fn create_parts(cause: Example, journal: Ctx<Journal>, parts: Subhandlers<KopfExample>) -> Result {
    told(&cause, &journal, async {
        for part in cause.typed()?.spec.parts.clone() {
            parts.add(handler(retried).id(part));
        }
        parts.execute().await
    })
    .await
}

#[kopf::main]
async fn main() -> Operator {
    let again = Duration::from_secs(1);
    let handlers = on::<KopfExample>()
        .event(handler(seen).id("seen"))
        .resume(handler(simple).id("resumed"))
        .create(handler(with_result).id("create_first"))
        .create(handler(retried).id("create_retried").backoff(again))
        .create(handler(create_child).id("create_child").backoff(again))
        .create(handler(create_parts).id("create_parts").backoff(again))
        .update(handler(with_result).id("update_first"))
        .update(handler(retried).id("update_retried").backoff(again))
        .field("spec.color", handler(simple).id("colored"))
        .delete(handler(simple).id("delete_first"))
        .delete(handler(retried).id("delete_retried").backoff(again));
    let inactivity = seconds("CHAOS_INACTIVITY");
    let request_timeout = seconds("CHAOS_REQUEST_TIMEOUT");
    let journal = Journal::open().expect("the journal can be opened");
    Operator::new().serve(handlers).with(journal).settings(|settings| {
        if inactivity.is_some() {
            settings.watching.inactivity_timeout = inactivity;
        }
        if let Some(timeout) = request_timeout {
            settings.networking.request_timeout = timeout;
        }
    })
}

/// What a variable of the environment says, if it is set.
fn seconds(name: &str) -> Option<Duration> {
    let text = std::env::var(name).ok()?;
    Some(Duration::from_secs_f64(text.parse().unwrap_or_else(|_| panic!("{name}={text:?} are no seconds"))))
}
