//! The first operator: tells what it is asked for, and keeps an answer in the object's status.
//!
//! ```sh
//! cargo run -- dev                   # a dev cluster with the operator; says what to type into a second terminal
//! cargo run -- crd | kubectl apply -f -
//! cargo run -- run --all-namespaces  # on the cluster of the kubeconfig
//! ```

use std::time::Duration;

use kopf::prelude::*;

/// What is asked for.
#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "zalando.org", version = "v1", kind = "KopfExample", namespaced, shortname = "kex")]
struct KopfExampleSpec {
    duration: String,
    #[serde(default)]
    items: Vec<String>,
}

/// The result is kept in `status.create`.
async fn create(Spec(spec): Spec<KopfExampleSpec>) -> Json<serde_json::Value> {
    info!("And here we are! Creating: {spec:?}");
    Json(json!({"items": spec.items.len(), "for": spec.duration}))
}

async fn update(diff: Diff) {
    for DiffItem { op, path, old, new } in diff.iter() {
        info!("{op:?} {path}: {old} -> {new}");
    }
}

/// The kitchen does not like items that are called `slow`: it wants to be asked again.
async fn cook(items: Change<Vec<String>>, Retry(retry): Retry, patch: Patch) -> Result {
    let items = items.new.unwrap_or_default();
    if retry == 0 && items.iter().any(|item| item == "slow") {
        return Err(temporary("the kitchen is slow today", Duration::from_secs(30)));
    }
    patch.status(json!({"cooked": items}));
    Ok(())
}

async fn delete(Name(name): Name) {
    info!("Good-bye, {name}!");
}

#[kopf::main]
async fn main() -> Operator {
    operator()
}

fn operator() -> Operator {
    let handlers =
        on::<KopfExample>().with_crd().create(create).update(update).field("spec.items", cook).delete(delete);
    Operator::new().serve(handlers)
}

#[cfg(test)]
mod tests;
