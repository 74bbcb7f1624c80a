//! GET: one object, or a list with paging and old versions.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::path::ObjectPath;
use super::reply::Reply;
use super::selection::Selection;
use super::transform::{self, Table};
use super::{Request, Shared, negotiation};
use crate::machinery::cause::Cause;
use crate::status::{ApiError, Subject};
use crate::store::{Ago, Compacted, Key, Snapshot};
use crate::types::Shape;
use crate::types::registry::Served;

/// `GET …/{name}`.
pub(crate) fn get(shared: &Shared, request: &Request, served: &Served, key: &Key) -> Result<Reply, ApiError> {
    let form = negotiation::for_objects(&request.headers)?;
    let store = &served.resource.store;
    let object = match request.stale {
        None => shared.store.get(store, key),
        Some(ago) => shared.store.get_at(store, key, shared.store.revision_ago(store, ago)),
    };
    let object = object.ok_or_else(|| not_found(served, &key.name))?;
    Ok(transform::object_reply(served, form, Table::of(request, shared)?, StatusCode::OK, &object))
}

pub(crate) fn not_found(served: &Served, name: &str) -> ApiError {
    ApiError::not_found(subject(served, name))
}

/// The object as most errors name it.
pub(crate) fn subject<'a>(served: &'a Served, name: &'a str) -> Subject<'a> {
    Subject { group: &served.resource.group, what: &served.resource.plural, name }
}

/// `GET …/{plural}`.
pub(crate) fn list(
    shared: &Shared,
    request: &Request,
    path: &ObjectPath,
    served: &Served,
) -> Result<Reply, ApiError> {
    let form = negotiation::for_objects(&request.headers)?;
    let page = selected(shared, request, path, served)?;
    let objects = page.objects.iter().map(|object| &**object);
    let body = transform::list_bytes(served, form, Table::of(request, shared)?, &page.metadata, objects);
    Ok(Reply::document(StatusCode::OK, form.encoding, body))
}

/// The objects that a request selects.
pub(crate) fn selected(
    shared: &Shared,
    request: &Request,
    path: &ObjectPath,
    served: &Served,
) -> Result<Page, ApiError> {
    let options = ListOptions::of(request, served)?;
    page(shared, served, &Selection::of(request, path, served)?, &options)
}

/// Which snapshot to list, and how much of it.
#[derive(Debug, Default)]
pub(crate) struct ListOptions {
    limit: usize,
    resume: Option<Continue>,
    version: Version,
    /// How far a server that lags behind is back: a fault.
    stale: Option<Ago>,
}

#[derive(Debug, Default)]
enum Version {
    #[default]
    Newest,
    NotOlderThan(u64),
    Exact(u64),
}

/// Go does not mind bits that are left over at the end.
const AS_GO: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a paged list goes on.
#[derive(Debug)]
struct Continue {
    /// The version of the first page; `None` after the log has passed it: go on with what is there now.
    revision: Option<u64>,
    start: Key,
}

impl ListOptions {
    fn of(request: &Request, served: &Served) -> Result<Self, ApiError> {
        let query = &request.query;
        let limit = query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
        if query.optional_flag("sendInitialEvents").is_some() {
            let cause = Cause::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
            return Err(ApiError::invalid_options("ListOptions", &[cause]));
        }
        let version = list_version(query.text("resourceVersion"), query.text("resourceVersionMatch"), query)?;
        let resume = query.text("continue").map(|token| Continue::parse(token, served)).transpose()?;
        if resume.is_some() && query.text("resourceVersion").is_some_and(|version| version != "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        Ok(Self { limit, resume, version, stale: request.stale })
    }
}

fn list_version(
    version: Option<&str>,
    rule: Option<&str>,
    query: &super::query::Query,
) -> Result<Version, ApiError> {
    const FIELD: &str = "resourceVersionMatch";
    let forbidden =
        |detail: &str| ApiError::invalid_options("ListOptions", &[Cause::forbidden(FIELD, detail)]);
    match (version, rule) {
        (None, Some(_)) => {
            Err(forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"))
        }
        (_, Some(_)) if query.text("continue").is_some() => {
            Err(forbidden("resourceVersionMatch is forbidden when continue is provided"))
        }
        (Some("0"), Some("Exact")) => {
            Err(forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""))
        }
        (_, Some(other)) if !matches!(other, "Exact" | "NotOlderThan") => {
            let cause = Cause::not_supported(FIELD, &other.into(), &["Exact", "NotOlderThan", ""]);
            Err(ApiError::invalid_options("ListOptions", &[cause]))
        }
        (None | Some("0"), _) => Ok(Version::Newest),
        (Some(text), Some("Exact")) => Ok(Version::Exact(parse_version(text)?)),
        (Some(text), _) => Ok(Version::NotOlderThan(parse_version(text)?)),
    }
}

/// A resource version in a query of a list.
fn parse_version(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| {
        ApiError::bad_request(format!(
            "invalid resource version: resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \
             \"{text}\": invalid syntax"
        ))
    })
}

impl Continue {
    /// Tokens look as the real server's: base64url of `{"v":"meta.k8s.io/v1","rv":N,"start":"key\u0000"}`.
    fn token(revision: u64, last: &Key, served: &Served) -> String {
        let start = match served.resource.namespaced {
            true => format!("{}/{}\0", last.namespace, last.name),
            false => format!("{}\0", last.name),
        };
        let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    fn parse(text: &str, served: &Served) -> Result<Self, ApiError> {
        let refuse = |why: String| {
            ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = AS_GO.decode(text.trim_end_matches('=')).map_err(|error| {
            let offset = match error {
                base64::DecodeError::InvalidByte(at, _) => at,
                base64::DecodeError::InvalidLastSymbol { offset, .. } => offset,
                base64::DecodeError::InvalidLength(length) => length,
                base64::DecodeError::InvalidPadding => text.len(),
            };
            refuse(format!("illegal base64 data at input byte {offset}"))
        })?;
        let token = super::decode::json(&bytes).map_err(refuse)?.value;
        if token["v"] != "meta.k8s.io/v1" {
            let version = token["v"].as_str().unwrap_or_default();
            return Err(refuse(format!("server does not recognize this encoded version \"{version}\"")));
        }
        let start = token["start"].as_str().unwrap_or_default().trim_end_matches('\0');
        let start = match start.split_once('/').filter(|_| served.resource.namespaced) {
            Some((namespace, name)) => Key::new(namespace, name),
            None => Key::new("", start),
        };
        let revision = token["rv"].as_i64().unwrap_or(0);
        Ok(Self { revision: u64::try_from(revision).ok().filter(|revision| *revision > 0), start })
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) metadata: Map<String, Value>,
    pub(crate) objects: Vec<std::sync::Arc<crate::store::Object>>,
}

fn page(
    shared: &Shared,
    served: &Served,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Page, ApiError> {
    let Snapshot { revision, mut objects } = snapshot(shared, served, selection, options)?;
    if let Some(resume) = &options.resume {
        let start = objects.partition_point(|(key, _)| **key <= resume.start);
        objects.drain(..start);
    }
    let total = objects.len();
    let mut chosen = Vec::new();
    let mut last = None;
    let mut examined = 0;
    for (key, object) in objects {
        examined += 1;
        if selection.matches(&key, &object) {
            chosen.push(object);
            last = Some(key);
            if options.limit > 0 && chosen.len() == options.limit {
                break;
            }
        }
    }
    let mut metadata = Map::new();
    let custom = served.version().view.shape == Shape::Custom;
    let next = last.filter(|_| options.limit > 0 && examined < total);
    if let Some(next) = &next {
        metadata.insert("continue".to_owned(), Continue::token(revision, next, served).into());
        if selection.is_everything() {
            metadata.insert("remainingItemCount".to_owned(), (total - examined).into());
        }
    } else if custom {
        metadata.insert("continue".to_owned(), "".into());
    }
    metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
    Ok(Page { metadata, objects: chosen })
}

fn snapshot(
    shared: &Shared,
    served: &Served,
    selection: &Selection,
    options: &ListOptions,
) -> Result<Snapshot, ApiError> {
    let (store, namespace) = (&served.resource.store, selection.namespace.as_deref());
    let revision = match options.stale {
        None => shared.store.revision(),
        Some(ago) => shared.store.revision_ago(store, ago),
    };
    let newest = || match options.stale {
        None => shared.store.list(store, namespace),
        Some(_) => shared
            .store
            .list_at(store, namespace, revision)
            .unwrap_or_else(|_| shared.store.list(store, namespace)),
    };
    if let Some(resume) = &options.resume {
        let Some(revision) = resume.revision else { return Ok(newest()) };
        return shared.store.list_at(store, namespace, revision).map_err(|Compacted { .. }| {
            let token =
                json!({"v": "meta.k8s.io/v1", "rv": -1, "start": format!("{}\0", joined(&resume.start))});
            ApiError::continue_too_old(URL_SAFE_NO_PAD.encode(token.to_string()))
        });
    }
    match options.version {
        Version::Newest => Ok(newest()),
        Version::NotOlderThan(wanted) | Version::Exact(wanted) if wanted > revision => {
            Err(ApiError::version_too_large(wanted, revision))
        }
        Version::NotOlderThan(_) => Ok(newest()),
        Version::Exact(wanted) => {
            shared.store.list_at(store, namespace, wanted).map_err(|_| ApiError::list_version_too_old())
        }
    }
}

fn joined(key: &Key) -> String {
    if key.namespace.is_empty() { key.name.clone() } else { format!("{}/{}", key.namespace, key.name) }
}
