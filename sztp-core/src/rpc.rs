//! The bootstrap server's two RPCs (RFC 8572 §7): `get-bootstrapping-data` and `report-progress`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use sztp_cms::Rule;
use sztp_voucher::yang::{self, Encoding, Fields, Options, YangError, clean_text, encode_binary};

use crate::csr::CsrSupport;
use crate::schema;

/// Input of `get-bootstrapping-data` (RFC 8572 §7.3, RFC 9646 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetBootstrappingDataInput {
    /// The device does not trust the server and wants signed data or a redirect.
    pub signed_data_preferred: bool,
    /// Vendor's hardware model.
    pub hw_model: Option<String>,
    /// Name of the operating system.
    pub os_name: Option<String>,
    /// Version of the operating system.
    pub os_version: Option<String>,
    /// 16 to 32 octets that a fresh voucher is to carry.
    pub nonce: Option<Vec<u8>>,
    /// The CSRs that the device can make; excludes `csr`.
    pub csr_support: Option<CsrSupport>,
    /// A CSR; excludes `csr_support`.
    pub csr: Option<Csr>,
}

/// A certificate signing request (RFC 9646 §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Csr {
    /// PKCS#10 CertificationRequest, DER.
    P10(Vec<u8>),
    /// CMC Full PKI Request, DER.
    Cmc(Vec<u8>),
    /// CMP PKIMessage, DER.
    Cmp(Vec<u8>),
}

/// Output of `get-bootstrapping-data` (RFC 8572 §7.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GetBootstrappingDataOutput {
    /// Reports wanted; minimal when absent.
    pub reporting_level: Option<ReportingLevel>,
    /// The conveyed information artifact.
    pub conveyed_information: Vec<u8>,
    /// The owner certificate artifact; there exactly when the voucher is.
    pub owner_certificate: Option<Vec<u8>>,
    /// The ownership voucher artifact.
    pub ownership_voucher: Option<Vec<u8>>,
}

/// `reporting-level` (RFC 8572 §7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportingLevel {
    /// Only the reports that RFC 8572 requires.
    #[default]
    Minimal,
    /// Reports that help to find faults.
    Verbose,
}

/// Input of `report-progress` (RFC 8572 §7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressReport {
    /// What happened.
    pub progress_type: ProgressType,
    /// In words.
    pub message: Option<String>,
    /// The device's SSH host keys; only with `bootstrap-complete`.
    pub ssh_host_keys: Vec<SshHostKey>,
    /// Certs-only CMS for the device's certificates; only with `bootstrap-complete`.
    pub trust_anchor_certs: Vec<Vec<u8>>,
}

/// `ssh-host-key` (RFC 8572 §7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHostKey {
    /// Name in the IANA registry, as in `ssh-ed25519`.
    pub algorithm: String,
    /// The key blob of RFC 4253 §6.6.
    pub key_data: Vec<u8>,
}

/// Why a message was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The document does not follow the schema.
    #[error(transparent)]
    Yang(#[from] YangError),
    /// The nonce is not 16 to 32 octets.
    #[error("nonce has {found} octets instead of 16 to 32")]
    NonceLength {
        /// Octets found.
        found: usize,
    },
    /// More than one of `csr-support` and the CSR nodes.
    #[error("more than one of csr-support, p10-csr, cmc-csr and cmp-csr")]
    SeveralCsrNodes,
    /// An owner certificate without an ownership voucher.
    #[error("owner-certificate without ownership-voucher")]
    OwnerCertificateWithoutVoucher,
    /// An ownership voucher without an owner certificate.
    #[error("ownership-voucher without owner-certificate")]
    VoucherWithoutOwnerCertificate,
    /// Host keys or trust anchors in a report other than `bootstrap-complete`.
    #[error("{node} in a {progress_type} report")]
    OnlyWhenComplete {
        /// `ssh-host-keys` or `trust-anchor-certs`.
        node: &'static str,
        /// The report's type.
        progress_type: ProgressType,
    },
}

impl MessageError {
    /// A stable code for the command line and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Yang(inner) => inner.code(),
            Self::NonceLength { .. } => "message.nonce-length",
            Self::SeveralCsrNodes => "message.several-csr-nodes",
            Self::OwnerCertificateWithoutVoucher => "message.owner-certificate-without-voucher",
            Self::VoucherWithoutOwnerCertificate => "message.voucher-without-owner-certificate",
            Self::OnlyWhenComplete { .. } => "message.only-when-complete",
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Yang(inner) => inner.rule(),
            Self::NonceLength { .. } => Rule::new(8572, "7.3", "nonce"),
            Self::SeveralCsrNodes => Rule::new(9646, "3.2", "msg-type"),
            Self::OwnerCertificateWithoutVoucher => Rule::new(8572, "7.3", "owner-certificate"),
            Self::VoucherWithoutOwnerCertificate => Rule::new(8572, "7.3", "ownership-voucher"),
            Self::OnlyWhenComplete { .. } => Rule::new(8572, "7.3", "bootstrap-complete"),
        }
    }
}

impl GetBootstrappingDataInput {
    /// Decodes a request; an absent or empty body is the empty request.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, MessageError> {
        Self::decode_noting(bytes, encoding).map(|(input, _)| input)
    }

    /// Decodes a request and says which leniencies it took.
    pub fn decode_noting(
        bytes: &[u8],
        encoding: Encoding,
    ) -> Result<(Self, Vec<String>), MessageError> {
        let mut notes = Vec::new();
        // RFC 8040 §3.6: without input parameters there need be no body.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok((Self::default(), notes));
        }
        let options = Options::default();
        let mut document = yang::decode(
            bytes,
            encoding,
            schema::GET_BOOTSTRAPPING_DATA_INPUT,
            &options,
        )?;
        let mut fields = top(&mut document, INPUT)?;
        let mut nonce = fields.binary("nonce");
        if nonce.as_ref().is_some_and(Vec::is_empty) {
            notes.push("an empty nonce was taken as no nonce".to_owned());
            nonce = None;
        }
        let csr_support = fields.container("ietf-sztp-csr:csr-support");
        let csr_support = csr_support.map(CsrSupport::from_fields).transpose()?;
        let csrs = [
            fields.binary("ietf-sztp-csr:p10-csr").map(Csr::P10),
            fields.binary("ietf-sztp-csr:cmc-csr").map(Csr::Cmc),
            fields.binary("ietf-sztp-csr:cmp-csr").map(Csr::Cmp),
        ];
        if csrs.iter().flatten().count() + usize::from(csr_support.is_some()) > 1 {
            return Err(MessageError::SeveralCsrNodes);
        }
        let input = Self {
            signed_data_preferred: fields.empty("signed-data-preferred"),
            hw_model: fields.string("hw-model"),
            os_name: fields.string("os-name"),
            os_version: fields.string("os-version"),
            nonce,
            csr_support,
            csr: csrs.into_iter().flatten().next(),
        };
        input.check()?;
        Ok((input, notes))
    }

    /// Encodes the request.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut members = Map::new();
        if self.signed_data_preferred {
            members.insert("signed-data-preferred".into(), json!([null]));
        }
        insert_text(&mut members, "hw-model", self.hw_model.as_deref());
        insert_text(&mut members, "os-name", self.os_name.as_deref());
        insert_text(&mut members, "os-version", self.os_version.as_deref());
        insert_binary(&mut members, "nonce", self.nonce.as_deref());
        if let Some(support) = &self.csr_support {
            members.insert("ietf-sztp-csr:csr-support".into(), support.to_value());
        }
        match &self.csr {
            None => {}
            Some(Csr::P10(der)) => insert_binary(&mut members, "ietf-sztp-csr:p10-csr", Some(der)),
            Some(Csr::Cmc(der)) => insert_binary(&mut members, "ietf-sztp-csr:cmc-csr", Some(der)),
            Some(Csr::Cmp(der)) => insert_binary(&mut members, "ietf-sztp-csr:cmp-csr", Some(der)),
        }
        let document = json!({ INPUT: members });
        yang::encode_unchecked(&document, encoding, schema::GET_BOOTSTRAPPING_DATA_INPUT)
    }

    /// Checks the constraints of the schema on a value that was built rather than decoded.
    pub fn check(&self) -> Result<(), MessageError> {
        match &self.nonce {
            Some(nonce) if !(16..=32).contains(&nonce.len()) => {
                return Err(MessageError::NonceLength { found: nonce.len() });
            }
            _ => {}
        }
        if self.csr.is_some() && self.csr_support.is_some() {
            return Err(MessageError::SeveralCsrNodes);
        }
        Ok(())
    }
}

impl GetBootstrappingDataOutput {
    /// Decodes an answer.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, MessageError> {
        let options = Options::default();
        let mut document = yang::decode(
            bytes,
            encoding,
            schema::GET_BOOTSTRAPPING_DATA_OUTPUT,
            &options,
        )?;
        let mut fields = top(&mut document, OUTPUT)?;
        let reporting_level = fields
            .string("reporting-level")
            .map(|level| match level.as_str() {
                "verbose" => ReportingLevel::Verbose,
                _ => ReportingLevel::Minimal,
            });
        let output = Self {
            reporting_level,
            conveyed_information: fields.mandatory_binary("conveyed-information")?,
            owner_certificate: fields.binary("owner-certificate"),
            ownership_voucher: fields.binary("ownership-voucher"),
        };
        match (&output.owner_certificate, &output.ownership_voucher) {
            (Some(_), None) => Err(MessageError::OwnerCertificateWithoutVoucher),
            (None, Some(_)) => Err(MessageError::VoucherWithoutOwnerCertificate),
            _ => Ok(output),
        }
    }

    /// Encodes the answer.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut members = Map::new();
        if let Some(level) = self.reporting_level {
            members.insert("reporting-level".into(), level.as_str().into());
        }
        let conveyed_information = Some(self.conveyed_information.as_slice());
        insert_binary(&mut members, "conveyed-information", conveyed_information);
        insert_binary(
            &mut members,
            "owner-certificate",
            self.owner_certificate.as_deref(),
        );
        insert_binary(
            &mut members,
            "ownership-voucher",
            self.ownership_voucher.as_deref(),
        );
        let document = json!({ OUTPUT: members });
        yang::encode_unchecked(&document, encoding, schema::GET_BOOTSTRAPPING_DATA_OUTPUT)
    }
}

impl ReportingLevel {
    /// The name in the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Verbose => "verbose",
        }
    }
}

impl ProgressReport {
    /// A report without keys and anchors.
    pub fn new(progress_type: ProgressType, message: Option<String>) -> Self {
        Self {
            progress_type,
            message,
            ssh_host_keys: Vec::new(),
            trust_anchor_certs: Vec::new(),
        }
    }

    /// Decodes a report.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, MessageError> {
        Self::decode_noting(bytes, encoding).map(|(report, _)| report)
    }

    /// Decodes a report and says which leniencies it took.
    pub fn decode_noting(
        bytes: &[u8],
        encoding: Encoding,
    ) -> Result<(Self, Vec<String>), MessageError> {
        let mut notes = Vec::new();
        let options = Options::default();
        let mut document = yang::decode(bytes, encoding, schema::REPORT_PROGRESS_INPUT, &options)?;
        let mut fields = top(&mut document, INPUT)?;
        let name = fields.mandatory_string("progress-type")?;
        let progress_type =
            name.parse()
                .map_err(|UnknownProgressType| YangError::InvalidValue {
                    path: fields.path_of("progress-type"),
                    reason: "unknown progress type".to_owned(),
                })?;
        let message = fields.string("message");
        let mut note_empty = |node: &str, empty: bool| {
            if empty {
                notes.push(format!("an empty {node} was taken as none"));
            }
        };
        let mut ssh_host_keys = Vec::new();
        if let Some(mut keys) = fields.container("ssh-host-keys") {
            for mut key in keys.list("ssh-host-key") {
                ssh_host_keys.push(SshHostKey {
                    algorithm: key.mandatory_string("algorithm")?,
                    key_data: key.mandatory_binary("key-data")?,
                });
            }
            note_empty("ssh-host-keys", ssh_host_keys.is_empty());
        }
        let mut trust_anchor_certs = Vec::new();
        if let Some(mut anchors) = fields.container("trust-anchor-certs") {
            trust_anchor_certs = anchors.binaries("trust-anchor-cert");
            note_empty("trust-anchor-certs", trust_anchor_certs.is_empty());
        }
        let report = Self {
            progress_type,
            message,
            ssh_host_keys,
            trust_anchor_certs,
        };
        report.check()?;
        Ok((report, notes))
    }

    /// Encodes the report; characters that YANG strings cannot hold are replaced in the message.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("progress-type".into(), self.progress_type.as_str().into());
        insert_text(&mut members, "message", self.message.as_deref());
        if !self.ssh_host_keys.is_empty() {
            let keys: Vec<Value> = self
                .ssh_host_keys
                .iter()
                .map(|key| {
                    let data = encode_binary(&key.key_data);
                    json!({ "algorithm": clean_text(&key.algorithm), "key-data": data })
                })
                .collect();
            members.insert("ssh-host-keys".into(), json!({ "ssh-host-key": keys }));
        }
        if !self.trust_anchor_certs.is_empty() {
            let anchors: Vec<String> = self
                .trust_anchor_certs
                .iter()
                .map(|der| encode_binary(der))
                .collect();
            members.insert(
                "trust-anchor-certs".into(),
                json!({ "trust-anchor-cert": anchors }),
            );
        }
        yang::encode_unchecked(
            &json!({ INPUT: members }),
            encoding,
            schema::REPORT_PROGRESS_INPUT,
        )
    }

    /// Checks the constraints of the schema on a value that was built rather than decoded.
    pub fn check(&self) -> Result<(), MessageError> {
        let progress_type = self.progress_type;
        if progress_type == ProgressType::BootstrapComplete {
            return Ok(());
        }
        if !self.ssh_host_keys.is_empty() {
            return Err(MessageError::OnlyWhenComplete {
                node: "ssh-host-keys",
                progress_type,
            });
        }
        if !self.trust_anchor_certs.is_empty() {
            let node = "trust-anchor-certs";
            return Err(MessageError::OnlyWhenComplete {
                node,
                progress_type,
            });
        }
        Ok(())
    }
}

macro_rules! progress_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// `progress-type` (RFC 8572 §7.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ProgressType { $($(#[$doc])* $variant,)* }

        impl ProgressType {
            /// Every value, in the order of the module.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the schema.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

progress_types! {
    /// The device has just taken bootstrapping data from this server.
    BootstrapInitiated = "bootstrap-initiated",
    /// About to parse the data.
    ParsingInitiated = "parsing-initiated",
    /// A fault in the data that does not matter.
    ParsingWarning = "parsing-warning",
    /// The data was refused.
    ParsingError = "parsing-error",
    /// The data was parsed.
    ParsingComplete = "parsing-complete",
    /// About to see to the boot image.
    BootImageInitiated = "boot-image-initiated",
    /// A fault with the boot image that does not matter.
    BootImageWarning = "boot-image-warning",
    /// The boot image could not be installed.
    BootImageError = "boot-image-error",
    /// The device is not running the required boot image.
    BootImageMismatch = "boot-image-mismatch",
    /// A new boot image is installed and the device reboots.
    BootImageInstalledRebooting = "boot-image-installed-rebooting",
    /// The required boot image is running.
    BootImageComplete = "boot-image-complete",
    /// About to run the pre-configuration script.
    PreScriptInitiated = "pre-script-initiated",
    /// The pre-configuration script warned.
    PreScriptWarning = "pre-script-warning",
    /// The pre-configuration script failed.
    PreScriptError = "pre-script-error",
    /// The pre-configuration script succeeded.
    PreScriptComplete = "pre-script-complete",
    /// About to commit the configuration.
    ConfigInitiated = "config-initiated",
    /// The commit gave warnings.
    ConfigWarning = "config-warning",
    /// The commit failed.
    ConfigError = "config-error",
    /// The configuration is committed.
    ConfigComplete = "config-complete",
    /// About to run the post-configuration script.
    PostScriptInitiated = "post-script-initiated",
    /// The post-configuration script warned.
    PostScriptWarning = "post-script-warning",
    /// The post-configuration script failed.
    PostScriptError = "post-script-error",
    /// The post-configuration script succeeded.
    PostScriptComplete = "post-script-complete",
    /// A warning that no other type fits.
    BootstrapWarning = "bootstrap-warning",
    /// An error that no other type fits.
    BootstrapError = "bootstrap-error",
    /// The device is ready to be managed.
    BootstrapComplete = "bootstrap-complete",
    /// Anything else.
    Informational = "informational",
}

impl ProgressType {
    /// Whether it says that the device gave up on this server (RFC 8572 §7.3).
    pub fn is_error(self) -> bool {
        self.as_str().ends_with("-error")
    }

    /// Whether it says that the device went on in spite of a fault.
    pub fn is_warning(self) -> bool {
        self.as_str().ends_with("-warning")
    }
}

impl fmt::Display for ProgressType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not one of the progress types of RFC 8572 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown progress type")]
pub struct UnknownProgressType;

impl FromStr for ProgressType {
    type Err = UnknownProgressType;

    fn from_str(name: &str) -> Result<Self, UnknownProgressType> {
        Self::ALL
            .iter()
            .copied()
            .find(|t| t.as_str() == name)
            .ok_or(UnknownProgressType)
    }
}

fn top(document: &mut Value, name: &str) -> Result<Fields, MessageError> {
    Fields::top(document, name).ok_or_else(|| {
        YangError::Missing {
            path: format!("/{name}"),
        }
        .into()
    })
}

fn insert_text(members: &mut Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        members.insert(name.to_owned(), clean_text(text).into());
    }
}

fn insert_binary(members: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        members.insert(name.to_owned(), encode_binary(bytes).into());
    }
}

const INPUT: &str = "ietf-sztp-bootstrap-server:input";
const OUTPUT: &str = "ietf-sztp-bootstrap-server:output";

#[cfg(test)]
mod tests {
    use super::*;

    fn input(members: &str) -> Result<(GetBootstrappingDataInput, Vec<String>), MessageError> {
        let text = format!("{{\"{INPUT}\":{{{members}}}}}");
        GetBootstrappingDataInput::decode_noting(text.as_bytes(), Encoding::Json)
    }

    fn report(members: &str) -> Result<(ProgressReport, Vec<String>), MessageError> {
        let text = format!("{{\"{INPUT}\":{{{members}}}}}");
        ProgressReport::decode_noting(text.as_bytes(), Encoding::Json)
    }

    #[test]
    fn the_nonce_has_sixteen_to_thirty_two_octets() {
        // LEDGER: 8572-7.3-04
        for (length, fits) in [(1, false), (15, false), (16, true), (32, true), (33, false)] {
            let request = input(&format!(
                "\"nonce\":\"{}\"",
                encode_binary(&vec![7; length])
            ));
            let expected = if fits {
                Ok(())
            } else {
                Err(MessageError::NonceLength { found: length })
            };
            assert_eq!(request.map(|_| ()), expected, "{length}");
        }
        let (request, notes) = input(r#""nonce":"""#).expect("an empty nonce is tolerated");
        assert_eq!((request.nonce, notes.len()), (None, 1));
    }

    #[test]
    fn a_request_without_body_is_the_empty_request() {
        // LEDGER: 8572-7.3-03
        for encoding in [Encoding::Json, Encoding::Xml] {
            let empty = GetBootstrappingDataInput::default();
            assert_eq!(
                GetBootstrappingDataInput::decode(b"", encoding),
                Ok(empty.clone())
            );
            let bytes = empty.encode(encoding);
            assert_eq!(
                GetBootstrappingDataInput::decode(&bytes, encoding),
                Ok(empty)
            );
        }
        assert!(GetBootstrappingDataInput::decode(b"{}", Encoding::Json).is_err());
    }

    #[test]
    fn signed_data_preferred_is_an_empty_leaf() {
        // LEDGER: 8572-7.3-01, 7951-6.9-01
        assert!(
            input(r#""signed-data-preferred":[null]"#).is_ok_and(|(i, _)| i.signed_data_preferred)
        );
        for value in ["null", "true", "{}", "[]"] {
            let refused = input(&format!("\"signed-data-preferred\":{value}"));
            assert_eq!(
                refused.map_err(|e| e.code()),
                Err("yang.wrong-type"),
                "{value}"
            );
        }
    }

    #[test]
    fn only_one_csr_node() {
        // LEDGER: 9646-2.3-01
        let two = r#""ietf-sztp-csr:p10-csr":"AA==","ietf-sztp-csr:cmc-csr":"AA==""#;
        assert_eq!(input(two), Err(MessageError::SeveralCsrNodes));
        for csr in [Csr::P10(vec![1]), Csr::Cmc(vec![2]), Csr::Cmp(vec![3])] {
            let request = GetBootstrappingDataInput {
                csr: Some(csr),
                ..Default::default()
            };
            for encoding in [Encoding::Json, Encoding::Xml] {
                let bytes = request.encode(encoding);
                assert_eq!(
                    GetBootstrappingDataInput::decode(&bytes, encoding),
                    Ok(request.clone())
                );
            }
        }
    }

    #[test]
    fn an_answer_holds_conveyed_information_and_both_or_neither_of_the_others() {
        let decode = |members: &str| {
            let text = format!("{{\"{OUTPUT}\":{{{members}}}}}");
            GetBootstrappingDataOutput::decode(text.as_bytes(), Encoding::Json)
        };
        // LEDGER: 8572-7.3-07
        assert_eq!(decode("").map_err(|e| e.code()), Err("yang.missing-node"));
        // LEDGER: 8572-7.3-06
        let bare = decode(r#""conveyed-information":"AA==""#).expect("complete");
        assert_eq!(
            bare.reporting_level.unwrap_or_default(),
            ReportingLevel::Minimal
        );
        // LEDGER: 8572-7.3-08
        let alone = decode(r#""conveyed-information":"AA==","ownership-voucher":"AA==""#);
        assert_eq!(alone, Err(MessageError::VoucherWithoutOwnerCertificate));
        let alone = decode(r#""conveyed-information":"AA==","owner-certificate":"AA==""#);
        assert_eq!(alone, Err(MessageError::OwnerCertificateWithoutVoucher));
    }

    #[test]
    fn every_progress_type_and_no_other() {
        // LEDGER: 8572-7.3-12
        assert_eq!(ProgressType::ALL.len(), 27);
        let names: Vec<_> = ProgressType::ALL.iter().map(|t| t.as_str()).collect();
        assert_eq!(names, schema::PROGRESS_TYPES);
        for &progress_type in ProgressType::ALL {
            for encoding in [Encoding::Json, Encoding::Xml] {
                let report = ProgressReport::new(progress_type, None);
                assert_eq!(
                    ProgressReport::decode(&report.encode(encoding), encoding),
                    Ok(report)
                );
            }
        }
        for name in ["", "done", "Bootstrap-Complete", "bootstrap-complete "] {
            assert!(
                report(&format!("\"progress-type\":\"{name}\"")).is_err(),
                "{name}"
            );
        }
        assert_eq!(report("").map_err(|e| e.code()), Err("yang.missing-node"));
        // LEDGER: 8572-7.3-14
        assert_eq!(ProgressType::ALL.iter().filter(|t| t.is_error()).count(), 6);
        assert_eq!(
            ProgressType::ALL.iter().filter(|t| t.is_warning()).count(),
            6
        );
    }

    #[test]
    fn keys_and_anchors_only_at_the_end() {
        // LEDGER: 8572-7.3-18
        let key = r#""ssh-host-keys":{"ssh-host-key":[{"algorithm":"x","key-data":"AA=="}]}"#;
        assert!(report(&format!(r#""progress-type":"bootstrap-complete",{key}"#)).is_ok());
        let progress_type = ProgressType::ConfigComplete;
        let early = report(&format!(r#""progress-type":"config-complete",{key}"#));
        let node = "ssh-host-keys";
        assert_eq!(
            early,
            Err(MessageError::OnlyWhenComplete {
                node,
                progress_type
            })
        );
        let anchors = r#""trust-anchor-certs":{"trust-anchor-cert":["AA=="]}"#;
        let early = report(&format!(r#""progress-type":"config-complete",{anchors}"#));
        let node = "trust-anchor-certs";
        assert_eq!(
            early,
            Err(MessageError::OnlyWhenComplete {
                node,
                progress_type
            })
        );
        for half in [r#"{"algorithm":"x"}"#, r#"{"key-data":"AA=="}"#] {
            let members = format!(
                r#""progress-type":"bootstrap-complete","ssh-host-keys":{{"ssh-host-key":[{half}]}}"#
            );
            assert_eq!(
                report(&members).map_err(|e| e.code()),
                Err("yang.missing-node")
            );
        }
        let empty = r#""progress-type":"config-complete","ssh-host-keys":{},
            "trust-anchor-certs":{"trust-anchor-cert":[]}"#;
        assert!(report(empty).is_ok_and(|(_, notes)| notes.len() == 2));
    }

    #[test]
    fn script_output_becomes_a_legal_string() {
        // LEDGER: 8572-7.3-13
        let message = Some("\u{1b}[31mfailed\u{0}\r\n<b>".to_owned());
        let report = ProgressReport::new(ProgressType::PreScriptError, message);
        for encoding in [Encoding::Json, Encoding::Xml] {
            let decoded = ProgressReport::decode(&report.encode(encoding), encoding);
            let message = decoded.expect("legal").message;
            assert_eq!(
                message.as_deref(),
                Some("\u{FFFD}[31mfailed\u{FFFD}\r\n<b>")
            );
        }
    }
}
