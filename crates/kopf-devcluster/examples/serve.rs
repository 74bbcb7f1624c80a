//! Serves a cluster until it is interrupted: `cargo run -p kopf-devcluster --example serve [PORT]`.
//!
//! Writes a kubeconfig to the temporary directory and says where.

use std::error::Error;

use kopf_devcluster::{DevCluster, ListenOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let cluster = DevCluster::start().await?;
    let listener = cluster.listen(ListenOptions::on_port(port)).await?;
    let path = std::env::temp_dir().join(format!("dev-cluster-{}.kubeconfig", listener.address().port()));
    tokio::fs::write(&path, listener.kubeconfig()).await?;
    eprintln!("{} is ready: export KUBECONFIG={}", listener.url(), path.display());
    tokio::signal::ctrl_c().await?;
    listener.shutdown().await;
    tokio::fs::remove_file(&path).await?;
    Ok(())
}
