//! Credential plug-ins: programs that print a token or a certificate (`client.authentication.k8s.io`).
//!
//! A plug-in runs at every login; when what it printed expires, the next login runs it again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConnectionInfo, LoginError, Secret};

/// A plug-in as the kubeconfig has it.
#[derive(Clone, Debug)]
pub(crate) struct ExecPlugin {
    command: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    api_version: String,
    install_hint: Option<String>,
    /// The cluster, if the plug-in wants to know it.
    cluster: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    command: String,
    api_version: Option<String>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<BTreeMap<String, String>>>,
    install_hint: Option<String>,
    #[serde(default)]
    provide_cluster_info: bool,
}

#[derive(Deserialize)]
struct Credential {
    status: Option<CredentialStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<jiff::Timestamp>,
}

impl ExecPlugin {
    /// Reads the section. A command with a folder in it is relative to the kubeconfig's.
    ///
    /// # Errors
    /// If a field is missing or of another type.
    pub(crate) fn parse(
        section: &Value,
        folder: Option<&Path>,
        cluster: Option<&Value>,
    ) -> Result<Self, LoginError> {
        let fields = Fields::deserialize(section).map_err(|error| LoginError::field("exec", error))?;
        let is_path = fields.command.contains(std::path::MAIN_SEPARATOR);
        let command = match folder.filter(|_| is_path) {
            Some(folder) => folder.join(&fields.command),
            None => PathBuf::from(&fields.command),
        };
        let pair = |mut pair: BTreeMap<String, String>| Some((pair.remove("name")?, pair.remove("value")?));
        Ok(Self {
            command,
            args: fields.args.unwrap_or_default(),
            env: fields.env.unwrap_or_default().into_iter().filter_map(pair).collect(),
            api_version: fields.api_version.unwrap_or_else(|| "client.authentication.k8s.io/v1".into()),
            install_hint: fields.install_hint,
            cluster: fields.provide_cluster_info.then(|| cluster.cloned().unwrap_or_default()),
        })
    }

    /// Runs the plug-in and puts into the connection what it prints.
    ///
    /// # Errors
    /// If it cannot be run, fails, or prints something else.
    pub(crate) async fn complete(&self, info: &mut ConnectionInfo) -> Result<(), LoginError> {
        let failed = |reason: String| {
            let hint = self.install_hint.as_deref().unwrap_or_default();
            LoginError::field("exec", format!("{}: {reason} {hint}", self.command.display()).trim_end())
        };
        let output = tokio::process::Command::new(&self.command)
            .args(&self.args)
            .envs(self.env.iter().cloned())
            .env("KUBERNETES_EXEC_INFO", self.exec_info().to_string())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!("it has failed with {}: {}", output.status, said.trim())));
        }
        let credential: Credential =
            serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
        let status = credential.status.ok_or_else(|| failed("it has printed no status".into()))?;
        if status.token.is_none() && status.client_certificate_data.is_none() {
            return Err(failed("it has printed neither a token nor a certificate".into()));
        }
        info.token = status.token.map(Secret).or(info.token.take());
        info.certificate_data = status.client_certificate_data.or(info.certificate_data.take());
        info.private_key_data = status.client_key_data.map(Secret).or(info.private_key_data.take());
        info.expiration = status.expiration_timestamp;
        Ok(())
    }

    fn exec_info(&self) -> Value {
        let mut spec = json!({"interactive": false});
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = json!({
                "server": cluster.get("server"),
                "tls-server-name": cluster.get("tls-server-name"),
                "insecure-skip-tls-verify": cluster.get("insecure-skip-tls-verify"),
                "certificate-authority-data": cluster.get("certificate-authority-data"),
                "proxy-url": cluster.get("proxy-url"),
                "config": extension(cluster),
            });
        }
        json!({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec})
    }
}

/// What the cluster's section keeps for plug-ins.
fn extension(cluster: &Value) -> Option<&Value> {
    let all = cluster.get("extensions")?.as_array()?;
    let own = |entry: &&Value| {
        entry.get("name").and_then(Value::as_str) == Some("client.authentication.k8s.io/exec")
    };
    all.iter().find(own)?.get("extension")
}
