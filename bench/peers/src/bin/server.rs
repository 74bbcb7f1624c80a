//! A minimal API server: one custom resource, kept in memory, over plain HTTP/1.1. It exists so that what is measured is the
//! operator, and nothing else: it checks nothing, and knows no other write than create and merge patch.
//!
//! Usage: `server PORT`. Besides Kubernetes' paths:
//! - `/bench/fill?n=N` makes N objects, `/bench/storm?n=N` updates them in turn, N times in all, as fast as it can;
//! - `/bench/trickle?n=N` updates an object N times a second from then on, all of them in turn;
//! - `/bench/cuts?n=N` ends all watches, N times, and updates an object every [`PACE`] meanwhile; it tells after how many
//!   microseconds each time the operator watched again;
//! - `/bench/writes` tells how many PATCHes and how many Kubernetes Events there were.
//!
//! Watches get bookmarks and end in time, as on a real server: a client that lives for an hour sees both.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use bench_peers::widget;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Interval};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The lines that one write to a watch takes at most.
const BATCH: usize = 256;

/// The time between two updates while watches are cut.
const PACE: Duration = Duration::from_millis(60);

/// The time between two bookmarks of a watch.
const BOOKMARKS: Duration = Duration::from_secs(60);

/// How long a watch lasts that asks for no time: what a real server gives at least.
const LASTING: Duration = Duration::from_secs(30 * 60);

/// Not longer is waited for a watch that was cut.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Server {
    store: Mutex<Store>,
    /// Tells watches of new lines.
    grown: watch::Sender<()>,
    /// Ends all watches.
    cut: watch::Sender<()>,
    /// How many watches have begun.
    begun: watch::Sender<usize>,
}

#[derive(Default)]
struct Store {
    objects: BTreeMap<String, (Value, Bytes)>,
    /// All that ever happened, as lines of watches; the version of a line is its number, from 1.
    log: Vec<Bytes>,
    patches: usize,
    events: usize,
}

impl Store {
    /// Keeps the next version of an object.
    fn put(&mut self, kind: &str, name: &str, mut object: Value) -> Bytes {
        object["metadata"]["resourceVersion"] = (self.log.len() + 1).to_string().into();
        let bytes = Bytes::from(object.to_string());
        self.log.push(line(kind, &bytes));
        self.objects.insert(name.to_owned(), (object, bytes.clone()));
        bytes
    }

    fn create(&mut self, mut object: Value) -> Option<Bytes> {
        let name = object["metadata"]["name"].as_str()?.to_owned();
        if self.objects.contains_key(&name) {
            return None;
        }
        let metadata = json!({
            "namespace": "default",
            "uid": format!("00000000-0000-4000-8000-{:012}", self.log.len()),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "generation": 1,
        });
        merge(&mut object["metadata"], metadata);
        Some(self.put("ADDED", &name, object))
    }

    fn patch(&mut self, name: &str, patch: Value) -> Option<Bytes> {
        let (mut object, before) = self.objects.get(name)?.clone();
        self.patches += 1;
        merge(&mut object, patch);
        let unchanged = self.objects.get(name).is_some_and(|(old, _)| *old == object);
        Some(if unchanged { before } else { self.put("MODIFIED", name, object) })
    }
}

/// What a watch asks for.
struct Wanted {
    version: usize,
    /// Whether the objects that are there come first, as events.
    initial: bool,
    bookmarks: bool,
    lasting: Duration,
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    [br#"{"type":""#, kind.as_bytes(), br#"","object":"#, object, b"}\n"].concat().into()
}

fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = json!({});
            }
            let Some(target) = target.as_object_mut() else { return };
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(&key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        other => *target = other,
    }
}

impl Server {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().expect("nobody panics with the store")
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default();
        let param = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return refusal(StatusCode::BAD_REQUEST);
        };
        let watches = matches!(param("watch"), Some("true" | "1"));
        let wanted = || Wanted {
            version: param("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0),
            initial: param("sendInitialEvents") == Some("true"),
            bookmarks: param("allowWatchBookmarks") == Some("true"),
            lasting: param("timeoutSeconds")
                .and_then(|secs| secs.parse().ok())
                .map_or(LASTING, Duration::from_secs_f64),
        };
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (&parts.method, &segments[..]) {
            (_, ["bench", what]) => {
                self.bench(what, param("n").and_then(|n| n.parse().ok()).unwrap_or(0)).await
            }
            (&Method::GET, ["apis", "bench.dev", "v1", .., "widgets"]) if watches => self.watch(wanted()),
            (&Method::GET, ["apis", "bench.dev", "v1", .., "widgets"]) => {
                let limit = param("limit").and_then(|limit| limit.parse().ok()).unwrap_or(0);
                self.list(limit, param("continue").unwrap_or_default())
            }
            (&Method::POST, ["apis", "bench.dev", "v1", "namespaces", _, "widgets"]) => {
                let Ok(object) = serde_json::from_slice(&body) else {
                    return refusal(StatusCode::BAD_REQUEST);
                };
                self.written(|store| store.create(object), StatusCode::CREATED, StatusCode::CONFLICT)
            }
            (&Method::PATCH, ["apis", "bench.dev", "v1", "namespaces", _, "widgets", name]) => {
                let Ok(patch) = serde_json::from_slice(&body) else {
                    return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE);
                };
                self.written(|store| store.patch(name, patch), StatusCode::OK, StatusCode::NOT_FOUND)
            }
            (&Method::POST, [.., "events"]) => {
                self.store().events += 1;
                answer(StatusCode::CREATED, body)
            }
            (&Method::PATCH, [.., "events", _]) => {
                self.store().events += 1;
                answer(StatusCode::OK, body)
            }
            (&Method::GET, ["api" | "apis" | "version", ..]) if !watches => discovery(&segments).map_or_else(
                || refusal(StatusCode::NOT_FOUND),
                |found| answer(StatusCode::OK, found.to_string()),
            ),
            (&Method::GET, [.., "namespaces"]) => quiet("v1", "Namespace", &wanted()),
            (&Method::GET, [.., "customresourcedefinitions"]) => {
                quiet("apiextensions.k8s.io/v1", "CustomResourceDefinition", &wanted())
            }
            _ => refusal(StatusCode::NOT_FOUND),
        }
    }

    async fn bench(self: &Arc<Self>, what: &str, count: usize) -> Response<Body> {
        match what {
            "fill" => (0..count).for_each(|n| drop(self.store().create(widget(n, None)))),
            "storm" => {
                let names: Vec<String> = self.store().objects.keys().cloned().collect();
                for n in 0..count {
                    self.store().patch(&names[n % names.len()], json!({"spec": {"tick": n}}));
                    if n % 64 == 0 {
                        self.grown.send_replace(());
                        tokio::task::yield_now().await;
                    }
                }
                self.grown.send_replace(());
            }
            "trickle" => drop(tokio::spawn(self.clone().trickle(count))),
            "cuts" => return answer(StatusCode::OK, json!(self.cuts(count).await).to_string()),
            _ => {}
        }
        let store = self.store();
        answer(StatusCode::OK, json!({"patches": store.patches, "events": store.events}).to_string())
    }

    /// Updates all objects in turn, so many a second, for ever.
    async fn trickle(self: Arc<Self>, rate: usize) {
        let names: Vec<String> = self.store().objects.keys().cloned().collect();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate as u32);
        for (n, name) in names.iter().cycle().enumerate() {
            ticks.tick().await;
            self.store().patch(name, json!({"spec": {"tick": n}}));
            self.grown.send_replace(());
        }
    }

    /// Ends all watches so many times; gives the microseconds until the next began.
    async fn cuts(&self, count: usize) -> Vec<u64> {
        let updates = async {
            let mut ticks = tokio::time::interval(PACE);
            loop {
                let now = ticks.tick().await;
                self.store().patch("widget-0", json!({"spec": {"tick": format!("{now:?}")}}));
                self.grown.send_replace(());
            }
        };
        let cuts = async {
            let mut delays = Vec::new();
            for n in 0..count {
                // At another moment of the pace each time, and after an event: a watch that ends without any is no good sign,
                // and clients pause after it.
                tokio::time::sleep(PACE + Duration::from_millis(11 + n as u64 * 7 % 53)).await;
                let mut begun = self.begun.subscribe();
                let since = Instant::now();
                self.cut.send_replace(());
                if tokio::time::timeout(PATIENCE, begun.changed()).await.is_err() {
                    break;
                }
                delays.push(since.elapsed().as_micros() as u64);
            }
            delays
        };
        tokio::select! {
            delays = cuts => delays,
            () = updates => Vec::new(),
        }
    }

    fn written(
        &self,
        write: impl FnOnce(&mut Store) -> Option<Bytes>,
        done: StatusCode,
        refused: StatusCode,
    ) -> Response<Body> {
        let Some(object) = write(&mut self.store()) else { return refusal(refused) };
        self.grown.send_replace(());
        answer(done, object)
    }

    fn list(&self, limit: usize, after: &str) -> Response<Body> {
        let store = self.store();
        let from = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after) };
        let rest = store.objects.range::<str, _>((from, Bound::Unbounded));
        let page: Vec<_> = rest.take(if limit == 0 { usize::MAX } else { limit }).collect();
        let more = page.last().filter(|_| page.len() == limit).map_or("", |(name, _)| name.as_str());
        let mut list = format!(
            r#"{{"apiVersion":"bench.dev/v1","kind":"WidgetList","metadata":{{"resourceVersion":"{}","continue":"{more}"}},"items":["#,
            store.log.len()
        )
        .into_bytes();
        for (index, (_, (_, object))) in page.iter().enumerate() {
            if index > 0 {
                list.push(b',');
            }
            list.extend_from_slice(object);
        }
        list.extend_from_slice(b"]}");
        answer(StatusCode::OK, list)
    }

    fn watch(self: Arc<Self>, wanted: Wanted) -> Response<Body> {
        let (grown, mut cut) = (self.grown.subscribe(), self.cut.subscribe());
        self.begun.send_modify(|begun| *begun += 1);
        let (first, version) = if wanted.initial {
            let store = self.store();
            let mut lines: Vec<Bytes> =
                store.objects.values().map(|(_, bytes)| line("ADDED", bytes)).collect();
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            lines.push(bookmark("bench.dev/v1", "Widget", store.log.len(), annotations));
            (lines, store.log.len())
        } else {
            (Vec::new(), wanted.version)
        };
        let first =
            stream::iter(Some(first).filter(|lines| !lines.is_empty()).map(|lines| lines.concat().into()));
        let marks = marks();
        let rest = stream::unfold(
            (self, version, grown, marks),
            move |(server, version, mut grown, mut marks)| async move {
                loop {
                    let lines = {
                        let store = server.store();
                        let end = store.log.len().min(version + BATCH);
                        store.log[version.min(end)..end].to_vec()
                    };
                    if !lines.is_empty() {
                        return Some((lines.concat().into(), (server, version + lines.len(), grown, marks)));
                    }
                    tokio::select! {
                        changed = grown.changed() => changed.ok()?,
                        _ = marks.tick(), if wanted.bookmarks => {
                            let mark = bookmark("bench.dev/v1", "Widget", version, json!({}));
                            return Some((mark, (server, version, grown, marks)));
                        }
                    }
                }
            },
        );
        let end = async move {
            tokio::select! {
                cut = cut.changed() => drop(cut),
                () = tokio::time::sleep(wanted.lasting) => {}
            }
        };
        streamed(first.chain(rest).take_until(end))
    }
}

/// A watch of what nothing ever happens to.
fn quiet(api_version: &'static str, kind: &'static str, wanted: &Wanted) -> Response<Body> {
    let bookmarks = wanted.bookmarks;
    let lines = stream::unfold(marks(), move |mut marks| async move {
        if !bookmarks {
            std::future::pending().await
        }
        marks.tick().await;
        Some((bookmark(api_version, kind, 1, json!({})), marks))
    });
    streamed(lines.take_until(tokio::time::sleep(wanted.lasting)))
}

/// The moments of the bookmarks of a watch that begins now.
fn marks() -> Interval {
    tokio::time::interval_at(tokio::time::Instant::now() + BOOKMARKS, BOOKMARKS)
}

fn bookmark(api_version: &str, kind: &str, version: usize, annotations: Value) -> Bytes {
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
    line("BOOKMARK", object.to_string().as_bytes())
}

fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(body.into()).boxed_unsync())
        .expect("it is complete")
}

fn streamed(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let body = StreamBody::new(lines.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync();
    Response::builder().header("content-type", "application/json").body(body).expect("it is complete")
}

fn refusal(status: StatusCode) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or_default().replace(' ', "");
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status.as_u16(),
        "reason": reason, "message": reason});
    answer(status, body.to_string())
}

fn discovery(segments: &[&str]) -> Option<Value> {
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version], "preferredVersion": version})
    };
    let resources = |version: &str, resource: &str, singular: &str, namespaced: bool, kind: &str| {
        let verbs = ["create", "delete", "get", "list", "patch", "update", "watch"];
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [
            {"name": resource, "singularName": singular, "namespaced": namespaced, "kind": kind, "verbs": verbs}]})
    };
    Some(match segments {
        ["version"] => json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0"}),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"]}),
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1",
            "groups": [group("apiextensions.k8s.io"), group("bench.dev")]}),
        ["apis", name @ ("apiextensions.k8s.io" | "bench.dev")] => group(name),
        ["api", "v1"] => {
            let mut found = resources("v1", "namespaces", "namespace", false, "Namespace");
            let events = resources("v1", "events", "event", true, "Event");
            found["resources"].as_array_mut()?.push(events["resources"][0].clone());
            found
        }
        ["apis", "bench.dev", "v1"] => resources("bench.dev/v1", "widgets", "widget", true, "Widget"),
        ["apis", "apiextensions.k8s.io", "v1"] => resources(
            "apiextensions.k8s.io/v1",
            "customresourcedefinitions",
            "customresourcedefinition",
            false,
            "CustomResourceDefinition",
        ),
        ["api", "v1", "namespaces"] => json!({"kind": "NamespaceList", "apiVersion": "v1",
            "metadata": {"resourceVersion": "1"}, "items": [
            {"metadata": {"name": "default", "uid": "default", "resourceVersion": "1"}}]}),
        [.., "customresourcedefinitions"] => json!({"kind": "CustomResourceDefinitionList",
            "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"resourceVersion": "1"}, "items": []}),
        _ => return None,
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{}", listener.local_addr()?.port());
    let server = Arc::new(Server::default());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let server = server.clone();
        let service = service_fn(move |request| {
            let answering = server.clone().answer(request);
            async { Ok::<_, Infallible>(answering.await) }
        });
        // A client that goes away is no concern of ours.
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await)
        });
    }
}
