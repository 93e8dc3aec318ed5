//! What is needed in order to issue LDevIDs, or to have them issued.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sztp_cms::{KeyUsage, TrustAnchors};

use super::keys::{self, SignerFiles};
use super::{read, read_all};
use crate::config::{EstConfig, LdevidCaConfig};
use crate::est::EstClient;
use crate::outside::{HttpsPeer, HttpsUrl};
use crate::service::BuiltInCa;
use crate::{ConfigError, ServerError};

/// None: there is none.
pub(super) fn built_in(config: &LdevidCaConfig) -> Result<Option<BuiltInCa>, ServerError> {
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
        return Ok(None);
    };
    let (chain, key) = keys::read_signer(&SignerFiles {
        name: "ldevid.ca",
        certificate,
        key,
        passphrase_file: config.key_passphrase_file.as_deref(),
        passphrase_variable: CA_PASSPHRASE,
        pkcs11_module: config.pkcs11_module.as_deref(),
    })?;
    let issuer = &chain[0];
    let may_issue = issuer.key_usage().is_none_or(KeyUsage::key_cert_sign)
        && issuer
            .basic_constraints()
            .is_some_and(|constraints| constraints.ca);
    if !may_issue {
        return Err(ConfigError::Value {
            key: "ldevid.ca.certificate",
            problem: "is not the certificate of an authority (RFC 5280 section 4.2.1.9)".to_owned(),
        }
        .into());
    }
    Ok(Some(BuiltInCa { chain, key }))
}

/// None: there is none.
pub(super) fn est(config: &EstConfig) -> Result<Option<EstClient>, ServerError> {
    let Some(url) = &config.url else {
        return Ok(None);
    };
    let url = HttpsUrl::parse(url).map_err(|problem| ConfigError::Value {
        key: "ldevid.est.url",
        problem,
    })?;
    let identity = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            let passphrase =
                keys::passphrase(config.key_passphrase_file.as_deref(), EST_PASSPHRASE)?;
            let (chain, key) = keys::read_pair(certificate, key, passphrase.as_deref())?;
            Some((chain, key))
        }
        _ => None,
    };
    let authorization = match (&config.user, &config.password_file) {
        (Some(user), Some(file)) => {
            let password = read(file)?;
            let password = String::from_utf8_lossy(&password);
            let password = password.trim_end_matches(['\r', '\n']);
            let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            HeaderValue::from_str(&text).ok().map(|mut value| {
                value.set_sensitive(true);
                value
            })
        }
        _ => None,
    };
    Ok(Some(EstClient {
        peer: HttpsPeer {
            url,
            anchors: TrustAnchors::new(read_all(&config.anchors)?),
            identity,
        },
        authorization,
    }))
}

/// Environment variables with what private keys are encrypted with.
const CA_PASSPHRASE: &str = "SZTP_LDEVID_CA_KEY_PASSPHRASE";
const EST_PASSPHRASE: &str = "SZTP_EST_KEY_PASSPHRASE";
