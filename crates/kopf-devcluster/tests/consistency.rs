//! Watches lose nothing and repeat nothing, however they are cut, while many write at once (D-181, D-188).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use kopf_devcluster::{Cut, DevCluster, Matcher};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower::ServiceExt as _;

const CONFIGS: &str = "/api/v1/namespaces/default/configmaps";
const WATCHERS: usize = 3;
const WRITERS: usize = 6;
const WRITES: usize = 120;
const NAMES: usize = 5;

/// Creates, changes and deletes a few objects that all writers share. Conflicts are part of it.
async fn write(cluster: &DevCluster, seed: usize) {
    for step in 0..WRITES {
        // Mixed well enough, and the same in every run.
        let chance = (seed * 7919 + step * 104_729) % 97;
        let name = format!("o{}", chance % NAMES);
        let path = format!("{CONFIGS}/{name}");
        let outcome = match chance % 4 {
            0 => cluster.delete(&path).await,
            1 => cluster.create(CONFIGS, &json!({"metadata": {"name": name}})).await,
            _ => {
                cluster
                    .merge(&path, &json!({"data": {format!("k{}", chance % 3): format!("{seed}-{step}")}}))
                    .await
            }
        };
        if let Err(error) = outcome {
            assert!(matches!(error.code(), 404 | 409), "{error}");
        }
        tokio::task::yield_now().await;
    }
}

/// What a watcher knows: a copy of the objects, made of events alone.
#[derive(Default)]
struct Copy {
    objects: BTreeMap<String, Value>,
    version: u64,
    events: usize,
}

impl Copy {
    fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let version = object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
        assert!(version > self.version, "{event} comes after {}", self.version);
        self.version = version;
        self.events += 1;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "ADDED" => assert_eq!(self.objects.insert(name, object.clone()), None, "{event}"),
            "MODIFIED" => assert!(self.objects.insert(name, object.clone()).is_some(), "{event}"),
            "DELETED" => assert!(self.objects.remove(&name).is_some(), "{event}"),
            other => panic!("{other}: {event}"),
        }
    }

    /// Watches from where it is until the stream ends.
    async fn follow(&mut self, cluster: &DevCluster) {
        let path = format!("{CONFIGS}?watch=true&resourceVersion={}", self.version);
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let mut body = cluster.service().oneshot(request).await.unwrap().into_body();
        let mut buffer = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            buffer.extend_from_slice(frame.data_ref().unwrap());
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                self.take(&serde_json::from_slice(&line).unwrap());
            }
        }
    }
}

/// Follows until the writers are done, with streams that end whenever anybody cuts them; the last of each not before all others
/// are at their last as well, so that nobody cuts it but cleanly.
async fn copy(cluster: Arc<DevCluster>, start: u64, done: Arc<AtomicBool>, last: Arc<Barrier>) -> Copy {
    let mut copy = Copy { version: start, ..Copy::default() };
    loop {
        let is_last = done.load(Ordering::SeqCst);
        if is_last {
            last.wait().await;
        }
        tokio::select! {
            () = copy.follow(&cluster) => {}
            () = end_streams(&cluster, &done, is_last) => {}
        }
        if is_last {
            return copy;
        }
    }
}

/// Cuts all streams now and then, in the middle of a line; cleanly when there is nothing more to come.
async fn end_streams(cluster: &DevCluster, done: &AtomicBool, is_last: bool) {
    for _ in 0..500 {
        tokio::task::yield_now().await;
        if done.load(Ordering::SeqCst) {
            break;
        }
    }
    let cut = if is_last { Cut::Clean } else { Cut::HalfLine };
    loop {
        // Until the stream of this watcher has been there to be cut.
        cluster.faults().cut_watches(&Matcher::any(), cut);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn copies_made_of_events_equal_the_list() {
    let cluster = Arc::new(DevCluster::builder().without_namespace_contents().start().await.unwrap());
    let start = cluster.get(CONFIGS).await.unwrap();
    let start: u64 = start["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let last = Arc::new(Barrier::new(WATCHERS));
    let copies: Vec<_> = (0..WATCHERS)
        .map(|_| tokio::spawn(copy(Arc::clone(&cluster), start, Arc::clone(&done), Arc::clone(&last))))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| {
            let cluster = Arc::clone(&cluster);
            tokio::spawn(async move { write(&cluster, seed).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let list = cluster.list(CONFIGS).await.unwrap();
    for copy in copies {
        let copy = copy.await.unwrap();
        assert!(copy.events > WRITES);
        assert_eq!(copy.objects.len(), list.len());
        for object in &list {
            let copied = &copy.objects[object["metadata"]["name"].as_str().unwrap()];
            assert_eq!(copied["metadata"], object["metadata"]);
            assert_eq!(copied["data"], object["data"]);
        }
    }
}
