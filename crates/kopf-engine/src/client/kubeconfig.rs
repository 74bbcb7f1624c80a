//! Kubeconfig files (W-AUT-010, W-AUT-011), and what upstream does not take from them: exec plug-ins, token files, names
//! in certificates, paths relative to the file.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{ConnectionInfo, LoginError, Secret, exec::ExecPlugin};

/// The priority of credentials from a kubeconfig (W-AUT-003).
const PRIORITY: i64 = 10;

/// A kubeconfig file, or what was in it.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// The folder of the file: relative paths in it start there.
    pub(crate) folder: Option<PathBuf>,
    /// The content; null for an empty file.
    pub(crate) content: Value,
}

/// What the current context leads to.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) info: ConnectionInfo,
    pub(crate) exec: Option<ExecPlugin>,
}

/// The files that `$KUBECONFIG` names, or the one in the home folder (W-AUT-001). Empty: there is none.
pub(crate) fn files() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match std::env::var("KUBECONFIG").ok().filter(|list| !list.is_empty()) {
        Some(list) => {
            let named = std::env::split_paths(&list).filter(|path| !is_blank(path));
            named.map(|path| expand(&path, home.as_deref())).collect()
        }
        None => home.map(|home| home.join(".kube/config")).filter(|path| path.exists()).into_iter().collect(),
    }
}

/// Reads the files. Blocks.
///
/// # Errors
/// If one is missing or is no YAML.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Document>, LoginError> {
    files.iter().map(|path| read_one(path)).collect()
}

/// The connection of the current context. The first of several definitions of one name counts.
///
/// # Errors
/// If no context is current, or a name leads nowhere.
pub(crate) fn connection(documents: &[Document]) -> Result<Found, LoginError> {
    let current = documents.iter().find_map(|document| text(&document.content, "current-context"));
    let current = current.ok_or(LoginError::NoCurrentContext)?;
    let (_, context) = named(documents, "context", current)?;
    let wanted = |kind: &'static str| {
        let name = context.and_then(|context| text(context, kind));
        name.ok_or_else(|| LoginError::Missing { kind, name: format!("of the context {current}") })
    };
    let cluster = named_if_any(documents, "cluster", wanted("cluster")?)?;
    let user = named_if_any(documents, "user", wanted("user")?)?;
    let info = ConnectionInfo {
        default_namespace: context.and_then(|context| text(context, "namespace")).map(str::to_owned),
        priority: PRIORITY,
        ..ConnectionInfo::default()
    };
    complete(info, cluster, user)
}

type Section<'a> = (Option<&'a Path>, Option<&'a Value>);

fn complete(mut info: ConnectionInfo, cluster: Section<'_>, user: Section<'_>) -> Result<Found, LoginError> {
    let (folder, cluster) = cluster;
    let text_of = |section: Option<&Value>, key| section.and_then(|s| text(s, key)).map(str::to_owned);
    let path_of = |section: Option<&Value>, folder: Option<&Path>, key| {
        text_of(section, key).map(|path| folder.map_or_else(|| PathBuf::from(&path), |f| f.join(&path)))
    };
    info.server = text_of(cluster, "server").unwrap_or_default();
    info.ca_path = path_of(cluster, folder, "certificate-authority");
    info.ca_data = text_of(cluster, "certificate-authority-data");
    info.insecure = cluster.and_then(|c| c.get("insecure-skip-tls-verify")).and_then(Value::as_bool);
    info.proxy_url = text_of(cluster, "proxy-url");
    info.tls_server_name = text_of(cluster, "tls-server-name");

    let (folder, user) = user;
    info.certificate_path = path_of(user, folder, "client-certificate");
    info.certificate_data = text_of(user, "client-certificate-data");
    info.private_key_path = path_of(user, folder, "client-key");
    info.private_key_data = text_of(user, "client-key-data").map(Secret);
    info.username = text_of(user, "username");
    info.password = text_of(user, "password").map(Secret);
    let provided = user.and_then(|user| user.pointer("/auth-provider/config/access-token")?.as_str());
    info.token = text_of(user, "token").or(provided.map(str::to_owned)).map(Secret);
    // A token beside a file wins over it, as in kubectl.
    info.token_file = path_of(user, folder, "tokenFile").filter(|_| info.token.is_none());
    info.check()?;
    let exec = user.and_then(|user| user.get("exec")).filter(|exec| !exec.is_null());
    let exec = exec.map(|exec| ExecPlugin::parse(exec, folder, cluster)).transpose()?;
    Ok(Found { info, exec })
}

fn read_one(path: &Path) -> Result<Document, LoginError> {
    let broken = |reason: String| LoginError::File { path: path.into(), reason };
    let content = std::fs::read_to_string(path).map_err(|error| broken(error.to_string()))?;
    Ok(Document {
        folder: path.parent().map(Path::to_owned),
        content: parse(&content).map_err(|error| broken(error.to_string()))?,
    })
}

/// YAML as JSON; null if there is nothing in it.
fn parse(content: &str) -> Result<Value, serde_saphyr::Error> {
    if content.trim().is_empty() { Ok(Value::Null) } else { serde_saphyr::from_str(content) }
}

/// A section by its name: the folder of its file, and the section itself, which may be null.
fn named<'a>(documents: &'a [Document], kind: &'static str, name: &str) -> Result<Section<'a>, LoginError> {
    let list = format!("{kind}s");
    for document in documents {
        let entries = document.content.get(&list).and_then(Value::as_array).into_iter().flatten();
        for entry in entries {
            if text(entry, "name") == Some(name) {
                let section = entry.get(kind).filter(|section| !section.is_null());
                return Ok((document.folder.as_deref(), section));
            }
        }
    }
    Err(LoginError::Missing { kind, name: name.to_owned() })
}

/// The same; an empty name is no section.
fn named_if_any<'a>(
    documents: &'a [Document],
    kind: &'static str,
    name: &str,
) -> Result<Section<'a>, LoginError> {
    if name.is_empty() { Ok((None, None)) } else { named(documents, kind, name) }
}

fn text<'a>(section: &'a Value, key: &str) -> Option<&'a str> {
    section.get(key).and_then(|value| <&str>::deserialize(value).ok())
}

fn is_blank(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.trim().is_empty())
}

fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{client::transport::authorization, golden};

    fn found(documents: &[&str]) -> Result<Found, LoginError> {
        let folder = Some(PathBuf::from("/etc/kube"));
        let parsed = documents
            .iter()
            .map(|text| Document { folder: folder.clone(), content: parse(text).unwrap() })
            .collect::<Vec<_>>();
        connection(&parsed)
    }

    /// W-AUT-010, W-AUT-011; golden: `credentials/kubeconfig-*`.
    #[test]
    fn kubeconfigs_are_read_as_upstream_does() {
        for case in golden::cases("credentials", Some("kubeconfig")) {
            let id = &case["id"];
            let documents: Vec<Document> = case["input"]["documents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|content| match content {
                    Value::String(text) => Document { folder: None, content: parse(text).unwrap() },
                    content => Document { folder: None, content: content.clone() },
                })
                .collect();
            let output = &case["output"];
            match connection(&documents) {
                Err(error) if output["error"] == "KeyError" => {
                    assert!(matches!(error, LoginError::Missing { .. }), "{id}: {error}");
                }
                Err(error) => assert_eq!(error.to_string(), output["message"], "{id}"),
                Ok(Found { info, .. }) => {
                    let mut ours = serde_json::to_value(&info).unwrap();
                    let map = ours.as_object_mut().unwrap();
                    map.retain(|_, value| *value != json!(""));
                    map.entry("trust_env").or_insert(json!(false));
                    let headers = authorization(&info).map(|value| json!({"Authorization": value}));
                    map.insert("_http_headers".into(), headers.unwrap_or(json!({})));
                    assert_eq!(&ours, output, "{id}");
                }
            }
        }
    }

    /// W-AUT-011: more than upstream.
    #[test]
    fn paths_are_relative_to_the_file_and_plug_ins_are_found() {
        let Found { info, exec } = found(&["
current-context: c
contexts: [{name: c, context: {cluster: cl, user: u}}]
clusters: [{name: cl, cluster: {server: 'https://h', certificate-authority: ca.crt, tls-server-name: inner}}]
users: [{name: u, user: {client-certificate: /abs/c.crt, tokenFile: token, exec: {command: ./plugin}}}]
"])
        .unwrap();
        assert_eq!(info.ca_path.unwrap(), PathBuf::from("/etc/kube/ca.crt"));
        assert_eq!(info.certificate_path.unwrap(), PathBuf::from("/abs/c.crt"));
        assert_eq!(info.token_file.unwrap(), PathBuf::from("/etc/kube/token"));
        assert_eq!(info.tls_server_name.unwrap(), "inner");
        assert!(format!("{:?}", exec.unwrap()).contains("/etc/kube/./plugin"));
    }

    #[test]
    fn errors_name_what_is_missing() {
        let error =
            found(&["{current-context: c, contexts: [{name: c, context: {cluster: gone, user: u}}]}"]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "the kubeconfig has no cluster \"gone\": the current context needs it"
        );
        let error = read(&[PathBuf::from("/no/such/file")]).unwrap_err();
        assert!(error.to_string().starts_with("cannot read /no/such/file: "), "{error}");
    }
}
