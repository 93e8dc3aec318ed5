//! Two servers on one PostgreSQL are one server: who listens at either hears everything once and in
//! order, what is changed at one holds at the other, nothing is done twice, and one may die.

mod harness;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::postgres::Postgres;
use harness::program::Program;
use harness::{GET_DATA, JSON, REPORT, Rig, TRUSTING, now, report, small_device};
use serde_json::{Value, json};
use sztp_cms::{KeyType, TrustAnchors, WallClock};
use sztp_core::client::{Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::device::{
    Backoff, Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Outcome, ScriptStage,
};
use sztp_server::config::DatabaseUrl;
use sztp_server::lab::LabPki;
use tokio::net::{TcpListener, TcpStream};

/// Two instances with one lab PKI and one token; none where there is no PostgreSQL.
fn pair() -> Option<(Rig, Rig, &'static Postgres, String)> {
    let postgres = Postgres::shared()?;
    let url = postgres.database();
    let one = Rig::start_with(|config| config.database.url = Some(DatabaseUrl(url.clone())));
    let data = one.path("data");
    let other = Rig::start_with(|config| {
        config.database.url = Some(DatabaseUrl(url.clone()));
        config.images_dir = Some(data.join("images"));
        fs::create_dir(&config.data_dir).expect("a directory");
        copy(&data.join("lab"), &config.data_dir.join("lab"));
        fs::copy(
            data.join("admin-token"),
            config.data_dir.join("admin-token"),
        )
        .expect("copied");
    });
    let name = url.rsplit('/').next().expect("a database").to_owned();
    Some((one, other, postgres, name))
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.expect("cp").success());
}

/// curl on the event stream, and the ids that it has printed.
struct Listener {
    curl: Child,
    ids: std::sync::mpsc::Receiver<i64>,
}

impl Listener {
    fn start(rig: &Rig) -> Self {
        let token = fs::read_to_string(rig.path("data/admin-token")).expect("the token");
        let mut curl = Command::new("curl")
            .args(["--silent", "--no-buffer", "--cacert"])
            .arg(rig.path("data/lab/server/tls-ca.crt"))
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ])
            .arg(format!(
                "https://localhost:{}/api/v1/events?after=0",
                rig.server().admin_addr().port()
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need the program curl");
        let output = curl.stdout.take().expect("piped");
        let (sender, ids) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(id) = line.strip_prefix("id: ")
                    && sender.send(id.parse().expect("a number")).is_err()
                {
                    return;
                }
            }
        });
        Self { curl, ids }
    }

    /// What came until there was this many, or nothing for a while.
    fn ids(&self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let Ok(id) = self.ids.recv_timeout(Duration::from_secs(10)) else {
                break;
            };
            ids.push(id);
        }
        // What is doubled would come now.
        std::thread::sleep(Duration::from_millis(300));
        ids.extend(self.ids.try_iter());
        ids
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

#[test]
fn who_listens_at_either_hears_every_event_once_and_in_order() {
    let Some((one, other, postgres, database)) = pair() else {
        return;
    };
    let listeners = [Listener::start(&one), Listener::start(&other)];
    let mut receivers = [
        one.server().service().events(),
        other.server().service().events(),
    ];
    let rigs = [&one, &other];
    for number in 0..DEVICES {
        rigs[number % 2].add(&small_device(&format!("DEV-{number}")));
    }
    let database = database.as_str();
    std::thread::scope(|scope| {
        for number in 0..DEVICES {
            scope.spawn(move || {
                let serial = format!("DEV-{number}");
                // What one instance began, the other goes on with.
                let (first, then) = (rigs[number % 2], rigs[(number + 1) % 2]);
                let served = first.device(&serial).rpc(GET_DATA, JSON, TRUSTING);
                assert_eq!(served.status, 200, "{}", served.text());
                if number == DEVICES / 2 {
                    // In the middle of it, nobody is heard any more for a moment.
                    postgres.sql(
                        database,
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE query LIKE 'LISTEN%' AND datname = current_database()",
                    );
                }
                for progress in ["bootstrap-initiated", "informational", "bootstrap-complete"] {
                    let told = then.device(&serial).rpc(REPORT, JSON, &report(progress));
                    assert_eq!(told.status, 204, "{}", told.text());
                }
            });
        }
    });
    let written: Vec<i64> = postgres
        .sql(database, "SELECT id FROM history ORDER BY id")
        .lines()
        .map(|id| id.parse().expect("a number"))
        .collect();
    assert_eq!(written.len(), DEVICES * 5);
    for listener in &listeners {
        assert_eq!(listener.ids(written.len()), written);
    }
    for receiver in &mut receivers {
        let heard: Vec<i64> = std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|event| event.entry.id)
            .collect();
        assert_eq!(heard, written);
    }
    for rig in rigs {
        for number in 0..DEVICES {
            assert_eq!(rig.state(&format!("DEV-{number}")), "Provisioned");
        }
    }
}

#[test]
fn what_is_changed_at_one_holds_at_the_other() {
    let Some((one, other, _, _)) = pair() else {
        return;
    };
    // A profile.
    one.add(&json!({"serial_number": "CAT-1"}));
    let ask = |rig: &Rig| rig.device("CAT-1").rpc(GET_DATA, JSON, TRUSTING).status;
    assert_eq!((ask(&one), ask(&other)), (404, 404));
    let template = one
        .admin()
        .method("PUT")
        .header("Content-Type: text/plain")
        .data("hostname {{ device.serial_number }}\n")
        .send("/api/v1/configurations/base?kind=configuration");
    assert!(template.status < 300, "{}", template.text());
    let profile = one
        .admin()
        .method("PUT")
        .header("Content-Type: application/json")
        .data(json!({"configuration": "base", "configuration_handling": "merge", "match": {"serial_number": "CAT-*"}}).to_string())
        .send("/api/v1/profiles/all");
    assert!(profile.status < 300, "{}", profile.text());
    assert_eq!((ask(&other), ask(&one)), (200, 200));

    // Whom to trust.
    let foreign = sztp_server::lab::LabPki::generate(&sztp_server::lab::LabOptions::new(now()))
        .expect("another lab");
    let idevid = foreign
        .issue_idevid("CAT-1", KeyType::EcP256, now())
        .expect("an IDevID");
    let chain = idevid.certificate.to_pem() + &foreign.idevid_ca.certificate.to_pem();
    let (certificate, key) = (
        other.write("foreign.crt", chain),
        other.write(
            "foreign.key",
            idevid.key.to_pkcs8_pem().expect("PEM").as_bytes(),
        ),
    );
    let ask = || {
        let request = other.anonymous().with_certificate(&certificate, &key);
        request.rpc(GET_DATA, JSON, TRUSTING).status
    };
    assert_eq!(ask(), 401);
    let added = one
        .admin()
        .header("Content-Type: application/json")
        .data(
            json!({
                "purpose": "idevid",
                "certificates": {"text": foreign.vendor_root.certificate.to_pem()},
            })
            .to_string(),
        )
        .send("/api/v1/trust-anchors");
    assert_eq!(added.status, 201, "{}", added.text());
    soon("the anchor holds", || ask() == 200);
    let id = &added.json()["items"][0]["id"];
    let deleted = one
        .admin()
        .method("DELETE")
        .send(&format!("/api/v1/trust-anchors/{id}"));
    assert_eq!(deleted.status, 204);
    soon("the anchor holds no more", || ask() == 401);

    // An image, which lies in the directory that they share.
    let image = one
        .admin()
        .data("an image")
        .send("/api/v1/images?name=os.bin");
    assert_eq!(image.status, 201, "{}", image.text());
    let sha256 = image.json()["sha256"].as_str().expect("a hash").to_owned();
    let file = other.anonymous().send(&format!("/files/{sha256}/os.bin"));
    assert_eq!((file.status, file.text().as_str()), (200, "an image"));
    let deleted = other.admin().method("DELETE").send("/api/v1/images/os.bin");
    assert_eq!(deleted.status, 204);
    let file = one.anonymous().send(&format!("/files/{sha256}/os.bin"));
    assert_eq!(file.status, 404);

    // Tokens.
    let token = one
        .admin()
        .header("Content-Type: application/json")
        .data(json!({"name": "watcher", "role": "viewer"}).to_string())
        .send("/api/v1/tokens");
    assert_eq!(token.status, 201, "{}", token.text());
    let secret = token.json()["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    let header = format!("Authorization: Bearer {secret}");
    let look = || other.operator_with(&header).send("/api/v1/devices").status;
    assert_eq!(look(), 200);
    assert_eq!(
        one.admin()
            .method("DELETE")
            .send("/api/v1/tokens/watcher")
            .status,
        204
    );
    assert_eq!(look(), 401);
}

#[test]
fn a_deadline_is_noticed_once() {
    let Some((one, other, postgres, database)) = pair() else {
        return;
    };
    for number in 0..DEVICES {
        let serial = format!("LATE-{number}");
        let mut device = small_device(&serial);
        device["progress_timeout_secs"] = json!(1);
        one.add(&device);
        let served = other.device(&serial).rpc(GET_DATA, JSON, TRUSTING);
        assert_eq!(served.status, 200);
    }
    let count = "SELECT count(*) FROM history WHERE event = 'timed-out'";
    soon("all deadlines pass", || {
        postgres.sql(&database, count) == DEVICES.to_string()
    });
    // Both have looked again.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(postgres.sql(&database, count), DEVICES.to_string());
    drop((one, other));
}

#[test]
fn a_fleet_arrives_though_one_instance_dies() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let directories = [tempfile::tempdir(), tempfile::tempdir()].map(|it| it.expect("a directory"));
    let [one, other] = &directories;
    let first = Program::start(one.path(), Some(&url));
    fs::create_dir(other.path().join("data")).expect("a directory");
    copy(&one.path().join("data/lab"), &other.path().join("data/lab"));
    fs::copy(
        one.path().join("data/admin-token"),
        other.path().join("data/admin-token"),
    )
    .expect("copied");
    let second = Program::start(other.path(), Some(&url));
    let lab = LabPki::load(&one.path().join("data/lab")).expect("the lab");
    let serials: Vec<String> = (0..FLEET).map(|n| format!("FLEET-{n}")).collect();
    for serial in &serials {
        first.admin(
            one.path(),
            &["--data-binary", &small_device(serial).to_string()],
            "devices",
        );
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let arrived = Arc::new(AtomicUsize::new(0));
    runtime.block_on(async {
        let port = balance([first.device_port, second.device_port]).await;
        let fleet: Vec<_> = serials
            .iter()
            .map(|serial| tokio::spawn(boot(lab.clone(), serial.clone(), port, arrived.clone())))
            .collect();
        while arrived.load(Ordering::SeqCst) < FLEET / 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        first.kill_9();
        let left = FLEET - arrived.load(Ordering::SeqCst);
        eprintln!("{left} devices were on their way when an instance was killed");
        assert!(left > 0);
        for device in fleet {
            device.await.expect("no panic");
        }
    });
    for serial in &serials {
        let device = second.admin(other.path(), &[], &format!("devices/{serial}"));
        assert_eq!(device["state"], "Provisioned", "{device}");
    }
    let doubled = "SELECT count(*) FROM (SELECT serial_number FROM history
        WHERE progress_type = 'bootstrap-complete' AND event = 'progress'
        GROUP BY serial_number HAVING count(*) > 1) AS doubled";
    let database = url.rsplit('/').next().expect("a database");
    eprintln!(
        "{} were completed twice, told so by the device",
        postgres.sql(database, doubled)
    );
}

#[test]
fn an_instance_that_stands_still_holds_the_others_up_for_seconds_only() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let url = postgres.database();
    let directory = tempfile::tempdir().expect("a directory");
    let still = Program::start(directory.path(), Some(&url));
    let mut rig = Rig::start_with(|config| {
        config.database.url = Some(DatabaseUrl(url.clone()));
        let data = directory.path().join("data");
        fs::create_dir(&config.data_dir).expect("a directory");
        copy(&data.join("lab"), &config.data_dir.join("lab"));
        fs::copy(
            data.join("admin-token"),
            config.data_dir.join("admin-token"),
        )
        .expect("copied");
    });
    let database = url.rsplit('/').next().expect("a database").to_owned();
    // It is stopped where it hurts: with the lock in its hands. To catch it there, it is given work
    // that takes long.
    let rows: Vec<Value> = (0..4000)
        .map(|n| json!({"serial_number": format!("ROW-{n}")}))
        .collect();
    fs::write(directory.path().join("rows.json"), json!(rows).to_string()).expect("written");
    std::thread::scope(|scope| {
        let import = scope.spawn(|| {
            let token = fs::read_to_string(directory.path().join("data/admin-token"));
            Command::new("curl")
                .args(["--silent", "--max-time", "60", "--cacert"])
                .arg(directory.path().join("data/lab/server/tls-ca.crt"))
                .args([
                    "--header",
                    &format!("Authorization: Bearer {}", token.expect("a token").trim()),
                ])
                .args([
                    "--header",
                    "Content-Type: application/json",
                    "--data-binary",
                ])
                .arg(format!("@{}", directory.path().join("rows.json").display()))
                .arg(format!(
                    "https://localhost:{}/api/v1/devices/import",
                    still.admin_port
                ))
                .output()
                .expect("curl")
        });
        let holds = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE locktype = 'advisory' AND granted AND datname = current_database()";
        soon("it writes", || postgres.sql(&database, holds) == "1");
        still.signal("-STOP");
        let begun = Instant::now();
        rig.add(&small_device("MOVING"));
        let took = begun.elapsed();
        eprintln!("held up for {took:?}");
        assert!(took < Duration::from_secs(10), "held up for {took:?}");
        // It goes on, and what it was at is written, or it was told that it is not.
        still.signal("-CONT");
        let output = import.join().expect("no panic");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("an answer");
        let there = postgres.sql(&database, "SELECT count(*) FROM device");
        eprintln!(
            "{} rows are there: {}",
            there,
            answer.to_string().chars().take(200).collect::<String>()
        );
    });
    rig.stop();
}

/// A device that gets there in the end; counts when it has.
async fn boot(lab: LabPki, serial: String, port: u16, arrived: Arc<AtomicUsize>) {
    let idevid = lab
        .issue_idevid(&serial, KeyType::EcP256, now())
        .expect("an IDevID");
    let mut config = DeviceConfig::new(
        &serial,
        TrustAnchors::new([lab.vendor_root.certificate.clone()]),
    );
    config.idevid = Some(idevid.certificate.clone());
    config.retry = Some(Backoff {
        first: Duration::from_millis(200),
        most: Duration::from_secs(2),
    });
    config.servers = vec![Endpoint {
        address: "localhost".to_owned(),
        port,
        trust: EndpointTrust::Anchors(TrustAnchors::new([lab.tls_ca.certificate.clone()])),
    }];
    let identity = Identity {
        chain: vec![
            idevid.certificate.clone(),
            lab.idevid_ca.certificate.clone(),
        ],
        key: idevid.key.clone().into(),
    };
    let client = Client::new(Some(identity), Settings::default(), || {
        WallClock::Trusted(now())
    });
    let mut device = Device::new(config);
    let outcome = client.run(&mut device, &mut Anything, |_| {}).await;
    assert!(
        matches!(outcome, Outcome::Bootstrapped { .. }),
        "{serial}: {outcome:?}"
    );
    arrived.fetch_add(1, Ordering::SeqCst);
}

/// Takes whatever it is given.
struct Anything;

impl Platform for Anything {
    async fn install_image(&mut self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    async fn reboot(&mut self, _: &Device) -> Result<Reboot, String> {
        Err("there is no image here".to_owned())
    }

    async fn run_script(&mut self, _: ScriptStage, _: &[u8]) -> Ended {
        Ended::Well
    }

    async fn commit_configuration(&mut self, _: ConfigurationHandling, _: &[u8]) -> Ended {
        // Long enough that some are in the middle of it at any time.
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ended::Well
    }

    async fn roll_back(&mut self) -> Ended {
        Ended::Well
    }
}

/// A balancer that passes TLS through, in turn to those that answer.
async fn balance(ports: [u16; 2]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut client, _)) = listener.accept().await {
            turn += 1;
            tokio::spawn(async move {
                for offset in 0..ports.len() {
                    let port = ports[(turn + offset) % ports.len()];
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Waits for what happens in a moment.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(15), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

const DEVICES: usize = 16;
const FLEET: usize = 60;
