//! What the field sends and the RFCs allow or not: each deviation is said, and refused to the letter
//! where they refuse it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sztp_cms::{
    CertificateBuilder, CmsError, SignatureAlgorithm, SignatureError, SignedDataBuilder, Signer,
    SigningKey, TrustAnchors, WallClock, oids,
};
use sztp_voucher::yang::{Encoding, encode_binary};
use sztp_voucher::{
    Check, FILE_EXTENSION, IssueOptions, MEDIA_TYPE, Outcome, Profile, SignedVoucher, TextForm,
    VoucherContext, VoucherError, VoucherReport, issue, unwrap_text,
};

use crate::lab::{CREATED, Lab, key};

fn notes_of(message: &[u8], profile: Profile) -> Vec<String> {
    let read = SignedVoucher::read(message, profile).expect("reads");
    read.notes().to_vec()
}

/// An editor's line break at the end of a binary file.
#[test]
fn white_space_behind_the_message() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    for space in ["\n", "\r\n", " \n\n\t"] {
        let file = [&message[..], space.as_bytes()].concat();
        let strict = SignedVoucher::read(&file, Profile::Rfc8366);
        assert_eq!(strict.expect_err("refused").code(), "cms.malformed");
        let notes = notes_of(&file, Profile::Rfc8366bis);
        assert!(notes[0].contains("white space"), "{notes:?}");
        let (octets, form) = unwrap_text(&file).expect("unwraps");
        assert_eq!(
            (&*octets, form),
            (&*message, Some(TextForm::TrailingWhiteSpace))
        );
    }
    // Anything else behind it is not to be guessed.
    for rest in [&b"\0"[..], b"\n0", &message] {
        let file = [&message[..], rest].concat();
        let lenient = SignedVoucher::read(&file, Profile::Rfc8366bis);
        assert_eq!(lenient.expect_err("refused").code(), "cms.malformed");
    }
}

/// The report of a file that is text says so, whatever becomes of the voucher.
#[test]
fn the_report_says_what_was_lenient() {
    let lab = Lab::new();
    let message = lab.issue(&lab.voucher());
    let text = encode_binary(&message);
    let anchors = lab.anchors();
    let good = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    let other = VoucherContext {
        serial_number: Some("other"),
        ..good.clone()
    };
    for context in [&good, &other] {
        let report = VoucherReport::of(text.as_bytes(), Profile::Rfc8366bis, context);
        assert_eq!(report.notes(), [TextForm::Base64.to_string()]);
        let strict = VoucherReport::of(text.as_bytes(), Profile::Rfc8366, context);
        assert_eq!(
            strict.outcome(Check::Structure),
            &Outcome::Failed(VoucherError::Base64Text)
        );
        assert_eq!(strict.verdict().err(), Some(&VoucherError::Base64Text));
        assert!(strict.unverified().is_none());
    }
    // Content that is refused: the structure was good.
    let content = lab.sign(b"{}");
    let report = VoucherReport::of(&content, Profile::Rfc8366bis, &good);
    assert_eq!(report.outcome(Check::Structure), &Outcome::Passed);
    assert!(matches!(report.outcome(Check::Content), Outcome::Failed(_)));
    assert_eq!(report.outcome(Check::Signature), &Outcome::NotReached);
}

#[test]
fn certificates_that_are_not_there_or_there_twice() {
    let lab = Lab::new();
    let content = lab.voucher().encode(Encoding::Json);
    let builder = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, content);
    let bare = builder.sign(&lab.masa_key, &lab.masa).expect("signs");
    let notes = notes_of(&bare, Profile::Rfc8366);
    assert!(notes[0].contains("no certificates"), "{notes:?}");
    // The same issuer and serial number for another key: not by the letter of RFC 5280, and no
    // reason to fail.
    let impostor = namesake(&lab);
    assert_eq!(impostor.serial_bytes(), lab.masa.serial_bytes());
    let anchors = lab.anchors();
    for certificates in [
        [impostor.clone(), lab.masa.clone()],
        [lab.masa.clone(), impostor],
    ] {
        let message = builder
            .clone()
            .certificates(certificates)
            .sign(&lab.masa_key, &lab.masa)
            .expect("signs");
        let notes = notes_of(&message, Profile::Rfc8366);
        assert!(notes[0].contains("same issuer and serial"), "{notes:?}");
        let verified = SignedVoucher::parse(&message, Profile::Rfc8366)
            .expect("parses")
            .verify(&VoucherContext::new(&anchors, WallClock::Trusted(CREATED)))
            .expect("verifies");
        assert_eq!(verified.signer(), &lab.masa);
    }
}

/// The MASA's certificate with another key in it, and a signature that fits nothing.
fn namesake(lab: &Lab) -> sztp_cms::Certificate {
    let der = lab.masa.as_der();
    let own = lab.masa_key.spki_der();
    let other = key();
    let at = der
        .windows(own.len())
        .position(|window| window == own)
        .expect("holds its key");
    let mut changed = der.to_vec();
    changed[at..at + own.len()].copy_from_slice(other.spki_der());
    sztp_cms::Certificate::from_der(&changed).expect("reads")
}

/// LEDGER: 8366-8.3-01
#[test]
fn names_of_the_media_type_and_of_files() {
    assert_eq!(MEDIA_TYPE, "application/voucher-cms+json");
    assert_eq!(FILE_EXTENSION, "vcj");
}

/// A signing key that never enters this process: OpenSSL holds it, as a token would.
struct Elsewhere {
    folder: tempfile::TempDir,
    public: SigningKey,
}

impl Signer for Elsewhere {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.public.algorithm()
    }

    fn spki_der(&self) -> &[u8] {
        self.public.spki_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let mut child = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign", "key.pem"])
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|_| SignatureError::Signing)?;
        let mut stdin = child.stdin.take().ok_or(SignatureError::Signing)?;
        stdin
            .write_all(message)
            .map_err(|_| SignatureError::Signing)?;
        drop(stdin);
        let output = child
            .wait_with_output()
            .map_err(|_| SignatureError::Signing)?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(SignatureError::Signing)
        }
    }
}

/// LEDGER: 8366-7.2-01
#[test]
fn the_signing_key_may_be_elsewhere() {
    let lab = Lab::new();
    let masa_key = key();
    let folder = tempfile::tempdir().expect("a folder");
    let pem = masa_key.to_pkcs8_pem().expect("writes");
    std::fs::write(folder.path().join("key.pem"), pem.as_bytes()).expect("writes");
    let masa = CertificateBuilder::new("CN=MASA with a token")
        .issued_by(masa_key.spki_der(), &lab.root, &lab.root_key)
        .expect("issues");
    let token = Elsewhere {
        folder,
        public: masa_key,
    };
    let options = IssueOptions::default();
    let message = issue(&lab.voucher(), &token, &masa, &[], &options).expect("issues");
    let anchors = lab.anchors();
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    let judge = |message: &[u8]| {
        SignedVoucher::parse(message, Profile::Rfc8366)?
            .verify(&context)
            .map(|verified| verified.signer().clone())
    };
    assert_eq!(judge(&message), Ok(masa.clone()));
    // A token that does not sign gives no voucher.
    std::fs::remove_file(token.folder.path().join("key.pem")).expect("removes");
    assert_eq!(
        issue(&lab.voucher(), &token, &masa, &[], &options),
        Err(VoucherError::Cms(CmsError::Signing(
            SignatureError::Signing
        )))
    );
}

/// Signed attributes bind the content type; without them only id-data may be signed.
/// LEDGER: 8366-5.4-03, 8366-5.4-04
#[test]
fn signed_attributes_are_there_and_true() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let context = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    let judge = |message: &[u8]| {
        SignedVoucher::parse(message, Profile::Rfc8366bis)?
            .verify(&context)
            .map(|_| ())
    };
    let content = lab.voucher().encode(Encoding::Json);
    // The voucher's content type written over id-data's in the one place or the other: both are
    // encoded as 11 or 13 octets, so that the message is built anew around the same signature.
    let as_data = lab.sign_as(oids::ID_DATA, &content);
    let swapped = with_content_type(&as_data, &content, oids::ANIMA_JSON_VOUCHER);
    assert_eq!(judge(&as_data), Ok(()));
    assert_eq!(
        judge(&swapped),
        Err(VoucherError::Cms(CmsError::ContentTypeAttributeMismatch {
            attribute: oids::ID_DATA,
            content: oids::ANIMA_JSON_VOUCHER,
        }))
    );
    let bare = without_attributes(&lab, &content, oids::ANIMA_JSON_VOUCHER);
    assert_eq!(
        judge(&bare),
        Err(VoucherError::Cms(CmsError::MissingSignedAttributes))
    );
    let bare_data = without_attributes(&lab, &content, oids::ID_DATA);
    assert_eq!(judge(&bare_data), Ok(()));
}

/// DER of one value.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match body.len() {
        length @ 0..0x80 => out.push(u8::try_from(length).expect("fits")),
        length => {
            let octets = u32::try_from(length).expect("fits").to_be_bytes();
            out.push(0x84);
            out.extend(octets);
        }
    }
    out.extend(body);
    out
}

fn oid(oid: der::asn1::ObjectIdentifier) -> Vec<u8> {
    der(0x06, &[oid.as_bytes()])
}

/// The same message with another eContentType; lengths in a form that only BER allows.
fn with_content_type(
    message: &[u8],
    content: &[u8],
    content_type: der::asn1::ObjectIdentifier,
) -> Vec<u8> {
    let signed = sztp_cms::SignedData::parse(message, &sztp_cms::Limits::default());
    let certificate = signed.expect("parses").certificates()[0].clone();
    let at = message
        .windows(content.len())
        .position(|window| window == content)
        .expect("holds the content");
    let rest = &message[at + content.len()..];
    let signer_infos = &rest[rest
        .windows(certificate.as_der().len())
        .position(|window| window == certificate.as_der())
        .expect("holds the certificate")
        + certificate.as_der().len()..];
    signed_data(content_type, content, &certificate, signer_infos)
}

fn without_attributes(
    lab: &Lab,
    content: &[u8],
    content_type: der::asn1::ObjectIdentifier,
) -> Vec<u8> {
    let sha256 = der(
        0x30,
        &[&oid("2.16.840.1.101.3.4.2.1".parse().expect("an OID"))],
    );
    let ecdsa = der(
        0x30,
        &[&oid("1.2.840.10045.4.3.2".parse().expect("an OID"))],
    );
    let signature = lab.masa_key.sign(content).expect("signs");
    let serial = der(0x02, &[lab.masa.serial_bytes()]);
    let identifier = der(0x30, &[lab.masa.issuer_der(), &serial]);
    let signature = der(0x04, &[&signature]);
    let signer = der(
        0x30,
        &[&[2, 1, 1], &identifier, &sha256, &ecdsa, &signature],
    );
    signed_data(content_type, content, &lab.masa, &der(0x31, &[&signer]))
}

fn signed_data(
    content_type: der::asn1::ObjectIdentifier,
    content: &[u8],
    certificate: &sztp_cms::Certificate,
    signer_infos: &[u8],
) -> Vec<u8> {
    let content = der(0xA0, &[&der(0x04, &[content])]);
    let encapsulated = der(0x30, &[&oid(content_type), &content]);
    let certificates = der(0xA0, &[certificate.as_der()]);
    let signed = der(
        0x30,
        &[
            &[2, 1, 3],
            &der(0x31, &[]),
            &encapsulated,
            &certificates,
            signer_infos,
        ],
    );
    der(0x30, &[&oid(oids::ID_SIGNED_DATA), &der(0xA0, &[&signed])])
}

/// A chain that the caller has, of which neither the voucher nor the anchors know.
#[test]
fn intermediates_of_the_caller() {
    let lab = Lab::new();
    let (ca_key, masa_key) = (key(), key());
    let ca = CertificateBuilder::new("CN=MASA CA")
        .ca(None)
        .issued_by(ca_key.spki_der(), &lab.root, &lab.root_key)
        .expect("issues");
    let masa = CertificateBuilder::new("CN=MASA under it")
        .issued_by(masa_key.spki_der(), &ca, &ca_key)
        .expect("issues");
    let options = IssueOptions::default();
    let message = issue(&lab.voucher(), &masa_key, &masa, &[], &options).expect("issues");
    let signed = SignedVoucher::parse(&message, Profile::Rfc8366).expect("parses");
    let anchors = TrustAnchors::new([lab.root.clone()]);
    let alone = VoucherContext::new(&anchors, WallClock::Trusted(CREATED));
    assert!(matches!(
        signed.verify(&alone),
        Err(VoucherError::UntrustedSigner(_))
    ));
    let intermediates = [ca];
    let with_chain = VoucherContext {
        intermediates: &intermediates,
        ..alone
    };
    let verified = signed.verify(&with_chain).expect("verifies");
    assert_eq!(verified.signer_chain().len(), 3);
}
