//! What the flows share: they print what they do step by step, and what comes of it. As `tests/clients/support/steps.py`.

use std::{borrow::Cow, env, error::Error, future::Future, sync::LazyLock, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The flow's own namespace.
pub static NAMESPACE: LazyLock<String> = LazyLock::new(|| variable("NS"));
/// The flow's own group.
pub static GROUP: LazyLock<String> = LazyLock::new(|| format!("{}.dev", variable("ID")));

/// For what the server does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

pub type Outcome = Result<(), Box<dyn Error>>;

/// An object of the flow's own resource. Its group is known at run time only, so nothing is derived.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KopfExample {
    api_version: String,
    kind: String,
    pub metadata: ObjectMeta,
    pub spec: KopfExampleSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct KopfExampleSpec {
    pub field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}

impl KopfExample {
    pub fn new(name: &str, field: &str) -> Self {
        Self {
            api_version: Self::api_version(&()).into_owned(),
            kind: Self::kind(&()).into_owned(),
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            spec: KopfExampleSpec { field: field.to_owned(), duration: None },
            status: None,
        }
    }
}

impl Resource for KopfExample {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "KopfExample".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.as_str().into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "kopfexamples".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Prints what is done, and the error that it ends with: of the server's as it was read, in all fields.
pub async fn step(what: &str, done: impl Future<Output = Outcome>) {
    println!("$ {what}");
    let Err(error) = done.await else { return };
    let causes = std::iter::successors(Some(&*error as &(dyn Error + 'static)), |&error| error.source());
    let causes: Vec<_> = causes.collect();
    match causes.iter().find_map(|error| error.downcast_ref::<kube::Error>()) {
        Some(kube::Error::Api(status)) => show(&status),
        _ => println!("{}", causes.iter().map(ToString::to_string).collect::<Vec<_>>().join(": ")),
    }
}

/// Prints an object as JSON, with its field managers by name: a server sorts them by time, in whole seconds.
pub fn show(value: &impl Serialize) {
    let value = sorted(serde_json::to_value(value).expect("objects are JSON"));
    println!("{}", serde_json::to_string_pretty(&value).expect("JSON has a text"));
}

/// Waits for what the server does by itself.
pub async fn until<F: Future<Output = kube::Result<bool>>>(is_there: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !is_there().await.unwrap_or(false) {
        assert!(Instant::now() < deadline, "it has not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes the flow's own namespace.
pub async fn create_namespace(client: &Client) -> kube::Result<Namespace> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let name = Some(NAMESPACE.clone());
    let body = Namespace { metadata: ObjectMeta { name, ..ObjectMeta::default() }, ..Namespace::default() };
    let created = namespaces.create(&PostParams::default(), &body).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &NAMESPACE);
    until(async || Ok(maps.get_opt("kube-root-ca.crt").await?.is_some())).await;
    Ok(created)
}

/// Makes the flow's own resource, and waits until it is served.
pub async fn create_definition(client: &Client) -> kube::Result<CustomResourceDefinition> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let created = definitions.create(&PostParams::default(), &definition()).await?;
    let examples: Api<KopfExample> = Api::namespaced(client.clone(), &NAMESPACE);
    until(async || Ok(examples.get_opt("none").await?.is_none())).await;
    Ok(created)
}

/// Removes both.
pub async fn clean_up(client: &Client) -> Outcome {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.delete(&format!("kopfexamples.{}", *GROUP), &DeleteParams::default()).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete(&NAMESPACE, &DeleteParams::default()).await?;
    Ok(())
}

fn definition() -> CustomResourceDefinition {
    let spec = json!({"type": "object", "properties": {
        "field": {"type": "string", "maxLength": 5},
        "size": {"type": "integer"},
        "duration": {"type": "string", "default": "long"},
    }});
    let status = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "metadata": {"name": format!("kopfexamples.{}", *GROUP)},
        "spec": {
            "group": *GROUP,
            "scope": "Namespaced",
            "names": {"kind": "KopfExample", "plural": "kopfexamples", "singular": "kopfexample"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}},
            }],
        },
    });
    serde_json::from_value(definition).expect("this is a definition")
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(mut fields) => {
            if let Some(Value::Array(entries)) = fields.get_mut("managedFields") {
                entries.sort_by_key(|entry| {
                    ["manager", "operation", "subresource"].map(|field| entry[field].to_string())
                });
            }
            fields.sort_keys();
            fields.into_iter().map(|(name, value)| (name, sorted(value))).collect()
        }
        plain => plain,
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: the flow is run by tests/clients"))
}
