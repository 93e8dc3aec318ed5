//! Known answers of FIPS 204: the keys that seeds give, in both forms of private keys (RFC 9881 §6).
//! The PyPI package cryptography_vectors carries them; signatures in them have a context, which CMS
//! and certificates have not, and so must be refused. Signatures without one are judged by
//! Wycheproof's (`wycheproof.rs`).
#![cfg(feature = "ml-dsa")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sztp_cms::{MlDsaParameterSet, SignatureAlgorithm, SignatureError, Signer as _, SigningKey};

/// The values of one record by their names.
type Record<'a> = Vec<(&'a str, &'a str)>;

fn octets(record: &Record<'_>, name: &str) -> Vec<u8> {
    let found = record.iter().find(|(known, _)| *known == name);
    let (_, text) = found.expect(name);
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn records(text: &str) -> Vec<Record<'_>> {
    let mut all: Vec<Record<'_>> = Vec::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
        if name == "count" {
            all.push(Vec::new());
        }
        all.last_mut()
            .expect("a count comes first")
            .push((name, value));
    }
    all
}

/// OpenSSL's private key in this form, with another key in it: it is at the end.
fn private_key(file: &str, key: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/openssl-3.6");
    let mut der = fs::read(path.join(file)).expect(file);
    let at = der.len() - key.len();
    der[at..].copy_from_slice(key);
    der
}

#[test]
fn seeds_give_the_keys_of_fips_204() {
    let vectors = env::var_os("SZTP_TEST_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-vectors"),
        PathBuf::from,
    );
    for (set, name) in [
        (MlDsaParameterSet::MlDsa44, "44"),
        (MlDsaParameterSet::MlDsa65, "65"),
        (MlDsaParameterSet::MlDsa87, "87"),
    ] {
        let path = vectors.join(format!("ml-dsa/kat_MLDSA_{name}_det_pure.rsp"));
        let Ok(text) = fs::read_to_string(&path) else {
            // Not `eprintln!`, which the test harness swallows.
            let _ = writeln!(
                std::io::stderr(),
                "NOT TESTED: known answers of ML-DSA are not in {}; .ci/fetch-test-vectors \
                 fetches them",
                path.display()
            );
            return;
        };
        let algorithm = SignatureAlgorithm::MlDsa(set);
        let records = records(&text);
        assert_eq!(records.len(), 100);
        for (number, record) in records.iter().enumerate() {
            let [seed, public, expanded] = ["xi", "pk", "sk"].map(|part| octets(record, part));
            for der in [
                private_key(&format!("ml-dsa-{name}-seed-only.key"), &seed),
                private_key(&format!("ml-dsa-{name}-priv-only.key"), &expanded),
            ] {
                let key = SigningKey::from_pem_or_der(&der).expect("reads");
                assert_eq!(key.algorithm(), algorithm);
                assert!(key.spki_der().ends_with(&public), "{name} {number}");
            }
            // The message is behind its signature.
            let signed = octets(record, "sm");
            let message = octets(record, "msg");
            let signature = signed.strip_suffix(&message[..]).expect("ends in it");
            assert!(!octets(record, "ctx").is_empty());
            let key = SigningKey::from_pem_or_der(&private_key(
                &format!("ml-dsa-{name}-seed-only.key"),
                &seed,
            ));
            let key = key.expect("reads");
            assert_eq!(
                key.public_key().verify(algorithm, &message, signature),
                Err(SignatureError::Bad),
                "{name} {number}"
            );
            if number < 5 {
                let own = key.sign(&message).expect("signs");
                assert_eq!(own.len(), signature.len());
                assert_eq!(key.public_key().verify(algorithm, &message, &own), Ok(()));
            }
        }
    }
}
