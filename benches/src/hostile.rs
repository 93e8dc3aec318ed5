//! Input made to be expensive, in any size: what it costs must grow as it does.

use std::fmt::Write as _;
use std::hint::black_box;

use der::Encode as _;
use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, CertificateRevocationList, ContentInfo, DigestAlgorithm,
    KeyType, Limits, PathOptions, SignedData, Signer, SigningKey, TrustAnchors, VerifyOptions,
    WallClock, certs_only, oids, validate_path,
};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, Voucher};

/// One kind of hostile input.
#[derive(Debug, Clone, Copy)]
pub struct Hostile {
    /// What there is much of.
    pub name: &'static str,
    /// How much of it is a small input.
    pub small: usize,
    /// Makes input with so much of it, and gives what is to be measured.
    pub make: fn(usize) -> Box<dyn Fn()>,
}

/// All kinds.
pub const HOSTILE: [Hostile; 20] = [
    hostile("pieces-of-an-octet-string", 20_000, pieces),
    hostile("pieces-30-levels-deep", 20_000, deep_pieces),
    hostile("values-in-a-sequence", 20_000, flat),
    hostile("values-in-values", 20_000, nested),
    hostile("signed-attributes", 5_000, signed_attributes),
    hostile("signers", 50, signers),
    hostile("attributes-of-a-signers-name", 200, signers_name),
    hostile("certificates-in-a-message", 50, certificates),
    hostile("issuers-of-the-same-name", 200, issuers),
    hostile("alternative-names", 400, alternative_names),
    hostile("name-constraints", 250, name_constraints),
    hostile("policy-mappings", 250, policy_mappings),
    hostile("entries-of-a-revocation-list", 5_000, revoked),
    hostile("json-members", 2_000, json_members),
    hostile("json-nesting", 2_000, json_nesting),
    hostile("json-digits", 20_000, json_digits),
    hostile("json-duplicates", 2_000, json_duplicates),
    hostile("xml-elements", 2_000, xml_elements),
    hostile("xml-attributes", 2_000, xml_attributes),
    hostile("xml-namespaces-and-elements", 2_000, xml_namespaces),
];

const fn hostile(name: &'static str, small: usize, make: fn(usize) -> Box<dyn Fn()>) -> Hostile {
    Hostile { name, small, make }
}

fn pieces(n: usize) -> Box<dyn Fn()> {
    let message = tlv(0x24, &[&[4, 1, 0].repeat(n)]);
    parse(message)
}

fn deep_pieces(n: usize) -> Box<dyn Fn()> {
    let mut message = [4, 1, 0].repeat(n);
    for _ in 0..30 {
        message = [&[0x24, 0x80][..], &message, &[0, 0]].concat();
    }
    parse(message)
}

fn flat(n: usize) -> Box<dyn Fn()> {
    parse([&[0x30, 0x80][..], &[5, 0].repeat(n), &[0, 0]].concat())
}

fn parse(message: Vec<u8>) -> Box<dyn Fn()> {
    Box::new(move || {
        let read = ContentInfo::parse(black_box(&message), &Limits::default());
        assert!(read.is_err());
    })
}

fn nested(n: usize) -> Box<dyn Fn()> {
    parse([0x30, 0x80].repeat(n))
}

/// A message with `more` signed attributes beside those that bind the content, `times` the same
/// SignerInfo, and the signer's name as it stands there.
fn signed(
    more: &[u8],
    times: usize,
    name: impl FnOnce(&Certificate) -> Vec<u8>,
) -> (Vec<u8>, Certificate) {
    const CONTENT: &[u8] = b"content";
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    let own = CertificateBuilder::new("CN=signer").self_signed(&key);
    let own = own.expect("a certificate");
    let oid = |oid: ObjectIdentifier| oid.to_der().expect("encodes");
    let attribute = |kind, value: &[u8]| tlv(0x30, &[&oid(kind), &tlv(0x31, &[value])]);
    let digest = DigestAlgorithm::Sha256.digest(CONTENT);
    let attributes = [
        more,
        &attribute(oids::CONTENT_TYPE, &oid(oids::ID_DATA)),
        &attribute(oids::MESSAGE_DIGEST, &tlv(4, &[&digest])),
    ]
    .concat();
    let signature = key.sign(&tlv(0x31, &[&attributes])).expect("signs");
    let algorithm = key.algorithm().identifier().expect("encodes");
    let sha256 = DigestAlgorithm::Sha256.identifier();
    let sha256 = sha256.to_der().expect("encodes");
    let serial = tlv(2, &[own.serial_bytes()]);
    let signer = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(0x30, &[&name(&own), &serial]),
            &sha256,
            &tlv(0xA0, &[&attributes]),
            &algorithm.to_der().expect("encodes"),
            &tlv(4, &[&signature]),
        ],
    );
    let content = tlv(0xA0, &[&tlv(4, &[CONTENT])]);
    let signed = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(0x31, &[&sha256]),
            &tlv(0x30, &[&oid(oids::ID_DATA), &content]),
            &tlv(0xA0, &[own.as_der()]),
            &tlv(0x31, &[&signer.repeat(times)]),
        ],
    );
    let message = tlv(0x30, &[&oid(oids::ID_SIGNED_DATA), &tlv(0xA0, &[&signed])]);
    (message, own)
}

fn own_name(certificate: &Certificate) -> Vec<u8> {
    certificate.issuer_der().to_vec()
}

fn verify(message: Vec<u8>, anchor: Certificate, good: bool) -> Box<dyn Fn()> {
    let anchors = TrustAnchors::new([anchor]);
    let limits = Limits {
        max_signers: usize::MAX,
        ..Limits::default()
    };
    Box::new(move || {
        let options = VerifyOptions::new(&anchors, WallClock::Unknown, &[oids::ID_DATA]);
        let read = SignedData::parse(black_box(&message), &limits).expect("reads");
        assert_eq!(read.verify(&options).is_ok(), good);
    })
}

/// An attribute that means nothing: 1.3.6.1.4.1.99999 with NULL.
const ATTRIBUTE: &[u8] = &[
    0x30, 14, 6, 8, 0x2B, 6, 1, 4, 1, 0x86, 0x8D, 0x1F, 0x31, 2, 5, 0,
];

fn signed_attributes(n: usize) -> Box<dyn Fn()> {
    let (message, own) = signed(&ATTRIBUTE.repeat(n), 1, own_name);
    verify(message, own, true)
}

/// None of them is trusted.
fn signers(n: usize) -> Box<dyn Fn()> {
    let (message, _) = signed(&[], n, own_name);
    verify(message, several(1, "CN=nobody").remove(0), false)
}

fn signers_name(n: usize) -> Box<dyn Fn()> {
    let name = |_: &Certificate| {
        let pair = tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(0x0C, &[b"a"])]);
        tlv(0x30, &[&tlv(0x31, &[&pair]).repeat(n)])
    };
    let (message, own) = signed(&[], 1, name);
    verify(message, own, false)
}

/// The path from a certificate under `ca`, which has the extension.
fn path(oid: &str, extension: Vec<u8>) -> Box<dyn Fn()> {
    let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
    let root = CertificateBuilder::new("CN=root").ca(None);
    let root = root.self_signed(&key).expect("a certificate");
    let ca = CertificateBuilder::new("CN=CA")
        .ca(None)
        .extension(oid.parse().expect("an OID"), true, extension)
        .issued_by(key.spki_der(), &root, &key)
        .expect("a certificate");
    let end = CertificateBuilder::new("CN=end")
        .issued_by(key.spki_der(), &ca, &key)
        .expect("a certificate");
    let anchors = TrustAnchors::new([root]);
    let bag = [ca];
    Box::new(move || {
        let options = PathOptions::default();
        let path = validate_path(&end, &bag, &anchors, WallClock::Unknown, &options);
        assert!(path.is_ok());
    })
}

fn name_constraints(n: usize) -> Box<dyn Fn()> {
    let subtree = |number: usize| {
        let text = number.to_string();
        let pair = tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(0x0C, &[text.as_bytes()])]);
        tlv(0x30, &[&tlv(0xA4, &[&tlv(0x30, &[&tlv(0x31, &[&pair])])])])
    };
    let subtrees: Vec<u8> = (0..n).flat_map(subtree).collect();
    path("2.5.29.30", tlv(0x30, &[&tlv(0xA1, &[&subtrees])]))
}

fn policy_mappings(n: usize) -> Box<dyn Fn()> {
    let policy = |number: u32| {
        tlv(
            6,
            &[
                &[0x2A],
                &[number.to_be_bytes()[2] | 0x80],
                &[number.to_be_bytes()[3] | 0x80, 1],
            ],
        )
    };
    let mapping = |number: u32| tlv(0x30, &[&policy(number), &policy(number + 1)]);
    let count = u32::try_from(n).expect("not that many");
    let mappings: Vec<u8> = (0..count).flat_map(mapping).collect();
    path("2.5.29.33", tlv(0x30, &[&mappings]))
}

/// Different certificates, as their serial numbers are random.
fn several(n: usize, subject: &str) -> Vec<Certificate> {
    let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
    let builder = CertificateBuilder::new(subject).ca(None);
    let make = || builder.self_signed(&key).expect("a certificate");
    (0..n).map(|_| make()).collect()
}

fn certificates(n: usize) -> Box<dyn Fn()> {
    let message = certs_only(&several(n, "CN=one of many"), &[]).expect("encodes");
    let limits = Limits {
        max_certificates: n,
        ..Limits::default()
    };
    Box::new(move || {
        let read = SignedData::parse(black_box(&message), &limits);
        assert!(read.is_ok());
    })
}

/// None of them issued what they could have issued by their names.
fn issuers(n: usize) -> Box<dyn Fn()> {
    let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
    let issuer = CertificateBuilder::new("CN=CA").ca(None);
    let issuer = issuer.self_signed(&key).expect("a certificate");
    let end = CertificateBuilder::new("CN=end")
        .issued_by(key.spki_der(), &issuer, &key)
        .expect("a certificate");
    let bag = several(n, "CN=CA");
    let anchors = TrustAnchors::new(several(1, "CN=CA"));
    Box::new(move || {
        let options = PathOptions::default();
        let path = validate_path(&end, &bag, &anchors, WallClock::Unknown, &options);
        assert!(path.is_err());
    })
}

fn alternative_names(n: usize) -> Box<dyn Fn()> {
    let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
    let certificate = CertificateBuilder::new("CN=many names")
        .dns_names((0..n).map(|one| format!("{one}.example")))
        .self_signed(&key)
        .expect("a certificate");
    let anchors = TrustAnchors::new([certificate.clone()]);
    Box::new(move || {
        let read = Certificate::from_der(black_box(certificate.as_der())).expect("reads");
        let clock = WallClock::Unknown;
        let path = validate_path(&read, &[], &anchors, clock, &PathOptions::default());
        assert!(path.is_ok());
        let named = sztp_cms::certificate_names_host(&read, "boot.example");
        assert!(!named);
    })
}

fn revoked(n: usize) -> Box<dyn Fn()> {
    let entry = |serial: u32| {
        let serial = tlv(2, &[&[1], &serial.to_be_bytes()]);
        tlv(0x30, &[&serial, &tlv(0x17, &[b"260101000000Z"])])
    };
    let count = u32::try_from(n).expect("not that many");
    let entries: Vec<u8> = (0..count).rev().flat_map(entry).collect();
    let algorithm = [0x30, 5, 6, 3, 0x2B, 0x65, 0x70];
    let tbs = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &algorithm,
            &[0x30, 0],
            &tlv(0x17, &[b"260101000000Z"]),
            &tlv(0x30, &[&entries]),
        ],
    );
    let list = tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&[0; 65]])]);
    Box::new(move || {
        let list = CertificateRevocationList::from_der(black_box(&list)).expect("reads");
        assert_eq!(list.len(), n);
        assert!(list.entry(&[1, 0, 0, 0, 0]).is_some());
    })
}

fn json_members(n: usize) -> Box<dyn Fn()> {
    let mut members = String::new();
    for member in 0..n {
        write!(members, "\"m{member}\":[{member}],").expect("a string takes it");
    }
    document(
        format!("{{\"ietf-voucher:voucher\":{{{members}\"z\":1}}}}"),
        Encoding::Json,
    )
}

fn json_nesting(n: usize) -> Box<dyn Fn()> {
    let (open, close) = ("[".repeat(n), "]".repeat(n));
    document(
        format!("{{\"ietf-voucher:voucher\":{{\"z\":{open}{close}}}}}"),
        Encoding::Json,
    )
}

fn json_digits(n: usize) -> Box<dyn Fn()> {
    let digits = "9".repeat(n);
    document(
        format!("{{\"ietf-voucher:voucher\":{{\"z\":{digits}}}}}"),
        Encoding::Json,
    )
}

/// The second of the last comes last.
fn json_duplicates(n: usize) -> Box<dyn Fn()> {
    let mut members = String::new();
    for member in 0..n {
        write!(members, "\"m{member}\":1,").expect("a string takes it");
    }
    let last = n - 1;
    document(
        format!("{{\"ietf-voucher:voucher\":{{{members}\"m{last}\":1}}}}"),
        Encoding::Json,
    )
}

const NAMESPACE: &str = "urn:ietf:params:xml:ns:yang:ietf-voucher";

fn xml_elements(n: usize) -> Box<dyn Fn()> {
    let elements = "<z><y>1</y></z>".repeat(n);
    document(
        format!("<voucher xmlns='{NAMESPACE}'>{elements}</voucher>"),
        Encoding::Xml,
    )
}

fn xml_attributes(n: usize) -> Box<dyn Fn()> {
    let mut attributes = String::new();
    for attribute in 0..n {
        write!(attributes, " a{attribute}=''").expect("a string takes it");
    }
    document(
        format!("<voucher xmlns='{NAMESPACE}'{attributes}/>"),
        Encoding::Xml,
    )
}

/// Each of the elements has a name to be looked for among the namespaces.
fn xml_namespaces(n: usize) -> Box<dyn Fn()> {
    let mut declarations = String::new();
    for declaration in 0..n {
        write!(declarations, " xmlns:p{declaration}='u'").expect("a string takes it");
    }
    let elements = "<z/>".repeat(n);
    document(
        format!("<voucher xmlns='{NAMESPACE}'{declarations}>{elements}</voucher>"),
        Encoding::Xml,
    )
}

/// No voucher, but it takes reading to know that.
fn document(text: String, encoding: Encoding) -> Box<dyn Fn()> {
    Box::new(move || {
        let read = Voucher::decode(black_box(text.as_bytes()), encoding, Profile::Rfc8366bis);
        assert!(read.is_err());
    })
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let digits = content.len().to_be_bytes();
    let first = content.len().leading_zeros() as usize / 8;
    let mut header = vec![tag];
    if content.len() >= 0x80 {
        header.push(0x88 - u8::try_from(first).expect("at most eight"));
        header.extend(&digits[first..]);
    } else {
        header.push(digits[7]);
    }
    [header, content].concat()
}
