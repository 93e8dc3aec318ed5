//! Every kind of key in a TLS handshake, both as the server's and as the client's, with both
//! versions of TLS.
#![cfg(feature = "rustls")]

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ProtocolVersion, ServerConnection};
use sztp_cms::{
    AnyClientCertificate, Certificate, CertificateBuilder, KeyType, ServerTrust, ServerVerifier,
    SigningKey, TrustAnchors, WallClock, client_config, server_config,
};

const TYPES: [KeyType; 5] = [
    KeyType::EcP256,
    KeyType::EcP384,
    KeyType::EcP521,
    KeyType::Ed25519,
    KeyType::Rsa2048,
];

struct Identity {
    key: SigningKey,
    certificate: Certificate,
}

/// A root of the same kind as the identity under it, so that the chain is judged with it too.
fn identity(key_type: KeyType) -> (Identity, Certificate) {
    let root_key = SigningKey::generate(key_type).expect("a key");
    let root = CertificateBuilder::new("CN=root")
        .ca(None)
        .self_signed(&root_key)
        .expect("issued");
    let key = SigningKey::generate(key_type).expect("a key");
    let certificate = CertificateBuilder::new("CN=party")
        .dns_names(["bootstrap.example"])
        .issued_by(sztp_cms::Signer::spki_der(&key), &root, &root_key)
        .expect("issued");
    (Identity { key, certificate }, root)
}

/// Carries records to and fro until both sides have finished.
fn handshake(
    client: &mut ClientConnection,
    server: &mut ServerConnection,
) -> Result<(), rustls::Error> {
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("to memory");
        }
        server.read_tls(&mut wire.as_slice()).expect("from memory");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("to memory");
        }
        client.read_tls(&mut wire.as_slice()).expect("from memory");
        client.process_new_packets()?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
    }
    panic!("no end to the handshake");
}

fn connect(
    server: &Identity,
    root: &Certificate,
    client: &Identity,
    tls12: bool,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let trust = ServerTrust::Anchors {
        anchors: TrustAnchors::new([root.clone()]),
        host: "bootstrap.example".to_owned(),
        clock: WallClock::Unknown,
    };
    let chain = [client.certificate.clone()];
    let client_config = client_config(ServerVerifier::new(trust), Some((&chain, &client.key)))?;
    let chain = [server.certificate.clone()];
    let hints = AnyClientCertificate::new(&TrustAnchors::default());
    let mut server_config = server_config(&chain, &server.key, hints)?;
    if tls12 {
        // A server that sends no ticket and speaks TLS 1.2 only.
        let provider = server_config.crypto_provider().clone();
        server_config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])?
            .with_client_cert_verifier(Arc::new(
                AnyClientCertificate::new(&TrustAnchors::default()),
            ))
            .with_cert_resolver(server_config.cert_resolver.clone());
    }
    let name = ServerName::try_from("bootstrap.example").expect("a name");
    let mut client = ClientConnection::new(Arc::new(client_config), name)?;
    let mut server = ServerConnection::new(Arc::new(server_config))?;
    handshake(&mut client, &mut server)?;
    Ok((client, server))
}

#[test]
fn every_kind_of_key_on_either_side() {
    let (other, _) = identity(KeyType::EcP256);
    for key_type in TYPES {
        let (party, root) = identity(key_type);
        for tls12 in [false, true] {
            let (client, server) = connect(&party, &root, &party, tls12)
                .unwrap_or_else(|error| panic!("{key_type:?}, TLS 1.2 {tls12}: {error}"));
            let version = if tls12 {
                ProtocolVersion::TLSv1_2
            } else {
                ProtocolVersion::TLSv1_3
            };
            assert_eq!(client.protocol_version(), Some(version));
            for (connection, of) in [
                (Connection::from(client), &party.certificate),
                (Connection::from(server), &party.certificate),
            ] {
                let shown = connection.peer_certificates().expect("shown");
                assert_eq!(shown[0].as_ref(), of.as_der());
            }
        }
        // The key is not the certificate's.
        let imposter = Identity {
            key: other.key.clone(),
            certificate: party.certificate.clone(),
        };
        assert!(connect(&imposter, &root, &other, false).is_err());
        // Not under the anchor.
        assert!(connect(&other, &root, &party, false).is_err());
    }
}
