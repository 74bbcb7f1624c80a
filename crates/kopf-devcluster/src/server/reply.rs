//! Answers before they are HTTP: status, headers, warnings, body.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::body::Body;
use super::encode::{Sorted, json};
use super::negotiation::Encoding;
use crate::status::ApiError;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) body: Body,
    pub(crate) warnings: Vec<String>,
    pub(crate) headers: HeaderMap,
    /// Whether it is indented for people: what the API prints is, what is kept as text is not.
    is_document: bool,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: impl Into<Cow<'static, str>>, body: Body) -> Self {
        Self {
            status,
            content_type: content_type.into(),
            body,
            warnings: Vec::new(),
            headers: HeaderMap::new(),
            is_document: false,
        }
    }

    /// A JSON document, with a newline in the end, or turned into YAML.
    pub(crate) fn document(status: StatusCode, encoding: Encoding, json: Bytes) -> Self {
        let body = match encoding {
            Encoding::Json => line(json),
            Encoding::Yaml => yaml(&json),
        };
        let reply = Self::new(status, encoding.content_type(), Body::whole(body));
        Self { is_document: encoding == Encoding::Json, ..reply }
    }

    /// The same for people to read: indented, without the newline (D-031).
    pub(crate) fn indented(mut self) -> Self {
        if self.is_document {
            self.body = self.body.map_whole(|json| indented(&json));
        }
        self
    }

    pub(crate) fn value(status: StatusCode, encoding: Encoding, value: &Value) -> Self {
        Self::document(status, encoding, json(value))
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", Body::whole(text.into().into()))
    }

    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same answer, whose body does something else with the bytes that were announced.
    pub(crate) fn map_body(mut self, map: impl FnOnce(Body) -> Body) -> Self {
        if let Some(length) = self.body.whole_length() {
            self = self.with_header(header::CONTENT_LENGTH, &length.to_string());
        }
        self.body = map(self.body);
        self
    }

    /// The HTTP answer. `audit_id` is the client's own or a new one (D-028).
    pub(crate) fn into_response(self, audit_id: &HeaderValue) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        *headers = self.headers;
        headers.insert("audit-id", audit_id.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        if let Ok(content_type) = HeaderValue::from_str(&self.content_type) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        for warning in &self.warnings {
            let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}

impl From<ApiError> for Reply {
    fn from(mut error: ApiError) -> Self {
        let status = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let warnings = error.take_warnings();
        let reply = match error.plain_text() {
            Some(text) => Self::text(status, text).with_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            None => Self::value(status, Encoding::Json, &error.to_status()),
        };
        let reply = reply.with_warnings(warnings);
        match error.retry_after() {
            Some(seconds) => reply.with_header(header::RETRY_AFTER, &seconds.to_string()),
            None => reply,
        }
    }
}

/// One line. A list was made for this answer and is not copied; an object is shared with others.
fn line(json: Bytes) -> Bytes {
    let mut line = json.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    line.extend_from_slice(b"\n");
    line.freeze()
}

/// JSON with an indentation of two spaces, as Go prints it.
pub(crate) fn indented(json: &[u8]) -> Bytes {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    serde_json::to_vec_pretty(&value).unwrap_or_default().into()
}

/// JSON to YAML, keys sorted as a real server's are.
fn yaml(json: &[u8]) -> Bytes {
    let value: Value = serde_json::from_slice(json).unwrap_or_default();
    serde_saphyr::to_string(&Sorted(&value)).unwrap_or_default().into()
}
