//! What an operator sets for a device is judged before it is stored, by the same code that judges
//! it in the device.

use std::net::IpAddr;

use sztp_cms::{Certificate, ContentInfo, Limits, TrustAnchors, UnixTime, WallClock, oids};
use sztp_core::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, SourceTrust, content_type,
};
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{NonceExpectation, Profile, SignedVoucher, VoucherContext, VoucherError};

use super::answer::sign;
use super::identity::check_serial_number;
use super::templates::check_variables;
use super::{Service, now, render};
use crate::dialect::plainly;
use crate::materials::Materials;
use crate::model::{Answer, DeviceSpec, PresignedSpec};
use crate::{InventoryError, ServiceError};

impl Service {
    /// Answers what is to be noted about it.
    pub(super) async fn check_spec(
        &self,
        serial_number: &str,
        spec: &DeviceSpec,
    ) -> Result<Vec<String>, ServiceError> {
        check_members(serial_number, spec)?;
        self.check_dialect(spec.dialect.as_deref())?;
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
        if spec.voucher.is_none() && !matches!(spec.answer, Answer::Presigned(_)) {
            return Ok(Vec::new());
        }
        let (materials, spec) = (self.materials(), spec.clone());
        let serial_number = serial_number.to_owned();
        tokio::task::spawn_blocking(move || judge(&materials, &serial_number, &spec, now()))
            .await
            .map_err(|_| ServiceError::Stopping)?
    }

    /// Of a device or a profile.
    pub(super) fn check_dialect(&self, name: Option<&str>) -> Result<(), InventoryError> {
        let Some(name) = name else { return Ok(()) };
        self.0
            .dialects
            .check(name)
            .map_err(|problem| InventoryError::Member {
                member: "dialect",
                problem,
            })
    }
}

/// Members whose values are searched, or filled into templates.
fn check_members(serial_number: &str, spec: &DeviceSpec) -> Result<(), InventoryError> {
    let refused = |member, problem: &str| {
        Err(InventoryError::Member {
            member,
            problem: problem.to_owned(),
        })
    };
    let mut others: Vec<&str> = spec.serial_numbers.iter().map(String::as_str).collect();
    others.push(serial_number);
    others.sort_unstable();
    if others.windows(2).any(|pair| pair[0] == pair[1]) {
        return refused("serial_numbers", "a serial number is there twice");
    }
    if spec.serial_numbers.len() > MAX_LABELS
        || spec
            .serial_numbers
            .iter()
            .any(|text| check_serial_number(text).is_err())
    {
        return refused(
            "serial_numbers",
            "at most 64, each of 1 to 64 printable characters",
        );
    }
    for (member, labels) in [("tags", &spec.tags), ("groups", &spec.groups)] {
        let bad = |label: &String| !is_text(label, MAX_LABEL) || label.contains([';', ',']);
        if labels.len() > MAX_LABELS || labels.iter().any(bad) {
            return refused(
                member,
                "at most 64, each of 1 to 128 characters without comma and semicolon",
            );
        }
    }
    for (member, value) in [
        ("host_name", &spec.host_name),
        ("vendor", &spec.vendor),
        ("model", &spec.model),
        ("location", &spec.location),
        ("profile", &spec.profile),
    ] {
        if value.as_ref().is_some_and(|text| !is_text(text, MAX_TEXT)) {
            return refused(member, "1 to 255 printable characters");
        }
    }
    if let Some(address) = &spec.management_address
        && !is_address(address)
    {
        return refused(
            "management_address",
            "an IPv4 or IPv6 address, perhaps with a prefix length",
        );
    }
    check_variables("variables", &spec.variables)?;
    let attributes = serde_json::to_string(&spec.attributes).map_or(0, |text| text.len());
    if attributes > MAX_ATTRIBUTES {
        return refused("attributes", "more than 262144 octets as JSON");
    }
    Ok(())
}

fn is_text(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.chars().count())
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

fn is_address(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|bits| bits <= longest))
}

/// Judges vouchers against the anchors and the owner certificate in use, as devices do.
pub(super) struct VoucherJudge {
    /// None: there is nothing to judge by.
    anchors: Option<TrustAnchors>,
    /// Any conveyed information shows whether the owner certificate in use goes with a voucher.
    data: BootstrappingData,
}

impl VoucherJudge {
    pub(super) fn new(materials: &Materials) -> Result<Self, ServiceError> {
        let info = ConveyedInfo::Onboarding(OnboardingInformation::default());
        let json = content_type(Encoding::Json);
        let conveyed_information = match materials.voucher_anchors {
            Some(_) => {
                sign(materials, info.encode(Encoding::Json), json).map_err(ServiceError::Signing)?
            }
            None => Vec::new(),
        };
        Ok(Self {
            anchors: materials.voucher_anchors.clone(),
            data: BootstrappingData {
                conveyed_information,
                owner_certificate: Some(materials.owner_artifact.clone()),
                ownership_voucher: None,
            },
        })
    }

    /// Answers whether it could be verified.
    pub(super) fn judge(
        &self,
        serial_number: &str,
        voucher: &[u8],
        now: UnixTime,
        notes: &mut Vec<String>,
    ) -> Result<bool, ServiceError> {
        if self.anchors.is_some() {
            self.judge_for(
                serial_number,
                None,
                NonceExpectation::Unchecked,
                voucher,
                now,
                notes,
            )?;
            return Ok(true);
        }
        let parsed = SignedVoucher::parse(voucher, Profile::Rfc8366bis)
            .map_err(|error| ServiceError::Artifacts(error.into()))?;
        notes.push(format!(
            "the voucher was not verified, as voucher_anchors is not set; it says serial number {}",
            parsed.unverified().serial_number
        ));
        Ok(false)
    }

    /// The same for one exchange with one device.
    pub(super) fn judge_for(
        &self,
        serial_number: &str,
        idevid: Option<&Certificate>,
        nonce: NonceExpectation<'_>,
        voucher: &[u8],
        now: UnixTime,
        notes: &mut Vec<String>,
    ) -> Result<(), ServiceError> {
        let none = TrustAnchors::default();
        let anchors = self.anchors.as_ref().unwrap_or(&none);
        let data = BootstrappingData {
            ownership_voucher: Some(voucher.to_vec()),
            ..self.data.clone()
        };
        let context = VoucherContext {
            serial_number: Some(serial_number),
            idevid,
            nonce,
            ..VoucherContext::new(anchors, WallClock::Trusted(now))
        };
        authenticate(&data, &context, notes)
    }
}

impl Service {
    /// For any number of vouchers.
    pub(super) async fn voucher_judge(&self) -> Result<VoucherJudge, ServiceError> {
        let materials = self.materials();
        tokio::task::spawn_blocking(move || VoucherJudge::new(&materials))
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
        let judge = VoucherJudge::new(materials)?;
        judge_for_any(&judge, serial_number, spec, &voucher.0, now, &mut notes)?;
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
        let context = VoucherContext {
            serial_number: Some(serial_number),
            ..VoucherContext::new(anchors, WallClock::Trusted(now))
        };
        match authenticate(&data, &context, &mut notes) {
            // What it says is judged last: all signatures hold.
            Err(ServiceError::Artifacts(ArtifactError::Content(_)))
                if Presigned::look_at(presigned)?.is_platforms_own =>
            {
                notes.push(
                    "the conveyed information is written as one platform reads it, not as RFC \
                     8572 has it"
                        .to_owned(),
                );
            }
            judged => judged?,
        }
    }
    Ok(notes)
}

/// A device's voucher may name any of its serial numbers.
fn judge_for_any(
    judge: &VoucherJudge,
    serial_number: &str,
    spec: &DeviceSpec,
    voucher: &[u8],
    now: UnixTime,
    notes: &mut Vec<String>,
) -> Result<(), ServiceError> {
    let Err(first) = judge.judge(serial_number, voucher, now, notes) else {
        return Ok(());
    };
    for other in &spec.serial_numbers {
        if judge.judge(other, voucher, now, notes).is_ok() {
            notes.push(format!("the voucher is for serial number {other}"));
            return Ok(());
        }
    }
    Err(first)
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

/// As the device will do it.
fn authenticate(
    data: &BootstrappingData,
    context: &VoucherContext<'_>,
    notes: &mut Vec<String>,
) -> Result<(), ServiceError> {
    let error = match data.authenticate(SourceTrust::Unauthenticated, context, Encoding::Json) {
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
    /// Whether it can be read only as some platforms write it.
    is_platforms_own: bool,
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
                    is_platforms_own: false,
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
        let (info, is_platforms_own) = match ConveyedInfo::decode(&content, encoding) {
            Ok(info) => (info, false),
            Err(error) => {
                let plain = plainly(&content, encoding).ok_or_else(|| error.clone())?;
                let info = ConveyedInfo::decode(&plain, encoding).map_err(|_| error)?;
                (info, true)
            }
        };
        Ok(Self {
            signed: Some(signed),
            info: Some(info),
            is_platforms_own,
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

const MAX_LABELS: usize = 64;
const MAX_LABEL: usize = 128;
const MAX_TEXT: usize = 255;
const MAX_ATTRIBUTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_prefix_length() {
        for good in [
            "192.0.2.1",
            "192.0.2.1/24",
            "2001:db8::1",
            "2001:db8::1/128",
        ] {
            assert!(is_address(good), "{good}");
        }
        for bad in [
            "",
            "router1",
            "192.0.2.1/33",
            "192.0.2.1/",
            "2001:db8::1/129",
            "192.0.2.1/-1",
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }

    #[test]
    fn members_that_cannot_be_kept() {
        let refused = |spec: &DeviceSpec| check_members("A", spec).err();
        let mut spec = DeviceSpec::default();
        assert_eq!(refused(&spec), None);
        spec.serial_numbers = vec!["A".to_owned()];
        assert!(refused(&spec).is_some(), "its own serial number again");
        spec.serial_numbers = vec!["RP0".to_owned(), "RP1".to_owned()];
        assert_eq!(refused(&spec), None);
        spec.tags.insert("a;b".to_owned());
        assert!(refused(&spec).is_some());
        spec.tags.clear();
        spec.variables.insert("a-b".to_owned(), 1.into());
        assert!(refused(&spec).is_some(), "no template could name it");
    }
}
