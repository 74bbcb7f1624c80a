#[kopf::main]
async fn main() {}
