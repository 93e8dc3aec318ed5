//! Real DNS servers and a real multicast responder have what `sztp dns records` writes, and the device
//! is bootstrapped with it.

use std::process::{Command, Stdio};

use crate::daemon::{Daemon, absent};
use crate::namespaces::{Network, alone, one_user_as, only_the_link, resolver};
use crate::site::{SERIAL, Site};
use crate::story::{PORT, bootstraps, forget, run, site};

const ARTIFACTS: &str = "--conveyed-information conveyed-information.cms --owner-certificate \
    owner-certificate.cms --ownership-voucher voucher.vcj";

// LEDGER: 8572-4.2.1-02, 8572-4.2.1-04, 8572-4.2.3-01
#[test]
fn bind_names_servers_for_all() {
    alone(&bind_names_servers_for_all, |network| {
        network.address("10.42.0.42/24");
        let site = site("boot.birch.example");
        let records = site.bench.run(&format!(
            "dns records --domain birch.example --target boot.birch.example --port {PORT}"
        ));
        let Some(_server) = named(&site, &records.ok().out) else {
            return;
        };
        for ran in bootstraps(network, &site, "--source dns") {
            assert_in_order(
                &ran.err,
                &[
                    "asking by multicast for AX7-00042._sztp.local.",
                    "asking of the DNS servers for AX7-00042._sztp.birch.example.",
                    "asking by multicast for _sztp._tcp.local.",
                    "asking of the DNS servers for _sztp._tcp.birch.example.",
                    "[boot.birch.example:8443] asking for bootstrapping data",
                ],
            );
        }
    });
}

// LEDGER: 8572-4.2.1-01, 8572-4.2.1-03, 8572-4.2.2-01, 8572-4.2.4-02
#[test]
fn bind_has_the_artifacts_of_this_device() {
    alone(&bind_has_the_artifacts_of_this_device, |network| {
        network.address("fe80::42/64");
        network.address("fd42::42/64");
        let site = site("boot.birch.example");
        let zone = records_of_this_device(&site, "birch.example");
        let Some(server) = named(&site, &zone) else {
            return;
        };
        let dns = "--source dns --dns-server fd42::1 --dns-domain birch.example";
        let ran = run(network, &site, dns).ok();
        assert_eq!(
            site.text("state/applied/configuration"),
            "hostname from-dns\n",
            "{ran:?}"
        );
        let log = server.log();
        let questions = log.lines().filter(|line| line.contains("IN TXT"));
        let by_tcp = questions.filter(|line| line.ends_with("T (fd42::1)"));
        assert_ne!(by_tcp.count(), 0, "{log}");
    });
}

// LEDGER: 8572-4.2.1-02, 8572-4.2.1-04, 8572-4.2.3-03
#[test]
fn avahi_by_ipv4() {
    alone(&avahi_by_ipv4, |network| {
        network.address("10.42.0.42/24");
        avahi_has_both(network);
    });
}

#[test]
fn avahi_by_ipv6() {
    alone(&avahi_by_ipv6, |network| {
        // All there is: the link, and nothing beyond it.
        only_the_link();
        network.address("fe80::42/64");
        avahi_has_both(network);
    });
}

/// First bootstrap servers for all, then artifacts of this device beside them.
fn avahi_has_both(network: &Network) {
    let site = site("boot.local");
    let Some((_bus, _responder)) = avahi(network, &site) else {
        return;
    };
    let servers = format!("dns records --domain local --target boot.local --port {PORT}");
    let servers = site.bench.run(&servers).ok().out;
    let published = publish(&site, &servers);
    for ran in bootstraps(network, &site, "--source dns") {
        assert!(ran.err.contains("[boot.local:8443] asking"), "{ran:?}");
    }
    drop(published);
    let zone = records_of_this_device(&site, "local");
    let _published = publish(&site, &format!("{servers}{zone}"));
    forget(&site);
    let ran = run(network, &site, "--source dns").ok();
    assert_eq!(
        site.text("state/applied/configuration"),
        "hostname from-dns\n",
        "{ran:?}"
    );
}

/// TXT records with a configuration.
fn records_of_this_device(site: &Site, domain: &str) -> String {
    let bench = &site.bench;
    bench.write("edge.conf", "hostname from-dns\n");
    for command in [
        "conveyed-info onboarding --configuration edge.conf --configuration-handling merge --out \
         onboarding.json",
        "conveyed-info sign onboarding.json --owner-cert data/lab/owner/owner.crt --owner-key \
         data/lab/owner/owner.key --out conveyed-information.cms",
        "owner-certificate bundle data/lab/owner/owner.crt --out owner-certificate.cms",
    ] {
        bench.run(command).ok();
    }
    let records = format!("dns records --domain {domain} --serial-number {SERIAL} {ARTIFACTS}");
    bench.run(&records).ok().out
}

/// BIND with these records, as the system's DNS server of the device.
fn named(site: &Site, records: &str) -> Option<Daemon> {
    let zone = format!(
        "$TTL 60\n@ IN SOA ns hostmaster 1 7200 3600 1209600 3600\n@ IN NS ns\n\
         ns IN A 10.42.0.1\nboot IN A 10.42.0.1\nboot IN AAAA fd42::1\n{records}"
    );
    site.bench.write("birch.example.zone", zone);
    let directory = site.bench.path("");
    let config = format!(
        "options {{ directory \"{directory}\"; pid-file none; session-keyfile none; recursion no; \
         querylog yes; listen-on {{ any; }}; listen-on-v6 {{ any; }}; allow-query {{ any; }}; }};\n\
         controls {{ }};\n\
         zone \"birch.example\" {{ type primary; file \"birch.example.zone\"; }};\n",
        directory = directory.display()
    );
    site.bench.write("named.conf", config);
    resolver("nameserver 10.42.0.1\nsearch birch.example\n");
    Daemon::start(&site.bench, "named", "-g -c named.conf", " running")
}

/// A multicast responder that knows this host as `boot.local`, with the bus on which it is spoken to.
fn avahi(network: &Network, site: &Site) -> Option<(Daemon, Daemon)> {
    let there = Command::new(PYTHON)
        .args(["-c", "import dbus"])
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|status| status.success()) {
        absent("python3-dbus");
        return None;
    }
    one_user_as("avahi");
    // A record larger than the link carries, avahi does not send.
    network.jumbo_frames();
    site.bench.write("publish.py", include_str!("publish.py"));
    site.bench.write(
        "bus.conf",
        "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>\
         <auth>EXTERNAL</auth><policy context=\"default\"><allow own=\"*\"/>\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
    );
    site.bench.write(
        "avahi.conf",
        "[server]\nhost-name=boot\nallow-interfaces=servers\nenable-dbus=yes\n\
         [publish]\npublish-hinfo=no\npublish-workstation=no\n",
    );
    let bus = Daemon::start(
        &site.bench,
        "dbus-daemon",
        "--config-file=bus.conf --nofork --nopidfile --print-address",
        "unix:",
    )?;
    let file = site.bench.path("avahi.conf");
    let responder = Daemon::start(
        &site.bench,
        "avahi-daemon",
        &format!(
            "--no-drop-root --no-chroot --no-rlimits -f {}",
            file.display()
        ),
        "Server startup complete",
    )?;
    Some((bus, responder))
}

fn publish(site: &Site, zone: &str) -> Daemon {
    site.bench.write("published.zone", zone);
    let arguments = "publish.py published.zone";
    Daemon::start(&site.bench, PYTHON, arguments, "published").expect("it was there")
}

fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let found = rest.split_once(part);
        rest = found.unwrap_or_else(|| panic!("{part}: {text}")).1;
    }
}

/// That of Debian, whose packages its modules are.
const PYTHON: &str = "/usr/bin/python3";
