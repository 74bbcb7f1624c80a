//! kube for Rust: its `watcher`, its streaming lists, and its `Controller` with a finalizer and objects that it owns.

mod support;

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
    runtime::{
        Controller,
        controller::Action,
        finalizer::{Error as FinalizerError, Event as Wanted, finalizer},
        watcher,
    },
};
use serde_json::json;
use support::{
    KopfExample, NAMESPACE, Outcome, clean_up, create_definition, create_namespace, show, step, until,
};
use tokio::{sync::mpsc, time::timeout};

const FINALIZER: &str = "flows.dev/finalizer";
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Outcome {
    let client = Client::try_default().await?;
    create_namespace(&client).await?;
    create_definition(&client).await?;
    let examples: Api<KopfExample> = Api::namespaced(client.clone(), &NAMESPACE);
    let config = watcher::Config::default();
    step("watcher: a list, and a watch", async {
        changes(&examples, watcher(examples.clone(), config.clone()).boxed(), Beginning::Newest).await
    })
    .await;
    step("watcher: a list in pages of one", async {
        let events = watcher(examples.clone(), config.clone().page_size(1));
        changes(&examples, events.boxed(), Beginning::Newest).await
    })
    .await;
    step("watcher: a streaming list", async {
        let events = watcher(examples.clone(), config.clone().streaming_lists());
        changes(&examples, events.boxed(), Beginning::Cached).await
    })
    .await;
    step("watcher: a streaming list of metadata", async {
        let metadata: Api<PartialObjectMeta<KopfExample>> = Api::namespaced(client.clone(), &NAMESPACE);
        let events = watcher(metadata, config.clone().streaming_lists());
        changes(&examples, events.boxed(), Beginning::Cached).await
    })
    .await;
    step("controller", controller(&client)).await;
    clean_up(&client).await
}

type Events<K> = Pin<Box<dyn Stream<Item = watcher::Result<watcher::Event<K>>> + Send>>;

/// What a watcher begins with.
#[derive(Clone, Copy, PartialEq)]
enum Beginning {
    /// All that was written before.
    Newest,
    /// What the server's cache has: the watcher asks for the version 0, which is any. What was written just before may come
    /// as a change.
    Cached,
}

/// Makes changes in lock step with what is seen of them: two objects before, then one of each sort.
async fn changes<K: Resource<DynamicType = ()>>(
    examples: &Api<KopfExample>,
    mut events: Events<K>,
    beginning: Beginning,
) -> Outcome {
    let post = PostParams::default();
    examples.create(&post, &KopfExample::new("w1", "a")).await?;
    examples.create(&post, &KopfExample::new("w2", "a")).await?;
    let mut names = Vec::new();
    let mut is_begun = false;
    while !is_begun || beginning == Beginning::Cached && names.len() < 2 {
        match next(&mut events).await? {
            watcher::Event::InitApply(object) => names.push(object.name_any()),
            watcher::Event::InitDone => is_begun = true,
            watcher::Event::Apply(object) if is_begun => names.push(object.name_any()),
            event => println!("{event}"),
        }
    }
    names.sort();
    match beginning {
        Beginning::Newest => println!("InitApply{names:?}"),
        Beginning::Cached => println!("InitApply, Apply{names:?}"),
    }
    examples.create(&post, &KopfExample::new("w3", "a")).await?;
    println!("{}", next(&mut events).await?);
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    examples.patch("w3", &PatchParams::default(), &patch).await?;
    match next(&mut events).await? {
        watcher::Event::Apply(object) => println!("Apply({}) {:?}", object.name_any(), object.labels()),
        event => println!("{event}"),
    }
    for name in ["w1", "w2", "w3"] {
        examples.delete(name, &DeleteParams::default()).await?;
        println!("{}", next(&mut events).await?);
    }
    Ok(())
}

async fn next<K>(events: &mut Events<K>) -> Result<watcher::Event<K>, Box<dyn std::error::Error>> {
    Ok(timeout(PATIENCE, events.try_next()).await??.ok_or("the stream has ended")?)
}

struct Context {
    client: Client,
    seen: mpsc::Sender<String>,
}

type Failure = FinalizerError<kube::Error>;

async fn reconcile(example: Arc<KopfExample>, context: Arc<Context>) -> Result<Action, Failure> {
    let examples: Api<KopfExample> = Api::namespaced(context.client.clone(), &NAMESPACE);
    finalizer(&examples, FINALIZER, example, async |wanted| {
        let told = match wanted {
            Wanted::Apply(example) => {
                own(&context.client, &example).await?;
                format!("apply {} {}", example.name_any(), example.spec.field)
            }
            Wanted::Cleanup(example) => format!("clean up {} {}", example.name_any(), example.spec.field),
        };
        // Nobody listens when the flow is over.
        let _ = context.seen.send(told).await;
        Ok(Action::await_change())
    })
    .await
}

/// Applies a config map that the object owns.
async fn own(client: &Client, example: &KopfExample) -> kube::Result<ConfigMap> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &NAMESPACE);
    let owner = example.controller_owner_ref(&()).expect("objects of the server have uids");
    let body = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": example.name_any(), "ownerReferences": [owner]},
        "data": {"field": example.spec.field},
    });
    maps.patch(&example.name_any(), &PatchParams::apply("flow").force(), &Patch::Apply(body)).await
}

async fn controller(client: &Client) -> Outcome {
    let examples: Api<KopfExample> = Api::namespaced(client.clone(), &NAMESPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &NAMESPACE);
    let (seen, mut sights) = mpsc::channel(100);
    let context = Arc::new(Context { client: client.clone(), seen });
    let running = Controller::new(examples.clone(), watcher::Config::default())
        .owns::<ConfigMap>(Api::all(client.clone()), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(100)), context)
        .for_each(|_| async {});
    let controller = tokio::spawn(running);

    examples.create(&PostParams::default(), &KopfExample::new("k1", "a")).await?;
    sight(&mut sights, "apply k1 a").await?;
    show(&examples.get("k1").await?.metadata.finalizers);
    let patch = Patch::Merge(json!({"spec": {"field": "b"}}));
    examples.patch("k1", &PatchParams::default(), &patch).await?;
    sight(&mut sights, "apply k1 b").await?;
    show(&maps.get("k1").await?);

    // It comes again, since its owner is told.
    let uid = maps.get("k1").await?.uid();
    maps.delete("k1", &DeleteParams::default()).await?;
    until(async || Ok(maps.get_opt("k1").await?.is_some_and(|map| map.uid() != uid))).await;
    println!("made anew");

    examples.delete("k1", &DeleteParams::default()).await?;
    sight(&mut sights, "clean up k1 b").await?;
    until(async || Ok(examples.get_opt("k1").await?.is_none())).await;
    println!("gone");
    controller.abort();
    Ok(())
}

/// Waits for a call, and prints it; there may be others before, since a controller may reconcile as often as it likes.
async fn sight(sights: &mut mpsc::Receiver<String>, expected: &str) -> Outcome {
    while timeout(PATIENCE, sights.recv()).await?.ok_or("the controller has ended")? != expected {}
    println!("{expected}");
    Ok(())
}
