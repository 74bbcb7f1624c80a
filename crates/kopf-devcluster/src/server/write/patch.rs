//! PATCH: merge, JSON and strategic merge patches; apply configurations go to [`apply`].

use serde_json::Value;

use super::create::Owned;
use super::prepare::{meta_text, metadata};
use super::update::{change, check_name};
use super::validate::{Checked, check_type, decoded_or};
use super::{Target, Written, apply};
use crate::machinery::cause::Cause;
use crate::machinery::{go, json_patch, merge_patch, strategic};
use crate::server::decode::{Decoded, json};
use crate::server::{Request, encode, negotiation};
use crate::status::{ApiError, Subject};

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
        let duplicates = duplicates.clone();
        let unfit = |value: &Value, why: &str| unfit(target, kind, &document, value, why);
        let Checked { mut value, warnings } = decoded_or(target, Decoded { value, duplicates }, unfit)?;
        check_type(target, &value)?;
        check_name(target, name, &value)?;
        check_uid(target, name, current, &mut value)?;
        if target.served.resource.namespaced {
            metadata(&mut value).insert("namespace".to_owned(), target.namespace.into());
        }
        Ok(Checked { value, warnings })
    })
    .await
}

/// A patch that makes an object of a built-in type unfit for it is what is invalid, not the object (D-153).
fn unfit(target: &Target<'_>, kind: Kind, document: &Value, patched: &Value, why: &str) -> ApiError {
    let cause = match kind {
        Kind::Strategic => Cause::invalid("patch", &go::printed(document).into(), &go::conversion_error(why)),
        Kind::Json | Kind::Merge => {
            let text = encode::to_bytes(target.served.version().view, patched);
            Cause::invalid("patch", &String::from_utf8_lossy(&text).into(), why)
        }
    };
    ApiError::invalid(Subject { group: "", what: "", name: "" }, &[cause])
}

/// A patch cannot change the uid: one with the uid of a namesake that was there before is refused, as a change of an
/// immutable field (D-154). Of custom resources, `/status` does not look at metadata at all.
fn check_uid(target: &Target<'_>, name: &str, current: &Value, value: &mut Value) -> Result<(), ApiError> {
    let there = meta_text(current, "uid");
    if meta_text(value, "uid") == there {
        return Ok(());
    }
    let is_custom = target.served.resource.custom.is_some();
    if is_custom && target.subresource.is_some() {
        metadata(value).insert("uid".to_owned(), there.into());
        return Ok(());
    }
    if meta_text(value, "uid").is_empty() {
        return Ok(());
    }
    let cause = Cause::invalid("metadata.uid", &value["metadata"]["uid"], "field is immutable");
    // The real server checks the metadata of custom resources in two layers.
    let causes = vec![cause; if is_custom { 2 } else { 1 }];
    Err(ApiError::invalid(target.subject(name), &causes))
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
            Self::Merge if !document.is_object() => Err(ApiError::bad_request("invalid JSON patch")),
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

fn accepted(is_custom: bool) -> &'static [&'static str] {
    match is_custom {
        true => &[JSON_PATCH, MERGE_PATCH, APPLY_PATCH],
        false => &[JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH],
    }
}
