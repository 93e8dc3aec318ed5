//! What is needed in order to ask a MASA.

use sztp_cms::TrustAnchors;

use super::{keys, read_all};
use crate::config::VouchersOnDemandConfig;
use crate::outside::{HttpsPeer, HttpsUrl};
use crate::service::MasaAccess;
use crate::{ConfigError, ServerError};

/// None: there is none to ask.
pub(super) fn masa(config: &VouchersOnDemandConfig) -> Result<Option<MasaAccess>, ServerError> {
    let (Some(url), Some(certificate), Some(key)) = (&config.url, &config.certificate, &config.key)
    else {
        return Ok(None);
    };
    let passphrase = keys::passphrase(config.key_passphrase_file.as_deref(), PASSPHRASE)?;
    let (chain, key) = keys::read_pair(certificate, key, passphrase.as_deref())?;
    let url = HttpsUrl::parse(url).map_err(|problem| ConfigError::Value {
        key: "vouchers_on_demand.url",
        problem,
    })?;
    Ok(Some(MasaAccess {
        peer: HttpsPeer {
            url,
            anchors: TrustAnchors::new(read_all(&config.anchors)?),
            identity: Some((chain.clone(), key.clone())),
        },
        chain,
        key,
    }))
}

/// The environment variable with what the registrar's key is encrypted with.
const PASSPHRASE: &str = "SZTP_REGISTRAR_KEY_PASSPHRASE";
