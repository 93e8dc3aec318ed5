//! The IDevID's private key: in a file, or in a PKCS#11 token, such as a TPM with that layer.

use std::path::Path;
use std::sync::Arc;

use sztp_cms::{Decryptor, Signer, SigningKey, TlsKey};
#[cfg(feature = "pkcs11")]
use sztp_cms::{Pkcs11Error, Pkcs11Module, Pkcs11Signer, Pkcs11Uri};

use crate::failure::Failure;
use crate::files;

/// The private key, wherever it is.
#[derive(Debug, Clone)]
pub(super) enum IdevidKey {
    InMemory(SigningKey),
    #[cfg(feature = "pkcs11")]
    InToken(Arc<Pkcs11Signer>),
}

impl IdevidKey {
    /// `place` is a file or a `pkcs11:` URI (RFC 7512), whose PIN may be the passphrase.
    pub(super) fn open(
        place: &Path,
        module: Option<&Path>,
        passphrase_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        match place.to_str().filter(|text| text.starts_with("pkcs11:")) {
            None => files::read_key(place, passphrase_file).map(Self::InMemory),
            Some(uri) => Self::in_token(uri, module, passphrase_file),
        }
    }

    #[cfg(feature = "pkcs11")]
    fn in_token(
        uri: &str,
        module: Option<&Path>,
        passphrase_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        // The URI may hold the PIN, and is not named.
        let failed = |error: Pkcs11Error| {
            Failure::new(error.code(), &error)
                .rule(error.rule())
                .within("idevid-key")
        };
        let uri: Pkcs11Uri = uri.parse().map_err(failed)?;
        let path = module
            .or_else(|| uri.module_path().map(Path::new))
            .ok_or_else(|| failed(Pkcs11Error::NoModule).hint("--pkcs11-module"))?;
        let module = Pkcs11Module::load(path).map_err(failed)?;
        let words = passphrase_file.map(files::read_text).transpose()?;
        let pin = words
            .as_deref()
            .map(|words| words.trim_end_matches(['\r', '\n']));
        let opened = match module.signer(&uri, pin) {
            Err(Pkcs11Error::PinRequired) => match std::env::var("SZTP_PASSPHRASE") {
                Ok(pin) => module.signer(&uri, Some(&pin)),
                Err(_) => Err(Pkcs11Error::PinRequired),
            },
            other => other,
        };
        opened
            .map(|key| Self::InToken(Arc::new(key)))
            .map_err(failed)
    }

    #[cfg(not(feature = "pkcs11"))]
    fn in_token(_: &str, _: Option<&Path>, _: Option<&Path>) -> Result<Self, Failure> {
        Err(Failure::new(
            "agent.no-pkcs11",
            "keys in tokens need a build with PKCS#11, and this is none",
        )
        .within("idevid-key")
        .hint("cargo build --features pkcs11"))
    }

    pub(super) fn signer(&self) -> Arc<dyn Signer> {
        match self {
            Self::InMemory(key) => Arc::new(key.clone()),
            #[cfg(feature = "pkcs11")]
            Self::InToken(key) => key.clone(),
        }
    }

    pub(super) fn tls(&self) -> TlsKey {
        match self {
            Self::InMemory(key) => key.clone().into(),
            #[cfg(feature = "pkcs11")]
            Self::InToken(_) => self.signer().into(),
        }
    }

    /// None if the token does not let the key decrypt.
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(clippy::unnecessary_wraps, reason = "a key in a token may not decrypt")
    )]
    pub(super) fn decryptor(&self) -> Option<Arc<dyn Decryptor>> {
        match self {
            Self::InMemory(key) => Some(Arc::new(key.clone())),
            #[cfg(feature = "pkcs11")]
            Self::InToken(key) => {
                let can = key.can_decrypt();
                can.then(|| key.clone() as Arc<dyn Decryptor>)
            }
        }
    }
}
