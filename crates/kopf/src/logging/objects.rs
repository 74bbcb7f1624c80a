//! Which object a line is about: from its own fields, or from those of the span of the call.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// The object of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectFields {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
}

impl ObjectFields {
    /// `namespace/name`, or `name`.
    pub(super) fn title(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }

    /// The reference in JSON lines (A-LOG-005).
    pub(super) fn reference(&self) -> Value {
        let Self { api_version, kind, namespace, name, uid } = self;
        json!({ "apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "namespace": namespace })
    }
}

/// All fields of a line or a span, sorted out.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) message: String,
    /// The logger's name, where it is not the target.
    pub(super) logger: Option<String>,
    object: ObjectFields,
    /// What the author of the line has added.
    pub(super) extra: Map<String, Value>,
}

impl Fields {
    /// The object; none if the fields name none.
    pub(super) fn object(&self) -> Option<&ObjectFields> {
        self.object.name.is_some().then_some(&self.object)
    }

    fn put(&mut self, is_about_object: bool, field: &Field, value: Value) {
        let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match field.name() {
            "message" => self.message = text(),
            "logger" => self.logger = Some(text()),
            "api_version" if is_about_object => self.object.api_version = text(),
            "kind" if is_about_object => self.object.kind = text(),
            "namespace" if is_about_object => self.object.namespace = Some(text()),
            "name" if is_about_object => self.object.name = Some(text()),
            "uid" if is_about_object => self.object.uid = Some(text()),
            other => {
                self.extra.insert(other.to_owned(), value);
            }
        }
    }
}

/// Reads fields; only those of the engine's own lines and spans are about the object.
pub(super) struct Reader<'a> {
    pub(super) fields: &'a mut Fields,
    pub(super) is_about_object: bool,
}

impl Visit for Reader<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.put(self.is_about_object, field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.put(self.is_about_object, field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.put(self.is_about_object, field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.put(self.is_about_object, field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.put(self.is_about_object, field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.put(self.is_about_object, field, value.into());
    }
}

/// Remembers the objects of calls in their spans.
pub(super) struct ObjectLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ObjectLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().target() != super::OBJECTS {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut Reader { fields: &mut fields, is_about_object: true });
        if let (Some(object), Some(span)) = (fields.object(), context.span(id)) {
            span.extensions_mut().insert(object.clone());
        }
    }
}
