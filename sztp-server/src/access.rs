//! Who is at the other end of a request to the admin API, and in which role.
//!
//! A token of this server, a token of an OIDC provider, or a client certificate. Which role an
//! operation takes is said where the operation is ([`crate::admin_api`]).

pub(crate) mod attempts;
mod certificate;
mod oidc;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, header};
use sztp_cms::UnixTime;

use crate::config::AccessConfig;
use crate::model::Role;
use crate::service::Peer;
use crate::{AccessError, Service, ServiceError};

use self::attempts::Attempts;
use self::oidc::Provider;

pub use oidc::BearerError;

/// Somebody who has proved who they are; only [`Access::authenticate`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// Name of the token, subject of the certificate or of the OIDC token.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// `token`, `oidc` or `certificate`.
    pub(crate) by: &'static str,
}

impl Principal {
    /// Whether they may do what takes this role.
    pub(crate) fn require(&self, needed: Role) -> Result<(), AccessError> {
        if self.role >= needed {
            return Ok(());
        }
        Err(AccessError::Forbidden {
            name: self.name.clone(),
            has: self.role,
            needed,
        })
    }
}

/// Judges who may come in; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: AccessConfig,
    attempts: Attempts,
    provider: Option<Provider>,
}

impl Access {
    pub(crate) fn new(config: AccessConfig) -> Self {
        Self(Arc::new(Inner {
            attempts: Attempts::new(config.failed_attempts_per_minute),
            provider: config.oidc.clone().map(Provider::new),
            config,
        }))
    }

    /// Who asks. An address that guesses is not listened to for a while, whatever it shows then:
    /// otherwise it could go on guessing.
    pub(crate) async fn authenticate(
        &self,
        service: &Service,
        peer: &Peer,
        headers: &HeaderMap,
        now: UnixTime,
    ) -> Result<Principal, ServiceError> {
        let Some(token) = bearer(headers) else {
            return self.by_certificate(service, peer, now);
        };
        let address = peer.address.ip();
        if let Some(retry_after_secs) = self.0.attempts.closed(address, now) {
            return Err(AccessError::TooManyAttempts { retry_after_secs }.into());
        }
        let result = self.by_token(service, token, now).await;
        if let Err(ServiceError::Access(error)) = &result {
            self.failed(address, error, now);
        }
        result
    }

    async fn by_token(
        &self,
        service: &Service,
        token: &str,
        now: UnixTime,
    ) -> Result<Principal, ServiceError> {
        // Our own tokens have no dot; the tokens of OIDC providers have two.
        if let Some(provider) = self.0.provider.as_ref().filter(|_| token.contains('.')) {
            let (name, role) = provider
                .judge(token, now)
                .await
                .map_err(AccessError::from)?;
            return Ok(Principal {
                name,
                role,
                by: "oidc",
            });
        }
        let known = service.token_of(token, now).await?;
        let known = known.ok_or(AccessError::TokenRefused)?;
        Ok(Principal {
            name: known.name,
            role: known.role,
            by: "token",
        })
    }

    fn by_certificate(
        &self,
        service: &Service,
        peer: &Peer,
        now: UnixTime,
    ) -> Result<Principal, ServiceError> {
        let materials = service.materials();
        let Some(anchors) = &materials.operator_anchors else {
            return Err(AccessError::Unauthenticated.into());
        };
        let (name, role) = certificate::judge(&self.0.config.certificates, peer, anchors, now)?;
        Ok(Principal {
            name,
            role,
            by: "certificate",
        })
    }

    fn failed(&self, address: IpAddr, error: &AccessError, now: UnixTime) {
        tracing::warn!(%address, code = error.code(), %error, "a log-in failed");
        // A provider that cannot be reached is no guess.
        let guessed = !matches!(
            error,
            AccessError::Bearer(BearerError::KeysUnavailable { .. })
        );
        if guessed {
            self.0.attempts.failed(address, now);
        }
    }
}

/// What follows `Bearer` (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}
