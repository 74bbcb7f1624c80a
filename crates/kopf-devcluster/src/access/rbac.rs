//! Roles and bindings: what a user may do (D-193, D-195).
//!
//! Aggregated roles are put together when they are asked for, not in the stored object.

use serde_json::Value;

use crate::machinery::selector::label::LabelSelector;
use crate::server::path::{ObjectPath, Path};
use crate::server::request::User;
use crate::server::write::Target;
use crate::server::write::prepare::meta_text;
use crate::server::{Request, Shared};
use crate::status::{ApiError, Subject};
use crate::store::Key;
use crate::types::qualify;

const GROUP: &str = "rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// The plural; empty for paths that are no resources.
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) path: String,
}

impl Attributes {
    pub(crate) fn of(request: &Request) -> Self {
        match &request.path {
            Path::Object(path) => Self::of_object(request, path),
            _ => Self {
                verb: request.method.as_str().to_ascii_lowercase(),
                path: request.raw_path.clone(),
                ..Self::default()
            },
        }
    }

    fn of_object(request: &Request, path: &ObjectPath) -> Self {
        // A list or watch of one name counts as that name.
        let selected =
            request.query.text("fieldSelector").and_then(|text| text.strip_prefix("metadata.name="));
        let selected = selected.filter(|name| !name.contains(','));
        Self {
            verb: request.verb(path).to_owned(),
            group: path.group.clone(),
            resource: path.plural.clone(),
            subresource: path.subresource.clone().unwrap_or_default(),
            namespace: path.namespace.clone().unwrap_or_default(),
            name: path.name.as_deref().or(selected).unwrap_or_default().to_owned(),
            path: String::new(),
        }
    }

    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// Permits what somebody wants to do.
///
/// # Errors
///
/// 403: no rule of theirs permits it.
pub(crate) fn authorize(shared: &Shared, user: &User, wanted: &Attributes) -> Result<(), ApiError> {
    if is_allowed(shared, user, wanted) {
        return Ok(());
    }
    let (name, verb) = (&user.name, &wanted.verb);
    if wanted.resource.is_empty() {
        let message = format!("forbidden: User \"{name}\" cannot {verb} path \"{}\"", wanted.path);
        return Err(ApiError::new(403, "Forbidden", message, Some(serde_json::json!({}))));
    }
    let scope = match wanted.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let why = format!(
        "User \"{name}\" cannot {verb} resource \"{}\" in API group \"{}\" {scope}",
        wanted.full_resource(),
        wanted.group
    );
    Err(ApiError::forbidden(
        Subject { group: &wanted.group, what: &wanted.resource, name: &wanted.name },
        &why,
    ))
}

/// Whether a rule permits it; administrators need none.
pub(crate) fn is_allowed(shared: &Shared, user: &User, wanted: &Attributes) -> bool {
    if !shared.options.rbac || user.groups.iter().any(|group| group == "system:masters") {
        return true;
    }
    rules_of(shared, user, &wanted.namespace).iter().any(|rule| permits(rule, wanted))
}

/// The rules that a user has in a namespace, with those of the whole cluster.
pub(crate) fn rules_of(shared: &Shared, user: &User, namespace: &str) -> Vec<Value> {
    let bindings = |kind: &str, namespace: Option<&str>| {
        let bindings = shared.store.list(&qualify(kind, GROUP), namespace).objects;
        bindings.into_iter().map(|(_, binding)| binding).filter(|binding| {
            let mut subjects = binding.value["subjects"].as_array().into_iter().flatten();
            subjects.any(|subject| is_subject(user, subject, meta_text(&binding.value, "namespace")))
        })
    };
    let mut rules = Vec::new();
    for binding in bindings("clusterrolebindings", None) {
        rules.extend(rules_of_role(shared, &binding.value["roleRef"], ""));
    }
    if !namespace.is_empty() {
        for binding in bindings("rolebindings", Some(namespace)) {
            rules.extend(rules_of_role(shared, &binding.value["roleRef"], namespace));
        }
    }
    rules
}

fn is_subject(user: &User, subject: &Value, namespace: &str) -> bool {
    let text = |field: &str| subject[field].as_str().unwrap_or_default();
    match text("kind") {
        "User" => text("name") == user.name,
        "Group" => user.groups.iter().any(|group| group == text("name")),
        "ServiceAccount" => {
            let namespace = if text("namespace").is_empty() { namespace } else { text("namespace") };
            user.name == format!("system:serviceaccount:{namespace}:{}", text("name"))
        }
        _ => false,
    }
}

fn rules_of_role(shared: &Shared, reference: &Value, namespace: &str) -> Vec<Value> {
    let name = reference["name"].as_str().unwrap_or_default();
    let role = match reference["kind"].as_str() {
        Some("ClusterRole") => shared.store.get(&qualify("clusterroles", GROUP), &Key::new("", name)),
        _ => shared.store.get(&qualify("roles", GROUP), &Key::new(namespace, name)),
    };
    role.map(|role| rules_in(shared, &role.value)).unwrap_or_default()
}

/// The rules of a role, with those that it gathers from others.
fn rules_in(shared: &Shared, role: &Value) -> Vec<Value> {
    let own = |role: &Value| role["rules"].as_array().cloned().unwrap_or_default();
    let mut rules = own(role);
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array().into_iter().flatten();
    for selector in selectors.filter_map(LabelSelector::from_spec) {
        for (_, other) in shared.store.list(&qualify("clusterroles", GROUP), None).objects {
            if selector.matches(other.value["metadata"]["labels"].as_object()) {
                rules.extend(own(&other.value));
            }
        }
    }
    rules
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    let mut texts = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    texts.any(|text| text == "*" || text == wanted)
}

fn permits(rule: &Value, wanted: &Attributes) -> bool {
    if !has(rule, "verbs", &wanted.verb) {
        return false;
    }
    if wanted.resource.is_empty() {
        let mut urls = rule["nonResourceURLs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        return urls.any(|url| match url.strip_suffix('*') {
            Some(prefix) => wanted.path.starts_with(prefix),
            None => url == wanted.path,
        });
    }
    let names = rule["resourceNames"].as_array().map(Vec::as_slice).unwrap_or_default();
    has(rule, "apiGroups", &wanted.group)
        && (has(rule, "resources", &wanted.full_resource())
            || !wanted.subresource.is_empty() && has(rule, "resources", &format!("*/{}", wanted.subresource)))
        && (names.is_empty() || names.iter().any(|name| *name == wanted.name.as_str()))
}

/// Nobody gives away rights that they do not have (D-195).
///
/// # Errors
///
/// 403, with the rules that are not covered.
pub(crate) fn check_grant(target: &Target<'_>, value: &Value) -> Result<(), ApiError> {
    let (shared, user) = (target.shared, &target.options.user);
    let resource = &target.served.resource;
    if !shared.options.rbac
        || resource.group != GROUP
        || user.groups.iter().any(|group| group == "system:masters")
    {
        return Ok(());
    }
    let is_binding = resource.kind.ends_with("Binding");
    let granted = match is_binding {
        true => rules_of_role(shared, &value["roleRef"], target.namespace),
        false => rules_in(shared, value),
    };
    let permission = Attributes {
        verb: if is_binding { "bind" } else { "escalate" }.to_owned(),
        group: GROUP.to_owned(),
        resource: match is_binding {
            true if value["roleRef"]["kind"] == "ClusterRole" => "clusterroles".to_owned(),
            true => "roles".to_owned(),
            false => resource.plural.clone(),
        },
        namespace: target.namespace.to_owned(),
        name: if is_binding {
            value["roleRef"]["name"].as_str().unwrap_or_default()
        } else {
            meta_text(value, "name")
        }
        .to_owned(),
        ..Attributes::default()
    };
    if is_allowed(shared, user, &permission) {
        return Ok(());
    }
    let held = rules_of(shared, user, target.namespace);
    let missing: Vec<String> = granted.iter().filter(|rule| !is_covered(rule, &held)).map(shown).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "user \"{}\" (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        missing.join("\n")
    );
    let name = meta_text(value, "name");
    let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
    let details = serde_json::json!({"name": name, "group": resource.group, "kind": resource.plural});
    Err(ApiError::new(403, "Forbidden", message, Some(details)))
}

/// Whether every right of a rule is in one of the rules held.
fn is_covered(rule: &Value, held: &[Value]) -> bool {
    let texts = |field: &str| -> Vec<&str> {
        rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let names = texts("resourceNames");
    let names = if names.is_empty() { vec![""] } else { names };
    let resources = texts("apiGroups").into_iter().flat_map(|group| {
        let all = texts("resources")
            .into_iter()
            .flat_map(|resource| texts("verbs").into_iter().map(move |verb| (resource, verb)));
        all.map(move |(resource, verb)| (group, resource, verb)).collect::<Vec<_>>()
    });
    let covers = |group: &str, resource: &str, verb: &str, name: &str| {
        held.iter().any(|held| {
            let held_names = held["resourceNames"].as_array().map(Vec::as_slice).unwrap_or_default();
            has(held, "apiGroups", group)
                && has(held, "resources", resource)
                && has(held, "verbs", verb)
                && (held_names.is_empty() || held_names.iter().any(|held| *held == name))
        })
    };
    let mut resources = resources.into_iter();
    let urls_are_covered = texts("nonResourceURLs").into_iter().all(|url| {
        let mut verbs = texts("verbs").into_iter();
        verbs
            .all(|verb| held.iter().any(|held| has(held, "nonResourceURLs", url) && has(held, "verbs", verb)))
    });
    urls_are_covered
        && resources
            .all(|(group, resource, verb)| names.iter().all(|name| covers(group, resource, verb, name)))
}

/// A rule as the real server prints it.
fn shown(rule: &Value) -> String {
    let parts = [
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("ResourceNames", "resourceNames"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("Verbs", "verbs"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(name, field)| {
            let texts: Vec<String> =
                rule[*field].as_array()?.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
            (!texts.is_empty()).then(|| format!("{name}:{}", quoted(&texts)))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}

fn quoted(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    format!("[{}]", texts.join(" "))
}
