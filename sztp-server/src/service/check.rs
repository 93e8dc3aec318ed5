//! What an operator sets for a device is judged before it is stored, by the same code that judges
//! it in the device.

use sztp_cms::{ContentInfo, Limits, TrustAnchors, UnixTime, WallClock, oids};
use sztp_core::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, SourceTrust, content_type,
};
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, SignedVoucher, VoucherContext, VoucherError};

use super::answer::sign;
use super::{Service, now, render};
use crate::ServiceError;
use crate::materials::Materials;
use crate::model::{Answer, DeviceSpec, PresignedSpec};

impl Service {
    /// Answers what is to be noted about it.
    pub(super) async fn check_spec(
        &self,
        serial_number: &str,
        spec: &DeviceSpec,
    ) -> Result<Vec<String>, ServiceError> {
        match &spec.answer {
            Answer::Nothing | Answer::Profile => {}
            Answer::Onboarding(onboarding) => {
                self.onboarding(onboarding).await?;
            }
            Answer::Redirect(redirect) => {
                render::redirect(redirect)?;
            }
            Answer::Presigned(presigned) => {
                Presigned::look_at(presigned)?.check_grouping(presigned)?;
            }
        }
        let (materials, spec) = (self.materials(), spec.clone());
        let serial_number = serial_number.to_owned();
        tokio::task::spawn_blocking(move || judge(&materials, &serial_number, &spec, now()))
            .await
            .map_err(|_| ServiceError::Stopping)?
    }
}

fn judge(
    materials: &Materials,
    serial_number: &str,
    spec: &DeviceSpec,
    now: UnixTime,
) -> Result<Vec<String>, ServiceError> {
    let mut notes = Vec::new();
    if let Some(voucher) = &spec.voucher {
        let Some(anchors) = &materials.voucher_anchors else {
            let parsed = SignedVoucher::parse(&voucher.0, Profile::Rfc8366bis)
                .map_err(|error| ServiceError::Artifacts(error.into()))?;
            notes.push(format!(
                "the voucher was not verified, as voucher_anchors is not set; it says serial \
                 number {}",
                parsed.unverified().serial_number
            ));
            return Ok(notes);
        };
        // Any conveyed information shows whether the owner certificate in use goes with the
        // voucher.
        let info = ConveyedInfo::Onboarding(OnboardingInformation::default());
        let signed = sign(
            materials,
            &info,
            Encoding::Json,
            content_type(Encoding::Json),
        )
        .map_err(ServiceError::Signing)?;
        let data = BootstrappingData {
            conveyed_information: signed,
            owner_certificate: Some(materials.owner_artifact.clone()),
            ownership_voucher: Some(voucher.0.clone()),
        };
        authenticate(&data, anchors, serial_number, now, &mut notes)?;
    }
    if let Answer::Presigned(presigned) = &spec.answer
        && let (Some(owner_certificate), Some(ownership_voucher)) =
            (&presigned.owner_certificate, &presigned.ownership_voucher)
    {
        let Some(anchors) = &materials.voucher_anchors else {
            notes.push("the artifacts were not verified, as voucher_anchors is not set".to_owned());
            return Ok(notes);
        };
        let data = BootstrappingData {
            conveyed_information: presigned.conveyed_information.0.clone(),
            owner_certificate: Some(owner_certificate.0.clone()),
            ownership_voucher: Some(ownership_voucher.0.clone()),
        };
        authenticate(&data, anchors, serial_number, now, &mut notes)?;
    }
    Ok(notes)
}

/// Whether a voucher that was good when it arrived has run out since. Only one that says so is
/// judged again.
pub(super) fn check_expiry(
    materials: &Materials,
    serial_number: &str,
    voucher: &[u8],
    now: UnixTime,
) -> Result<(), ServiceError> {
    let refused = |error: VoucherError| ServiceError::Artifacts(error.into());
    let Some(anchors) = &materials.voucher_anchors else {
        return Ok(());
    };
    let voucher = SignedVoucher::parse(voucher, Profile::Rfc8366bis).map_err(refused)?;
    if voucher.unverified().expires_on.is_none_or(|at| at >= now) {
        return Ok(());
    }
    let context = VoucherContext {
        serial_number: Some(serial_number),
        ..VoucherContext::new(anchors, WallClock::Trusted(now))
    };
    voucher.verify(&context).map(drop).map_err(refused)
}

/// As the device will do it, the nonce aside, which only it knows.
fn authenticate(
    data: &BootstrappingData,
    anchors: &TrustAnchors,
    serial_number: &str,
    now: UnixTime,
    notes: &mut Vec<String>,
) -> Result<(), ServiceError> {
    let context = VoucherContext {
        serial_number: Some(serial_number),
        ..VoucherContext::new(anchors, WallClock::Trusted(now))
    };
    let error = match data.authenticate(SourceTrust::Unauthenticated, &context, Encoding::Json) {
        Ok(Authenticated::Trusted(trusted)) => {
            if let sztp_core::artifacts::Trust::Signed { voucher, .. } = trusted.how() {
                notes.extend_from_slice(voucher.notes());
            }
            return Ok(());
        }
        Ok(Authenticated::UntrustedRedirect {
            refused: Some(error),
            ..
        })
        | Err(error) => error,
        Ok(Authenticated::UntrustedRedirect { refused: None, .. }) => return Ok(()),
    };
    match error {
        // Devices may have means to check revocation; and only they can open what is encrypted.
        ArtifactError::RevocationUnknown | ArtifactError::Encrypted => {
            notes.push(format!("not judged to the end: {error}"));
            Ok(())
        }
        error => Err(ServiceError::Artifacts(error)),
    }
}

/// Artifacts made elsewhere, as far as one can see from outside.
pub(super) struct Presigned {
    signed: Option<bool>,
    info: Option<ConveyedInfo>,
}

impl Presigned {
    pub(super) fn look_at(spec: &PresignedSpec) -> Result<Self, ServiceError> {
        let bad = |error| ServiceError::Artifacts(ArtifactError::ConveyedInformation(error));
        let octets = &spec.conveyed_information.0;
        let message = ContentInfo::parse(octets, &Limits::default()).map_err(bad)?;
        let (signed, content_type, content) = match message {
            ContentInfo::SignedData(signed) => {
                let content = signed.unverified_content().map(<[u8]>::to_vec);
                (true, signed.content_type(), content.unwrap_or_default())
            }
            ContentInfo::Octets {
                content_type,
                content,
            } => (false, content_type, content),
            ContentInfo::EnvelopedData(_) => {
                return Ok(Self {
                    signed: None,
                    info: None,
                });
            }
            ContentInfo::Other(oid) => {
                return Err(bad(sztp_cms::CmsError::NotSignedData(oid)));
            }
            _ => return Err(bad(sztp_cms::CmsError::NoContent)),
        };
        // What id-data holds says its first character.
        let xml = content_type == oids::SZTP_CONVEYED_INFO_XML
            || content.trim_ascii_start().first() == Some(&b'<');
        let encoding = if xml { Encoding::Xml } else { Encoding::Json };
        let info = ConveyedInfo::decode(&content, encoding)?;
        Ok(Self {
            signed: Some(signed),
            info: Some(info),
        })
    }

    pub(super) fn is_unsigned(&self) -> bool {
        self.signed == Some(false)
    }

    /// None where it cannot be seen.
    pub(super) fn is_onboarding(&self) -> Option<bool> {
        let info = self.info.as_ref()?;
        Some(matches!(info, ConveyedInfo::Onboarding(_)))
    }

    /// LEDGER: 8572-3.5-01, 8572-3.5-02, 8572-7.3-08
    fn check_grouping(&self, spec: &PresignedSpec) -> Result<(), ServiceError> {
        let refused = |why| Err(ServiceError::ArtifactGrouping(why));
        match (
            self.signed,
            &spec.owner_certificate,
            &spec.ownership_voucher,
        ) {
            (_, Some(_), None) => refused("an owner certificate without an ownership voucher"),
            (_, None, Some(_)) => refused("an ownership voucher without an owner certificate"),
            (Some(true), None, None) => {
                refused("signed conveyed information needs owner certificate and ownership voucher")
            }
            (Some(false), Some(_), Some(_)) => refused(
                "unsigned conveyed information has no use for owner certificate and ownership \
                 voucher",
            ),
            _ => Ok(()),
        }
    }
}
