//! Which requests a fault is about.

use crate::server::request::Facts;

/// Which requests a fault is about. Everything that is not said matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    pub(crate) verbs: Vec<String>,
    pub(crate) resource: Option<String>,
    pub(crate) subresource: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) user_agent: Option<String>,
    pub(crate) user: Option<String>,
}

impl Matcher {
    /// Matches every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// One more verb: get, list, watch, create, update, patch, delete, deletecollection; for paths that are not of
    /// objects the HTTP method, such as get.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verbs.push(verb.to_owned());
        self
    }

    /// `plural` or `plural.group`; a `*` stands for any text, here and in all other texts.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        self.resource = Some(resource.to_owned());
        self
    }

    /// Such as `status`; an empty text matches requests without one.
    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// The namespace in the path.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The name in the path: lists, watches and creations have none.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The whole path without the query, such as `/version` or `/apis*`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// The client's `User-Agent`.
    #[must_use]
    pub fn user_agent(mut self, agent: &str) -> Self {
        self.user_agent = Some(agent.to_owned());
        self
    }

    /// The user's name.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    pub(crate) fn matches(&self, facts: &Facts) -> bool {
        let text =
            |pattern: &Option<String>, text: &str| pattern.as_ref().is_none_or(|pattern| glob(pattern, text));
        (self.verbs.is_empty() || self.verbs.contains(&facts.verb))
            && (text(&self.resource, &facts.plural) || text(&self.resource, &facts.qualified))
            && text(&self.subresource, &facts.subresource)
            && text(&self.namespace, &facts.namespace)
            && text(&self.name, &facts.name)
            && text(&self.path, &facts.path)
            && text(&self.user_agent, &facts.user_agent)
            && text(&self.user, &facts.user)
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|tail| glob(after, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(glob("*", ""));
        assert!(glob("kopf/*", "kopf/1.45"));
        assert!(glob("a*c*e", "abcde"));
        assert!(!glob("a*c*e", "abcd"));
        assert!(!glob("pods", "pods/status"));
    }
}
