//! CMS messages that someone took apart and put together again.

use std::time::{Duration, Instant};

use der::Encode as _;
use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, ContentInfo, DigestAlgorithm, KeyType, Leniency,
    Limits, PathError, SignatureAlgorithm, SignatureError, SignedData, SignedDataBuilder, Signer,
    SignerId, SigningKey, TrustAnchors, VerifyOptions, WallClock, certs_only, oids,
    parse_certs_only,
};

const CONTENT: &[u8] = b"{\"what\":\"is signed\"}";
const TYPES: [ObjectIdentifier; 3] = [
    oids::ID_DATA,
    oids::SZTP_CONVEYED_INFO_JSON,
    oids::SZTP_CONVEYED_INFO_XML,
];

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

fn party() -> Party {
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    let certificate = CertificateBuilder::new("CN=signer")
        .self_signed(&key)
        .expect("issues");
    Party { key, certificate }
}

fn verify_by(message: &[u8], anchor: &Certificate) -> Result<Vec<u8>, CmsError> {
    let anchors = TrustAnchors::new([anchor.clone()]);
    SignedData::parse(message, &Limits::default())?
        .verify(&VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES))
        .map(|verified| verified.content().to_vec())
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    let length = u32::try_from(content.len()).expect("fits").to_be_bytes();
    match content.len() {
        0..=0x7F => out.push(length[3]),
        0x80..=0xFF => out.extend([0x81, length[3]]),
        0x100..=0xFFFF => out.extend([0x82, length[2], length[3]]),
        _ => out.extend([0x83, length[1], length[2], length[3]]),
    }
    out.extend(content);
    out
}

fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    oid.to_der().expect("encodes")
}

fn digest_algorithm() -> Vec<u8> {
    DigestAlgorithm::Sha256
        .identifier()
        .to_der()
        .expect("encodes")
}

fn attribute(kind: ObjectIdentifier, values: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &[&oid(kind), &tlv(0x31, values)])
}

/// The two attributes that bind the content.
fn usual_attributes(content_type: ObjectIdentifier, content: &[u8]) -> Vec<Vec<u8>> {
    let digest = DigestAlgorithm::Sha256.digest(content);
    vec![
        attribute(oids::CONTENT_TYPE, &[&oid(content_type)]),
        attribute(oids::MESSAGE_DIGEST, &[&tlv(0x04, &[&digest])]),
    ]
}

/// A SignerInfo over `attributes`, or over the content where there are none.
fn signer_info(party: &Party, attributes: Option<&[Vec<u8>]>, content: &[u8]) -> Vec<u8> {
    let body = attributes.map(<[Vec<u8>]>::concat);
    let signed = body
        .as_ref()
        .map_or(content.to_vec(), |body| tlv(0x31, &[body]));
    let signature = party.key.sign(&signed).expect("signs");
    let algorithm = party.key.algorithm().identifier().expect("encodes");
    let certificate = &party.certificate;
    tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(
                0x30,
                &[
                    certificate.issuer_der(),
                    &tlv(2, &[certificate.serial_bytes()]),
                ],
            ),
            &digest_algorithm(),
            &body.map(|body| tlv(0xA0, &[&body])).unwrap_or_default(),
            &algorithm.to_der().expect("encodes"),
            &tlv(4, &[&signature]),
        ],
    )
}

fn signed_data(
    content_type: ObjectIdentifier,
    content: &[u8],
    certificates: &[u8],
    signers: &[Vec<u8>],
) -> Vec<u8> {
    let content = tlv(0xA0, &[&tlv(4, &[content])]);
    let signers: Vec<&[u8]> = signers.iter().map(Vec::as_slice).collect();
    let body = tlv(
        0x30,
        &[
            &[2, 1, 3],
            &tlv(0x31, &[&digest_algorithm()]),
            &tlv(0x30, &[&oid(content_type), &content]),
            &tlv(0xA0, &[certificates]),
            &tlv(0x31, &signers),
        ],
    );
    tlv(0x30, &[&oid(oids::ID_SIGNED_DATA), &tlv(0xA0, &[&body])])
}

fn by_hand(party: &Party, content_type: ObjectIdentifier, attributes: &[Vec<u8>]) -> Vec<u8> {
    let signer = signer_info(party, Some(attributes), CONTENT);
    signed_data(content_type, CONTENT, party.certificate.as_der(), &[signer])
}

#[test]
fn what_the_other_tests_change_is_good() {
    let party = party();
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let message = by_hand(&party, oids::ID_DATA, &attributes);
    assert_eq!(
        verify_by(&message, &party.certificate).as_deref(),
        Ok(CONTENT)
    );
    let signer = signer_info(&party, None, CONTENT);
    let plain = signed_data(
        oids::ID_DATA,
        CONTENT,
        party.certificate.as_der(),
        &[signer],
    );
    assert_eq!(
        verify_by(&plain, &party.certificate).as_deref(),
        Ok(CONTENT)
    );
}

/// LEDGER: 8366-5.4-03
#[test]
fn only_id_data_may_do_without_signed_attributes() {
    let party = party();
    let signer = signer_info(&party, None, CONTENT);
    let certificates = party.certificate.as_der();
    let message = signed_data(
        oids::SZTP_CONVEYED_INFO_JSON,
        CONTENT,
        certificates,
        &[signer],
    );
    assert_eq!(
        verify_by(&message, &party.certificate),
        Err(CmsError::MissingSignedAttributes)
    );
}

/// The signed attributes of a good message, passed off as the content of another that has none:
/// its signature would hold.
#[test]
fn signed_attributes_are_no_content() {
    let party = party();
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let content = tlv(0x31, &[&attributes.concat()]);
    let signer = signer_info(&party, None, &content);
    let message = signed_data(
        oids::ID_DATA,
        &content,
        party.certificate.as_der(),
        &[signer],
    );
    assert_eq!(
        verify_by(&message, &party.certificate),
        Err(CmsError::MissingSignedAttributes)
    );
}

/// LEDGER: 8366-5.4-04
#[test]
fn the_content_type_attribute_must_be_the_content_type() {
    let party = party();
    let message = SignedDataBuilder::new(oids::SZTP_CONVEYED_INFO_JSON, CONTENT)
        .certificates([party.certificate.clone()])
        .sign(&party.key, &party.certificate)
        .expect("signs");
    let json = oid(oids::SZTP_CONVEYED_INFO_JSON);
    let at = message
        .windows(json.len())
        .position(|window| window == json)
        .expect("is there");
    let mut changed = message.clone();
    changed[at + json.len() - 1] = *oid(oids::SZTP_CONVEYED_INFO_XML).last().expect("not empty");
    assert_eq!(
        verify_by(&changed, &party.certificate),
        Err(CmsError::ContentTypeAttributeMismatch {
            attribute: oids::SZTP_CONVEYED_INFO_JSON,
            content: oids::SZTP_CONVEYED_INFO_XML,
        })
    );
}

#[test]
fn the_binding_attributes_are_there_once_with_one_value() {
    let party = party();
    let usual = usual_attributes(oids::ID_DATA, CONTENT);
    let digest = tlv(4, &[&DigestAlgorithm::Sha256.digest(CONTENT)]);
    let data = oid(oids::ID_DATA);
    let refused = |attributes: &[Vec<u8>], attribute| {
        let message = by_hand(&party, oids::ID_DATA, attributes);
        assert_eq!(
            verify_by(&message, &party.certificate),
            Err(CmsError::SignedAttribute { attribute })
        );
    };
    refused(&usual[1..], "content-type");
    refused(&usual[..1], "message-digest");
    refused(&[&usual[..], &usual[..1]].concat(), "content-type");
    refused(&[&usual[..], &usual[1..]].concat(), "message-digest");
    let twice = attribute(oids::CONTENT_TYPE, &[&data, &data]);
    refused(&[twice, usual[1].clone()], "content-type");
    let twice = attribute(oids::MESSAGE_DIGEST, &[&digest, &digest]);
    refused(&[usual[0].clone(), twice], "message-digest");
    let none = attribute(oids::MESSAGE_DIGEST, &[]);
    refused(&[usual[0].clone(), none], "message-digest");
    refused(
        &[attribute(oids::CONTENT_TYPE, &[&digest]), usual[1].clone()],
        "content-type",
    );
}

#[test]
fn content_and_signature_of_other_messages() {
    let party = party();
    let attributes = usual_attributes(oids::ID_DATA, b"something else");
    let message = by_hand(&party, oids::ID_DATA, &attributes);
    assert_eq!(
        verify_by(&message, &party.certificate),
        Err(CmsError::DigestMismatch)
    );
    // A certificate of the same name and serial number with another key.
    let other = self::party();
    let message = by_hand(
        &other,
        oids::ID_DATA,
        &usual_attributes(oids::ID_DATA, CONTENT),
    );
    let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
    assert_eq!(
        signed
            .verify_with(&party.certificate, &TYPES, Leniency::default())
            .map(|_| ()),
        Err(CmsError::SignerCertificateMissing {
            signer: signed.signers()[0].describe()
        })
    );
    let impostor = Party {
        key: other.key,
        certificate: party.certificate.clone(),
    };
    let message = by_hand(
        &impostor,
        oids::ID_DATA,
        &usual_attributes(oids::ID_DATA, CONTENT),
    );
    assert_eq!(
        verify_by(&message, &party.certificate),
        Err(CmsError::BadSignature)
    );
}

/// One signer that is trusted suffices; the failure reported is the one that came furthest.
#[test]
fn several_signers() {
    let (one, other) = (party(), party());
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let certificates = [one.certificate.as_der(), other.certificate.as_der()].concat();
    let signers: Vec<Vec<u8>> = [&one, &other]
        .map(|party| signer_info(party, Some(&attributes), CONTENT))
        .to_vec();
    let message = signed_data(oids::ID_DATA, CONTENT, &certificates, &signers);
    for party in [&one, &other] {
        assert_eq!(
            verify_by(&message, &party.certificate).as_deref(),
            Ok(CONTENT)
        );
    }
    let stranger = CertificateBuilder::new("CN=stranger")
        .self_signed(&one.key)
        .expect("issues");
    assert!(matches!(
        verify_by(&message, &stranger),
        Err(CmsError::Path(PathError::BadSignature { .. }))
    ));
    let with_a_stranger = signed_data(oids::ID_DATA, CONTENT, one.certificate.as_der(), &signers);
    assert_eq!(
        verify_by(&with_a_stranger, &one.certificate).as_deref(),
        Ok(CONTENT)
    );
}

/// LEDGER: 5652-x-01
#[test]
fn keys_and_algorithms_that_do_not_fit() {
    let party = party();
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let good = by_hand(&party, oids::ID_DATA, &attributes);
    let changed = |from: &[u8], to: &[u8]| {
        let at = good
            .windows(from.len())
            .rposition(|window| window == from)
            .expect("is there");
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    let ecdsa = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
    // Another digest than digestAlgorithm names (RFC 5754 §3).
    let sha384 = changed(&ecdsa, &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 3]);
    assert!(matches!(
        verify_by(&sha384, &party.certificate),
        Err(CmsError::UnsupportedAlgorithm(_))
    ));
    let unknown = changed(&ecdsa, &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 9]);
    assert!(matches!(
        verify_by(&unknown, &party.certificate),
        Err(CmsError::UnsupportedAlgorithm(_))
    ));
    // An RSA algorithm with a key on a curve.
    let rsa = SignatureAlgorithm::RsaPkcs1(DigestAlgorithm::Sha256);
    let rsa = rsa
        .identifier()
        .expect("encodes")
        .to_der()
        .expect("encodes");
    let signature = party
        .key
        .sign(&tlv(0x31, &[&attributes.concat()]))
        .expect("signs");
    let certificate = &party.certificate;
    let signer = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(
                0x30,
                &[
                    certificate.issuer_der(),
                    &tlv(2, &[certificate.serial_bytes()]),
                ],
            ),
            &digest_algorithm(),
            &tlv(0xA0, &[&attributes.concat()]),
            &rsa,
            &tlv(4, &[&signature]),
        ],
    );
    let message = signed_data(oids::ID_DATA, CONTENT, certificate.as_der(), &[signer]);
    assert_eq!(
        verify_by(&message, &party.certificate),
        Err(CmsError::UnsupportedAlgorithm(SignatureError::WrongKeyType))
    );
}

/// A signer whose certificate holds a key of a kind that is not accepted.
#[test]
fn a_signer_with_a_key_that_cannot_be_used() {
    let party = party();
    let curve = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
    let der = party.certificate.as_der();
    let at = der
        .windows(curve.len())
        .position(|window| window == curve)
        .expect("is there");
    let mut changed = der.to_vec();
    changed[at + curve.len() - 1] = 6;
    let odd = Certificate::from_der(&changed).expect("reads");
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let signer = signer_info(&party, Some(&attributes), CONTENT);
    let message = signed_data(oids::ID_DATA, CONTENT, odd.as_der(), &[signer]);
    assert!(matches!(
        verify_by(&message, &odd),
        Err(CmsError::SignerKey(_))
    ));
}

struct Broken(SigningKey);

impl Signer for Broken {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm()
    }

    fn spki_der(&self) -> &[u8] {
        self.0.spki_der()
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignatureError> {
        Err(SignatureError::Signing)
    }
}

#[test]
fn a_signer_that_fails() {
    let party = party();
    let outcome =
        SignedDataBuilder::new(oids::ID_DATA, CONTENT).sign(&Broken(party.key), &party.certificate);
    assert_eq!(outcome, Err(CmsError::Signing(SignatureError::Signing)));
}

/// LEDGER: 5652-x-02
#[test]
fn limits() {
    let party = party();
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let signer = signer_info(&party, Some(&attributes), CONTENT);
    let certificate = party.certificate.as_der();
    let too_large = |what, limit| CmsError::TooLarge { what, limit };
    let parse = |certificates: &[u8], signers: &[Vec<u8>]| {
        let message = signed_data(oids::ID_DATA, CONTENT, certificates, signers);
        SignedData::parse(&message, &Limits::default())
            .map(|_| ())
            .err()
    };
    let certificates = certificate.repeat(32);
    assert_eq!(parse(&certificates, &vec![signer.clone(); 8]), None);
    assert_eq!(
        parse(&certificate.repeat(33), std::slice::from_ref(&signer)),
        Some(too_large("certificates", 32))
    );
    assert_eq!(
        parse(certificate, &vec![signer; 9]),
        Some(too_large("signers", 8))
    );
    let limits = Limits {
        max_bytes: 100,
        ..Limits::default()
    };
    let refused = ContentInfo::parse(&certificates, &limits).expect_err("refused");
    assert_eq!(refused, too_large("octets", 100));
    let nested = (0..40).fold(vec![5, 0], |inner, _| tlv(0x30, &[&inner]));
    assert_eq!(
        ContentInfo::parse(&nested, &Limits::default()).expect_err("refused"),
        CmsError::TooDeep { limit: 32 }
    );
    let crl = tlv(0x30, &[]);
    assert!(certs_only(std::slice::from_ref(&party.certificate), &vec![crl; 3]).is_ok());
}

/// Eight signers, thirty-two certificates of one key that all certify each other, and no anchor
/// in sight: what the message may cost is bounded as a whole.
#[test]
fn a_message_has_one_budget_of_signature_checks() {
    let key = SigningKey::generate(KeyType::Rsa4096).expect("a key");
    let own = CertificateBuilder::new("CN=mesh")
        .ca(None)
        .self_signed(&key)
        .expect("issues");
    let message = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
        .signer_id(SignerId::SubjectKeyId)
        .sign(&key, &own)
        .expect("signs");
    let parsed = SignedData::parse(&message, &Limits::default()).expect("parses");
    assert_eq!(parsed.signers().len(), 1);
    let signer_info = {
        // The last value of the message is its only SignerInfo, in a SET.
        let key_id = own.subject_key_id().expect("has one");
        let id = tlv(0x80, &[key_id]);
        let at = message
            .windows(id.len())
            .position(|w| w == id)
            .expect("is there");
        let start = (0..at).rev().find(|start| {
            message[*start] == 0x30 && tlv_length(&message[*start..]) == message.len() - start
        });
        message[start.expect("is there")..].to_vec()
    };
    let mut certificates = Vec::new();
    for n in 0..32 {
        let builder = CertificateBuilder::new(format!("CN=mesh {}", n % 8)).ca(None);
        let issuer = CertificateBuilder::new(format!("CN=mesh {}", n / 4)).ca(None);
        let issuer = issuer.self_signed(&key).expect("issues");
        let certificate = builder
            .issued_by(key.spki_der(), &issuer, &key)
            .expect("issues");
        certificates.extend_from_slice(certificate.as_der());
    }
    let hostile = signed_data(oids::ID_DATA, CONTENT, &certificates, &vec![signer_info; 8]);
    let stranger = party();
    let started = Instant::now();
    let refused = verify_by(&hostile, &stranger.certificate);
    assert_eq!(
        refused,
        Err(CmsError::Path(PathError::BudgetExhausted { checks: 64 }))
    );
    // Sixty-four checks take milliseconds; the message asks for eight times thirty-two times
    // sixty-four.
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

/// The size of the value that starts here.
fn tlv_length(octets: &[u8]) -> usize {
    match octets {
        [_, short @ 0..=127, ..] => 2 + usize::from(*short),
        [_, 0x81, length, ..] => 3 + usize::from(*length),
        [_, 0x82, high, low, ..] => 4 + usize::from(*high) * 256 + usize::from(*low),
        _ => 0,
    }
}

#[test]
fn a_certificate_in_the_message_that_is_none() {
    let party = party();
    let attributes = usual_attributes(oids::ID_DATA, CONTENT);
    let signer = signer_info(&party, Some(&attributes), CONTENT);
    let message = signed_data(oids::ID_DATA, CONTENT, &tlv(0x30, &[]), &[signer]);
    assert!(matches!(
        verify_by(&message, &party.certificate),
        Err(CmsError::Certificate(_))
    ));
}

#[test]
fn certs_only_is_not_signed_content_and_not_nothing() {
    let party = party();
    let limits = Limits::default();
    let signed = by_hand(
        &party,
        oids::ID_DATA,
        &usual_attributes(oids::ID_DATA, CONTENT),
    );
    assert_eq!(
        parse_certs_only(&signed, &limits).expect_err("refused"),
        CmsError::NotCertsOnly
    );
    let nothing = certs_only(&[], &[]).expect("made");
    assert!(matches!(
        parse_certs_only(&nothing, &limits),
        Err(CmsError::Certificate(_))
    ));
    // Some makers sign empty content instead of leaving signers out.
    let signer = signer_info(&party, Some(&usual_attributes(oids::ID_DATA, b"")), b"");
    let empty = signed_data(oids::ID_DATA, b"", party.certificate.as_der(), &[signer]);
    let parsed = parse_certs_only(&empty, &limits).expect("parses");
    assert_eq!(
        parsed.certificates(),
        std::slice::from_ref(&party.certificate)
    );
}

/// No prefix of a message is a message, in DER or in BER, and none makes the reader fall over.
#[test]
fn truncated_messages() {
    let party = party();
    let message = by_hand(
        &party,
        oids::ID_DATA,
        &usual_attributes(oids::ID_DATA, CONTENT),
    );
    let indefinite = [&[0x30, 0x80][..], &message[4..], &[0, 0]].concat();
    assert_eq!(
        verify_by(&indefinite, &party.certificate).as_deref(),
        Ok(CONTENT)
    );
    for whole in [&message, &indefinite] {
        for end in 0..whole.len() {
            assert!(
                matches!(
                    verify_by(&whole[..end], &party.certificate),
                    Err(CmsError::Malformed { .. })
                ),
                "{end} octets"
            );
        }
    }
}

/// Rewriting BER takes time in proportion to its size, however it is nested.
#[test]
fn ber_costs_no_more_than_its_size() {
    let piece = [4, 1, 0];
    let pieces = tlv(0x24, &[&piece.repeat(300_000)]);
    let mut deep = piece.repeat(300_000);
    for _ in 0..28 {
        deep = [&[0x24, 0x80][..], &deep, &[0, 0]].concat();
    }
    let flat = [&[0x30, 0x80][..], &[5, 0].repeat(500_000), &[0, 0]].concat();
    for hostile in [pieces, deep, flat] {
        let started = Instant::now();
        assert!(ContentInfo::parse(&hostile, &Limits::default()).is_err());
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }
}
