//! What operators see while it happens: events, metrics, the log, and the description of the API.

mod harness;

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, report, small_device};
use serde_json::{Value, json};

/// curl that follows the event stream, and the lines that it prints.
struct Follower {
    curl: Child,
    lines: mpsc::Receiver<String>,
}

impl Follower {
    fn start(rig: &Rig, path: &str, headers: &[&str]) -> Self {
        let token = fs::read_to_string(rig.path("data/admin-token")).expect("the token");
        let port = rig.server().admin_addr().port();
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--no-buffer", "--max-time", "60", "--cacert"])
            .arg(rig.path("data/lab/server/tls-ca.crt"))
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ]);
        for header in headers {
            command.args(["--header", header]);
        }
        let mut curl = command
            .arg(format!("https://localhost:{port}{path}"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need the program curl");
        let output = BufReader::new(curl.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let follower = Self { curl, lines };
        assert_eq!(follower.line().as_deref(), Some("retry: 2000"));
        follower
    }

    fn line(&self) -> Option<String> {
        self.lines.recv_timeout(Duration::from_secs(10)).ok()
    }

    /// The id and the data of the next event.
    fn event(&self) -> (i64, Value) {
        let mut id = None;
        loop {
            let line = self.line().expect("an event in time");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.parse().ok();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).expect("JSON");
                let id = id.expect("the id comes first");
                assert_eq!(data["id"], id);
                return (id, data);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let until = Instant::now() + Duration::from_millis(400);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if self
                .lines
                .recv_timeout(left)
                .is_ok_and(|line| line.starts_with("data:"))
            {
                return false;
            }
        }
        true
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

fn bootstrap(rig: &Rig, serial: &str) {
    let served = rig.device(serial).rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(served.status, 200, "{}", served.text());
    for progress in [
        "bootstrap-initiated",
        "parsing-complete",
        "bootstrap-complete",
    ] {
        let answer = rig.device(serial).rpc(REPORT, JSON, &report(progress));
        assert_eq!(answer.status, 204, "{}", answer.text());
    }
}

#[test]
fn events_come_as_they_happen_and_can_be_resumed() {
    let mut rig = Rig::start();
    rig.add(&small_device("A"));
    let all = Follower::start(&rig, "/api/v1/events", &[]);
    let only_b = Follower::start(&rig, "/api/v1/events?serial=B", &[]);
    let provisioned = Follower::start(&rig, "/api/v1/events?state=Provisioned", &[]);
    rig.add(&small_device("B"));
    bootstrap(&rig, "A");

    let (first, added) = all.event();
    assert_eq!(
        (&added["serial_number"], &added["event"]),
        (&json!("B"), &json!("added"))
    );
    let mut seen = vec![first];
    for expected in ["served", "progress", "progress", "progress"] {
        let (id, event) = all.event();
        assert_eq!(
            (&event["serial_number"], &event["event"]),
            (&json!("A"), &json!(expected))
        );
        seen.push(id);
    }
    assert!(seen.is_sorted() && all.is_quiet());
    assert_eq!(only_b.event().0, first);
    assert!(only_b.is_quiet());
    let (last, complete) = provisioned.event();
    assert_eq!(complete["progress_type"], "bootstrap-complete");
    assert_eq!(Some(&last), seen.last());

    // From where one was, without loss and without doubles; also after the server started again.
    let resumed = Follower::start(
        &rig,
        "/api/v1/events",
        &[&format!("Last-Event-ID: {}", seen[1])],
    );
    assert_eq!(
        [resumed.event().0, resumed.event().0, resumed.event().0],
        seen[2..]
    );
    let since = Follower::start(&rig, &format!("/api/v1/events?after={}", seen[3]), &[]);
    assert_eq!(since.event().0, seen[4]);
    for bad in ["Last-Event-ID: x", "Last-Event-ID: 1.5"] {
        assert_eq!(rig.admin().header(bad).send("/api/v1/events").status, 400);
    }
    assert_eq!(rig.admin().send("/api/v1/events?state=Done").status, 400);
    assert_eq!(
        rig.operator_with("Accept: */*")
            .send("/api/v1/events")
            .status,
        401
    );
    // Open streams do not keep the server from stopping.
    let begun = Instant::now();
    rig.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let rig = Rig::start_with(|config| {
        config.limits.max_event_streams = 2;
        config.limits.stall_timeout_secs = 2;
    });
    // Stopped, so that nothing is taken from its socket.
    let stuck = Follower::start(&rig, "/api/v1/events", &[]);
    let stop = Command::new("kill")
        .args(["-STOP", &stuck.curl.id().to_string()])
        .status();
    assert!(stop.expect("kill").success());
    let reader = Follower::start(&rig, "/api/v1/events", &[]);
    let refused = rig.admin().send("/api/v1/events");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["code"], "server.overloaded");
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    let long = "x".repeat(900);
    rig.add(&small_device("A"));
    let note = format!(
        r#"{{"ietf-sztp-bootstrap-server:input":{{"progress-type":"informational","message":"{long}"}}}}"#
    );
    assert_eq!(rig.device("A").rpc(GET_DATA, JSON, TRUSTING).status, 200);
    for _ in 0..20 {
        assert_eq!(rig.device("A").rpc(REPORT, JSON, &note).status, 204);
    }
    for expected in ["added", "served"].into_iter().chain(["progress"; 20]) {
        assert_eq!(reader.event().1["event"], expected);
    }
}

fn metric(text: &str, sample: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn metrics_for_prometheus() {
    let directory = tempfile::tempdir().expect("a directory");
    let token = "a-token-for-metrics-only";
    let file = directory.path().join("metrics-token");
    fs::write(&file, format!("{token}\n")).expect("written");
    let rig = Rig::start_with(|config| config.access.metrics_token_file = Some(file));
    rig.add(&small_device("A"));
    rig.add(&small_device("B"));
    bootstrap(&rig, "A");
    rig.device("B").rpc(GET_DATA, JSON, TRUSTING);
    rig.device("B").rpc(REPORT, JSON, &report("config-error"));
    rig.device("C").rpc(GET_DATA, JSON, TRUSTING);

    let scrape = rig
        .operator_with(&format!("Authorization: Bearer {token}"))
        .send("/metrics");
    assert_eq!(scrape.status, 200, "{}", scrape.text());
    assert!(
        scrape
            .header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let text = scrape.text();
    for (sample, expected) in [
        ("sztp_devices{state=\"Provisioned\"}", 1.0),
        ("sztp_devices{state=\"ZtpError\"}", 1.0),
        ("sztp_devices{state=\"Onboarded\"}", 0.0),
        ("sztp_bootstraps_total{result=\"started\"}", 2.0),
        ("sztp_bootstraps_total{result=\"provisioned\"}", 1.0),
        ("sztp_bootstraps_total{result=\"failed\"}", 1.0),
        ("sztp_failures_total{reason=\"config-error\"}", 1.0),
        (
            "sztp_http_requests_total{listener=\"device\",status=\"204\"}",
            4.0,
        ),
        (
            "sztp_http_requests_total{listener=\"device\",status=\"403\"}",
            1.0,
        ),
        (
            "sztp_http_requests_total{listener=\"admin\",status=\"201\"}",
            2.0,
        ),
        ("sztp_stage_seconds_count{stage=\"parsing-complete\"}", 1.0),
    ] {
        assert_eq!(metric(&text, sample), Some(expected), "{sample} in {text}");
    }
    for sample in [
        "sztp_tls_handshakes_total{listener=\"device\",result=\"done\"}",
        "sztp_connections_accepted_total{listener=\"device\"}",
        "sztp_connections{listener=\"admin\"}",
        "sztp_store_commit_seconds_count",
        "sztp_store_commit_changes_sum",
    ] {
        assert!(
            metric(&text, sample).is_some_and(|value| value >= 1.0),
            "{sample} in {text}"
        );
    }
    let not_after = text
        .lines()
        .find(|line| line.contains("usage=\"tls\""))
        .expect("the TLS certificate");
    let not_after: i64 = not_after
        .rsplit(' ')
        .next()
        .and_then(|text| text.parse().ok())
        .expect("a time");
    assert!(not_after > harness::now().secs());
    assert!(!text.contains("\"A\""), "no serial numbers");
    well_formed(&text);

    // That token opens nothing else, and without any there is nothing.
    assert_eq!(
        rig.operator_with(&format!("Authorization: Bearer {token}"))
            .send("/api/v1/devices")
            .status,
        401
    );
    assert_eq!(
        rig.operator_with("Accept: */*").send("/metrics").status,
        401
    );
    assert_eq!(rig.admin().send("/metrics").status, 200);
}

/// Each sample belongs to a described metric, and none is there twice.
fn well_formed(text: &str) {
    let mut described = HashSet::new();
    let mut samples = HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(
                described.insert(name.to_owned()),
                "{name} is described twice"
            );
        } else if !line.starts_with('#') {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(sample.to_owned()), "{sample} is there twice");
            let name = sample.split('{').next().unwrap_or_default();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let known =
                described.contains(name) || base.is_some_and(|base| described.contains(base));
            assert!(known, "{name} is not described");
        }
    }
}

#[test]
fn the_description_of_the_api_is_true() {
    let rig = Rig::start();
    let answer = rig.admin().send("/api/v1/openapi.json");
    assert_eq!(answer.status, 200);
    assert_eq!(
        rig.operator_with("Accept: */*")
            .send("/api/v1/openapi.json")
            .status,
        401
    );
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    for path in [
        "/api/v1/devices",
        "/api/v1/tokens",
        "/api/v1/events",
        "/api/v1/profiles",
        "/api/v1/vouchers",
        "/api/v1/configurations",
        "/api/v1/audit",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
    let mut identifiers = HashSet::new();
    for (path, operations) in paths {
        let operations = operations.as_object().expect("operations");
        let names: Vec<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        for (method, operation) in operations {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(identifiers.insert(id.to_owned()), "{id} is there twice");
            assert!(
                !operation["summary"].as_str().unwrap_or_default().is_empty(),
                "{id}"
            );
            let role = operation["x-role"].as_str().expect("a role");
            let is_look = method == "get";
            assert!(
                is_look || role != "viewer" || operation["summary"].as_str().is_some(),
                "{id}"
            );
            let parameters = operation["parameters"].as_array().expect("parameters");
            let in_path: Vec<&str> = parameters
                .iter()
                .filter(|it| it["in"] == "path")
                .filter_map(|it| it["name"].as_str())
                .collect();
            assert_eq!(in_path, names, "{id}");
            // It is there, and nobody gets to it without saying who they are.
            let concrete = path.replace('{', "no-such-").replace('}', "");
            let anonymous = rig
                .operator_with("Accept: */*")
                .method(&method.to_ascii_uppercase());
            assert_eq!(anonymous.send(&concrete).status, 401, "{method} {path}");
        }
        // What is not in it is not there.
        let concrete = path.replace('{', "no-such-").replace('}', "");
        for method in ["get", "put", "post", "delete", "patch"] {
            if !operations.contains_key(method) {
                let answer = rig
                    .admin()
                    .method(&method.to_ascii_uppercase())
                    .send(&concrete);
                assert_eq!(answer.status, 405, "{method} {path}");
            }
        }
    }
    let query: Vec<&str> = document["paths"]["/api/v1/devices"]["get"]["parameters"]
        .as_array()
        .expect("parameters")
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert!(
        query.contains(&"limit") && query.contains(&"state"),
        "{query:?}"
    );
    assert!(document["paths"]["/api/v1/tokens"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["role"].is_object());
}

#[test]
fn a_log_in_json_follows_a_bootstrap() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let config = directory.path().join("config.toml");
    let data = directory.path().join("data");
    fs::write(
        &config,
        format!(
            "data_dir = {data:?}\ndevice_listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
             [log]\nformat = \"json\"\n"
        ),
    )
    .expect("written");
    let mut server = Command::new(env!("CARGO_BIN_EXE_sztp-server"))
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok);
    let port = |line: String| {
        line.split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
            .expect("a port")
    };
    let device_port = port(lines.next().expect("a line"));
    let admin_port = port(lines.next().expect("a line"));
    let token = fs::read_to_string(data.join("admin-token")).expect("the token");
    let anchor = data.join("lab/server/tls-ca.crt");
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--fail", "--cacert"])
            .arg(&anchor)
            .args(arguments)
            .output()
            .expect("curl");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    };
    let bearer = format!("Authorization: Bearer {}", token.trim());
    curl(&[
        "-H",
        &bearer,
        "-H",
        "X-Request-Id: add-1",
        "-d",
        &small_device("A").to_string(),
        &format!("https://localhost:{admin_port}/api/v1/devices"),
    ]);
    let lab = sztp_server::lab::LabPki::load(&data.join("lab")).expect("the lab");
    let idevid = lab
        .issue_idevid("A", sztp_cms::KeyType::EcP256, harness::now())
        .expect("an IDevID");
    let (certificate, key) = (
        directory.path().join("a.crt"),
        directory.path().join("a.key"),
    );
    fs::write(
        &certificate,
        idevid.certificate.to_pem() + &lab.idevid_ca.certificate.to_pem(),
    )
    .expect("written");
    fs::write(&key, idevid.key.to_pkcs8_pem().expect("PEM").as_bytes()).expect("written");
    for (name, body) in [
        (GET_DATA, TRUSTING.to_owned()),
        (REPORT, report("parsing-complete")),
        (REPORT, report("bootstrap-complete")),
    ] {
        let kind = format!("Content-Type: {JSON}");
        curl(&[
            "--cert",
            &certificate.to_string_lossy(),
            "--key",
            &key.to_string_lossy(),
            "-H",
            &kind,
            "-d",
            &body,
            &format!("https://localhost:{device_port}/restconf/operations/{name}"),
        ]);
    }
    let id = server.id().to_string();
    assert!(
        Command::new("kill")
            .arg(&id)
            .status()
            .expect("kill")
            .success()
    );
    assert!(server.wait().expect("it ends").success());

    let text = fs::read_to_string(&log).expect("the log");
    let log: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let of_device: Vec<&Value> = log
        .iter()
        .filter(|line| line["span"]["name"] == "device")
        .collect();
    assert_eq!(of_device.len(), 3, "{text}");
    let bootstrap = &of_device[0]["span"]["bootstrap"];
    assert!(bootstrap.is_number(), "{}", of_device[0]);
    let requests: HashSet<&str> = of_device
        .iter()
        .filter_map(|line| line["span"]["request"].as_str())
        .collect();
    assert_eq!(requests.len(), 3, "each request has its own id");
    for line in &of_device {
        assert_eq!(&line["span"]["bootstrap"], bootstrap, "{line}");
        assert_eq!(line["span"]["serial_number"], "A");
    }
    let added = log
        .iter()
        .find(|line| line["event"] == "added")
        .expect("the addition");
    assert_eq!(added["span"]["request"], "add-1");
    assert_eq!(added["span"]["actor"], "admin");
    assert!(!text.contains(token.trim()), "no secret in the log");
}
