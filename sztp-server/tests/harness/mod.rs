//! A server in this process with a lab PKI, and curl as every client.
//!
//! curl is a program of other people, so what it is told is what devices and operators are told.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file needs its own part"
)]

pub mod postgres;
pub mod program;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use sztp_cms::{KeyType, UnixTime};
use sztp_server::config::{DatabaseConfig, DatabaseUrl};
use sztp_server::lab::{LabOptions, LabPki};
use sztp_server::{Config, Server};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub const GET_DATA: &str = "ietf-sztp-bootstrap-server:get-bootstrapping-data";
pub const REPORT: &str = "ietf-sztp-bootstrap-server:report-progress";
pub const JSON: &str = "application/yang-data+json";
pub const XML: &str = "application/yang-data+xml";

/// A running server and what its clients need.
pub struct Rig {
    pub directory: TempDir,
    pub runtime: Runtime,
    pub server: Option<Server>,
    pub lab: LabPki,
    database: DatabaseConfig,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Rig {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let (directory, runtime, server, database) = Self::begin(configure);
        let lab = LabPki::load(&directory.path().join("data/lab")).expect("the lab PKI");
        Self {
            directory,
            runtime,
            server: Some(server),
            lab,
            database,
        }
    }

    /// A server that is configured to live on the lab of another.
    pub fn start_with_lab(lab: &LabPki, configure: impl FnOnce(&mut Config)) -> Self {
        let (directory, runtime, server, database) = Self::begin(configure);
        Self {
            directory,
            runtime,
            server: Some(server),
            lab: lab.clone(),
            database,
        }
    }

    fn begin(configure: impl FnOnce(&mut Config)) -> (TempDir, Runtime, Server, DatabaseConfig) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = Config::loopback(directory.path().join("data"));
        if on_postgres() {
            let postgres = postgres::Postgres::shared().expect("PostgreSQL is asked for");
            config.database.url = Some(DatabaseUrl(postgres.database()));
        }
        configure(&mut config);
        let database = config.database.clone();
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime
            .block_on(Server::start(config))
            .expect("the server starts");
        (directory, runtime, server, database)
    }

    /// With which a server on the same data starts.
    pub fn config(&self) -> Config {
        Config {
            database: self.database.clone(),
            ..Config::loopback(self.path("data"))
        }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("running")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file is written");
        path
    }

    /// The IDevID of a device, in PEM files for curl: certificate with chain, and key.
    pub fn idevid(&self, serial_number: &str) -> (PathBuf, PathBuf) {
        // curl takes a colon for the beginning of a passphrase.
        let name = serial_number.replace([':', ' ', '/'], "_");
        idevid_of(&self.lab, self.directory.path(), serial_number, &name)
    }

    /// A device of a vendor that the server does not know.
    pub fn foreign_idevid(&self, serial_number: &str) -> (PathBuf, PathBuf) {
        let foreign = LabPki::generate(&LabOptions::new(now())).expect("another lab");
        let name = format!("foreign-{serial_number}");
        idevid_of(&foreign, self.directory.path(), serial_number, &name)
    }

    /// A request of a device with its certificate.
    pub fn device(&self, serial_number: &str) -> Request<'_> {
        let (certificate, key) = self.idevid(serial_number);
        self.anonymous().with_certificate(&certificate, &key)
    }

    /// A request to the device-facing listener without certificate.
    pub fn anonymous(&self) -> Request<'_> {
        Request::new(self, self.server().device_addr().port())
    }

    /// A request of the operator.
    pub fn admin(&self) -> Request<'_> {
        let token = fs::read_to_string(self.path("data/admin-token")).expect("the token");
        Request::new(self, self.server().admin_addr().port())
            .header(&format!("Authorization: Bearer {}", token.trim()))
    }

    /// A request to the admin listener with other credentials.
    pub fn operator_with(&self, header: &str) -> Request<'_> {
        Request::new(self, self.server().admin_addr().port()).header(header)
    }

    /// Adds a device by the admin API.
    pub fn add(&self, document: &Value) {
        let answer = self
            .admin()
            .header("Content-Type: application/json")
            .data(document.to_string())
            .send("/api/v1/devices");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    pub fn state(&self, serial_number: &str) -> String {
        let answer = self
            .admin()
            .send(&format!("/api/v1/devices/{serial_number}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["state"].as_str().expect("a state").to_owned()
    }

    /// The lines of a device's history, oldest first.
    pub fn history(&self, serial_number: &str) -> Vec<Value> {
        let path = format!("/api/v1/devices/{serial_number}/history?limit=1000");
        let answer = self.admin().send(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["items"].as_array().expect("items").clone()
    }

    /// The last line of a device's history as `event: message`.
    pub fn last_event(&self, serial_number: &str) -> String {
        let history = self.history(serial_number);
        let last = history.last().expect("an entry");
        let text = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("event"), text("message"))
    }

    pub fn stop(&mut self) {
        let server = self.server.take().expect("running");
        self.runtime.block_on(server.shutdown());
    }
}

/// Whether servers are to run on PostgreSQL and not on SQLite.
pub fn on_postgres() -> bool {
    match std::env::var("SZTP_TEST_DATABASE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("SZTP_TEST_DATABASE is {other:?}"),
    }
}

/// A port of this process, below those that the system gives to anybody: it stays free while its
/// server is away.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id().wrapping_mul(61) % 20_000;
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::SeqCst));
        let port = u16::try_from(10_000 + (first + step) % 20_000).expect("below 65536");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn idevid_of(
    lab: &LabPki,
    directory: &Path,
    serial_number: &str,
    name: &str,
) -> (PathBuf, PathBuf) {
    let (certificate, key) = (
        directory.join(format!("{name}.crt")),
        directory.join(format!("{name}.key")),
    );
    if !certificate.exists() {
        let idevid = lab
            .issue_idevid(serial_number, KeyType::EcP256, now())
            .expect("an IDevID");
        let chain = idevid.certificate.to_pem() + &lab.idevid_ca.certificate.to_pem();
        fs::write(&certificate, chain).expect("written");
        fs::write(&key, idevid.key.to_pkcs8_pem().expect("PEM").as_bytes()).expect("written");
    }
    (certificate, key)
}

pub fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

/// A request to be sent by curl.
pub struct Request<'a> {
    rig: &'a Rig,
    port: u16,
    arguments: Vec<String>,
    body: Option<Vec<u8>>,
}

impl<'a> Request<'a> {
    fn new(rig: &'a Rig, port: u16) -> Self {
        Self {
            rig,
            port,
            arguments: Vec::new(),
            body: None,
        }
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub fn header(self, header: &str) -> Self {
        self.argument("--header").argument(header)
    }

    pub fn method(self, method: &str) -> Self {
        self.argument("--request").argument(method)
    }

    pub fn with_certificate(self, certificate: &Path, key: &Path) -> Self {
        self.argument("--cert")
            .argument(&certificate.to_string_lossy())
            .argument("--key")
            .argument(&key.to_string_lossy())
    }

    pub fn data(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// POSTs an RPC, asking for an answer in the same encoding.
    pub fn rpc(self, name: &str, media_type: &str, body: &str) -> Answer {
        self.header(&format!("Content-Type: {media_type}"))
            .header(&format!("Accept: {media_type}"))
            .data(body)
            .send(&format!("/restconf/operations/{name}"))
    }

    pub fn send(mut self, path: &str) -> Answer {
        let scratch = tempfile::tempdir_in(self.rig.directory.path()).expect("a directory");
        if let Some(body) = self.body.take() {
            let file = scratch.path().join("request");
            fs::write(&file, body).expect("written");
            self.arguments.push("--data-binary".to_owned());
            self.arguments.push(format!("@{}", file.display()));
        }
        let (headers, body) = (scratch.path().join("headers"), scratch.path().join("body"));
        let anchor = self.rig.path("data/lab/server/tls-ca.crt");
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "30",
                "--path-as-is",
                "--cacert",
            ])
            .arg(&anchor)
            .arg("--dump-header")
            .arg(&headers)
            .arg("--output")
            .arg(&body)
            .args(["--write-out", "%{http_code}"])
            .args(&self.arguments)
            .arg(format!("https://localhost:{}{path}", self.port))
            .stdin(Stdio::null())
            .output()
            .expect("these tests need the program curl");
        assert!(
            output.status.success(),
            "curl {path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let status = String::from_utf8_lossy(&output.stdout);
        let headers = fs::read_to_string(&headers).unwrap_or_default();
        // Of the last answer, after 100 Continue.
        let headers = headers
            .trim_end()
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default();
        Answer {
            status: status.trim().parse().expect("a status"),
            headers: headers
                .lines()
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect(),
            body: fs::read(&body).unwrap_or_default(),
        }
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    /// The tag of the first error, read by the types that devices use.
    pub fn error_tag(&self) -> String {
        let encoding = sztp_core::restconf::encoding_of(self.header("content-type"))
            .unwrap_or_else(|| panic!("no yang-data: {self:?}"));
        let errors = sztp_core::restconf::Errors::decode(&self.body, encoding)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()));
        errors.errors[0].error_tag.as_str().to_owned()
    }
}

/// A device that is to get a small configuration, signed or not.
pub fn small_device(serial_number: &str) -> Value {
    serde_json::json!({
        "serial_number": serial_number,
        "answer": {
            "kind": "onboarding",
            "configuration": {"text": "hostname edge\n"},
            "configuration_handling": "merge",
        },
    })
}

/// The input of a device that trusts the server.
pub const TRUSTING: &str = r#"{"ietf-sztp-bootstrap-server:input":{}}"#;
/// The input of a device that does not.
pub const UNTRUSTING: &str =
    r#"{"ietf-sztp-bootstrap-server:input":{"signed-data-preferred":[null]}}"#;

pub fn report(progress_type: &str) -> String {
    format!(r#"{{"ietf-sztp-bootstrap-server:input":{{"progress-type":"{progress_type}"}}}}"#)
}
