//! Streams in trouble: an operator against a dev cluster with faults, in process, in paused time.

mod common;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use common::{EXAMPLES, Requests, Seen, Setup, cluster, define, example, finished, succeeds};
use http::{Request, Response};
use kopf_core::{
    handler::{Needs, Trigger},
    outcome::Outcome,
    reason::EventType,
};
use kopf_devcluster::{After, Ago, Answer, Cut, DevCluster, Fault, Matcher, Restart};
use kopf_engine::{RunError, client::Connection};
use kube::client::Body;
use serde_json::json;
use tokio::time::Instant;
use tower::Service;

const LIST: &str = "GET /apis/zalando.org/v1/kopfexamples";
const WATCH: &str = "GET /apis/zalando.org/v1/kopfexamples?watch=true";

fn watches() -> Matcher {
    Matcher::any().verb("watch").resource("kopfexamples.zalando.org")
}

fn lists() -> Matcher {
    Matcher::any().verb("list").resource("kopfexamples.zalando.org")
}

fn observer() -> Setup {
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, succeeds());
    setup
}

/// Waits until the watch is open.
async fn watching(cluster: &DevCluster) {
    while cluster.faults().open_watches(&watches()) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The lists that were requested: what is no watch.
fn list_count(requests: &Requests) -> usize {
    requests.of(LIST).len() - requests.of(WATCH).len()
}

/// W-WAT-010: after any cut the watch continues where it was, with nothing lost, nothing repeated, and no new list.
#[tokio::test(start_paused = true)]
async fn a_watch_continues_after_a_cut_without_losing_or_repeating() {
    for cut in [Cut::Clean, Cut::Hard, Cut::HalfLine] {
        let cluster = cluster().await;
        cluster.faults().cut_watches_after(watches(), After::Events(7), cut, 5);
        let running = observer().run(&cluster);
        running.script.line("Starting the watch-stream").await;
        for i in 0..50 {
            cluster.create(EXAMPLES, &example(&format!("o{i}"))).await.unwrap();
        }
        running.script.calls("event", 50).await;
        // Whatever would come twice comes now.
        cluster.create(EXAMPLES, &example("last")).await.unwrap();
        running
            .script
            .until("the last", |s| s.seen().iter().any(|seen| seen.object == "last").then_some(()))
            .await;
        let seen = running.script.seen();
        let mut names: Vec<_> = seen.iter().map(|seen| seen.object.clone()).collect();
        assert_eq!(names.len(), 51, "{cut:?}: {names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 51, "{cut:?}");
        assert!(running.requests.of(WATCH).len() >= 6, "{cut:?}");
        assert_eq!(list_count(&running.requests), 1, "{cut:?}");
        running.stop().await.unwrap();
    }
}

/// W-WAT-010, DEC-1: a server that continues from too early a version shows the past again; it is past.
#[tokio::test(start_paused = true)]
async fn what_a_watch_shows_again_is_not_processed_again() {
    let cluster = cluster().await;
    let running = observer().run(&cluster);
    running.script.line("Starting the watch-stream").await;
    watching(&cluster).await;
    for name in ["a", "b", "c"] {
        cluster.create(EXAMPLES, &example(name)).await.unwrap();
    }
    running.script.calls("event", 3).await;
    let repeating = cluster.faults().plan(Fault::repeat_events(3).on(watches()));
    cluster.faults().cut_watches(&watches(), Cut::Clean);
    cluster.create(EXAMPLES, &example("d")).await.unwrap();
    let seen = running.script.calls("event", 4).await;
    assert_eq!(seen.iter().map(|seen| seen.object.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    assert_eq!(cluster.faults().happened(repeating), 1);
    running.stop().await.unwrap();
}

/// A server that is busy closes watches and refuses new ones: it is asked to continue, not to list again.
#[tokio::test(start_paused = true)]
async fn a_watch_continues_when_a_busy_server_has_refused_it() {
    let cluster = cluster().await;
    let setup = observer();
    setup.operator.handle().settings().update(|settings| settings.networking.error_backoffs = Vec::new());
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    watching(&cluster).await;
    cluster.faults().answer(watches(), Answer::status(429), 2);
    cluster.faults().answer(watches(), Answer::status(503), 2);
    cluster.faults().cut_watches(&watches(), Cut::Hard);
    cluster.create(EXAMPLES, &example("b")).await.unwrap();
    running.script.calls("event", 2).await;
    assert_eq!(list_count(&running.requests), 1);

    // A server that refuses for ever may do so because of the version.
    cluster.faults().answer(watches(), Answer::status(504), 5);
    cluster.faults().cut_watches(&watches(), Cut::Hard);
    running.script.line("has failed; will retry").await;
    cluster.create(EXAMPLES, &example("c")).await.unwrap();
    running.script.until("c", |s| s.seen().iter().any(|seen| seen.object == "c").then_some(())).await;
    assert_eq!(list_count(&running.requests), 2);
    running.stop().await.unwrap();
}

/// W-WAT-009: versions that are too old lead to a new list, at once; objects that were missed are handled.
#[tokio::test(start_paused = true)]
async fn expired_versions_lead_to_a_new_list() {
    let cluster = cluster().await;
    let running = observer().run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    watching(&cluster).await;
    assert_eq!(cluster.faults().error_event(&watches(), &Answer::status(410)), 1);
    running.script.line("Restarting the watch-stream for kopfexamples.v1.zalando.org cluster-wide.").await;
    running.script.calls("event", 2).await;
    assert_eq!(list_count(&running.requests), 2);
    cluster.create(EXAMPLES, &example("b")).await.unwrap();
    let seen = running.script.calls("event", 3).await;
    assert_eq!((seen[1].object.as_str(), seen[1].event_type), ("a", None));
    assert_eq!((seen[2].object.as_str(), seen[2].event_type), ("b", Some(EventType::Added)));
    running.stop().await.unwrap();
}

/// DEC-1: no API server should list the past, but if one does, it is asked again: what has changed since is not handled as it
/// was, what has come since is not gone, and what has gone since is not there.
#[tokio::test(start_paused = true)]
async fn a_list_that_shows_the_past_is_not_believed() {
    for streaming in [false, true] {
        let cluster = cluster().await;
        let mut setup = observer();
        setup.on("kopfexamples", "create", Trigger::Create, succeeds());
        setup.operator.handle().settings().update(|settings| settings.watching.initial_streaming = streaming);
        let running = setup.run(&cluster);
        let created = async |name: &str| {
            cluster.create(EXAMPLES, &example(name)).await.unwrap();
            running.script.line(&format!("[{name}] Creation is processed")).await;
            // Its event, too.
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        created("gone").await;
        created("changed").await;
        cluster.delete(&format!("{EXAMPLES}/gone")).await.unwrap();
        created("new").await;
        let before = running.script.seen().len();

        // Neither the whole of the new object, nor the deletion, nor the last write of the other.
        let stale = Fault::stale(Ago::Changes(4)).on(if streaming { watches() } else { lists() });
        let stale = cluster.faults().plan(stale);
        cluster.faults().error_event(&watches(), &Answer::status(410));
        running.script.line("the list shows the past").await;
        created("last").await;
        assert_eq!(cluster.faults().happened(stale), 1);
        let seen = running.script.seen();
        let of = |name: &str| {
            let calls = seen[before..].iter().filter(|seen| seen.object == name);
            calls.map(|seen| (seen.handler.as_str(), seen.event_type)).collect::<Vec<_>>()
        };
        assert_eq!(of("gone"), [], "{streaming}");
        assert_eq!(of("changed"), [("event", None)], "{streaming}");
        assert_eq!(of("new"), [("event", None)], "{streaming}");
        running.stop().await.unwrap();
    }
}

/// DEC-1: a cluster that was restored from a backup shows the past for ever: then it is the present.
#[tokio::test(start_paused = true)]
async fn the_past_is_believed_if_it_stays() {
    let cluster = cluster().await;
    let running = observer().run(&cluster);
    watching(&cluster).await;
    for name in ["a", "b"] {
        cluster.create(EXAMPLES, &example(name)).await.unwrap();
    }
    let first = running.script.calls("event", 2).await;
    let patch = json!({"spec": {"field": "changed"}});
    cluster.merge(&format!("{EXAMPLES}/a"), &patch).await.unwrap();
    cluster.create(EXAMPLES, &example("c")).await.unwrap();
    running.script.calls("event", 4).await;

    cluster.faults().restart(Restart::default().lose(Ago::Changes(2)).forget()).await.unwrap();
    // The watch goes on, from a version that is to come.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.faults().error_event(&watches(), &Answer::status(410)), 1);
    let start = Instant::now();
    let gone = |seen: &Seen| seen.object == "c" && seen.event_type == Some(EventType::Deleted);
    running.script.until("the end of c", |s| s.seen().iter().any(gone).then_some(())).await;
    let shown_again = |seen: &Seen| (&seen.object, &seen.version) == (&first[0].object, &first[0].version);
    running.script.until("a", |s| s.seen()[4..].iter().any(shown_again).then_some(())).await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());

    // Versions are given again, and count.
    let before = running.script.seen().len();
    cluster.merge(&format!("{EXAMPLES}/b"), &patch).await.unwrap();
    assert_eq!(running.script.calls("event", before + 1).await[before].object, "b");
    running.stop().await.unwrap();
}

/// W-WAT-016: what vanished while nobody watched is deleted.
#[tokio::test(start_paused = true)]
async fn objects_that_vanished_between_lists_are_treated_as_deleted() {
    let cluster = cluster().await;
    for name in ["gone", "stays"] {
        let mut object = example(name);
        object["metadata"]["labels"] = json!({"a": "b"});
        cluster.create(EXAMPLES, &object).await.unwrap();
    }
    let mut setup = observer();
    // Handlers that are selected by labels are told, too.
    let (_, handler) = setup.operator.registry.resources.last_mut().unwrap();
    let label = ("a".into(), kopf_core::filter::Criterion::Equals(json!("b")));
    std::sync::Arc::get_mut(handler).unwrap().filters.labels.push(label);
    let running = setup.run(&cluster);
    running.script.calls("event", 2).await;
    watching(&cluster).await;
    // The watch is cut, and its continuation refused, until the object and all memory of its deletion are gone.
    cluster.faults().answer(watches(), Answer::status(410), 1);
    cluster.faults().cut_watches(&watches(), Cut::Hard);
    cluster.delete(&format!("{EXAMPLES}/gone")).await.unwrap();
    cluster.faults().compact();
    running
        .script
        .until("the deletion", |script| {
            let seen = script.seen();
            let deleted = |seen: &&common::Seen| seen.event_type == Some(EventType::Deleted);
            seen.iter().find(deleted).map(|seen| assert_eq!(seen.object, "gone"))
        })
        .await;
    running.script.until("the memory's end", |script| (script.forgotten().len() == 1).then_some(())).await;
    running.stop().await.unwrap();
}

/// W-DSC-013: a kind that is defined later is served, and one whose definition goes is not any more.
#[tokio::test(start_paused = true)]
async fn a_kind_is_served_as_long_as_it_is_defined() {
    let cluster = DevCluster::start().await.unwrap();
    let running = observer().run(&cluster);
    running.script.line("Unresolved resources cannot be served (try creating their CRDs): {Selector(any_name='kopfexamples')}").await;
    define(&cluster).await;
    running.script.line("Starting the watch-stream for kopfexamples.v1.zalando.org cluster-wide.").await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;

    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/kopfexamples.zalando.org";
    cluster.delete(path).await.unwrap();
    running.script.line("Stopping the watch-stream for kopfexamples.v1.zalando.org cluster-wide.").await;
    define(&cluster).await;
    running
        .script
        .until("the second start", |script| {
            let starts = script
                .lines()
                .iter()
                .filter(|l| l.contains("Starting the watch-stream for kopfexamples"))
                .count();
            (starts == 2).then_some(())
        })
        .await;
    cluster.create(EXAMPLES, &example("b")).await.unwrap();
    running.script.until("b", |s| s.seen().iter().any(|seen| seen.object == "b").then_some(())).await;
    running.stop().await.unwrap();
}

/// W-DSC-013: a server that accepts a definition before it serves the kind.
#[tokio::test(start_paused = true)]
async fn a_kind_is_served_when_the_server_serves_it_late() {
    let cluster = DevCluster::builder().establishing_delay(Duration::from_secs(5)).start().await.unwrap();
    let running = observer().run(&cluster);
    running.script.line("Unresolved resources").await;
    define(&cluster).await;
    running.script.line("Starting the watch-stream for kopfexamples.v1.zalando.org cluster-wide.").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    running.stop().await.unwrap();
}

/// W-DSC-015: a 404 of a list is no end of the operator.
#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_found_is_looked_for_again() {
    let cluster = cluster().await;
    cluster.faults().answer(lists(), Answer::status(404), 3);
    let running = observer().run(&cluster);
    running.script.line("is not served any more, or not yet").await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    running.stop().await.unwrap();
}

/// A stream that fails backs off alone.
#[tokio::test(start_paused = true)]
async fn a_failing_kind_does_not_slow_others() {
    let cluster = cluster().await;
    let mut setup = observer();
    setup.on("configmaps", "other", Trigger::Event, succeeds());
    cluster.faults().answer(lists(), Answer::status(500), 200);
    let running = setup.run(&cluster);
    running
        .script
        .line("The watch-stream for kopfexamples.v1.zalando.org cluster-wide has failed; will retry")
        .await;
    let start = Instant::now();
    let map = json!({"metadata": {"name": "m"}});
    cluster.create("/api/v1/namespaces/default/configmaps", &map).await.unwrap();
    running.script.until("m", |s| s.seen().iter().any(|seen| seen.object == "m").then_some(())).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // And it comes back when the server has recovered.
    cluster.faults().clear();
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.until("a", |s| s.seen().iter().any(|seen| seen.object == "a").then_some(())).await;
    running.stop().await.unwrap();
}

/// W-DSC-016: without the right to list, the operator ends, and says what it lacks.
#[tokio::test(start_paused = true)]
async fn an_operator_without_rights_ends_with_a_clear_error() {
    let cluster = cluster().await;
    cluster.faults().answer(lists(), Answer::status(403).message("no way"), 100);
    let running = observer().run(&cluster);
    let start = Instant::now();
    let error = running.end().await.unwrap_err();
    let RunError::Api { doing, source } = error else { panic!("{error:?}") };
    assert_eq!(doing, "list or watch kopfexamples.v1.zalando.org cluster-wide");
    assert_eq!(source.to_string(), "no way");
    assert_eq!(start.elapsed().as_secs(), 54, "after all attempts");
}

/// W-WAT-009.
#[tokio::test(start_paused = true)]
async fn an_error_in_a_stream_ends_the_operator() {
    let cluster = cluster().await;
    let running = observer().run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    watching(&cluster).await;
    cluster.faults().error_event(&watches(), &Answer::status(400));
    let error = running.end().await.unwrap_err();
    assert!(error.to_string().starts_with("Error in the watch-stream: {'kind': 'Status'"), "{error}");
}

/// W-WAT-007.
#[tokio::test(start_paused = true)]
async fn the_first_state_may_be_streamed() {
    let cluster = cluster().await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    let setup = observer();
    setup.operator.handle().settings().update(|settings| settings.watching.initial_streaming = true);
    let running = setup.run(&cluster);
    running.script.calls("event", 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.create(EXAMPLES, &example("b")).await.unwrap();
    let seen = running.script.calls("event", 2).await;
    assert_eq!([seen[0].event_type, seen[1].event_type], [None, Some(EventType::Added)]);
    assert_eq!(list_count(&running.requests), 0);
    running.stop().await.unwrap();
}

/// A service whose first watches of the examples never say a word.
#[derive(Clone)]
struct Silent<S> {
    inner: S,
    left: std::sync::Arc<std::sync::Mutex<usize>>,
}

impl<S, B> Service<Request<Body>> for Silent<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    type Response = Response<http_body_util::Either<B, Never>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_watch = request.uri().to_string().starts_with(WATCH.trim_start_matches("GET "));
        let mut left = self.left.lock().unwrap();
        if is_watch && *left > 0 {
            *left -= 1;
            return Box::pin(async { Ok(Response::new(http_body_util::Either::Right(Never))) });
        }
        let answering = self.inner.call(request);
        Box::pin(async move { Ok(answering.await?.map(http_body_util::Either::Left)) })
    }
}

/// A body that never ends and never says anything: a peer that is gone.
struct Never;

impl http_body::Body for Never {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

/// W-WAT-011.
#[tokio::test(start_paused = true)]
async fn a_dead_stream_is_noticed_after_seventy_seconds() {
    let cluster = cluster().await;
    let mut setup = observer();
    setup.operator.connection =
        Connection::service(Silent { inner: cluster.service(), left: std::sync::Arc::new(1.into()) });
    let start = Instant::now();
    let running = setup.run_as_is(Requests::default());
    running.script.line("Starting the watch-stream for kopfexamples").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    assert_eq!(start.elapsed().as_secs(), 70);
    running
        .script
        .line("Watch-stream for kopfexamples.v1.zalando.org cluster-wide is inactive, reconnecting.")
        .await;
    running.stop().await.unwrap();
}

/// W-WAT-010, W-WAT-011: only streams that end soon are a reason to pause.
#[tokio::test(start_paused = true)]
async fn streams_that_die_one_after_another_are_each_replaced_at_once() {
    const DEAD: usize = 10;
    let cluster = cluster().await;
    let mut setup = observer();
    setup.operator.connection =
        Connection::service(Silent { inner: cluster.service(), left: std::sync::Arc::new(DEAD.into()) });
    let start = Instant::now();
    let running = setup.run_as_is(Requests::default());
    running.script.line("Starting the watch-stream for kopfexamples").await;
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    let late = start.elapsed().saturating_sub(Duration::from_secs(70) * DEAD as u32);
    assert!(late <= Duration::from_secs(2), "{late:?} were spent on pauses");
    running.stop().await.unwrap();
}

/// W-WAT-011, DEC-18: bookmarks keep a quiet stream alive, and what nobody reads is not kept.
#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_not_reconnected() {
    let cluster = cluster().await;
    let mut setup = Setup::new();
    setup.on("kopfexamples", "event", Trigger::Event, |call| {
        assert!(call.cause.object.meta("managedFields").is_none());
        Box::pin(async move { finished(Outcome::Succeeded(None), call.patch) })
    });
    let last = setup.operator.registry.resources.len() - 1;
    let (_, handler) = &mut setup.operator.registry.resources[last];
    std::sync::Arc::get_mut(handler).unwrap().needs = Needs::METADATA;
    let running = setup.run(&cluster);
    cluster.create(EXAMPLES, &example("a")).await.unwrap();
    running.script.calls("event", 1).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(running.requests.of(WATCH).len(), 1);
    running.stop().await.unwrap();
}
