//! The bare limit: lists and watches as bytes, reads only the fields that it needs, has 32 requests under way, keeps nothing.
//!
//! Usage: `limit handle|event`

use std::{borrow::Cow, sync::Arc};

use bench_peers::{ALL, NAMESPACE, called, report, result};
use futures::AsyncBufReadExt;
use kube::Client;
use serde::Deserialize;
use tokio::sync::Semaphore;

#[derive(Deserialize)]
struct Line<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    items: Vec<Object<'a>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    resource_version: Option<String>,
    r#continue: Option<String>,
}

#[derive(Deserialize)]
struct Spec {
    n: u64,
    at: Option<u64>,
}

#[derive(Deserialize)]
struct Status {
    create: Option<serde::de::IgnoredAny>,
}

struct Operator {
    client: Client,
    room: Arc<Semaphore>,
    handles: bool,
}

impl Operator {
    async fn see(&self, object: &Object<'_>) -> anyhow::Result<()> {
        let (Some(name), Some(spec)) = (&object.metadata.name, &object.spec) else { return Ok(()) };
        let is_handled = object.status.as_ref().is_some_and(|status| status.create.is_some());
        if self.handles && is_handled {
            return Ok(());
        }
        called(spec.at);
        if self.handles {
            let body = serde_json::to_vec(&result(spec.n))?;
            let request = http::Request::patch(format!("{NAMESPACE}/{name}"))
                .header("content-type", "application/merge-patch+json")
                .body(body)?;
            let (client, permit) = (self.client.clone(), self.room.clone().acquire_owned().await?);
            tokio::spawn(async move {
                client.request_text(request).await.expect("the server takes the patch");
                drop(permit);
            });
        }
        Ok(())
    }

    async fn list(&self) -> anyhow::Result<String> {
        let mut token = String::new();
        loop {
            let request = http::Request::get(format!("{ALL}?limit=500&continue={token}")).body(Vec::new())?;
            let text = self.client.request_text(request).await?;
            let page: List<'_> = serde_json::from_str(&text)?;
            for object in &page.items {
                self.see(object).await?;
            }
            token = page.metadata.r#continue.unwrap_or_default();
            if token.is_empty() {
                return Ok(page.metadata.resource_version.unwrap_or_default());
            }
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    report();
    let handles = std::env::args().nth(1).as_deref() == Some("handle");
    let operator =
        Operator { client: Client::try_default().await?, room: Arc::new(Semaphore::new(32)), handles };
    let mut version = operator.list().await?;
    // A busy server closes watches that it cannot serve in time: on from the last version.
    loop {
        let path = format!("{ALL}?watch=true&resourceVersion={version}");
        let stream = operator.client.request_stream(http::Request::get(path).body(Vec::new())?).await?;
        let (mut lines, mut line) = (Box::pin(stream), Vec::new());
        while lines.read_until(b'\n', &mut line).await.unwrap_or(0) > 0 {
            let event: Line<'_> = serde_json::from_slice(&line)?;
            if event.r#type != "DELETED" {
                operator.see(&event.object).await?;
            }
            version = event.object.metadata.resource_version.unwrap_or(version);
            line.clear();
        }
    }
}
