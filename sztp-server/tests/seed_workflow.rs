//! The seed workflow with nothing but OpenSSL and curl on the other side: the owner's PKI, the
//! voucher and the device's IDevID come from plain openssl commands, curl plays the device, and
//! `openssl cms -verify` judges the conveyed information that comes back.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const SERIAL: &str = "AX7-00042";
const GET_DATA: &str = "ietf-sztp-bootstrap-server:get-bootstrapping-data";
const REPORT: &str = "ietf-sztp-bootstrap-server:report-progress";
const JSON: &str = "application/yang-data+json";
const XML: &str = "application/yang-data+xml";

#[test]
fn openssl_makes_a_v1_owner_certificate_that_chains_to_the_pinned_domain_ca() {
    let files = Files::make();
    let text = files.openssl("x509 -in owner.crt -noout -text");
    assert!(
        text.contains("Version: 1 (0x0)"),
        "the point of this workflow is an X.509 v1 owner certificate; openssl made:\n{text}"
    );
    files.openssl("verify -CAfile pdc.crt owner.crt");
    files.openssl(
        "cms -verify -inform der -in voucher.vcj -CAfile masa.crt -purpose any -out /dev/null",
    );
}

// LEDGER: 8572-7 (both RPCs, both encodings, 200 and 204)
#[test]
fn curl_and_openssl_bootstrap_a_device() {
    let files = Files::make();
    let server = Server::start(&files);
    server.load_device(&files);

    let asked_in_json = files.post(&server, GET_DATA, JSON, &untrusted_input_json());
    assert_eq!(asked_in_json.status, 200, "{}", asked_in_json.body);
    assert!(asked_in_json.media_type.starts_with(JSON));
    let output: Value = serde_json::from_str(&asked_in_json.body).expect("a JSON body");
    let output = &output["ietf-sztp-bootstrap-server:output"];
    let leaf = |name: &str| {
        let text = output[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {output}"));
        STANDARD.decode(text).expect("base64")
    };
    assert_eq!(
        leaf("ownership-voucher"),
        files.read("voucher.vcj"),
        "the voucher is handed on unchanged"
    );
    fs::write(
        files.path("owner-certificate.cms"),
        leaf("owner-certificate"),
    )
    .expect("write");
    files.judge_conveyed_information(&leaf("conveyed-information"));

    let asked_in_xml = files.post(
        &server,
        GET_DATA,
        XML,
        "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
         <signed-data-preferred/></input>",
    );
    assert_eq!(asked_in_xml.status, 200, "{}", asked_in_xml.body);
    assert!(asked_in_xml.media_type.starts_with(XML));
    let leaf = xml_leaf(&asked_in_xml.body, "conveyed-information");
    files.judge_conveyed_information(&STANDARD.decode(leaf).expect("base64"));
    assert_eq!(server.device_state(&files), "InProgress");

    let started = files.post(
        &server,
        REPORT,
        XML,
        "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
         <progress-type>bootstrap-initiated</progress-type></input>",
    );
    assert_eq!((started.status, started.body.as_str()), (204, ""));
    let complete = json!({"ietf-sztp-bootstrap-server:input": {
        "progress-type": "bootstrap-complete", "message": "ready"}});
    let complete = files.post(&server, REPORT, JSON, &complete.to_string());
    assert_eq!((complete.status, complete.body.as_str()), (204, ""));
    assert_eq!(server.device_state(&files), "Provisioned");
}

#[test]
fn curl_is_told_what_is_wrong() {
    let files = Files::make();
    let server = Server::start(&files);
    server.load_device(&files);
    for (rpc, media_type, body, status, tag) in [
        (GET_DATA, JSON, "{", 400, "malformed-message"),
        (GET_DATA, XML, "<input", 400, "malformed-message"),
        (GET_DATA, "text/plain", "hello", 415, "invalid-value"),
        (
            "ietf-sztp-bootstrap-server:no-such-rpc",
            JSON,
            "{}",
            404,
            "invalid-value",
        ),
    ] {
        let answer = files.post(&server, rpc, media_type, body);
        assert_eq!(answer.status, status, "{rpc} {body}: {}", answer.body);
        assert!(answer.body.contains(tag), "{rpc} {body}: {}", answer.body);
    }
    let again = files.post(&server, GET_DATA, JSON, &untrusted_input_json());
    assert_eq!(again.status, 200, "the server goes on: {}", again.body);
}

fn untrusted_input_json() -> String {
    json!({"ietf-sztp-bootstrap-server:input": {"signed-data-preferred": [null]}}).to_string()
}

fn xml_leaf<'a>(body: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = body
        .find(&open)
        .unwrap_or_else(|| panic!("no {open} in {body}"))
        + open.len();
    let end = body
        .find(&close)
        .unwrap_or_else(|| panic!("no {close} in {body}"));
    &body[start..end]
}

/// What the vendor and the owner make with openssl alone, in one directory.
struct Files(tempfile::TempDir);

struct Answer {
    status: u16,
    media_type: String,
    body: String,
}

impl Files {
    fn make() -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary directory"));
        // The owner: pinned-domain CA, and an owner certificate without extensions.
        files.openssl("genrsa -out pdc.key 2048");
        files.openssl(
            "req -x509 -new -key pdc.key -sha256 -days 30 -subj /O=Birch/CN=pdc -out pdc.crt",
        );
        files.openssl("genrsa -out owner.key 2048");
        files.openssl("req -new -key owner.key -subj /O=Birch/CN=owner -out owner.csr");
        files.openssl(
            "x509 -req -in owner.csr -CA pdc.crt -CAkey pdc.key -CAcreateserial -sha256 -days 30 \
             -out owner.crt",
        );
        files.openssl("crl2pkcs7 -nocrl -certfile owner.crt -outform der -out owner.p7");
        // The vendor: an IDevID CA and one device, and a MASA that signs vouchers.
        files.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout idevid-ca.key -sha256 -days 30 \
             -subj /O=Vendor/CN=idevid-ca -out idevid-ca.crt",
        );
        files.openssl("genrsa -out idevid.key 2048");
        files.openssl(&format!(
            "req -new -key idevid.key -subj /O=Vendor/CN=device/serialNumber={SERIAL} \
             -out idevid.csr"
        ));
        files.openssl(
            "x509 -req -in idevid.csr -CA idevid-ca.crt -CAkey idevid-ca.key -CAcreateserial \
             -sha256 -days 30 -out idevid.crt",
        );
        files.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout masa.key -sha256 -days 30 \
             -subj /O=Vendor/CN=masa -out masa.crt",
        );
        // The server's own certificate.
        files.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout tls.key -sha256 -days 30 \
             -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out tls.crt",
        );
        files.openssl("x509 -in pdc.crt -outform der -out pdc.der");
        let voucher = json!({"ietf-voucher:voucher": {
            "created-on": "2026-01-01T00:00:00Z",
            "assertion": "verified",
            "serial-number": SERIAL,
            "pinned-domain-cert": STANDARD.encode(files.read("pdc.der")),
        }});
        fs::write(files.path("voucher.json"), voucher.to_string()).expect("write");
        files.openssl(
            "cms -sign -binary -nodetach -outform der -econtent_type 1.2.840.113549.1.9.16.1.40 \
             -in voucher.json -signer masa.crt -inkey masa.key -out voucher.vcj",
        );
        fs::write(files.path("device.conf"), "hostname edge-42\n").expect("write");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn openssl(&self, arguments: &str) -> String {
        run(
            self.0.path(),
            "openssl",
            &arguments.split_whitespace().collect::<Vec<_>>(),
        )
    }

    /// The device, played by curl with the IDevID that openssl made.
    fn post(&self, server: &Server, rpc: &str, media_type: &str, body: &str) -> Answer {
        fs::write(self.path("body"), body).expect("write");
        let url = format!(
            "https://localhost:{}/restconf/operations/{rpc}",
            server.device_port
        );
        let (content_type, accept) = (
            format!("Content-Type: {media_type}"),
            format!("Accept: {media_type}"),
        );
        let written = run(
            self.0.path(),
            "curl",
            &[
                "--silent",
                "--show-error",
                "--max-time",
                "20",
                "--cacert",
                "tls.crt",
                "--cert",
                "idevid.crt",
                "--key",
                "idevid.key",
                "--header",
                &content_type,
                "--header",
                &accept,
                "--data-binary",
                "@body",
                "--output",
                "answer",
                "--write-out",
                "%{http_code} %{content_type}",
                &url,
            ],
        );
        let (status, media_type) = written.split_once(' ').expect("status and media type");
        let body = fs::read_to_string(self.path("answer")).unwrap_or_default();
        let _ = fs::remove_file(self.path("answer"));
        Answer {
            status: status.parse().expect("a status"),
            media_type: media_type.to_owned(),
            body,
        }
    }

    /// Signed by the owner certificate, which is under the pinned-domain CA and nothing else.
    fn judge_conveyed_information(&self, cms: &[u8]) {
        fs::write(self.path("ci.cms"), cms).expect("write");
        self.openssl(
            "cms -verify -binary -inform der -in ci.cms -CAfile pdc.crt -certfile owner.crt \
             -purpose any -out ci.json",
        );
        let info: Value = serde_json::from_slice(&self.read("ci.json")).expect("JSON inside");
        let onboarding = &info["ietf-sztp-conveyed-info:onboarding-information"];
        assert_eq!(
            onboarding["configuration"].as_str(),
            Some(STANDARD.encode(self.read("device.conf")).as_str()),
            "{info}"
        );
        assert_eq!(onboarding["configuration-handling"], "replace");
    }
}

/// The server under test, as its own process. What it is told, and how, is only in here.
struct Server {
    process: Child,
    device_port: u16,
    admin_port: u16,
    admin_token: String,
}

impl Server {
    fn start(files: &Files) -> Self {
        let (device_port, admin_port) = (free_port(), free_port());
        let config = format!(
            "data_dir = \"data\"\n\
             device_listen = \"127.0.0.1:{device_port}\"\n\
             admin_listen = \"127.0.0.1:{admin_port}\"\n\
             idevid_anchors = [\"idevid-ca.crt\"]\n\
             voucher_anchors = [\"masa.crt\"]\n\
             [tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n\
             [owner]\ncertificate = \"owner.crt\"\nkey = \"owner.key\"\n\
             [answers]\npromote = false\n"
        );
        fs::write(files.path("sztp-server.toml"), config).expect("write");
        let process = Command::new(env!("CARGO_BIN_EXE_sztp-server"))
            .args(["--config", "sztp-server.toml"])
            .current_dir(files.0.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("the server's binary starts");
        let mut server = Self {
            process,
            device_port,
            admin_port,
            admin_token: String::new(),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        let token = files.path("data/admin-token");
        while std::net::TcpStream::connect(("127.0.0.1", device_port)).is_err() || !token.exists() {
            let ended = server.process.try_wait().expect("the process can be asked");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "the server does not listen after 30 seconds"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::read_to_string(token)
            .expect("the token")
            .trim()
            .clone_into(&mut server.admin_token);
        server
    }

    fn load_device(&self, files: &Files) {
        let device = json!({
            "serial_number": SERIAL,
            "voucher": STANDARD.encode(files.read("voucher.vcj")),
            "answer": {
                "kind": "onboarding",
                "configuration": STANDARD.encode(files.read("device.conf")),
                "configuration_handling": "replace",
            },
        });
        fs::write(files.path("device.json"), device.to_string()).expect("write");
        self.admin(
            files,
            &[
                "--request",
                "POST",
                "--header",
                "Content-Type: application/json",
                "--data-binary",
                "@device.json",
            ],
            "devices",
        );
    }

    fn device_state(&self, files: &Files) -> String {
        let body = self.admin(files, &[], &format!("devices/{SERIAL}"));
        let device: Value = serde_json::from_str(&body).expect("JSON");
        device["state"]
            .as_str()
            .unwrap_or_else(|| panic!("no state in {device}"))
            .to_owned()
    }

    fn admin(&self, files: &Files, arguments: &[&str], path: &str) -> String {
        let authorization = format!("Authorization: Bearer {}", self.admin_token);
        let url = format!("https://localhost:{}/api/v1/{path}", self.admin_port);
        let common = [
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "20",
            "--cacert",
            "tls.crt",
            "--header",
            &authorization,
            &url,
        ];
        run(files.0.path(), "curl", &[arguments, &common].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("this test needs the program {program}: {error}"));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{program} {}\n{out}\n{err}",
        arguments.join(" ")
    );
    out.into_owned()
}
