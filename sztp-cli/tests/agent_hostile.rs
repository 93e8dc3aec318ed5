//! `sztp agent` among hostile servers, with real sockets: nothing is done, and nothing is told that RFC
//! 8572 does not allow.
#![cfg(unix)]

#[allow(dead_code)]
mod rogue;
#[allow(dead_code)]
mod workbench;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rogue::{Rogue, Treatment, only_what_is_allowed, take_over};
use serde_json::Value;
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_voucher::yang::Encoding;
use workbench::{Ran, Workbench};

const SERIAL: &str = "AX7-00042";

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
        "agent {command} --server https://{} --idevid-cert \
         data/lab/devices/{SERIAL}/idevid.crt --idevid-key data/lab/devices/{SERIAL}/idevid.key \
         --voucher-anchor data/lab/vendor/root.crt --state-dir state --out out --server-timeout 1 \
         --hw-model AX7 --os-name AxOS --os-version 9.4.1 --allow-scripts",
        rogue.address
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

// LEDGER: 8572-9.6-01, 8572-9.6-03, 8572-9.6-04
#[test]
fn without_a_voucher_nothing_is_done_and_nothing_is_learnt() {
    nothing_comes_of(take_over(), "artifacts.untrusted-onboarding", Some("CMS"));
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
fn a_body_of_10_gib() {
    let bench = bench();
    let rogue = Rogue::start(&bench, Treatment::Huge);
    let begun = Instant::now();
    run(&bench, &rogue, "run").refused("device.unreachable");
    assert!(begun.elapsed() < Duration::from_secs(20));
    // What is in flight counts too.
    let taken = rogue.written();
    assert!(taken < 32 << 20, "{taken} octets");
    only_what_is_allowed(&rogue);
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
    let rogue = Rogue::elsewhere(port);
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
    let rogue = Rogue::speaking(Ipv4Addr::LOCALHOST.into(), config, data);
    let ran = run(&bench, &rogue, "bootstrap --tls-min 1.3");
    assert!(ran.err.contains("reason: VERSION"), "{ran:?}");
    assert!(ran.err.contains("error[tls.version]: "), "{ran:?}");
    assert_eq!(rogue.seen(), Vec::<String>::new());
    // It is the version that was wrong with it.
    assert_eq!(run(&bench, &rogue, "bootstrap --tls-min 1.2").code, 0);
}
