//! Which form of an answer a client gets, by its `Accept` header, and how a body is read, by its `Content-Type`.

use http::{HeaderMap, header};

use crate::status::ApiError;

/// What resources can be answered as; protobuf is named because a real server names it, and never chosen.
const RESOURCE_TYPES: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What bodies of creates and updates may be.
const BODY_TYPES: &[&str] = RESOURCE_TYPES;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Json,
    Yaml,
}

/// What is made of the objects before they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Transform {
    #[default]
    None,
    /// A Table of meta.k8s.io in this version.
    Table(&'static str),
    /// Only the metadata of objects and of the items of lists.
    Metadata,
}

/// The chosen form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) encoding: Encoding,
    pub(crate) transform: Transform,
}

impl Encoding {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// A clause of an `Accept` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clause {
    pub(crate) media_type: String,
    parameters: Vec<(String, String)>,
}

impl Clause {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The clauses of `Accept`, best first: by quality, and in the order written. No header means anything.
pub(crate) fn accepted(headers: &HeaderMap) -> Vec<Clause> {
    let text: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut clauses: Vec<(Clause, f32)> =
        text.iter().flat_map(|text| text.split(',')).filter_map(parse_clause).collect();
    if clauses.is_empty() {
        clauses.push((Clause { media_type: "*/*".to_owned(), parameters: Vec::new() }, 1.0));
    }
    clauses.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    clauses.into_iter().map(|(clause, _)| clause).collect()
}

fn parse_clause(text: &str) -> Option<(Clause, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().filter(|media_type| !media_type.is_empty())?.to_ascii_lowercase();
    let parameters: Vec<(String, String)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
        .collect();
    let quality =
        parameters.iter().find(|(key, _)| key == "q").and_then(|(_, q)| q.parse().ok()).unwrap_or(1.0);
    Some((Clause { media_type, parameters }, quality))
}

/// The form of an answer with objects (D-025).
pub(crate) fn for_objects(headers: &HeaderMap) -> Result<Form, ApiError> {
    accepted(headers).iter().find_map(object_form).ok_or_else(|| ApiError::not_acceptable(RESOURCE_TYPES))
}

fn object_form(clause: &Clause) -> Option<Form> {
    let encoding = encoding(&clause.media_type)?;
    let transform = match (clause.parameter("as"), clause.parameter("g"), clause.parameter("v")) {
        (None, ..) => Transform::None,
        (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Transform::Table("v1"),
        (Some("Table"), Some("meta.k8s.io"), Some("v1beta1")) => Transform::Table("v1beta1"),
        (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => {
            Transform::Metadata
        }
        _ => return None,
    };
    Some(Form { encoding, transform })
}

/// The encoding of an answer that has no other forms.
pub(crate) fn plain(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let found = accepted(headers).iter().find_map(|clause| {
        if clause.parameter("as").is_none() { encoding(&clause.media_type) } else { None }
    });
    found.ok_or_else(|| ApiError::discovery_not_acceptable(RESOURCE_TYPES))
}

pub(crate) fn encoding(media_type: &str) -> Option<Encoding> {
    match media_type {
        "*/*" | "application/*" | "application/json" => Some(Encoding::Json),
        "application/yaml" => Some(Encoding::Yaml),
        _ => None,
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    Yaml,
    Protobuf,
}

/// The format of the body of a create, update or delete; no `Content-Type` means JSON (D-022).
pub(crate) fn body_format(headers: &HeaderMap) -> Result<BodyFormat, ApiError> {
    match media_type(headers).as_deref() {
        None | Some("" | "application/json") => Ok(BodyFormat::Json),
        Some("application/yaml") => Ok(BodyFormat::Yaml),
        Some("application/vnd.kubernetes.protobuf") => Ok(BodyFormat::Protobuf),
        Some(_) => Err(ApiError::unsupported_media_type(BODY_TYPES)),
    }
}

/// `Content-Type` without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        for_objects(&headers).ok()
    }

    /// D-025: clauses that do not fit are passed over.
    #[test]
    fn the_first_clause_that_fits_is_taken() {
        let table = Form { encoding: Encoding::Json, transform: Transform::Table("v1") };
        assert_eq!(form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Some(table));
        let metadata = Form { encoding: Encoding::Json, transform: Transform::Metadata };
        assert_eq!(form("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"), Some(metadata));
        assert_eq!(
            form("application/json;as=Unknown;v=v1;g=meta.k8s.io,application/json"),
            Some(Form::default())
        );
        assert_eq!(form("application/vnd.kubernetes.protobuf,application/json"), Some(Form::default()));
        assert_eq!(form("application/yaml").unwrap().encoding, Encoding::Yaml);
        assert_eq!(form("application/xml"), None);
        assert_eq!(for_objects(&HeaderMap::new()).unwrap(), Form::default());
    }
}
