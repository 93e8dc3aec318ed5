//! The device in a network that is not its owner's, with real servers.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use sztp_server::model::Answer;

use crate::daemon::Daemon;
use crate::dhcp::{V4, V6, dnsmasq};
use crate::namespaces::alone;
use crate::rogue::{Rogue, only_what_is_allowed_and_a_nonce, take_over};
use crate::site::configuration;
use crate::story::{PORT, forget, run, site_answering};

/// What a device has to hide from whoever has no voucher for it.
const SECRETS: &str =
    "--hw-model AX7 --os-name AxOS --os-version 9.4.1 --send-nonce --allow-scripts";

// LEDGER: 8572-9.6-01, 8572-9.6-03, 8572-9.6-04, 8572-7.3-01, 8572-7.3-03
#[test]
fn a_rogue_dhcp_server_and_a_rogue_bootstrap_server() {
    alone(
        &a_rogue_dhcp_server_and_a_rogue_bootstrap_server,
        |network| {
            for address in ["10.42.0.42/24", "fe80::42/64", "fd42::42/64"] {
                network.address(address);
            }
            let site = site_answering("[fd42::1]", Answer::Onboarding(configuration()));
            let rogue =
                Rogue::start_at(Ipv4Addr::new(10, 42, 0, 1).into(), &site.bench, take_over());
            let url = format!("https://{}", rogue.address);
            let Some(_dhcp) = dnsmasq(&site.bench, V4, &url) else {
                return;
            };
            let options = format!("--dhcp-ask eth0 {SECRETS}");
            let ran = run(network, &site, &format!("{options} --dhcp-timeout 2"));
            let ran = ran.refused("artifacts.untrusted-onboarding");
            for name in ["applied", "attempt", "image"] {
                assert!(!site.bench.path("state").join(name).exists(), "{ran:?}");
            }
            assert_eq!(site.device_state(), "Unprovisioned");

            // It hinders nobody who has the owner's server beside it.
            let url = format!("https://[fd42::1]:{PORT}");
            let _owner = dnsmasq(&site.bench, V6, &url).expect("it was there");
            forget(&site);
            let ran = run(network, &site, &options).ok();
            assert!(ran.err.contains("told: bootstrap-complete"), "{ran:?}");
            assert_eq!(
                site.text("state/applied/configuration"),
                "hostname edge-42\n"
            );
            assert_eq!(site.device_state(), "Provisioned");

            let nonces = only_what_is_allowed_and_a_nonce(&rogue);
            assert_eq!(nonces.len(), 2, "{nonces:?}");
            assert_ne!(nonces[0], nonces[1]);
        },
    );
}

#[test]
fn a_server_that_speaks_tls_1_1_at_most() {
    alone(&a_server_that_speaks_tls_1_1_at_most, |network| {
        network.address("10.42.0.42/24");
        let site = site_answering("10.42.0.1", Answer::Onboarding(configuration()));
        let Some(_dhcp) = dnsmasq(&site.bench, V4, "https://10.42.0.1:9443") else {
            return;
        };
        // Debian's library does not do this at its usual level of security.
        let options = "-tls1_1 -cipher ALL:@SECLEVEL=0";
        let server = Daemon::start(
            &site.bench,
            "openssl",
            &format!(
                "s_server -accept 10.42.0.1:9443 -cert data/lab/server/tls.crt -key \
                 data/lab/server/tls.key -www {options}"
            ),
            "ACCEPT",
        );
        let Some(_server) = server else {
            return;
        };
        // Who wants to speak it can.
        let wanting = Command::new("openssl")
            .args(format!("s_client -connect 10.42.0.1:9443 {options}").split(' '))
            .stdin(Stdio::null())
            .output()
            .expect("openssl");
        let said = String::from_utf8_lossy(&wanting.stdout);
        assert!(said.contains("TLSv1.1"), "{said}");

        let ran = run(network, &site, "--dhcp-ask eth0");
        let ran = ran.refused("tls.version");
        assert!(ran.err.contains("[10.42.0.1:9443] no answer"), "{ran:?}");
        assert!(!site.bench.path("state/applied").exists());
        let device = crate::site::DEVICE;
        let bootstrap = format!("agent bootstrap {device} --dhcp-ask eth0 --out out");
        let ran = site.bench.run_by(network.device(), &bootstrap);
        let result = fs::read_to_string(site.bench.path("out/result.json")).expect("a result");
        let result: serde_json::Value = serde_json::from_str(&result).expect("JSON");
        assert_eq!(result["reason"], "VERSION", "{ran:?}");
        assert_eq!(ran.code, 1);
    });
}
