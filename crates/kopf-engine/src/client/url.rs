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
