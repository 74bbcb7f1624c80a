//! Requests made up at random, as steps of scenarios: the same seed makes the same ones.
//!
//! Objects come from the schemas in `generated.yaml`: most of them fit, some are broken in one place or another. An
//! episode is a few requests about two objects of one kind.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

/// The most steps of an episode.
const STEPS: usize = 8;

/// A kind of objects to make requests about.
pub(crate) struct Kind {
    pub(crate) name: String,
    path: String,
    api_version: String,
    kind: String,
    is_custom: bool,
    has_status: bool,
    /// Whether values of the wrong type or from nowhere are left out.
    is_tame: bool,
    schema: Value,
}

impl Kind {
    pub(crate) fn all() -> Vec<Self> {
        let options = serde_saphyr::options! { strict_booleans: true };
        let kinds: Value =
            serde_saphyr::from_str_with_options(include_str!("generated.yaml"), options).unwrap();
        let text = |kind: &Value, field: &str| kind[field].as_str().unwrap().to_owned();
        let kinds = kinds.as_array().unwrap().iter().map(|kind| Self {
            name: text(kind, "name"),
            path: text(kind, "path"),
            api_version: text(kind, "apiVersion"),
            kind: text(kind, "kind"),
            is_custom: kind["custom"] == true,
            has_status: kind["status"] == true,
            is_tame: kind["tame"] == true,
            schema: kind["schema"].clone(),
        });
        kinds.collect()
    }

    /// The definition of a custom resource.
    pub(crate) fn definition(&self) -> Option<Value> {
        let (group, version) = self.api_version.split_once('/').filter(|_| self.is_custom)?;
        Some(json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{}.{group}", self.name)},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": self.name, "kind": self.kind},
                "versions": [{
                    "name": version,
                    "served": true,
                    "storage": true,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": self.schema},
                }],
            },
        }))
    }

    /// The steps of the episode with this number.
    pub(crate) fn episode(&self, seed: u64, number: u64) -> Vec<Value> {
        let mut maker = Maker {
            kind: self,
            random: StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number)),
        };
        let count = maker.random.random_range(3..=STEPS);
        let create = maker.create("a");
        let rest: Vec<Value> = (1..count).map(|_| maker.step()).collect();
        [vec![create], rest].concat()
    }
}

struct Maker<'a> {
    kind: &'a Kind,
    random: StdRng,
}

impl Maker<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_ratio(percent, 100)
    }

    fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        values.choose(&mut self.random).unwrap().clone()
    }

    fn step(&mut self) -> Value {
        let name = self.pick(&["a", "a", "a", "b"]);
        let (object, status) = (format!("{}/{name}-$EP", self.kind.path), self.kind.has_status);
        match self.random.random_range(0..26) {
            0..3 => self.create(name),
            3 => json!({"c": format!("GET {object}")}),
            4..8 => self.put(name, &object),
            8..12 => {
                let patch = self.partial();
                self.patch(&object, "merge-patch+json", &patch)
            }
            12..15 => {
                let patch = self.json_patch();
                self.patch(&object, "json-patch+json", &patch)
            }
            15..19 => self.apply(name, &object),
            19..21 if status => {
                let patch = self.status();
                self.patch(&format!("{object}/status"), "merge-patch+json", &patch)
            }
            21 if status => self.apply(name, &format!("{object}/status")),
            19..23 => {
                let patch = self.partial();
                self.patch(&object, "strategic-merge-patch+json", &patch)
            }
            23 => self.list(),
            _ => self.delete(&object),
        }
    }

    /// Options in the query of a write.
    fn query(&mut self) -> String {
        let mut query = Vec::new();
        if self.chance(25) {
            query.push(format!(
                "fieldValidation={}",
                self.pick(&["Strict", "Warn", "Ignore", "Strict", "Odd"])
            ));
        }
        if self.chance(10) {
            query.push(format!("dryRun={}", self.pick(&["All", "All", "All", "x"])));
        }
        if self.chance(30) {
            query.push(format!("fieldManager={}", self.pick(&["m1", "m2", "other"])));
        }
        if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) }
    }

    fn create(&mut self, name: &str) -> Value {
        let mut body = self.object(name);
        if self.chance(5) {
            // Most requests leave these out or say them right.
            let field = self.pick(&["apiVersion", "kind"]);
            body[field] = match self.odd() {
                Value::Null => json!("odd"),
                odd => odd,
            };
        }
        let query = self.query();
        json!({"c": format!("POST {}{query}", self.kind.path), "b": body, "sv": saved(name)})
    }

    /// Either the object as it was seen, with changes, or another one.
    fn put(&mut self, name: &str, object: &str) -> Value {
        let query = self.query();
        let call = format!("PUT {object}{query}");
        if self.chance(60) {
            let mut changes = self.partial();
            if self.kind.is_tame && changes.is_object() {
                changes["metadata"]["resourceVersion"] = Value::Null;
            }
            return json!({"c": call, "u": [format!("$obj_{name}"), changes], "sv": saved(name)});
        }
        let mut body = self.object(name);
        if self.kind.is_custom && self.chance(70) {
            body["metadata"]["resourceVersion"] = format!("$rv_{name}").into();
        }
        json!({"c": call, "b": body, "sv": saved(name)})
    }

    fn patch(&mut self, object: &str, kind: &str, patch: &Value) -> Value {
        let query = self.query();
        let headers = json!({"Content-Type": format!("application/{kind}")});
        json!({"c": format!("PATCH {object}{query}"), "h": headers, "b": patch})
    }

    fn apply(&mut self, name: &str, object: &str) -> Value {
        let mut body = match object.ends_with("/status") {
            true => self.status(),
            false => self.partial(),
        };
        without_nulls(&mut body, self.chance(90));
        if !body.is_object() {
            body = json!({});
        }
        body["apiVersion"] = self.kind.api_version.clone().into();
        body["kind"] = self.kind.kind.clone().into();
        if !body["metadata"].is_object() {
            body["metadata"] = json!({});
        }
        body["metadata"]["name"] = format!("{name}-$EP").into();
        let manager = self.pick(&["m1", "m2"]);
        let force = if self.chance(40) { "&force=true" } else { "" };
        let dry = if self.chance(5) { "&dryRun=All" } else { "" };
        let headers = json!({"Content-Type": "application/apply-patch+yaml"});
        json!({"c": format!("PATCH {object}?fieldManager={manager}{force}{dry}"), "h": headers, "b": body})
    }

    fn list(&mut self) -> Value {
        let accept = self.pick(&[
            "application/json",
            "application/json;as=Table;v=v1;g=meta.k8s.io",
            "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        ]);
        let selector = self.pick(&[
            "labelSelector=ep%3D$EP",
            "labelSelector=ep%20in%20($EP)%2Cl%3Dx",
            "fieldSelector=metadata.name%3Da-$EP",
        ]);
        json!({"c": format!("GET {}?{selector}", self.kind.path), "h": {"Accept": accept}})
    }

    fn delete(&mut self, object: &str) -> Value {
        let query = self.pick(&[
            "",
            "",
            "?dryRun=All",
            "?propagationPolicy=Background",
            "?gracePeriodSeconds=0",
            "?propagationPolicy=Odd",
        ]);
        let call = format!("DELETE {object}{query}");
        match self.random.random_range(0..5) {
            0 => json!({"c": call, "b": {"preconditions": {"uid": "00000000-0000-0000-0000-000000000001"}}}),
            // Of a tame kind a controller may have made another one.
            1 if !self.kind.is_tame => {
                json!({"c": call, "b": {"preconditions": {"resourceVersion": "$rv_a"}}})
            }
            2 => {
                json!({"c": call, "b": {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}})
            }
            _ => json!({"c": call}),
        }
    }

    /// A whole object.
    fn object(&mut self, name: &str) -> Value {
        let schema = &self.kind.schema;
        let mut object = self.value(schema, 50);
        if !object.is_object() {
            object = json!({});
        }
        let mut metadata = self.metadata();
        metadata["name"] = format!("{name}-$EP").into();
        metadata["labels"]["ep"] = "$EP".into();
        object["metadata"] = metadata;
        if self.kind.is_custom || self.chance(50) {
            object["apiVersion"] = self.kind.api_version.clone().into();
            object["kind"] = self.kind.kind.clone().into();
        }
        object
    }

    /// A few fields of an object, some of them to be removed.
    fn partial(&mut self) -> Value {
        let schema = &self.kind.schema;
        let mut partial = self.value(schema, 15);
        if !partial.is_object() {
            return partial;
        }
        if self.chance(40) {
            partial["metadata"] = self.metadata();
        }
        if self.chance(20) {
            let (_, path) = self.path();
            let mut place = &mut partial;
            for key in path {
                if !place.is_object() || self.chance(10) {
                    break;
                }
                place = &mut place[key];
            }
            *place = Value::Null;
        }
        if partial.is_null() {
            partial = json!({});
        }
        partial
    }

    fn status(&mut self) -> Value {
        let schema = &self.kind.schema["properties"]["status"];
        let mut body = json!({"status": self.value(schema, 60)});
        if self.chance(20) {
            body["metadata"] = self.metadata();
        }
        body
    }

    fn metadata(&mut self) -> Value {
        let mut metadata = json!({"labels": {}});
        let fields: [(&str, &[Value]); 11] = [
            (
                "labels",
                &[
                    json!({"l": "x"}),
                    json!({"l": "y"}),
                    json!({"l": null}),
                    json!({"bad key": "x"}),
                    json!({"l": "bad value"}),
                    json!({"l": 1}),
                    Value::Null,
                ],
            ),
            (
                "annotations",
                &[
                    json!({"a": "1"}),
                    json!({"x.dev/a": "2"}),
                    json!({"a": null}),
                    json!({"bad key": ""}),
                    json!({"A.B/c": "x"}),
                    json!({"a": true}),
                ],
            ),
            (
                "finalizers",
                &[
                    json!(["x.dev/f"]),
                    json!([]),
                    json!(["x.dev/f", "x.dev/g"]),
                    json!(["bad"]),
                    json!(["x.dev/f", "x.dev/f"]),
                    Value::Null,
                ],
            ),
            (
                "ownerReferences",
                &[json!([{}]), json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x"}]), json!([])],
            ),
            ("generateName", &[json!("pre-")]),
            ("namespace", &[json!("$NS"), json!("$NS"), json!("other")]),
            ("uid", &[json!("00000000-0000-0000-0000-000000000001"), json!("")]),
            ("generation", &[json!(7), json!(-1)]),
            ("creationTimestamp", &[Value::Null, json!("2001-01-01T00:00:00Z"), json!("x")]),
            ("managedFields", &[json!([{}]), Value::Null, json!([{"manager": "x"}])]),
            ("extra", &[json!(1), json!({"a": 1})]),
        ];
        let chances = [50, 30, 8, 3, 3, 5, 3, 4, 4, 3, 3];
        for ((field, values), chance) in fields.into_iter().zip(chances) {
            if self.chance(chance) {
                metadata[field] = self.pick(values);
            }
        }
        if !metadata["labels"].is_object() {
            metadata["labels"] = json!({});
        }
        metadata
    }

    fn json_patch(&mut self) -> Value {
        let count = self.random.random_range(1..=3);
        let operations = (0..count).map(|_| {
            let (schema, path) = self.path();
            let mut path: String = path.iter().map(|key| format!("/{key}")).collect();
            if self.chance(15) {
                path = self
                    .pick(&[
                        "/metadata/labels/l",
                        "/metadata/annotations",
                        "/metadata/labels",
                        "/metadata/finalizers",
                        "/metadata/finalizers/-",
                        "/nope/x",
                        "/metadata/name",
                        "",
                        "/kind",
                        "/metadata/generation",
                    ])
                    .to_owned();
            }
            let (_, from) = self.path();
            let from: String = from.iter().map(|key| format!("/{key}")).collect();
            match self.pick(&["add", "add", "add", "replace", "replace", "remove", "test", "copy", "move"]) {
                "remove" => json!({"op": "remove", "path": path}),
                operation @ ("copy" | "move") => json!({"op": operation, "from": from, "path": path}),
                operation => json!({"op": operation, "path": path, "value": self.value(&schema, 40)}),
            }
        });
        operations.collect()
    }

    /// The path of a field that the schema names, and the schema of the field.
    fn path(&mut self) -> (Value, Vec<String>) {
        let (mut schema, mut path) = (self.kind.schema.clone(), Vec::new());
        loop {
            if let Some(properties) = schema["properties"].as_object() {
                let names: Vec<String> = properties.keys().cloned().collect();
                let name = self.pick(&names);
                schema = properties[&name].clone();
                path.push(name);
            } else if schema["items"].is_object() {
                schema = schema["items"].clone();
                path.push(self.pick(&["0", "0", "1", "-"]).to_owned());
            } else if schema["additionalProperties"].is_object() {
                schema = schema["additionalProperties"].clone();
                path.push(self.pick(&["k", "l"]).to_owned());
            } else {
                return (schema, path);
            }
            if self.chance(25) {
                return (schema, path);
            }
        }
    }

    /// A value for a schema; optional fields are there with so many percent.
    fn value(&mut self, schema: &Value, percent: u32) -> Value {
        if !self.kind.is_tame && self.random.random_ratio(2, 100) {
            return self.odd();
        }
        if let Some(values) = schema["values"].as_array().or(schema["enum"].as_array()) {
            return self.pick(values);
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return self.pick(&[json!(1), json!("x"), json!(1.5), json!("50%")]);
        }
        match schema["type"].as_str() {
            Some("object") => self.fields(schema, percent),
            Some("array") => {
                let count = self.pick(&[0, 1, 1, 1, 2, 2, 3, 4]);
                (0..count).map(|_| self.value(&schema["items"], percent)).collect()
            }
            Some("boolean") => self.chance(50).into(),
            Some("integer") => {
                self.pick(&[0, 1, 2, 3, 5, 10, 10, 20, 100, 105, -5, 3_000_000_000_i64]).into()
            }
            Some("number") => self.pick(&[
                json!(1),
                json!(0.5),
                json!(1.5),
                json!(2),
                json!(2.25),
                json!(1.0),
                json!(3.5),
                json!(-1e3),
                json!(1e22),
            ]),
            _ => self.text(schema["format"].as_str().unwrap_or_default()),
        }
    }

    fn text(&mut self, format: &str) -> Value {
        let values: &[&str] = match format {
            "date-time" => &[
                "2025-01-01T00:00:00Z",
                "2025-01-01T00:00:00.5+01:00",
                "2025-01-01",
                "x",
                "2025-13-01T00:00:00Z",
            ],
            "date" => &["2025-01-01", "2025-1-1", "x"],
            "email" => &["a@b.c", "a", "a@b"],
            "uuid" => &["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "x", "6BA7B8109DAD11D180B400C04FD430C8"],
            "ipv4" => &["10.0.0.1", "10.0.0", "::1"],
            "byte" => &["eA==", "eHk=", "x", "", "e A="],
            "uri" => &["http://x.y/z", "x", "", "/a", "::"],
            "duration" => &["1h", "3 days", "5", "1h30m", "x"],
            _ => &["x", "y", "abc", "", "toolong", "ABC", "é", "a\"b\\c", "1", "true", "<&>"],
        };
        self.pick(values).into()
    }

    fn fields(&mut self, schema: &Value, percent: u32) -> Value {
        let mut fields = Map::new();
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            // A schema with many fields shows a few at a time.
            let many = schema["properties"].as_object().map_or(0, Map::len) > 12;
            let percent = if required.contains(&name.as_str()) {
                95.max(percent)
            } else if many {
                percent / 3
            } else {
                percent
            };
            if self.chance(percent.min(100)) {
                fields.insert(name.clone(), self.value(field, percent));
            }
        }
        if schema["additionalProperties"].is_object() {
            for key in ["k", "l", "m"] {
                if self.chance(40) {
                    fields.insert(key.to_owned(), self.value(&schema["additionalProperties"], percent));
                }
            }
        }
        if schema["x-kubernetes-embedded-resource"] == true {
            for (field, value) in [
                ("apiVersion", json!("v1")),
                ("kind", json!("X")),
                ("metadata", json!({"name": "n", "odd": 1, "labels": {"a": "b"}})),
            ] {
                if self.chance(85) {
                    fields.insert(field.to_owned(), value);
                }
            }
        }
        if self.chance(if schema["x-kubernetes-preserve-unknown-fields"] == true { 60 } else { 3 }) {
            fields.insert("extra".to_owned(), self.odd());
        }
        fields.into()
    }

    /// What hardly any field takes.
    fn odd(&mut self) -> Value {
        self.pick(&[
            Value::Null,
            Value::Null,
            json!(""),
            json!("odd"),
            json!(0),
            json!(-7),
            json!(1.5),
            json!(true),
            json!([]),
            json!({}),
            json!(["odd", 1]),
            json!({"odd": {"deep": [1, null]}}),
            json!(9_223_372_036_854_775_807_i64),
        ])
    }
}

/// What later steps refer to.
fn saved(name: &str) -> Value {
    json!({format!("obj_{name}"): "", format!("rv_{name}"): "metadata.resourceVersion"})
}

/// An apply configuration hardly ever has nulls.
fn without_nulls(value: &mut Value, is_strict: bool) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !(is_strict && field.is_null()));
        fields.values_mut().for_each(|field| without_nulls(field, is_strict));
    }
}
