//! `sztp simulate` against a real bootstrap server: what the fleet says of itself, and what the
//! server has seen of it.
#![cfg(unix)]

#[allow(dead_code)]
mod workbench;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use sztp_server::model::{Answer, DeviceFilter, DeviceSpec, OnboardingSpec, Page, UnknownDevice};
use sztp_server::{Config, Server};
use tokio::runtime::Runtime;

use workbench::{Ran, Workbench};

/// A server that knows no device yet, and a fleet's lab beside it.
struct Site {
    bench: Workbench,
    runtime: Runtime,
    server: Option<Server>,
}

impl Site {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let bench = Workbench::new();
        let runtime = Runtime::new().expect("a runtime");
        let mut config = Config::loopback(bench.path("data"));
        change(&mut config);
        let server = runtime.block_on(Server::start(config)).expect("a server");
        Self {
            bench,
            runtime,
            server: Some(server),
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("running")
    }

    /// Devices that the server is not told of.
    fn strangers(&self, more: &str) -> Ran {
        let port = self.server().device_addr().port();
        self.bench.run(&format!(
            "simulate --server https://localhost:{port} --pki data/lab -o json {more}"
        ))
    }

    fn simulate(&self, more: &str) -> Ran {
        let admin = self.server().admin_addr().port();
        self.strangers(&format!(
            "--enrol --admin https://localhost:{admin} --token-file data/admin-token {more}"
        ))
    }

    /// How many devices the server has in this state.
    fn in_state(&self, state: &str) -> usize {
        let filter = DeviceFilter {
            state: Some(state.to_owned()),
            ..DeviceFilter::default()
        };
        let page = Page {
            limit: Page::MAX_LIMIT,
            ..Page::default()
        };
        let listed = self.server().service().devices(filter, page);
        self.runtime.block_on(listed).expect("a list").items.len()
    }

    /// Everything that the server noted of a device.
    fn history(&self, serial_number: &str) -> String {
        let service = self.server().service();
        let history = service.history(serial_number, Page::default());
        let listed = self.runtime.block_on(history).expect("a history");
        let messages = listed.items.into_iter().filter_map(|entry| entry.message);
        messages.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

fn stage<'a>(report: &'a Value, name: &str) -> &'a Value {
    let stages = report["stages"].as_array().expect("stages");
    let found = stages.iter().find(|stage| stage["stage"] == name);
    found.unwrap_or_else(|| panic!("no stage {name} in {report}"))
}

#[test]
fn thirty_devices_at_once_are_bootstrapped_and_measured() {
    let site = Site::start();
    let ran = site.simulate("--devices 30").ok();
    assert!(
        ran.err.is_empty(),
        "nothing is drawn without a terminal: {ran:?}"
    );
    let report = ran.json();
    for (member, count) in [
        ("devices", 30),
        ("as-expected", 30),
        ("bootstrapped", 30),
        ("failed", 0),
        ("not-ended", 0),
    ] {
        assert_eq!(report[member], count, "{member}: {report}");
    }
    for name in [
        "connect",
        "host-meta",
        "get-bootstrapping-data",
        "report bootstrap-initiated",
        "report config-complete",
        "report bootstrap-complete",
        "bootstrap",
    ] {
        let stage = stage(&report, name);
        assert_eq!(
            (&stage["done"], &stage["lost"]),
            (&30.into(), &0.into()),
            "{name}"
        );
        let at = |member: &str| stage[member].as_f64().expect("milliseconds");
        let values = ["p50-ms", "p90-ms", "p99-ms", "max-ms"].map(at);
        assert!(values[0] > 0.0 && values.is_sorted(), "{name}: {values:?}");
    }
    assert!(report["bootstrapped-per-second"].as_f64() > Some(0.0));
    assert_eq!(site.in_state("Provisioned"), 30);
    let history = site.history("SIM-000030");
    assert!(history.contains("hw-model simulated"), "{history}");
}

#[test]
fn a_second_run_starts_over_with_the_keys_of_the_first() {
    let site = Site::start();
    site.simulate("--devices 4 --cache keys --rsa 25%").ok();
    let files: Vec<_> = std::fs::read_dir(site.bench.path("keys"))
        .expect("a cache")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    let mode = std::fs::metadata(file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(
        mode & 0o777,
        0o600,
        "private keys are nobody else's business"
    );
    let before = std::fs::read(file).expect("a file");
    // Those of before, who are reset, and two more.
    site.simulate("--devices 4 --cache keys --rsa 25%").ok();
    assert_eq!(std::fs::read(file).expect("a file"), before);
    site.simulate("--devices 2 --first 5 --cache keys").ok();
    let after = std::fs::read_to_string(file).expect("a file");
    let kept: BTreeSet<&str> = after.split("-----BEGIN PRIVATE KEY-----").collect();
    let first = String::from_utf8(before).expect("text");
    for key in first.split("-----BEGIN PRIVATE KEY-----") {
        assert!(kept.contains(key), "a key was lost");
    }
    assert_eq!(kept.len(), 7);
    assert_eq!(site.in_state("Provisioned"), 6);

    std::fs::write(file, "damaged -----BEGIN PRIVATE KEY-----").expect("a file");
    site.simulate("--devices 4 --cache keys")
        .refused("simulate.cache");
}

#[test]
fn devices_that_misbehave_harm_nobody() {
    let site = Site::start_with(|config| config.limits.body_timeout_secs = 1);
    let report = site
        .simulate("--devices 36 --misbehave 50% --untrusted 40% --timeout 20s")
        .ok()
        .json();
    assert_eq!(report["bootstrapped"], 18);
    for kind in [
        "abort",
        "garbage",
        "out-of-order",
        "repeat",
        "slow-drip",
        "wrong-certificate",
    ] {
        let kind = &report["misbehaved"][kind];
        assert_eq!(
            (&kind["devices"], &kind["as-expected"]),
            (&3.into(), &3.into()),
            "{kind}"
        );
    }
    // Beside the well-behaved: those who say everything twice, and perhaps those who said at once
    // that they had finished.
    let provisioned = site.in_state("Provisioned");
    assert!((21..=24).contains(&provisioned), "{provisioned}");
}

#[test]
fn a_server_that_does_not_cope_is_told_from_one_that_does() {
    // It listens for much longer than the devices of this run.
    let site = Site::start();
    let ran = site
        .simulate("--devices 4 --misbehave 50% --misbehaviour slow-drip --timeout 2s")
        .refused("simulate.unexpected");
    let report = ran.json();
    assert_eq!(report["as-expected"], 2, "{report}");
    let kind = &report["misbehaved"]["slow-drip"];
    assert_eq!(kind["as-expected"], 0);
    let problem = kind["problem"].as_str().expect("a problem");
    assert!(problem.contains("still listening"), "{problem}");
}

#[test]
fn failures_are_counted_by_stage_and_reason() {
    let site = Site::start();
    site.simulate("--devices 3").ok();
    // Two more than the server knows; and those it knows are provisioned.
    let ran = site.strangers("--devices 5").refused("simulate.unexpected");
    let report = ran.json();
    assert_eq!(
        (&report["failed"], &report["as-expected"]),
        (&5.into(), &0.into())
    );
    let failures = report["failures"].as_array().expect("failures");
    let devices: BTreeSet<u64> = failures
        .iter()
        .map(|failure| {
            assert_eq!(failure["stage"], "get-bootstrapping-data");
            assert_eq!(failure["code"], "device.refused-by-server");
            failure["devices"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(devices, BTreeSet::from([2, 3]), "{failures:?}");
    assert_eq!(stage(&report, "get-bootstrapping-data")["lost"], 5);

    // Another lab's devices trust another authority.
    let port = site.server().device_addr().port();
    site.bench.run("pki init other").ok();
    let ran = site.bench.run(&format!(
        "simulate --server https://localhost:{port} --pki other --devices 2 -o json"
    ));
    let report = ran.refused("simulate.unexpected").json();
    assert_eq!(report["failures"][0]["stage"], "connect", "{report}");
    assert_eq!(report["failures"][0]["code"], "tls.server-untrusted");
}

#[test]
fn devices_that_do_not_trust_the_server_believe_the_owner() {
    let site = Site::start();
    let report = site.simulate("--devices 10 --untrusted").ok().json();
    // Sent back with the server's trust anchor, and then they report (RFC 8572 appendix B).
    assert_eq!(stage(&report, "get-bootstrapping-data")["done"], 20);
    assert_eq!(stage(&report, "report bootstrap-complete")["done"], 10);
    assert_eq!(site.in_state("Provisioned"), 10);
    let report = site.simulate("--devices 10 --untrusted 30%").ok().json();
    assert_eq!(stage(&report, "get-bootstrapping-data")["done"], 13);
    site.simulate("--devices 1 --trusted --untrusted")
        .rejected();
}

#[test]
fn every_dialect_is_understood() {
    let site = Site::start();
    let all = "generic,ios-xe,ios-xr,huawei,arista,opi";
    let report = site
        .simulate(&format!("--devices 12 --dialect {all} --untrusted"))
        .ok()
        .json();
    for dialect in all.split(',') {
        assert_eq!(
            report["dialects"][dialect]["as-expected"], 2,
            "{dialect}: {report}"
        );
    }
    for (serial_number, notes) in [
        ("SIM-000002", ["PID:", "signed-data-preferred"]),
        (
            "SIM-000003",
            ["get-bootstrap-data", "signed-data-preferred"],
        ),
        (
            "SIM-000004",
            ["application/yang.data+", "signed-data-preferred"],
        ),
        (
            "SIM-000005",
            ["application/yang.data+", "signed-data-preferred"],
        ),
        ("SIM-000006", ["an empty nonce", "trust-anchor-cert"]),
    ] {
        let history = site.history(serial_number);
        for note in notes {
            assert!(history.contains(note), "{serial_number}, {note}: {history}");
        }
    }
    // Only Catalysts and the generic device ask where the API root is, over either connection.
    assert_eq!(stage(&report, "host-meta")["done"], 8);
    // The server knows by then whose reports it acknowledges.
    let remarks = report["remarks"].as_object().expect("remarks");
    assert!(
        !remarks.keys().any(|remark| remark.contains("204")),
        "{remarks:?}"
    );
}

#[test]
fn strict_devices_of_every_dialect_are_content() {
    let site = Site::start();
    let all = "--dialect generic,ios-xe,ios-xr,huawei,arista,opi";
    let report = site
        .simulate(&format!("--devices 12 {all} --strict"))
        .ok()
        .json();
    // None is sent where it is already.
    assert_eq!(stage(&report, "get-bootstrapping-data")["done"], 12);
    assert_eq!(site.in_state("Provisioned"), 12);
}

#[test]
fn a_strict_device_fails_where_a_real_one_does() {
    let site = Site::start_with(|config| "generic".clone_into(&mut config.answers.dialect));
    let ran = site
        .simulate("--devices 4 --dialect generic,opi --strict")
        .refused("simulate.unexpected");
    let report = ran.json();
    assert_eq!(report["dialects"]["generic"]["as-expected"], 2);
    assert_eq!(report["dialects"]["opi"]["as-expected"], 0);
    // It accepts unsigned data only, and then waits for another status than RFC 8572 has.
    site.bench.write(
        "spec.json",
        r#"{"sign": false, "reporting_level": "minimal", "answer": {"kind": "onboarding",
            "configuration": {"text": "hostname x"}, "configuration_handling": "merge"}}"#,
    );
    let ran = site.simulate("--devices 2 --dialect opi --strict --device-spec spec.json");
    let report = ran.refused("simulate.unexpected").json();
    let reasons = report["failures"].to_string();
    assert!(!reasons.contains("is signed"), "{reasons}");
}

#[test]
fn a_device_may_try_again() {
    let site = Site::start();
    site.strangers("--devices 1").refused("simulate.unexpected");
    let service = site.server().service().clone();
    let unknown = site
        .runtime
        .block_on(service.unknown_devices(Page::default()))
        .expect("a list");
    let first = unknown.items[0].serial_number.clone();
    assert_eq!((first.as_str(), unknown.items[0].times), ("SIM-000001", 1));
    // It asks until it is known.
    let adopted = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            site.strangers("--devices 1 --retries 200 --pause 100ms")
                .ok()
        });
        let adopt = async {
            let seen = |page: sztp_server::model::Listed<UnknownDevice>| page.items[0].times;
            while seen(
                service
                    .unknown_devices(Page::default())
                    .await
                    .expect("a list"),
            ) < 3
            {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            let onboarding = OnboardingSpec::default();
            let spec = DeviceSpec {
                answer: Answer::Onboarding(onboarding),
                ..DeviceSpec::default()
            };
            service.adopt_device(&first, spec).await
        };
        let adopted = site.runtime.block_on(adopt);
        asking.join().expect("no panic");
        adopted
    });
    assert_eq!(adopted.expect("adopted").serial_number, first);
    assert_eq!(site.in_state("Provisioned"), 1);
}

#[test]
fn arrivals_are_spread_and_no_more_run_than_may() {
    let site = Site::start();
    let poisson = "--devices 12 --arrival poisson --rate 200 --seed 1";
    let report = site
        .simulate(&format!("{poisson} --concurrency 2 --work 50ms"))
        .ok()
        .json();
    assert!(report["most-at-once"].as_u64() <= Some(2), "{report}");
    assert_eq!(stage(&report, "queued")["done"], 12);
    let report = site
        .simulate("--devices 6 --arrival constant --rate 10")
        .ok()
        .json();
    assert!(report["seconds"].as_f64() >= Some(0.5), "{report}");
}

#[test]
fn the_time_for_all_is_bounded() {
    let site = Site::start();
    let ran = site
        .simulate("--devices 100 --arrival constant --rate 10 --duration 1s")
        .refused("simulate.unexpected");
    let report = ran.json();
    let left = report["not-ended"].as_u64().expect("a number");
    assert!((80..100).contains(&left), "{report}");
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let site = Site::start();
    for more in [
        "--devices 0",
        "--misbehave 101%",
        "--dialect klingon",
        "--prefix a/b",
        "--timeout 5",
        "--enrol",
    ] {
        site.strangers(more).rejected();
    }
    site.strangers("--rate 5").misused("usage.value");
    site.strangers("--arrival poisson")
        .misused("usage.missing-option");
    let admin = format!(
        "--devices 1 --enrol --admin https://localhost:{}",
        site.server().admin_addr().port()
    );
    site.strangers(&admin).misused("usage.missing-option");
    site.strangers(&format!("{admin} --token wrong"))
        .refused("admin.refused");
    site.strangers("--devices 1 --enrol --admin https://localhost:1 --token x")
        .refused("admin.unreachable");
    site.bench.write("spec.json", "[]");
    site.simulate("--devices 1 --device-spec spec.json")
        .refused("simulate.device-spec");
    let bench = Workbench::new();
    bench
        .run("simulate --server https://localhost:1 --pki lab")
        .refused("simulate.unreachable");
    bench
        .run("simulate --server https://localhost:1 --pki nowhere")
        .refused("lab.file");
}
