//! The requests of lists and watches: URLs and times (W-WAT-002, W-WAT-005, W-WAT-006, W-WAT-012).

use std::{collections::BTreeSet, time::Duration};

use kopf_core::{
    error::ErrorInfo,
    resource::{PathError, Resource},
    selector::Selector,
    settings::Settings,
};

use crate::client::ApiRequest;

/// What is asked for, besides the resource and the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ServerFilters {
    label: Option<String>,
    field: Option<String>,
    shard: Option<String>,
}

impl ServerFilters {
    /// Those of the settings that are about the resource.
    ///
    /// # Errors
    /// What a callable selector raises.
    pub(crate) fn of(settings: &Settings, resource: &Resource) -> Result<Self, ErrorInfo> {
        let watching = &settings.watching;
        let joined = |all: &[(Selector, String)]| -> Result<Option<String>, ErrorInfo> {
            let unique: BTreeSet<String> = matching(all, resource)?.into_iter().collect();
            Ok((!unique.is_empty()).then(|| unique.into_iter().collect::<Vec<_>>().join(",")))
        };
        Ok(Self {
            label: joined(&watching.label_selectors)?,
            field: joined(&watching.field_selectors)?,
            shard: matching(&watching.shard_selectors, resource)?.into_iter().next(),
        })
    }

    fn params(&self) -> impl Iterator<Item = (&'static str, String)> {
        let all =
            [("labelSelector", &self.label), ("fieldSelector", &self.field), ("shardSelector", &self.shard)];
        all.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)))
    }
}

fn matching(all: &[(Selector, String)], resource: &Resource) -> Result<Vec<String>, ErrorInfo> {
    let mut texts = Vec::new();
    for (selector, text) in all {
        if selector.matches(resource)? {
            texts.push(text.clone());
        }
    }
    Ok(texts)
}

/// Where the objects of one stream are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    path: String,
    filters: ServerFilters,
}

impl Place {
    /// Of a resource, in one namespace or wherever.
    ///
    /// # Errors
    /// For a namespace of a cluster-scoped resource.
    pub(crate) fn new(
        resource: &Resource,
        namespace: Option<&str>,
        filters: ServerFilters,
    ) -> Result<Self, PathError> {
        Ok(Self { path: resource.path(namespace, None, None)?, filters })
    }

    /// One page of the list.
    pub(crate) fn list(&self, settings: &Settings, continue_token: Option<&str>) -> ApiRequest {
        let mut params = Vec::new();
        params.extend(settings.watching.chunk_size.map(|size| ("limit", size.to_string())));
        params.extend(self.filters.params());
        params.extend(continue_token.map(|token| ("continue", token.to_owned())));
        ApiRequest::get(&self.path, &params)
    }

    /// The watch from a version on; from none, with what is there first if the settings say so (W-WAT-007).
    pub(crate) fn watch(&self, settings: &Settings, since: Option<&str>) -> ApiRequest {
        let watching = &settings.watching;
        let mut params = vec![("watch", "true".to_owned()), ("allowWatchBookmarks", "true".to_owned())];
        params.extend(self.filters.params());
        params.extend(since.map(|version| ("resourceVersion", version.to_owned())));
        params.extend(watching.server_timeout.map(|secs| ("timeoutSeconds", secs.to_string())));
        if watching.initial_streaming && since.is_none() {
            params.push(("sendInitialEvents", "true".to_owned()));
            params.push(("resourceVersionMatch", "NotOlderThan".to_owned()));
        }
        ApiRequest::get(&self.path, &params)
    }
}

/// The time that a watch has to connect (W-WAT-012).
pub(crate) fn connect_timeout(settings: &Settings) -> Duration {
    let networking = &settings.networking;
    settings.watching.connect_timeout.or(networking.connect_timeout).unwrap_or(networking.request_timeout)
}

#[cfg(test)]
mod tests {
    use kopf_core::{
        object::Object,
        selector::{Keywords, Positional},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        golden,
        watch::{decode::Extent, items::Items},
    };

    fn selector(value: &Value) -> Selector {
        let texts = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let args: Vec<_> = texts.iter().map(|t| Positional::Text(t.as_str().unwrap().into())).collect();
        Selector::parse(&args, Keywords::default()).unwrap()
    }

    fn settings(input: &Value) -> Settings {
        let mut settings = Settings::default();
        let secs = |value: &Value| Some(Duration::from_secs_f64(value.as_f64().unwrap()));
        let pairs = |value: &Value| {
            let all = value.as_array().unwrap().iter();
            all.map(|pair| (selector(&pair[0]), pair[1].as_str().unwrap().to_owned())).collect()
        };
        for (key, value) in input.as_object().unwrap() {
            match key.as_str() {
                "watching.server_timeout" => settings.watching.server_timeout = value.as_f64(),
                "watching.client_timeout" => settings.watching.client_timeout = secs(value),
                "watching.connect_timeout" => settings.watching.connect_timeout = secs(value),
                "watching.chunk_size" => settings.watching.chunk_size = value.as_u64(),
                "watching.initial_streaming" => settings.watching.initial_streaming = true,
                "watching.label_selectors" => settings.watching.label_selectors = pairs(value),
                "watching.field_selectors" => settings.watching.field_selectors = pairs(value),
                "watching.shard_selectors" => settings.watching.shard_selectors = pairs(value),
                "networking.connect_timeout" => settings.networking.connect_timeout = secs(value),
                "networking.request_timeout" => {
                    settings.networking.request_timeout = secs(value).unwrap();
                }
                other => panic!("unknown setting {other}"),
            }
        }
        settings
    }

    fn resource(name: &Value) -> Resource {
        let (plural, version, group) = match name.as_str().unwrap() {
            "pods.v1" => ("pods", "v1", ""),
            "clusters.v1.kopf.dev" => ("clusters", "v1", "kopf.dev"),
            "kopfexamples.v1.kopf.dev" => ("kopfexamples", "v1", "kopf.dev"),
            other => panic!("unknown resource {other}"),
        };
        Resource {
            group: group.into(),
            version: version.into(),
            plural: plural.into(),
            kind: if plural == "kopfexamples" { "KopfExample".into() } else { String::new() },
            singular: plural.trim_end_matches('s').into(),
            namespaced: plural != "clusters",
            preferred: true,
            ..Resource::default()
        }
    }

    /// W-WAT-002, W-WAT-003, W-WAT-005, W-WAT-006, W-WAT-012; golden: `list_watch_requests`.
    #[test]
    fn requests_are_those_of_upstream() {
        for case in golden::cases("list_watch_requests", None) {
            let (id, input, output) = (&case["id"], &case["input"], &case["output"]);
            let settings = settings(&input["settings"]);
            let resource = resource(&input["resource"]);
            let filters = ServerFilters::of(&settings, &resource).unwrap();
            let place = Place::new(&resource, input["namespace"].as_str(), filters).unwrap();

            let mut requests = Vec::new();
            let mut chunks = Vec::new();
            let mut token = None;
            for response in input["list_responses"].as_array().unwrap() {
                let request = place.list(&settings, token.as_deref());
                requests.push(json!({"method": request.method.as_str(), "url": request.url}));
                let mut list = Items::new(Extent::Whole);
                let mut items = Vec::new();
                let mut take = |item: Object| items.push(item.body().clone());
                list.push(response.to_string().as_bytes(), &mut take).unwrap();
                let meta = list.finish(&mut take).unwrap();
                chunks.push(json!([items, meta.resource_version]));
                token = meta.continue_token;
            }
            assert_eq!(Value::Array(requests), output["list_requests"], "{id}");
            assert_eq!(Value::Array(chunks), output["chunks"], "{id}");
            assert_eq!(token, None, "{id}");

            let request = place.watch(&settings, input["since"].as_str());
            let expected = &output["watch_request"];
            assert_eq!(json!(request.method.as_str()), expected["method"], "{id}");
            assert_eq!(json!(request.url), expected["url"], "{id}");
            assert_eq!(json!(connect_timeout(&settings).as_secs()), expected["sock_connect_timeout"], "{id}");
            let total = settings.watching.client_timeout.map(|timeout| timeout.as_secs());
            assert_eq!(json!(total), expected["total_timeout"], "{id}");
        }
    }
}
