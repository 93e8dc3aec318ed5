//! Certificates in TLS judged by this crate's path validation, so that a chain means the same
//! everywhere.
//!
//! The signatures of the handshake are verified with [`PublicKey`](crate::PublicKey) too: rustls' own verifier does
//! not read X.509 version 1 certificates, which devices and owners do have.

mod identities;
mod tls_key;

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime as RustlsTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError as RustlsCertificateError, ClientConfig, DigitallySignedStruct,
    DistinguishedName, Error, OtherError, ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

use self::identities::Identities;
use self::tls_key::NOT_ITS_KEY;
pub use self::tls_key::TlsKey;
#[cfg(feature = "ml-dsa")]
use crate::MlDsaParameterSet;
use crate::{
    Certificate, DigestAlgorithm, PathError, PathOptions, SignatureAlgorithm, SigningKey,
    TrustAnchors, WallClock, certificate_names_host, validate_path,
};

/// Asks clients for a certificate, never requires one, and has them prove that they hold its key.
///
/// Whether the certificate is to be trusted is judged after the handshake, with
/// [`validate_path`]: a client that is refused then gets an answer that says why.
#[derive(Debug)]
pub struct AnyClientCertificate {
    hints: Vec<DistinguishedName>,
}

impl AnyClientCertificate {
    /// `anchors` are named to the client as a hint which of its certificates to send.
    pub fn new(anchors: &TrustAnchors) -> Self {
        let hints = anchors
            .iter()
            .map(|anchor| DistinguishedName::from(anchor.subject_der().to_vec()))
            .collect();
        Self { hints }
    }
}

impl ClientCertVerifier for AnyClientCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: RustlsTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// How a client judges the server that it connects to.
#[derive(Debug, Clone)]
pub enum ServerTrust {
    /// The path must end in an anchor and the certificate must name the host (RFC 9525).
    Anchors {
        /// Where the path must end.
        anchors: TrustAnchors,
        /// DNS name or IP address, as in the URL.
        host: String,
        /// The time of the check.
        clock: WallClock,
    },
    /// Any certificate is taken, blindly (RFC 8572 §5.5): nothing received may be trusted for it.
    Provisional,
}

/// Judges servers by a [`ServerTrust`].
#[derive(Debug)]
pub struct ServerVerifier {
    trust: ServerTrust,
}

impl ServerVerifier {
    /// A verifier for one connection.
    pub fn new(trust: ServerTrust) -> Self {
        Self { trust }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: RustlsTime,
    ) -> Result<ServerCertVerified, Error> {
        let ServerTrust::Anchors {
            anchors,
            host,
            clock,
        } = &self.trust
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let end_entity = read(end_entity)?;
        let intermediates: Vec<Certificate> = intermediates
            .iter()
            .take(MAX_CHAIN)
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect();
        validate_path(
            &end_entity,
            &intermediates,
            anchors,
            *clock,
            &PathOptions::default(),
        )
        .map_err(path_error)?;
        if certificate_names_host(&end_entity, host) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                RustlsCertificateError::NotValidForName,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// The versions of TLS that a client offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3.
    #[default]
    All,
    /// TLS 1.2 alone, as devices with older software do.
    UpTo12,
    /// TLS 1.3 alone.
    From13,
}

/// A client for one connection that shows `identity` (end-entity certificate first) when it is
/// asked to.
pub fn client_config(
    verifier: ServerVerifier,
    identity: Option<(&[Certificate], &SigningKey)>,
) -> Result<ClientConfig, Error> {
    client_config_speaking(TlsVersions::All, verifier, identity)
}

/// The same with a choice of versions.
pub fn client_config_speaking(
    versions: TlsVersions,
    verifier: ServerVerifier,
    identity: Option<(&[Certificate], &SigningKey)>,
) -> Result<ClientConfig, Error> {
    let key = identity.map(|(_, key)| TlsKey::from(key.clone()));
    let identity = identity.zip(key.as_ref());
    let identity = identity.map(|((chain, _), key)| (chain, key));
    client_config_with_key(versions, verifier, identity)
}

/// The same with a key that need not be in memory.
pub fn client_config_with_key(
    versions: TlsVersions,
    verifier: ServerVerifier,
    identity: Option<(&[Certificate], &TlsKey)>,
) -> Result<ClientConfig, Error> {
    let versions: &[&SupportedProtocolVersion] = match versions {
        TlsVersions::All => &[&TLS13, &TLS12],
        TlsVersions::UpTo12 => &[&TLS12],
        TlsVersions::From13 => &[&TLS13],
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.certified(chain)?))),
    };
    // One connection has nothing to resume, and the cache for it is larger than all else.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A server that shows `chain` (end-entity certificate first) and asks for client certificates.
pub fn server_config(
    chain: &[Certificate],
    key: &SigningKey,
    verifier: AnyClientCertificate,
) -> Result<ServerConfig, Error> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified(chain, key)?)));
    Ok(config)
}

/// A server with several identities, each an end-entity certificate with its chain and key, of
/// which it shows the first that a client can judge; where none can be, the first.
pub fn server_config_with_identities(
    identities: &[(Vec<Certificate>, SigningKey)],
    verifier: AnyClientCertificate,
) -> Result<ServerConfig, Error> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(Identities::new(identities)?));
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
        .clone()
}

/// Not `CertifiedKey::from_der`, which reads the certificate and refuses version 1.
fn certified(chain: &[Certificate], key: &SigningKey) -> Result<CertifiedKey, Error> {
    let fits = chain
        .first()
        .is_some_and(|end_entity| end_entity.spki_der() == key.public_key().spki_der());
    if !fits {
        return Err(Error::General(NOT_ITS_KEY.to_owned()));
    }
    let der = key
        .to_pkcs8_der()
        .map_err(|error| Error::General(error.to_string()))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der.as_slice()));
    let key = aws_lc_rs::sign::any_supported_type(&key)?;
    let chain = chain
        .iter()
        .map(|one| CertificateDer::from(one.as_der().to_vec()))
        .collect();
    Ok(CertifiedKey::new(chain, key))
}

fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithm = algorithm(signature.scheme).ok_or(Error::InvalidCertificate(
        RustlsCertificateError::BadEncoding,
    ))?;
    let certificate = read(certificate)?;
    let key = certificate
        .public_key()
        .map_err(|error| invalid(OtherError(Arc::new(error))))?;
    key.verify(algorithm, message, signature.signature())
        .map_err(|_| Error::InvalidCertificate(RustlsCertificateError::BadSignature))?;
    Ok(HandshakeSignatureValid::assertion())
}

fn algorithm(scheme: SignatureScheme) -> Option<SignatureAlgorithm> {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => Some(SignatureAlgorithm::Ecdsa(Sha256)),
        SignatureScheme::ECDSA_NISTP384_SHA384 => Some(SignatureAlgorithm::Ecdsa(Sha384)),
        SignatureScheme::ECDSA_NISTP521_SHA512 => Some(SignatureAlgorithm::Ecdsa(Sha512)),
        SignatureScheme::ED25519 => Some(SignatureAlgorithm::Ed25519),
        #[cfg(feature = "ml-dsa")]
        SignatureScheme::ML_DSA_44 => Some(SignatureAlgorithm::MlDsa(MlDsaParameterSet::MlDsa44)),
        #[cfg(feature = "ml-dsa")]
        SignatureScheme::ML_DSA_65 => Some(SignatureAlgorithm::MlDsa(MlDsaParameterSet::MlDsa65)),
        #[cfg(feature = "ml-dsa")]
        SignatureScheme::ML_DSA_87 => Some(SignatureAlgorithm::MlDsa(MlDsaParameterSet::MlDsa87)),
        SignatureScheme::RSA_PSS_SHA256 => Some(SignatureAlgorithm::RsaPss(Sha256)),
        SignatureScheme::RSA_PSS_SHA384 => Some(SignatureAlgorithm::RsaPss(Sha384)),
        SignatureScheme::RSA_PSS_SHA512 => Some(SignatureAlgorithm::RsaPss(Sha512)),
        SignatureScheme::RSA_PKCS1_SHA256 => Some(SignatureAlgorithm::RsaPkcs1(Sha256)),
        SignatureScheme::RSA_PKCS1_SHA384 => Some(SignatureAlgorithm::RsaPkcs1(Sha384)),
        SignatureScheme::RSA_PKCS1_SHA512 => Some(SignatureAlgorithm::RsaPkcs1(Sha512)),
        _ => None,
    }
}

fn read(der: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(der)
        .map_err(|_| Error::InvalidCertificate(RustlsCertificateError::BadEncoding))
}

fn path_error(error: PathError) -> Error {
    match error {
        PathError::Expired { .. } => Error::InvalidCertificate(RustlsCertificateError::Expired),
        PathError::NotYetValid { .. } => {
            Error::InvalidCertificate(RustlsCertificateError::NotValidYet)
        }
        other => invalid(OtherError(Arc::new(other))),
    }
}

fn invalid(error: OtherError) -> Error {
    Error::InvalidCertificate(RustlsCertificateError::Other(error))
}

/// The most certificates of a server that are looked at.
const MAX_CHAIN: usize = 16;

const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    #[cfg(feature = "ml-dsa")]
    SignatureScheme::ML_DSA_44,
    #[cfg(feature = "ml-dsa")]
    SignatureScheme::ML_DSA_65,
    #[cfg(feature = "ml-dsa")]
    SignatureScheme::ML_DSA_87,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use rustls::{ClientConnection, ProtocolVersion, ServerConnection};

    use super::*;
    use crate::{CertificateBuilder, KeyType, UnixTime};

    #[test]
    fn versions_of_tls_as_chosen() {
        let key = SigningKey::generate(KeyType::EcP256).unwrap();
        let certificate = CertificateBuilder::new("CN=server")
            .validity(UnixTime::from_secs(0), None)
            .self_signed(&key)
            .unwrap();
        let anchors = TrustAnchors::new([certificate.clone()]);
        let verifier = AnyClientCertificate::new(&anchors);
        let server = Arc::new(server_config(&[certificate], &key, verifier).unwrap());
        for (versions, spoken) in [
            (TlsVersions::All, ProtocolVersion::TLSv1_3),
            (TlsVersions::UpTo12, ProtocolVersion::TLSv1_2),
            (TlsVersions::From13, ProtocolVersion::TLSv1_3),
        ] {
            let judge = ServerVerifier::new(ServerTrust::Provisional);
            let config = client_config_speaking(versions, judge, None).unwrap();
            let name = ServerName::try_from("server").unwrap();
            let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
            let mut server = ServerConnection::new(server.clone()).unwrap();
            while client.is_handshaking() || server.is_handshaking() {
                let mut octets = Vec::new();
                while client.wants_write() {
                    client.write_tls(&mut octets).unwrap();
                }
                server.read_tls(&mut Cursor::new(octets)).unwrap();
                server.process_new_packets().unwrap();
                let mut octets = Vec::new();
                while server.wants_write() {
                    server.write_tls(&mut octets).unwrap();
                }
                client.read_tls(&mut Cursor::new(octets)).unwrap();
                client.process_new_packets().unwrap();
            }
            assert_eq!(client.protocol_version(), Some(spoken), "{versions:?}");
        }
    }
}
