//! `sztp agent run` asking its owner for a certificate (RFC 9646), of a server that answers as RFC 9646
//! §2.3 says, over real TLS; OpenSSL judges what it gets and what it keeps.
#![cfg(unix)]

#[allow(dead_code)]
mod issuer;
#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod workbench;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use issuer::{Authority, Issuer, has_openssl, key_of, request};
use serde_json::Value;
use site::{DEVICE, SERIAL, Site};
use sztp_cms::{Certificate, KeyType, Limits, SigningKey, parse_certs_only};
use sztp_core::csr::{CMP_CSR, CsrRequest};
use sztp_core::rpc::ProgressType;
use sztp_server::model::Answer;

const OFFER: &str = "--csr-support ec-p256,ec-p384,rsa";

// LEDGER: 9646-2.3-01, 9646-3.2-08, 9646-3.2-11, 9646-4.1.1-01
#[test]
fn a_new_key_of_each_kind_gets_a_certificate() {
    if !has_openssl() {
        return;
    }
    for (key_type, says) in [
        (KeyType::EcP256, "NIST CURVE: P-256"),
        (KeyType::EcP384, "NIST CURVE: P-384"),
        (KeyType::Rsa3072, "Public-Key: (3072 bit)"),
    ] {
        let issuer = Issuer::start(request(Some(key_type)));
        issuer.script("hook", "env > environment; cat > input.json");
        issuer.run(&format!("{OFFER} --config-hook ./hook")).ok();
        let [request] = &issuer.requests()[..] else {
            panic!("one request");
        };
        issuer.bench.write("request.der", request);
        let text = issuer.openssl("req -inform DER -in request.der -verify -noout -text");
        assert!(text.contains("verify OK") && text.contains(says), "{text}");
        let subject = issuer.openssl("req -inform DER -in request.der -noout -subject");
        let idevid = format!("x509 -in data/lab/devices/{SERIAL}/idevid.crt -noout -subject");
        assert_eq!(subject, issuer.openssl(&idevid), "as in the IDevID");

        let key = issuer.bench.path("state/ldevid.key");
        let mode = key.metadata().expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            issuer.openssl("pkey -in state/ldevid.key -pubout"),
            issuer.openssl("x509 -in state/ldevid.crt -noout -pubkey")
        );
        issuer.openssl("verify -CAfile authority.crt state/ldevid.crt");
        let environment = String::from_utf8(issuer.bench.read("state/environment"));
        let environment = environment.expect("text");
        let input: Value = serde_json::from_slice(&issuer.bench.read("state/input.json")).unwrap();
        let real = issuer.bench.path("").canonicalize().expect("a path");
        for (variable, member, file) in [
            ("SZTP_LDEVID_CERT", "ldevid-cert", "state/ldevid.crt"),
            ("SZTP_LDEVID_KEY", "ldevid-key", "state/ldevid.key"),
        ] {
            let path = real.join(file).display().to_string();
            let line = format!("{variable}={path}");
            assert!(environment.lines().any(|one| one == line), "{environment}");
            assert_eq!(input[member], path);
        }
    }
}

/// The server of this workspace, its authority, its profiles, and the agent.
#[test]
fn the_server_certifies_the_device_within_a_template() {
    if !has_openssl() {
        return;
    }
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (folder.path().join("ca.crt"), folder.path().join("ca.key"));
    std::fs::write(&certificate, authority.certificate.to_pem()).expect("written");
    let pem = authority.key.to_pkcs8_pem().expect("PEM");
    std::fs::write(&key, pem.as_bytes()).expect("written");
    let site = Site::known_as("localhost", Answer::Nothing, |config| {
        config.ldevid.ca.certificate = Some(certificate);
        config.ldevid.ca.key = Some(key);
    });
    site.bench.write("ca.crt", authority.certificate.to_pem());
    let json = "application/json";
    let template = "hostname edge-42\n{{ ldevid.chain }}";
    site.put(
        "configurations/edge?kind=configuration",
        "text/plain",
        template,
    );
    let profile = "{\"configuration\": \"edge\", \"configuration_handling\": \"merge\", \
                   \"ldevid\": {\"enabled\": true}}";
    site.put("profiles/edge", json, profile);
    let device = "{\"profile\": \"edge\"}";
    site.put(&format!("devices/{SERIAL}"), json, device);
    site.run("--csr-support ec-p384,ec-p256").ok();
    assert_eq!(site.device_state(), "Provisioned");
    let openssl = |arguments: &str| {
        let ran = site.bench.run_other("openssl", arguments);
        ran.expect("openssl is installed").ok().out
    };
    openssl("verify -CAfile ca.crt state/ldevid.crt");
    assert_eq!(
        openssl("pkey -in state/ldevid.key -pubout"),
        openssl("x509 -in state/ldevid.crt -noout -pubkey")
    );
    let configuration = site.text("state/applied/configuration");
    assert!(configuration.starts_with("hostname edge-42\n"));
}

// LEDGER: 9646-3.2-04
#[test]
fn the_key_of_the_idevid_gets_a_certificate() {
    if !has_openssl() {
        return;
    }
    let issuer = Issuer::start(request(None));
    issuer.script("hook", "env > environment");
    issuer
        .run("--csr-support existing-key --config-hook ./hook")
        .ok();
    let questions = issuer.seen.lock().expect("no panic").questions.clone();
    let support = questions[0].csr_support.clone().expect("an offer");
    assert!(support.algorithm_identifiers.is_empty());
    assert_eq!(
        issuer.openssl(&format!(
            "pkey -in data/lab/devices/{SERIAL}/idevid.key -pubout"
        )),
        issuer.openssl("x509 -in state/ldevid.crt -noout -pubkey")
    );
    assert!(!issuer.bench.path("state/ldevid.key").exists());
    let environment = String::from_utf8(issuer.bench.read("state/environment")).expect("text");
    assert!(environment.contains("SZTP_LDEVID_CERT="));
    assert!(!environment.contains("SZTP_LDEVID_KEY="));
}

// LEDGER: 9646-3.2-07
#[test]
fn the_information_that_the_server_gives_is_signed_as_it_is() {
    if !has_openssl() {
        return;
    }
    // Somebody else's request, whose key a new one replaces.
    let other = SigningKey::generate(KeyType::EcP256).expect("a key");
    let builder = sztp_cms::CertificationRequestBuilder::new("CN=as-the-owner-says");
    let signed = builder.expect("a name").sign(&other).expect("a request");
    let mut wanted = request(Some(KeyType::EcP256));
    // SEQUENCE { CertificationRequestInfo, .. }
    let outer = if signed[1] == 0x81 { 3 } else { 2 };
    assert!(signed[outer + 1] < 0x80, "a short one");
    let length = usize::from(signed[outer + 1]) + 2;
    wanted.cert_req_info = Some(signed[outer..outer + length].to_vec());
    let issuer = Issuer::start(wanted);
    issuer.run(OFFER).ok();
    issuer.bench.write("request.der", &issuer.requests()[0]);
    let text = issuer.openssl("req -inform DER -in request.der -verify -noout -subject");
    assert!(text.contains("as-the-owner-says"), "{text}");
}

// LEDGER: 9646-4.1.4-01
#[test]
fn a_server_that_is_not_trusted_is_not_told() {
    let issuer = Issuer::start(request(Some(KeyType::EcP256)));
    let ran = issuer.bench.run(&format!(
        "agent run --server https://localhost:{} {DEVICE} {OFFER}",
        issuer.port
    ));
    // What it gave then is signed by nobody.
    ran.refused("artifacts.untrusted-onboarding");
    let questions = issuer.seen.lock().expect("no panic").questions.clone();
    assert!(questions.iter().all(|one| one.csr_support.is_none()));
    assert!(!issuer.bench.path("state/ldevid.key").exists());
}

// LEDGER: 9646-3.2-05, 9646-3.2-06, 9646-3.2-13
#[test]
fn what_was_not_offered_is_not_made() {
    for (wanted, code) in [
        (request(Some(KeyType::EcP521)), "csr.algorithm-not-offered"),
        (
            CsrRequest {
                format: CMP_CSR.to_owned(),
                ..request(None)
            },
            "csr.format-not-offered",
        ),
    ] {
        let issuer = Issuer::start(wanted);
        issuer.run(OFFER).refused(code);
        assert!(!issuer.bench.path("state/ldevid.key").exists());
    }
}

#[test]
fn nothing_of_a_failed_attempt_is_left() {
    if !has_openssl() {
        return;
    }
    let issuer = Issuer::start(request(Some(KeyType::EcP256)));
    issuer.script("hook", "[ $SZTP_EVENT = roll-back ] || exit 255");
    issuer
        .run(&format!("{OFFER} --config-hook ./hook"))
        .refused("device.onboarding");
    assert_eq!(issuer.requests().len(), 1);
    assert!(!issuer.bench.path("state/ldevid.key").exists());
    assert!(!issuer.bench.path("state/ldevid.crt").exists());
}

// LEDGER: 8572-5.6-35, 8572-7.3-18
#[test]
fn the_device_says_what_it_can_be_known_by() {
    let issuer = Issuer::start(request(None));
    let data = "AAAAC3NzaC1lZDI1NTE5AAAAIFUkB4rBPPqVBWNHiKXDVVBzmzhqnRKk4LYBsZ9xE5tL";
    issuer
        .bench
        .write("host.pub", format!("ssh-ed25519 {data} root@edge\n"));
    issuer
        .run("--ssh-host-key host.pub --trust-anchor-cert data/lab/vendor/root.crt")
        .ok();
    let reports = issuer.seen.lock().expect("no panic").reports.clone();
    let (last, others) = reports.split_last().expect("reports");
    assert_eq!(last.progress_type, ProgressType::BootstrapComplete);
    assert_eq!(last.ssh_host_keys[0].algorithm, "ssh-ed25519");
    assert_eq!(last.ssh_host_keys[0].key_data.len(), 51);
    let anchors = parse_certs_only(&last.trust_anchor_certs[0], &Limits::default());
    let root = issuer.bench.read("data/lab/vendor/root.crt");
    let root = Certificate::list_from_pem_or_der(&root).expect("readable");
    assert_eq!(anchors.expect("a bag").certificates(), root);
    assert!(others.iter().all(|one| one.ssh_host_keys.is_empty()));

    issuer.bench.write("host.pub", "no key");
    issuer
        .run("--ssh-host-key host.pub")
        .refused("agent.ssh-host-key");
}

// LEDGER: 9646-4.1.6-01
#[test]
fn a_device_that_begins_anew_has_nothing_of_its_earlier_life() {
    if !has_openssl() {
        return;
    }
    let issuer = Issuer::start(request(Some(KeyType::EcP256)));
    issuer.run(OFFER).ok();
    assert!(issuer.bench.path("state/ldevid.key").exists());
    assert!(issuer.bench.path("state/ldevid.crt").exists());
    std::fs::remove_file(issuer.bench.path("state/agent.json")).expect("a state");
    issuer.run("").ok();
    assert!(!issuer.bench.path("state/ldevid.key").exists());
    assert!(!issuer.bench.path("state/ldevid.crt").exists());
}

/// What a hook that never ends has written; until then it has not run.
fn wait_for(issuer: &Issuer, name: &str, child: &mut Child) -> String {
    let begun = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(issuer.bench.path(name))
            && text.ends_with('\n')
        {
            return text;
        }
        if let Some(status) = child.try_wait().expect("a child") {
            panic!("the agent has ended: {status}");
        }
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{name} does not come"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What was killed is there until somebody takes note of its end.
fn goes(group: &str) -> bool {
    let begun = Instant::now();
    while lives(group) {
        if begun.elapsed() > Duration::from_secs(30) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn lives(group: &str) -> bool {
    let output = Command::new("kill")
        .args(["-0", "--", &format!("-{}", group.trim())])
        .stderr(Stdio::null())
        .status();
    output.expect("kill").success()
}

// LEDGER: 9646-2.3-05
#[test]
fn a_process_that_is_killed_leaves_its_key_to_the_next_and_its_hook_to_nobody() {
    if !has_openssl() {
        return;
    }
    let issuer = Issuer::start(request(Some(KeyType::EcP256)));
    issuer.script(
        "hook",
        "[ $SZTP_EVENT = roll-back ] && { echo rolled back >> log; exit 0; }\n\
         echo $$ > group\nsleep 600 &\nwait",
    );
    let options = format!("{OFFER} --config-hook ./hook");
    let mut child = issuer.spawn(&options);
    let group = wait_for(&issuer, "state/group", &mut child);
    child.kill().expect("SIGKILL");
    child.wait().expect("it has ended");
    assert!(lives(&group), "the hook does not die with the agent");

    issuer.script(
        "hook",
        "[ $SZTP_EVENT = roll-back ] && { echo rolled back >> log; exit 0; }\n\
         echo committed >> log",
    );
    issuer.run(&options).ok();
    assert!(goes(&group), "the hook was stopped");
    let log = String::from_utf8(issuer.bench.read("state/log")).expect("text");
    assert_eq!(log, "rolled back\ncommitted\n");
    let requests = issuer.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(key_of(&requests[0]), key_of(&requests[1]), "the same key");
    assert_eq!(
        issuer.openssl("pkey -in state/ldevid.key -pubout"),
        issuer.openssl("x509 -in state/ldevid.crt -noout -pubkey")
    );
}

#[test]
fn who_is_told_to_stop_stops_its_hook_first() {
    let issuer = Issuer::start(request(None));
    issuer.script(
        "hook",
        "[ $SZTP_EVENT = roll-back ] && { echo rolled back >> log; exit 0; }\n\
         echo $$ > group\nsleep 600 &\nwait",
    );
    let mut child = issuer.spawn("--config-hook ./hook --daemon");
    let group = wait_for(&issuer, "state/group", &mut child);
    let id = child.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status();
    assert!(told.expect("kill").success());
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status}");
    assert!(goes(&group));
    let log = String::from_utf8(issuer.bench.read("state/log")).expect("text");
    assert_eq!(log, "rolled back\n");
    assert!(!issuer.bench.path("state/applied").exists());
}
