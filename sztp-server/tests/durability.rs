//! What was acknowledged survives `kill -9` of the server, and of the database: it is loaded with
//! reports by several devices at once, killed while they report, started again, and must know
//! everything that it said 204 to.

mod harness;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::postgres::Postgres;
use harness::program::Program;
use harness::{GET_DATA, JSON, REPORT, TRUSTING, now, small_device};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sztp_cms::{
    Certificate, KeyType, ServerTrust, ServerVerifier, SigningKey, TrustAnchors, WallClock,
    client_config,
};
use sztp_server::lab::LabPki;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const DEVICES: usize = 8;
const ROUNDS: usize = 3;

#[test]
fn what_was_acknowledged_survives_kill_9() {
    killed_again_and_again(None);
}

#[test]
fn what_was_acknowledged_survives_kill_9_on_postgresql() {
    if let Some(postgres) = Postgres::start(&[]) {
        killed_again_and_again(Some(&postgres.database()));
    }
}

fn killed_again_and_again(database: Option<&str>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut program = Program::start(directory.path(), database);
    let fleet = Fleet::add(&program, directory.path());
    let mut there = vec![0; DEVICES];
    for _ in 0..ROUNDS {
        let killed = Arc::new(AtomicBool::new(false));
        let acknowledged = fleet.runtime.block_on(async {
            let reporters = fleet.reporters(program.device_port, &there, &killed);
            fleet.loaded(DEVICES * 10).await;
            killed.store(true, Ordering::SeqCst);
            program.kill_9();
            ended(reporters).await
        });
        let total: usize = acknowledged.iter().sum::<usize>() - there.iter().sum::<usize>();
        eprintln!("{total} reports were acknowledged before the end");
        program = Program::start(directory.path(), database);
        for ((serial, count), there) in fleet.serials.iter().zip(acknowledged).zip(&mut there) {
            let messages = program.reports(directory.path(), serial);
            // In order, none twice; the last may be there without having been acknowledged.
            let expected: Vec<String> =
                (0..messages.len()).map(|n| format!("report {n}")).collect();
            assert_eq!(messages, expected);
            assert!(
                messages.len() == count || messages.len() == count + 1,
                "{serial}: {count} acknowledged, {} there",
                messages.len()
            );
            *there = messages.len();
        }
    }
}

#[test]
fn what_was_acknowledged_survives_the_end_of_the_database() {
    let Some(postgres) = Postgres::start(&[]) else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let program = Program::start(directory.path(), Some(&postgres.database()));
    let fleet = Fleet::add(&program, directory.path());
    let stopping = Arc::new(AtomicBool::new(false));
    let from = vec![0; DEVICES];
    let (acknowledged, refused) = fleet.runtime.block_on(async {
        let reporters = fleet.reporters(program.device_port, &from, &stopping);
        let mut refused = 0;
        for _ in 0..ROUNDS {
            fleet.loaded(DEVICES * 10).await;
            postgres.stop_at_once();
            let (status, retry_after) = device_status(&program, &fleet).await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(retry_after.as_deref(), Some("5"));
            assert_eq!(program.status(directory.path(), "/readyz"), "503");
            assert_eq!(program.status(directory.path(), "/healthz"), "200");
            refused += 1;
            postgres.run();
        }
        fleet.loaded(DEVICES * 10).await;
        stopping.store(true, Ordering::SeqCst);
        (ended(reporters).await, refused)
    });
    assert_eq!(program.status(directory.path(), "/readyz"), "200");
    let total: usize = acknowledged.iter().sum();
    eprintln!("{total} reports were acknowledged, and the database ended {refused} times");
    for (serial, count) in fleet.serials.iter().zip(acknowledged) {
        let mut messages = program.reports(directory.path(), serial);
        // What was refused may have been written in the last moment, and comes again.
        messages.dedup();
        let expected: Vec<String> = (0..messages.len()).map(|n| format!("report {n}")).collect();
        assert_eq!(messages, expected);
        assert!(
            messages.len() >= count,
            "{serial}: {count} acknowledged, {} there",
            messages.len()
        );
    }
}

/// Devices that report without end.
struct Fleet {
    /// Acknowledged so far.
    reported: Arc<AtomicUsize>,
    runtime: tokio::runtime::Runtime,
    lab: LabPki,
    serials: Vec<String>,
}

impl Fleet {
    fn add(program: &Program, directory: &Path) -> Self {
        let serials: Vec<String> = (0..DEVICES).map(|n| format!("DUR-{n}")).collect();
        for serial in &serials {
            let device = small_device(serial).to_string();
            let answer = program.admin(directory, &["--data-binary", &device], "devices");
            assert_eq!(answer["state"], "Unprovisioned", "{answer}");
        }
        Self {
            reported: Arc::default(),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
            lab: LabPki::load(&directory.join("data/lab")).expect("the lab"),
            serials,
        }
    }

    fn reporters(
        &self,
        port: u16,
        from: &[usize],
        ending: &Arc<AtomicBool>,
    ) -> Vec<tokio::task::JoinHandle<usize>> {
        self.serials
            .iter()
            .zip(from)
            .map(|(serial, from)| {
                let reporter = report_until_cut_off(
                    port,
                    self.identity(serial),
                    serial.clone(),
                    *from,
                    ending.clone(),
                    self.reported.clone(),
                );
                tokio::spawn(reporter)
            })
            .collect()
    }

    /// Waits until so many more reports were acknowledged.
    async fn loaded(&self, more: usize) {
        let begun = Instant::now();
        let until = self.reported.load(Ordering::SeqCst) + more;
        while self.reported.load(Ordering::SeqCst) < until {
            assert!(begun.elapsed() < Duration::from_mins(1), "hardly a load");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn identity(&self, serial: &str) -> Identity {
        let idevid = self.lab.issue_idevid(serial, KeyType::EcP256, now());
        let idevid = idevid.expect("an IDevID");
        Identity {
            anchor: self.lab.tls_ca.certificate.clone(),
            certificate: idevid.certificate,
            key: idevid.key,
        }
    }
}

struct Identity {
    anchor: Certificate,
    certificate: Certificate,
    key: SigningKey,
}

async fn ended(reporters: Vec<tokio::task::JoinHandle<usize>>) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for reporter in reporters {
        acknowledged.push(reporter.await.expect("no panic"));
    }
    acknowledged
}

/// How many reports the server acknowledged to one device, the earlier ones among them, until it is
/// to end. What is refused because the database is away comes again.
async fn report_until_cut_off(
    port: u16,
    identity: Identity,
    serial: String,
    from: usize,
    ending: Arc<AtomicBool>,
    reported: Arc<AtomicUsize>,
) -> usize {
    let mut sender = connect(port, &identity).await;
    let mut served = post(&mut sender, GET_DATA, TRUSTING.to_owned()).await;
    // The database may just be ending what the server that was killed had begun.
    while served == Some(StatusCode::SERVICE_UNAVAILABLE) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        served = post(&mut sender, GET_DATA, TRUSTING.to_owned()).await;
    }
    assert_eq!(served, Some(StatusCode::OK), "{serial}");
    let mut count = from;
    loop {
        let body = format!(
            "{{\"ietf-sztp-bootstrap-server:input\":{{\"progress-type\":\"informational\",\
             \"message\":\"report {count}\"}}}}"
        );
        let Some(status) = post(&mut sender, REPORT, body).await else {
            assert!(
                ending.load(Ordering::SeqCst),
                "{serial} was cut off before the end"
            );
            return count;
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        assert_eq!(status, StatusCode::NO_CONTENT, "{serial}");
        count += 1;
        reported.fetch_add(1, Ordering::SeqCst);
        if ending.load(Ordering::SeqCst) {
            return count;
        }
    }
}

async fn connect(port: u16, identity: &Identity) -> SendRequest<Full<Bytes>> {
    let verifier = ServerVerifier::new(ServerTrust::Anchors {
        anchors: TrustAnchors::new([identity.anchor.clone()]),
        host: "localhost".to_owned(),
        clock: WallClock::Trusted(now()),
    });
    let chain = std::slice::from_ref(&identity.certificate);
    let config = client_config(verifier, Some((chain, &identity.key))).expect("a TLS client");
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
    let response = send(sender, rpc, body).await?;
    let status = response.status();
    response.into_body().collect().await.ok()?;
    Some(status)
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    rpc: &str,
    body: String,
) -> Option<http::Response<hyper::body::Incoming>> {
    let request = Request::post(format!("/restconf/operations/{rpc}"))
        .header("host", "localhost")
        .header("content-type", JSON)
        .body(Full::from(body))
        .expect("a request");
    sender.ready().await.ok()?;
    sender.send_request(request).await.ok()
}

/// What a device is told that asks now.
async fn device_status(program: &Program, fleet: &Fleet) -> (StatusCode, Option<String>) {
    let identity = fleet.identity(&fleet.serials[0]);
    let mut sender = connect(program.device_port, &identity).await;
    let response = send(&mut sender, GET_DATA, TRUSTING.to_owned()).await;
    let response = response.expect("an answer");
    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    (response.status(), retry_after.map(str::to_owned))
}
