//! Why somebody is not let in, or a token is not made.

use thiserror::Error;

use crate::access::BearerError;
use crate::model::Role;

/// What is wrong with who asks, or with a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Nothing says who it is.
    #[error("a valid token is needed")]
    Unauthenticated,
    /// A token that is unknown, revoked or expired.
    #[error("the token is not valid")]
    TokenRefused,
    /// An OIDC token that does not hold.
    #[error("the bearer token is refused: {0}")]
    Bearer(#[from] BearerError),
    /// A client certificate that gives no role.
    #[error("the client certificate gives no role here: {reason}")]
    CertificateRefused {
        /// Why.
        reason: String,
    },
    /// Too many failed attempts from this address.
    #[error("too many failed attempts to log in from this address")]
    TooManyAttempts {
        /// Seconds after which another is looked at.
        retry_after_secs: u64,
    },
    /// Known, and not allowed to.
    #[error("this needs the role {needed}, and {name:?} has the role {has}")]
    Forbidden {
        /// Who asks.
        name: String,
        /// The role they have.
        has: Role,
        /// The role it takes.
        needed: Role,
    },
    /// Not a name for a token.
    #[error("{name:?} is not a name of 1 to 64 letters, digits and `.`, `_`, `-`, `@`")]
    TokenName {
        /// As given, shortened.
        name: String,
    },
    /// The name is taken.
    #[error("there is already a token {name:?}")]
    TokenExists {
        /// As given.
        name: String,
    },
    /// There is no such token.
    #[error("there is no token {name:?}")]
    TokenMissing {
        /// As given.
        name: String,
    },
    /// Nobody could make another token.
    #[error("{name:?} is the last token with the role admin")]
    LastAdminToken {
        /// As given.
        name: String,
    },
    /// A token that is never valid.
    #[error("expires_in_secs must be from 1 to {limit}")]
    TokenLifetime {
        /// The longest.
        limit: u64,
    },
    /// The operating system has no randomness.
    #[error("no random octets: {reason}")]
    Randomness {
        /// What it says.
        reason: String,
    },
}

impl AccessError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated | Self::TokenRefused => "request.unauthorized",
            Self::Bearer(inner) => inner.code(),
            Self::CertificateRefused { .. } => "request.certificate",
            Self::TooManyAttempts { .. } => "request.too-many-attempts",
            Self::Forbidden { .. } => "request.forbidden",
            Self::TokenName { .. } => "token.name",
            Self::TokenExists { .. } => "token.exists",
            Self::TokenMissing { .. } => "token.missing",
            Self::LastAdminToken { .. } => "token.last-admin",
            Self::TokenLifetime { .. } => "token.lifetime",
            Self::Randomness { .. } => "token.randomness",
        }
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unauthenticated | Self::TokenRefused => {
                "send `Authorization: Bearer TOKEN`; see admin-token in the data directory"
            }
            Self::CertificateRefused { .. } => "add its subject to access.certificates",
            Self::Forbidden { .. } => "ask an admin for a token with that role",
            Self::TokenExists { .. } => "revoke it first, or choose another name",
            Self::LastAdminToken { .. } => "create another with the role admin first",
            _ => return None,
        })
    }
}
