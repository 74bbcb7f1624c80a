//! A certificate authority for one listener, and its certificate (D-191).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The certificate could not be used.
    #[error("cannot use the certificate")]
    Config(#[from] rustls::Error),
}

/// An authority and the certificate of a listener.
pub(crate) struct Certificates {
    pub(crate) authority_pem: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    authority: Issuer<'static, KeyPair>,
    address: IpAddr,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Makes both, for localhost, the loopback addresses and `address`.
    pub(crate) fn generate(address: IpAddr) -> Result<Self, TlsError> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "dev-cluster-ca");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate()?;
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let (certificate, key) = leaf(&issuer, address)?;
        Ok(Self { authority_pem: authority_certificate.pem(), certificate, key, authority: issuer, address })
    }

    /// The same authority with a new certificate.
    pub(crate) fn renew(&mut self) -> Result<(), TlsError> {
        (self.certificate, self.key) = leaf(&self.authority, self.address)?;
        Ok(())
    }

    /// Another authority with another certificate.
    pub(crate) fn replace(&mut self) -> Result<(), TlsError> {
        *self = Self::generate(self.address)?;
        Ok(())
    }
}

/// A certificate for localhost, the loopback addresses and `address`.
fn leaf(
    issuer: &Issuer<'static, KeyPair>,
    address: IpAddr,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let names =
        ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let mut names: Vec<String> = names.into_iter().map(ToOwned::to_owned).collect();
    if !names.contains(&address.to_string()) {
        names.push(address.to_string());
    }
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "dev-cluster");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python 3.13 and later insist on what RFC 5280 asks of every certificate that is not self-signed.
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, issuer)?;
    Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(server_key.serialize_der()).into()))
}

/// Accepts TLS with HTTP/2 or HTTP/1.1.
pub(crate) fn server_config(certificates: &Certificates) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificates.certificate.clone()], certificates.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
