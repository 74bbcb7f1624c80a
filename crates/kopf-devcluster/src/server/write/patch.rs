//! PATCH: merge, JSON and strategic merge patches; apply configurations go to [`apply`].

use serde_json::Value;

use super::create::Owned;
use super::prepare::metadata;
use super::update::{change, check_name};
use super::validate::{Checked, Nulls, check_said_type, check_type, fitting};
use super::{Target, Written, apply};
use crate::machinery::cause::Cause;
use crate::machinery::{go, json_patch, merge_patch, strategic};
use crate::server::decode::{Decoded, go_type, is_missing, json, malformed_type, missing_kind};
use crate::server::{Request, encode, negotiation};
use crate::status::{ApiError, Subject};
use crate::types::registry::Served;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Changes an object by the patch in the body.
pub(crate) async fn patch(target: &Target<'_>, request: &Request, name: &str) -> Result<Written, ApiError> {
    let media_type = negotiation::media_type(&request.headers).unwrap_or_default();
    let is_custom = target.served.resource.custom.is_some();
    let kind = match media_type.as_str() {
        APPLY_PATCH => return apply::apply(target, request, name).await,
        JSON_PATCH => Kind::Json,
        MERGE_PATCH => Kind::Merge,
        STRATEGIC_MERGE_PATCH if !is_custom => Kind::Strategic,
        _ => return Err(ApiError::unsupported_media_type(accepted(is_custom))),
    };
    if request.query.optional_flag("force").is_some() {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid_options("PatchOptions", &[cause]));
    }
    let Decoded { value: document, duplicates } = match json(&request.body) {
        Ok(decoded) => decoded,
        Err(_) if kind == Kind::Merge => return Err(ApiError::bad_request("invalid JSON patch")),
        Err(error) => return Err(ApiError::bad_request(format!("error decoding patch: {error}"))),
    };
    change(target, name, Owned::ByUpdate, |current| {
        let mut value = current.clone();
        kind.apply(target, &document, &mut value)?;
        if !value.is_object() {
            return Err(ApiError::patch_not_applicable());
        }
        if is_custom {
            kind.check_type(target, &value, &document)?;
        }
        let duplicates = duplicates.clone();
        let patched = value.clone();
        let Checked { mut value, warnings } = fitting(target, Decoded { value, duplicates }, Nulls::Dropped)
            .map_err(|why| kind.unfitting(target, &patched, &document, &why))?;
        let checked = match is_custom {
            true => check_said_type(target, &value),
            false => check_type(target, &value),
        };
        let checked = checked.and_then(|()| check_name(target, name, &value));
        if let Err(error) = checked {
            return Err(error.with_warnings(warnings));
        }
        if target.served.resource.namespaced {
            metadata(&mut value).insert("namespace".to_owned(), target.namespace.into());
        }
        Ok(Checked { value, warnings })
    })
    .await
}

/// Refuses patches of a kind that the resource does not take, before anything else about them is looked at.
pub(crate) fn check_media_type(request: &Request, served: &Served) -> Result<(), ApiError> {
    let media_type = negotiation::media_type(&request.headers).unwrap_or_default();
    let accepted = accepted(served.resource.custom.is_some());
    match accepted.contains(&media_type.as_str()) {
        true => Ok(()),
        false => Err(ApiError::unsupported_media_type(accepted)),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
}

impl Kind {
    fn apply(self, target: &Target<'_>, document: &Value, value: &mut Value) -> Result<(), ApiError> {
        match self {
            Self::Merge if document.is_null() => Err(ApiError::bad_request("Invalid JSON Patch")),
            Self::Merge if !document.is_object() => {
                let found = go_type(document);
                Err(ApiError::bad_request(format!(
                    "error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
                )))
            }
            Self::Merge => {
                merge_patch::apply(value, document);
                Ok(())
            }
            Self::Strategic => {
                let id = crate::types::fields::id_of(target.served);
                strategic::apply(value, document, id).map_err(|error| match error {
                    strategic::Error::Malformed(why) => ApiError::bad_request(why),
                    strategic::Error::Unsuitable(why) => ApiError::new(500, "", why, None),
                })
            }
            Self::Json => json_patch::apply(value, document).map_err(|error| match error {
                json_patch::Error::Malformed(why) => ApiError::bad_request(why),
                json_patch::Error::TooLarge(_) => {
                    ApiError::new(413, "RequestEntityTooLarge", error.to_string(), None)
                }
                json_patch::Error::Failed(why) => {
                    tracing::debug!(%why, "a JSON patch cannot be applied");
                    ApiError::patch_not_applicable()
                }
            }),
        }
    }
}

impl Kind {
    /// A custom resource must still say what it is (D-101).
    fn check_type(self, target: &Target<'_>, patched: &Value, document: &Value) -> Result<(), ApiError> {
        if let Some(why) = malformed_type(patched) {
            return Err(self.unfitting(target, patched, document, &why));
        }
        if is_missing(patched, "kind") {
            let text = encode::to_bytes(target.served.version().view, patched);
            let why = missing_kind(&String::from_utf8_lossy(&text));
            return Err(self.unfitting(target, patched, document, &why));
        }
        match is_missing(patched, "apiVersion") {
            true => {
                Err(ApiError::internal("Object 'apiVersion' is missing in 'object has no apiVersion field'"))
            }
            false => Ok(()),
        }
    }

    /// What a patch made is none of the type.
    fn unfitting(self, target: &Target<'_>, patched: &Value, document: &Value, why: &str) -> ApiError {
        let (shown, why) = match self {
            Self::Strategic => (go::printed(&without_nulls(document)), go::conversion_error(why)),
            Self::Json | Self::Merge => {
                let text = encode::to_bytes(target.served.version().view, patched);
                (String::from_utf8_lossy(&text).into_owned(), why.to_owned())
            }
        };
        let nothing = Subject { group: "", what: "", name: "" };
        ApiError::invalid(nothing, &[Cause::invalid("patch", &shown.into(), &why)])
    }
}

/// A strategic patch after it has been applied: what was to be removed is gone from it, too.
fn without_nulls(document: &Value) -> Value {
    match document {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, field)| !field.is_null())
            .map(|(name, field)| (name.clone(), without_nulls(field)))
            .collect(),
        other => other.clone(),
    }
}

fn accepted(is_custom: bool) -> &'static [&'static str] {
    match is_custom {
        true => &[JSON_PATCH, MERGE_PATCH, APPLY_PATCH],
        false => &[JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH],
    }
}
