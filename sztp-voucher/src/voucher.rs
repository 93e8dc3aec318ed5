//! What a voucher says (RFC 8366 §5.3), in JSON and XML.

use std::fmt;

use serde_json::{Map, Value, json};
use sztp_cms::UnixTime;

use crate::VoucherError;
use crate::yang::{
    self, Encoding, Fields, Kind, LeafType, Module, Node, Options, UnknownMembers, YangError,
    decode_binary, encode_binary,
};

/// How the issuer knows that the device belongs to the owner (RFC 8366 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assertion {
    /// By a record of the sale or the like.
    Verified,
    /// Only logged; anyone may have asked.
    Logged,
    /// The device was seen near its registrar.
    Proximity,
}

impl Assertion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Verified, Self::Logged, Self::Proximity];

    /// The name in YANG.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Logged => "logged",
            Self::Proximity => "proximity",
        }
    }

    /// From the name in YANG.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How strictly a voucher is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// RFC 8366 to the letter.
    #[default]
    Rfc8366,
    /// As its successor's draft and makers in the field write it: base64url, booleans as strings,
    /// leaves of later revisions. Each deviation is noted.
    Rfc8366bis,
}

/// What a voucher says. Nothing of it is proven: see
/// [`VerifiedVoucher`](crate::VerifiedVoucher).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// When it was made.
    pub created_on: UnixTime,
    /// After which it is void; none: valid as long as what it pins.
    pub expires_on: Option<UnixTime>,
    /// How the issuer knows.
    pub assertion: Assertion,
    /// The device that it is for.
    pub serial_number: String,
    /// The authority key identifier of the device's IDevID certificate.
    pub idevid_issuer: Option<Vec<u8>>,
    /// The owner's certificate (DER) that all else leads to.
    pub pinned_domain_cert: Vec<u8>,
    /// Whether the owner certificate's revocation must, or must not, be checked.
    pub domain_cert_revocation_checks: Option<bool>,
    /// Ties it to one request of the device; 8 to 32 octets.
    pub nonce: Option<Vec<u8>>,
    /// Until when the issuer renews it; informative.
    pub last_renewal_date: Option<UnixTime>,
    /// Leaves that RFC 8366 does not know, kept by [`Profile::Rfc8366bis`].
    pub extra: Map<String, Value>,
}

impl Voucher {
    /// A voucher with the mandatory leaves.
    pub fn new(
        serial_number: impl Into<String>,
        assertion: Assertion,
        pinned_domain_cert: impl Into<Vec<u8>>,
        created_on: UnixTime,
    ) -> Self {
        Self {
            created_on,
            expires_on: None,
            assertion,
            serial_number: serial_number.into(),
            idevid_issuer: None,
            pinned_domain_cert: pinned_domain_cert.into(),
            domain_cert_revocation_checks: None,
            nonce: None,
            last_renewal_date: None,
            extra: Map::new(),
        }
    }

    /// Reads a voucher document, and says what had to be let pass.
    pub fn decode(
        octets: &[u8],
        encoding: Encoding,
        profile: Profile,
    ) -> Result<(Self, Vec<String>), VoucherError> {
        let mut notes = Vec::new();
        let mut document = match yang::decode(octets, encoding, &[&VOUCHER], &Options::default()) {
            Ok(document) => document,
            Err(error) if is_request(octets, &error) => return Err(VoucherError::VoucherRequest),
            Err(error) if profile == Profile::Rfc8366 || encoding == Encoding::Xml => {
                return Err(error.into());
            }
            Err(error) => relaxed(octets, error, &mut notes)?,
        };
        let mut fields = Fields::top(&mut document, TOP).ok_or_else(|| YangError::Missing {
            path: format!("/{TOP}"),
        })?;
        let created_on = time(&mut fields, "created-on")?;
        let created_on = created_on.ok_or_else(|| fields.missing("created-on"))?;
        let assertion = fields.mandatory_string("assertion")?;
        let voucher = Self {
            created_on,
            expires_on: time(&mut fields, "expires-on")?,
            // The schema knows no other names.
            assertion: Assertion::from_name(&assertion)
                .ok_or_else(|| fields.missing("assertion"))?,
            serial_number: fields.mandatory_string("serial-number")?,
            idevid_issuer: fields.binary("idevid-issuer"),
            pinned_domain_cert: fields.mandatory_binary("pinned-domain-cert")?,
            domain_cert_revocation_checks: fields.boolean("domain-cert-revocation-checks"),
            nonce: fields.binary("nonce"),
            last_renewal_date: time(&mut fields, "last-renewal-date")?,
            extra: fields.into_rest(),
        };
        notes.extend(voucher.extra.keys().map(|key| {
            let name: String = key.chars().take(64).filter(|c| !c.is_control()).collect();
            format!("leaf {name:?} is unknown to RFC 8366; not looked at")
        }));
        voucher.check()?;
        Ok((voucher, notes))
    }

    /// Writes the voucher document.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut leaves = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                leaves.insert(name.to_owned(), value);
            }
        };
        let text = |time: UnixTime| Value::from(time.to_string());
        let binary = |octets: &Vec<u8>| Value::from(encode_binary(octets));
        put("created-on", Some(text(self.created_on)));
        put("expires-on", self.expires_on.map(text));
        put("assertion", Some(self.assertion.as_str().into()));
        put("serial-number", Some(self.serial_number.as_str().into()));
        put("idevid-issuer", self.idevid_issuer.as_ref().map(binary));
        put("pinned-domain-cert", Some(binary(&self.pinned_domain_cert)));
        put(
            "domain-cert-revocation-checks",
            self.domain_cert_revocation_checks.map(Value::Bool),
        );
        put("nonce", self.nonce.as_ref().map(binary));
        put("last-renewal-date", self.last_renewal_date.map(text));
        yang::encode_unchecked(&json!({ TOP: leaves }), encoding, &[&VOUCHER])
    }

    /// The rules between leaves (the `must` statements of RFC 8366 §5.3).
    pub(crate) fn check(&self) -> Result<(), VoucherError> {
        if self.serial_number.is_empty() {
            return Err(VoucherError::EmptySerialNumber);
        }
        if self.nonce.is_some() && self.expires_on.is_some() {
            return Err(VoucherError::NonceAndExpiry);
        }
        if self.last_renewal_date.is_some() && self.expires_on.is_none() {
            return Err(VoucherError::RenewalWithoutExpiry);
        }
        match self.nonce.as_ref().map(Vec::len) {
            Some(length) if !(8..=32).contains(&length) => {
                Err(VoucherError::NonceLength { length })
            }
            _ => Ok(()),
        }
    }
}

fn time(fields: &mut Fields, name: &str) -> Result<Option<UnixTime>, YangError> {
    let path = fields.path_of(name);
    fields
        .string(name)
        .map(|text| {
            UnixTime::parse_rfc3339(&text).map_err(|_| YangError::WrongType {
                path,
                expected: "a date and time that exists",
            })
        })
        .transpose()
}

/// Whether a document that is no voucher is a voucher-request.
fn is_request(octets: &[u8], error: &YangError) -> bool {
    const NAME: &[u8] = b"ietf-voucher-request";
    matches!(
        error,
        YangError::Unknown { .. } | YangError::WronglyQualified { .. } | YangError::Missing { .. }
    ) && octets.windows(NAME.len()).any(|window| window == NAME)
}

/// Reads JSON that strict reading refused with `error`, after mending what is known to differ.
fn relaxed(
    octets: &[u8],
    error: YangError,
    notes: &mut Vec<String>,
) -> Result<Value, VoucherError> {
    // A duplicate member, which serde_json would let pass, is refused here with all the rest.
    if !matches!(
        error,
        YangError::WrongType { .. } | YangError::InvalidValue { .. } | YangError::Unknown { .. }
    ) {
        return Err(error.into());
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(octets) else {
        return Err(error.into());
    };
    let Some(leaves) = document.get_mut(TOP).and_then(Value::as_object_mut) else {
        return Err(error.into());
    };
    for name in ["nonce", "idevid-issuer", "pinned-domain-cert"] {
        let Some(Value::String(text)) = leaves.get_mut(name) else {
            continue;
        };
        if decode_binary(text, true).is_none()
            && let Some(octets) = decode_base64url(text)
        {
            *text = encode_binary(&octets);
            notes.push(format!(
                "{name} is base64url or unpadded, RFC 7951 §6.6 wants base64"
            ));
        }
    }
    if let Some(value) = leaves.get_mut("domain-cert-revocation-checks") {
        let truth = match value.as_str() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        if let Some(truth) = truth {
            *value = truth.into();
            notes.push("domain-cert-revocation-checks is a string, not a boolean".to_owned());
        }
    }
    let options = Options {
        unknown: UnknownMembers::Keep,
        ..Options::default()
    };
    let mended = document.to_string();
    Ok(yang::decode(
        mended.as_bytes(),
        Encoding::Json,
        &[&VOUCHER],
        &options,
    )?)
}

/// base64url (RFC 4648 §5), or base64 that lacks its padding; white space aside.
fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.split_ascii_whitespace().collect();
    let bare = bare.trim_end_matches('=');
    let url_safe = bare.contains(['-', '_']);
    if url_safe && bare.contains(['+', '/']) {
        return None;
    }
    let mut mended = bare.replace('-', "+").replace('_', "/");
    while !mended.len().is_multiple_of(4) {
        mended.push('=');
    }
    decode_binary(&mended, false)
}

const TOP: &str = "ietf-voucher:voucher";

static MODULE: Module = Module {
    name: "ietf-voucher",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-voucher",
};

/// RFC 8366 §5.4.
static VOUCHER: Node = Node {
    name: "voucher",
    module: &MODULE,
    kind: Kind::Container(&[
        leaf("created-on", LeafType::DateTime),
        leaf("expires-on", LeafType::DateTime),
        leaf(
            "assertion",
            LeafType::Enumeration(&["verified", "logged", "proximity"]),
        ),
        leaf("serial-number", LeafType::String),
        leaf("idevid-issuer", LeafType::Binary),
        leaf("pinned-domain-cert", LeafType::Binary),
        leaf("domain-cert-revocation-checks", LeafType::Boolean),
        leaf("nonce", LeafType::Binary),
        leaf("last-renewal-date", LeafType::DateTime),
    ]),
};

const fn leaf(name: &'static str, ty: LeafType) -> Node {
    Node {
        name,
        module: &MODULE,
        kind: Kind::Leaf(ty),
    }
}
