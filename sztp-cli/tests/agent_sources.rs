//! `sztp agent run` with sources other than servers it was told of, in rounds, and killed in the middle.
#![cfg(unix)]

#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod workbench;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use site::{DEVICE, SERIAL, Site, configuration, everything};
use sztp_core::dhcp::{BootstrapServerList, BootstrapUri};
use sztp_server::model::Answer;

/// Starts the agent and lets it run.
fn start(site: &Site, arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sztp"))
        .args(format!("agent run {DEVICE} {arguments}").split(' '))
        .current_dir(site.bench.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sztp starts")
}

fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let ended = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(ended.expect("kill").success());
}

/// Makes a lease that names the server.
fn lease(site: &Site) {
    let uri = BootstrapUri::parse(&site.url()).expect("a URI");
    let value = BootstrapServerList::new(vec![uri])
        .expect("a list")
        .encode();
    let octets: Vec<String> = value.iter().map(|octet| format!("{octet:x}")).collect();
    let lease = format!(
        "lease {{\n  interface \"eth0\";\n  option unknown-143 {};\n}}\n",
        octets.join(":")
    );
    site.bench.write("dhclient.leases", lease);
}

#[test]
fn a_lease_names_the_server() {
    let site = Site::start(configuration());
    lease(&site);
    let run = format!("agent run {DEVICE} --dhcp-lease nowhere dhclient.leases -o json");
    let ran = site.bench.run(&run).ok();
    assert_eq!(ran.json()["signed"], true, "{ran:?}");
    assert!(ran.err.contains("looking at dhcp"), "{ran:?}");
    assert_eq!(site.device_state(), "Provisioned");
    // It stays bootstrapped, without any question.
    let ran = site.bench.run(&run).ok();
    assert!(!ran.err.contains("asking"), "{ran:?}");
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
}

#[test]
fn a_stick_comes_before_a_server_unless_said_otherwise() {
    let site = Site::start(configuration());
    let bench = &site.bench;
    std::fs::create_dir(bench.path("stick")).expect("a directory");
    bench.write("edge.conf", "hostname from-the-stick\n");
    bench
        .run(
            "conveyed-info onboarding --configuration edge.conf --configuration-handling merge \
             --out onboarding.json",
        )
        .ok();
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert data/lab/owner/owner.crt --owner-key \
             data/lab/owner/owner.key --out conveyed-information.cms",
        )
        .ok();
    bench
        .run("owner-certificate bundle data/lab/owner/owner.crt --out owner-certificate.cms")
        .ok();
    bench
        .run(&format!(
            "usb write stick --serial-number {SERIAL} --voucher voucher.vcj --owner-certificate \
             owner-certificate.cms --conveyed-information conveyed-information.cms"
        ))
        .ok();
    let both = format!("--server {} --removable nowhere stick", site.url());
    bench.run(&format!("agent run {DEVICE} {both}")).ok();
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname from-the-stick\n"
    );
    std::fs::remove_file(bench.path("state/agent.json")).expect("the state");
    bench
        .run(&format!(
            "agent run {DEVICE} {both} --source bootstrap-servers,removable-storage"
        ))
        .ok();
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
}

#[test]
fn a_daemon_waits_for_its_data_and_ends_when_told_to() {
    let site = Site::answering(Answer::Nothing);
    let arguments = format!(
        "--server {} --server-ca data/lab/server/tls-ca.crt --daemon --backoff-first 1 \
         --backoff-most 1 --log json",
        site.url()
    );
    let daemon = start(&site, &arguments);
    std::thread::sleep(Duration::from_millis(1500));
    signal(&daemon, "TERM");
    let ended = daemon.wait_with_output().expect("an end");
    let log = String::from_utf8(ended.stderr).expect("text");
    assert_eq!(ended.status.code(), Some(0), "{log}");
    assert!(log.contains("the next round is in"), "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string()
        );
    }

    let mut daemon = start(&site, &arguments);
    std::thread::sleep(Duration::from_millis(700));
    site.give(Answer::Onboarding(configuration()));
    let status = daemon.wait().expect("an end");
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
}

#[test]
fn killed_in_the_middle_of_a_hook_the_next_process_undoes_and_does_it_again() {
    let site = Site::start(everything("true"));
    let log = site.bench.path("log");
    let log = log.display();
    site.bench.write(
        "hook",
        format!(
            "#!/bin/sh\necho $SZTP_EVENT >> {log}\n[ -e {log}.once ] || {{ touch {log}.once; exec sleep 60; }}\n"
        ),
    );
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(site.bench.path("hook"), mode).expect("a mode");
    let arguments = format!(
        "--server {} --server-ca data/lab/server/tls-ca.crt --allow-scripts --config-hook ./hook",
        site.url()
    );
    let mut agent = start(&site, &arguments);
    wait_until("the hook runs", || site.bench.path("log.once").exists());
    signal(&agent, "KILL");
    agent.wait().expect("an end");
    assert!(site.bench.path("state/attempt").exists());
    assert!(!site.bench.path("state/applied").exists());

    site.bench
        .run(&format!("agent run {DEVICE} {arguments}"))
        .ok();
    assert_eq!(
        site.text("log"),
        "commit-configuration\nroll-back\ncommit-configuration\n"
    );
    assert_eq!(site.device_state(), "Provisioned");
    assert!(!site.bench.path("state/attempt").exists());
}

#[test]
fn killed_at_any_moment_it_arrives_all_the_same() {
    let site = Site::start(everything("true"));
    let arguments = format!(
        "--server {} --server-ca data/lab/server/tls-ca.crt --allow-scripts",
        site.url()
    );
    for milliseconds in [40, 60, 80, 100, 120, 140, 160, 200, 240] {
        let mut agent = start(&site, &arguments);
        std::thread::sleep(Duration::from_millis(milliseconds));
        // It may have ended already.
        let _ = agent.kill();
        agent.wait().expect("an end");
    }
    site.bench
        .run(&format!("agent run {DEVICE} {arguments}"))
        .ok();
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname edge-42\n"
    );
    assert!(!site.bench.path("state/attempt").exists());
    assert_eq!(site.device_state(), "Provisioned");
    let left: Vec<_> = std::fs::read_dir(site.bench.path("state"))
        .expect("the state directory")
        .filter_map(Result::ok)
        .map(|entry| entry.file_name())
        .filter(|name| name.to_string_lossy().contains("previous"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
