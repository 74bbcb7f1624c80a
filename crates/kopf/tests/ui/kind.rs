use kopf::prelude::*;

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
struct DatabaseSpec {
    size: u32,
}

fn main() {
    let _ = on::<DatabaseSpec>();
}
