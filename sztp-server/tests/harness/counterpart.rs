//! An HTTPS server that plays another system: it keeps what it is asked, and a test says what it
//! answers.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file needs its own part"
)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use sztp_server::lab::{LabOptions, LabPki};

/// A request, whole.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
    pub at: Instant,
}

/// What is answered, after a while.
#[derive(Debug, Clone)]
pub struct Told {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub after: Duration,
}

/// A running counterpart.
pub struct Counterpart {
    address: SocketAddr,
    ca_pem: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Told {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
            after: Duration::ZERO,
        }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.to_string(),
            ..Self::status(status)
        }
    }

    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Counterpart {
    /// `answer` is called by one thread for each connection.
    pub fn start(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let lab = LabPki::generate(&LabOptions::new(super::harness::now())).expect("a PKI");
        Self::start_on("127.0.0.1:0".parse().expect("an address"), &lab, answer)
    }

    /// At an address of one's choice, with the PKI of another.
    pub fn start_on(
        address: SocketAddr,
        lab: &LabPki,
        answer: impl Fn(&Asked) -> Told + Send + Sync + 'static,
    ) -> Self {
        let key = lab.tls.key.to_pkcs8_der().expect("a key");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
        let chain = vec![CertificateDer::from(lab.tls.certificate.as_der().to_vec())];
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a TLS server");
        let config = Arc::new(config);
        let listener = TcpListener::bind(address).expect("a port");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let counterpart = Self {
            address: listener.local_addr().expect("an address"),
            ca_pem: lab.tls_ca.certificate.to_pem(),
            asked: asked.clone(),
        };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (config, asked, answer) = (config.clone(), asked.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Ok(connection) = rustls::ServerConnection::new(config) else {
                        return;
                    };
                    let mut stream = rustls::StreamOwned::new(connection, stream);
                    let Some(request) = read(&mut stream) else {
                        return;
                    };
                    asked.lock().expect("no panic").push(request.clone());
                    let told = answer(&request);
                    std::thread::sleep(told.after);
                    let mut head = format!(
                        "HTTP/1.1 {} Told\r\nContent-Length: {}\r\nConnection: close\r\n",
                        told.status,
                        told.body.len()
                    );
                    for (name, value) in &told.headers {
                        head += &[name, ": ", value, "\r\n"].concat();
                    }
                    let _ = stream.write_all(format!("{head}\r\n{}", told.body).as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                });
            }
        });
        counterpart
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its certificate leads to, in a file.
    pub fn anchor(&self, directory: &Path) -> PathBuf {
        let path = directory.join(format!("counterpart-{}.crt", self.address.port()));
        std::fs::write(&path, &self.ca_pem).expect("written");
        path
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }

    /// Waits until so many requests have come.
    pub fn wait_for(&self, count: usize) -> Vec<Asked> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = self.asked();
            if asked.len() >= count {
                return asked;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {count} requests came: {asked:?}",
                asked.len()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut octets = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => octets.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = octets.split_off(end + 4);
    while body.len() < length {
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => body.extend_from_slice(&chunk[..count]),
        }
    }
    Some(Asked {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        at: Instant::now(),
    })
}
