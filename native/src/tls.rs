//! TLS: whom we trust, and what becomes of a server that we don't.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

use crate::failure::{Failure, Kind};
use crate::locked;

/// Where the trusted certificates are.
#[derive(Clone, Default)]
pub struct Roots {
    /// Files and directories that the environment names; none: the platform's own.
    pub places: Option<(Vec<PathBuf>, Vec<PathBuf>)>,
}

/// Whom all event loops of a client trust. Nothing is read before it is needed, and then once.
pub struct Trust {
    roots: Roots,
    tls: Mutex<Option<Arc<Tls>>>,
}

impl Trust {
    /// In those whose certificates are there.
    pub fn new(roots: Roots) -> Arc<Self> {
        let tls = Mutex::default();
        Arc::new(Self { roots, tls })
    }

    /// What comes of it. Waits for whoever reads the certificates at this moment.
    pub fn tls(&self) -> Result<Arc<Tls>, Failure> {
        let mut known = locked(&self.tls);
        if let Some(tls) = &*known {
            return Ok(tls.clone());
        }
        let tls = Arc::new(Tls::load(&self.roots)?);
        Ok(known.insert(tls).clone())
    }
}

/// How to speak TLS: with servers, which may know HTTP/2, and with proxies, for which we don't.
pub struct Tls {
    /// With servers.
    pub servers: Arc<ClientConfig>,
    /// With proxies.
    pub proxies: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the certificates: some milliseconds of work.
    fn load(roots: &Roots) -> Result<Self, Failure> {
        let found = roots.certificates();
        if found.certs.is_empty() {
            let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
            return Err(Failure::new(Kind::Roots, reasons.join("; ")));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs.iter().cloned());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
                .build()
                .map_err(|error| Failure::new(Kind::Roots, error.to_string()))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(Kind::Tls, error.to_string()))?
            .dangerous() // as the builder calls each verifier that is not its own
            .with_custom_certificate_verifier(Arc::new(Verifier {
                verifier,
                trusted: found.certs,
            }))
            .with_no_client_auth();
        Ok(Self {
            servers: speaking(&config, &[b"h2", b"http/1.1"]),
            proxies: speaking(&config, &[b"http/1.1"]),
        })
    }
}

impl Roots {
    fn certificates(&self) -> CertificateResult {
        let Some((files, directories)) = &self.places else {
            return load_native_certs();
        };
        let mut all = CertificateResult::default();
        for (file, directory) in files
            .iter()
            .map(|file| (Some(file), None))
            .chain(directories.iter().map(|directory| (None, Some(directory))))
        {
            let found =
                load_certs_from_paths(file.map(PathBuf::as_path), directory.map(PathBuf::as_path));
            all.certs.extend(found.certs);
            all.errors.extend(found.errors);
        }
        all
    }
}

fn speaking(config: &ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// As `WebPkiServerVerifier`, but a server may show a trusted certificate itself, as OpenSSL lets it.
///
/// That is what a self-signed certificate is: of an authority and of its only server in one. That it
/// is valid today was found before it is refused for being an authority's.
#[derive(Debug)]
struct Verifier {
    verifier: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verdict {
            Err(error) if is_authority(&error) && self.trusted.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(
        other.0.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

/// Why there is no TLS, from what rustls or the socket says.
pub fn not_shaken(error: &std::io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidCertificate(reason)) => {
            Failure::new(Kind::Certificate, in_words(reason))
        }
        Some(Error::InvalidMessage(_)) => Failure::new(Kind::Plain, "what came is not TLS"),
        Some(other) => Failure::new(Kind::Tls, other.to_string()),
        None => Failure::new(Kind::Tls, error.to_string()).coded(error.raw_os_error()),
    }
}

fn in_words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "who issued it is not known here".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        other => other.to_string(),
    }
}
