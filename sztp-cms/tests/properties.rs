//! What holds for every message, tried on hundreds: reading undoes writing, in DER and in BER; and
//! nothing that was signed may change, for each algorithm.

use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, ContentCipher, DecryptOptions, DecryptionPolicy,
    DigestAlgorithm, EnvelopedData, EnvelopedDataBuilder, KeyType, Limits, RecipientId,
    SignatureAlgorithm, SignedData, SignedDataBuilder, SignedDataRef, Signer, SignerId,
    SignerPolicy, SigningKey, TrustAnchors, UnixTime, VerifyOptions, WallClock, certs_only, oids,
};

const TYPES: [ObjectIdentifier; 4] = [
    oids::ID_DATA,
    oids::ANIMA_JSON_VOUCHER,
    oids::SZTP_CONVEYED_INFO_JSON,
    oids::SZTP_CONVEYED_INFO_XML,
];

/// The same choices in each run (Marsaglia's xorshift).
struct Choices(u64);

impl Choices {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).expect("fits");
        usize::try_from((self.0 >> 11) % bound).expect("below the bound")
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        let octet = |_| u8::try_from(self.below(256)).expect("an octet");
        (0..length).map(octet).collect()
    }

    /// Above all around the lengths at which lengths are written otherwise, and blocks end.
    fn content(&mut self) -> Vec<u8> {
        const LENGTHS: [usize; 16] = [
            0, 1, 15, 16, 17, 31, 32, 100, 127, 128, 129, 255, 256, 257, 65535, 65536,
        ];
        let length = match self.below(4) {
            0 => self.below(3000),
            1 if self.below(4) > 0 => self.below(50),
            _ => LENGTHS[self.below(LENGTHS.len())],
        };
        self.octets(length)
    }
}

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

/// A root, and a signer under it for each algorithm.
struct Pki {
    root: Certificate,
    signers: Vec<Party>,
}

/// Each kind of key with each of its algorithms.
fn keys() -> Vec<SigningKey> {
    let key = |key_type| SigningKey::generate(key_type).expect("a key");
    let rsa = key(KeyType::Rsa2048);
    let with = |algorithm| rsa.with_algorithm(algorithm).expect("fits");
    let mut keys = vec![
        key(KeyType::EcP256),
        key(KeyType::EcP384),
        key(KeyType::EcP521),
        key(KeyType::Ed25519),
    ];
    for digest in [
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512,
    ] {
        keys.push(with(SignatureAlgorithm::RsaPkcs1(digest)));
        keys.push(with(SignatureAlgorithm::RsaPss(digest)));
    }
    #[cfg(feature = "ml-dsa")]
    keys.extend(
        [
            sztp_cms::MlDsaParameterSet::MlDsa44,
            sztp_cms::MlDsaParameterSet::MlDsa65,
            sztp_cms::MlDsaParameterSet::MlDsa87,
        ]
        .map(|set| key(KeyType::MlDsa(set))),
    );
    keys
}

impl Pki {
    fn new() -> Self {
        let root_key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let root = CertificateBuilder::new("CN=root").ca(None);
        let root = root.self_signed(&root_key).expect("issues");
        let signers = keys().into_iter().enumerate().map(|(number, key)| {
            let certificate = CertificateBuilder::new(format!("CN=signer {number}"))
                .issued_by(key.spki_der(), &root, &root_key)
                .expect("issues");
            Party { key, certificate }
        });
        Self {
            signers: signers.collect(),
            root,
        }
    }
}

/// The values of a SET OF, as they come back from a message: each once, in order.
fn as_set<T: Clone>(list: &[T], der: impl Fn(&T) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = list.iter().map(der).collect();
    all.sort();
    all.dedup();
    all
}

/// The message in BER: indefinite lengths wherever there may be some, and the content in pieces.
fn to_ber(der: &[u8], content: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = der;
    while let [tag, ..] = *rest {
        let (header, length) = match rest[1] {
            short @ 0..=127 => (2, usize::from(short)),
            long => {
                let count = usize::from(long & 0x7F);
                let digits = &rest[2..2 + count];
                let length = digits
                    .iter()
                    .fold(0, |sum, one| sum << 8 | usize::from(*one));
                (2 + count, length)
            }
        };
        let (whole, after) = rest.split_at(header + length);
        let body = &whole[header..];
        if tag == 0x04 && body == content && !body.is_empty() {
            out.extend([0x24, 0x80]);
            for piece in body.chunks(1 + choices.below(100)) {
                out.extend([4, u8::try_from(piece.len()).expect("short")]);
                out.extend(piece);
            }
            out.extend([0, 0]);
        // Whatever is signed or compared stays as it is.
        } else if tag & 0x20 != 0 && matches!(tag, 0x30 | 0xA0) && body.len() > 1000 {
            out.extend([tag, 0x80]);
            out.extend(to_ber(body, content, choices));
            out.extend([0, 0]);
        } else {
            out.extend(whole);
        }
        rest = after;
    }
    out
}

/// The version of SignedData in DER.
fn version(message: &[u8]) -> u8 {
    // Past three headers and the content type: [0] and SEQUENCE begin as ContentInfo does.
    let header = |octets: &[u8]| match octets[1] {
        0..=127 => 2,
        long => 2 + usize::from(long & 0x7F),
    };
    let mut rest = &message[header(message)..];
    rest = &rest[2 + usize::from(rest[1])..];
    rest = &rest[header(rest)..];
    rest = &rest[header(rest)..];
    let [2, 1, version, ..] = *rest else {
        panic!("{:02x?}", &rest[..10]);
    };
    version
}

/// LEDGER: 5652-5.1-01, 5652-5.3-01
#[test]
fn reading_undoes_signing() {
    let pki = Pki::new();
    let anchors = TrustAnchors::new([pki.root.clone()]);
    let mut lists = Vec::new();
    for number in 0..3_u8 {
        // Any SEQUENCE: lists are not looked into before they are used.
        lists.push(vec![0x30, 3, 2, 1, number]);
    }
    let mut in_pieces = 0;
    for seed in 0..300 {
        let mut choices = Choices::new(seed);
        let content = choices.content();
        let content_type = TYPES[choices.below(TYPES.len())];
        let signers: Vec<&Party> = (0..=choices.below(3))
            .map(|_| &pki.signers[choices.below(pki.signers.len())])
            .collect();
        let beside: Vec<Certificate> = (0..choices.below(4))
            .map(|_| {
                pki.signers[choices.below(pki.signers.len())]
                    .certificate
                    .clone()
            })
            .collect();
        let crls: Vec<Vec<u8>> = (0..choices.below(3))
            .map(|_| lists[choices.below(lists.len())].clone())
            .collect();
        let time = choices.coin().then(|| {
            // Also where UTCTime ends.
            let seconds = i64::try_from(choices.below(4_000_000_000)).expect("fits");
            UnixTime::from_secs(seconds)
        });
        let certificates: Vec<Certificate> = signers
            .iter()
            .map(|one| one.certificate.clone())
            .chain(beside)
            .collect();
        let mut builder = SignedDataBuilder::new(content_type, content.clone())
            .certificates(certificates.clone())
            .crls(crls.clone())
            .signing_time(time);
        let by_key_id = choices.coin();
        if by_key_id {
            builder = builder.signer_id(SignerId::SubjectKeyId);
        }
        let bare =
            content_type == oids::ID_DATA && content.first() != Some(&0x31) && choices.coin();
        if bare {
            builder = builder.without_signed_attributes();
        }
        let detached = choices.below(4) == 0;
        if detached {
            builder = builder.detached();
        }
        let by: Vec<(&dyn Signer, &Certificate)> = signers
            .iter()
            .map(|one| (&one.key as &dyn Signer, &one.certificate))
            .collect();
        let message = builder.sign_all(&by).expect("signs");
        // RFC 5652 §5.1
        let plain = content_type == oids::ID_DATA && !by_key_id;
        assert_eq!(version(&message), if plain { 1 } else { 3 }, "{seed}");

        let limits = Limits::default();
        let check = |read: &SignedData| {
            assert_eq!(read.content_type(), content_type, "{seed}");
            let expected = (!detached).then_some(&content[..]);
            assert_eq!(read.unverified_content(), expected, "{seed}");
            let inside: Vec<Vec<u8>> = read
                .certificates()
                .iter()
                .map(|one| one.as_der().to_vec())
                .collect();
            assert_eq!(
                inside,
                as_set(&certificates, |one| one.as_der().to_vec()),
                "{seed}"
            );
            assert_eq!(read.crls(), as_set(&crls, Clone::clone), "{seed}");
            assert_eq!(read.signers().len(), signers.len(), "{seed}");
            for signer in read.signers() {
                assert_eq!(signer.has_signed_attributes(), !bare, "{seed}");
                assert!(
                    signers.iter().any(|one| signer.names(&one.certificate)),
                    "{seed}"
                );
            }
            let options = VerifyOptions {
                signers: SignerPolicy::All,
                ..VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES)
            };
            let verified = if detached {
                read.verify_detached(&content, &options)
            } else {
                read.verify(&options)
            };
            let verified = verified.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(verified.content(), content, "{seed}");
            assert_eq!(verified.content_type(), content_type, "{seed}");
            assert_eq!(verified.signers().len(), signers.len(), "{seed}");
            // One key may have several certificates.
            let mut found = Vec::new();
            for signer in verified.signers() {
                assert_eq!(signer.chain().len(), 2);
                found.push((
                    signer.certificate().spki_der(),
                    format!("{:?}", signer.algorithm()),
                ));
            }
            let mut wanted: Vec<_> = signers
                .iter()
                .map(|one| {
                    (
                        one.certificate.spki_der(),
                        format!("{:?}", one.key.algorithm()),
                    )
                })
                .collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{seed}");
        };
        let read = SignedData::parse(&message, &limits).expect("parses");
        check(&read);

        // The reader that copies nothing says the same.
        let borrowed = SignedDataRef::parse(&message, &limits).expect("parses");
        assert_eq!(borrowed.content_type(), read.content_type());
        assert_eq!(borrowed.unverified_content(), read.unverified_content());
        let raw: Vec<&[u8]> = read
            .certificates()
            .iter()
            .map(Certificate::as_der)
            .collect();
        assert_eq!(borrowed.certificates().collect::<Vec<_>>(), raw);
        assert_eq!(borrowed.crls().collect::<Vec<_>>(), read.crls());
        assert_eq!(borrowed.signers().collect::<Vec<_>>(), read.signers());

        // And the same message in BER.
        let ber = to_ber(&message, &content, &mut choices);
        if ber != message {
            in_pieces += 1;
            check(&SignedData::parse(&ber, &limits).expect("parses"));
        }

        // Taken out and put together again, certificates make the same octets.
        let bundle = certs_only(read.certificates(), read.crls()).expect("encodes");
        let again = SignedData::parse(&bundle, &limits).expect("parses");
        assert_eq!(again.certificates(), read.certificates());
        let same = certs_only(again.certificates(), again.crls()).expect("encodes");
        assert_eq!(same, bundle);
    }
    assert!(in_pieces > 150, "{in_pieces}");
}

#[test]
fn decrypting_undoes_encrypting() {
    let devices: Vec<Party> = [
        KeyType::Rsa2048,
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::EcP521,
    ]
    .into_iter()
    .enumerate()
    .map(|(number, key_type)| {
        let key = SigningKey::generate(key_type).expect("a key");
        let certificate = CertificateBuilder::new(format!("CN=device {number}"))
            .self_signed(&key)
            .expect("issues");
        Party { key, certificate }
    })
    .collect();
    let stranger = SigningKey::generate(KeyType::EcP256).expect("a key");
    let stranger = Party {
        certificate: CertificateBuilder::new("CN=stranger")
            .self_signed(&stranger)
            .expect("issues"),
        key: stranger,
    };
    let lenient = DecryptOptions {
        policy: DecryptionPolicy {
            aes_gcm: true,
            ..DecryptionPolicy::lenient()
        },
        ..DecryptOptions::default()
    };
    for seed in 0..120 {
        let mut choices = Choices::new(seed);
        let content = choices.content();
        let content_type = [
            oids::ID_DATA,
            oids::SZTP_CONVEYED_INFO_JSON,
            oids::SZTP_CONVEYED_INFO_XML,
        ][choices.below(3)];
        let cipher = [
            ContentCipher::Aes128Cbc,
            ContentCipher::Aes256Cbc,
            ContentCipher::Aes128Gcm,
            ContentCipher::Aes256Gcm,
        ][choices.below(4)];
        let to: Vec<&Party> = (0..=choices.below(4))
            .map(|_| &devices[choices.below(devices.len())])
            .collect();
        let mut builder =
            EnvelopedDataBuilder::new(content_type, content.clone()).content_cipher(cipher);
        if choices.coin() {
            builder = builder.recipient_id(RecipientId::SubjectKeyId);
        }
        for one in &to {
            builder = builder.recipient(one.certificate.clone());
        }
        let message = builder.encrypt().expect("encrypts");
        let read = EnvelopedData::parse(&message, &Limits::default()).expect("parses");
        assert_eq!(read.content_type(), content_type, "{seed}");
        assert_eq!(read.content_cipher(), Some(cipher), "{seed}");
        assert_eq!(read.recipients().len(), to.len(), "{seed}");
        for one in &to {
            assert!(
                read.recipients()
                    .iter()
                    .any(|it| it.names(&one.certificate))
            );
            let plain = read
                .decrypt(&one.key, &one.certificate, &lenient)
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(plain.content(), content, "{seed}");
            assert_eq!(plain.content_type(), content_type, "{seed}");
        }
        assert!(
            read.decrypt(&stranger.key, &stranger.certificate, &lenient)
                .is_err()
        );
        // Never the same octets twice.
        assert_ne!(builder.encrypt().expect("encrypts"), message, "{seed}");
    }
}

/// One bit of each octet of what is signed (the content, the attributes, the signer's certificate)
/// and of the signatures over it, for each algorithm.
#[test]
fn nothing_signed_may_change() {
    let content = b"what is signed, and nothing else";
    let pki = Pki::new();
    let anchors = TrustAnchors::new([pki.root.clone()]);
    let options = VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES);
    let verify = |message: &[u8]| -> Result<Vec<u8>, CmsError> {
        let signed = SignedData::parse(message, &Limits::default())?;
        Ok(signed.verify(&options)?.content().to_vec())
    };
    for signer in &pki.signers {
        let algorithm = signer.key.algorithm();
        let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, content)
            .certificates([signer.certificate.clone()])
            .signing_time(Some(UnixTime::from_secs(1_800_000_000)))
            .sign(&signer.key, &signer.certificate)
            .expect("signs");
        assert_eq!(verify(&message).as_deref(), Ok(&content[..]));
        let find = |part: &[u8]| {
            let mut windows = message.windows(part.len());
            let start = windows.position(|window| window == part).expect("is there");
            start..start + part.len()
        };
        let certificate = find(signer.certificate.as_der());
        // The SignerInfo is all that comes after the certificates: with the attributes, the
        // algorithms that are said to have been used, and the signature.
        let places = [
            find(content),
            find(signer.certificate.tbs_der()),
            certificate.end..message.len(),
        ];
        // Who signed is not signed: in another case it is the same name (RFC 5280 §7.1).
        let issuer = signer.certificate.issuer_der();
        let name = message
            .windows(issuer.len())
            .rposition(|window| window == issuer);
        let name = name.expect("is there")..name.expect("is there") + issuer.len();
        for at in places.into_iter().flat_map(most) {
            let mut changed = message.clone();
            changed[at] ^= 1 << (at % 8);
            let outcome = verify(&changed);
            let other_case = name.contains(&at) && message[at].is_ascii_alphabetic();
            assert!(
                outcome.is_err() || other_case,
                "{algorithm:?}: octet {at} may change"
            );
        }
        // Nothing may be left out, and nothing put in.
        for at in find(content).chain(most(certificate.end..message.len())) {
            if at % 5 != 0 {
                continue;
            }
            let mut shorter = message.clone();
            shorter.remove(at);
            assert!(
                verify(&shorter).is_err(),
                "{algorithm:?}: octet {at} removed"
            );
            let mut longer = message.clone();
            longer.insert(at, 0);
            assert!(
                verify(&longer).is_err(),
                "{algorithm:?}: octet put in at {at}"
            );
        }
    }
}

/// All octets of a part, except that of keys and signatures, which are long and come last, some
/// stand for all.
fn most(part: std::ops::Range<usize>) -> impl Iterator<Item = usize> {
    let start = part.start;
    part.filter(move |at| at - start < 300 || at % 29 == 0)
}
