//! Writes: create, update, patch, delete.
//!
//! All end in the same steps: decode, prepare, validate, commit. Work is done on what was read, outside the store's
//! lock; if somebody else has written meanwhile, it is done again on the newer object.

pub(crate) mod apply;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod options;
pub(crate) mod ownership;
pub(crate) mod patch;
pub(crate) mod prepare;
pub(crate) mod scale;
pub(crate) mod update;
pub(crate) mod validate;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use options::WriteOptions;

use super::Shared;
use super::read::subject;
use crate::machinery::cause::Cause;
use crate::status::{ApiError, Subject};
use crate::store::{Key, Object};
use crate::types::registry::Served;

/// What is being written to, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) served: &'a Served,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: &'a str,
    pub(crate) subresource: Option<&'a str>,
    pub(crate) options: &'a WriteOptions,
}

/// The outcome of a write.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object as it is answered.
    pub(crate) object: Arc<Object>,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

impl Target<'_> {
    pub(crate) fn key(&self, name: &str) -> Key {
        Key::new(self.namespace, name)
    }

    fn subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        subject(self.served, name)
    }

    /// The object as errors about its content name it.
    fn kind_subject<'a>(&'a self, name: &'a str) -> Subject<'a> {
        Subject { what: &self.served.resource.kind, ..self.subject(name) }
    }

    fn invalid(&self, name: &str, causes: &[Cause]) -> ApiError {
        ApiError::invalid(self.kind_subject(name), causes)
    }

    /// Tells the controllers what has changed, and does what must be done before the next request. `after` is `None`
    /// if the object is gone.
    fn after_commit(&self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        let store = &self.served.resource.store;
        self.shared.pending.note(store, key, before, after);
        if let Some(written) = after.filter(|_| &**store == crate::controllers::EVENTS) {
            let due = self.shared.clock.moment().after(self.shared.options.event_ttl);
            self.shared.pending.expire(key.clone(), written, due);
        }
        if &**store == crate::crd::STORE {
            crate::crd::controller::definition_changed(self.shared, &key.name);
        }
        if &**store == "namespaces" && before.is_none() {
            crate::controllers::namespaces::fill(self.shared, &key.name);
        }
        if after.is_none() && crate::controllers::namespaces::is_permanent(store, &key.name) {
            crate::controllers::namespaces::fill(self.shared, &key.namespace);
        }
        self.shared.work.notify_one();
    }
}
