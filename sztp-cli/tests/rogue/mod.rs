//! A bootstrap server that nobody authenticated, and what it got to know.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

use crate::workbench::Workbench;

/// How a rogue server treats a request for data.
#[derive(Clone)]
pub(crate) enum Treatment {
    Data(Vec<u8>),
    /// A captive portal.
    Login,
    /// An octet now and then.
    Drip,
    /// A body without end.
    Flood,
    /// A body of 10 GiB, as is said before it.
    Huge,
    /// Redirects to itself.
    Circle,
}

/// A server that nobody authenticated, and the requests that it got, octet by octet.
pub(crate) struct Rogue {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    written: Arc<AtomicU64>,
    _runtime: Runtime,
}

impl Rogue {
    pub(crate) fn start(bench: &Workbench, treatment: Treatment) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), bench, treatment)
    }

    pub(crate) fn start_at(ip: IpAddr, bench: &Workbench, treatment: Treatment) -> Self {
        let chain = Certificate::list_from_pem_or_der(&bench.read("data/lab/server/tls.crt"));
        let key = SigningKey::from_pem_or_der(&bench.read("data/lab/server/tls.key"));
        let verifier = AnyClientCertificate::new(&TrustAnchors::default());
        let config =
            sztp_cms::server_config(&chain.expect("a chain"), &key.expect("a key"), verifier);
        Self::speaking(ip, config.expect("a key that fits"), treatment)
    }

    pub(crate) fn speaking(ip: IpAddr, config: rustls::ServerConfig, treatment: Treatment) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().expect("a runtime");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = runtime
            .block_on(TcpListener::bind((ip, 0)))
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let written = Arc::new(AtomicU64::new(0));
        let (all, octets) = (seen.clone(), written.clone());
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, all, treatment) = (acceptor.clone(), all.clone(), treatment.clone());
                let octets = octets.clone();
                tokio::spawn(async move {
                    if let Ok(mut tls) = acceptor.accept(tcp).await {
                        while let Some(request) = request(&mut tls).await {
                            let asked = request.starts_with("POST ");
                            all.lock().expect("no panic").push(request);
                            if answer(&mut tls, asked, &treatment, address, &octets)
                                .await
                                .is_err()
                            {
                                break;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            seen,
            written,
            _runtime: runtime,
        }
    }

    /// What does not speak TLS is a rogue too, but sees nothing.
    pub(crate) fn elsewhere(port: u16) -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            seen: Arc::default(),
            written: Arc::default(),
            _runtime: Runtime::new().expect("a runtime"),
        }
    }

    /// Octets of huge bodies that somebody took.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
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
    address: SocketAddr,
    written: &AtomicU64,
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
                    address: address.ip().to_string(),
                    port: Some(address.port()),
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
        Treatment::Huge => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {json}\r\ncontent-length: {}\r\n\r\n",
                10_u64 << 30
            );
            stream.write_all(head.as_bytes()).await?;
            let part = vec![b' '; 0x10000];
            for _ in 0..(10_u64 << 30) / 0x10000 {
                stream.write_all(&part).await?;
                written.fetch_add(0x10000, Ordering::Relaxed);
            }
        }
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

/// What would take a device over that believed it.
pub(crate) fn take_over() -> Treatment {
    let info = ConveyedInfo::Onboarding(OnboardingInformation {
        configuration_handling: Some(ConfigurationHandling::Replace),
        configuration: Some(b"hostname taken\n".to_vec()),
        pre_configuration_script: Some(b"#!/bin/sh\ntouch taken\n".to_vec()),
        ..OnboardingInformation::default()
    });
    Treatment::Data(unsigned(&info))
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

/// The requests, octet by octet: discovery, and the question for signed data.
pub(crate) fn only_what_is_allowed(rogue: &Rogue) {
    let input = r#"{"signed-data-preferred":[null]}"#;
    only_the_question(rogue, |sent| assert_eq!(sent, wrapped(input)));
}

/// The same with a nonce in the question, which is never the same in two runs.
pub(crate) fn only_what_is_allowed_and_a_nonce(rogue: &Rogue) -> Vec<String> {
    let mut nonces = Vec::new();
    only_the_question(rogue, |sent| {
        let (_, rest) = sent.split_once("\"nonce\":\"").expect("a nonce");
        let nonce = rest.split('"').next().expect("its end").to_owned();
        // 16 octets in Base64.
        assert_eq!(nonce.len(), 24);
        let orders = [
            format!("{{\"signed-data-preferred\":[null],\"nonce\":\"{nonce}\"}}"),
            format!("{{\"nonce\":\"{nonce}\",\"signed-data-preferred\":[null]}}"),
        ];
        assert!(
            orders
                .map(|order| wrapped(&order))
                .contains(&sent.to_owned()),
            "{sent}"
        );
        nonces.push(nonce);
    });
    nonces
}

fn wrapped(input: &str) -> String {
    format!("{{\"ietf-sztp-bootstrap-server:input\":{input}}}")
}

fn only_the_question(rogue: &Rogue, mut judge: impl FnMut(&str)) {
    let seen = rogue.seen();
    assert!(seen.iter().any(|request| request.starts_with("POST ")));
    let host = rogue.address.to_string();
    // Of this program, not of the device.
    let agent = format!("user-agent: sztp/{}", env!("CARGO_PKG_VERSION"));
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
                format!("content-length: {}", sent.len()),
                "content-type: application/yang-data+json".to_owned(),
                format!("host: {host}"),
                agent.clone(),
            ];
            assert_eq!(lines, expected);
            judge(sent);
        }
    }
}
