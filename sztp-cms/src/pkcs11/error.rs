//! Why a key in a token cannot be used.

use crate::{KeyError, Rule};

/// A `pkcs11:` URI, a token or a key in it that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Error {
    /// Not a PKCS#11 URI as RFC 7512 §2.3 has it.
    #[error("not a pkcs11: URI: {reason}")]
    Uri {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The URI names no module and none was given.
    #[error("no PKCS#11 module: the URI has no module-path")]
    NoModule,
    /// The module cannot be loaded or initialised.
    #[error("the PKCS#11 module cannot be loaded: {reason}")]
    Module {
        /// What the system or the module says.
        reason: String,
    },
    /// No token fits the URI.
    #[error("no token fits the URI")]
    NoToken,
    /// No private key fits the URI; tokens may hide keys without a login.
    #[error("no private key in the token fits the URI")]
    NoKey,
    /// Several tokens or keys fit the URI, which must name one.
    #[error("{count} {what} fit the URI")]
    Ambiguous {
        /// Tokens or keys.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// The token wants a PIN and none was given.
    #[error("the token wants a PIN")]
    PinRequired,
    /// The file that pin-source names cannot be used.
    #[error("pin-source: {reason}")]
    PinSource {
        /// Why.
        reason: &'static str,
    },
    /// The token refuses the PIN.
    #[error("the token refuses the PIN")]
    PinIncorrect,
    /// The token is locked after too many wrong PINs.
    #[error("the token's PIN is locked")]
    PinLocked,
    /// The key wants the PIN again for every signature (CKA_ALWAYS_AUTHENTICATE).
    #[error("the key wants its PIN for every signature")]
    AlwaysAuthenticate,
    /// The token has neither the public key nor a certificate that belongs to the private key.
    #[error("the public key is not in the token")]
    NoPublicKey,
    /// The key is of a kind that is not accepted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The token failed.
    #[error("the token failed: {reason}")]
    Token {
        /// What it says.
        reason: String,
    },
}

impl Pkcs11Error {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Uri { .. } => "pkcs11.uri",
            Self::NoModule => "pkcs11.no-module",
            Self::Module { .. } => "pkcs11.module",
            Self::NoToken => "pkcs11.no-token",
            Self::NoKey => "pkcs11.no-key",
            Self::Ambiguous { .. } => "pkcs11.ambiguous",
            Self::PinRequired => "pkcs11.pin-required",
            Self::PinSource { .. } => "pkcs11.pin-source",
            Self::PinIncorrect => "pkcs11.pin-incorrect",
            Self::PinLocked => "pkcs11.pin-locked",
            Self::AlwaysAuthenticate => "pkcs11.always-authenticate",
            Self::NoPublicKey => "pkcs11.no-public-key",
            Self::Key(inner) => inner.code(),
            Self::Token { .. } => "pkcs11.token",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Uri { .. } => Rule::new(7512, "2.3", "PKCS #11 URI syntax"),
            Self::Key(inner) => inner.rule(),
            Self::NoModule
            | Self::PinRequired
            | Self::PinSource { .. }
            | Self::PinIncorrect
            | Self::PinLocked => Rule::new(7512, "2.4", "query attributes"),
            _ => Rule::new(7512, "2.5", "PKCS #11 URI matching"),
        }
    }
}
