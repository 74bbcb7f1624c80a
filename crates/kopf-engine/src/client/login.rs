//! The logins that come with the engine: a kubeconfig, and the service account of a pod.

use std::path::{Path, PathBuf};

use super::{
    Connection, ConnectionInfo, LoginError, Secret,
    kubeconfig::{self, Found},
};

/// Where a pod finds its service account (W-AUT-012).
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The priority of a service account's credentials (W-AUT-003).
const PRIORITY: i64 = 20;

/// Where the built-in logins look. Settled when the operator starts (W-AUT-002).
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    kubeconfigs: Vec<PathBuf>,
    service_account: Option<PathBuf>,
    trust_env: bool,
}

/// One login: the vault's key, what it says in the log, and what came out.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) key: &'static str,
    pub(crate) said: &'static str,
    pub(crate) result: Result<ConnectionInfo, LoginError>,
}

impl Sources {
    /// Where to look for a connection; none if it is given otherwise.
    pub(crate) fn of(connection: &Connection, trust_env: bool) -> Option<Self> {
        match connection {
            Connection::Infer => {
                let account = PathBuf::from(SERVICE_ACCOUNT);
                let service_account = account.join("token").exists().then_some(account);
                Some(Self { kubeconfigs: kubeconfig::files(), service_account, trust_env })
            }
            Connection::Kubeconfig(files) => {
                Some(Self { kubeconfigs: files.clone(), service_account: None, trust_env })
            }
            Connection::Info(_) | Connection::Service(_) => None,
        }
    }

    /// All that is there.
    pub(crate) async fn login(&self) -> Vec<Login> {
        let mut all = Vec::new();
        if !self.kubeconfigs.is_empty() {
            let result = with_kubeconfig(&self.kubeconfigs).await;
            all.push(Login {
                key: "login_with_kubeconfig",
                said: "Client is configured via kubeconfig file.",
                result,
            });
        }
        if let Some(folder) = &self.service_account {
            let result = with_service_account(folder).await;
            all.push(Login {
                key: "login_with_service_account",
                said: "Client is configured in cluster with service account.",
                result,
            });
        }
        for info in all.iter_mut().filter_map(|login| login.result.as_mut().ok()) {
            info.trust_env = self.trust_env;
        }
        all
    }
}

async fn with_kubeconfig(files: &[PathBuf]) -> Result<ConnectionInfo, LoginError> {
    let files = files.to_vec();
    let Found { mut info, exec } = blocking(move || {
        let mut found = kubeconfig::connection(&kubeconfig::read(&files)?)?;
        if let Some(path) = &found.info.token_file {
            found.info.token = Some(Secret(read(path)?));
        }
        Ok(found)
    })
    .await?;
    if let Some(plugin) = exec.filter(|_| info.token.is_none()) {
        plugin.complete(&mut info).await?;
    }
    Ok(info)
}

/// The token is part of the result, so that a rotated one is told from one that was refused; requests take it from the
/// file, which is read again every minute.
async fn with_service_account(folder: &Path) -> Result<ConnectionInfo, LoginError> {
    let folder = folder.to_owned();
    blocking(move || {
        let token_file = folder.join("token");
        let ca = folder.join("ca.crt");
        Ok(ConnectionInfo {
            server: "https://kubernetes.default.svc".into(),
            ca_path: ca.exists().then_some(ca),
            token: Some(Secret(read(&token_file)?)),
            token_file: Some(token_file),
            default_namespace: read(&folder.join("namespace")).ok().filter(|name| !name.is_empty()),
            priority: PRIORITY,
            ..ConnectionInfo::default()
        })
    })
    .await
}

fn read(path: &Path) -> Result<String, LoginError> {
    let content = std::fs::read_to_string(path);
    content
        .map(|text| text.trim().to_owned())
        .map_err(|error| LoginError::File { path: path.into(), reason: error.to_string() })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoginError> + Send + 'static,
) -> Result<T, LoginError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LoginError::field("login", error)),
    }
}
