//! `sztp agent run` asking its owner for a certificate (RFC 9646), of a server that answers as RFC 9646
//! §2.3 says, over real TLS; OpenSSL judges what it gets and what it keeps.
#![cfg(unix)]

#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod workbench;

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use site::{DEVICE, SERIAL};
use sztp_cms::{
    AnyClientCertificate, Certificate, CertificateBuilder, KeyType, SigningKey, TrustAnchors,
    UnixTime, certs_only,
};
use sztp_core::artifacts::unsigned_artifact;
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo, OnboardingInformation};
use sztp_core::csr::{CMP_CSR, CsrRequest, P10_CSR, algorithm_of};
use sztp_core::restconf::{Errors, RestconfError};
use sztp_core::rpc::{Csr, GetBootstrappingDataInput, GetBootstrappingDataOutput};
use sztp_voucher::yang::Encoding;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use workbench::{Ran, Workbench};

/// A bootstrap server that issues certificates.
struct Issuer {
    bench: Workbench,
    port: u16,
    seen: Arc<Mutex<Seen>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Seen {
    questions: Vec<GetBootstrappingDataInput>,
    requests: Vec<Vec<u8>>,
}

/// The owner's authority.
struct Authority {
    key: SigningKey,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let certificate = CertificateBuilder::new("CN=Owner LDevID CA")
            .ca(None)
            .validity(UnixTime::from_secs(0), None)
            .self_signed(&key)
            .expect("a root");
        Self { key, certificate }
    }

    /// OpenSSL has found the request good; here only its key is taken.
    fn issue(&self, spki: &[u8]) -> Certificate {
        CertificateBuilder::new(&format!("CN=edge-42,serialNumber={SERIAL}"))
            .validity(UnixTime::from_secs(0), None)
            .issued_by(spki, &self.certificate, &self.key)
            .expect("a certificate")
    }
}

impl Issuer {
    /// Asks for `wanted` of whoever offers something.
    fn start(wanted: CsrRequest) -> Self {
        let bench = Workbench::new();
        bench.run("pki init data/lab").ok();
        bench
            .run(&format!("pki idevid data/lab --serial-number {SERIAL}"))
            .ok();
        let authority = Authority::new();
        bench.write("authority.crt", authority.certificate.to_pem());
        let chain = Certificate::list_from_pem_or_der(&bench.read("data/lab/server/tls.crt"));
        let key = SigningKey::from_pem_or_der(&bench.read("data/lab/server/tls.key"));
        let verifier = AnyClientCertificate::new(&TrustAnchors::default());
        let config =
            sztp_cms::server_config(&chain.expect("a chain"), &key.expect("a key"), verifier);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a key that fits")));
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let state = Arc::new((wanted, authority, seen.clone()));
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), state.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let state = state.clone();
                        async move {
                            let path = request.uri().path().to_owned();
                            let body = request.into_body().collect().await.expect("a body");
                            let (wanted, authority, seen) = &*state;
                            let (status, body) =
                                answer(&path, &body.to_bytes(), wanted, authority, seen);
                            let response = Response::builder()
                                .status(status)
                                .header(header::CONTENT_TYPE, "application/yang-data+json");
                            let body = Full::new(Bytes::from(body));
                            Ok::<_, Infallible>(response.body(body).expect("legal"))
                        }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(tls), service)
                        .await;
                });
            }
        });
        Self {
            bench,
            port,
            seen,
            _runtime: runtime,
        }
    }

    fn arguments(&self, more: &str) -> String {
        format!(
            "agent run --server https://localhost:{} --server-ca data/lab/server/tls-ca.crt \
             {DEVICE}{}{more}",
            self.port,
            if more.is_empty() { "" } else { " " }
        )
    }

    fn run(&self, more: &str) -> Ran {
        self.bench.run(&self.arguments(more))
    }

    fn spawn(&self, more: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_sztp"))
            .args(self.arguments(more).split(' '))
            .current_dir(self.bench.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sztp starts")
    }

    fn requests(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("no panic").requests.clone()
    }

    fn script(&self, name: &str, text: &str) {
        self.bench.write(name, format!("#!/bin/sh\n{text}\n"));
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(self.bench.path(name), mode).expect("a mode");
    }

    /// What OpenSSL makes of it.
    fn openssl(&self, arguments: &str) -> String {
        let ran = self.bench.run_other("openssl", arguments);
        let ran = ran.expect("openssl is installed").ok();
        ran.out + &ran.err
    }
}

fn answer(
    path: &str,
    body: &[u8],
    wanted: &CsrRequest,
    authority: &Authority,
    seen: &Mutex<Seen>,
) -> (StatusCode, Vec<u8>) {
    if path.ends_with(":report-progress") {
        return (StatusCode::NO_CONTENT, Vec::new());
    }
    if !path.ends_with(":get-bootstrapping-data") {
        return (StatusCode::NOT_FOUND, Vec::new());
    }
    let question = GetBootstrappingDataInput::decode(body, Encoding::Json).expect("legal");
    let mut seen = seen.lock().expect("no panic");
    seen.questions.push(question.clone());
    let configuration = match question.csr {
        None if question.csr_support.is_some() => {
            let errors = Errors::from(RestconfError::csr_request(wanted));
            return (StatusCode::BAD_REQUEST, errors.encode(Encoding::Json));
        }
        None => "hostname edge-42\n".to_owned(),
        Some(Csr::P10(request)) => {
            let certificate = authority.issue(&key_of(&request));
            seen.requests.push(request);
            // As ietf-keystore has it, and the anchor before it: order means nothing.
            let bag = [authority.certificate.clone(), certificate];
            let bag = certs_only(&bag, &[]).expect("a bag");
            format!("{{\"cert-data\": \"{}\"}}\n", STANDARD.encode(bag))
        }
        Some(other) => panic!("{other:?}"),
    };
    let info = ConveyedInfo::Onboarding(OnboardingInformation {
        configuration_handling: Some(ConfigurationHandling::Merge),
        configuration: Some(configuration.into_bytes()),
        ..OnboardingInformation::default()
    });
    let output = GetBootstrappingDataOutput {
        conveyed_information: unsigned_artifact(&info, Encoding::Json),
        ..GetBootstrappingDataOutput::default()
    };
    (StatusCode::OK, output.encode(Encoding::Json))
}

/// The SubjectPublicKeyInfo of a PKCS#10 (RFC 2986 §4.1), as OpenSSL reads it.
fn key_of(request: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("request");
    std::fs::write(&file, request).expect("a file");
    let output = Command::new("openssl")
        .args([
            "req", "-inform", "DER", "-verify", "-noout", "-pubkey", "-in",
        ])
        .arg(&file)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
    let pem = String::from_utf8(output.stdout).expect("text");
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).expect("base64")
}

fn has_openssl() -> bool {
    let there = Workbench::new().run_other("openssl", "version");
    there.is_some()
}

fn request(key_type: Option<KeyType>) -> CsrRequest {
    CsrRequest {
        algorithm_identifier: key_type.and_then(algorithm_of).map(<[u8]>::to_vec),
        format: P10_CSR.to_owned(),
        cert_req_info: None,
    }
}

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
            begun.elapsed() < Duration::from_secs(60),
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
