//! CMS messages: BER made definite, SignedData, EnvelopedData.

use std::sync::LazyLock;

use sztp_cms::{
    Certificate, CmsError, ContentInfo, DecryptOptions, DecryptedContent, DecryptionPolicy,
    EnvelopedData, EnvelopedDataBuilder, Limits, SignedData, SigningKey, TrustAnchors,
    VerifyOptions, certs_only, oids, parse_certs_only,
};

use super::choices::Choices;
use super::{NOW, der};

macro_rules! example {
    ($name:literal) => {
        include_bytes!(concat!("../../../sztp-core/tests/data/examples/", $name))
    };
}

/// BER: whatever encoding of a message is chosen, the same is read.
pub fn ber(octets: &[u8]) {
    let limits = Limits::default();
    let data = |content: &[u8]| {
        let content = indefinite(0xA0, content);
        indefinite(
            0x30,
            &[&der(0x06, &[oids::ID_DATA.as_bytes()]), &content[..]].concat(),
        )
    };
    let definite = der(
        0x30,
        &[
            &der(0x06, &[oids::ID_DATA.as_bytes()]),
            &der(0xA0, &[octets]),
        ],
    );
    if let Ok(ContentInfo::Octets { content, .. }) = ContentInfo::parse(&definite, &limits) {
        let again = ContentInfo::parse(&data(octets), &limits);
        let Ok(ContentInfo::Octets { content: again, .. }) = again else {
            panic!("{again:?}");
        };
        assert_eq!(again, content);
    }

    let mut choices = Choices::new(octets);
    let mut pieces = Vec::new();
    in_pieces(octets, &mut choices, &mut pieces, 3);
    let whole = ContentInfo::parse(&data(&pieces), &limits);
    let Ok(ContentInfo::Octets { content, .. }) = whole else {
        panic!("{whole:?}");
    };
    assert_eq!(content, octets);

    let message = [
        &example!("ownership-voucher.vcj")[..],
        example!("ci-signed-redirect.cms"),
        example!("pki/owner-certificate.cms"),
    ][choices.below(3)];
    let known = SignedData::parse(message, &limits).expect("an example");
    let mut again = Vec::new();
    encoded_anew(message, &mut choices, &mut again);
    let again = SignedData::parse(&again, &limits).expect("another encoding of it");
    assert_eq!(again.unverified_content(), known.unverified_content());
    assert_eq!(again.certificates(), known.certificates());
    assert_eq!(again.crls(), known.crls());
    assert_eq!(again.signers(), known.signers());
}

fn indefinite(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], body, &[0, 0]].concat()
}

/// An octet string in pieces, and some of those in pieces again.
fn in_pieces(octets: &[u8], choices: &mut Choices<'_>, out: &mut Vec<u8>, depth: usize) {
    let mut body = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + choices.below(200)));
        rest = after;
        if depth > 0 && choices.below(4) == 0 {
            in_pieces(piece, choices, &mut body, depth - 1);
        } else {
            body.extend(der(0x04, &[piece]));
        }
    }
    if choices.below(2) == 0 {
        out.extend(der(0x24, &[&body]));
    } else {
        out.extend(indefinite(0x24, &body));
    }
}

/// Encodes DER in BER, in one of many ways.
fn encoded_anew(mut values: &[u8], choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    while let [tag, rest @ ..] = values {
        let (length, size) = match rest[0] {
            short @ 0..0x80 => (usize::from(short), 1),
            long => {
                let size = usize::from(long & 0x7F);
                let digits = rest[1..=size].iter();
                (
                    digits.fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
                    1 + size,
                )
            }
        };
        let body = &rest[size..size + length];
        values = &rest[size + length..];
        let mut inner = Vec::new();
        let body = if tag & 0x20 == 0 {
            body
        } else {
            encoded_anew(body, choices, &mut inner);
            &inner
        };
        match choices.below(4) {
            0 if tag & 0x20 != 0 => out.extend(indefinite(*tag, body)),
            0 if *tag == 0x04 => in_pieces(body, choices, out, 1),
            1 => {
                out.extend([*tag, 0x84]);
                out.extend(u32::try_from(body.len()).expect("small").to_be_bytes());
                out.extend(body);
            }
            _ => out.extend(der(*tag, &[body])),
        }
    }
}

/// CMS: ContentInfo and SignedData, DER and BER, up to the signature.
pub fn cms(octets: &[u8]) {
    let limits = Limits::default();
    let Ok(message) = ContentInfo::parse(octets, &limits) else {
        return;
    };
    let ContentInfo::SignedData(signed) = message else {
        return;
    };
    for signer in signed.signers() {
        let _ = signer.describe();
    }
    verify_trusting_what_is_inside(&signed);
    if let Ok(bag) = parse_certs_only(octets, &limits) {
        let again = certs_only(bag.certificates(), bag.crls()).expect("what was read encodes");
        let again = parse_certs_only(&again, &limits).expect("what was made parses");
        assert_eq!(again.crls().len(), distinct(bag.crls()));
        assert_eq!(again.certificates().len(), distinct(bag.certificates()));
    }
}

/// With the message's own certificates as anchors more of the code is reached.
fn verify_trusting_what_is_inside(signed: &SignedData) {
    let anchors = TrustAnchors::new(signed.certificates().to_vec());
    let types = [
        oids::ID_DATA,
        oids::ANIMA_JSON_VOUCHER,
        oids::SZTP_CONVEYED_INFO_JSON,
        oids::SZTP_CONVEYED_INFO_XML,
    ];
    let options = VerifyOptions::new(&anchors, NOW, &types);
    if let Ok(verified) = signed.verify(&options) {
        assert_eq!(Some(verified.content()), signed.unverified_content());
    }
    let _ = signed.verify_detached(b"content that came in another way", &options);
}

fn distinct<T: PartialEq>(list: &[T]) -> usize {
    let first = |(index, item)| !list[..index].contains(item);
    list.iter().enumerate().filter(|&pair| first(pair)).count()
}

struct Recipient {
    key: SigningKey,
    certificate: Certificate,
}

impl Recipient {
    fn new(key: &[u8], certificate: &[u8]) -> Self {
        Self {
            key: SigningKey::from_pem_or_der(key).expect("a key"),
            certificate: Certificate::from_pem_or_der(certificate).expect("a certificate"),
        }
    }
}

static RECIPIENTS: LazyLock<[Recipient; 2]> = LazyLock::new(|| {
    [
        Recipient::new(example!("pki/idevid.key"), example!("pki/idevid.pem")),
        Recipient::new(
            include_bytes!("../../keys/rsa.key"),
            include_bytes!("../../keys/rsa.pem"),
        ),
    ]
});

/// Every way of encrypting is tried.
const EVERYTHING: DecryptionPolicy = DecryptionPolicy {
    aes_gcm: true,
    ..DecryptionPolicy::lenient()
};

/// EnvelopedData: encrypted messages for two recipients whose keys are known, and any octets as
/// what was encrypted.
pub fn enveloped_data(octets: &[u8]) {
    let limits = Limits::default();
    if let Ok(message) = EnvelopedData::parse(octets, &limits) {
        let _ = message.content_cipher();
        for recipient in &*RECIPIENTS {
            decrypt(&message, recipient);
        }
    } else if let Ok(builder) = EnvelopedDataBuilder::around(octets, &limits) {
        let opened = encrypted_and_opened(builder);
        // Content of type id-data may be a broken message, which is told when it is opened.
        if let Ok(opened) = opened {
            assert!(ContentInfo::parse(&opened.to_message(), &limits).is_ok());
        }
    } else {
        what_is_encrypted_comes_out(octets);
    }
}

fn decrypt(message: &EnvelopedData, Recipient { key, certificate }: &Recipient) {
    for one in message.recipients() {
        let _ = (one.describe(), one.names(certificate));
    }
    let strict = message.decrypt(key, certificate, &DecryptOptions::default());
    if let Ok(opened) = &strict {
        let _ = ContentInfo::parse(&opened.to_message(), &Limits::default());
        return;
    }
    let options = DecryptOptions {
        policy: EVERYTHING,
        ..DecryptOptions::default()
    };
    if let Ok(opened) = message.decrypt(key, certificate, &options) {
        let _ = ContentInfo::parse(&opened.to_message(), &Limits::default());
    }
}

fn encrypted_and_opened(builder: EnvelopedDataBuilder) -> Result<DecryptedContent, CmsError> {
    let Recipient { key, certificate } = &RECIPIENTS[0];
    let encrypted = builder.recipient(certificate.clone()).encrypt();
    let message = EnvelopedData::parse(&encrypted.expect("it encrypts"), &Limits::default());
    let message = message.expect("what was made parses");
    message.decrypt(key, certificate, &DecryptOptions::default())
}

fn what_is_encrypted_comes_out(octets: &[u8]) {
    let content_type = [
        oids::ID_SIGNED_DATA,
        oids::ID_DATA,
        oids::SZTP_CONVEYED_INFO_JSON,
    ][octets.len() % 3];
    match encrypted_and_opened(EnvelopedDataBuilder::new(content_type, octets)) {
        Ok(opened) if content_type == oids::SZTP_CONVEYED_INFO_JSON => {
            assert_eq!(opened.content(), octets);
        }
        Ok(opened) => {
            let _ = ContentInfo::parse(&opened.to_message(), &Limits::default());
        }
        Err(error) => assert_eq!(content_type, oids::ID_SIGNED_DATA, "{error}"),
    }
}
