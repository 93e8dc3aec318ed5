//! LDevIDs that others issue: over EST (RFC 7030) from a CA made of OpenSSL's commands, and by a
//! program; and answers that are wrong.

mod enrolment;
mod harness;

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use enrolment::{
    SERIAL, asked_with, authority, boot, configuration, csr, enrol, judged_by_openssl, metric,
    new_key, openssl, script, trusted,
};
use harness::{Rig, now};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sztp_cms::{
    AnyClientCertificate, CertificateBuilder, KeyType, Signer as _, TrustAnchors,
    server_config_with_identities,
};
use sztp_core::device::Outcome;
use sztp_server::Config;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const SUBJECT: &str = "serialNumber=AX7-00042";

/// A server of RFC 7030 whose CA is OpenSSL.
#[derive(Clone)]
struct Est {
    directory: PathBuf,
    /// What it does with the next questions; then it issues.
    script: Arc<Mutex<VecDeque<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Debug, Clone)]
enum Act {
    /// 202 with this Retry-After.
    Later(&'static str),
    Status(u16, &'static str),
    /// 200 with this type and body.
    Answer(&'static str, Vec<u8>),
    /// The certificate of another key.
    OtherKey,
    Never,
}

/// A question.
#[derive(Debug, Clone)]
struct Seen {
    path: String,
    headers: HeaderMap,
    client: Option<String>,
}

/// A server that has its certificates from `Est`; the URL's path is `path`.
fn start(path: &str, more: impl FnOnce(&mut Config, &Path)) -> (Rig, Est) {
    let directory = tempfile::tempdir().expect("a directory").keep();
    authority(&directory);
    let est = Est {
        directory: directory.clone(),
        script: Arc::default(),
        seen: Arc::default(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = runtime.block_on(est.clone().listen());
    // It goes on until the process ends.
    std::mem::forget(runtime);
    let rig = Rig::start_with(|config| {
        let parent = config.data_dir.parent().expect("a parent").to_owned();
        for file in ["ca-root.crt", "ra.crt", "ra.key"] {
            fs::copy(directory.join(file), parent.join(file)).expect("copied");
        }
        let section = &mut config.ldevid;
        section.enabled = true;
        section.timeout_secs = 15;
        section.est.url = Some(format!("https://localhost:{}{path}", address.port()));
        section.est.anchors = vec![directory.join("est-tls.crt")];
        more(config, &parent);
    });
    enrol(&rig, "{{ ldevid.chain }}", &json!({}));
    (rig, est)
}

fn with_certificate(config: &mut Config, directory: &Path) {
    config.ldevid.est.certificate = Some(directory.join("ra.crt"));
    config.ldevid.est.key = Some(directory.join("ra.key"));
}

impl Est {
    async fn listen(self) -> SocketAddr {
        let key = new_key(KeyType::EcP256);
        let from = now().plus_secs(-3600);
        let tls = CertificateBuilder::new("CN=EST")
            .validity(from, None)
            .dns_names(["localhost"])
            .extended_key_usage_server_auth()
            .self_signed(&key)
            .expect("a certificate");
        fs::write(self.directory.join("est-tls.crt"), tls.to_pem()).expect("written");
        let ra_key = new_key(KeyType::EcP256);
        let ra = CertificateBuilder::new("CN=Registration Authority")
            .validity(from, None)
            .extended_key_usage_client_auth()
            .self_signed(&ra_key)
            .expect("a certificate");
        fs::write(self.directory.join("ra.crt"), ra.to_pem()).expect("written");
        let pem = ra_key.to_pkcs8_pem().expect("PEM");
        fs::write(self.directory.join("ra.key"), pem.as_bytes()).expect("written");
        let any = AnyClientCertificate::new(&TrustAnchors::default());
        let config = server_config_with_identities(&[(vec![tls], key)], any).expect("TLS");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (acceptor, est) = (acceptor.clone(), self.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let shown = stream.get_ref().1.peer_certificates();
                    let client = shown.and_then(|shown| {
                        let certificate = sztp_cms::Certificate::from_der(shown.first()?).ok()?;
                        Some(certificate.subject())
                    });
                    let service = service_fn(move |request| {
                        let (est, client) = (est.clone(), client.clone());
                        async move {
                            Ok::<_, std::convert::Infallible>(est.answer(request, client).await)
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        address
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        client: Option<String>,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        assert_eq!(head.method, "POST");
        self.seen.lock().expect("no panic").push(Seen {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            client,
        });
        let body = body.collect().await.expect("a body").to_bytes();
        let act = self.script.lock().expect("no panic").pop_front();
        let reply = |status: u16, media_type: &str, body: Vec<u8>| {
            let response = Response::builder().status(status);
            let response = response.header(header::CONTENT_TYPE, media_type);
            response.body(Full::from(body)).expect("a response")
        };
        match act {
            Some(Act::Later(secs)) => {
                let mut response = reply(202, "text/plain", Vec::new());
                let headers = response.headers_mut();
                headers.insert(header::RETRY_AFTER, secs.parse().expect("a header"));
                response
            }
            Some(Act::Status(status, text)) => reply(status, "text/plain", text.into()),
            Some(Act::Answer(media_type, body)) => reply(200, media_type, body),
            Some(Act::Never) => std::future::pending().await,
            Some(Act::OtherKey) => {
                let other = csr(SUBJECT, &[], &new_key(KeyType::EcP256));
                reply(200, P7, self.issue(&other))
            }
            None => {
                let request = STANDARD.decode(&body).expect("base64");
                reply(StatusCode::OK.as_u16(), P7, self.issue(&request))
            }
        }
    }

    /// A certs-only message in base64, by OpenSSL alone.
    fn issue(&self, request: &[u8]) -> Vec<u8> {
        let directory = &self.directory;
        fs::write(directory.join("r.der"), request).expect("written");
        fs::write(directory.join("leaf.ext"), "extendedKeyUsage=clientAuth\n").expect("written");
        for command in [
            "req -inform DER -in r.der -verify -out r.pem",
            "x509 -req -in r.pem -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 \
             -extfile leaf.ext -out issued.pem",
            // The chain in no order, with the root.
            "crl2pkcs7 -nocrl -certfile ca.crt -certfile issued.pem -outform DER -out issued.p7",
            "base64 -in issued.p7 -out issued.b64",
        ] {
            openssl(directory, command);
        }
        fs::read(directory.join("issued.b64")).expect("issued")
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    fn next(&self, act: Act) {
        self.script.lock().expect("no panic").push_back(act);
    }
}

impl Drop for Est {
    fn drop(&mut self) {
        // The last one but that of the listener, which ends with the process.
        if Arc::strong_count(&self.seen) == 2 {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

const P7: &str = "application/pkcs7-mime; smime-type=certs-only";

#[test]
fn a_device_is_enrolled_over_est() {
    let (rig, est) = start("", with_certificate);
    // The first time it is still being worked on.
    est.next(Act::Later("1"));
    let (outcome, device) = boot(&rig, trusted(&rig), &[KeyType::EcP256]);
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{outcome:?}"
    );
    let (leaf, text) = judged_by_openssl(&rig, &device.committed[0]);
    assert_eq!(leaf.spki_der(), device.keys[0].spki_der());
    assert!(
        text.contains("Issuer: CN=Owner Device CA,O=Birch"),
        "{text}"
    );
    let certificates = device.committed[0].matches("BEGIN CERTIFICATE").count();
    assert_eq!(certificates, 2, "the leaf and its issuer, and no root");
    let seen = est.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].path, "/.well-known/est/simpleenroll");
    assert_eq!(seen[0].headers[header::CONTENT_TYPE], "application/pkcs10");
    assert_eq!(seen[0].client.as_deref(), Some("CN=Registration Authority"));
    assert!(!seen[0].headers.contains_key(header::AUTHORIZATION));
    assert_eq!(metric(&rig, "sztp_ldevids_issued_total{issuer=\"est\"}"), 1);
    assert_eq!(
        metric(&rig, "sztp_enrolment_requests_total{result=\"got\"}"),
        1
    );
    let listed = rig.admin().send("/api/v1/ldevids").json();
    assert_eq!(listed["items"][0]["issuer"], "est");
}

#[test]
fn a_label_and_http_basic() {
    let (rig, est) = start("/.well-known/est/devices", |config, directory| {
        fs::write(directory.join("est.pass"), "s3cret\n").expect("written");
        config.ldevid.est.user = Some("sztp".to_owned());
        config.ldevid.est.password_file = Some(directory.join("est.pass"));
    });
    let request = csr(SUBJECT, &[], &new_key(KeyType::EcP256));
    let first = configuration(&asked_with(&rig, &request));
    judged_by_openssl(&rig, &first);
    let seen = est.seen();
    assert_eq!(seen[0].path, "/.well-known/est/devices/simpleenroll");
    let basic = format!("Basic {}", STANDARD.encode("sztp:s3cret"));
    assert_eq!(seen[0].headers[header::AUTHORIZATION], basic);
    assert_eq!(seen[0].client, None);
    // The same request again is not sent again.
    assert_eq!(configuration(&asked_with(&rig, &request)), first);
    assert_eq!(est.seen().len(), 1);
}

#[test]
fn an_est_server_that_answers_otherwise() {
    let (rig, est) = start("", |config, directory| {
        with_certificate(config, directory);
        config.ldevid.timeout_secs = 3;
        config.ldevid.retry_after_secs = 9;
    });
    let refused = |act: Act, code: &str, retry_after: &str| {
        est.next(act);
        let answer = asked_with(&rig, &csr(SUBJECT, &[], &new_key(KeyType::EcP256)));
        let found = (answer.status, answer.header("retry-after"));
        assert_eq!(found, (503, retry_after), "{code}: {}", answer.text());
        let told = rig.last_event(SERIAL);
        assert!(
            told.starts_with(&format!("refused: {code}: ")),
            "{code}: {told}"
        );
        assert!(!answer.text().contains("localhost"), "{}", answer.text());
        assert_eq!(
            rig.state(SERIAL),
            "Unprovisioned",
            "it is not the device's fault"
        );
    };
    let p7 = "application/pkcs7-mime";
    refused(Act::Status(401, "who are you?"), "outside.status", "9");
    assert!(rig.last_event(SERIAL).contains("401: who are you?"));
    refused(Act::Status(500, ""), "outside.status", "9");
    refused(Act::Later("120"), "outside.pending", "120");
    refused(
        Act::Answer("text/html", b"<html>".to_vec()),
        "outside.answer",
        "9",
    );
    refused(Act::Answer(p7, b"<html>".to_vec()), "outside.answer", "9");
    refused(Act::Answer(p7, b"MAA=".to_vec()), "cms.malformed", "9");
    refused(Act::Answer(p7, vec![b'M'; 400_000]), "outside.answer", "9");
    refused(Act::OtherKey, "ldevid.other-key", "9");
    refused(Act::Never, "outside.timed-out", "9");
    assert!(metric(&rig, "sztp_enrolment_requests_total{result=\"bad\"}") >= 4);
    // And then it is well again.
    let answer = asked_with(&rig, &csr(SUBJECT, &[], &new_key(KeyType::EcP256)));
    judged_by_openssl(&rig, &configuration(&answer));
}

#[test]
fn a_program_issues() {
    let rig = Rig::start_with(|config| {
        let directory = config.data_dir.parent().expect("a parent").to_owned();
        authority(&directory);
        let text = format!(
            "#!/bin/sh\nset -e\ncd '{}'\ncat > input.json\n\
             sed 's/.*\"csr\":\"\\([^\"]*\\)\".*/\\1/' input.json | base64 -d > r.der\n\
             openssl req -inform DER -in r.der -verify -out r.pem 2>/dev/null\n\
             openssl x509 -req -in r.pem -CA ca.crt -CAkey ca.key -CAcreateserial -days 3 2>/dev/null\n\
             cat ca.crt\n",
            directory.display()
        );
        config.ldevid.program = vec![script(&directory.join("issue"), &text)];
        config.ldevid.enabled = true;
    });
    enrol(
        &rig,
        "{{ ldevid.chain }}",
        &json!({"dns_names": ["{{ hostname }}.example.net"]}),
    );
    let request = csr(SUBJECT, &[], &new_key(KeyType::EcP256));
    let chain = configuration(&asked_with(&rig, &request));
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    judged_by_openssl(&rig, &chain);
    let input: Value =
        serde_json::from_slice(&fs::read(rig.path("input.json")).expect("input")).expect("JSON");
    assert_eq!(input["serial-number"], SERIAL);
    assert_eq!(input["csr"], STANDARD.encode(&request));
    assert_eq!(input["dns-names"], json!(["edge-42.example.net"]));
    assert_eq!(
        (&input["profile"], &input["subject"]),
        (&json!("edge"), &json!(SUBJECT))
    );
    // One that fails.
    let text = "#!/bin/sh\necho 'the CA is closed' >&2\nexit 1\n";
    script(&rig.path("issue"), text);
    let answer = asked_with(&rig, &csr(SUBJECT, &[], &new_key(KeyType::EcP256)));
    assert_eq!((answer.status, answer.header("retry-after")), (503, "60"));
    let told = rig.last_event(SERIAL);
    assert!(
        told.contains("outside.program") && told.contains("the CA is closed"),
        "{told}"
    );
}
