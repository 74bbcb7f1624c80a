//! Which objects of a resource a request is about: namespace, name, labels, fields.

use serde_json::Value;

use super::Request;
use super::path::ObjectPath;
use crate::machinery::selector::field::{self, FieldSelector};
use crate::machinery::selector::label::LabelSelector;
use crate::status::ApiError;
use crate::store::{Change, ChangeKind, Key, Object};
use crate::types::registry::Served;

/// A choice among the objects of a resource.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) namespace: Option<String>,
    name: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
    served: Served,
}

impl Selection {
    /// What a list, a watch or a deletion of a collection is about. Selectors that cannot be read or name unknown
    /// fields are refused (D-172).
    pub(crate) fn of(request: &Request, path: &ObjectPath, served: &Served) -> Result<Self, ApiError> {
        let labels = LabelSelector::parse(request.query.text("labelSelector").unwrap_or_default())
            .map_err(ApiError::bad_request)?;
        let fields = FieldSelector::parse(request.query.text("fieldSelector").unwrap_or_default())
            .map_err(ApiError::bad_request)?;
        fields.check(|field| is_supported(served, field)).map_err(ApiError::bad_request)?;
        let namespace = path.namespace.clone();
        Ok(Self { namespace, name: path.name.clone(), labels, fields, served: served.clone() })
    }

    /// Whether nothing but the namespace is restricted.
    pub(crate) fn is_everything(&self) -> bool {
        self.name.is_none() && self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, key: &Key, object: &Object) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
            && self.matches_value(&object.value)
    }

    fn matches_value(&self, value: &Value) -> bool {
        let labels = value["metadata"]["labels"].as_object();
        self.labels.matches(labels)
            && (self.fields.is_empty() || self.fields.matches(|field| text_of(&self.served, value, field)))
    }

    /// What a change is to a watcher of this selection (D-183).
    pub(crate) fn transition(&self, change: &Change) -> Option<ChangeKind> {
        let is_in = change.kind != ChangeKind::Deleted && self.matches(&change.key, &change.object);
        let was_in = change.previous.as_ref().is_some_and(|previous| self.matches(&change.key, previous));
        match (was_in, is_in) {
            (false, false) => None,
            (false, true) => Some(ChangeKind::Added),
            (true, true) => Some(ChangeKind::Modified),
            (true, false) => Some(ChangeKind::Deleted),
        }
    }
}

fn is_supported(served: &Served, field: &str) -> bool {
    let resource = &served.resource;
    match &served.version().definition {
        Some(definition) => {
            matches!(field, "metadata.name" | "metadata.namespace") || definition.is_selectable(field)
        }
        None => field::is_supported(&resource.group, &resource.kind, field),
    }
}

fn text_of(served: &Served, value: &Value, field: &str) -> String {
    match &served.version().definition {
        Some(_) => {
            let pointer = format!("/{}", field.replace('.', "/"));
            value.pointer(&pointer).map(field::scalar_text).unwrap_or_default()
        }
        None => field::text_of(value, &served.resource.group, &served.resource.kind, field),
    }
}
