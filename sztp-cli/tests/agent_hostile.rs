//! `sztp agent` among hostile servers, with real sockets: nothing is done, and nothing is told that RFC
//! 8572 does not allow.
#![cfg(unix)]

#[allow(dead_code)]
mod workbench;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use sztp_cms::{AnyClientCertificate, Certificate, SigningKey, TrustAnchors};
use sztp_core::artifacts::unsigned_artifact;
use sztp_core::conveyed_info::{
    BootstrapServer, ConfigurationHandling, ConveyedInfo, OnboardingInformation,
    RedirectInformation,
};
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_voucher::yang::Encoding;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use workbench::{Ran, Workbench};

const SERIAL: &str = "AX7-00042";

/// How a rogue server treats a request for data.
#[derive(Clone)]
enum Treatment {
    Data(Vec<u8>),
    /// A captive portal.
    Login,
    /// An octet now and then.
    Drip,
    /// A body without end.
    Flood,
    /// Redirects to itself.
    Circle,
}

/// A server that nobody authenticated, and the requests that it got, octet by octet.
struct Rogue {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Rogue {
    fn start(bench: &Workbench, treatment: Treatment) -> Self {
        let chain = Certificate::list_from_pem_or_der(&bench.read("data/lab/server/tls.crt"));
        let key = SigningKey::from_pem_or_der(&bench.read("data/lab/server/tls.key"));
        let verifier = AnyClientCertificate::new(&TrustAnchors::default());
        let config =
            sztp_cms::server_config(&chain.expect("a chain"), &key.expect("a key"), verifier);
        Self::speaking(config.expect("a key that fits"), treatment)
    }

    fn speaking(config: rustls::ServerConfig, treatment: Treatment) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().expect("a runtime");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let all = seen.clone();
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, all, treatment) = (acceptor.clone(), all.clone(), treatment.clone());
                tokio::spawn(async move {
                    if let Ok(mut tls) = acceptor.accept(tcp).await {
                        while let Some(request) = request(&mut tls).await {
                            let asked = request.starts_with("POST ");
                            all.lock().expect("no panic").push(request);
                            if answer(&mut tls, asked, &treatment, port).await.is_err() {
                                break;
                            }
                        }
                    }
                });
            }
        });
        Self {
            port,
            seen,
            _runtime: runtime,
        }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }
}

/// Head and body as they came.
async fn request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut octets = Vec::new();
    loop {
        octets.push(stream.read_u8().await.ok()?);
        let text = String::from_utf8_lossy(&octets);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let length = name.eq_ignore_ascii_case("content-length");
            length.then(|| value.parse::<usize>().expect("a length"))
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
}

async fn answer(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    asked: bool,
    treatment: &Treatment,
    port: u16,
) -> std::io::Result<()> {
    let json = "application/yang-data+json";
    let whole = |content_type: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    if !asked && !matches!(treatment, Treatment::Login) {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            .await?;
        return stream.flush().await;
    }
    match treatment {
        Treatment::Data(body) => stream.write_all(&whole(json, body)).await?,
        Treatment::Login => {
            let page = b"<html><form action=login>Room number?</form></html>";
            stream.write_all(&whole("text/html", page)).await?;
        }
        Treatment::Circle => {
            let redirect = ConveyedInfo::Redirect(RedirectInformation {
                bootstrap_servers: vec![BootstrapServer {
                    address: "127.0.0.1".to_owned(),
                    port: Some(port),
                    trust_anchor: None,
                }],
            });
            stream.write_all(&whole(json, &unsigned(&redirect))).await?;
        }
        Treatment::Drip => loop {
            stream.write_all(b"H").await?;
            stream.flush().await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
        },
        Treatment::Flood => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/yang-data+json\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
    }
    stream.flush().await
}

fn unsigned(info: &ConveyedInfo) -> Vec<u8> {
    let output = GetBootstrappingDataOutput {
        reporting_level: None,
        conveyed_information: unsigned_artifact(info, Encoding::Json),
        owner_certificate: None,
        ownership_voucher: None,
    };
    output.encode(Encoding::Json)
}

/// Onboarding information that the owner has signed, with a voucher.
fn signed(bench: &Workbench, serial_number: &str, voucher: &str) -> Vec<u8> {
    bench
        .run(&format!(
            "voucher issue --serial-number {serial_number} --pinned-domain-cert \
             data/lab/owner/pinned-domain-ca.crt --signer-cert data/lab/vendor/masa.crt \
             --signer-key data/lab/vendor/masa.key {voucher} --out rogue.vcj"
        ))
        .ok();
    bench.write("edge.conf", "hostname taken\n");
    bench
        .run(
            "conveyed-info onboarding --configuration edge.conf --configuration-handling merge \
             --out onboarding.json",
        )
        .ok();
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert data/lab/owner/owner.crt --owner-key \
             data/lab/owner/owner.key --out ci.cms",
        )
        .ok();
    bench
        .run("owner-certificate bundle data/lab/owner/owner.crt --out oc.cms")
        .ok();
    let output = GetBootstrappingDataOutput {
        reporting_level: None,
        conveyed_information: bench.read("ci.cms"),
        owner_certificate: Some(bench.read("oc.cms")),
        ownership_voucher: Some(bench.read("rogue.vcj")),
    };
    output.encode(Encoding::Json)
}

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.run("pki init data/lab").ok();
    bench
        .run(&format!("pki idevid data/lab --serial-number {SERIAL}"))
        .ok();
    bench
}

fn run(bench: &Workbench, rogue: &Rogue, command: &str) -> Ran {
    bench.run(&format!(
        "agent {command} --server https://127.0.0.1:{} --idevid-cert \
         data/lab/devices/{SERIAL}/idevid.crt --idevid-key data/lab/devices/{SERIAL}/idevid.key \
         --voucher-anchor data/lab/vendor/root.crt --state-dir state --out out --server-timeout 1 \
         --hw-model AX7 --os-name AxOS --os-version 9.4.1 --allow-scripts",
        rogue.port
    ))
}

/// Nothing is done, whichever command gets it, and nobody is told.
fn nothing_comes_of(treatment: Treatment, code: &str, reason: Option<&str>) {
    let bench = bench();
    let rogue = Rogue::start(&bench, treatment);
    run(&bench, &rogue, "run").refused(code);
    for name in ["applied", "attempt", "image"] {
        assert!(!bench.path("state").join(name).exists(), "{name}");
    }
    let ran = run(&bench, &rogue, "bootstrap");
    let result: Value = serde_json::from_slice(&bench.read("out/result.json")).expect("JSON");
    assert_eq!(result["reason"].as_str(), reason, "{ran:?}");
    assert_eq!(ran.code, if reason.is_some() { 1 } else { 2 }, "{ran:?}");
    assert!(!bench.path("out/onboarding.json").exists());
    only_what_is_allowed(&rogue);
}

/// The requests, octet by octet, but for the port: discovery, and the question for signed data.
fn only_what_is_allowed(rogue: &Rogue) {
    let seen = rogue.seen();
    assert!(seen.iter().any(|request| request.starts_with("POST ")));
    let host = format!("127.0.0.1:{}", rogue.port);
    // Of this program, not of the device.
    let agent = format!("user-agent: sztp/{}", env!("CARGO_PKG_VERSION"));
    let body = r#"{"ietf-sztp-bootstrap-server:input":{"signed-data-preferred":[null]}}"#;
    for request in seen {
        let (head, sent) = request.split_once("\r\n\r\n").expect("a head");
        let mut lines: Vec<String> = head.lines().map(str::to_ascii_lowercase).collect();
        let first = lines.remove(0);
        lines.sort();
        if first.starts_with("get") {
            assert_eq!(first, "get /.well-known/host-meta http/1.1");
            let expected = [
                "accept: application/xrd+xml".to_owned(),
                format!("host: {host}"),
                agent.clone(),
            ];
            assert_eq!(lines, expected);
            assert_eq!(sent, "");
        } else {
            assert_eq!(
                first,
                "post /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrapping-data http/1.1"
            );
            let expected = [
                "accept: application/yang-data+json".to_owned(),
                format!("content-length: {}", body.len()),
                "content-type: application/yang-data+json".to_owned(),
                format!("host: {host}"),
                agent.clone(),
            ];
            assert_eq!(lines, expected);
            assert_eq!(sent, body);
        }
    }
}

// LEDGER: 8572-9.6-01, 8572-9.6-03, 8572-9.6-04
#[test]
fn without_a_voucher_nothing_is_done_and_nothing_is_learnt() {
    let info = ConveyedInfo::Onboarding(OnboardingInformation {
        configuration_handling: Some(ConfigurationHandling::Replace),
        configuration: Some(b"hostname taken\n".to_vec()),
        pre_configuration_script: Some(b"#!/bin/sh\ntouch taken\n".to_vec()),
        ..OnboardingInformation::default()
    });
    let data = Treatment::Data(unsigned(&info));
    nothing_comes_of(data, "artifacts.untrusted-onboarding", Some("CMS"));
}

#[test]
fn the_voucher_of_another_device() {
    let bench = bench();
    let data = signed(&bench, "AX7-00043", "--created-on 2026-01-01");
    let rogue = Rogue::start(&bench, Treatment::Data(data));
    run(&bench, &rogue, "run").refused("voucher.serial-mismatch");
    assert_eq!(run(&bench, &rogue, "bootstrap").code, 1);
    only_what_is_allowed(&rogue);
}

#[test]
fn an_expired_voucher() {
    let bench = bench();
    let data = signed(
        &bench,
        SERIAL,
        "--created-on 2020-01-01 --expires-on 2020-02-01",
    );
    let rogue = Rogue::start(&bench, Treatment::Data(data));
    run(&bench, &rogue, "run").refused("voucher.expired");
    let ran = run(&bench, &rogue, "bootstrap");
    assert!(ran.err.contains("reason: VOUCHER"), "{ran:?}");
    assert!(!bench.path("state/applied").exists());
    only_what_is_allowed(&rogue);
}

#[test]
fn a_redirect_to_itself() {
    nothing_comes_of(Treatment::Circle, "device.redirect", Some("REDIRECT"));
}

#[test]
fn a_captive_portal() {
    nothing_comes_of(Treatment::Login, "device.not-restconf", None);
}

#[test]
fn a_slow_drip() {
    let begun = Instant::now();
    nothing_comes_of(Treatment::Drip, "device.unreachable", None);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn an_endless_body() {
    nothing_comes_of(Treatment::Flood, "device.unreachable", None);
}

#[test]
fn what_does_not_speak_tls() {
    let bench = bench();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        use std::io::Write as _;
        for stream in listener.incoming().take(2) {
            let page = b"HTTP/1.1 302 Found\r\nlocation: http://portal/\r\n\r\n";
            stream.expect("a stream").write_all(page).ok();
        }
    });
    let rogue = Rogue {
        port,
        seen: Arc::default(),
        _runtime: Runtime::new().expect("a runtime"),
    };
    run(&bench, &rogue, "run").refused("tls.not-spoken");
    assert_eq!(run(&bench, &rogue, "bootstrap").code, 2);
}

#[test]
fn a_version_of_tls_that_is_too_old() {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let bench = bench();
    let chain = CertificateDer::pem_file_iter(bench.path("data/lab/server/tls.crt"))
        .expect("a file")
        .map(|one| one.expect("a certificate"))
        .collect();
    let key = PrivateKeyDer::from_pem_file(bench.path("data/lab/server/tls.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a key that fits");
    let data = Treatment::Data(signed(&bench, SERIAL, "--created-on 2026-01-01"));
    let rogue = Rogue::speaking(config, data);
    let ran = run(&bench, &rogue, "bootstrap --tls-min 1.3");
    assert!(ran.err.contains("reason: VERSION"), "{ran:?}");
    assert!(ran.err.contains("error[tls.version]: "), "{ran:?}");
    assert_eq!(rogue.seen(), Vec::<String>::new());
    // It is the version that was wrong with it.
    assert_eq!(run(&bench, &rogue, "bootstrap --tls-min 1.2").code, 0);
}
