//! Parts of log lines as Python writes them: users' alerts match them (wire section 14).

use kopf_core::json::python_repr;

/// JSON text as Python's `repr` of what is in it; as it is, if it is none.
pub(crate) fn json(text: &[u8]) -> String {
    match serde_json::from_slice(text) {
        Ok(parsed) => python_repr(&parsed),
        Err(_) => String::from_utf8_lossy(text).into_owned(),
    }
}

/// Items as Python's `repr` of a set of what is shown as it is.
pub(crate) fn set(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().collect();
    if items.is_empty() { "set()".into() } else { format!("{{{}}}", items.join(", ")) }
}
