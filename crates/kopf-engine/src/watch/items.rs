//! Takes a list apart while it arrives: item by item, so that a list of any length never is in memory as a whole.
//!
//! It only finds where the items begin and end; decoding is serde's. What is around the items is kept and decoded last.

use kopf_core::object::Object;
use serde_json::Value;

use super::decode::{self, Extent};
use crate::client::ApiError;

/// The list that is arriving.
#[derive(Debug)]
pub(crate) struct Items {
    extent: Extent,
    /// The list without its items, as far as it has arrived.
    envelope: Vec<u8>,
    /// The item that is arriving.
    item: Vec<u8>,
    /// The key in the list that was read last, while it is read and after.
    key: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Within the array of items.
    in_items: bool,
    /// The list's kind and version, once they are known.
    names: Option<ListMeta>,
    /// Items that came before and do not tell their own.
    unnamed: Vec<Object>,
}

/// What a list says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ListMeta {
    /// Where to watch from.
    pub(crate) resource_version: Option<String>,
    /// How to ask for the next page.
    pub(crate) continue_token: Option<String>,
    kind: Option<String>,
    api_version: Option<String>,
}

impl Items {
    /// A list that has not arrived yet; of its items so much is decoded.
    pub(crate) fn new(extent: Extent) -> Self {
        Self {
            extent,
            envelope: Vec::new(),
            item: Vec::new(),
            key: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            in_items: false,
            names: None,
            unnamed: Vec::new(),
        }
    }

    /// Takes what has arrived, and hands over the items that are complete.
    ///
    /// # Errors
    /// If an item is no JSON.
    pub(crate) fn push(&mut self, chunk: &[u8], mut take: impl FnMut(Object)) -> Result<(), ApiError> {
        for &byte in chunk {
            if let Some(item) = self.byte(byte) {
                let item = decode(&item, self.extent)?;
                if is_named(&item) {
                    take(item);
                } else if let Some(names) = self.known_names() {
                    take(names.name(&item));
                } else {
                    self.unnamed.push(item);
                }
            }
        }
        Ok(())
    }

    /// The list is complete: hands over the items that had to wait, and tells what is around them.
    ///
    /// # Errors
    /// If it is not complete, or is no JSON object.
    pub(crate) fn finish(self, mut take: impl FnMut(Object)) -> Result<ListMeta, ApiError> {
        let envelope = decode(&self.envelope, Extent::Whole)?;
        if !envelope.body().is_object() {
            return Err(ApiError::Payload("the list is no JSON object".into()));
        }
        let meta = ListMeta::of(envelope.body());
        for item in self.unnamed {
            take(meta.name(&item));
        }
        Ok(meta)
    }

    /// Takes one byte; gives an item that ends with it.
    fn byte(&mut self, byte: u8) -> Option<Vec<u8>> {
        let was_in_string = self.in_string;
        self.track_string(byte);
        if !was_in_string && !self.in_string {
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        if self.in_items {
            return self.item_byte(byte, was_in_string);
        }
        self.envelope.push(byte);
        if self.depth == 1 {
            self.key_byte(byte, was_in_string);
        } else if self.depth == 2 && byte == b'[' && !was_in_string && self.key == b"items" {
            self.in_items = true;
        }
        None
    }

    fn item_byte(&mut self, byte: u8, was_in_string: bool) -> Option<Vec<u8>> {
        let ends_items = self.depth == 1 && byte == b']' && !was_in_string;
        let between = self.depth == 2 && byte == b',' && !was_in_string;
        if ends_items {
            self.in_items = false;
            self.key.clear();
            self.envelope.push(byte);
        } else if !between {
            self.item.push(byte);
        }
        if (ends_items || between) && !self.item.trim_ascii().is_empty() {
            return Some(std::mem::take(&mut self.item));
        }
        if ends_items {
            self.item = Vec::new();
        }
        None
    }

    /// Remembers the text that was read last on the list's own level: at a bracket it is the key.
    fn key_byte(&mut self, byte: u8, was_in_string: bool) {
        if !was_in_string && self.in_string {
            self.key.clear();
        } else if was_in_string && self.in_string {
            self.key.push(byte);
        }
    }

    fn track_string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ => {}
        }
    }

    /// The list's kind and version, if they came before the items, as they do from real servers.
    fn known_names(&mut self) -> Option<&ListMeta> {
        if self.names.is_none() {
            let mut so_far = self.envelope.clone();
            so_far.extend_from_slice(b"]}");
            let meta = ListMeta::of(&serde_json::from_slice(&so_far).ok()?);
            self.names = Some(meta).filter(|meta| meta.kind.is_some() && meta.api_version.is_some());
        }
        self.names.as_ref()
    }
}

impl ListMeta {
    fn of(envelope: &Value) -> Self {
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let meta = envelope.get("metadata");
        Self {
            resource_version: text(meta.and_then(|meta| meta.get("resourceVersion"))),
            continue_token: text(meta.and_then(|meta| meta.get("continue"))),
            kind: text(envelope.get("kind"))
                .map(|kind| kind.strip_suffix("List").map(str::to_owned).unwrap_or(kind)),
            api_version: text(envelope.get("apiVersion")),
        }
    }

    /// Gives an item what it does not tell of itself (W-WAT-003).
    fn name(&self, item: &Object) -> Object {
        let mut body = item.body().clone();
        let Some(fields) = body.as_object_mut() else { return item.clone() };
        for (key, value) in [("kind", &self.kind), ("apiVersion", &self.api_version)] {
            if let Some(value) = value {
                fields.entry(key).or_insert_with(|| value.as_str().into());
            }
        }
        Object::new(body)
    }
}

/// Whether it tells its kind and its version.
fn is_named(item: &Object) -> bool {
    !item.kind().is_empty() && !item.api_version().is_empty()
}

fn decode(bytes: &[u8], extent: Extent) -> Result<Object, ApiError> {
    decode::object(bytes, extent).map_err(|error| ApiError::Payload(format!("the list is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Extent, Items, ListMeta};

    fn parse(text: &str, chunk: usize) -> (Vec<Value>, ListMeta) {
        let mut list = Items::new(Extent::Used);
        let mut items = Vec::new();
        for part in text.as_bytes().chunks(chunk) {
            list.push(part, |item| items.push(item.body().clone())).unwrap();
        }
        let meta = list.finish(|item| items.push(item.body().clone())).unwrap();
        (items, meta)
    }

    fn check(text: &str, expected: &Value) {
        for chunk in [1, 2, 7, 10_000] {
            let (items, meta) = parse(text, chunk);
            assert_eq!(Value::Array(items), expected["items"], "in chunks of {chunk}");
            let found = json!([meta.resource_version, meta.continue_token]);
            assert_eq!(found, expected["meta"], "in chunks of {chunk}");
        }
    }

    /// W-WAT-003.
    #[test]
    fn items_get_the_kind_of_the_list() {
        check(
            r#"{"kind":"ThingList","apiVersion":"g/v1","metadata":{"resourceVersion":"5","continue":""},
                "items":[{"metadata":{"name":"a"}},{"kind":"Own","apiVersion":"o/v1"}]}"#,
            &json!({
                "items": [
                    {"metadata": {"name": "a"}, "kind": "Thing", "apiVersion": "g/v1"},
                    {"kind": "Own", "apiVersion": "o/v1"},
                ],
                "meta": ["5", null],
            }),
        );
    }

    #[test]
    fn the_order_of_the_list_s_keys_does_not_matter() {
        check(
            r#"{"items":[{"a":1},{"kind":"K","apiVersion":"v"}],"metadata":{"continue":"c"},"apiVersion":"v1","kind":"PodList"}"#,
            &json!({
                "items": [
                    {"kind": "K", "apiVersion": "v"},
                    {"a": 1, "kind": "Pod", "apiVersion": "v1"},
                ],
                "meta": [null, "c"],
            }),
        );
    }

    #[test]
    fn brackets_and_quotes_in_texts_and_nested_items_are_no_borders() {
        check(
            r#"{"kind":"items","apiVersion":"v1","metadata":{"items":[1,2],"resourceVersion":"\"]}"},
                "items":[{"kind":"A","apiVersion":"v1","items":[{"x":"],}\\\""}],"e":{}}, {"kind":"B","apiVersion":"v1"} ] }"#,
            &json!({
                "items": [
                    {"kind": "A", "apiVersion": "v1", "items": [{"x": "],}\\\""}], "e": {}},
                    {"kind": "B", "apiVersion": "v1"},
                ],
                "meta": ["\"]}", null],
            }),
        );
    }

    #[test]
    fn a_list_without_items_is_empty() {
        check(
            r#"{"metadata":{"resourceVersion":"1"},"items":null}"#,
            &json!({"items": [], "meta": ["1", null]}),
        );
        check(
            r#"{"metadata":{"resourceVersion":"1"},"items":[ ]}"#,
            &json!({"items": [], "meta": ["1", null]}),
        );
        check(r"{}", &json!({"items": [], "meta": [null, null]}));
    }

    #[test]
    fn a_list_that_breaks_off_is_an_error() {
        for text in ["", "{", r#"{"items":[{"kind":"A","#, r#"{"items":[]"#, "[]"] {
            let mut list = Items::new(Extent::Used);
            list.push(text.as_bytes(), |_| {}).unwrap();
            assert!(list.finish(|_| {}).is_err(), "{text}");
        }
        assert!(Items::new(Extent::Used).push(br#"{"items":[{"a" 1},"#, |_| {}).is_err());
    }
}
