//! `sztp voucher inspect`: what a voucher says and who seems to have signed it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Map, Value, json};
use sztp_cms::Certificate;
use sztp_voucher::{Profile, SignedVoucher, Voucher};

use crate::failure::Failure;
use crate::files;
use crate::message::{certificate_json, certificate_rows, content_type_name, signers};
use crate::report::{Report, Status, Text};

/// `sztp voucher inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The voucher: DER, PEM or base64
    file: PathBuf,
}

impl Inspect {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let octets = files::read(&self.file)?;
        let signed = SignedVoucher::read(&octets, Profile::Rfc8366bis)
            .map_err(|error| Failure::from(error).at(&self.file))?;
        let voucher = signed.unverified();
        let content_type = content_type_name(&signed.cms().content_type());

        let mut text = Text::default();
        text.line("Ownership voucher (nothing of it is verified here):");
        leaves(&mut text, voucher);
        text.row("content type", &content_type);
        for signer in signers(signed.cms()) {
            text.row("signer", &signer);
        }
        text.line("Certificates in the message:");
        for certificate in signed.cms().certificates() {
            certificate_rows(&mut text, certificate);
        }
        if signed.cms().certificates().is_empty() {
            text.row("none", "the signer's must be given as trust anchor");
        }
        for note in signed.notes() {
            text.check(Status::Noted, note, "");
        }
        let certificates: Vec<Value> = signed
            .cms()
            .certificates()
            .iter()
            .map(certificate_json)
            .collect();
        let data = json!({
            "file": self.file,
            "voucher": leaves_json(voucher),
            "content-type": content_type,
            "signers": signers(signed.cms()),
            "certificates": certificates,
            "notes": signed.notes(),
        });
        Ok(Report::new(text, data))
    }
}

/// What a voucher says, for people.
pub(super) fn leaves(text: &mut Text, voucher: &Voucher) {
    let time = |time: Option<sztp_cms::UnixTime>| time.map(|time| time.to_string());
    text.row("serial-number", &voucher.serial_number);
    text.row("assertion", voucher.assertion.as_str());
    text.row("created-on", &voucher.created_on.to_string());
    text.row(
        "expires-on",
        time(voucher.expires_on).as_deref().unwrap_or("never"),
    );
    text.optional_row("nonce", base64(voucher.nonce.as_deref()).as_deref());
    text.optional_row(
        "idevid-issuer",
        base64(voucher.idevid_issuer.as_deref()).as_deref(),
    );
    let pinned = Certificate::from_der(&voucher.pinned_domain_cert);
    match &pinned {
        Ok(certificate) => {
            text.row("pinned-domain-cert", &certificate.subject());
            text.row("", &format!("SHA-256 {}", certificate.sha256_fingerprint()));
            text.row("", &format!("until {}", certificate.not_after()));
        }
        Err(error) => text.row("pinned-domain-cert", &format!("unreadable: {error}")),
    }
    let revocation = voucher
        .domain_cert_revocation_checks
        .map(|check| check.to_string());
    text.optional_row("revocation-checks", revocation.as_deref());
    text.optional_row(
        "last-renewal-date",
        time(voucher.last_renewal_date).as_deref(),
    );
    for name in voucher.extra.keys() {
        text.row("unknown leaf", name);
    }
}

/// What a voucher says, under the names of RFC 8366, with the pinned certificate explained.
pub(super) fn leaves_json(voucher: &Voucher) -> Value {
    let mut leaves = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            leaves.insert(name.to_owned(), value);
        }
    };
    put("serial-number", Some(voucher.serial_number.as_str().into()));
    put("assertion", Some(voucher.assertion.as_str().into()));
    put("created-on", Some(voucher.created_on.to_string().into()));
    put(
        "expires-on",
        voucher.expires_on.map(|time| time.to_string().into()),
    );
    put("nonce", base64(voucher.nonce.as_deref()).map(Value::from));
    put(
        "idevid-issuer",
        base64(voucher.idevid_issuer.as_deref()).map(Value::from),
    );
    put(
        "pinned-domain-cert",
        base64(Some(&voucher.pinned_domain_cert)).map(Value::from),
    );
    put(
        "domain-cert-revocation-checks",
        voucher.domain_cert_revocation_checks.map(Value::from),
    );
    put(
        "last-renewal-date",
        voucher
            .last_renewal_date
            .map(|time| time.to_string().into()),
    );
    let pinned = Certificate::from_der(&voucher.pinned_domain_cert).ok();
    put(
        "pinned-domain-cert-details",
        pinned.as_ref().map(certificate_json),
    );
    leaves.extend(voucher.extra.clone());
    leaves.into()
}

fn base64(octets: Option<&[u8]>) -> Option<String> {
    octets.map(|octets| STANDARD.encode(octets))
}
