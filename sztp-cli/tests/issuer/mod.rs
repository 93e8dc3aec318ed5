//! A bootstrap server that issues certificates as RFC 9646 §2.3 says, over real TLS.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sztp_cms::{
    AnyClientCertificate, Certificate, CertificateBuilder, KeyType, SigningKey, TrustAnchors,
    UnixTime, certs_only,
};
use sztp_core::artifacts::unsigned_artifact;
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo, OnboardingInformation};
use sztp_core::csr::{CsrRequest, P10_CSR, algorithm_of};
use sztp_core::restconf::{Errors, RestconfError};
use sztp_core::rpc::{Csr, GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport};
use sztp_voucher::yang::Encoding;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::site::{DEVICE, SERIAL};
use crate::workbench::{Ran, Workbench};

/// A bootstrap server that issues certificates.
pub(crate) struct Issuer {
    pub(crate) bench: Workbench,
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Seen>>,
    _runtime: Runtime,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) questions: Vec<GetBootstrappingDataInput>,
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) reports: Vec<ProgressReport>,
}

/// The owner's authority.
pub(crate) struct Authority {
    pub(crate) key: SigningKey,
    pub(crate) certificate: Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
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
        CertificateBuilder::new(format!("CN=edge-42,serialNumber={SERIAL}"))
            .validity(UnixTime::from_secs(0), None)
            .issued_by(spki, &self.certificate, &self.key)
            .expect("a certificate")
    }
}

impl Issuer {
    /// Asks for `wanted` of whoever offers something.
    pub(crate) fn start(wanted: CsrRequest) -> Self {
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

    pub(crate) fn arguments(&self, more: &str) -> String {
        format!(
            "agent run --server https://localhost:{} --server-ca data/lab/server/tls-ca.crt \
             {DEVICE}{}{more}",
            self.port,
            if more.is_empty() { "" } else { " " }
        )
    }

    pub(crate) fn run(&self, more: &str) -> Ran {
        self.bench.run(&self.arguments(more))
    }

    pub(crate) fn spawn(&self, more: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_sztp"))
            .args(self.arguments(more).split(' '))
            .current_dir(self.bench.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sztp starts")
    }

    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("no panic").requests.clone()
    }

    pub(crate) fn script(&self, name: &str, text: &str) {
        self.bench.write(name, format!("#!/bin/sh\n{text}\n"));
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(self.bench.path(name), mode).expect("a mode");
    }

    /// What OpenSSL makes of it.
    pub(crate) fn openssl(&self, arguments: &str) -> String {
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
        let report = ProgressReport::decode(body, Encoding::Json).expect("legal");
        seen.lock().expect("no panic").reports.push(report);
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
pub(crate) fn key_of(request: &[u8]) -> Vec<u8> {
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

pub(crate) fn has_openssl() -> bool {
    let there = Workbench::new().run_other("openssl", "version");
    there.is_some()
}

pub(crate) fn request(key_type: Option<KeyType>) -> CsrRequest {
    CsrRequest {
        algorithm_identifier: key_type.and_then(algorithm_of).map(<[u8]>::to_vec),
        format: P10_CSR.to_owned(),
        cert_req_info: None,
    }
}
