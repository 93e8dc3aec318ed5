//! A client that sends the octets it is given, on a TLS connection of its own kind.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file needs its own part"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, ServerTrust, ServerVerifier, Signer as _, SigningKey,
    TlsVersions, client_config_speaking,
};

use super::harness::Rig;

/// A device of the lab vendor with any subject.
pub struct Client {
    address: std::net::SocketAddr,
    chain: Vec<Certificate>,
    key: Option<SigningKey>,
    versions: TlsVersions,
    connection: Option<StreamOwned<ClientConnection, TcpStream>>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(rig: &Rig, subject: &str) -> Self {
        let key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let issuer = &rig.lab.idevid_ca;
        let certificate = CertificateBuilder::new(subject)
            .issued_by(key.spki_der(), &issuer.certificate, &issuer.key)
            .expect("a certificate");
        Self::with(rig, vec![certificate, issuer.certificate.clone()], key)
    }

    /// With certificates of anybody, its own first.
    pub fn with(rig: &Rig, chain: Vec<Certificate>, key: SigningKey) -> Self {
        Self {
            chain,
            key: Some(key),
            ..Self::anonymous(rig)
        }
    }

    /// Without certificate.
    pub fn anonymous(rig: &Rig) -> Self {
        Self {
            address: rig.server().device_addr(),
            chain: Vec::new(),
            key: None,
            versions: TlsVersions::All,
            connection: None,
        }
    }

    /// The group in which the keys of the connection were exchanged.
    pub fn key_exchange(&self) -> Option<rustls::NamedGroup> {
        let connection = self.connection.as_ref()?;
        let group = connection.conn.negotiated_key_exchange_group()?;
        Some(group.name())
    }

    pub fn speaking(mut self, versions: TlsVersions) -> Self {
        self.versions = versions;
        self
    }

    /// Sends a head, in which `{length}` is the body's, and the body, and reads one answer.
    pub fn send(&mut self, head: &str, body: &str) -> Reply {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(),
        };
        let head = head.replace("{length}", &body.len().to_string());
        connection
            .write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())
            .expect("sent");
        let mut octets = Vec::new();
        let mut chunk = [0; 4096];
        let reply = loop {
            let count = connection.read(&mut chunk).expect("read");
            assert_ne!(count, 0, "closed: {}", String::from_utf8_lossy(&octets));
            octets.extend_from_slice(&chunk[..count]);
            if let Some(reply) = Reply::parse(&octets) {
                break reply;
            }
        };
        self.connection = Some(connection);
        reply
    }

    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let verifier = ServerVerifier::new(ServerTrust::Provisional);
        let identity = self.key.as_ref().map(|key| (self.chain.as_slice(), key));
        let config = client_config_speaking(self.versions, verifier, identity).expect("a client");
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a connection");
        let stream = TcpStream::connect(self.address).expect("connected");
        StreamOwned::new(client, stream)
    }
}

impl Reply {
    fn parse(octets: &[u8]) -> Option<Self> {
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(octets[..end].to_vec()).expect("text");
        let body = &octets[end + 4..];
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let mut reply = Self {
            status,
            head,
            body: Vec::new(),
        };
        let length: usize = reply.header("content-length").parse().unwrap_or(0);
        reply.body = body.get(..length)?.to_vec();
        Some(reply)
    }

    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
            .unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
