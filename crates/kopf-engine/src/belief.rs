//! Whether a list is the present. One that shows the past would let finished handlers run again (DEC-1), and what it does not
//! know yet would count as gone. No API server should give it.

use kopf_core::object::Object;

/// Lists that show the past are not believed so often in a row: for some seconds. Then it is the present: the cluster was
/// restored from a backup.
const DISBELIEVED: u8 = 6;

/// A resource version that can be compared with others of its resource, as Kubernetes promises of decimal numbers; 0 for any
/// other, which is never a reason to do anything.
pub(crate) type Version = u64;

/// What is known of the present of a stream, and of the list under way.
#[derive(Debug, Default)]
pub(crate) struct Belief {
    /// The newest version that lists and watches have shown.
    newest: Version,
    /// What the list under way shows of the past, as far as it is known.
    past: Vec<Object>,
    /// The lists that were not believed.
    disbelieved: u8,
}

/// The version, if it can be compared.
pub(crate) fn comparable(version: Option<&str>) -> Version {
    let digits =
        version.filter(|text| !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).unwrap_or_default()
}

impl Belief {
    /// A list begins.
    pub(crate) fn listing(&mut self) {
        self.past.clear();
    }

    /// A watch has shown this version.
    pub(crate) fn watched(&mut self, version: Version) {
        self.newest = self.newest.max(version);
    }

    /// Takes an object of the list; `known` is the version of it that was shown last. Gives it back unless it is held back
    /// until the end of the list, being as it was before what was shown, or being known to be gone.
    pub(crate) fn listed(&mut self, object: Object, known: Option<Version>) -> Option<Object> {
        let version = comparable(object.resource_version());
        if version != 0 && version < known.unwrap_or(self.newest) {
            self.past.push(object);
            return None;
        }
        Some(object)
    }

    /// Decides about the list that has ended, of this version. Gives what of it was held back; none if it is not believed.
    pub(crate) fn believe(&mut self, version: Version) -> Option<Vec<Object>> {
        if version != 0 && version < self.newest && self.disbelieved < DISBELIEVED {
            self.disbelieved += 1;
            self.past.clear();
            return None;
        }
        self.disbelieved = 0;
        self.newest = version;
        Some(std::mem::take(&mut self.past))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(version: &str) -> Object {
        Object::new(json!({"metadata": {"uid": version, "resourceVersion": version}}))
    }

    /// DEC-1, DEC-14.
    #[test]
    fn versions_that_cannot_be_compared_are_no_reason_to_doubt_a_list() {
        assert_eq!(comparable(Some("18446744073709551615")), u64::MAX);
        let mut belief = Belief { newest: 9, ..Belief::default() };
        for text in ["", "0", "08", "8a", "-8", "8.0", "99999999999999999999"] {
            assert!(belief.listed(object(text), None).is_some(), "{text}");
            assert_eq!(comparable(Some(text)), 0, "{text}");
        }
        assert!(belief.believe(comparable(Some("8"))).is_none());
        assert!(belief.believe(comparable(None)).is_some());
        assert!(belief.believe(comparable(Some("8"))).is_some(), "nothing newer is known any more");
    }

    /// DEC-1.
    #[test]
    fn the_past_is_held_back_until_its_list_is_believed() {
        let mut belief = Belief::default();
        belief.watched(9);
        assert!(belief.listed(object("9"), None).is_some() && belief.listed(object("5"), Some(5)).is_some());
        for _ in 0..DISBELIEVED {
            belief.listing();
            assert!(
                belief.listed(object("8"), None).is_none() && belief.listed(object("4"), Some(5)).is_none()
            );
            assert!(belief.believe(8).is_none(), "it may be a stale cache");
        }
        belief.listing();
        assert!(belief.listed(object("8"), None).is_none());
        let past = belief.believe(8).expect("by now it is the present");
        assert_eq!(past, [object("8")], "and nothing of the lists before");
    }
}
