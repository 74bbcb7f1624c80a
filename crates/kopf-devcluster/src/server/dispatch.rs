//! From a request to what answers it.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use serde_json::Value;

use super::body::Body;
use super::decode::Decoded;
use super::encode::json as to_json;
use super::negotiation::{self, Encoding, accepted};
use super::path::{ObjectPath, Path};
use super::reply::Reply;
use super::transform::{self, Table};
use super::write::create::Owned;
use super::write::delete::{self, DeleteOptions};
use super::write::ownership::Ownership;
use super::write::validate::{self, Checked};
use super::write::{Target, WriteOptions, Written, create, patch, scale, update};
use super::{Request, Shared, decode, read, watch};
use crate::access::rbac::{self, Attributes};
use crate::machinery::fieldset::managed::{self, Writer};
use crate::machinery::fieldset::set::Set;
use crate::status::ApiError;
use crate::store::{Key, Object};
use crate::types::registry::Served;
use crate::{discovery, openapi, reviews};

/// Answers a request.
pub(crate) async fn dispatch(shared: &Arc<Shared>, request: &Request) -> Result<Reply, ApiError> {
    rbac::authorize(shared, &request.user, &Attributes::of(request))?;
    let reply = match &request.path {
        Path::Object(path) => return objects(shared, request, path).await,
        _ if !matches!(request.method, Method::GET | Method::HEAD) => {
            return Err(ApiError::method_not_allowed());
        }
        Path::Root => root(shared, request)?,
        Path::Version => for_people(request, &discovery::version(&shared.version()))?,
        Path::Health(check) => Reply::text(StatusCode::OK, health(check, request.query.flag("verbose")))
            .with_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        Path::CoreVersions => core_versions(shared, request)?,
        Path::Groups => groups(shared, request)?,
        Path::Group(name) => {
            let group = discovery::group(&shared.registry(), name).ok_or_else(ApiError::no_such_path)?;
            document(request, &group)?
        }
        Path::Resources { group, version } => {
            let resources = discovery::resources(&shared.registry(), group, version);
            document(request, &resources.ok_or_else(ApiError::no_such_path)?)?
        }
        Path::OpenApiV3(path) => openapi::v3(shared, request, path.as_deref())?,
        Path::OpenApiV2 => openapi::v2(shared, request)?,
        Path::Metrics | Path::Unknown => return Err(ApiError::no_such_path()),
    };
    Ok(reply)
}

fn document(request: &Request, value: &Value) -> Result<Reply, ApiError> {
    Ok(Reply::value(StatusCode::OK, negotiation::plain(&request.headers)?, value))
}

/// A document that is indented whoever asks.
fn for_people(request: &Request, value: &Value) -> Result<Reply, ApiError> {
    document(request, value).map(Reply::indented)
}

fn health(check: &str, verbose: bool) -> String {
    if verbose { format!("[+]ping ok\n{check} check passed\n") } else { "ok".to_owned() }
}

fn root(shared: &Shared, request: &Request) -> Result<Reply, ApiError> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in shared.registry().groups().into_iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(ToOwned::to_owned));
    for_people(request, &serde_json::json!({"paths": paths}))
}

fn core_versions(shared: &Shared, request: &Request) -> Result<Reply, ApiError> {
    discovery_document(shared, request, true, || {
        let host =
            request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        discovery::core_versions(host)
    })
}

fn groups(shared: &Shared, request: &Request) -> Result<Reply, ApiError> {
    discovery_document(shared, request, false, || discovery::groups(&shared.registry()))
}

/// The aggregated or the legacy form, by the first clause that fits (D-042). `v2beta1` alone fits nothing (DEC-36).
fn discovery_document(
    shared: &Shared,
    request: &Request,
    core: bool,
    legacy: impl FnOnce() -> Value,
) -> Result<Reply, ApiError> {
    for clause in accepted(&request.headers) {
        let Some(encoding) = negotiation::encoding(&clause.media_type) else { continue };
        match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
            (None, ..) => {
                let reply = Reply::value(StatusCode::OK, encoding, &legacy());
                return Ok(reply.with_header(header::VARY, "Accept"));
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2"))
                if encoding == Encoding::Json =>
            {
                return Ok(aggregated(shared, request, core));
            }
            _ => {}
        }
    }
    let available = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    Err(ApiError::discovery_not_acceptable(&available))
}

fn aggregated(shared: &Shared, request: &Request, core: bool) -> Reply {
    let body = to_json(&discovery::aggregated(&shared.registry(), core));
    let etag = discovery::etag(&body);
    let is_known =
        request.headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut reply = if is_known {
        Reply::new(StatusCode::NOT_MODIFIED, "", Body::empty())
    } else {
        Reply::document(StatusCode::OK, Encoding::Json, body)
    };
    reply.content_type = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList".into();
    reply.with_header(header::ETAG, &etag).with_header(header::VARY, "Accept")
}

/// Requests about objects.
async fn objects(shared: &Arc<Shared>, request: &Request, path: &ObjectPath) -> Result<Reply, ApiError> {
    let served = shared
        .registry()
        .find(&path.group, &path.version, &path.plural)
        .ok_or_else(ApiError::no_such_path)?;
    let verb = request.verb(path);
    check_scope(&served, path, verb)?;
    let warnings = served.version().deprecation.iter().cloned().chain(unknown_parameters(request)).collect();
    let reply = match &path.subresource {
        Some(name) => subresource(shared, request, path, &served, name).await,
        None => whole(shared, request, path, &served, verb).await,
    };
    reply.map(|reply| reply.with_warnings(warnings))
}

/// What is asked for and not done is told.
fn unknown_parameters(request: &Request) -> impl Iterator<Item = String> {
    request
        .query
        .unknown()
        .map(|name| format!("the dev cluster does not know the query parameter \"{name}\""))
}

/// Namespaced resources are only listed and watched without a namespace, and others never have one.
fn check_scope(served: &Served, path: &ObjectPath, verb: &str) -> Result<(), ApiError> {
    let resource = &served.resource;
    let across = matches!(verb, "list" | "watch") && path.name.is_none();
    match (resource.namespaced, path.namespace.is_some()) {
        (true, false) if across => Ok(()),
        (true, false) if resource.custom.is_none() && path.name.is_none() => {
            Err(ApiError::method_not_allowed())
        }
        (true, false) | (false, true) => Err(ApiError::no_such_path()),
        (true, true) | (false, false) => Ok(()),
    }
}

async fn whole(
    shared: &Arc<Shared>,
    request: &Request,
    path: &ObjectPath,
    served: &Served,
    verb: &str,
) -> Result<Reply, ApiError> {
    let namespace = path.namespace.as_deref().unwrap_or_default();
    let supported = served.resource.verbs.contains(&verb);
    match (verb, &path.name) {
        ("watch", _) if supported => watch::watch(shared, request, path, served),
        ("list", None) if supported => read::list(shared, request, path, served),
        ("get", Some(name)) if supported => read::get(shared, request, served, &Key::new(namespace, name)),
        ("create", None) if supported => {
            let options = WriteOptions::of(request, "CreateOptions")?;
            let target = Target { shared, served, namespace, subresource: None, options: &options };
            post(&target, request).await
        }
        ("update", Some(name)) if supported => {
            let options = WriteOptions::of(request, "UpdateOptions")?;
            let target = Target { shared, served, namespace, subresource: None, options: &options };
            let body = own_object(request, served)?;
            written(&target, request, update::update(&target, name, body).await?)
        }
        ("patch", Some(name)) if supported => {
            patch::check_media_type(request, served)?;
            let options = WriteOptions::of(request, "PatchOptions")?;
            let target = Target { shared, served, namespace, subresource: None, options: &options };
            written(&target, request, patch::patch(&target, request, name).await?)
        }
        ("delete", Some(name)) if supported => {
            let options = WriteOptions { user: request.user.clone(), ..WriteOptions::default() };
            let target = Target { shared, served, namespace, subresource: None, options: &options };
            delete_one(&target, request, name).await
        }
        ("deletecollection", None) if supported => delete_collection(shared, request, path, served).await,
        ("update" | "patch", None) if served.resource.custom.is_some() => {
            Err(ApiError::bad_request("name must be provided"))
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn post(target: &Target<'_>, request: &Request) -> Result<Reply, ApiError> {
    let body = own_object(request, target.served)?;
    if reviews::is_review(target.served) {
        let encoding = negotiation::plain(&request.headers)?;
        let Checked { mut value, warnings } = validate::decoded(target, body)?;
        validate::check_type(target, &value)?;
        managed::update(None, &mut value, &Ownership::of(target).writer());
        reviews::review(target.shared, request, target.served, &mut value);
        return Ok(Reply::value(StatusCode::CREATED, encoding, &value).with_warnings(warnings));
    }
    if target.served.resource.kind == "Binding" {
        return Err(ApiError::not_implemented("bindings"));
    }
    written(target, request, create::create(target, body).await?)
}

/// The object in a body, of the resource's own kind.
fn own_object(request: &Request, served: &Served) -> Result<Decoded, ApiError> {
    let (api_version, kind) = (&served.version().api_version, &served.resource.kind);
    match served.resource.custom {
        Some(_) => decode::custom_object(request, api_version, kind),
        None => decode::object(request, api_version, kind),
    }
}

/// The answer to a write.
fn written(target: &Target<'_>, request: &Request, written: Written) -> Result<Reply, ApiError> {
    let form = negotiation::for_objects(&request.headers)?;
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    let reply = transform::object_reply(
        target.served,
        form,
        Table::of(request, target.shared)?,
        status,
        &written.object,
    );
    Ok(reply.with_warnings(written.warnings))
}

async fn delete_one(target: &Target<'_>, request: &Request, name: &str) -> Result<Reply, ApiError> {
    let form = negotiation::for_objects(&request.headers)?;
    let options = DeleteOptions::of(request)?;
    let warnings = delete::warnings(target, &options);
    let deleted = match delete::delete(target, name, &options).await {
        Ok(deleted) => deleted,
        Err(error) => return Err(error.with_warnings(warnings)),
    };
    let reply = match delete::answer(target, name, &deleted) {
        (status, Some(object), _) => {
            transform::object_reply(target.served, form, Table::of(request, target.shared)?, status, &object)
        }
        (status, None, value) => Reply::value(status, form.encoding, &value),
    };
    Ok(reply.with_warnings(warnings))
}

/// Deletes what a list with the same selectors would show (D-127).
async fn delete_collection(
    shared: &Arc<Shared>,
    request: &Request,
    path: &ObjectPath,
    served: &Served,
) -> Result<Reply, ApiError> {
    let form = negotiation::for_objects(&request.headers)?;
    let options = DeleteOptions::of(request)?;
    let page = read::selected(shared, request, path, served)?;
    let write_options = WriteOptions { user: request.user.clone(), ..WriteOptions::default() };
    for object in &page.objects {
        let text = |field: &str| object.value["metadata"][field].as_str().unwrap_or_default().to_owned();
        let namespace = text("namespace");
        let target =
            Target { shared, served, namespace: &namespace, subresource: None, options: &write_options };
        // Somebody else may have deleted it: that is what was wanted.
        match delete::delete(&target, &text("name"), &options).await {
            Err(error) if error.code() != 404 => return Err(error),
            _ => {}
        }
    }
    let objects = page.objects.iter().map(|object| -> &Object { object });
    let body = transform::list_bytes(served, form, Table::of(request, shared)?, &page.metadata, objects);
    Ok(Reply::document(StatusCode::OK, form.encoding, body))
}

/// Requests about a subresource.
async fn subresource(
    shared: &Arc<Shared>,
    request: &Request,
    path: &ObjectPath,
    served: &Served,
    name: &str,
) -> Result<Reply, ApiError> {
    let object_name = path.name.as_deref().unwrap_or_default();
    let namespace = path.namespace.as_deref().unwrap_or_default();
    let Some(subresource) = served.version().subresource(name) else {
        return Err(match served.resource.custom {
            // The real server answers as if the object were not there.
            Some(_) => read::not_found(served, object_name),
            None => ApiError::no_such_path(),
        });
    };
    let verb = request.verb(path);
    if !subresource.verbs.contains(&verb) {
        return Err(ApiError::method_not_allowed());
    }
    let kind = match verb {
        "create" => "CreateOptions",
        "patch" => "PatchOptions",
        _ => "UpdateOptions",
    };
    let options = WriteOptions::of(request, kind)?;
    let target = Target { shared, served, namespace, subresource: Some(subresource.name), options: &options };
    match (name, verb) {
        ("scale", "get") => scale::get(&target, request, object_name),
        ("scale", _) => scale::write(&target, request, object_name).await,
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "get") => {
            read::get(shared, request, served, &target.key(object_name))
        }
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "update") => {
            let body = own_object(request, served)?;
            written(&target, request, update::update(&target, object_name, body).await?)
        }
        ("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize", "patch") => {
            written(&target, request, patch::patch(&target, request, object_name).await?)
        }
        ("token", "create") => token(&target, request, object_name),
        ("eviction", "create") => evict(&target, request, object_name).await,
        ("binding", "create") => bind(&target, request, object_name).await,
        _ => connect(&target, object_name),
    }
}

/// Logs, shells and the like: of what is there, and runs. A Pod that has no node yet has none of them on a real
/// server either (D-115).
fn connect(target: &Target<'_>, name: &str) -> Result<Reply, ApiError> {
    let (resource, subresource) = (&target.served.resource, target.subresource.unwrap_or_default());
    let object = target.shared.store.get(&resource.store, &target.key(name));
    let object = object.ok_or_else(|| read::not_found(target.served, name))?;
    let is_waiting =
        resource.kind == "Pod" && object.value["spec"]["nodeName"].as_str().is_none_or(str::is_empty);
    match subresource {
        "log" if is_waiting => Ok(Reply::new(StatusCode::NO_CONTENT, "", Body::empty())),
        "attach" | "exec" | "portforward" if is_waiting => {
            Err(ApiError::bad_request(format!("pod {name} does not have a host assigned")))
        }
        _ => Err(ApiError::not_implemented(&format!("{}/{subresource}", resource.plural))),
    }
}

fn token(target: &Target<'_>, request: &Request, name: &str) -> Result<Reply, ApiError> {
    let encoding = negotiation::plain(&request.headers)?;
    let account = target.shared.store.get(&target.served.resource.store, &target.key(name));
    let account = account.ok_or_else(|| read::not_found(target.served, name))?;
    let mut value = decode::object(request, "authentication.k8s.io/v1", "TokenRequest")?.value;
    let writer = Writer {
        manager: &target.options.manager,
        api_version: "authentication.k8s.io/v1",
        subresource: "token",
        now: &target.shared.clock.now_text(),
        view: managed::built_in_view("authentication.k8s.io", "v1", "TokenRequest"),
        reset: &Set::default(),
    };
    managed::update(None, &mut value, &writer);
    reviews::token(target.shared, &account.value, &mut value);
    Ok(Reply::value(StatusCode::CREATED, encoding, &value))
}

/// An eviction is a deletion with the options that it carries; disruption budgets are not looked at.
async fn evict(target: &Target<'_>, request: &Request, name: &str) -> Result<Reply, ApiError> {
    let encoding = negotiation::plain(&request.headers)?;
    let eviction = decode::object(request, "policy/v1", "Eviction")?.value;
    let options = DeleteOptions {
        grace_seconds: eviction["deleteOptions"]["gracePeriodSeconds"].as_i64(),
        dry_run: target.options.dry_run,
        ..DeleteOptions::default()
    };
    delete::delete(target, name, &options).await?;
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    let reply = Reply::value(StatusCode::CREATED, encoding, &status);
    Ok(reply.with_warnings(vec!["the dev cluster does not look at disruption budgets".to_owned()]))
}

/// A binding names the node of a Pod.
async fn bind(target: &Target<'_>, request: &Request, name: &str) -> Result<Reply, ApiError> {
    let encoding = negotiation::plain(&request.headers)?;
    let binding = decode::object(request, "v1", "Binding")?.value;
    update::change(target, name, Owned::ByUpdate, |current| {
        let mut pod = current.clone();
        pod["spec"]["nodeName"] = binding["target"]["name"].clone();
        Ok(Checked { value: pod, warnings: Vec::new() })
    })
    .await?;
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Reply::value(StatusCode::CREATED, encoding, &status))
}
