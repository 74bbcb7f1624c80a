//! For tests: what upstream does, from `contract/golden`, and a door that only listens.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kopf_core::{
    log::Level,
    machine::{Call, CallId},
    outcome::Outcome,
    resource::Resource,
};
use kube::client::Body;
use serde_json::Value;

use crate::{
    client::{ApiClient, Connection},
    door::{ActivityCall, BoxFuture, Door, Finished, Record, Step},
};

/// The cases of a file, of one kind if the file has several. Where ours differ on purpose, by a row of `overrides.json`,
/// `output` is ours and `upstream` what must not come out.
pub(crate) fn cases(file: &str, kind: Option<&str>) -> Vec<Value> {
    let content = read(file);
    let rows = read("overrides");
    let row_of = |case: &Value| {
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["file"] == file && row["id"] == case["id"]).cloned()
    };
    let all = content["cases"].as_array().unwrap().iter();
    let mut cases: Vec<_> =
        all.filter(|case| kind.is_none_or(|kind| case["kind"] == kind)).cloned().collect();
    assert!(!cases.is_empty(), "{file} has no cases of {kind:?}");
    for case in &mut cases {
        if let Some(row) = row_of(case) {
            case["upstream"] = std::mem::replace(&mut case["output"], row["output"].clone());
            assert_ne!(case["upstream"], case["output"], "an override that overrides nothing");
        }
    }
    cases
}

fn read(file: &str) -> Value {
    let path = format!("{}/../../contract/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// A client of a service that is a function.
pub(crate) fn client(answer: impl Fn(Request<Body>) -> Response<Body> + Send + Sync + 'static) -> ApiClient {
    let service = tower::service_fn(move |request| {
        let response = answer(request);
        async move { Ok::<_, tower::BoxError>(response) }
    });
    ApiClient::of_service(Connection::service(service))
}

/// A door without code: it remembers what is logged.
#[derive(Debug, Default)]
pub(crate) struct Listener(Mutex<Vec<(Level, String)>>);

impl Listener {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The lines since the last time.
    pub(crate) fn lines(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Door for Listener {
    fn call(&self, _resource: &Arc<Resource>, call: Call) -> BoxFuture<Finished> {
        panic!("nothing is to be called here: {call:?}")
    }

    fn cancel(&self, _object_id: u64, _call: CallId) {}

    fn call_activity(&self, call: ActivityCall) -> BoxFuture<Outcome> {
        panic!("nothing is to be called here: {call:?}")
    }

    fn step(&self, step: Step) -> BoxFuture<()> {
        Box::pin(async move { step() })
    }

    fn wants(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, record: Record) {
        if let Record::Engine { level, text, .. } = record {
            self.0.lock().unwrap().push((level, text));
        }
    }

    fn forget(&self, _object_id: u64) {}

    fn ready(&self) {}
}
