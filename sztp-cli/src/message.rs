//! CMS messages and certificates as they are shown.

use serde_json::{Value, json};
use sztp_cms::{Certificate, SignedData, oids};

use crate::report::Text;

/// Who says to have signed: the signer's name where its certificate is in the message.
pub(crate) fn signers(message: &SignedData) -> Vec<String> {
    message
        .signers()
        .iter()
        .map(|signer| {
            let mut certificates = message.certificates().iter();
            match certificates.find(|certificate| signer.names(certificate)) {
                Some(certificate) => certificate.subject(),
                None => format!("not in the message: {}", signer.describe()),
            }
        })
        .collect()
}

/// A certificate for people.
pub(crate) fn certificate_rows(text: &mut Text, certificate: &Certificate) {
    text.row("subject", &certificate.subject());
    text.row("  issuer", &certificate.issuer());
    text.row("  serial", &certificate.serial_hex());
    text.row(
        "  valid",
        &format!(
            "{} to {}",
            certificate.not_before(),
            certificate.not_after()
        ),
    );
    let key = certificate
        .public_key()
        .map_or_else(|error| error.to_string(), |key| key.description());
    text.row("  key", &key);
    text.row("  SHA-256", &certificate.sha256_fingerprint());
}

/// A certificate for programs.
pub(crate) fn certificate_json(certificate: &Certificate) -> Value {
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial_hex(),
        "not-before": certificate.not_before().to_string(),
        "not-after": certificate.not_after().to_string(),
        "key": certificate.public_key().ok().map(|key| key.description()),
        "sha256": certificate.sha256_fingerprint(),
    })
}

/// A content type by name where it has one.
pub(crate) fn content_type_name(oid: &impl ToString) -> String {
    let oid = oid.to_string();
    let names = [
        (oids::ID_DATA, "id-data"),
        (oids::ID_SIGNED_DATA, "id-signedData"),
        (oids::ID_ENVELOPED_DATA, "id-envelopedData"),
        (oids::ID_AUTH_ENVELOPED_DATA, "id-ct-authEnvelopedData"),
        (oids::ANIMA_JSON_VOUCHER, "id-ct-animaJSONVoucher"),
        (oids::SZTP_CONVEYED_INFO_XML, "id-ct-sztpConveyedInfoXML"),
        (oids::SZTP_CONVEYED_INFO_JSON, "id-ct-sztpConveyedInfoJSON"),
    ];
    match names.iter().find(|(known, _)| known.to_string() == oid) {
        Some((_, name)) => format!("{name} ({oid})"),
        None => oid,
    }
}
