//! Certification requests that OpenSSL makes, read; and those that prove nothing, refused.

use std::path::Path;
use std::process::Command;

use sztp_cms::{
    CertificateBuilder, CertificationRequest, CertificationRequestBuilder,
    CertificationRequestError, KeyType, ProvenRequest, Signer as _, SigningKey, UnixTime,
};

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {stderr}");
}

fn read(octets: &[u8]) -> Result<ProvenRequest, CertificationRequestError> {
    CertificationRequest::from_der(octets)?.prove()
}

fn made(kind: KeyType) -> (SigningKey, Vec<u8>) {
    let key = SigningKey::generate(kind).expect("a key");
    let request = CertificationRequestBuilder::new("CN=edge,serialNumber=AX7-00042")
        .and_then(|builder| builder.dns_names(["edge.example.net"]))
        .and_then(|builder| builder.sign(&key))
        .expect("a request");
    (key, request)
}

#[test]
fn requests_of_openssl_are_read_and_proven() {
    let directory = tempfile::tempdir().expect("a directory");
    for (key, bits) in [
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-256", None),
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-521", None),
        ("-newkey ed25519", None),
        ("-newkey rsa:2048", Some(2048)),
        (
            "-newkey rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest",
            Some(2048),
        ),
    ] {
        openssl(
            directory.path(),
            &format!(
                "req -new -nodes {key} -keyout k.pem -outform DER -out r.der \
                 -subj /O=Birch/CN=edge/serialNumber=AX7-00042 \
                 -addext subjectAltName=DNS:edge.example.net,IP:192.0.2.1 \
                 -addext keyUsage=critical,digitalSignature"
            ),
        );
        let octets = std::fs::read(directory.path().join("r.der")).expect("a request");
        let request = read(&octets).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(request.as_der(), octets);
        assert_eq!(request.subject(), "serialNumber=AX7-00042,CN=edge,O=Birch");
        let serial_numbers = request.serial_number_attributes();
        assert_eq!(serial_numbers, [Some("AX7-00042".to_owned())]);
        let names = request.alternative_names().expect("names");
        assert_eq!(names[0], b"\x82\x10edge.example.net");
        assert_eq!(names[1], [0x87, 4, 192, 0, 2, 1]);
        assert_eq!(request.extensions().len(), 2);
        assert!(!request.asks_for_authority());
        assert_eq!(request.public_key().rsa_bits(), bits, "{key}");
    }
    let authority = "req -new -nodes -newkey ed25519 -keyout k.pem -outform DER -out r.der \
        -subj /CN=x -addext basicConstraints=critical,CA:true";
    openssl(directory.path(), authority);
    let octets = std::fs::read(directory.path().join("r.der")).expect("a request");
    assert!(read(&octets).expect("proven").asks_for_authority());
}

#[test]
fn no_octet_can_be_another() {
    let (_, request) = made(KeyType::EcP256);
    read(&request).expect("as it was made");
    for place in 0..request.len() {
        for bit in [1, 0x80] {
            let mut changed = request.clone();
            changed[place] ^= bit;
            assert!(
                read(&changed).is_err(),
                "octet {place} of {}",
                request.len()
            );
        }
        assert!(read(&request[..place]).is_err());
    }
    let longer = [&request[..], &[0]].concat();
    let error = CertificationRequest::from_der(&longer);
    assert_eq!(error, Err(CertificationRequestError::Malformed));
    let huge = vec![0x30; 64 * 1024];
    let error = CertificationRequest::from_der(&huge).expect_err("too large");
    assert_eq!(error.code(), "certification-request.too-large");
}

// LEDGER: 9646-4.2.1-01
#[test]
fn somebody_elses_key_is_not_certified() {
    let (_, request) = made(KeyType::EcP256);
    let (_, other) = made(KeyType::EcP256);
    // The other's key in the place of the first one's: same length, not signed with it.
    let spki = read(&other).expect("proven").spki_der().to_vec();
    let own = read(&request).expect("proven").spki_der().to_vec();
    let place = request
        .windows(own.len())
        .position(|part| part == own)
        .expect("the key");
    let mut swapped = request;
    swapped[place..place + spki.len()].copy_from_slice(&spki);
    let error = read(&swapped).expect_err("not proven");
    assert_eq!(error.code(), "certification-request.not-proven");
}

#[test]
fn a_certificate_is_made_for_the_subject_that_was_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, request) = made(KeyType::EcP256);
    let request = read(&request).expect("proven");
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    let from = UnixTime::from_secs(1_700_000_000);
    let ca = CertificateBuilder::new("CN=CA")
        .validity(from, None)
        .ca(None)
        .self_signed(&key)
        .expect("a certificate");
    let certificate = CertificateBuilder::for_request(&request)
        .validity(from, Some(from.plus_secs(10 * 365 * 24 * 60 * 60)))
        .alternative_names(request.alternative_names().expect("names"))
        .extended_key_usage_client_auth()
        .issued_by(request.spki_der(), &ca, &key)
        .expect("a certificate");
    assert_eq!(certificate.subject_der(), request.subject_der());
    assert_ne!(certificate.spki_der(), key.spki_der());
    assert_eq!(
        certificate.alternative_names(),
        request.alternative_names().expect("names")
    );
    for (name, certificate) in [("ca.pem", &ca), ("leaf.pem", &certificate)] {
        std::fs::write(directory.path().join(name), certificate.to_pem()).expect("written");
    }
    openssl(
        directory.path(),
        "verify -purpose sslclient -CAfile ca.pem leaf.pem",
    );
}
