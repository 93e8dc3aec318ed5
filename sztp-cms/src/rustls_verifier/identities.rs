//! Several certificates of one server, and which of them a client is shown.
//!
//! An RSA certificate beside an ECDSA one serves devices that know only the older of the two.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, Error, SignatureAlgorithm};

use super::certified;
use crate::{Certificate, SigningKey};

/// The server's identities, the preferred one first.
#[derive(Debug)]
pub(super) struct Identities(Vec<Arc<CertifiedKey>>);

impl Identities {
    pub(super) fn new(identities: &[(Vec<Certificate>, SigningKey)]) -> Result<Self, Error> {
        let all: Result<Vec<_>, Error> = identities
            .iter()
            .map(|(chain, key)| certified(chain, key).map(Arc::new))
            .collect();
        match all? {
            none if none.is_empty() => {
                let reason = "a server without certificate".to_owned();
                Err(Error::General(reason))
            }
            all => Ok(Self(all)),
        }
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits = |identity: &&Arc<CertifiedKey>| {
            let key = &identity.key;
            key.choose_scheme(hello.signature_schemes()).is_some()
                && is_negotiable(key.algorithm(), hello.cipher_suites())
        };
        self.0
            .iter()
            .find(suits)
            .or_else(|| self.0.first())
            .cloned()
    }
}

/// Whether a cipher suite of the client goes with a certificate of this kind: in TLS 1.2 the suite
/// names it (RFC 8422 §2), from TLS 1.3 on it does not.
fn is_negotiable(algorithm: SignatureAlgorithm, offered: &[CipherSuite]) -> bool {
    use CipherSuite as C;
    let wanted: &[CipherSuite] = match algorithm {
        SignatureAlgorithm::RSA => &[
            C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        _ => &[
            C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
    };
    let from_13 = [
        C::TLS13_AES_128_GCM_SHA256,
        C::TLS13_AES_256_GCM_SHA384,
        C::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    offered
        .iter()
        .any(|suite| wanted.contains(suite) || from_13.contains(suite))
}
