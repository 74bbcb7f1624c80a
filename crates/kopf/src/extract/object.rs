//! The object and its parts.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use k8s_openapi::NamespaceResourceScope;
use kopf_core::handler::Needs;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::FromCause;
use crate::{
    cause::{Cause, Kind, parse},
    error::{ParseError, Result},
};

/// The object as its Rust type.
///
/// An object that does not fit the type is a permanent error of the handler, which is not called. Ask for
/// `Result<Obj<K>, ParseError>` to handle such objects yourself.
///
/// `metadata.managedFields` may be left out, to save memory: ask for [`Raw`] if you need them.
#[derive(Debug)]
pub struct Obj<K>(pub Arc<K>);

impl<K> Deref for Obj<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K> Clone for Obj<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The object's parts, but for the essence that was handled last and the managed fields.
const WHOLE: Needs = Needs::METADATA.union(Needs::SPEC).union(Needs::STATUS);

impl<K: Kind> FromCause<K> for Obj<K> {
    const NEEDS: Needs = WHOLE;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.typed()?))
    }
}

impl<K: Kind> FromCause<K> for Result<Obj<K>, ParseError> {
    const NEEDS: Needs = WHOLE;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(cause.typed().map(Obj))
    }
}

/// The object as it was received, with what its Rust type may not know.
#[derive(Clone, Debug)]
pub struct Raw(pub Arc<Value>);

impl Deref for Raw {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl<K: Kind> FromCause<K> for Raw {
    const NEEDS: Needs = WHOLE.union(Needs::MANAGED_FIELDS);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.object().shared()))
    }
}

/// `metadata.name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub String);

impl<K: Kind> FromCause<K> for Name {
    const NEEDS: Needs = Needs::METADATA;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.object().name().to_owned()))
    }
}

/// `metadata.namespace`. Only for kinds that live in namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(pub String);

impl<K: Kind + kube::Resource<Scope = NamespaceResourceScope>> FromCause<K> for Namespace {
    const NEEDS: Needs = Needs::METADATA;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.object().namespace().unwrap_or_default().to_owned()))
    }
}

/// `metadata.uid`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uid(pub String);

impl<K: Kind> FromCause<K> for Uid {
    const NEEDS: Needs = Needs::METADATA;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.object().uid().unwrap_or_default().to_owned()))
    }
}

/// `metadata.labels`; empty if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

impl<K: Kind> FromCause<K> for Labels {
    const NEEDS: Needs = Needs::METADATA;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(texts(cause.object().labels())))
    }
}

/// `metadata.annotations`; empty if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(pub BTreeMap<String, String>);

impl<K: Kind> FromCause<K> for Annotations {
    const NEEDS: Needs = Needs::METADATA;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(texts(cause.object().annotations())))
    }
}

/// `spec` as a Rust type of your choice: that of the kind, or one with only what the handler reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec<T>(pub T);

impl<K: Kind, T: DeserializeOwned + Send> FromCause<K> for Spec<T> {
    const NEEDS: Needs = Needs::SPEC;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        let spec = cause.raw().get("spec").unwrap_or(&Value::Null);
        Ok(Self(parse(&format!("the spec of {}", cause.title()), spec)?))
    }
}

/// `status` as a Rust type of your choice; none if there is none yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status<T>(pub Option<T>);

impl<K: Kind, T: DeserializeOwned + Send> FromCause<K> for Status<T> {
    const NEEDS: Needs = Needs::STATUS;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        let status = cause.raw().get("status").unwrap_or(&Value::Null);
        Ok(Self(parse(&format!("the status of {}", cause.title()), status)?))
    }
}

/// The resource as discovery has told it: group, version, plural, short names, verbs.
#[derive(Clone, Debug)]
pub struct Resource(pub Arc<kopf_core::resource::Resource>);

impl<K: Kind> FromCause<K> for Resource {
    const NEEDS: Needs = Needs(0);

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        Ok(Self(cause.resource().clone()))
    }
}

fn texts(map: Option<&Map<String, Value>>) -> BTreeMap<String, String> {
    let entries = map.into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
