//! The way to the API server: TCP, TLS, HTTP, proxies. Everything that a connection needs, made of a [`ConnectionInfo`].
//!
//! The layers are kube's, the connection is ours (DEC-23): HTTP/2 where the server offers it, HTTP/1.1 elsewhere, and
//! keepalives, so that a dead peer is noticed within a minute and not after the kernel's hours.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use base64::Engine as _;
use http::{HeaderName, HeaderValue, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{
                Connection, HttpConnector,
                proxy::{SocksV5, Tunnel},
            },
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use kube::client::{
    Body, ConfigExt as _,
    middleware::{AuthLayer, BaseUriLayer, ExtraHeadersLayer},
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tower::{BoxError, Service, ServiceBuilder};

use super::{ConnectionInfo, LoginError, trust::Trust};

/// A TCP connection without traffic is probed after this time, and as often.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// An HTTP/2 connection is pinged so often.
const HTTP2_KEEPALIVE: Duration = Duration::from_secs(30);
/// An idle connection is closed after this time; API servers do so after 90 s or later.
const POOL_IDLE: Duration = Duration::from_secs(75);

/// Makes clients of one connection, within a Tokio runtime. Each has connections of its own.
pub(crate) type Connector = Arc<dyn Fn(Option<Duration>) -> kube::Client + Send + Sync>;

/// A connector for a connection: certificates and names are read now, connections are made at use. The function takes the
/// time that a connection may take to be made. Blocks: it reads files.
///
/// # Errors
/// For a field that has no meaning, and a file that cannot be read.
pub(crate) fn connector(info: &ConnectionInfo, user_agent: &str) -> Result<Connector, LoginError> {
    let config = config(info, user_agent)?;
    let server_name = info.tls_server_name.clone().map(TryInto::try_into).transpose();
    let parts = Parts {
        tls: tls(&config, info)?,
        server_name: server_name.map_err(|error| LoginError::field("tls_server_name", error))?,
        headers: config.extra_headers_layer().map_err(|error| LoginError::field("headers", error))?,
        auth: config.auth_layer().map_err(|error| LoginError::field("token_file", error))?,
        base: config.base_uri_layer(),
        default_namespace: config.default_namespace.clone(),
    };
    let proxy = Proxy::of(info, &config.cluster_url)?;
    Ok(Arc::new(move |timeout| match &proxy {
        Proxy::None => parts.client(tcp(), timeout),
        Proxy::Socks { url } => parts.client(SocksV5::new(url.clone(), tcp()), timeout),
        Proxy::Http { url, authorization } => {
            let to_proxy = HttpsConnectorBuilder::new()
                .with_tls_config(parts.tls.clone())
                .https_or_http()
                .enable_http1()
                .wrap_connector(tcp());
            let tunnel = Tunnel::new(url.clone(), to_proxy);
            match authorization.clone() {
                Some(value) => parts.client(tunnel.with_auth(value), timeout),
                None => parts.client(tunnel, timeout),
            }
        }
    }))
}

/// TLS that believes whom the connection names.
pub(super) fn tls(config: &kube::Config, info: &ConnectionInfo) -> Result<rustls::ClientConfig, LoginError> {
    // Some other library of the process may bring another provider: then rustls does not guess. An error means that one is
    // installed already, which is just as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut tls = config.rustls_client_config().map_err(|error| LoginError::field("certificates", error))?;
    let trust = match (pem("ca", info.ca_data.as_deref(), None)?, &info.ca_path) {
        _ if config.accept_invalid_certs => return Ok(tls),
        (None, None) => return Ok(tls),
        (None, Some(path)) => Trust::in_file(path)?,
        (Some(pem), _) => Trust::in_pem(&pem)?,
    };
    tls.dangerous().set_certificate_verifier(Arc::new(trust));
    Ok(tls)
}

/// What all clients of a connection are made of.
struct Parts {
    tls: rustls::ClientConfig,
    server_name: Option<ServerName<'static>>,
    headers: ExtraHeadersLayer,
    auth: Option<AuthLayer>,
    base: BaseUriLayer,
    default_namespace: String,
}

impl Parts {
    fn client<C>(&self, connector: C, timeout: Option<Duration>) -> kube::Client
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Connection + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        let mut https = HttpsConnectorBuilder::new().with_tls_config(self.tls.clone()).https_or_http();
        if let Some(name) = self.server_name.clone() {
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let https = https.enable_all_versions().wrap_connector(connector);
        let http: Client<_, Body> = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(HTTP2_KEEPALIVE)
            .http2_keep_alive_timeout(HTTP2_KEEPALIVE)
            .http2_keep_alive_while_idle(true)
            .build(Timed { inner: https, timeout });
        let service = ServiceBuilder::new()
            .layer(self.base.clone())
            .option_layer(self.auth.as_ref())
            .layer(self.headers.clone())
            .map_err(BoxError::from)
            .service(http);
        kube::Client::new(service, self.default_namespace.clone())
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.set_keepalive_interval(Some(TCP_KEEPALIVE));
    tcp
}

/// The value of the authorization header (W-AUT-020); none if the token comes from a file that is read again and again.
pub(crate) fn authorization(info: &ConnectionInfo) -> Option<String> {
    let given = |text: &Option<super::Secret>| text.as_ref().map(|s| s.0.clone()).filter(|s| !s.is_empty());
    let username = info.username.as_ref().filter(|name| !name.is_empty());
    if let (Some(username), Some(password)) = (username, given(&info.password)) {
        let plain = format!("{username}:{password}");
        return Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)));
    }
    match (info.scheme.as_ref().filter(|scheme| !scheme.is_empty()), given(&info.token)) {
        (Some(scheme), Some(token)) => Some(format!("{scheme} {token}")),
        (Some(scheme), None) => Some(scheme.clone()),
        (None, Some(token)) => Some(format!("Bearer {token}")),
        (None, None) => None,
    }
}

pub(super) fn config(info: &ConnectionInfo, user_agent: &str) -> Result<kube::Config, LoginError> {
    let url = info.server.trim_end_matches('/');
    if url.is_empty() {
        return Err(LoginError::field("server", "it is not set, expected the URL of the API server"));
    }
    let url: Uri = url.parse().map_err(|error| LoginError::field("server", error))?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err(LoginError::field(
            "server",
            format!("{url} has no scheme, expected https:// or http://"),
        ));
    }
    let mut config = kube::Config::new(url);
    config.default_retry = false;
    config.default_namespace = info.default_namespace.clone().unwrap_or_else(|| "default".into());
    config.accept_invalid_certs = info.insecure.unwrap_or(false);
    config.tls_server_name.clone_from(&info.tls_server_name);
    let ca = pem("ca", info.ca_data.as_deref(), info.ca_path.as_deref())?;
    config.root_cert = ca.map(|pem| certificates(&pem)).transpose()?;
    let certificate = pem("certificate", info.certificate_data.as_deref(), info.certificate_path.as_deref())?;
    let key_data = info.private_key_data.as_ref().map(|secret| secret.0.as_str());
    let key = pem("private_key", key_data, info.private_key_path.as_deref())?;
    let encode = |pem: Vec<u8>| base64::engine::general_purpose::STANDARD.encode(pem);
    config.auth_info.client_certificate_data = certificate.map(encode);
    config.auth_info.client_key_data = key.map(|pem| encode(pem).into());

    let mut headers = vec![("user-agent", user_agent.to_owned())];
    match &info.token_file {
        Some(path) => config.auth_info.token_file = Some(path.to_string_lossy().into_owned()),
        None => headers.extend(authorization(info).map(|value| ("authorization", value))),
    }
    let own = info.headers.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in headers.into_iter().chain(own) {
        let name: HeaderName = name.parse().map_err(|error| LoginError::field("headers", error))?;
        let mut value = HeaderValue::try_from(value).map_err(|error| LoginError::field("headers", error))?;
        value.set_sensitive(name == http::header::AUTHORIZATION);
        config.headers.push((name, value));
    }
    Ok(config)
}

/// PEM from a field with data, PEM or base64 of PEM, or from a file (W-AUT-021).
fn pem(
    field: &'static str,
    data: Option<&str>,
    path: Option<&std::path::Path>,
) -> Result<Option<Vec<u8>>, LoginError> {
    match (data, path) {
        (Some(data), _) if data.contains("-----BEGIN") => Ok(Some(data.into())),
        (Some(data), _) => {
            let text: String = data.split_whitespace().collect();
            let decoded = base64::engine::general_purpose::STANDARD.decode(text);
            decoded.map(Some).map_err(|error| LoginError::field(field, error))
        }
        (None, Some(path)) => std::fs::read(path)
            .map(Some)
            .map_err(|error| LoginError::File { path: path.into(), reason: error.to_string() }),
        (None, None) => Ok(None),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, LoginError> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect();
    match all {
        Ok(all) if all.is_empty() => Err(LoginError::field("ca", "it holds no certificate in PEM")),
        Ok(all) => Ok(all),
        Err(error) => Err(LoginError::field("ca", error)),
    }
}

/// How connections reach the server's host.
enum Proxy {
    None,
    Http { url: Uri, authorization: Option<HeaderValue> },
    Socks { url: Uri },
}

impl Proxy {
    fn of(info: &ConnectionInfo, server: &Uri) -> Result<Self, LoginError> {
        let matcher = match info.proxy_url.as_deref().filter(|url| !url.is_empty()) {
            Some(url) => Matcher::builder().all(url).build(),
            None if info.trust_env => Matcher::from_env(),
            None => return Ok(Self::None),
        };
        let Some(intercept) = matcher.intercept(server) else {
            return match &info.proxy_url {
                Some(url) => Err(LoginError::field("proxy_url", format!("{url:?} is no URL of a proxy"))),
                None => Ok(Self::None),
            };
        };
        let url = intercept.uri().clone();
        match url.scheme_str() {
            Some("http" | "https") | None => {
                Ok(Self::Http { url, authorization: intercept.basic_auth().cloned() })
            }
            Some("socks5" | "socks5h") => Ok(Self::Socks { url }),
            Some(other) => {
                Err(LoginError::field("proxy_url", format!("the scheme {other:?} is not supported")))
            }
        }
    }
}

/// A connector whose connections are made in time, TLS and proxies included.
#[derive(Clone)]
struct Timed<C> {
    inner: C,
    timeout: Option<Duration>,
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let timeout = self.timeout;
        Box::pin(async move {
            match timeout {
                None => connecting.await.map_err(Into::into),
                Some(timeout) => match tokio::time::timeout(timeout, connecting).await {
                    Ok(result) => result.map_err(Into::into),
                    Err(_) => Err(format!("no connection within {timeout:?}").into()),
                },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::golden;

    /// W-AUT-020; golden: `credentials/headers-*`.
    #[test]
    fn authorization_is_made_as_upstream_does() {
        for case in golden::cases("credentials", Some("http_headers")) {
            let info: ConnectionInfo = serde_json::from_value(case["input"].clone()).unwrap();
            let headers = authorization(&info).map(|value| json!({"Authorization": value}));
            assert_eq!(headers.unwrap_or(json!({})), case["output"], "{}", case["id"]);
        }
    }

    #[test]
    fn a_connection_without_a_server_or_with_broken_certificates_is_refused() {
        let check = |info: ConnectionInfo, text: &str| match connector(&info, "test/1") {
            Err(error) => assert!(error.to_string().contains(text), "{error}"),
            Ok(_) => panic!("accepted: {info:?}"),
        };
        let good = ConnectionInfo { server: "https://h:1".into(), ..ConnectionInfo::default() };
        check(ConnectionInfo::default(), "server");
        check(
            ConnectionInfo { server: "h:6443".into(), ..ConnectionInfo::default() },
            "h:6443 has no scheme",
        );
        check(ConnectionInfo { ca_data: Some("Q0E=".into()), ..good.clone() }, "ca");
        check(ConnectionInfo { ca_path: Some("/no/such".into()), ..good.clone() }, "/no/such");
        check(ConnectionInfo { proxy_url: Some("ftp://p:1".into()), ..good.clone() }, "proxy_url");
        check(ConnectionInfo { token: Some("a\nb".to_owned().into()), ..good }, "headers");
    }

    /// W-API-010.
    #[test]
    fn proxies_come_from_the_credentials_only() {
        let of = |url: Option<&str>| {
            let info = ConnectionInfo { proxy_url: url.map(Into::into), ..ConnectionInfo::default() };
            Proxy::of(&info, &"https://h:6443".parse().unwrap()).unwrap()
        };
        assert!(matches!(of(None), Proxy::None));
        assert!(matches!(of(Some("socks5://p:1080")), Proxy::Socks { .. }));
        let Proxy::Http { url, authorization } = of(Some("http://me:pw@p:8080")) else { panic!() };
        assert_eq!(url.host(), Some("p"));
        assert_eq!(authorization.unwrap(), "Basic bWU6cHc=");
    }
}
