//! Which namespaces are served: patterns of names (W-NS-003..005).

use std::{fmt, sync::Arc};

/// A pattern that is code: a compiled regular expression of the door's language, say (W-NS-004).
pub trait NamespacePredicate: fmt::Debug + Send + Sync {
    /// Whether the namespace is meant. Called where [`Door::step`](crate::door::Door::step) runs it.
    fn test(&self, namespace: &str) -> bool;
}

/// Which namespaces are meant.
#[derive(Clone, Debug)]
pub enum NamespacePattern {
    /// Shell globs, separated by commas, `!` negates (W-NS-003).
    Glob(String),
    /// Code.
    Callback(Arc<dyn NamespacePredicate>),
}

/// What an operator serves.
#[derive(Clone, Debug, Default)]
pub enum Scope {
    /// The whole cluster, by one stream per resource.
    #[default]
    Cluster,
    /// The namespaces that match one of the patterns, by a stream per resource and namespace, as they come and go.
    Namespaces(Vec<NamespacePattern>),
}
