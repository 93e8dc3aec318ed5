//! Tokens of an OIDC provider: a JWT (RFC 7519) in a signed JWS (RFC 7515) with RS256 or ES256
//! (RFC 7518), judged by issuer, audience, time and role.

mod fetch;
mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sztp_cms::UnixTime;
use thiserror::Error;

use crate::config::OidcConfig;
use crate::model::Role;

use self::keys::{Algorithm, KeySource};

/// Why the token of an OIDC provider is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BearerError {
    /// No JWS in compact form with a JSON object in it.
    #[error("it is no JWT")]
    Malformed,
    /// Not an algorithm that is accepted; `none` never is.
    #[error("its algorithm {name:?} is not accepted")]
    Algorithm {
        /// As the header says.
        name: String,
    },
    /// The provider has no such key.
    #[error("the provider has no key for it")]
    KeyUnknown,
    /// The keys cannot be read.
    #[error("the provider's keys are not to be had: {reason}")]
    KeysUnavailable {
        /// Why.
        reason: String,
    },
    /// Signed by somebody else.
    #[error("its signature is wrong")]
    Signature,
    /// Of another provider.
    #[error("it is of another issuer")]
    Issuer,
    /// For another server.
    #[error("it is for another audience")]
    Audience,
    /// Too old, or without an end.
    #[error("it has expired")]
    Expired,
    /// Not yet.
    #[error("it is not yet valid")]
    NotYetValid,
    /// A claim that is needed is not there.
    #[error("it has no claim {claim:?}")]
    ClaimMissing {
        /// Which one.
        claim: String,
    },
    /// Nothing in it is a role here.
    #[error("it gives no role here")]
    NoRole,
}

impl BearerError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "oidc.malformed",
            Self::Algorithm { .. } => "oidc.algorithm",
            Self::KeyUnknown => "oidc.key-unknown",
            Self::KeysUnavailable { .. } => "oidc.keys-unavailable",
            Self::Signature => "oidc.signature",
            Self::Issuer => "oidc.issuer",
            Self::Audience => "oidc.audience",
            Self::Expired => "oidc.expired",
            Self::NotYetValid => "oidc.not-yet-valid",
            Self::ClaimMissing { .. } => "oidc.claim-missing",
            Self::NoRole => "oidc.no-role",
        }
    }
}

/// A provider and its keys.
#[derive(Debug)]
pub(super) struct Provider {
    config: OidcConfig,
    keys: KeySource,
}

impl Provider {
    pub(super) fn new(config: OidcConfig) -> Self {
        let keys = KeySource::new(&config);
        Self { config, keys }
    }

    /// Whose token it is, and what it allows.
    pub(super) async fn judge(
        &self,
        token: &str,
        now: UnixTime,
    ) -> Result<(String, Role), BearerError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(BearerError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(BearerError::Malformed)?;
        let header = object(header)?;
        let algorithm = text(&header, "alg").unwrap_or_default();
        let algorithm = Algorithm::from_name(algorithm).ok_or_else(|| BearerError::Algorithm {
            name: algorithm.chars().take(20).collect(),
        })?;
        // RFC 7515 §4.1.11: what must be understood and is not.
        if header.contains_key("crit") {
            return Err(BearerError::Malformed);
        }
        let signature = octets(signature)?;
        self.keys
            .verify(
                algorithm,
                text(&header, "kid"),
                signed.as_bytes(),
                &signature,
                now,
            )
            .await?;
        judge_claims(&self.config, &object(claims)?, now)
    }
}

/// RFC 7519 §4.1 and OpenID Connect Core §3.1.3.7.
fn judge_claims(
    config: &OidcConfig,
    claims: &Map<String, Value>,
    now: UnixTime,
) -> Result<(String, Role), BearerError> {
    if text(claims, "iss") != Some(config.issuer.as_str()) {
        return Err(BearerError::Issuer);
    }
    if !strings(claims.get("aud")).any(|audience| audience == config.audience) {
        return Err(BearerError::Audience);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let now = now.secs() as f64;
    let time = |name: &str| claims.get(name).map(Value::as_f64);
    match time("exp") {
        Some(Some(end)) if now < end + LEEWAY_SECS => {}
        _ => return Err(BearerError::Expired),
    }
    for name in ["nbf", "iat"] {
        match time(name) {
            None => {}
            Some(Some(begin)) if begin - LEEWAY_SECS <= now => {}
            Some(_) => return Err(BearerError::NotYetValid),
        }
    }
    let name = at_path(claims, &config.name_claim)
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| BearerError::ClaimMissing {
            claim: config.name_claim.clone(),
        })?;
    let given: Vec<&str> = strings(at_path(claims, &config.role_claim))
        .flat_map(str::split_ascii_whitespace)
        .collect();
    let has = |values: &[String]| values.iter().any(|value| given.contains(&value.as_str()));
    let role = if has(&config.roles.admin) {
        Role::Admin
    } else if has(&config.roles.operator) {
        Role::Operator
    } else if has(&config.roles.viewer) {
        Role::Viewer
    } else {
        return Err(BearerError::NoRole);
    };
    Ok((name.chars().take(128).collect(), role))
}

fn octets(part: &str) -> Result<Vec<u8>, BearerError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| BearerError::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, BearerError> {
    serde_json::from_slice(&octets(part)?).map_err(|_| BearerError::Malformed)
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// `realm_access.roles` is where some providers keep roles; a claim may also be a URL with dots.
fn at_path<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at_path(claims.get(first)?.as_object()?, rest)
}

/// One string, or the strings of a list.
fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = match value {
        Some(Value::Array(list)) => list.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    list.iter().filter_map(Value::as_str)
}

/// How far clocks may be apart.
const LEEWAY_SECS: f64 = 60.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(claims: Value) -> Result<(String, Role), BearerError> {
        let config = OidcConfig {
            issuer: "https://idp.example".to_owned(),
            audience: "sztp".to_owned(),
            jwks: String::new(),
            jwks_anchors: Vec::new(),
            jwks_max_age_secs: 300,
            name_claim: "sub".to_owned(),
            role_claim: "realm_access.roles".to_owned(),
            roles: crate::config::OidcRoles::default(),
        };
        let Value::Object(claims) = claims else {
            panic!("{claims}")
        };
        judge_claims(&config, &claims, UnixTime::from_secs(10_000))
    }

    #[test]
    fn claims() {
        let good = json!({"iss": "https://idp.example", "aud": ["x", "sztp"], "exp": 10_100,
            "nbf": 9_000, "iat": 9_000.5, "sub": "alice", "realm_access": {"roles": ["operator", "viewer"]}});
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            judged(claims)
        };
        assert_eq!(
            judged(good.clone()),
            Ok(("alice".to_owned(), Role::Operator))
        );
        assert_eq!(
            with("aud", json!("sztp")).map(|it| it.1),
            Ok(Role::Operator)
        );
        let admin = json!({"roles": "viewer admin"});
        assert_eq!(with("realm_access", admin).map(|it| it.1), Ok(Role::Admin));
        for (name, value, error) in [
            ("iss", json!("https://idp.example/"), BearerError::Issuer),
            ("aud", json!("other"), BearerError::Audience),
            ("aud", json!(null), BearerError::Audience),
            ("exp", json!(9_940), BearerError::Expired),
            ("exp", json!("later"), BearerError::Expired),
            ("exp", json!(null), BearerError::Expired),
            ("nbf", json!(10_061), BearerError::NotYetValid),
            ("iat", json!("now"), BearerError::NotYetValid),
            (
                "realm_access",
                json!({"roles": ["administrator"]}),
                BearerError::NoRole,
            ),
            ("realm_access", json!(["admin"]), BearerError::NoRole),
            (
                "sub",
                json!(7),
                BearerError::ClaimMissing {
                    claim: "sub".to_owned(),
                },
            ),
        ] {
            assert_eq!(with(name, value.clone()), Err(error), "{name} {value}");
        }
    }
}
