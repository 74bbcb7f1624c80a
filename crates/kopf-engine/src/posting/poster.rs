//! Posts what waits: in order for each object, several objects at once, bounded in everything.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::Method;
use kopf_core::json::python_repr_str;
use serde_json::{Map, Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ExplicitEvent, Posting,
    event::{self, Content},
    rates::Rates,
};
use crate::{
    client::{ApiClient, ApiError, ApiRequest},
    clock::Clock,
    door::BoxFuture,
    log::Logger,
    shared::SettingsHandle,
};

/// Objects about which Events are posted at the same time.
const AT_ONCE: usize = 16;
/// Taken from the channel and not posted yet, at most.
const BACKLOG: usize = 1_000;
/// At the exit, what waits has so long.
const AT_EXIT: Duration = Duration::from_secs(1);
/// The same Event within this time is counted, not repeated (DEC-12).
const SAME_WITHIN: Duration = Duration::from_secs(600);
/// Events that may be counted, at most.
const COUNTED: usize = 4096;

/// What is needed to post.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) api: ApiClient,
    pub(crate) settings: SettingsHandle,
    pub(crate) clock: Clock,
    pub(crate) logger: Logger,
}

/// Posts until it is told to stop, and then for a moment more.
pub(crate) async fn post_all(means: Means, mut receiver: mpsc::Receiver<Posting>, stop: CancellationToken) {
    let mut desk = Desk::new(means);
    loop {
        desk.begin();
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = desk.posting.next() => desk.end(done),
            Some(posting) = receiver.recv(), if desk.waiting < BACKLOG => desk.take(posting),
        }
    }
    receiver.close();
    // What is left then is lost, as upstream loses all of it (W-EVT-014).
    drop(timeout(AT_EXIT, desk.finish(receiver)).await);
}

/// What waits and what is under way.
struct Desk {
    means: Means,
    queues: HashMap<String, VecDeque<Posting>>,
    /// The keys of the queues that are not empty and not under way, in order.
    ready: VecDeque<String>,
    busy: HashSet<String>,
    waiting: usize,
    posting: FuturesUnordered<BoxFuture<Done>>,
    rates: Rates,
    posted: HashMap<Same, Posted>,
    counting_refused: bool,
    progress_refused: bool,
}

/// What makes two Events the same.
type Same = (String, &'static str, String);

/// An Event that was posted and may be counted on.
struct Posted {
    path: String,
    count: u64,
    at: Instant,
}

struct Done {
    key: String,
    /// What became of an Event on progress.
    progress: Option<(Same, Outcome)>,
}

enum Outcome {
    Posted(Posted),
    CountingRefused,
    Refused,
    Failed,
}

impl Desk {
    fn new(means: Means) -> Self {
        Self {
            means,
            queues: HashMap::new(),
            ready: VecDeque::new(),
            busy: HashSet::new(),
            waiting: 0,
            posting: FuturesUnordered::new(),
            rates: Rates::new(),
            posted: HashMap::new(),
            counting_refused: false,
            progress_refused: false,
        }
    }

    async fn finish(&mut self, mut receiver: mpsc::Receiver<Posting>) {
        while let Ok(posting) = receiver.try_recv() {
            self.take(posting);
        }
        self.begin();
        while let Some(done) = self.posting.next().await {
            self.end(done);
            self.begin();
        }
    }

    fn take(&mut self, posting: Posting) {
        let reference = match &posting {
            Posting::Explicit(event) => &event.reference,
            Posting::Progress { reference, .. } => reference,
        };
        if event::is_about_event(reference) {
            return;
        }
        let key = key(reference);
        if let Posting::Progress { post, .. } = &posting
            && (self.progress_refused || !self.rates.admit(&key, post.warning))
        {
            return;
        }
        self.waiting += 1;
        let queue = self.queues.entry(key.clone()).or_default();
        queue.push_back(posting);
        if queue.len() == 1 && !self.busy.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// Begins to post what may be posted.
    fn begin(&mut self) {
        while self.posting.len() < AT_ONCE {
            let Some(key) = self.ready.pop_front() else { return };
            let Some(posting) = self.queues.get_mut(&key).and_then(VecDeque::pop_front) else { continue };
            self.waiting -= 1;
            self.busy.insert(key.clone());
            let means = self.means.clone();
            let future: BoxFuture<Done> = match posting {
                Posting::Explicit(event) => Box::pin(async move {
                    means.explicit(&event).await;
                    Done { key, progress: None }
                }),
                Posting::Progress { reference, post } => {
                    let same = (key.clone(), post.reason, post.message.clone());
                    let before = self.posted.remove(&same).filter(|p| p.at.elapsed() < SAME_WITHIN);
                    let before = before.filter(|_| !self.counting_refused);
                    let kind = if post.warning { "Warning" } else { "Normal" };
                    Box::pin(async move {
                        let content = Content { kind, reason: post.reason, message: &post.message };
                        let outcome = means.progress(&reference, content, before).await;
                        Done { key, progress: Some((same, outcome)) }
                    })
                }
            };
            self.posting.push(future);
        }
    }

    fn end(&mut self, done: Done) {
        self.busy.remove(&done.key);
        match self.queues.get(&done.key).map(VecDeque::is_empty) {
            Some(false) => self.ready.push_back(done.key),
            Some(true) => drop(self.queues.remove(&done.key)),
            None => {}
        }
        let Some((same, outcome)) = done.progress else { return };
        match outcome {
            Outcome::Posted(posted) => {
                if self.posted.len() >= COUNTED {
                    self.posted.retain(|_, posted| posted.at.elapsed() < SAME_WITHIN);
                }
                if self.posted.len() < COUNTED {
                    self.posted.insert(same, posted);
                }
            }
            Outcome::CountingRefused => self.counting_refused = true,
            Outcome::Refused => self.refuse_progress(),
            Outcome::Failed => {}
        }
    }

    fn refuse_progress(&mut self) {
        if !std::mem::replace(&mut self.progress_refused, true) {
            self.means.logger.warning(
                "Not enough permissions to post events: the progress of handling will not be posted. Grant the verb \
                 'create' on 'events', or set settings.posting.progress to False.",
            );
        }
    }
}

impl Means {
    /// Posts an explicit Event; what fails is logged and forgotten (W-EVT-013).
    async fn explicit(&self, explicit: &ExplicitEvent) {
        let content = Content { kind: &explicit.kind, reason: &explicit.reason, message: &explicit.message };
        let backoffs = explicit.backoffs.clone();
        let backoffs = backoffs.unwrap_or_else(|| self.settings.load().posting.default_backoffs.clone());
        if let Err(error) = self.post(&explicit.reference, content, backoffs).await {
            self.logger.warning(format_args!(
                "Failed to post an event. Ignoring and continuing. {} Event: type={}, reason={}, message={}.",
                describe(&error),
                python_repr_str(content.kind),
                python_repr_str(content.reason),
                python_repr_str(content.message),
            ));
        }
    }

    /// Counts an Event that is there already, or posts a new one.
    async fn progress(
        &self,
        reference: &Map<String, Value>,
        content: Content<'_>,
        before: Option<Posted>,
    ) -> Outcome {
        if let Some(mut posted) = before {
            posted.count += 1;
            match self.count(&posted).await {
                Ok(()) => return Outcome::Posted(posted),
                Err(error) if error.status() == Some(403) => return Outcome::CountingRefused,
                // The Event is gone: it is posted anew.
                Err(error) if error.status() == Some(404) => {}
                Err(_) => return Outcome::Failed,
            }
        }
        // One attempt where rights are missing is enough to know.
        match self.post(reference, content, Vec::new()).await {
            Ok(Some(path)) => Outcome::Posted(Posted { path, count: 1, at: Instant::now() }),
            Err(error) if error.status() == Some(403) => Outcome::Refused,
            Ok(None) | Err(_) => Outcome::Failed,
        }
    }

    /// Posts; gives the path of what was made.
    async fn post(
        &self,
        reference: &Map<String, Value>,
        content: Content<'_>,
        backoffs: Vec<Duration>,
    ) -> Result<Option<String>, ApiError> {
        let of_credentials = self.api.default_namespace().await;
        let namespace = event::namespace(reference, of_credentials.as_deref());
        let settings = self.settings.load();
        let body = event::body(reference, content, namespace, &settings.posting, self.clock.now());
        let path = format!("/api/v1/namespaces/{namespace}/events");
        let mut request = ApiRequest::with_body(Method::POST, path.clone(), "application/json", &body);
        request.backoffs = Some(backoffs);
        let made = self.api.json(&request, &self.logger).await?;
        let name = made.pointer("/metadata/name").and_then(Value::as_str);
        Ok(name.map(|name| format!("{path}/{name}")))
    }

    async fn count(&self, posted: &Posted) -> Result<(), ApiError> {
        let body = json!({"count": posted.count, "lastTimestamp": event::timestamp(self.clock.now())});
        let content_type = "application/merge-patch+json";
        let mut request = ApiRequest::with_body(Method::PATCH, posted.path.clone(), content_type, &body);
        request.backoffs = Some(Vec::new());
        self.api.json(&request, &self.logger).await.map(drop)
    }
}

/// What an error says, for the log: code, message, details.
fn describe(error: &ApiError) -> String {
    match error {
        ApiError::Status(status) => format!(
            "Code: {}. Message: {}. Details: {}.",
            status.status,
            status.message.as_deref().unwrap_or("None"),
            status
                .payload
                .as_ref()
                .and_then(|payload| payload.get("details"))
                .map_or_else(|| "None".to_owned(), kopf_core::json::python_repr),
        ),
        other => format!("Error: {other}."),
    }
}

/// What orders Events: the object (W-EVT-012).
fn key(reference: &Map<String, Value>) -> String {
    let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or("-");
    match text("uid") {
        "-" | "" => ["apiVersion", "kind", "namespace", "name"].map(text).join("//"),
        uid => uid.to_owned(),
    }
}
