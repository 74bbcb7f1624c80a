//! The load: writes objects, and waits until they are handled.
//!
//! Usage:
//! - `load create N`: N objects, 64 requests at once;
//! - `load wait N`: until N objects are handled; prints when, in microseconds of Unix time;
//! - `load trickle N MILLISECONDS`: N objects that tell when they were written, one per so much time;
//! - `load update N M`: M updates, spread over N objects;
//! - `load delete`: all objects, and waits until they are gone.

use std::{collections::HashSet, time::Duration};

use bench_peers::{ALL, NAMESPACE, now, widget};
use futures::{AsyncBufReadExt, StreamExt};
use kube::Client;
use memchr::memmem;
use serde_json::{Value, json};

type Request = http::Request<Vec<u8>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let client = Client::try_default().await?;
    match words[..] {
        ["create", count] => many(&client, count.parse()?, |n| create(n, None)).await,
        ["wait", count] => println!("{}", wait(&client, count.parse()?).await?),
        ["trickle", count, pause] => trickle(&client, count.parse()?, pause.parse()?).await?,
        ["update", objects, count] => {
            let objects: usize = objects.parse()?;
            many(&client, count.parse()?, |n| update(n % objects, n)).await;
        }
        ["delete"] => delete(&client).await?,
        _ => anyhow::bail!("load create N | wait N | trickle N MILLISECONDS | update N M | delete"),
    }
    Ok(())
}

fn create(n: usize, at: Option<u64>) -> Request {
    let body = serde_json::to_vec(&widget(n, at)).expect("it is JSON");
    http::Request::post(NAMESPACE)
        .header("content-type", "application/json")
        .body(body)
        .expect("it is complete")
}

fn update(n: usize, value: usize) -> Request {
    let body = serde_json::to_vec(&json!({"spec": {"tick": value}})).expect("it is JSON");
    http::Request::patch(format!("{NAMESPACE}/widget-{n}"))
        .header("content-type", "application/merge-patch+json")
        .body(body)
        .expect("it is complete")
}

async fn many(client: &Client, count: usize, request: impl Fn(usize) -> Request) {
    let requests = (0..count).map(|n| client.request_text(request(n)));
    let all = futures::stream::iter(requests);
    all.for_each_concurrent(64, |answering| async { drop(answering.await.expect("the server takes it")) })
        .await;
}

async fn trickle(client: &Client, count: usize, pause: u64) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(pause));
    for n in 0..count {
        ticks.tick().await;
        client.request_text(create(n, Some(now()))).await?;
    }
    Ok(())
}

/// The moment when the last of the objects was seen to be handled.
async fn wait(client: &Client, count: usize) -> anyhow::Result<u64> {
    let text = client.request_text(http::Request::get(ALL).body(Vec::new())?).await?;
    let list: Value = serde_json::from_str(&text)?;
    let items = list["items"].as_array().into_iter().flatten();
    let mut handled: HashSet<String> = items.filter_map(handled_name).collect();
    let mut version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let mark = memmem::Finder::new("\"create\":{\"");
    while handled.len() < count {
        let path = format!("{ALL}?watch=true&resourceVersion={version}");
        let stream = client.request_stream(http::Request::get(path).body(Vec::new())?).await?;
        let (mut lines, mut line, mut last) = (Box::pin(stream), Vec::new(), Vec::new());
        while handled.len() < count && lines.read_until(b'\n', &mut line).await.unwrap_or(0) > 0 {
            if mark.find(&line).is_some() {
                handled.extend(handled_name(&serde_json::from_slice::<Value>(&line)?["object"]));
            }
            std::mem::swap(&mut line, &mut last);
            line.clear();
        }
        // A busy server closes watches: on from the last version.
        if let Ok(event) = serde_json::from_slice::<Value>(&last) {
            version = event["object"]["metadata"]["resourceVersion"].as_str().unwrap_or(&version).to_owned();
        }
    }
    Ok(now())
}

fn handled_name(object: &Value) -> Option<String> {
    object["status"]["create"].as_object()?;
    Some(object["metadata"]["name"].as_str()?.to_owned())
}

async fn delete(client: &Client) -> anyhow::Result<()> {
    client.request_text(http::Request::delete(NAMESPACE).body(Vec::new())?).await?;
    loop {
        let text =
            client.request_text(http::Request::get(format!("{ALL}?limit=1")).body(Vec::new())?).await?;
        let list: Value = serde_json::from_str(&text)?;
        if list["items"].as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
