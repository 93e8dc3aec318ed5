//! `[access]`: who may use the admin API besides those who have a token of this server.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::model::Role;

/// Who may use the admin API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Certificates that operators' client certificates must lead to; none: none is asked for.
    pub client_anchors: Vec<PathBuf>,
    /// Which role a client certificate gives; the first that fits counts.
    pub certificates: Vec<CertificateRole>,
    /// Tokens of an OIDC provider.
    pub oidc: Option<OidcConfig>,
    /// Failed attempts per minute after which an address is not listened to until that is over.
    pub failed_attempts_per_minute: u32,
    /// A file with a token that opens /metrics and nothing else.
    pub metrics_token_file: Option<PathBuf>,
}

/// A client certificate, by everything that is named, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRole {
    /// The whole subject, as the server's log prints it.
    #[serde(default)]
    pub subject: Option<String>,
    /// Its common name.
    #[serde(default)]
    pub common_name: Option<String>,
    /// Its organization.
    #[serde(default)]
    pub organization: Option<String>,
    /// What it allows.
    pub role: Role,
}

/// Whose JSON Web Tokens are taken (OpenID Connect Core, RFC 7519), signed with RS256 or ES256.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The claim `iss`, exactly.
    pub issuer: String,
    /// One value of the claim `aud`.
    pub audience: String,
    /// The provider's keys (RFC 7517 §5): a file, or an https:// URL.
    pub jwks: String,
    /// For a URL: certificates that the provider's must lead to.
    #[serde(default)]
    pub jwks_anchors: Vec<PathBuf>,
    /// Seconds after which the keys are read again; sooner where a token names a key that is
    /// not among them.
    #[serde(default = "default_max_age")]
    pub jwks_max_age_secs: u64,
    /// The claim by which the audit log calls somebody.
    #[serde(default = "default_name_claim")]
    pub name_claim: String,
    /// The claim with the roles, a string or a list; dots lead into objects.
    #[serde(default = "default_role_claim")]
    pub role_claim: String,
    /// What it must say for each role.
    #[serde(default)]
    pub roles: OidcRoles,
}

/// Values of the role claim.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcRoles {
    /// For viewers.
    pub viewer: Vec<String>,
    /// For operators.
    pub operator: Vec<String>,
    /// For admins.
    pub admin: Vec<String>,
}

impl AccessConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let value = |key, problem: &str| {
            Err(ConfigError::Value {
                key,
                problem: problem.to_owned(),
            })
        };
        if self.failed_attempts_per_minute == 0 {
            return value("access.failed_attempts_per_minute", "must not be 0");
        }
        for entry in &self.certificates {
            let named = [&entry.subject, &entry.common_name, &entry.organization];
            if named.iter().all(|name| name.is_none()) {
                return value(
                    "access.certificates",
                    "an entry needs subject, common_name or organization",
                );
            }
        }
        if !self.certificates.is_empty() && self.client_anchors.is_empty() {
            return Err(ConfigError::Incomplete {
                have: "access.certificates",
                need: "access.client_anchors too",
            });
        }
        let Some(oidc) = &self.oidc else {
            return Ok(());
        };
        if oidc.issuer.is_empty() || oidc.audience.is_empty() {
            return value("access.oidc", "issuer and audience must not be empty");
        }
        if oidc.jwks.starts_with("http://") {
            return value("access.oidc.jwks", "must be a file or an https:// URL");
        }
        if oidc.jwks.starts_with("https://") && oidc.jwks_anchors.is_empty() {
            return Err(ConfigError::Incomplete {
                have: "access.oidc.jwks with a URL",
                need: "access.oidc.jwks_anchors too",
            });
        }
        Ok(())
    }
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            client_anchors: Vec::new(),
            certificates: Vec::new(),
            oidc: None,
            failed_attempts_per_minute: 10,
            metrics_token_file: None,
        }
    }
}

impl Default for OidcRoles {
    fn default() -> Self {
        let own = |role: Role| vec![role.as_str().to_owned()];
        Self {
            viewer: own(Role::Viewer),
            operator: own(Role::Operator),
            admin: own(Role::Admin),
        }
    }
}

fn default_max_age() -> u64 {
    300
}

fn default_name_claim() -> String {
    "sub".to_owned()
}

fn default_role_claim() -> String {
    "roles".to_owned()
}
