//! Certification requests, judged by OpenSSL.

use std::path::Path;
use std::process::Command;

use der::{Reader as _, SliceReader};
use sztp_cms::{
    CertificateBuilder, CertificationRequestBuilder, IssueError, KeyType, KeyUsage, Signer as _,
    SigningKey,
};

/// OpenSSL's text of a request whose signature it has verified.
fn verified(directory: &Path, request: &[u8]) -> String {
    std::fs::write(directory.join("request.der"), request).expect("written");
    let output = Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
        .args([
            "req",
            "-inform",
            "DER",
            "-in",
            "request.der",
            "-verify",
            "-noout",
            "-text",
        ])
        .args(["-nameopt", "RFC2253"])
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("OK"), "{stderr}");
    String::from_utf8(output.stdout).expect("text")
}

/// The CertificationRequestInfo of a request.
fn info(request: &[u8]) -> Vec<u8> {
    let mut reader = SliceReader::new(request).expect("DER");
    let info = reader.sequence(|request| {
        let info = request.tlv_bytes()?.to_vec();
        while !request.is_finished() {
            request.tlv_bytes()?;
        }
        Ok::<_, der::Error>(info)
    });
    info.expect("a request")
}

fn key(kind: KeyType) -> SigningKey {
    SigningKey::generate(kind).expect("a key")
}

#[test]
fn openssl_verifies_requests_of_all_keys() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for kind in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::EcP521,
        KeyType::Ed25519,
        KeyType::Rsa2048,
    ] {
        let request =
            CertificationRequestBuilder::new("CN=AX7,serialNumber=AX7-00042,O=Birch\\, Ltd")
                .and_then(|request| request.dns_names(["ax7.birch.example"]))
                .and_then(|request| request.sign(&key(kind)))
                .expect("a request");
        let text = verified(directory.path(), &request);
        assert!(
            text.contains("CN=AX7,serialNumber=AX7-00042,O=Birch\\, Ltd"),
            "{text}"
        );
        assert!(text.contains("DNS:ax7.birch.example"), "{text}");
    }
}

#[test]
fn a_request_like_the_identity_certificate() {
    // LEDGER: 9646-3.2-08
    let directory = tempfile::tempdir().expect("a temporary directory");
    let device = key(KeyType::EcP256);
    let idevid = CertificateBuilder::new("CN=AX7,serialNumber=AX7-00042")
        .key_usage(KeyUsage::DIGITAL_SIGNATURE)
        .extended_key_usage_client_auth()
        .dns_names(["ax7.vendor.example"])
        .self_signed(&device)
        .expect("a certificate");
    let request = CertificationRequestBuilder::like(&idevid)
        .and_then(|request| request.sign(&key(KeyType::EcP384)))
        .expect("a request");
    let text = verified(directory.path(), &request);
    for part in [
        "CN=AX7,serialNumber=AX7-00042",
        "Digital Signature",
        "TLS Web Client Authentication",
        "DNS:ax7.vendor.example",
        "384 bit",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What only an issuer can say is not asked for.
    assert!(!text.contains("Key Identifier"), "{text}");
}

#[test]
fn given_information_is_kept() {
    // LEDGER: 9646-3.2-07, 9646-3.2-10
    let directory = tempfile::tempdir().expect("a temporary directory");
    let own = key(KeyType::EcP256);
    let wanted = CertificationRequestBuilder::new("CN=wanted")
        .and_then(|request| request.dns_names(["wanted.example"]))
        .and_then(|request| request.sign(&own))
        .expect("a request");
    let wanted = info(&wanted);
    let builder = CertificationRequestBuilder::from_info(&wanted).expect("information");
    let request = builder.sign(&own).expect("a request");
    assert_eq!(info(&request), wanted);
    verified(directory.path(), &request);
    // A key that was made for it takes the place of the key that nobody could know.
    let new = key(KeyType::EcP256);
    let request = builder.sign(&new).expect("a request");
    let text = verified(directory.path(), &request);
    assert!(
        text.contains("CN=wanted") && text.contains("DNS:wanted.example"),
        "{text}"
    );
    let holds = |needle: &[u8]| request.windows(needle.len()).any(|part| part == needle);
    assert!(holds(new.spki_der()) && !holds(own.spki_der()));
}

#[test]
fn what_is_no_information() {
    let own = key(KeyType::EcP256);
    let whole = CertificationRequestBuilder::new("CN=x").and_then(|request| request.sign(&own));
    let good = info(&whole.expect("a request"));
    for length in 0..good.len() {
        let error = CertificationRequestBuilder::from_info(&good[..length]).expect_err("cut");
        assert!(matches!(error, IssueError::Encoding(_)));
    }
    let mut later = good.clone();
    let version = later
        .windows(3)
        .position(|part| part == [2, 1, 0])
        .expect("a version");
    later[version + 2] = 1;
    assert!(CertificationRequestBuilder::from_info(&later).is_err());
    assert!(CertificationRequestBuilder::from_info(&[&good[..], &[0]].concat()).is_err());
    assert!(CertificationRequestBuilder::new("no name").is_err());
}
