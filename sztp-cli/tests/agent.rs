//! `sztp agent run` against a real bootstrap server: what it leaves on disk, what its hooks get,
//! and what the server hears of it.
#![cfg(unix)]

#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod workbench;

use site::{IMAGE, SERIAL, Site, configuration, everything};
use workbench::Workbench;

#[test]
fn a_trusted_server_gives_image_scripts_and_configuration() {
    let site = Site::start(everything("echo $SZTP_STAGE > ran"));
    let ran = site.run("--allow-scripts -o json").ok();
    assert_eq!(ran.json()["outcome"], "bootstrapped");
    assert_eq!(site.bench.read("state/image"), IMAGE);
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
    assert_eq!(site.text("state/applied/configuration-handling"), "replace");
    assert_eq!(site.text("state/applied/ran"), "pre\n");
    assert!(!site.bench.path("state/attempt").exists());
    assert_eq!(site.device_state(), "Provisioned");
    for chapter in [
        "downloading https://",
        "rebooting",
        "told: config-complete",
        "bootstrapped",
    ] {
        assert!(ran.err.contains(chapter), "{chapter}: {}", ran.err);
    }
}

#[test]
fn an_untrusted_server_is_believed_what_the_owner_signed() {
    let site = Site::start(configuration());
    let ran = site.run_untrusting("-o json").ok();
    assert_eq!(ran.json()["signed"], true, "{ran:?}");
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
    // It was sent back with the server's trust anchor, and then reported (RFC 8572 appendix B).
    assert_eq!(site.device_state(), "Provisioned");
}

#[test]
fn data_of_another_owner_is_refused() {
    let site = Site::start(configuration());
    let ran = site.bench.run(&format!(
        "agent run --server {} --idevid-cert data/lab/devices/{SERIAL}/idevid.crt --idevid-key \
         data/lab/devices/{SERIAL}/idevid.key --voucher-anchor lab/vendor/root.crt --state-dir \
         state",
        site.url()
    ));
    let ran = ran.refused("voucher.untrusted-signer");
    assert!(!site.bench.path("state/applied").exists(), "{ran:?}");
    // The server is not the one that the device was told to expect.
    let ran = site.run_untrusting("--server-ca lab/server/tls-ca.crt");
    ran.refused("tls.server-untrusted");
}

#[test]
fn scripts_are_not_run_unless_allowed() {
    let site = Site::start(everything("echo > ran"));
    let ran = site.run("").refused("device.onboarding");
    assert!(ran.err.contains("scripts are not allowed; "), "{}", ran.err);
    assert!(ran.err.contains("told: pre-script-error"), "{}", ran.err);
    // Nothing claims to be provisioned that is not.
    assert!(!site.bench.path("state/applied").exists());
    assert!(!site.bench.path("state/attempt").exists());
    assert_eq!(site.device_state(), "ZtpError");
}

// LEDGER: 8572-6.3-17
#[test]
fn a_failing_script_leaves_nothing_active() {
    let site = Site::start(everything("exit 255"));
    let ran = site.run("--allow-scripts").refused("device.onboarding");
    assert!(ran.err.contains("told: pre-script-error"), "{}", ran.err);
    assert!(!site.bench.path("state/attempt").exists());
    assert!(!site.bench.path("state/applied").exists());
    assert_eq!(site.device_state(), "ZtpError");
}

// LEDGER: 8572-6.3-16
#[test]
fn a_script_that_warns_stops_nothing() {
    let site = Site::start(everything("echo careful; exit 7"));
    let ran = site.run("--allow-scripts").ok();
    assert!(ran.err.contains("told: pre-script-warning"), "{}", ran.err);
}

// LEDGER: 8572-5.6-01
#[test]
fn hooks_are_called_in_order_and_the_reboot_ends_the_run() {
    let site = Site::start(everything("true"));
    for name in ["image-hook", "script-hook", "config-hook", "reboot-hook"] {
        site.hook(name, 0);
    }
    let hooks = "--image-hook ./image-hook --script-hook ./script-hook --config-hook ./config-hook \
        --reboot-hook ./reboot-hook";
    site.run(&format!("{hooks} --boot-id 1"))
        .refused("agent.rebooting");
    let log = site.text("log");
    assert_eq!(
        log,
        format!(
            "install-image \n{}reboot \n",
            String::from_utf8_lossy(IMAGE)
        )
    );

    // Still the boot in which the image was installed: it is not fetched again.
    site.run(&format!("{hooks} --boot-id 1"))
        .refused("agent.rebooting");
    assert_eq!(site.text("log"), format!("{log}reboot \n"));
    let log = site.text("log");

    site.run(&format!("{hooks} --boot-id 2")).ok();
    let events: Vec<String> = site
        .text("log")
        .lines()
        .skip(log.lines().count())
        .filter(|line| !line.starts_with('#') && *line != "true")
        .map(str::to_owned)
        .collect();
    assert_eq!(
        events,
        [
            "run-script pre",
            "commit-configuration replace",
            "hostname edge-42",
            "run-script post"
        ]
    );
    let input: serde_json::Value =
        serde_json::from_slice(&site.bench.read("config-hook.json")).expect("JSON");
    assert_eq!(input["event"], "commit-configuration");
    assert_eq!(input["serial-number"], SERIAL);
    assert_eq!(input["handling"], "replace");
    assert_eq!(site.device_state(), "Provisioned");
}

#[test]
fn hooks_are_told_to_undo_what_they_did() {
    let site = Site::start(configuration());
    site.hook("config-hook", 200);
    site.run("--config-hook ./config-hook")
        .refused("device.onboarding");
    assert!(
        site.text("log").ends_with("roll-back \n"),
        "{}",
        site.text("log")
    );
    assert_eq!(site.device_state(), "ZtpError");
    site.run("--config-hook ./no-such-hook")
        .refused("device.onboarding");
}

#[test]
fn the_configuration_file_has_the_same_keys() {
    let site = Site::start(configuration());
    let file = format!(
        "server = [\"{}\"]\nserver-ca = [\"data/lab/server/tls-ca.crt\"]\n\
         idevid-cert = \"data/lab/devices/{SERIAL}/idevid.crt\"\n\
         idevid-key = \"data/lab/devices/{SERIAL}/idevid.key\"\n\
         voucher-anchor = [\"data/lab/vendor/root.crt\"]\nstate-dir = \"wrong\"\n\
         encoding = \"xml\"\nsend-nonce = true\nscript-timeout = 5\n",
        site.url()
    );
    site.bench.write("agent.toml", &file);
    site.bench
        .run("agent run --config agent.toml --state-dir state")
        .ok();
    assert!(site.bench.path("state/applied/configuration").exists());
    assert!(
        !site.bench.path("wrong").exists(),
        "the command line comes first"
    );
    site.bench
        .write("unknown.toml", format!("{file}sever = \"x\"\n"));
    let ran = site
        .bench
        .run("agent run --config unknown.toml")
        .misused("config.unknown-key");
    assert!(ran.err.contains("did you mean `server`?"), "{ran:?}");
    site.bench.write("type.toml", "server = 7\n");
    site.bench
        .run("agent run --config type.toml")
        .misused("config.syntax");
    site.bench
        .run("agent run --config nowhere.toml")
        .refused("file.unreadable");
}

#[test]
fn what_cannot_work_is_said_before_anything_is_done() {
    let bench = Workbench::new();
    let device = format!(
        "--idevid-cert lab/devices/{SERIAL}/idevid.crt --idevid-key \
         lab/devices/{SERIAL}/idevid.key --state-dir state"
    );
    let run = |more: &str| bench.run(&format!("agent run {more}"));
    run("--server https://localhost:1").misused("usage.missing-option");
    run(&device).misused("usage.missing-option");
    run(&format!("{device} --server https://localhost:1")).misused("usage.nothing-trusted");
    let device = format!("{device} --voucher-anchor lab/vendor/root.crt");
    for url in [
        "http://localhost",
        "https://",
        "https://a/b",
        "https://u@a",
        "https://a:99999",
    ] {
        run(&format!("{device} --server {url}")).misused("usage.server-url");
    }
    run(
        "--server https://localhost:1 --idevid-cert lab/owner/owner.crt --idevid-key \
         lab/owner/owner.key --state-dir state --voucher-anchor lab/vendor/root.crt",
    )
    .misused("usage.no-serial-number");
    run(
        "--server https://localhost:1 --idevid-cert lab/owner/owner.crt --idevid-key \
         lab/vendor/masa.key --state-dir state --voucher-anchor lab/vendor/root.crt",
    )
    .refused("cms.key-mismatch");
    assert!(!bench.path("state").exists());
    run(&format!("{device} --server https://localhost:1")).refused("device.unreachable");
    bench.write("state/agent.json", "{");
    run(&format!("{device} --server https://localhost:1")).refused("agent.state");
}
