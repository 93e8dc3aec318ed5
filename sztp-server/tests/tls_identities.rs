//! Old and new clients of one server: which certificate each is shown, in which version of TLS,
//! and how keys are exchanged. OpenSSL is the client.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::Rig;
use raw::Client;
use sztp_server::config::TlsPair;

/// What `openssl s_client` says of a connection.
fn client(rig: &Rig, arguments: &str) -> String {
    let port = rig.server().device_addr().port();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &format!("localhost:{port}")])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need the program openssl");
    let mut stdin = child.stdin.take().expect("piped");
    // It may be gone already where the handshake fails.
    let _ = stdin.write_all(b"Q\n");
    drop(stdin);
    let output = child.wait_with_output().expect("ended");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn openssl(directory: &Path, arguments: &str) {
    let status = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .expect("openssl");
    assert!(status.success(), "openssl {arguments}");
}

/// The lab's ECDSA certificate and an RSA one beside it.
fn rig() -> (tempfile::TempDir, Rig) {
    let made = tempfile::tempdir().expect("a directory");
    openssl(
        made.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.crt -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -days 90",
    );
    let pair = TlsPair {
        certificate: made.path().join("rsa.crt"),
        key: made.path().join("rsa.key"),
    };
    let rig = Rig::start_with(|config| config.tls.additional = vec![pair]);
    (made, rig)
}

#[test]
fn each_client_gets_the_certificate_that_it_can_judge() {
    let (_made, rig) = rig();
    for (arguments, kind) in [
        ("-tls1_2", "ECDSA"),
        ("-tls1_3", "ECDSA"),
        ("-tls1_2 -sigalgs RSA+SHA256", "RSA"),
        ("-tls1_2 -sigalgs RSA+SHA256:RSA+SHA384", "RSA"),
        ("-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384", "RSA-PSS"),
        ("-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA"),
        ("-tls1_3 -sigalgs rsa_pss_rsae_sha256", "RSA-PSS"),
        ("-tls1_2 -sigalgs ECDSA+SHA256", "ECDSA"),
    ] {
        let said = client(&rig, arguments);
        let line = format!("Peer signature type: {kind}\n");
        assert!(said.contains(&line), "{arguments}: {said}");
    }
}

/// Clients of TLS 1.2 learn that their RSA PKCS#1 v1.5 signatures are welcome, and whose
/// certificates.
#[test]
fn signatures_that_old_devices_make_are_asked_for() {
    let (_made, rig) = rig();
    let said = client(&rig, "-tls1_2 -sigalgs RSA+SHA256");
    let requested = said
        .lines()
        .find(|line| line.starts_with("Requested Signature Algorithms:"))
        .unwrap_or_else(|| panic!("{said}"));
    for wanted in ["RSA+SHA256", "RSA+SHA384", "ECDSA+SHA256", "RSA-PSS+SHA256"] {
        assert!(requested.contains(wanted), "{requested}");
    }
    assert!(
        said.contains("Acceptable client certificate CA names"),
        "{said}"
    );
    // TLS 1.1 is not spoken.
    let said = client(&rig, "-tls1_1 -cipher ALL:@SECLEVEL=0");
    assert!(!said.contains("Peer signature type"), "{said}");
}

#[test]
fn an_rsa_device_on_tls_1_2_with_pkcs1_signatures() {
    let (made, rig) = rig();
    let at = made.path();
    let key = sztp_cms::SigningKey::generate(sztp_cms::KeyType::Rsa2048).expect("a key");
    let pem = key.to_pkcs8_pem().expect("PEM");
    std::fs::write(at.join("device.key"), pem.as_bytes()).expect("written");
    let device = sztp_cms::CertificateBuilder::new("serialNumber=OLD-1")
        .issued_by(
            sztp_cms::Signer::spki_der(&key),
            &rig.lab.idevid_ca.certificate,
            &rig.lab.idevid_ca.key,
        )
        .expect("a certificate");
    std::fs::write(at.join("device.crt"), device.to_pem()).expect("written");
    let arguments = format!(
        "-tls1_2 -sigalgs RSA+SHA256 -client_sigalgs RSA+SHA256 -cert {0}/device.crt -key \
         {0}/device.key -quiet",
        at.display()
    );
    rig.add(&harness::small_device("OLD-1"));
    let port = rig.server().device_addr().port();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &format!("localhost:{port}")])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let request = "POST /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrapping-data \
                   HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/yang-data+xml\r\n\
                   Connection: close\r\nContent-Length: 0\r\n\r\n";
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(request.as_bytes()).expect("sent");
    let output = child.wait_with_output().expect("ended");
    drop(stdin);
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("conveyed-information"), "{answer}");
}

/// Hybrid with ML-KEM first, for who can; OpenSSL 3.0 cannot.
#[test]
fn keys_are_exchanged_in_hybrid_first() {
    let (_made, rig) = rig();
    let mut modern = Client::new(&rig, "serialNumber=NEW-1");
    modern.send(
        "GET /.well-known/host-meta HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "",
    );
    assert_eq!(
        modern.key_exchange(),
        Some(rustls::NamedGroup::X25519MLKEM768)
    );
    let said = client(&rig, "-tls1_3 -groups X25519:P-256");
    assert!(said.contains("Server Temp Key: X25519"), "{said}");
    let said = client(&rig, "-tls1_3 -groups P-256");
    assert!(said.contains("Server Temp Key: ECDH, prime256v1"), "{said}");
}
