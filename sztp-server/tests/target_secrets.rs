//! Secrets of other systems, and tokens of devices, are in no log at any level and in no answer,
//! even where the other system repeats all that it is sent.

#[path = "harness/counterpart.rs"]
mod counterpart;
mod harness;
#[path = "harness/log.rs"]
mod log;

use std::fs;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use counterpart::{Counterpart, Told};
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, report, small_device};
use log::Log;
use serde_json::json;
use sztp_server::config::{
    NetboxTarget, NsoDeviceType, NsoTarget, TargetConfig, WebhookConfig, WebhookTarget,
};

const SERIAL: &str = "SECRET-1";

#[test]
fn what_opens_other_systems_is_shown_to_nobody() {
    let log = Log::start();
    let made = tempfile::tempdir().expect("a directory");
    let echo = Counterpart::start(|asked| Told {
        body: format!("{} {:?}", asked.path, asked.headers),
        ..Told::status(400)
    });
    let secrets = [
        "nso-secret-4711",
        "netbox-secret-4711",
        "hook-secret-4711",
        "url-secret-4711",
    ];
    let file = |name: &str, text: &str| {
        let path = made.path().join(name);
        fs::write(&path, text).expect("written");
        path
    };
    let anchors = vec![echo.anchor(made.path())];
    let mut rig = Rig::start_with(|config| {
        config.webhooks = vec![WebhookConfig {
            name: "hook".to_owned(),
            url: format!("{}/hooks?token={}", echo.url(), secrets[3]),
            anchors: anchors.clone(),
            secret_file: file("hook", secrets[2]),
            events: vec!["state".to_owned()],
            states: Vec::new(),
            details: true,
        }];
        config.onboarding.targets = vec![
            TargetConfig::Nso(NsoTarget {
                name: "nso".to_owned(),
                url: echo.url(),
                anchors: anchors.clone(),
                user: "sztp".to_owned(),
                password_file: file("nso", secrets[0]),
                authgroup: "default".to_owned(),
                device_type: NsoDeviceType::Cli,
                ned_id: "a:a".to_owned(),
                port: None,
                platforms: Vec::new(),
                fetch_host_keys: false,
                peer_address: true,
            }),
            TargetConfig::Netbox(NetboxTarget {
                name: "netbox".to_owned(),
                url: echo.url(),
                anchors: anchors.clone(),
                token_file: file("netbox", secrets[1]),
                status: "active".to_owned(),
                interface: String::new(),
                peer_address: false,
            }),
            TargetConfig::Webhook(WebhookTarget {
                name: "inventory".to_owned(),
                url: echo.url(),
                anchors: anchors.clone(),
                secret_file: file("hook", secrets[2]),
                peer_address: false,
            }),
        ];
        config.onboarding.default = ["nso", "netbox", "inventory"].map(str::to_owned).to_vec();
        config.delivery.max_attempts = 1;
        config.crosswork.listen = Some("127.0.0.1:0".parse().expect("an address"));
    });
    rig.add(&small_device(SERIAL));
    assert_eq!(rig.device(SERIAL).rpc(GET_DATA, JSON, TRUSTING).status, 200);
    let done = report("bootstrap-complete");
    assert_eq!(rig.device(SERIAL).rpc(REPORT, JSON, &done).status, 204);
    let deadline = Instant::now() + Duration::from_secs(30);
    // Two or three changes of state, and three targets.
    while rig.admin().send("/api/v1/deliveries?state=failed").json()["items"]
        .as_array()
        .is_none_or(|items| items.len() < 5)
    {
        assert!(Instant::now() < deadline, "they do not fail");
        std::thread::sleep(Duration::from_millis(100));
    }
    let path = format!("/api/v1/devices/{SERIAL}/status-token");
    let token = rig.admin().send(&path).json()["token"]
        .as_str()
        .expect("text")
        .to_owned();
    let port = rig.server().crosswork_addr().expect("it listens").0.port();
    let status = json!({"serialNumber": SERIAL, "status": "InProgress"}).to_string();
    for credentials in [format!("{SERIAL}:{token}"), format!("{SERIAL}:sztpd_wrong")] {
        let output = std::process::Command::new("curl")
            .args(["--silent", "--cacert"])
            .arg(rig.path("data/lab/server/tls-ca.crt"))
            .args(["--user", &credentials, "-X", "PATCH", "-d", &status])
            .arg(format!(
                "https://localhost:{port}/crosswork/ztp/v1/deviceinfo/status"
            ))
            .output()
            .expect("curl");
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("code") && !text.contains("sztpd_"), "{text}");
    }
    let mut shown = String::new();
    for path in [
        "/api/v1/deliveries",
        "/api/v1/delivery-targets",
        "/api/v1/audit",
        "/metrics",
        "/api/v1/openapi.json",
    ] {
        shown += &rig.admin().send(path).text();
    }
    shown += &rig
        .admin()
        .send(&format!("/api/v1/devices/{SERIAL}"))
        .text();
    for entry in rig.history(SERIAL) {
        shown += &entry.to_string();
    }
    rig.stop();
    assert!(shown.contains("answered 400"), "{shown}");

    let log = log.text();
    assert!(log.contains("not delivered"), "{log}");
    let mut secrets = secrets.map(str::to_owned).to_vec();
    secrets.push(STANDARD.encode(format!("sztp:{}", secrets[0])));
    secrets.push(STANDARD.encode(format!("{SERIAL}:{token}")));
    secrets.push(token);
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
        assert!(!shown.contains(&secret), "{secret} is in an answer");
    }
}
