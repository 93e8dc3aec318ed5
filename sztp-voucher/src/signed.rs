//! A signed voucher as it is received (RFC 8366 §5.4 and §6): read, not believed.

use der::asn1::ObjectIdentifier;
use sztp_cms::{Certificate, CmsError, Limits, SignedData, oids};

use crate::yang::Encoding;
use crate::{Profile, TextForm, Voucher, VoucherError, text_form, unwrap_text};

/// The content types of a voucher in CMS: its own and, as nearly everyone sends it, id-data
/// (RFC 8572 §3.3).
pub(crate) const CONTENT_TYPES: [ObjectIdentifier; 2] = [oids::ANIMA_JSON_VOUCHER, oids::ID_DATA];

/// A voucher in CMS whose signature was not looked at.
///
/// [`SignedVoucher::verify`] turns it into a [`VerifiedVoucher`](crate::VerifiedVoucher).
#[derive(Debug, Clone)]
pub struct SignedVoucher {
    cms: SignedData,
    voucher: Voucher,
    profile: Profile,
    notes: Vec<String>,
}

impl SignedVoucher {
    /// Reads a voucher in CMS, DER or BER.
    pub fn parse(octets: &[u8], profile: Profile) -> Result<Self, VoucherError> {
        Message::parse(octets)?.voucher(profile)
    }

    /// Reads a voucher as it is found in files: in binary or, under [`Profile::Rfc8366bis`], also
    /// as PEM, as base64 and with white space behind it, which is noted.
    pub fn read(octets: &[u8], profile: Profile) -> Result<Self, VoucherError> {
        Message::read(octets, profile)?.voucher(profile)
    }

    /// What it says, for display: not to be acted on.
    pub fn unverified(&self) -> &Voucher {
        &self.voucher
    }

    /// The CMS message.
    pub fn cms(&self) -> &SignedData {
        &self.cms
    }

    /// How strictly it was read.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Deviations that reading let pass.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The CMS message of a voucher or voucher-request, before its content is looked at.
pub(crate) struct Message {
    pub(crate) cms: SignedData,
    pub(crate) notes: Vec<String>,
}

impl Message {
    pub(crate) fn parse(octets: &[u8]) -> Result<Self, VoucherError> {
        let limits = Limits {
            max_bytes: MAX_BYTES,
            ..Limits::default()
        };
        let cms = match SignedData::parse(octets, &limits) {
            Err(CmsError::Malformed { .. }) if text_form::is_line_ending_damage(octets) => {
                return Err(VoucherError::LineEndingDamage);
            }
            other => other?,
        };
        if !CONTENT_TYPES.contains(&cms.content_type()) {
            return Err(VoucherError::Cms(CmsError::WrongContentType {
                found: cms.content_type(),
                expected: CONTENT_TYPES.to_vec(),
            }));
        }
        if cms.unverified_content().is_none() {
            return Err(VoucherError::Cms(CmsError::NoContent));
        }
        let mut notes = Vec::new();
        if octets.get(1) == Some(&INDEFINITE) {
            notes.push("the message is BER, RFC 8366 §5.4 wants DER".to_owned());
        }
        if cms.certificates().is_empty() {
            notes.push("the message holds no certificates (RFC 8366 §5.4)".to_owned());
        }
        if has_namesakes(cms.certificates()) {
            notes.push(
                "two certificates in the message have the same issuer and serial number (RFC 5280 \
                 §4.1.2.2); each is tried"
                    .to_owned(),
            );
        }
        Ok(Self { cms, notes })
    }

    pub(crate) fn read(octets: &[u8], profile: Profile) -> Result<Self, VoucherError> {
        // base64 with line breaks is half as long again at most.
        if octets.len() > 2 * MAX_BYTES {
            return Err(VoucherError::Cms(CmsError::TooLarge {
                what: "octets",
                limit: MAX_BYTES,
            }));
        }
        let (binary, form) = unwrap_text(octets)?;
        let refused = match (profile, &form) {
            (Profile::Rfc8366, Some(TextForm::Pem { .. })) => Some(CmsError::Pem.into()),
            (Profile::Rfc8366, Some(TextForm::Base64)) => Some(VoucherError::Base64Text),
            // The CMS layer says what is wrong with it.
            (Profile::Rfc8366, Some(TextForm::TrailingWhiteSpace)) => {
                return Self::parse(octets);
            }
            _ => None,
        };
        if let Some(error) = refused {
            return Err(error);
        }
        let mut message = Self::parse(&binary)?;
        message.notes.extend(form.map(|form| form.to_string()));
        Ok(message)
    }

    /// The content and its encoding: id-data does not say, its first character does (RFC 8572
    /// §3.3).
    pub(crate) fn content(&self) -> (&[u8], Encoding) {
        let content = self.cms.unverified_content().unwrap_or_default();
        let xml = self.cms.content_type() == oids::ID_DATA
            && content.trim_ascii_start().first() == Some(&b'<');
        let encoding = if xml { Encoding::Xml } else { Encoding::Json };
        (content, encoding)
    }

    pub(crate) fn voucher(self, profile: Profile) -> Result<SignedVoucher, VoucherError> {
        let (content, encoding) = self.content();
        let (voucher, found) = Voucher::decode(content, encoding, profile)?;
        let mut notes = self.notes;
        notes.extend(found);
        Ok(SignedVoucher {
            cms: self.cms,
            voucher,
            profile,
            notes,
        })
    }
}

/// At most as many certificates as the limits allow, so that comparing all of them is cheap.
fn has_namesakes(certificates: &[Certificate]) -> bool {
    certificates.iter().enumerate().any(|(at, one)| {
        certificates[at + 1..].iter().any(|other| {
            one.serial_bytes() == other.serial_bytes()
                && one.issuer_der() == other.issuer_der()
                && one != other
        })
    })
}

/// A voucher holds one certificate; its message holds a chain.
const MAX_BYTES: usize = 1024 * 1024;
/// The length octet of BER's indefinite form.
const INDEFINITE: u8 = 0x80;
