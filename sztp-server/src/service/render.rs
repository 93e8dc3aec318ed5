//! From what an operator set to conveyed information (RFC 8572 §2, §6.3).

use sztp_cms::{Certificate, Limits, certs_only, parse_certs_only};
use sztp_core::conveyed_info::{
    BootImage, BootstrapServer, ConfigurationHandling, ConveyedInfo, ImageVerification,
    OnboardingInformation, RedirectInformation,
};

use super::Service;
use crate::ServiceError;
use crate::model::{BootImageSpec, Handling, OnboardingSpec, RedirectSpec};

impl Service {
    /// Onboarding information with the URIs and hashes of uploaded images filled in.
    pub(super) async fn onboarding(
        &self,
        spec: &OnboardingSpec,
    ) -> Result<ConveyedInfo, ServiceError> {
        let octets = |blob: &Option<crate::model::Blob>| blob.as_ref().map(|blob| blob.0.clone());
        let boot_image = match &spec.boot_image {
            Some(image) => Some(self.boot_image(image).await?),
            None => None,
        };
        let info = ConveyedInfo::Onboarding(OnboardingInformation {
            boot_image,
            configuration_handling: spec.configuration_handling.map(|handling| match handling {
                Handling::Merge => ConfigurationHandling::Merge,
                Handling::Replace => ConfigurationHandling::Replace,
            }),
            pre_configuration_script: octets(&spec.pre_configuration_script),
            configuration: octets(&spec.configuration),
            post_configuration_script: octets(&spec.post_configuration_script),
        });
        info.check()?;
        Ok(info)
    }

    async fn boot_image(&self, spec: &BootImageSpec) -> Result<BootImage, ServiceError> {
        let mut download_uris = Vec::new();
        let mut sha256 = None;
        if let Some(name) = &spec.image {
            let missing = || ServiceError::ImageMissing { name: name.clone() };
            let image = self.0.store.image(name).await?.ok_or_else(missing)?;
            let url = self.0.public.url();
            download_uris.push(format!("{url}/files/{}/{}", image.sha256, image.name));
            sha256 = Some(image.sha256);
        }
        download_uris.extend(spec.download_uris.iter().cloned());
        let sha256 = spec.sha256.as_ref().or(sha256.as_ref());
        let image_verification = match sha256 {
            Some(text) => vec![ImageVerification::sha256(parse_sha256(text)?)],
            None => Vec::new(),
        };
        Ok(BootImage {
            os_name: spec.os_name.clone(),
            os_version: spec.os_version.clone(),
            download_uris,
            image_verification,
        })
    }

    /// Redirect information to this server itself (RFC 8572 Appendix B).
    pub(super) fn redirect_here(&self, trust_anchor: Vec<u8>) -> ConveyedInfo {
        ConveyedInfo::Redirect(RedirectInformation {
            bootstrap_servers: vec![BootstrapServer {
                address: self.0.public.host.clone(),
                port: Some(self.0.public.port),
                trust_anchor: Some(trust_anchor),
            }],
        })
    }
}

/// Redirect information; anchors are brought into the form of RFC 8572 §6.3.
pub(super) fn redirect(spec: &RedirectSpec) -> Result<ConveyedInfo, ServiceError> {
    let mut bootstrap_servers = Vec::new();
    for server in &spec.servers {
        let trust_anchor = server.trust_anchor.as_ref();
        bootstrap_servers.push(BootstrapServer {
            address: server.address.clone(),
            port: server.port,
            trust_anchor: trust_anchor
                .map(|blob| certs_only_of(&blob.0))
                .transpose()?,
        });
    }
    let info = ConveyedInfo::Redirect(RedirectInformation { bootstrap_servers });
    info.check()?;
    Ok(info)
}

fn certs_only_of(octets: &[u8]) -> Result<Vec<u8>, ServiceError> {
    if parse_certs_only(octets, &Limits::default()).is_ok() {
        return Ok(octets.to_vec());
    }
    let certificates =
        Certificate::list_from_pem_or_der(octets).map_err(|error| ServiceError::Spec {
            key: "answer.servers.trust_anchor",
            problem: error.to_string(),
        })?;
    certs_only(&certificates, &[]).map_err(ServiceError::Signing)
}

fn parse_sha256(text: &str) -> Result<[u8; 32], ServiceError> {
    let bad = || ServiceError::Spec {
        key: "answer.boot_image.sha256",
        problem: "not 32 octets in hexadecimal".to_owned(),
    };
    let digits: Vec<u32> = text
        .chars()
        .filter(|c| *c != ':')
        .map(|c| c.to_digit(16).ok_or_else(bad))
        .collect::<Result<_, _>>()?;
    let octets: Vec<u8> = digits
        .chunks(2)
        .filter_map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect();
    if digits.len() != 64 {
        return Err(bad());
    }
    octets.try_into().map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_with_and_without_colons() {
        assert_eq!(parse_sha256(&"aB".repeat(32)), Ok([0xAB; 32]));
        assert_eq!(parse_sha256(&vec!["Ab"; 32].join(":")), Ok([0xAB; 32]));
        for bad in [
            "",
            "ab",
            &"a".repeat(63),
            &"ab".repeat(33),
            &"zz".repeat(32),
        ] {
            assert!(parse_sha256(bad).is_err(), "{bad}");
        }
    }
}
