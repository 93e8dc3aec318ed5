//! Servers that are slow, huge, or something else: the driver goes on to the next one in bounded
//! time and memory.

#![cfg(feature = "client")]

mod pair;
mod tls;

use std::time::{Duration, Instant};

use http::header;
use pair::{codes, not_trusting, onboarding, unsigned, world};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{Device, Origin, Outcome};
use sztp_core::rpc::ReportingLevel;
use tls::{Answer, HOST, OTHER, Recorder, Seen, Server, at_port, client, endpoint};
use tokio::net::TcpListener;

/// Meets the server first and a good one after it; gives the failure of the first.
async fn meet(port: u16) -> String {
    let info = ConveyedInfo::Onboarding(onboarding());
    let data = world().signed(&info);
    let good = Server::of(OTHER, tls::bootstrap_server(move |_| data.clone())).await;
    let mut config = at_port(not_trusting(HOST), port);
    let trust = config.servers[0].trust.clone();
    config
        .servers
        .push(endpoint(OTHER, good.address.port(), trust));
    let mut device = Device::new(config);
    let mut platform = Recorder::default();
    let client = client(|settings| settings.max_answer_octets = 100_000);
    let begun = Instant::now();
    let outcome = client.run(&mut device, &mut platform, |_| {}).await;
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        matches!(&outcome, Outcome::Bootstrapped { origin: Origin::Server(server), .. } if server.address == OTHER),
        "{outcome:?}"
    );
    assert_eq!(device.failures().len(), 1);
    device.failures()[0].to_string()
}

async fn serving(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> String {
    let server = Server::of(HOST, move |seen| {
        if seen.method == http::Method::GET {
            Answer::status(404)
        } else {
            answer(seen)
        }
    })
    .await;
    meet(server.address.port()).await
}

#[tokio::test]
async fn the_head_of_the_answer_does_not_come() {
    let failure = serving(|_| Answer {
        delay: Duration::from_mins(1),
        ..Answer::status(200)
    })
    .await;
    assert!(failure.contains("the answer took longer"), "{failure}");
}

#[tokio::test]
async fn the_body_of_the_answer_does_not_end() {
    let failure = serving(|_| Answer {
        stalls_after: Some(10),
        ..Answer::with(200, "application/yang-data+json", vec![b'{'; 1000])
    })
    .await;
    assert!(
        failure.contains("the body of the answer took longer"),
        "{failure}"
    );
}

#[tokio::test]
async fn the_body_of_the_answer_is_too_large() {
    let failure =
        serving(|_| Answer::with(200, "application/yang-data+json", vec![b' '; 200_000])).await;
    assert!(failure.contains("larger than 100000 octets"), "{failure}");
}

#[tokio::test]
async fn discovery_without_end() {
    let server = Server::of(HOST, |_| Answer {
        stalls_after: Some(10),
        ..Answer::with(200, "application/xrd+xml", vec![b' '; 1000])
    })
    .await;
    let failure = meet(server.address.port()).await;
    assert!(failure.contains("took longer"), "{failure}");
}

#[tokio::test]
async fn a_login_page() {
    // LEDGER: 8572-5.6-14
    let failure =
        serving(|_| Answer::with(200, "text/html", "<html><form action=login></form></html>"))
            .await;
    assert!(failure.contains("no RESTCONF answer"), "{failure}");
}

#[tokio::test]
async fn an_http_redirect_is_not_followed() {
    // LEDGER: 8040-ops-01
    let data = unsigned(
        &ConveyedInfo::Onboarding(onboarding()),
        ReportingLevel::Minimal,
    );
    let lure = Server::of(OTHER, tls::bootstrap_server(move |_| data.clone())).await;
    let location = format!("https://{}/", lure.address);
    let failure = serving(move |_| Answer::status(307).header(header::LOCATION, &location)).await;
    assert!(failure.contains("status 307"), "{failure}");
    assert!(lure.seen().is_empty());
}

#[tokio::test]
async fn a_handshake_that_never_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let hold = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((tcp, _)) = listener.accept().await {
            held.push(tcp);
        }
    });
    let failure = meet(port).await;
    hold.abort();
    assert!(
        failure.contains("the TLS handshake took longer"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls() {
    // LEDGER: 8040-2.1-01
    let server = Server::plain(|_| Answer::status(200)).await;
    let failure = meet(server.address.port()).await;
    assert!(failure.contains("TLS"), "{failure}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_name_without_address() {
    let mut device = Device::new(not_trusting("nowhere.invalid"));
    let mut platform = Recorder::default();
    let client = client(|settings| {
        settings
            .addresses
            .insert("nowhere.invalid".to_owned(), Vec::new());
    });
    let outcome = client.run(&mut device, &mut platform, |_| {}).await;
    assert_eq!(codes(&outcome), ["device.unreachable"]);
}
