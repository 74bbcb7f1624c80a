//! Definitions of kinds that handlers can keep their results in.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::CustomResourceExt;

/// The definition of a kind, with a status that takes any fields.
///
/// Results of handlers are kept in `status.<handler id>`. A definition that is derived from the Rust types alone knows
/// nothing of them, and a server drops what it does not know.
///
/// ```
/// # use kopf::prelude::*;
/// # #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
/// # #[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
/// # struct DatabaseSpec { size: u32 }
/// let crd = kopf::crd::<Database>();
/// assert_eq!(crd.metadata.name.as_deref(), Some("databases.example.com"));
/// ```
#[must_use]
pub fn crd<K: CustomResourceExt>() -> CustomResourceDefinition {
    let mut crd = K::crd();
    let schemas = crd
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        let status = schema.properties.get_or_insert_default().entry("status".to_owned());
        let status = status
            .or_insert_with(|| JSONSchemaProps { type_: Some("object".to_owned()), ..Default::default() });
        status.x_kubernetes_preserve_unknown_fields = Some(true);
    }
    crd
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{prelude::*, testing_cause::Database};

    #[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
    #[kube(group = "example.com", version = "v1", kind = "Bare")]
    struct BareSpec {}

    #[test]
    fn the_status_takes_any_fields_whether_it_is_declared_or_not() {
        // A-RES-001: a pruned result would be lost.
        let status = |crd| {
            json!(crd)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"].clone()
        };
        assert_eq!(
            status(super::crd::<Bare>()),
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
        );
        let declared = status(super::crd::<Database>());
        assert_eq!(declared["x-kubernetes-preserve-unknown-fields"], true);
        assert_eq!(declared["properties"]["phase"]["type"], "string");
    }
}
