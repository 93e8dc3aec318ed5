//! What was acknowledged survives `kill -9`: the program is loaded with reports by several devices
//! at once, killed while they report, started again, and must know everything that it said 204 to.

mod harness;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::{GET_DATA, JSON, REPORT, TRUSTING, now, small_device};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use sztp_cms::{
    Certificate, KeyType, ServerTrust, ServerVerifier, SigningKey, TrustAnchors, WallClock,
    client_config,
};
use sztp_server::lab::LabPki;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const DEVICES: usize = 8;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = Program::start(directory.path());
    let lab = LabPki::load(&directory.path().join("data/lab")).expect("the lab");
    let serials: Vec<String> = (0..DEVICES).map(|n| format!("DUR-{n}")).collect();
    for serial in &serials {
        let answer = program.admin(
            directory.path(),
            &["--data-binary", &small_device(serial).to_string()],
            "devices",
        );
        assert_eq!(answer["state"], "Unprovisioned", "{answer}");
    }

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let killed = Arc::new(AtomicBool::new(false));
    let port = program.device_port;
    let acknowledged = runtime.block_on(async {
        let reporters: Vec<_> = serials
            .iter()
            .map(|serial| {
                let idevid = lab
                    .issue_idevid(serial, KeyType::EcP256, now())
                    .expect("an IDevID");
                let anchor = lab.tls_ca.certificate.clone();
                let reporter = report_until_cut_off(
                    port,
                    anchor,
                    idevid.certificate,
                    idevid.key,
                    serial.clone(),
                    killed.clone(),
                );
                tokio::spawn(reporter)
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        killed.store(true, Ordering::SeqCst);
        program.kill_9();
        let mut acknowledged = Vec::new();
        for reporter in reporters {
            acknowledged.push(reporter.await.expect("no panic"));
        }
        acknowledged
    });
    let total: usize = acknowledged.iter().sum();
    eprintln!("{total} reports were acknowledged before the end");
    assert!(total > DEVICES * 10, "hardly a load: {acknowledged:?}");

    let program = Program::start(directory.path());
    for (serial, count) in serials.iter().zip(acknowledged) {
        let device = program.admin(directory.path(), &[], &format!("devices/{serial}"));
        assert_eq!(device["state"], "InProgress", "{device}");
        let mut messages = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("devices/{serial}/history?limit=500{after}");
            let page = program.admin(directory.path(), &[], &path);
            messages.extend(
                page["items"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .filter(|entry| entry["event"] == "progress")
                    .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        // In order, none twice; the last one may be there without having been acknowledged.
        let expected: Vec<String> = (0..messages.len()).map(|n| format!("report {n}")).collect();
        assert_eq!(messages, expected);
        assert!(
            messages.len() == count || messages.len() == count + 1,
            "{serial}: {count} acknowledged, {} there",
            messages.len()
        );
    }
}

/// How many reports the server acknowledged to one device.
async fn report_until_cut_off(
    port: u16,
    anchor: Certificate,
    certificate: Certificate,
    key: SigningKey,
    serial: String,
    killed: Arc<AtomicBool>,
) -> usize {
    let mut sender = connect(port, anchor, certificate, &key).await;
    let served = post(&mut sender, GET_DATA, TRUSTING.to_owned()).await;
    assert_eq!(served, Some(StatusCode::OK), "{serial}");
    let mut count = 0;
    loop {
        let body = format!(
            "{{\"ietf-sztp-bootstrap-server:input\":{{\"progress-type\":\"informational\",\
             \"message\":\"report {count}\"}}}}"
        );
        let Some(status) = post(&mut sender, REPORT, body).await else {
            assert!(
                killed.load(Ordering::SeqCst),
                "{serial} was cut off before the end"
            );
            return count;
        };
        assert_eq!(status, StatusCode::NO_CONTENT, "{serial}");
        count += 1;
    }
}

async fn connect(
    port: u16,
    anchor: Certificate,
    certificate: Certificate,
    key: &SigningKey,
) -> SendRequest<Full<Bytes>> {
    let verifier = ServerVerifier::new(ServerTrust::Anchors {
        anchors: TrustAnchors::new([anchor]),
        host: "localhost".to_owned(),
        clock: WallClock::Trusted(now()),
    });
    let config = client_config(verifier, Some((&[certificate], key))).expect("a TLS client");
    let socket = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .expect("TLS");
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("HTTP");
    tokio::spawn(connection);
    sender
}

/// None: the server is gone.
async fn post(
    sender: &mut SendRequest<Full<Bytes>>,
    rpc: &str,
    body: String,
) -> Option<StatusCode> {
    let request = Request::post(format!("/restconf/operations/{rpc}"))
        .header("host", "localhost")
        .header("content-type", JSON)
        .body(Full::from(body))
        .expect("a request");
    sender.ready().await.ok()?;
    let response = sender.send_request(request).await.ok()?;
    let status = response.status();
    response.into_body().collect().await.ok()?;
    Some(status)
}

/// The server's program.
struct Program {
    process: Child,
    device_port: u16,
    admin_port: u16,
}

impl Program {
    fn start(directory: &Path) -> Self {
        let (device_port, admin_port) = (free_port(), free_port());
        let config = format!(
            "data_dir = \"data\"\n\
             device_listen = \"127.0.0.1:{device_port}\"\n\
             admin_listen = \"127.0.0.1:{admin_port}\"\n"
        );
        fs::write(directory.join("sztp-server.toml"), config).expect("written");
        let process = Command::new(env!("CARGO_BIN_EXE_sztp-server"))
            .args(["--config", "sztp-server.toml"])
            .env("SZTP_LOG", "error")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server's binary starts");
        let mut program = Self {
            process,
            device_port,
            admin_port,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", admin_port)).is_err()
            || !directory.join("data/admin-token").exists()
        {
            let ended = program
                .process
                .try_wait()
                .expect("the process can be asked");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "it does not listen after 30 seconds"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    fn kill_9(mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("its end");
    }

    fn admin(&self, directory: &Path, arguments: &[&str], path: &str) -> Value {
        let token = fs::read_to_string(directory.join("data/admin-token")).expect("the token");
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail-with-body",
                "--max-time",
                "20",
            ])
            .args(["--cacert", "data/lab/server/tls-ca.crt"])
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ])
            .args(arguments)
            .arg(format!(
                "https://localhost:{}/api/v1/{path}",
                self.admin_port
            ))
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .expect("this test needs the program curl");
        let body = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
