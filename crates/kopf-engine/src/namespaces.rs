//! Which namespaces are served: patterns of names, and what becomes of a namespace (W-NS-003..007).

use std::{collections::BTreeSet, fmt, sync::Arc};

use kopf_core::{json::python_repr_str, object::Object, reason::EventType};
use serde_json::Value;

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

impl NamespacePattern {
    /// Whether the namespace is meant.
    #[must_use]
    pub fn matches(&self, namespace: &str) -> bool {
        match self {
            Self::Glob(pattern) => matches_globs(pattern, namespace),
            Self::Callback(code) => code.test(namespace),
        }
    }

    /// Whether matching calls the door's code (DEC-6).
    #[must_use]
    pub fn has_callback(&self) -> bool {
        matches!(self, Self::Callback(_))
    }
}

/// The names among the patterns: what is served if namespaces cannot be listed (W-NS-005).
pub(crate) fn exact_names(patterns: &[NamespacePattern]) -> BTreeSet<String> {
    let exact = |pattern: &NamespacePattern| match pattern {
        NamespacePattern::Glob(text) if !text.contains(['*', '?', '!', ',']) => Some(text.clone()),
        NamespacePattern::Glob(_) | NamespacePattern::Callback(_) => None,
    };
    patterns.iter().filter_map(exact).collect()
}

/// What an event of a namespace means for those that are served (W-NS-007).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    /// Served, if it matches.
    Served,
    /// Served still; what it waits for.
    Terminating(Vec<String>),
    /// Not any more.
    Gone,
}

/// Judges an event of a namespace.
pub(crate) fn revise(event_type: Option<EventType>, namespace: &Object) -> Revision {
    if event_type == Some(EventType::Deleted) {
        return Revision::Gone;
    }
    if !namespace.is_deleting() {
        return Revision::Served;
    }
    let conditions = namespace.body().pointer("/status/conditions").and_then(Value::as_array);
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let text = |condition: &Value, key: &str| {
        condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let pending: Vec<String> = conditions
        .iter()
        .filter(|condition| text(condition, "status") == "True")
        .map(|condition| {
            format!(
                "Namespace {} termination pending: {}: {}",
                python_repr_str(namespace.name()),
                text(condition, "reason"),
                text(condition, "message")
            )
        })
        .collect();
    if pending.is_empty() && !conditions.is_empty() { Revision::Gone } else { Revision::Terminating(pending) }
}

/// The first glob must match for anything to match; of the others negated ones take out, the rest put in again.
fn matches_globs(pattern: &str, namespace: &str) -> bool {
    let globs: Vec<&str> = pattern.split(',').map(str::trim).collect();
    let all = if globs[0].starts_with('!') { Some("*") } else { None };
    let mut globs = all.into_iter().chain(globs);
    if !globs.next().is_some_and(|first| matches_glob(first, namespace)) {
        return false;
    }
    globs.fold(true, |matches, glob| {
        match glob.strip_prefix('!').map(|negated| negated.trim_start_matches('!')) {
            Some(negated) => matches && !matches_glob(negated, namespace),
            None => matches || matches_glob(glob, namespace),
        }
    })
}

/// Shell matching, as Python's `fnmatchcase`: `*`, `?`, `[…]`, `[!…]`.
fn matches_glob(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0, 0);
    // Where to go on if what comes after the last star does not match: the star takes one character more.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match glob.get(g) {
            Some('*') => {
                star = Some((g + 1, t));
                g += 1;
                continue;
            }
            None if t == text.len() => return true,
            None => None,
            Some(_) if t == text.len() => None,
            Some('?') => Some(1),
            Some('[') => match char_set(&glob[g + 1..], text[t]) {
                Some((true, length)) => Some(length + 1),
                Some((false, _)) => None,
                None => (text[t] == '[').then_some(1),
            },
            Some(literal) => (*literal == text[t]).then_some(1),
        };
        match (step, star) {
            (Some(step), _) => (g, t) = (g + step, t + 1),
            (None, Some((after, from))) if from < text.len() => {
                star = Some((after, from + 1));
                (g, t) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// Whether a set of characters, from after its bracket, has one; and its length. None: the bracket is not closed.
fn char_set(glob: &[char], c: char) -> Option<(bool, usize)> {
    let negated = glob.first() == Some(&'!');
    let start = usize::from(negated);
    // A bracket right at the start is one of the set.
    let end = start + 1 + glob.get(start + 1..)?.iter().position(|c| *c == ']')?;
    let mut set = &glob[start..end];
    let mut has = false;
    while let [first, rest @ ..] = set {
        match rest {
            ['-', last, rest @ ..] => {
                has |= (*first..=*last).contains(&c);
                set = rest;
            }
            rest => {
                has |= *first == c;
                set = rest;
            }
        }
    }
    Some((has != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::golden;

    /// W-NS-003; golden: `namespaces/match-*`.
    #[test]
    fn patterns_match_as_upstream_does() {
        for case in golden::cases("namespaces", Some("match")) {
            let input = &case["input"];
            let pattern = NamespacePattern::Glob(input["pattern"].as_str().unwrap().into());
            let matches = pattern.matches(input["namespace"].as_str().unwrap());
            assert_eq!(json!(matches), case["output"], "{}", case["id"]);
        }
    }

    /// W-NS-005; golden: `namespaces/specific-*`.
    #[test]
    fn exact_names_are_those_of_upstream() {
        for case in golden::cases("namespaces", Some("select_specific")) {
            let patterns: Vec<_> = case["input"]
                .as_array()
                .unwrap()
                .iter()
                .map(|text| NamespacePattern::Glob(text.as_str().unwrap().into()))
                .collect();
            assert_eq!(json!(exact_names(&patterns)), case["output"], "{}", case["id"]);
        }
    }

    /// W-NS-007; golden: `namespaces/revise-*`; a deleted one is not served any more, whatever its conditions.
    #[test]
    fn namespaces_come_and_go_as_upstream_says() {
        for case in golden::cases("namespaces", Some("revise")) {
            let input = &case["input"];
            let object = Object::new(input["event"]["object"].clone());
            let event_type = input["event"]["type"].as_str().and_then(EventType::parse);
            let pattern = NamespacePattern::Glob(input["patterns"][0].as_str().unwrap().into());
            let mut served: BTreeSet<&str> =
                input["served_before"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
            match revise(event_type, &object) {
                Revision::Gone => served.remove(object.name()),
                Revision::Served | Revision::Terminating(_) if pattern.matches(object.name()) => {
                    served.insert(object.name())
                }
                Revision::Served | Revision::Terminating(_) => false,
            };
            assert_eq!(json!(served), case["output"], "{}", case["id"]);
        }
    }

    #[test]
    fn a_namespace_says_what_its_end_waits_for() {
        let namespace = Object::new(json!({
            "metadata": {"name": "ns", "deletionTimestamp": "x"},
            "status": {"conditions": [
                {"status": "True", "reason": "SomeFinalizersRemain", "message": "one"},
                {"status": "False", "reason": "ContentDeleted", "message": "all"},
            ]},
        }));
        let line = "Namespace 'ns' termination pending: SomeFinalizersRemain: one".to_owned();
        assert_eq!(revise(Some(EventType::Modified), &namespace), Revision::Terminating(vec![line]));
    }
}
