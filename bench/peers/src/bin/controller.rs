//! kube's `Controller`, 32 objects at once, and its `watcher` without a store, both as its documentation shows them.
//!
//! Usage: `controller handle|event|watch`

use std::{sync::Arc, time::Duration};

use bench_peers::{Widget, called, report, result};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{
        Controller, WatchStreamExt,
        controller::{Action, Config},
        watcher,
    },
};

struct Context {
    client: Client,
    handles: bool,
}

async fn reconcile(widget: Arc<Widget>, context: Arc<Context>) -> Result<Action, kube::Error> {
    let is_handled = widget.status.as_ref().is_some_and(|status| status.create.is_some());
    if context.handles && is_handled {
        return Ok(Action::await_change());
    }
    called(widget.spec.at);
    if context.handles {
        let widgets: Api<Widget> =
            Api::namespaced(context.client.clone(), &widget.namespace().unwrap_or_default());
        let patch = Patch::Merge(result(widget.spec.n));
        widgets.patch(&widget.name_any(), &PatchParams::default(), &patch).await?;
    }
    Ok(Action::await_change())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    report();
    let mode = std::env::args().nth(1).unwrap_or_default();
    let client = Client::try_default().await?;
    let widgets: Api<Widget> = Api::all(client.clone());
    if mode == "watch" {
        let seen = |widget: Widget| async move {
            called(widget.spec.at);
            Ok(())
        };
        watcher(widgets, watcher::Config::default()).applied_objects().try_for_each(seen).await?;
    } else {
        let context = Arc::new(Context { client, handles: mode == "handle" });
        Controller::new(widgets, watcher::Config::default())
            .with_config(Config::default().concurrency(32))
            .run(reconcile, |_, _, _| Action::requeue(Duration::from_secs(5)), context)
            .for_each(|_| async {})
            .await;
    }
    Ok(())
}
