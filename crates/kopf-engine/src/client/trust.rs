//! Whether the server is who it claims to be, by the authorities of a connection: `certificate-authority` and `-data`.
//!
//! Where no authority is named, the system decides; that is not done here.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio::time::Instant;

use super::LoginError;

/// A file with authorities is read again after this time: those of pods are renewed in place.
const KEPT: Duration = Duration::from_secs(60);

/// The authorities that vouch for a server.
#[derive(Clone, Debug)]
struct Authorities {
    webpki: Arc<WebPkiServerVerifier>,
    certificates: Arc<[CertificateDer<'static>]>,
}

impl Authorities {
    /// Of certificates in PEM.
    ///
    /// # Errors
    /// If there are none, or they are broken.
    fn of(pem: &[u8]) -> Result<Self, LoginError> {
        let wrong = |reason: &dyn std::fmt::Display| LoginError::field("ca", reason);
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        if certificates.is_empty() {
            return Err(wrong(&"it holds no certificate in PEM"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| wrong(&error))?;
        }
        let webpki = WebPkiServerVerifier::builder(Arc::new(roots)).build().map_err(|error| wrong(&error))?;
        Ok(Self { webpki, certificates: certificates.into() })
    }

    /// A server may have a certificate that is an authority, such as `openssl req -x509` makes. If it is one of ours, nobody
    /// else has to vouch for it: OpenSSL takes it, webpki does not. Its key could sign any other certificate for the server.
    fn vouch_for_themselves(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        error: Error,
    ) -> Result<ServerCertVerified, Error> {
        // webpki has looked at the validity in time before it says this.
        if !is_authority(&error) || !self.certificates.iter().any(|ours| ours == certificate) {
            return Err(error);
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// Whether this is the one error of a certificate that is good, but for being an authority.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Believes whom the authorities of a connection vouch for.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Where they are, if they may change.
    file: Option<PathBuf>,
    read: Mutex<(Authorities, Instant)>,
}

impl Trust {
    /// In the authorities of a text in PEM.
    ///
    /// # Errors
    /// If it holds no certificates.
    pub(crate) fn in_pem(pem: &[u8]) -> Result<Self, LoginError> {
        Ok(Self { file: None, read: Mutex::new((Authorities::of(pem)?, Instant::now())) })
    }

    /// In those of a file.
    ///
    /// # Errors
    /// If it is missing, or holds no certificates.
    pub(crate) fn in_file(path: &Path) -> Result<Self, LoginError> {
        Ok(Self { file: Some(path.into()), read: Mutex::new((read(path)?, Instant::now())) })
    }

    /// What a file says now; what it has said, if it cannot be read any more.
    fn now(&self) -> Authorities {
        let mut read_before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (authorities, at) = &mut *read_before;
        if let Some(path) = self.file.as_deref().filter(|_| at.elapsed() >= KEPT) {
            *at = Instant::now();
            match read(path) {
                Ok(new) => *authorities = new,
                Err(error) => tracing::warn!(%error, "the authorities are those that were read before"),
            }
        }
        authorities.clone()
    }
}

fn read(path: &Path) -> Result<Authorities, LoginError> {
    let pem = std::fs::read(path);
    let pem = pem.map_err(|error| LoginError::File { path: path.into(), reason: error.to_string() })?;
    Authorities::of(&pem)
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authorities = self.now();
        let verified =
            authorities.webpki.verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        verified.or_else(|error| authorities.vouch_for_themselves(certificate, name, error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.now().webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.now().webpki.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::{
        ClientConfig, ClientConnection, ServerConfig, ServerConnection,
        crypto::ring,
        pki_types::PrivateKeyDer,
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
        version::{TLS12, TLS13},
    };

    use super::*;
    use crate::client::{ConnectionInfo, transport};

    const NAME: &str = "cluster.test";

    /// A certificate that is its own authority, and its key.
    struct Made {
        pem: String,
        der: CertificateDer<'static>,
        key: KeyPair,
    }

    fn authority(last_year: i32) -> Made {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let made = params.self_signed(&key).unwrap();
        Made { pem: made.pem(), der: made.der().clone(), key }
    }

    /// Shows a certificate, and signs with some key.
    #[derive(Debug)]
    struct Shows(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shows {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }

    fn server(
        certificate: &CertificateDer<'static>,
        key: &KeyPair,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ServerConnection {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        let shown = Shows(Arc::new(CertifiedKey::new(vec![certificate.clone()], key)));
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        ServerConnection::new(Arc::new(config)).unwrap()
    }

    /// Shakes hands in memory.
    fn connect(config: ClientConfig, name: &'static str, mut server: ServerConnection) -> Result<(), Error> {
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut &sent[..]).unwrap();
            server.process_new_packets()?;
            let mut answered = Vec::new();
            server.write_tls(&mut answered).unwrap();
            client.read_tls(&mut &answered[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }

    fn trusting(pem: &str) -> ClientConfig {
        let info = ConnectionInfo {
            server: "https://h:1".into(),
            ca_data: Some(pem.to_owned()),
            ..ConnectionInfo::default()
        };
        transport::tls(&transport::config(&info, "test/1").unwrap(), &info).unwrap()
    }

    /// Whether a server with this certificate and key is believed, in both versions of TLS.
    fn check(
        trusted: &str,
        name: &'static str,
        shown: &CertificateDer<'static>,
        key: &KeyPair,
    ) -> Result<(), Error> {
        let old = connect(trusting(trusted), name, server(shown, key, &TLS12));
        let new = connect(trusting(trusted), name, server(shown, key, &TLS13));
        assert_eq!(old.is_ok(), new.is_ok(), "{old:?} {new:?}");
        new
    }

    /// W-AUT-021: as `openssl req -x509` makes certificates.
    #[test]
    fn a_server_that_is_its_own_authority_is_believed_if_it_is_the_one_that_was_named() {
        let made = authority(2999);
        check(&made.pem, NAME, &made.der, &made.key).unwrap();
    }

    /// W-AUT-021.
    #[test]
    fn another_server_that_is_its_own_authority_is_refused() {
        let (trusted, other) = (authority(2999), authority(2999));
        let error = check(&trusted.pem, NAME, &other.der, &other.key).unwrap_err();
        assert!(is_authority(&error), "{error}");
    }

    /// W-AUT-021: what is trusted must be the server's as well: whoever only shows its certificate cannot sign.
    #[test]
    fn the_certificate_of_an_authority_without_its_key_is_refused() {
        let (trusted, other) = (authority(2999), authority(2999));
        let error = check(&trusted.pem, NAME, &trusted.der, &other.key).unwrap_err();
        assert_eq!(error, Error::InvalidCertificate(CertificateError::BadSignature));
    }

    /// W-AUT-021.
    #[test]
    fn a_server_that_is_its_own_authority_is_refused_under_another_name() {
        let made = authority(2999);
        let error = check(&made.pem, "other.test", &made.der, &made.key).unwrap_err();
        let Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) = error else {
            panic!("{error}")
        };
    }

    /// W-AUT-021.
    #[test]
    fn a_server_that_is_its_own_authority_is_refused_when_it_has_expired() {
        let made = authority(2002);
        let error = check(&made.pem, NAME, &made.der, &made.key).unwrap_err();
        let Error::InvalidCertificate(CertificateError::ExpiredContext { .. }) = error else {
            panic!("{error}")
        };
    }

    /// W-AUT-012: the authorities of pods are renewed in place.
    #[tokio::test(start_paused = true)]
    async fn a_file_with_authorities_is_read_again() {
        let (before, after) = (authority(2999), authority(2999));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        std::fs::write(&path, &before.pem).unwrap();
        let _provider = trusting(&before.pem);
        let file = Trust::in_file(&path).unwrap();
        let believes = |made: &Made| {
            let name = NAME.try_into().unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
            file.verify_server_cert(&made.der, &[], &name, &[], now).is_ok()
        };
        assert_eq!([believes(&before), believes(&after)], [true, false]);
        std::fs::write(&path, &after.pem).unwrap();
        assert_eq!([believes(&before), believes(&after)], [true, false]);
        tokio::time::advance(KEPT).await;
        assert_eq!([believes(&before), believes(&after)], [false, true]);
        std::fs::write(&path, "broken").unwrap();
        tokio::time::advance(KEPT).await;
        assert_eq!([believes(&before), believes(&after)], [false, true]);
    }
}
