//! Ours, in Rust. Usage: `bench-operator run --all-namespaces`, with `$BENCH_HANDLER`: `create`, `event`, or `block`; and
//! `$BENCH_EVENTS=no` for no Kubernetes Events.

use std::time::Duration;

use kopf::prelude::*;

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "bench.dev", version = "v1", kind = "Widget", namespaced)]
struct WidgetSpec {
    n: u64,
    at: Option<u64>,
}

async fn create(Spec(spec): Spec<WidgetSpec>) -> Json<serde_json::Value> {
    bench_tally::called(spec.at);
    Json(json!({"n": spec.n}))
}

async fn event() {
    bench_tally::called(None);
}

/// Blocks its thread, as no async function should.
async fn block() {
    bench_tally::called(None);
    std::thread::sleep(Duration::from_millis(50));
}

#[kopf::main]
async fn main() -> Operator {
    bench_tally::report();
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    let handlers = if is("BENCH_HANDLER", "event") {
        on::<Widget>().event(event)
    } else if is("BENCH_HANDLER", "block") {
        on::<Widget>().event(block)
    } else {
        on::<Widget>().create(create)
    };
    Operator::new().serve(handlers).settings(|settings| {
        settings.posting.progress = !is("BENCH_EVENTS", "no");
        if is("BENCH_HANDLER", "block") {
            settings.watching.reconnect_backoff = Duration::ZERO;
        }
    })
}
