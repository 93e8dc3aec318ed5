//! Connections that are no TLS, carry a broken certificate, say nothing or say it too slowly: none
//! of them holds up anyone else.

mod harness;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{GET_DATA, JSON, Rig, TRUSTING, small_device};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use sztp_cms::{KeyType, SigningKey};

const SERIAL: &str = "AX7-00042";

fn goes_on(rig: &Rig) {
    let answer = rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 200, "the server goes on: {}", answer.text());
}

#[test]
fn a_client_certificate_that_is_no_der() {
    let rig = Rig::start();
    rig.add(&small_device(SERIAL));
    let garbage = CertificateDer::from(vec![0x30, 0x82, 0xFF, 0xFF, 0x00]);
    let hello = "GET /.well-known/host-meta HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(say(&rig, vec![garbage], &rig.lab.masa.key, hello).is_err());
    goes_on(&rig);
}

// LEDGER: 8040-2.1-01, 8572-9.16-01
#[test]
fn what_is_no_https_and_who_says_nothing() {
    let rig = Rig::start_with(|config| {
        config.limits.handshake_timeout_secs = 1;
        config.limits.header_timeout_secs = 1;
    });
    rig.add(&small_device(SERIAL));
    let address = rig.server().device_addr();
    // Plain HTTP gets no HTTP answer.
    let mut plain = TcpStream::connect(address).expect("a connection");
    plain
        .write_all(b"GET /restconf HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    // Fifty connections that say nothing hold up nobody, and end.
    let mut silent: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(address).expect("a connection"))
        .collect();
    let asked = Instant::now();
    goes_on(&rig);
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    for stream in &mut silent {
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        let ended = stream.read(&mut [0; 1]);
        assert!(!matches!(&ended, Ok(1..)), "{ended:?}");
        let waiting = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
        assert!(
            !ended.is_err_and(|error| waiting.contains(&error.kind())),
            "still open"
        );
    }
}

#[test]
fn a_slow_body_is_not_waited_for() {
    let rig = Rig::start_with(|config| config.limits.body_timeout_secs = 1);
    rig.add(&small_device(SERIAL));
    let idevid = rig
        .lab
        .issue_idevid(SERIAL, KeyType::EcP256, harness::now())
        .expect("an IDevID");
    let chain = vec![CertificateDer::from(idevid.certificate.as_der().to_vec())];
    let begun = format!(
        "POST /restconf/operations/{GET_DATA} HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: {JSON}\r\nContent-Length: 100\r\n\r\n{{"
    );
    let answer = say(&rig, chain, &idevid.key, &begun).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        rig.last_event(SERIAL)
            .starts_with("refused: 408 operation-failed")
    );
    goes_on(&rig);
}

/// Says something over TLS 1.2, in which a client learns at once whether its certificate is taken,
/// and answers what comes back first.
fn say(
    rig: &Rig,
    chain: Vec<CertificateDer<'static>>,
    key: &SigningKey,
    what: &str,
) -> std::io::Result<String> {
    #[derive(Debug)]
    struct Shows(Arc<rustls::sign::CertifiedKey>);
    impl rustls::client::ResolvesClientCert for Shows {
        fn resolve(
            &self,
            _: &[&[u8]],
            _: &[rustls::SignatureScheme],
        ) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(self.0.clone())
        }
        fn has_certs(&self) -> bool {
            true
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = key.to_pkcs8_der().expect("DER");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("a key");
    let shown = rustls::sign::CertifiedKey::new(chain, key);
    let mut roots = rustls::RootCertStore::empty();
    let anchor = rig.lab.tls_ca.certificate.as_der().to_vec();
    roots.add(CertificateDer::from(anchor)).expect("an anchor");
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(Arc::new(shown))));
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut socket = TcpStream::connect(rig.server().device_addr())?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(what.as_bytes())?;
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}
