//! Keys of the annotations in which storages keep their data (W-KEY-010..021).
//!
//! Two generations of keys exist in clusters. Both are written, so that any version of any engine finds its own; the newer
//! one is read first.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use blake2::{
    Blake2b,
    digest::{Digest, consts::U4},
};
use serde_json::{Map, Value};

use crate::object::Object;

/// The longest name of an annotation, without its prefix.
const NAME_LIMIT: usize = 63;
/// The length of a [`suffix`].
const SUFFIX_LEN: usize = 7;
/// The longest prefix that leaves room for a name in Kubernetes' 253 characters.
const PREFIX_LIMIT: usize = 189;

/// The prefix of all annotations of a storage: what stands before the slash. By default `kopf.zalando.org`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

/// A storage was to be made with an empty prefix (W-KEY-010).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Annotations storages must be prefixed.")]
pub struct EmptyPrefixError;

/// What is questionable about a prefix, in words for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixWarning {
    /// Longer than 189 characters (W-KEY-010).
    TooLong,
    /// Like `kopf.example.com`: never marked as an operator's, so that other operators take its records for changes made
    /// by users, and the two answer each other without end (W-IOP-012).
    Unmarked,
}

impl Prefix {
    /// A prefix as the user gave it. What it is not good for tell the [`warnings`](Self::warnings).
    ///
    /// # Errors
    /// If it is empty.
    pub fn new(prefix: impl Into<String>) -> Result<Self, EmptyPrefixError> {
        let prefix = prefix.into();
        if prefix.is_empty() { Err(EmptyPrefixError) } else { Ok(Self(prefix)) }
    }

    /// The prefix as text, without the slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the user should be told, once, when the storage is made.
    #[must_use]
    pub fn warnings(&self) -> Vec<PrefixWarning> {
        let too_long = self.0.chars().count() > PREFIX_LIMIT;
        let unmarked = !self.needs_marker() && !is_known_prefix(&self.0);
        [too_long.then_some(PrefixWarning::TooLong), unmarked.then_some(PrefixWarning::Unmarked)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Whether the annotation is under this prefix.
    #[must_use]
    pub fn covers(&self, annotation: &str) -> bool {
        annotation.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The keys of an id on an object in the order of reading (W-KEY-017, W-KEY-020): the second generation, then the first
    /// one, if it is wanted, differs, and can exist at all.
    #[must_use]
    pub fn keys(&self, id: &str, v1: bool, object: &Object) -> Vec<String> {
        if is_replica_set_of_deployment(object) {
            return self.generations(&format!("{id}-ofDRS"), v1);
        }
        // Most ids are as they are, and the same in both generations.
        if self.0.len() + 1 + id.len() <= NAME_LIMIT && is_valid_name(id) {
            return vec![[&self.0, "/", id].concat()];
        }
        self.generations(id, v1)
    }

    fn generations(&self, id: &str, v1: bool) -> Vec<String> {
        let newer = self.v2_key(id);
        let older = self.v1_key(id);
        let older_wanted = v1 && older != newer && is_valid_name(&older[self.0.len() + 1..]);
        [Some(newer), older_wanted.then_some(older)].into_iter().flatten().collect()
    }

    /// The key of the second generation (W-KEY-013), or a valid one if that is none in Kubernetes (FIX-22).
    #[must_use]
    pub fn v2_key(&self, id: &str) -> String {
        let safe = safe_name(id);
        let name = if id.chars().count() > NAME_LIMIT {
            format!("{}{}", head(&safe, NAME_LIMIT - SUFFIX_LEN), suffix(id))
        } else {
            safe
        };
        let name = if is_valid_name(&name) { name } else { replacement_name(id) };
        format!("{}/{name}", self.0)
    }

    /// The key of the first generation (W-KEY-014, W-KEY-016). May be invalid in Kubernetes, and then does not exist there.
    #[must_use]
    pub fn v1_key(&self, id: &str) -> String {
        let safe = safe_name(id);
        let len = safe.chars().count();
        let room = signed(NAME_LIMIT) - signed(self.0.chars().count() + 1);
        if signed(len) <= room {
            return format!("{}/{safe}", self.0);
        }
        // Where the prefix leaves no room, the first generation counts from the end of the name.
        let cut = room - signed(SUFFIX_LEN);
        let end = if cut < 0 { signed(len) + cut } else { cut };
        format!("{}/{}{}", self.0, head(&safe, usize::try_from(end).unwrap_or(0)), suffix(&safe))
    }

    /// Adds the annotation by which other operators know the prefix as one of their kind, unless it is there or in the
    /// patch already (W-KEY-021).
    pub(crate) fn mark(&self, object: &Object, annotations: &mut Map<String, Value>) {
        let marker = format!("{}/{MARKER}", self.0);
        let is_marked = object.annotations().is_some_and(|all| all.contains_key(&marker));
        if self.needs_marker() && !is_marked && !annotations.contains_key(&marker) {
            annotations.insert(marker, "yes".into());
        }
    }

    fn needs_marker(&self) -> bool {
        !self.0.starts_with("kopf.")
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("kopf.zalando.org".into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PrefixWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "The annotations prefix is too long. It can cause errors when PATCHing.",
            Self::Unmarked => {
                "The annotations prefix starts with `kopf.` but is not of Kopf: other operators on the same objects \
                 take its annotations for changes made by users. Use a domain of your own."
            }
        })
    }
}

/// The name of the annotation that marks a prefix as an operator's.
pub(crate) const MARKER: &str = "kopf-managed";

/// Whether the prefix belongs to Kopf without a marker (W-DIF-005).
pub(crate) fn is_known_prefix(prefix: &str) -> bool {
    prefix == "kopf.zalando.org" || prefix.ends_with(".kopf.zalando.org")
}

/// The id without the characters that are common in ids and not allowed in names (W-KEY-011).
#[must_use]
pub fn safe_name(id: &str) -> String {
    id.replace('/', ".").replace(['<', '>'], "_")
}

/// A dash and a hash of six characters (W-KEY-012).
#[must_use]
pub fn suffix(text: &str) -> String {
    let encoded = STANDARD.encode(digest(text)).replace('+', "-").replace('/', ".");
    format!("-{encoded}").trim_end_matches(['=', '-', '.']).to_owned()
}

fn digest(text: &str) -> [u8; 4] {
    Blake2b::<U4>::digest(text.as_bytes()).into()
}

/// The name in place of one that Kubernetes would refuse (FIX-22, DEC-16).
fn replacement_name(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = safe_name(id).replace(|c| !allowed(c), "_");
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let hash: String = digest(id).iter().map(|byte| format!("{byte:02x}")).collect();
    if name.is_empty() { hash } else { format!("{}-{hash}", head(name, NAME_LIMIT - 1 - hash.len())) }
}

/// Whether Kubernetes accepts the name of an annotation: up to 63 letters, digits, `-`, `_`, `.`, and no edge that is a sign.
fn is_valid_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let edges = [bytes.first(), bytes.last()];
    bytes.len() <= NAME_LIMIT
        && edges.iter().all(|edge| edge.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Deployments copy their annotations to their ReplicaSets, which must not inherit what was handled.
fn is_replica_set_of_deployment(object: &Object) -> bool {
    let is_deployment = |owner: &Value| owner.get("kind").is_some_and(|kind| kind == "Deployment");
    let owners = || object.meta("ownerReferences").and_then(Value::as_array);
    object.kind() == "ReplicaSet" && owners().is_some_and(|all| all.iter().any(is_deployment))
}

/// The first `count` characters.
fn head(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// Lengths of texts in memory are far from the limit.
fn signed(len: usize) -> isize {
    isize::try_from(len).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// W-KEY-010, W-IOP-012.
    #[test]
    fn questionable_prefixes_are_told_and_none_is_an_error() {
        assert_eq!(Prefix::new(""), Err(EmptyPrefixError));
        let warnings = |prefix: &str| Prefix::new(prefix).unwrap().warnings();
        assert_eq!(warnings("kopf.zalando.org"), []);
        assert_eq!(warnings("my-op.example.com"), []);
        assert_eq!(warnings("kopf.kopf.zalando.org"), []);
        assert_eq!(warnings(&"p".repeat(189)), []);
        assert_eq!(warnings(&"ж".repeat(189)), []);
        assert_eq!(warnings(&"p".repeat(190)), [PrefixWarning::TooLong]);
        assert_eq!(warnings("kopf.example.com"), [PrefixWarning::Unmarked]);
        assert_eq!(warnings("kopf.dev"), [PrefixWarning::Unmarked]);
    }

    #[test]
    fn a_prefix_covers_what_stands_after_its_slash() {
        let prefix = Prefix::default();
        assert!(prefix.covers("kopf.zalando.org/fn"));
        assert!(!prefix.covers("kopf.zalando.orgx/fn"));
        assert!(!prefix.covers("kopf.zalando.org"));
    }

    proptest! {
        /// FIX-22: whatever an id is, its record can be stored.
        #[test]
        fn names_are_valid_and_stable(id in "\\PC{0,80}|[a-z<>/.]{0,130}") {
            let keys = Prefix::default().keys(&id, true, &Object::new(json!({})));
            for key in &keys {
                prop_assert!(is_valid_name(&key["kopf.zalando.org/".len()..]), "{}", key);
            }
            prop_assert_eq!(&keys[0], &Prefix::default().v2_key(&id));
        }

        /// W-KEY-013..016: short and valid ids need no second look.
        #[test]
        fn both_generations_are_as_defined(prefix in "\\PC{1,70}", id in "[a-zA-Z0-9/._-]{0,70}", v1: bool) {
            let prefix = Prefix::new(prefix).unwrap();
            prop_assert_eq!(prefix.keys(&id, v1, &Object::new(json!({}))), prefix.generations(&id, v1));
        }

        /// FIX-22: a valid key is the one that older versions have written.
        #[test]
        fn valid_ids_are_untouched(id in "[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?") {
            prop_assert_eq!(Prefix::default().v2_key(&id), format!("kopf.zalando.org/{id}"));
        }
    }
}
