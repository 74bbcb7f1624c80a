//! The parameters of the API's requests. Unknown ones are reported, never silently ignored.

use crate::status::ApiError;

/// The parameters the API has and this server reads or may ignore.
const KNOWN: &[&str] = &[
    "allowWatchBookmarks",
    "continue",
    "dryRun",
    "fieldManager",
    "fieldSelector",
    "fieldValidation",
    "force",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "includeObject",
    "labelSelector",
    "limit",
    "orphanDependents",
    "pretty",
    "propagationPolicy",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeout",
    "timeoutSeconds",
    "verbose",
    "watch",
    "hash",
];

/// A decoded query; the first of repeated parameters counts, as in Go, except where all are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decode(k), decode(v)))
                .collect(),
        )
    }

    /// The value, if there is one that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Go's reading of a boolean parameter: `watch`, `watch=1` and `watch=true` are true; `0` and `false` are not.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .is_some_and(|(_, value)| !matches!(value.as_str(), "0" | "false"))
    }

    /// As [`Query::flag`], telling an absent parameter apart.
    pub(crate) fn optional_flag(&self, name: &str) -> Option<bool> {
        self.0.iter().any(|(key, _)| key == name).then(|| self.flag(name))
    }

    /// A whole number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let message = || format!("strconv.ParseInt: parsing \"{text}\": invalid syntax");
        text.parse().map(Some).map_err(|_| ApiError::bad_request(message()))
    }

    /// The names of parameters that the API does not have.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str()).filter(|key| !KNOWN.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-175: kubernetes-python sends `watch=false` for lists.
    #[test]
    fn a_watch_flag_can_be_false() {
        assert!(Query::parse("watch=true").flag("watch"));
        assert!(Query::parse("watch=1").flag("watch"));
        assert!(!Query::parse("watch=false").flag("watch"));
        assert!(!Query::parse("limit=5").flag("watch"));
    }

    #[test]
    fn values_are_decoded_and_empty_ones_do_not_count() {
        let query = Query::parse("labelSelector=a%20in+(b%2Cc)&continue=&surprise=1");
        assert_eq!(query.text("labelSelector"), Some("a in (b,c)"));
        assert_eq!(query.text("continue"), None);
        assert_eq!(query.unknown().collect::<Vec<_>>(), ["surprise"]);
    }
}
