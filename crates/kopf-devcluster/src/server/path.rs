//! The grammar of paths. What a path names is looked up later; here it is only taken apart.

use percent_encoding::percent_decode_str;

/// What a path means, before anything is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Root,
    Version,
    Health(String),
    Metrics,
    OpenApiV2,
    /// The index, or the document of a group-version such as `apis/apps/v1`.
    OpenApiV3(Option<String>),
    CoreVersions,
    Groups,
    Group(String),
    Resources {
        group: String,
        version: String,
    },
    Object(ObjectPath),
    Unknown,
}

/// A path of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectPath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// The old form of watches: `/api/v1/watch/…`.
    pub(crate) watch: bool,
}

/// Takes a path apart. Slashes at the end and empty segments do not count (D-021).
pub(crate) fn parse(path: &str) -> Path {
    let segments: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        [] => Path::Root,
        ["version"] => Path::Version,
        [check @ ("healthz" | "livez" | "readyz"), ..] => Path::Health((*check).to_owned()),
        ["metrics"] => Path::Metrics,
        ["openapi", "v2"] => Path::OpenApiV2,
        ["openapi", "v3"] => Path::OpenApiV3(None),
        ["openapi", "v3", document @ ..] => Path::OpenApiV3(Some(document.join("/"))),
        ["api"] => Path::CoreVersions,
        ["apis"] => Path::Groups,
        ["apis", group] => Path::Group((*group).to_owned()),
        ["api", version] => Path::Resources { group: String::new(), version: (*version).to_owned() },
        ["apis", group, version] => {
            Path::Resources { group: (*group).to_owned(), version: (*version).to_owned() }
        }
        ["api", version, rest @ ..] => object("", version, rest),
        ["apis", group, version, rest @ ..] => object(group, version, rest),
        _ => Path::Unknown,
    }
}

fn object(group: &str, version: &str, rest: &[&str]) -> Path {
    let mut path =
        ObjectPath { group: group.to_owned(), version: version.to_owned(), ..ObjectPath::default() };
    let mut rest = rest;
    if let ["watch", after @ ..] = rest {
        path.watch = true;
        rest = after;
    }
    // `namespaces/NS/PLURAL…` is a path inside a namespace; `namespaces/NS/status` is one of the namespace itself.
    if let ["namespaces", namespace, after @ ..] = rest
        && !matches!(after, [] | ["status" | "finalize"])
    {
        path.namespace = Some((*namespace).to_owned());
        rest = after;
    }
    match rest {
        [plural] => path.plural = (*plural).to_owned(),
        [plural, name] => {
            path.plural = (*plural).to_owned();
            path.name = Some((*name).to_owned());
        }
        [plural, name, subresource @ ..] if !subresource.is_empty() => {
            path.plural = (*plural).to_owned();
            path.name = Some((*name).to_owned());
            path.subresource = Some(subresource.join("/"));
        }
        _ => return Path::Unknown,
    }
    Path::Object(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        path: &str,
        namespace: Option<&str>,
        plural: &str,
        name: Option<&str>,
        subresource: Option<&str>,
    ) {
        let Path::Object(parsed) = parse(path) else { panic!("{path} is no path of objects") };
        let found = (
            parsed.namespace.as_deref(),
            parsed.plural.as_str(),
            parsed.name.as_deref(),
            parsed.subresource.as_deref(),
        );
        assert_eq!(found, (namespace, plural, name, subresource), "{path}");
    }

    #[test]
    fn a_namespace_is_an_object_and_a_scope() {
        check("/api/v1/namespaces", None, "namespaces", None, None);
        check("/api/v1/namespaces/a", None, "namespaces", Some("a"), None);
        check("/api/v1/namespaces/a/status", None, "namespaces", Some("a"), Some("status"));
        check("/api/v1/namespaces/a/pods", Some("a"), "pods", None, None);
        check("/api/v1/namespaces/a/pods/p/log", Some("a"), "pods", Some("p"), Some("log"));
        check("/apis/test.dev/v1/gadgets/g", None, "gadgets", Some("g"), None);
    }

    /// D-021.
    #[test]
    fn slashes_at_the_end_and_percent_signs_are_normal() {
        assert_eq!(parse("/version/"), Path::Version);
        assert_eq!(parse("/api/"), Path::CoreVersions);
        check("/api/v1/namespaces/a/configmaps//b%2Dc/", Some("a"), "configmaps", Some("b-c"), None);
    }

    #[test]
    fn the_old_form_of_watches_is_known() {
        let Path::Object(path) = parse("/api/v1/watch/namespaces/a/configmaps/b") else { panic!() };
        assert!(path.watch);
        assert_eq!((path.namespace.as_deref(), path.name.as_deref()), (Some("a"), Some("b")));
    }
}
