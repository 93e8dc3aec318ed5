//! Vouchers that do not arrive as RFC 8366 §5.4 wants them (DER, certificates inside): named for
//! what they are, and read where that was asked for.

use sztp_cms::{CmsError, WallClock};
use sztp_voucher::yang::encode_binary;
use sztp_voucher::{Profile, SignedVoucher, VoucherContext, VoucherError};

use crate::lab::{CREATED, Lab};

fn wrapped(base64: &str, line_end: &str) -> String {
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("ASCII"))
        .collect();
    lines.join(line_end)
}

#[test]
fn text_is_refused_to_the_letter_and_read_leniently() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    let base64 = encode_binary(&message);
    let pem = |label: &str| {
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            wrapped(&base64, "\n")
        )
    };
    let anchors = lab.anchors();
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    for (text, error) in [
        (pem("CMS"), VoucherError::Cms(CmsError::Pem)),
        (pem("PKCS7"), VoucherError::Cms(CmsError::Pem)),
        (base64.clone(), VoucherError::Base64Text),
        (wrapped(&base64, "\r\n"), VoucherError::Base64Text),
        (
            base64.replace('+', "-").replace('/', "_"),
            VoucherError::Base64Text,
        ),
    ] {
        let strict = SignedVoucher::read(text.as_bytes(), Profile::Rfc8366).map(|_| ());
        assert_eq!(strict, Err(error), "{text}");
        let lenient = SignedVoucher::read(text.as_bytes(), Profile::Rfc8366bis);
        let verified = lenient
            .and_then(|signed| signed.verify(&context))
            .expect("verifies");
        assert_eq!(verified.voucher(), &lab.voucher());
        assert!(!verified.notes().is_empty(), "leniency is noted");
    }
}

/// However lenient: what was damaged is not mended, but named.
#[test]
fn damage_is_named_and_not_mended() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    let base64 = encode_binary(&message);
    let refusal = |octets: &[u8]| {
        SignedVoucher::read(octets, Profile::Rfc8366bis)
            .map(|_| ())
            .expect_err("refused")
    };
    for pem in [
        format!("-----BEGIN CMS-----\n{base64}\n"),
        format!("-----BEGIN CMS-----\n{base64}\n-----END PKCS7-----\n"),
        format!("-----BEGIN CMS-----\n*{base64}\n-----END CMS-----\n"),
    ] {
        assert_eq!(refusal(pem.as_bytes()), VoucherError::DamagedPem, "{pem}");
    }
    // FTP in text mode: each line feed has become CR LF.
    let mut voucher = lab.voucher();
    voucher.pinned_domain_cert = lab.domain.as_der().to_vec();
    let content = voucher.encode(sztp_voucher::yang::Encoding::Json);
    let message = lab.sign(&[&content[..], b"\n\n"].concat());
    let damaged: Vec<u8> = message
        .iter()
        .flat_map(|octet| match octet {
            b'\n' => vec![b'\r', b'\n'],
            other => vec![*other],
        })
        .collect();
    assert!(damaged.len() >= message.len() + 2);
    assert_eq!(refusal(&damaged), VoucherError::LineEndingDamage);
}

/// id-data does not say what is in it: XML is told by its first character (RFC 8572 §3.3).
#[test]
fn xml_in_id_data() {
    let lab = Lab::new();
    let content = lab.voucher().encode(sztp_voucher::yang::Encoding::Xml);
    let message = lab.sign_as(sztp_cms::oids::ID_DATA, &content);
    let anchors = lab.anchors();
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    let signed = SignedVoucher::parse(&message, Profile::Rfc8366).expect("parses");
    let verified = signed.verify(&context).expect("verifies");
    assert_eq!(verified.voucher(), &lab.voucher());
    // The voucher's own content type says JSON.
    let refused = SignedVoucher::parse(&lab.sign(&content), Profile::Rfc8366);
    assert_eq!(refused.expect_err("refused").code(), "yang.malformed");
}

/// A voucher without certificates: its signer's is in what the caller has.
#[test]
fn the_signers_certificate_from_the_callers_pool() {
    let lab = Lab::new();
    let content = lab.voucher().encode(sztp_voucher::yang::Encoding::Json);
    let message = sztp_cms::SignedDataBuilder::new(sztp_cms::oids::ANIMA_JSON_VOUCHER, content)
        .sign(&lab.masa_key, &lab.masa)
        .expect("signs");
    let signed = SignedVoucher::parse(&message, Profile::Rfc8366).expect("parses");
    let anchors = lab.anchors();
    let strict = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    assert!(matches!(
        signed.verify(&strict),
        Err(VoucherError::Cms(CmsError::SignerCertificateMissing { .. }))
    ));
    let pool = [lab.domain.clone(), lab.masa.clone()];
    let context = VoucherContext {
        intermediates: &pool,
        ..strict
    };
    assert_eq!(
        signed.verify(&context).expect("verifies").signer(),
        &lab.masa
    );
}
