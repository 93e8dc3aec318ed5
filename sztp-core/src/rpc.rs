//! The bootstrap server's two RPCs (RFC 8572 §7): `get-bootstrapping-data` and `report-progress`.

mod progress;

use serde_json::{Map, Value, json};
use sztp_cms::Rule;
use sztp_voucher::yang::{self, Encoding, Fields, Options, YangError, clean_text, encode_binary};

use crate::csr::CsrSupport;
use crate::schema;

pub use progress::{ProgressReport, ProgressType, SshHostKey, UnknownProgressType};

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
        let options = Options {
            max_bytes: MAX_REQUEST_BYTES,
            ..Options::default()
        };
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

/// Largest request accepted: a CSR with its certificates, or the output of a talkative script.
const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

const INPUT: &str = "ietf-sztp-bootstrap-server:input";
const OUTPUT: &str = "ietf-sztp-bootstrap-server:output";

#[cfg(test)]
mod tests {
    use super::*;

    fn input(members: &str) -> Result<(GetBootstrappingDataInput, Vec<String>), MessageError> {
        let text = format!("{{\"{INPUT}\":{{{members}}}}}");
        GetBootstrappingDataInput::decode_noting(text.as_bytes(), Encoding::Json)
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
}
