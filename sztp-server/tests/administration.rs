//! The operator's API, starting, stopping and reloading.

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use harness::{GET_DATA, JSON, Rig, TRUSTING, small_device};
use serde_json::json;
use sztp_server::Server;

#[test]
fn only_who_has_the_token_is_answered() {
    let rig = Rig::start();
    assert_eq!(rig.admin().send("/api/v1/devices").status, 200);
    for header in [
        "Authorization:",
        "Authorization: Bearer x",
        "Authorization: Basic eDp5",
    ] {
        let answer = rig.operator_with(header).send("/api/v1/devices");
        assert_eq!(answer.status, 401, "{header}");
        assert_eq!(answer.json()["code"], "request.unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            rig.operator_with("Authorization:").send(path).status,
            200,
            "{path}"
        );
    }
    let mode = |name: &str| {
        fs::metadata(rig.path(name))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/admin-token"), 0o600);
    if !harness::on_postgres() {
        assert_eq!(mode("data/sztp.db"), 0o600);
    }
    assert_eq!(mode("data/lab/owner/owner.key"), 0o600);
    let token = fs::read_to_string(rig.path("data/admin-token")).expect("the token");
    for file in ["data/sztp.db", "data/sztp.db-wal"] {
        let stored = fs::read(rig.path(file)).unwrap_or_default();
        let found = stored
            .windows(token.trim().len())
            .any(|part| part == token.trim().as_bytes());
        assert!(!found, "the token itself is in {file}");
    }
}

#[test]
fn a_content_of_the_wrong_form_is_told_the_right_one() {
    let rig = Rig::start();
    let body = r#"{"answer":{"kind":"onboarding","configuration":{"file":"a"},"configuration_handling":"merge"}}"#;
    let answer = rig
        .admin()
        .method("PUT")
        .data(body)
        .send("/api/v1/devices/A");
    assert_eq!(answer.status, 400, "{}", answer.text());
    let message = answer.json()["message"].to_string();
    assert!(message.contains("expected base64"), "{message}");
}

#[test]
fn what_the_api_refuses() {
    let rig = Rig::start();
    rig.add(&small_device("A"));
    let send = |method: &str, path: &str, body: &str| {
        let request = rig.admin().method(method);
        let answer = if body.is_empty() {
            request
        } else {
            request.data(body)
        }
        .send(path);
        (
            answer.status,
            answer.json()["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    for (method, path, body, status, code) in [
        ("POST", "/api/v1/devices", "{", 400, "request.malformed"),
        ("POST", "/api/v1/devices", "[]", 400, "request.malformed"),
        ("POST", "/api/v1/devices", "{}", 400, "request.malformed"),
        (
            "POST",
            "/api/v1/devices",
            r#"{"serial_number":"B","colour":1}"#,
            400,
            "request.malformed",
        ),
        (
            "POST",
            "/api/v1/devices",
            r#"{"serial_number":""}"#,
            400,
            "device.serial-number",
        ),
        (
            "POST",
            "/api/v1/devices",
            r#"{"serial_number":"A"}"#,
            409,
            "device.exists",
        ),
        (
            "PUT",
            "/api/v1/devices/A",
            r#"{"serial_number":"B"}"#,
            400,
            "request.malformed",
        ),
        ("GET", "/api/v1/devices/B", "", 404, "device.missing"),
        ("DELETE", "/api/v1/devices/B", "", 404, "device.missing"),
        ("POST", "/api/v1/devices/B/reset", "", 404, "device.missing"),
        (
            "GET",
            "/api/v1/devices?state=Done",
            "",
            400,
            "request.malformed",
        ),
        (
            "GET",
            "/api/v1/devices?page=2",
            "",
            400,
            "request.malformed",
        ),
        (
            "GET",
            "/api/v1/elsewhere",
            "",
            404,
            "request.no-such-resource",
        ),
        ("GET", "/", "", 404, "request.no-such-resource"),
        ("PATCH", "/api/v1/devices/A", "{}", 405, "request.method"),
    ] {
        let found = send(method, path, body);
        assert_eq!(found, (status, code.to_owned()), "{method} {path} {body}");
    }
}

#[test]
fn what_is_read_can_be_changed_and_put_back() {
    let rig = Rig::start();
    rig.add(&small_device("rack 1/unit 2"));
    let path = "/api/v1/devices/rack%201%2Funit%202";
    let mut device = rig.admin().send(path).json();
    assert_eq!(device["state"], "Unprovisioned");
    device["answer"]["configuration"] = json!({"text": "hostname other\n"});
    let put = rig
        .admin()
        .method("PUT")
        .data(device.to_string())
        .send(path);
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(rig.admin().method("DELETE").send(path).status, 204);
    assert_eq!(rig.admin().send(path).status, 404);
    let history = rig.admin().send(&format!("{path}/history")).json();
    let events: Vec<_> = history["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|entry| entry["event"].as_str().expect("text"))
        .collect();
    assert_eq!(
        events,
        ["added", "updated", "deleted"],
        "the record outlives the device"
    );
}

#[test]
fn a_server_that_is_started_again_knows_everything() {
    let mut rig = Rig::start();
    rig.add(&small_device("A"));
    assert_eq!(rig.device("A").rpc(GET_DATA, JSON, TRUSTING).status, 200);
    let token = fs::read(rig.path("data/admin-token")).expect("the token");
    rig.stop();
    let config = rig.config();
    let server = rig
        .runtime
        .block_on(Server::start(config))
        .expect("it starts again");
    rig.server = Some(server);
    assert_eq!(
        fs::read(rig.path("data/admin-token")).expect("the token"),
        token
    );
    assert_eq!(rig.state("A"), "InProgress");
    let mut events = rig.server().service().events();
    rig.runtime
        .block_on(rig.server().service().reset_device("A"))
        .expect("reset");
    // What comes by way of a database server takes a moment.
    let event = rig.runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(10), events.recv()).await
    });
    let event = event.expect("in time").expect("an event");
    assert_eq!(event.entry.event, "reset");
    rig.runtime
        .block_on(rig.server().reload())
        .expect("reloaded");
    assert_eq!(rig.device("A").rpc(GET_DATA, JSON, TRUSTING).status, 200);
}

#[test]
fn two_servers_in_one_process() {
    let (first, second) = (Rig::start(), Rig::start());
    first.add(&small_device("A"));
    assert_eq!(first.device("A").rpc(GET_DATA, JSON, TRUSTING).status, 200);
    assert_eq!(second.admin().send("/api/v1/devices/A").status, 404);
}

#[test]
fn the_commands_to_type_next_work_as_they_are_printed() {
    let rig = Rig::start();
    for notice in rig.server().notices() {
        let sztp_server::Notice::Next(command) = notice else {
            continue;
        };
        let output = Command::new("sh")
            .args([
                "-c",
                &command.replacen("curl", "curl -sS --fail-with-body", 1),
            ])
            .output()
            .expect("a shell");
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {answer}");
        assert!(answer.contains("AX7-00042"), "{command}: {answer}");
    }
    assert_eq!(rig.state("AX7-00042"), "Unprovisioned");
}

#[test]
fn one_server_at_a_time_in_a_data_directory() {
    let rig = Rig::start();
    let second = rig.runtime.block_on(Server::start(rig.config()));
    let error = second.expect_err("the directory is taken");
    assert_eq!(error.code(), "server.in-use");
}

#[test]
fn check_says_what_is_wrong_and_makes_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let check = |config: &str| {
        fs::write(directory.path().join("c.toml"), config).expect("written");
        let output = Command::new(env!("CARGO_BIN_EXE_sztp-server"))
            .args(["check", "--config", "c.toml"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .expect("the server's binary starts");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, out, _) = check("data_dir = \"data\"\n");
    assert_eq!(code, Some(0));
    assert!(
        out.contains("not for production") && out.ends_with("ok\n"),
        "{out}"
    );
    assert!(!directory.path().join("data").exists());

    let (code, _, err) = check("data_dirr = \"x\"\n");
    assert_eq!(code, Some(1));
    assert!(
        err.contains("config.unknown-key") && err.contains("`data_dir`"),
        "{err}"
    );
    let (code, _, err) = check("[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n");
    assert_eq!(code, Some(1));
    assert!(
        err.contains("server.file") && err.contains("a.crt"),
        "{err}"
    );

    let lab =
        sztp_server::lab::LabPki::generate(&sztp_server::lab::LabOptions::new(harness::now()));
    lab.expect("a lab")
        .write(&directory.path().join("lab"))
        .expect("written");
    let pair = |certificate: &str, key: &str| {
        check(&format!(
            "[owner]\ncertificate = \"lab/{certificate}\"\nkey = \"lab/{key}\"\n"
        ))
    };
    assert_eq!(pair("owner/owner.crt", "owner/owner.key").0, Some(0));
    let (code, _, err) = pair("owner/owner.crt", "server/tls.key");
    assert_eq!(code, Some(1));
    assert!(err.contains("server.key-mismatch"), "{err}");
}
