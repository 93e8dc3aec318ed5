//! The driver against real servers: mutual TLS, one connection for each server, every address of a
//! name, the API root where the server says it is.

#![cfg(feature = "client")]

mod pair;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::{Method, header};
use pair::{at, bootstrapped, not_trusting, onboarding, redirect, trusting, unsigned, world};
use sztp_cms::{CertificateBuilder, WallClock};
use sztp_core::client::{Activity, Client, Event, Identity, Settings};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{Device, DeviceConfig, FailureKind, Outcome};
use sztp_core::restconf::{HOST_META_MEDIA_TYPE, host_meta};
use sztp_core::rpc::ProgressType::*;
use sztp_core::rpc::ReportingLevel;
use sztp_voucher::yang::Encoding;
use tls::{Answer, HOST, Recorder, Server, at_port, bootstrap_server, client};

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

async fn run(client: &Client, config: DeviceConfig) -> (Outcome, Recorder) {
    let mut platform = Recorder::default();
    let mut device = Device::new(config);
    let outcome = client.run(&mut device, &mut platform, |_| {}).await;
    (outcome, platform)
}

fn reasons(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failures) => {
            let lines: Vec<String> = failures.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
        other => panic!("did not fail: {other:?}"),
    }
}

const EFFECTS: [&str; 3] = ["Pre script before", "merge hostname x", "Post script after"];

#[tokio::test]
async fn a_trusted_server_over_mutual_tls() {
    // LEDGER: 8572-5.3-02, 8572-5.3-04, 8572-7.2-01
    for encoding in [Encoding::Json, Encoding::Xml] {
        let data = unsigned(&info(), ReportingLevel::Verbose);
        let server = Server::of(HOST, bootstrap_server(move |_| data.clone())).await;
        let config = DeviceConfig {
            encoding,
            ..at_port(trusting(HOST), server.address.port())
        };
        let (outcome, platform) = run(&client(|_| {}), config).await;
        assert_eq!(bootstrapped(&outcome), (HOST.to_owned(), false));
        assert_eq!(platform.trace, EFFECTS);
        let told = server.told();
        assert_eq!(told.first(), Some(&BootstrapInitiated));
        assert_eq!(told.last(), Some(&BootstrapComplete));

        let seen = server.seen();
        let media = sztp_core::restconf::media_type(encoding);
        let port = server.address.port();
        for request in seen.iter() {
            assert_eq!(request.client.as_ref(), Some(&world().idevid));
            assert_eq!(request.connection, 0, "one connection serves all");
            assert_eq!(request.header(header::HOST), format!("{HOST}:{port}"));
        }
        assert_eq!(seen[0].path, "/.well-known/host-meta");
        for request in &seen[1..] {
            assert_eq!(request.method, Method::POST);
            let operations = "/restconf/operations/ietf-sztp-bootstrap-server:";
            assert!(request.path.starts_with(operations), "{}", request.path);
            assert_eq!(request.header(header::CONTENT_TYPE), media);
            assert_eq!(request.header(header::ACCEPT), media);
        }
    }
}

#[tokio::test]
async fn the_api_root_is_where_the_server_says() {
    // LEDGER: 8040-3.1-01
    for (named, used) in [
        ("/top/restconf", "/top/restconf"),
        ("/restconf/", "/restconf"),
        // None of these is a path on this server.
        ("https://evil.example/restconf", "/restconf"),
        ("//evil.example/restconf", "/restconf"),
        ("restconf", "/restconf"),
        ("/a b", "/restconf"),
    ] {
        let data = unsigned(&info(), ReportingLevel::Minimal);
        let answer = bootstrap_server(move |_| data.clone());
        let server = Server::of(HOST, move |seen| {
            if seen.path == "/.well-known/host-meta" {
                Answer::with(200, HOST_META_MEDIA_TYPE, host_meta(named))
            } else {
                answer(seen)
            }
        })
        .await;
        let config = at_port(trusting(HOST), server.address.port());
        let (outcome, _) = run(&client(|_| {}), config).await;
        bootstrapped(&outcome);
        let start = format!("{used}/operations/");
        let seen = server.seen();
        let all = seen[1..].iter().all(|one| one.path.starts_with(&start));
        assert!(all, "{named}");
    }
}

#[tokio::test]
async fn an_untrusted_server_with_signed_data() {
    // LEDGER: 8572-5.5-08, 8572-5.5-09, 8572-5.6-05: expired, self-signed, of another name.
    let certificate = CertificateBuilder::new("CN=nobody")
        .validity(at(-7200), Some(at(-3600)))
        .dns_names(["nobody.example"])
        .self_signed(&world().server_key)
        .expect("a certificate");
    let data = world().signed(&info());
    let answer = bootstrap_server(move |_| data.clone());
    let server = Server::tls(&[certificate], &world().server_key, answer).await;
    let config = at_port(not_trusting(HOST), server.address.port());
    let (outcome, platform) = run(&client(|_| {}), config).await;
    assert_eq!(bootstrapped(&outcome), (format!("{HOST}?"), true));
    assert_eq!(platform.trace, EFFECTS);
    assert_eq!(server.told(), []);
    let seen = server.seen();
    assert!(
        seen.iter()
            .all(|one| one.client.as_ref() == Some(&world().idevid))
    );
    let question = seen.iter().find_map(tls::Seen::question).expect("one");
    assert!(question.signed_data_preferred && question.hw_model.is_none());
}

#[tokio::test]
async fn no_data_is_sent_to_a_server_with_a_wrong_certificate() {
    // LEDGER: 8572-5.3-02, 8572-5.3-05, 6125-6-04, 8040-2.4-01
    let w = world();
    let stranger_key = pair::key();
    let stranger = pair::root("CN=Stranger", &stranger_key);
    let expired = CertificateBuilder::new("CN=late")
        .dns_names([HOST])
        .validity(at(-7200), Some(at(-1)))
        .issued_by(
            sztp_cms::Signer::spki_der(&w.server_key),
            &w.server_root,
            &w.server_root_key,
        )
        .expect("a certificate");
    for (chain, key, code, reason) in [
        (
            vec![stranger],
            &stranger_key,
            "tls.server-untrusted",
            "CN=Stranger",
        ),
        (
            w.server_chain("other.example"),
            &w.server_key,
            "tls.server-name",
            "another host",
        ),
        (
            vec![expired],
            &w.server_key,
            "tls.server-validity",
            "has expired",
        ),
    ] {
        let data = w.signed(&info());
        let answer = bootstrap_server(move |_| data.clone());
        let server = Server::tls(&chain, key, answer).await;
        let config = at_port(trusting(HOST), server.address.port());
        let (outcome, platform) = run(&client(|_| {}), config).await;
        assert_eq!(pair::codes(&outcome), [code]);
        let reasons = reasons(&outcome);
        assert!(reasons.contains("TLS"), "{reasons}");
        assert!(reasons.contains(reason), "{reason}: {reasons}");
        assert!(platform.trace.is_empty());
        assert!(server.seen().is_empty(), "{reason}");
    }
}

/// A server that breaks TLS 1.3 off when the handshake is over for the device, and TLS 1.2 before.
#[tokio::test]
async fn a_server_that_does_not_accept_the_device() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let w = world();
    let der = |one: &sztp_cms::Certificate| CertificateDer::from(one.as_der().to_vec());
    let mut roots = rustls::RootCertStore::empty();
    // Not who has issued the IDevID.
    roots.add(der(&w.server_root)).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for versions in [
        &[&rustls::version::TLS13][..],
        &[&rustls::version::TLS12][..],
    ] {
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots.clone()),
            provider.clone(),
        );
        let key = w.server_key.to_pkcs8_der().expect("a key").to_vec();
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(
                w.server_chain(HOST).iter().map(der).collect(),
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
            )
            .expect("a key that fits");
        let server = Server::speaking(config, |_| Answer::status(500)).await;
        let config = at_port(trusting(HOST), server.address.port());
        let (outcome, _) = run(&client(|_| {}), config).await;
        assert_eq!(
            pair::codes(&outcome),
            ["tls.device-refused"],
            "{}",
            reasons(&outcome)
        );
        assert!(server.seen().is_empty());
    }
}

#[tokio::test]
async fn an_untrusted_server_is_promoted_on_a_connection_of_its_own() {
    // LEDGER: 8572-9.6-05
    let w = world();
    let port = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(0));
    let itself = port.clone();
    let answer = bootstrap_server(move |question| {
        if !question.signed_data_preferred {
            return unsigned(&info(), ReportingLevel::Minimal);
        }
        let anchor = Some(w.server_anchor_artifact());
        let ConveyedInfo::Redirect(mut to) = redirect(&[(HOST, anchor)]) else {
            unreachable!("a redirect");
        };
        let port = itself.load(std::sync::atomic::Ordering::SeqCst);
        to.bootstrap_servers[0].port = Some(port);
        w.signed(&ConveyedInfo::Redirect(to))
    });
    let server = Server::of(HOST, answer).await;
    port.store(server.address.port(), std::sync::atomic::Ordering::SeqCst);
    let config = at_port(not_trusting(HOST), server.address.port());
    let (outcome, _) = run(&client(|_| {}), config).await;
    assert_eq!(bootstrapped(&outcome), (HOST.to_owned(), false));
    assert_eq!(server.told(), [BootstrapInitiated, BootstrapComplete]);
    let seen = server.seen();
    let connections: Vec<usize> = seen.iter().map(|one| one.connection).collect();
    // What was taken blindly must not become the trusted connection.
    assert_eq!(connections, [0, 0, 1, 1, 1, 1]);
}

#[tokio::test]
async fn every_address_is_tried_until_one_gives_data() {
    // LEDGER: 8572-5.5-03, 8572-5.5-04, 8572-7.3-22
    let w = world();
    let chain = w.server_chain(HOST);
    let data = unsigned(&info(), ReportingLevel::Minimal);
    let give = || {
        let data = data.clone();
        bootstrap_server(move |_| data.clone())
    };
    let third = Server::tls(&chain, &w.server_key, give()).await;
    let port = third.address.port();
    let local = |last: u8| IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let at = |last: u8| SocketAddr::new(local(last), port);
    // .9 is dead, .2 refuses, .1 gives data, .3 is not needed.
    let second = Server::tls_at(at(2), &chain, &w.server_key, |_| Answer::status(503)).await;
    let fourth = Server::tls_at(at(3), &chain, &w.server_key, give()).await;
    let client = client(|settings| {
        let all = [9, 2, 1, 3].map(local).to_vec();
        settings.addresses.insert(HOST.to_owned(), all);
    });
    let (outcome, _) = run(&client, at_port(trusting(HOST), port)).await;
    bootstrapped(&outcome);
    assert_eq!(second.seen().len(), 2, "discovery and one question");
    assert_eq!(second.told(), []);
    assert_eq!(third.told(), [BootstrapInitiated, BootstrapComplete]);
    assert!(fourth.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_come_back_to() {
    let data = unsigned(&info(), ReportingLevel::Verbose);
    let answer = bootstrap_server(move |_| data.clone());
    let server = Server::of(HOST, move |seen| {
        answer(seen).header(header::CONNECTION, "close")
    })
    .await;
    let config = at_port(trusting(HOST), server.address.port());
    let (outcome, _) = run(&client(|_| {}), config).await;
    bootstrapped(&outcome);
    assert_eq!(server.told().len(), 10);
    let last = server.seen().last().map(|one| one.connection);
    assert_eq!(last, Some(11), "each request on a connection of its own");
}

#[tokio::test]
async fn the_observer_sees_it_all() {
    let data = unsigned(&info(), ReportingLevel::Minimal);
    let server = Server::of(HOST, bootstrap_server(move |_| data.clone())).await;
    let mut device = Device::new(at_port(trusting(HOST), server.address.port()));
    let mut platform = Recorder {
        script_fails: true,
        ..Recorder::default()
    };
    let mut before = Vec::new();
    let mut lines = Vec::new();
    let observe = |event: &Event<'_>| {
        // Other sources come first, and this device has none of them.
        match event.server {
            None => before.push(format!("{:?}", event.activity)),
            Some(server) => {
                assert_eq!(server.address, HOST);
                lines.push(match event.activity {
                    Activity::Ended(_) => "ended".to_owned(),
                    other => format!("{other:?}"),
                });
            }
        }
    };
    let outcome = client(|_| {})
        .run(&mut device, &mut platform, observe)
        .await;
    assert!(matches!(
        &outcome,
        Outcome::Failed(failures) if matches!(failures[0].kind, FailureKind::Onboarding { .. })
    ));
    assert_eq!(
        before[..4],
        [
            "Beginning",
            "LookingAt(RemovableStorage)",
            "LookingAt(Dhcp)",
            "LookingAt(Dns)"
        ]
    );
    assert!(before[4..].iter().all(|line| line.starts_with("Resolving")));
    // How long connections took is another matter.
    lines.retain(|line| !line.starts_with("Connected") && !line.starts_with("Discovered"));
    assert_eq!(
        lines,
        [
            "Asking",
            "Answered { status: 200, progress: None }",
            "Reporting(BootstrapInitiated)",
            "Reported(BootstrapInitiated)",
            "RunningScript(Pre)",
            "RollingBack",
            "Reporting(PreScriptError)",
            "Reported(PreScriptError)",
            "ended",
        ]
    );
    assert_eq!(platform.trace, ["Pre script before", "rollback"]);
}

#[tokio::test]
async fn a_key_that_is_not_the_certificates_is_noticed() {
    // LEDGER: 8572-5.1-11
    let data = unsigned(&info(), ReportingLevel::Minimal);
    let server = Server::of(HOST, bootstrap_server(move |_| data.clone())).await;
    let identity = Identity {
        chain: vec![world().idevid.clone()],
        key: pair::key().into(),
    };
    let localhost = vec![server.address.ip()];
    let settings = Settings {
        addresses: [(HOST.to_owned(), localhost)].into(),
        ..Settings::default()
    };
    let client = Client::new(Some(identity), settings, || WallClock::Trusted(pair::NOW));
    let mut device = Device::new(at_port(trusting(HOST), server.address.port()));
    let outcome = client
        .run(&mut device, &mut Recorder::default(), |_| {})
        .await;
    let Outcome::Failed(failures) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        matches!(failures[0].kind, FailureKind::Unreachable(_)),
        "{failures:?}"
    );
    assert!(server.seen().is_empty());
}
