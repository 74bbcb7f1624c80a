//! Calling a webhook over HTTP or HTTPS (D-213, D-214).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::hooks::Hook;
use crate::machinery::names;
use crate::server::Shared;
use crate::server::decode::BODY_LIMIT;

/// Of webhooks that do not say it (D-214).
const DEFAULT_TIMEOUT_SECS: u64 = 10;

/// Where a webhook is.
#[derive(Debug)]
struct Place {
    is_tls: bool,
    /// As certificates name it.
    host: String,
    /// The host with the port, where one is said, as messages and the header show it.
    authority: String,
    address: Address,
    path: String,
}

#[derive(Debug)]
enum Address {
    Known(SocketAddr),
    Named(String, u16),
}

/// Sends the review and reads the answer.
///
/// # Errors
///
/// Why there is none, in the real server's words where they are known.
pub(super) async fn call(shared: &Shared, hook: &Hook, review: &Value) -> Result<Value, String> {
    let seconds = hook.spec["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_TIMEOUT_SECS);
    let place = place(shared, &hook.spec["clientConfig"])?;
    let separator = if place.path.contains('?') { '&' } else { '?' };
    let target = format!("{}{separator}timeout={seconds}s", place.path);
    let scheme = if place.is_tls { "https" } else { "http" };
    let failed = |why: String| {
        format!("failed to call webhook: Post \"{scheme}://{}{target}\": {why}", place.authority)
    };
    match tokio::time::timeout(Duration::from_secs(seconds), exchange(hook, &place, &target, review)).await {
        Err(_) => Err(failed("context deadline exceeded".to_owned())),
        Ok(Err(why)) => Err(failed(why)),
        Ok(Ok((StatusCode::OK, body))) => serde_json::from_slice(&body).map_err(|error| {
            format!("failed to call webhook: couldn't get version/kind; json parse error: {error}")
        }),
        Ok(Ok((status, body))) => {
            let text = String::from_utf8_lossy(&body).chars().take(200).collect::<String>();
            Err(format!("failed to call webhook: the server answered {status}: {text}"))
        }
    }
}

fn place(shared: &Shared, config: &Value) -> Result<Place, String> {
    if let Some(url) = config["url"].as_str() {
        return by_url(url);
    }
    let service = &config["service"];
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
    let address = shared.services.address(namespace, name, port).ok_or_else(|| {
        format!(
            "failed to call webhook: the dev cluster has no address for service {namespace}/{name}:{port}"
        )
    })?;
    let path = text("path").trim_start_matches('/');
    Ok(Place {
        is_tls: true,
        host: format!("{name}.{namespace}.svc"),
        authority: format!("{name}.{namespace}.svc:{port}"),
        address: Address::Known(address),
        path: format!("/{path}"),
    })
}

fn by_url(url: &str) -> Result<Place, String> {
    let invalid = |why: &str| format!("failed to call webhook: {url:?} {why}");
    let uri: Uri = url.parse().map_err(|_| invalid("is no URL"))?;
    let host = uri.host().ok_or_else(|| invalid("has no host"))?.trim_matches(['[', ']']).to_owned();
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        // A real server demands https everywhere.
        Some("http") if names::is_loopback(&host) => false,
        _ => return Err(invalid("is neither https nor on this machine")),
    };
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let path = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let authority = uri.authority().map_or_else(|| host.clone(), ToString::to_string);
    Ok(Place { is_tls, address: Address::Named(host.clone(), port), host, authority, path })
}

async fn exchange(
    hook: &Hook,
    place: &Place,
    target: &str,
    review: &Value,
) -> Result<(StatusCode, Bytes), String> {
    let stream = match &place.address {
        Address::Known(address) => TcpStream::connect(address).await,
        Address::Named(host, port) => TcpStream::connect((host.as_str(), *port)).await,
    };
    let stream = stream.map_err(|error| format!("dial tcp {}: connect: {error}", place.host))?;
    if place.is_tls {
        let connector = connector(&hook.spec["clientConfig"]["caBundle"])?;
        let name = ServerName::try_from(place.host.clone()).map_err(|error| format!("tls: {error}"))?;
        let stream = connector.connect(name, stream).await;
        send(
            stream.map_err(|error| format!("tls: failed to verify certificate: {error}"))?,
            place,
            target,
            review,
        )
        .await
    } else {
        send(stream, place, target, review).await
    }
}

/// Trusts only what the webhook's configuration says.
fn connector(bundle: &Value) -> Result<TlsConnector, String> {
    let pem =
        STANDARD.decode(bundle.as_str().unwrap_or_default()).map_err(|error| format!("caBundle: {error}"))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("caBundle: {error}"))?;
        roots.add(certificate).map_err(|error| format!("caBundle: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn send<S>(
    stream: S,
    place: &Place,
    target: &str,
    review: &Value,
) -> Result<(StatusCode, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(target)
        .header(header::HOST, &place.authority)
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(review.to_string())))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(text)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    // The connection is driven here and ends with the exchange, so that no task is left behind.
    tokio::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        ended = connection => match ended {
            Err(error) => Err(error.to_string()),
            Ok(()) => exchange.await,
        },
    }
}
