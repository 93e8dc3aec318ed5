//! How a voucher is wrapped (RFC 8366 §5.4, §6; RFC 8572 §3.3), and what is no voucher.

use sztp_cms::{CmsError, ContentInfo, UnixTime, WallClock, certs_only, oids};
use sztp_voucher::yang::{Encoding, YangError};
use sztp_voucher::{IssueOptions, Profile, SignedVoucher, VoucherContext, VoucherError, issue};

use crate::lab::{CREATED, Lab};

fn parse(message: &[u8]) -> Result<SignedVoucher, VoucherError> {
    SignedVoucher::parse(message, Profile::Rfc8366)
}

fn refusal(message: &[u8]) -> VoucherError {
    parse(message).map(|_| ()).expect_err("refused")
}

/// LEDGER: 8366-5.4-01
#[test]
fn the_form_of_a_voucher() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    let signed = parse(&message).expect("parses");
    assert_eq!(signed.cms().content_type(), oids::ANIMA_JSON_VOUCHER);
    assert_eq!(
        oids::ANIMA_JSON_VOUCHER.to_string(),
        "1.2.840.113549.1.9.16.1.40"
    );
    assert!(
        signed
            .cms()
            .signers()
            .iter()
            .all(sztp_cms::SignerInfo::has_signed_attributes)
    );
    let content = signed.cms().unverified_content().expect("is there");
    let json: serde_json::Value = serde_json::from_slice(content).expect("JSON");
    assert!(json.get("ietf-voucher:voucher").is_some());
    assert_eq!(signed.unverified(), &lab.voucher());
}

/// RFC 8572 §3.3 allows it, and nearly everyone in the field does it.
#[test]
fn id_data_is_a_voucher_too_and_can_be_asked_for() {
    let lab = Lab::new();
    let options = IssueOptions {
        content_type: oids::ID_DATA,
        signing_time: Some(UnixTime::from_secs(2_000_000_000)),
        ..IssueOptions::default()
    };
    let message = issue(&lab.voucher(), &lab.masa_key, &lab.masa, &[], &options);
    let signed = parse(&message.expect("issues")).expect("parses");
    assert_eq!(signed.cms().content_type(), oids::ID_DATA);
    let anchors = lab.anchors();
    // The signing-time attribute proves nothing and is not judged.
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    assert!(signed.verify(&context).is_ok());
}

#[test]
fn other_content_types_are_refused() {
    let lab = Lab::new();
    let content = lab.voucher().encode(Encoding::Json);
    let found = oids::SZTP_CONVEYED_INFO_JSON;
    assert_eq!(
        refusal(&lab.sign_as(found, &content)),
        VoucherError::Cms(CmsError::WrongContentType {
            found,
            expected: vec![oids::ANIMA_JSON_VOUCHER, oids::ID_DATA]
        })
    );
}

/// LEDGER: 8366-5.4-02
#[test]
fn a_voucher_is_signed() {
    let lab = Lab::new();
    let content = lab.voucher().encode(Encoding::Json);
    let bare = ContentInfo::unsigned(oids::ANIMA_JSON_VOUCHER, &content);
    assert_eq!(
        refusal(&bare),
        VoucherError::Cms(CmsError::NotSignedData(oids::ANIMA_JSON_VOUCHER))
    );
    let degenerate = certs_only(std::slice::from_ref(&lab.masa), &[]).expect("made");
    assert_eq!(refusal(&degenerate), VoucherError::Cms(CmsError::NoContent));
    assert!(matches!(
        refusal(&content),
        VoucherError::Cms(CmsError::Malformed { .. })
    ));
    assert!(matches!(
        refusal(&[]),
        VoucherError::Cms(CmsError::Malformed { .. })
    ));
}

/// What people do to files on their way (FIELD-NOTES): each is recognised and said.
#[test]
fn files_that_were_damaged_or_converted() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    let text_mode = String::from_utf8_lossy(&message).into_owned();
    assert_eq!(
        refusal(text_mode.as_bytes()),
        VoucherError::Cms(CmsError::TextModeDamage)
    );
    let base64 = sztp_voucher::yang::encode_binary(&message);
    let pem = format!("-----BEGIN CMS-----\n{base64}\n-----END CMS-----\n");
    assert_eq!(refusal(pem.as_bytes()), VoucherError::Cms(CmsError::Pem));
    assert_eq!(
        refusal(&message[..message.len() / 2]).code(),
        "cms.malformed"
    );
    assert_eq!(
        refusal(&[&message[..], b"\r\n"].concat()).code(),
        "cms.malformed"
    );
    let large = vec![0x30; 1024 * 1024 + 1];
    assert_eq!(refusal(&large).code(), "cms.too-large");
}

/// LEDGER: 8366-5.3-14
#[test]
fn what_is_signed_but_no_voucher() {
    let lab = Lab::new();
    let json = String::from_utf8(lab.voucher().encode(Encoding::Json)).expect("text");
    let refused = |content: &str| refusal(&lab.sign(content.as_bytes())).code();
    assert_eq!(
        refused(&json.replace("ietf-voucher:voucher", "voucher")),
        "yang.wrong-namespace"
    );
    assert_eq!(refused("{}"), "yang.missing-node");
    assert_eq!(refused("[]"), "yang.wrong-type");
    assert_eq!(refused("null"), "yang.wrong-type");
    assert_eq!(refused(""), "yang.malformed");
    assert_eq!(refused(&json[1..]), "yang.malformed");
    let redirect = r#"{"ietf-sztp-conveyed-info:redirect-information":{}}"#;
    assert_eq!(refused(redirect), "yang.unknown-node");
    assert!(matches!(
        refusal(&lab.sign(b"\xFF\xFE{}")),
        VoucherError::Yang(YangError::NotUtf8)
    ));
    assert_eq!(
        refused(&json.replacen('{', "{\"ietf-voucher:voucher\":{},", 1)),
        "yang.duplicate"
    );
}

#[test]
fn a_voucher_request_grants_nothing() {
    let lab = Lab::new();
    let json = String::from_utf8(lab.voucher().encode(Encoding::Json)).expect("text");
    let request = json.replace("ietf-voucher:", "ietf-voucher-request:");
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        let refused = SignedVoucher::parse(&lab.sign(request.as_bytes()), profile);
        assert!(
            matches!(refused, Err(VoucherError::VoucherRequest)),
            "{refused:?}"
        );
    }
}

/// Codes are what scripts live on, and each names the clause that was broken.
#[test]
fn codes_and_rules() {
    let cases = [
        (
            VoucherError::NonceMismatch,
            "voucher.nonce-mismatch",
            "RFC 8366 §5.3 nonce",
        ),
        (
            VoucherError::IdevidIssuerMismatch,
            "voucher.idevid-issuer-mismatch",
            "RFC 8366 §5.3 idevid-issuer",
        ),
        (
            VoucherError::Cms(CmsError::BadSignature),
            "cms.bad-signature",
            "RFC 5652 §5.6 signature verification",
        ),
        (
            VoucherError::from(CmsError::Path(sztp_cms::PathError::NoTrustAnchor)),
            "voucher.untrusted-signer",
            "RFC 5280 §6.1.1 trust anchor",
        ),
    ];
    for (error, code, rule) in cases {
        assert_eq!(error.code(), code);
        assert_eq!(error.rule().to_string(), rule);
    }
}
