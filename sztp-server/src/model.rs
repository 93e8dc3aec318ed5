//! What the server knows about devices, as stored and as shown by the admin API.

mod access;
mod delivery;
mod import;
mod ldevid;
mod on_demand;
mod profile;
mod template;
mod trust;
mod voucher;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sztp_cms::UnixTime;
use sztp_core::lifecycle::State;

pub use access::{
    AuditEntry, AuditFilter, AuditRecord, EventFilter, NewToken, Role, Token, TokenSpec,
};
pub use delivery::{
    Connectivity, Contact, Delivery, DeliveryCount, DeliveryFilter, DeliveryKind, DeliveryState,
    DeliveryTarget, HostKey,
};
pub use import::{Existing, ImportOptions, ImportReport, ImportResult, ImportRow};
pub use ldevid::{KeyAlgorithm, Ldevid, LdevidFilter, LdevidIssuer, LdevidKey, LdevidSpec};
pub use on_demand::VouchersOnDemand;
pub use profile::{
    AnswerSource, ChangeAction, Considered, Explanation, Facts, MatchRule, MemberChange, Profile,
    ProfileChange, ProfileSpec, ProfileUsers, TemplateRef, Variables,
};
pub use template::{
    NeededVariable, NewTemplate, Rendered, Syntax, Template, TemplateKind, TemplateVersion,
};
pub use trust::{
    AnchorPurpose, Expiry, RevocationList, SerialNumberFrom, TrustAnchor, TrustAnchorSpec,
    UnknownDevice,
};
pub use voucher::{NewVoucher, VoucherResult, VoucherSummary, VoucherUpload, VoucherUploads};

/// One device: what the operator wants for it and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// As in the subject of its IDevID certificate (RFC 8572 §5.3).
    pub serial_number: String,
    /// Lifecycle state, by its exact name (`Unprovisioned`, `InProgress`, ...).
    pub state: String,
    /// The stage of bootstrapping it was last heard in.
    pub stage: Option<String>,
    /// Whether it has reported that parsing was completed.
    pub parsed: bool,
    /// Why it is in an error state.
    pub reason: Option<String>,
    /// What the device says of itself.
    pub reported: Reported,
    /// The profile that it was last given.
    pub served_profile: Option<String>,
    /// What the operator set.
    #[serde(flatten)]
    pub spec: DeviceSpec,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
    /// RFC 3339: the last event.
    #[serde(serialize_with = "rfc3339")]
    pub updated_at: UnixTime,
}

/// What a device last said of itself, in its certificate and in get-bootstrapping-data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reported {
    /// Organization in the subject, or else the issuer, of its IDevID certificate.
    pub vendor: Option<String>,
    /// RFC 8572 §7.3 hw-model.
    pub hw_model: Option<String>,
    /// RFC 8572 §7.3 os-name.
    pub os_name: Option<String>,
    /// RFC 8572 §7.3 os-version.
    pub os_version: Option<String>,
}

/// One line of a list of devices: a [`Device`] without what may be large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceSummary {
    /// As in the subject of its IDevID certificate (RFC 8572 §5.3).
    pub serial_number: String,
    /// Lifecycle state, by its exact name.
    pub state: String,
    /// The stage of bootstrapping it was last heard in.
    pub stage: Option<String>,
    /// Why it is in an error state.
    pub reason: Option<String>,
    /// What it is called.
    pub host_name: Option<String>,
    /// The profile that it is assigned to.
    pub profile: Option<String>,
    /// The profile that it was last given.
    pub served_profile: Option<String>,
    /// The kind of its own answer (`nothing`, `profile`, `onboarding`, `redirect`, `presigned`).
    pub answer_kind: String,
    /// Whether it has an ownership voucher.
    pub has_voucher: bool,
    /// RFC 3339: the last event.
    #[serde(serialize_with = "rfc3339")]
    pub updated_at: UnixTime,
}

/// Which devices to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct DeviceFilter {
    /// Only those in this state.
    pub state: Option<String>,
    /// Only those whose serial number begins so.
    pub serial_number_prefix: Option<String>,
    /// Only those of which the host name or any serial number begins so.
    pub search: Option<String>,
    /// Only those that have this tag.
    pub tag: Option<String>,
    /// Only those in this group.
    pub group: Option<String>,
    /// Only those that are assigned to this profile, or were last given it.
    pub profile: Option<String>,
    /// Only those that have a voucher, or that have none.
    pub has_voucher: Option<bool>,
}

/// Which part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Page {
    /// Begin after this: the `next` of the page before.
    pub after: Option<String>,
    /// At most so many; never more than [`Page::MAX_LIMIT`].
    pub limit: u32,
}

impl Page {
    /// The longest page.
    pub const MAX_LIMIT: u32 = 1000;
}

impl Default for Page {
    fn default() -> Self {
        Self {
            after: None,
            limit: 100,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to begin the next page after; none on the last page.
    pub next: Option<String>,
}

/// What an operator sets for a device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSpec {
    /// What it is answered.
    pub answer: Answer,
    /// Its ownership voucher (CMS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Blob>,
    /// Overrides the server's `answers.promote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<bool>,
    /// Overrides the server's `answers.sign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<bool>,
    /// Overrides the server's `answers.reprovision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reprovision: Option<bool>,
    /// Overrides the server's `answers.progress_timeout_secs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_timeout_secs: Option<u64>,
    /// How much the device is asked to report; none: as its profile says, or else everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_level: Option<Level>,
    /// Encoding inside the conveyed information, whatever the RPC's encoding is; none: as its
    /// profile says, or else JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conveyed_encoding: Option<ConveyedEncoding>,
    /// Whether generated CMS names the SZTP content types or id-data (RFC 8572 §3.1); none: as its
    /// profile says, or else the SZTP content types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentTypeChoice>,
    /// The dialect that it speaks, or `auto`; none: as its profile says, or else as the server's
    /// `answers.dialect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Overrides the server's `answers.activation_codes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_codes: Option<bool>,
    /// The profile that it gets, whatever the rules of profiles say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What it is to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Who made it; wins over what its certificate says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Which model it is, until it says so itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its other serial numbers, such as those of route processors; each leads to this device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serial_numbers: Vec<String>,
    /// Labels to search and match by.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// What it belongs to.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Where it is to be reached; a prefix length may follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management_address: Option<String>,
    /// For the templates of its profile.
    #[serde(skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// Whatever else is to be kept of it.
    #[serde(skip_serializing_if = "Variables::is_empty")]
    pub attributes: Variables,
}

/// RFC 8572 §7.3 reporting-level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Only what is mandatory.
    Minimal,
    /// Everything.
    Verbose,
}

/// The encoding of a document inside a CMS structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConveyedEncoding {
    /// RFC 7951.
    Json,
    /// RFC 7950.
    Xml,
}

/// eContentType of generated conveyed information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContentTypeChoice {
    /// id-ct-sztpConveyedInfoXML or -JSON.
    Sztp,
    /// id-data, with the encoding told out of band.
    IdData,
}

/// What a device is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// Nothing of its own: what its profile says, if there is one.
    #[default]
    Nothing,
    /// What its profile says.
    Profile,
    /// Onboarding information (RFC 8572 §2.2), signed at request time.
    Onboarding(OnboardingSpec),
    /// Redirect information (RFC 8572 §2.1), signed at request time.
    Redirect(RedirectSpec),
    /// The three artifacts as made elsewhere, given as they are.
    Presigned(PresignedSpec),
}

/// Onboarding information as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnboardingSpec {
    /// The image to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_image: Option<BootImageSpec>,
    /// How the configuration is put in place; needed with a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_handling: Option<Handling>,
    /// Run before the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_configuration_script: Option<Blob>,
    /// The configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Blob>,
    /// Run after the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_configuration_script: Option<Blob>,
}

/// Which image a device must run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BootImageSpec {
    /// Name of an image uploaded to this server; its URI and hash are filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where else the image is found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub download_uris: Vec<String>,
    /// SHA-256 in hex (colons allowed); wins over the uploaded image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The operating system's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// The operating system's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

/// RFC 8572 §6.3 configuration-handling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// Into the running configuration.
    Merge,
    /// Instead of the running configuration.
    Replace,
}

/// Where a device is sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedirectSpec {
    /// In order of preference.
    pub servers: Vec<RedirectServer>,
}

/// One entry of redirect information.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedirectServer {
    /// Host name or address.
    pub address: String,
    /// Absent: 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Certificates (PEM), or a certs-only CMS in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_anchor: Option<Blob>,
}

/// Artifacts that were signed elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresignedSpec {
    /// CMS.
    pub conveyed_information: Blob,
    /// CMS; with the voucher or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_certificate: Option<Blob>,
    /// CMS; with the owner certificate or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_voucher: Option<Blob>,
}

/// Octets, in JSON a base64 string, or `{"text": "..."}` on input.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected base64 as a string, or {\"text\": \"...\"}"
        )]
        enum Form {
            Base64(String),
            Text { text: String },
        }
        match Form::deserialize(deserializer)? {
            Form::Text { text } => Ok(Self(text.into_bytes())),
            Form::Base64(text) => {
                let compact: String = text.split_ascii_whitespace().collect();
                STANDARD
                    .decode(compact)
                    .map(Self)
                    .map_err(|error| serde::de::Error::custom(format!("not base64: {error}")))
            }
        }
    }
}

impl core::fmt::Debug for Blob {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Blob({} octets)", self.0.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

/// One line of a device's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// Grows with time, over all devices.
    pub id: i64,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub time: UnixTime,
    /// Address the device came from; none for what the operator did.
    pub peer: Option<String>,
    /// What happened, in a word (`served`, `progress`, `refused`, `reset`, ...).
    pub event: String,
    /// Of a progress report.
    pub progress_type: Option<String>,
    /// Details for people.
    pub message: Option<String>,
    /// The lifecycle state after it.
    pub state: String,
}

/// An event of a device, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceEvent {
    /// Which device.
    pub serial_number: String,
    /// The line that was written to its history.
    pub entry: HistoryEntry,
}

/// An uploaded image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Image {
    /// As uploaded; the last part of its download URI.
    pub name: String,
    /// Lower-case hex.
    pub sha256: String,
    /// In octets.
    pub size: u64,
    /// RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: UnixTime,
}

impl Device {
    /// A device of which nothing was heard yet.
    pub(crate) fn new(serial_number: &str, spec: DeviceSpec, time: UnixTime) -> Self {
        Self {
            serial_number: serial_number.to_owned(),
            state: State::default().to_string(),
            stage: None,
            parsed: false,
            reason: None,
            reported: Reported::default(),
            served_profile: None,
            spec,
            created_at: time,
            updated_at: time,
        }
    }
}

impl Answer {
    /// The `kind` in its JSON form.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Profile => "profile",
            Self::Onboarding(_) => "onboarding",
            Self::Redirect(_) => "redirect",
            Self::Presigned(_) => "presigned",
        }
    }

    /// The uploaded image that it needs.
    pub fn image(&self) -> Option<&str> {
        match self {
            Self::Onboarding(onboarding) => onboarding.boot_image.as_ref()?.image.as_deref(),
            _ => None,
        }
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn optional_rfc3339<S: Serializer>(
    time: &Option<UnixTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn rfc3339<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_as_base64_or_text() {
        let spec: DeviceSpec = serde_json::from_str(
            r#"{"answer":{"kind":"onboarding","configuration":{"text":"<a/>"},
                "configuration_handling":"merge","pre_configuration_script":"aGk="}}"#,
        )
        .unwrap();
        let Answer::Onboarding(onboarding) = &spec.answer else {
            panic!("{spec:?}")
        };
        assert_eq!(onboarding.configuration, Some(Blob(b"<a/>".to_vec())));
        assert_eq!(
            onboarding.pre_configuration_script,
            Some(Blob(b"hi".to_vec()))
        );
        let again = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(spec, again);
        assert!(serde_json::from_str::<DeviceSpec>(r#"{"voucher":"!!"}"#).is_err());
    }
}
