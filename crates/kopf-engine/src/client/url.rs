//! Queries of requests, encoded as upstream does: form encoding with `+` for spaces (W-API-001).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// All but what Python's `quote_plus` leaves, and the space.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// A path with a query: none if there are no parameters.
pub(crate) fn with_query(path: &str, params: &[(&str, String)]) -> String {
    let encode = |text: &str| percent_encode(text.as_bytes(), ENCODED).to_string().replace(' ', "+");
    let mut url = path.to_owned();
    for (i, (key, value)) in params.iter().enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        url.push_str(&encode(key));
        url.push('=');
        url.push_str(&encode(value));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// W-API-001; golden: `resources/url-params*`.
    #[test]
    fn queries_are_encoded_as_upstream_does() {
        let cases = golden::cases("resources", Some("url")).into_iter();
        let mut asked = 0;
        for case in cases.filter(|case| case["input"].get("params").is_some()) {
            let params = case["input"]["params"].as_object().unwrap();
            let params: Vec<_> = params
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str().unwrap().to_owned()))
                .collect();
            let ours = with_query("/apis/kopf.dev/v1/kopfexamples", &params);
            assert_eq!(ours, case["output"], "{}", case["id"]);
            asked += 1;
        }
        assert!(asked > 1);
    }
}
