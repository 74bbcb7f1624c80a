//! A request with its body, taken apart.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use tokio_util::sync::CancellationToken;

use super::path::{self, ObjectPath, Path};
use super::query::Query;
use crate::connection::Connection;
use crate::machinery::fieldset::managed;
use crate::store::Ago;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) uid: String,
    pub(crate) extra: Vec<(String, Vec<String>)>,
}

impl Default for User {
    /// Whoever does not say who they are is an administrator, and so are the controllers.
    fn default() -> Self {
        Self {
            name: "dev-cluster-admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
            uid: String::new(),
            extra: Vec::new(),
        }
    }
}

/// Through what a request comes in.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// Cancelled when it closes.
    pub(crate) closing: CancellationToken,
    pub(crate) connection: Option<Connection>,
}

/// A request to the API.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path as it was sent.
    pub(crate) raw_path: String,
    /// The query as it was sent.
    pub(crate) raw_query: String,
    pub(crate) path: Path,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) user: User,
    /// How far back a read is to look: a fault.
    pub(crate) stale: Option<Ago>,
    /// Where it came from, if over the network.
    pub(crate) connection: Option<Connection>,
    /// Cancelled when the door closes through which the request came.
    pub(crate) closing: CancellationToken,
}

impl Request {
    pub(crate) fn new(parts: http::request::Parts, body: Bytes, user: User, door: &Door) -> Self {
        Self {
            method: parts.method,
            raw_path: parts.uri.path().to_owned(),
            raw_query: parts.uri.query().unwrap_or_default().to_owned(),
            path: path::parse(parts.uri.path()),
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            headers: parts.headers,
            body,
            user,
            stale: None,
            connection: door.connection.clone(),
            closing: door.closing.clone(),
        }
    }

    /// Whether the answer is to be indented: if asked, and by default for curl and browsers (D-031).
    pub(crate) fn is_from_a_person(&self) -> bool {
        if self.query.text("pretty").is_some() {
            return self.query.flag("pretty");
        }
        ["curl", "Wget", "Mozilla/5.0"].iter().any(|program| self.user_agent().starts_with(program))
    }

    fn user_agent(&self) -> &str {
        self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default()
    }

    /// The field manager: as said, or the beginning of the user agent.
    pub(crate) fn manager(&self) -> String {
        managed::manager_name(self.query.text("fieldManager").unwrap_or_default(), self.user_agent())
    }
}

/// What faults match a request by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) verb: String,
    pub(crate) plural: String,
    pub(crate) qualified: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) user_agent: String,
    pub(crate) user: String,
}

impl Request {
    pub(crate) fn facts(&self) -> Facts {
        let agent =
            self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let facts = Facts {
            user_agent: agent.to_owned(),
            user: self.user.name.clone(),
            path: self.raw_path.clone(),
            ..Facts::default()
        };
        let Path::Object(path) = &self.path else {
            return Facts { verb: self.method.as_str().to_ascii_lowercase(), ..facts };
        };
        Facts {
            verb: self.verb(path).to_owned(),
            plural: path.plural.clone(),
            qualified: crate::types::qualify(&path.plural, &path.group),
            subresource: path.subresource.clone().unwrap_or_default(),
            namespace: path.namespace.clone().unwrap_or_default(),
            name: path.name.clone().unwrap_or_default(),
            ..facts
        }
    }

    /// The verb of a request about objects, as access rules name it.
    pub(crate) fn verb(&self, path: &ObjectPath) -> &'static str {
        let is_watch = path.watch || self.query.flag("watch");
        match (&self.method, &path.name) {
            (&Method::GET | &Method::HEAD, None) if is_watch => "watch",
            (&Method::GET | &Method::HEAD, Some(_)) if path.watch => "watch",
            (&Method::GET | &Method::HEAD, None) => "list",
            (&Method::GET | &Method::HEAD, Some(_)) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, None) => "deletecollection",
            (&Method::DELETE, Some(_)) => "delete",
            _ => "",
        }
    }
}

/// Who a request asks to be (D-192).
pub(crate) fn impersonated(headers: &HeaderMap) -> Option<User> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(ToOwned::to_owned).collect()
    };
    let name = text("impersonate-user")?;
    let mut groups = all("impersonate-group");
    if let Some(namespace) =
        name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split(':').next())
    {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    if !groups.iter().any(|group| group == "system:authenticated") {
        groups.push("system:authenticated".to_owned());
    }
    let mut extra: Vec<(String, Vec<String>)> = Vec::new();
    for header in headers.keys() {
        if let Some(key) = header.as_str().strip_prefix("impersonate-extra-") {
            extra.push((key.to_owned(), all(header.as_str())));
        }
    }
    Some(User { name, groups, uid: text("impersonate-uid").unwrap_or_default(), extra })
}
