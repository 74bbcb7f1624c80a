//! Kinds that are asked and not stored: access reviews, reviews of users and tokens, requests of tokens (D-163).
//!
//! Without RBAC everything is allowed; with it, access reviews are answered by it (D-196).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::access::rbac::{self, Attributes};
use crate::access::{self, Token};
use crate::server::request::User;
use crate::server::write::prepare::{meta_text, metadata};
use crate::server::{Request, Shared};
use crate::types::registry::Served;

/// Whether objects of this resource are answered and not stored.
pub(crate) fn is_review(served: &Served) -> bool {
    served.resource.verbs == ["create"]
        && matches!(&*served.resource.group, "authentication.k8s.io" | "authorization.k8s.io")
}

/// Fills in the status of a review.
pub(crate) fn review(shared: &Shared, request: &Request, served: &Served, value: &mut Value) {
    value["apiVersion"] = served.version().api_version.as_str().into();
    value["kind"] = served.resource.kind.as_str().into();
    metadata(value);
    let namespace = value["spec"]["namespace"].as_str().unwrap_or_default().to_owned();
    let (url_rules, resource_rules): (Vec<Value>, Vec<Value>) = rules(shared, &request.user, &namespace)
        .into_iter()
        .partition(|rule| rule["nonResourceURLs"].is_array());
    if served.resource.kind == "SelfSubjectRulesReview" {
        // The real server does not repeat the namespace.
        value["spec"] = json!({});
        metadata(value).clear();
    }
    value["status"] = match served.resource.kind.as_str() {
        "SelfSubjectReview" => {
            metadata(value).insert("creationTimestamp".to_owned(), shared.clock.now_text().into());
            json!({"userInfo": user_info(&request.user)})
        }
        "SelfSubjectRulesReview" => json!({
            "resourceRules": resource_rules,
            "nonResourceRules": url_rules,
            "incomplete": false,
        }),
        "TokenReview" => token_review(shared, value),
        _ => json!({"allowed": rbac::is_allowed(shared, &subject(request, value), &attributes(value))}),
    };
}

fn rules(shared: &Shared, user: &User, namespace: &str) -> Vec<Value> {
    if !shared.options.rbac {
        return vec![
            json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}),
            json!({"verbs": ["*"], "nonResourceURLs": ["*"]}),
        ];
    }
    rbac::rules_of(shared, user, namespace)
}

/// Whom an access review is about: who asks, or who is named.
fn subject(request: &Request, review: &Value) -> User {
    let spec = &review["spec"];
    if spec["user"].is_null() && spec["groups"].is_null() {
        return request.user.clone();
    }
    let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    User {
        name: spec["user"].as_str().unwrap_or_default().to_owned(),
        groups: groups.map(ToOwned::to_owned).collect(),
        uid: String::new(),
        extra: Vec::new(),
    }
}

/// What an access review is about.
fn attributes(review: &Value) -> Attributes {
    let (resource, url) = (&review["spec"]["resourceAttributes"], &review["spec"]["nonResourceAttributes"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if url.is_object() {
        return Attributes { verb: text(&url["verb"]), path: text(&url["path"]), ..Attributes::default() };
    }
    Attributes {
        verb: text(&resource["verb"]),
        group: text(&resource["group"]),
        resource: text(&resource["resource"]),
        subresource: text(&resource["subresource"]),
        namespace: text(&resource["namespace"]),
        name: text(&resource["name"]),
        path: String::new(),
    }
}

pub(crate) fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.extra.is_empty() {
        info["extra"] =
            user.extra.iter().map(|(key, values)| (key.clone(), Value::from(values.clone()))).collect();
    }
    info
}

/// Whose token it is. Where users are not told apart all tokens are the administrator's, but those made here.
fn token_review(shared: &Shared, value: &Value) -> Value {
    let token = value["spec"]["token"].as_str().unwrap_or_default();
    match access::user_of(shared, token).or_else(|| (!shared.options.rbac).then(User::default)) {
        Some(user) => json!({"authenticated": true, "user": user_info(&user)}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}

/// Whom tokens are for if their request does not say.
const AUDIENCE: &str = "https://kubernetes.default.svc";
/// The seconds that a token lives if its request does not say.
const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;

/// Answers a TokenRequest for a service account (D-113). The token is not signed: nobody here checks it.
pub(crate) fn token(shared: &Shared, account: &Value, value: &mut Value) {
    let (namespace, name) = (meta_text(account, "namespace"), meta_text(account, "name"));
    let seconds = value["spec"]["expirationSeconds"].as_i64().unwrap_or(DEFAULT_EXPIRATION_SECONDS);
    let id = shared.random.uid();
    let claims = json!({
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
        "exp": shared.clock.now().as_second() + seconds,
        "jti": id,
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.", part(json!({"alg": "none"})), part(claims));
    let expires = shared.clock.now().checked_add(jiff::SignedDuration::from_secs(seconds));
    let user = format!("system:serviceaccount:{namespace}:{name}");
    let expires = expires.unwrap_or(jiff::Timestamp::MAX);
    shared.tokens.note(&token, Token { user, uid: meta_text(account, "uid").to_owned(), id, expires });
    value["apiVersion"] = "authentication.k8s.io/v1".into();
    value["kind"] = "TokenRequest".into();
    let fields = metadata(value);
    fields.insert("name".to_owned(), name.into());
    fields.insert("namespace".to_owned(), namespace.into());
    fields.insert("uid".to_owned(), meta_text(account, "uid").into());
    fields.insert("creationTimestamp".to_owned(), shared.clock.now_text().into());
    if !value["spec"].is_object() {
        value["spec"] = json!({});
    }
    if value["spec"]["audiences"].is_null() {
        value["spec"]["audiences"] = json!([AUDIENCE]);
    }
    if value["spec"].get("boundObjectRef").is_none() {
        value["spec"]["boundObjectRef"] = Value::Null;
    }
    value["spec"]["expirationSeconds"] = seconds.into();
    value["status"] = json!({"token": token, "expirationTimestamp": shared.clock.text_after(seconds)});
}
