//! What the API server serves, by plain discovery (W-DSC-001..005).

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::try_join_all;
use kopf_core::resource::Resource;
use serde_json::Value;

use crate::{
    client::{ApiClient, ApiError, ApiRequest},
    log::Logger,
};

/// The groups that are looked up always: namespaces, Events, CRDs, webhooks, peerings (W-DSC-005).
pub(crate) const BACKBONE: [&str; 5] =
    ["", "apiextensions.k8s.io", "admissionregistration.k8s.io", "kopf.dev", "zalando.org"];

/// A group-version to be looked at.
struct GroupVersion {
    group: String,
    version: String,
    preferred: bool,
}

/// Finds the resources of the groups; none = of all. The core group is the empty text.
///
/// # Errors
/// If a request fails after all its attempts; a group-version that is not found is empty (W-DSC-002).
pub(crate) async fn scan(
    api: &ApiClient,
    logger: &Logger,
    groups: Option<&BTreeSet<String>>,
) -> Result<Vec<Arc<Resource>>, ApiError> {
    let wants_core = groups.is_none_or(|groups| groups.contains(""));
    let wants_others = groups.is_none_or(|groups| groups.iter().any(|group| !group.is_empty()));
    let core = async {
        if !wants_core {
            return Ok(Vec::new());
        }
        let found = core_versions(&get(api, logger, "/api").await?);
        scan_versions(api, logger, found).await
    };
    let others = async {
        if !wants_others {
            return Ok(Vec::new());
        }
        let mut found = group_versions(&get(api, logger, "/apis").await?);
        found.retain(|gv| groups.is_none_or(|groups| groups.contains(&gv.group)));
        scan_versions(api, logger, found).await
    };
    let (core, others) = futures_util::try_join!(core, others)?;
    Ok(core.into_iter().chain(others).map(Arc::new).collect())
}

async fn scan_versions(
    api: &ApiClient,
    logger: &Logger,
    versions: Vec<GroupVersion>,
) -> Result<Vec<Resource>, ApiError> {
    let all = versions.into_iter().map(|gv| async move {
        let path = match gv.group.as_str() {
            "" => format!("/api/{}", gv.version),
            group => format!("/apis/{group}/{}", gv.version),
        };
        match get(api, logger, &path).await {
            Ok(list) => Ok(resources(&gv, &list)),
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    });
    Ok(try_join_all(all).await?.into_iter().flatten().collect())
}

async fn get(api: &ApiClient, logger: &Logger, path: &str) -> Result<Value, ApiError> {
    api.json(&ApiRequest::get(path, &[]), logger).await
}

/// `/api` has no preference: all its versions are preferred (W-DSC-003).
fn core_versions(answer: &Value) -> Vec<GroupVersion> {
    let versions = texts(answer.get("versions")).into_iter();
    versions.map(|version| GroupVersion { group: String::new(), version, preferred: true }).collect()
}

fn group_versions(answer: &Value) -> Vec<GroupVersion> {
    let mut found = Vec::new();
    for group in array(answer.get("groups")) {
        let Some(name) = group.get("name").and_then(Value::as_str) else { continue };
        let preferred = group.pointer("/preferredVersion/version").and_then(Value::as_str);
        for version in array(group.get("versions")) {
            let Some(version) = version.get("version").and_then(Value::as_str) else { continue };
            found.push(GroupVersion {
                group: name.to_owned(),
                version: version.to_owned(),
                preferred: preferred == Some(version),
            });
        }
    }
    found
}

fn resources(gv: &GroupVersion, list: &Value) -> Vec<Resource> {
    let entries = array(list.get("resources"));
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !name(entry).contains('/')) {
        let plural = name(entry);
        let prefix = format!("{plural}/");
        let kind = text(entry.get("kind"));
        let singular = text(entry.get("singularName"));
        found.push(Resource {
            group: gv.group.clone(),
            version: gv.version.clone(),
            singular: if singular.is_empty() { kind.to_lowercase() } else { singular },
            short_names: texts(entry.get("shortNames")),
            categories: texts(entry.get("categories")),
            subresources: entries
                .iter()
                .filter_map(|other| name(other).strip_prefix(&prefix).map(str::to_owned))
                .collect(),
            namespaced: entry.get("namespaced").and_then(Value::as_bool).unwrap_or(false),
            preferred: gv.preferred,
            verbs: texts(entry.get("verbs")),
            kind,
            plural,
        });
    }
    found
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    array(value).iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::golden::{self, Listener};

    fn shown(resource: &Resource) -> Value {
        let sorted = |texts: &[String]| texts.iter().cloned().collect::<BTreeSet<_>>();
        json!({
            "group": resource.group,
            "version": resource.version,
            "plural": resource.plural,
            "kind": resource.kind,
            "singular": resource.singular,
            "shortcuts": sorted(&resource.short_names),
            "categories": sorted(&resource.categories),
            "subresources": sorted(&resource.subresources),
            "namespaced": resource.namespaced,
            "preferred": resource.preferred,
            "verbs": sorted(&resource.verbs),
        })
    }

    /// W-DSC-001 to W-DSC-003; golden: `resources/scan-*`.
    #[tokio::test(start_paused = true)]
    async fn resources_are_found_as_upstream_does() {
        for case in golden::cases("resources", Some("scan")) {
            let id = &case["id"];
            let requests = Arc::new(Mutex::new(BTreeSet::new()));
            let asked = requests.clone();
            let answers = case["input"]["api_responses"].clone();
            let api = golden::client(move |request: Request<Body>| {
                let path = request.uri().path().to_owned();
                let (status, body) = match answers.get(&path) {
                    Some(body) => (200, body.clone()),
                    None => (404, json!({"kind": "Status", "code": 404})),
                };
                asked.lock().unwrap().insert(path);
                Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap()
            });
            let groups = case["input"]["groups"].as_array().map(|groups| {
                groups.iter().map(|group| group.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
            });
            let door: Arc<dyn crate::door::Door> = Listener::shared();
            let found = scan(&api, &Logger::new(&door, "test"), groups.as_ref()).await.unwrap();
            let mut found: Vec<_> = found.iter().map(|resource| shown(resource)).collect();
            found.sort_by_key(|resource| format!("{}/{}", resource["group"], resource["plural"]));
            assert_eq!(json!(found), case["output"]["resources"], "{id}");
            assert_eq!(json!(*requests.lock().unwrap()), case["output"]["requests"], "{id}");
        }
    }
}
