//! The sources that need no DHCP: a stick, and a server known from manufacture.

use crate::daemon::Daemon;
use crate::namespaces::{alone, resolver};
use crate::site::SERIAL;
use crate::story::{PORT, bootstraps, site};

// LEDGER: 8572-4.1-02
#[test]
fn a_stick_leads_to_the_server() {
    alone(&a_stick_leads_to_the_server, |network| {
        network.address("fe80::42/64");
        network.address("fd42::42/64");
        let site = site("[fd42::1]");
        let bench = &site.bench;
        std::fs::create_dir(bench.path("stick")).expect("a directory");
        for command in [
            &format!(
                "conveyed-info redirect --server [fd42::1]:{PORT} --trust-anchor \
                 data/lab/server/tls-ca.crt --out redirect.json"
            ),
            "conveyed-info sign redirect.json --owner-cert data/lab/owner/owner.crt --owner-key \
             data/lab/owner/owner.key --out conveyed-information.cms",
            "owner-certificate bundle data/lab/owner/owner.crt --out owner-certificate.cms",
            &format!(
                "usb write stick --serial-number {SERIAL} --voucher voucher.vcj \
                 --owner-certificate owner-certificate.cms --conveyed-information \
                 conveyed-information.cms"
            ),
        ] {
            bench.run(command).ok();
        }
        for ran in bootstraps(network, &site, "--removable stick") {
            // The owner has vouched for the server's trust anchor.
            let asked = "[[fd42::1]:8443] asking for bootstrapping data (the server must \
                         authenticate)";
            assert!(ran.err.contains(asked), "{ran:?}");
        }
    });
}

// LEDGER: 8572-4.4-01
#[test]
fn a_server_known_from_manufacture_by_name() {
    alone(&a_server_known_from_manufacture_by_name, |network| {
        network.address("10.42.0.42/24");
        let site = site("boot.birch.example");
        resolver("nameserver 10.42.0.1\n");
        let server = Daemon::start(
            &site.bench,
            "dnsmasq",
            "--no-daemon --conf-file=/dev/null --no-resolv --no-hosts \
             --interface=servers --bind-interfaces --address=/boot.birch.example/10.42.0.1 \
             --log-facility=-",
            "started, version",
        );
        let Some(_dns) = server else {
            return;
        };
        let servers = format!(
            "--server https://boot.birch.example:{PORT} --server-ca data/lab/server/tls-ca.crt"
        );
        bootstraps(network, &site, &servers);
    });
}
