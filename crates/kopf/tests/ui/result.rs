use kopf::prelude::*;

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Database", namespaced)]
struct DatabaseSpec {
    size: u32,
}

async fn create(database: Obj<Database>) -> u32 {
    database.spec.size
}

fn main() {
    on::<Database>().create(create);
}
