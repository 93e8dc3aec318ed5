//! Real DHCP servers give out what `sztp dhcp encode` writes, and the device is bootstrapped: asking by
//! itself, and from the leases of real DHCP clients.

use std::process::Stdio;

use crate::daemon::{Daemon, absent};
use crate::namespaces::{Network, alone};
use crate::site::Site;
use crate::story::{PORT, bootstraps, forget, run, site};
use crate::workbench::Workbench;

/// A family of addresses, as the servers have it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) use Family::{V4, V6};

impl Family {
    const fn name(self) -> &'static str {
        match self {
            V4 => "v4",
            V6 => "v6",
        }
    }

    const fn host(self) -> &'static str {
        match self {
            V4 => "10.42.0.1",
            V6 => "[fd42::1]",
        }
    }

    /// What the agent says of an answer.
    const fn told(self) -> &'static str {
        match self {
            V4 => "the DHCPv4 server 10.42.0.1 on eth0 names bootstrap servers",
            V6 => "the DHCPv6 server fe80::1 on eth0 names bootstrap servers",
        }
    }
}

#[test]
fn kea_and_dhcpv4() {
    alone(&kea_and_dhcpv4, |network| all_clients(network, V4, kea));
}

#[test]
fn kea_and_dhcpv6() {
    alone(&kea_and_dhcpv6, |network| all_clients(network, V6, kea));
}

#[test]
fn dhcpd_and_dhcpv4() {
    alone(&dhcpd_and_dhcpv4, |network| all_clients(network, V4, dhcpd));
}

#[test]
fn dhcpd_and_dhcpv6() {
    alone(&dhcpd_and_dhcpv6, |network| all_clients(network, V6, dhcpd));
}

#[test]
fn dnsmasq_and_dhcpv4() {
    alone(&dnsmasq_and_dhcpv4, |network| {
        all_clients(network, V4, dnsmasq);
    });
}

#[test]
fn dnsmasq_and_dhcpv6() {
    alone(&dnsmasq_and_dhcpv6, |network| {
        all_clients(network, V6, dnsmasq);
    });
}

/// A server that gives out this list of URIs.
type Start = fn(&Workbench, Family, &str) -> Option<Daemon>;

/// The agent asks by itself, and reads what dhclient and udhcpc have written down.
// LEDGER: 8572-4.3-01, 8572-8.1-01, 8572-8.1-02, 8572-8.2-01, 8572-8.2-02
fn all_clients(network: &Network, family: Family, start: Start) {
    let site = site(family.host());
    let url = format!("https://{}:{PORT}", family.host());
    let Some(_server) = start(&site.bench, family, &url) else {
        return;
    };
    match family {
        V4 => network.address("10.42.0.42/24"),
        V6 => {
            network.address("fe80::42/64");
            network.address("fd42::42/64");
        }
    }
    for ran in bootstraps(network, &site, "--dhcp-ask all") {
        assert!(ran.err.contains(family.told()), "{ran:?}");
    }
    if family == V4 {
        network.no_addresses();
    }
    if dhclient(network, &site, family) {
        bootstraps(network, &site, "--dhcp-lease dhclient.leases");
    }
    if family == V4 {
        network.no_addresses();
        if udhcpc(network, &site) {
            bootstraps(network, &site, "--dhcp-lease udhcpc.env");
        }
    }
}

// LEDGER: 8572-8.1-04, 3396-01, 8572-8.2-04
#[test]
fn lists_too_long_for_one_option_of_dhcpv4() {
    alone(&lists_too_long_for_one_option_of_dhcpv4, |network| {
        // Nobody is at the first ones.
        let url = (0..12).fold(String::new(), |urls, n| {
            format!("{urls}https://10.42.0.1:{} ", 9000 + n)
        });
        let url = format!("{url}https://10.42.0.1:{PORT}");
        network.address("10.42.0.42/24");
        let servers: [Start; 2] = [kea, dhcpd];
        for start in servers {
            let site = site("10.42.0.1");
            let Some(_server) = start(&site.bench, V4, &url) else {
                continue;
            };
            let [ran, _] = bootstraps(network, &site, "--dhcp-ask eth0");
            assert!(ran.err.contains("[10.42.0.1:9011] no answer"), "{ran:?}");
        }
    });
}

#[test]
fn several_servers_on_the_link() {
    alone(&several_servers_on_the_link, |network| {
        let site = site("10.42.0.1");
        let url = format!("https://10.42.0.1:{PORT}");
        let servers = (
            kea(&site.bench, V4, "https://10.42.0.1:9000"),
            dnsmasq(&site.bench, V6, &url),
        );
        let (Some(_v4), Some(_v6)) = servers else {
            return;
        };
        for address in ["10.42.0.42/24", "fe80::42/64", "fd42::42/64"] {
            network.address(address);
        }
        for ran in bootstraps(network, &site, "--dhcp-ask eth0") {
            assert!(ran.err.contains(V4.told()), "{ran:?}");
            assert!(ran.err.contains(V6.told()), "{ran:?}");
        }
    });
}

#[test]
fn beside_another_dhcp_client() {
    alone(&beside_another_dhcp_client, |network| {
        let site = site("10.42.0.1");
        let url = format!("https://10.42.0.1:{PORT}");
        let servers = (dhcpd(&site.bench, V4, &url), dnsmasq(&site.bench, V6, &url));
        let (Some(_v4), Some(_v6)) = servers else {
            return;
        };
        network.address("fe80::42/64");
        // They stay, with the port.
        if !dhclient(network, &site, V4) || !dhclient(network, &site, V6) {
            return;
        }
        for ran in bootstraps(network, &site, "--dhcp-ask eth0") {
            assert!(ran.err.contains(V4.told()), "{ran:?}");
            assert!(ran.err.contains(V6.told()), "{ran:?}");
        }
    });
}

#[test]
fn what_cannot_be_asked_is_said() {
    alone(&what_cannot_be_asked_is_said, |network| {
        let site = site("10.42.0.1");
        let says = |sources: &str, what: &str| {
            forget(&site);
            let ran = run(network, &site, sources).refused("device.unreachable");
            assert!(ran.err.contains(what), "{ran:?}");
        };
        says(
            "--dhcp-ask all",
            "no network interface has an address, which asking DHCP needs",
        );
        says(
            "--dhcp-ask eth0",
            "eth0 has neither an IPv4 address nor a link-local IPv6 address",
        );
        says(
            "--dhcp-ask eth9",
            "there is no network interface \"eth9\" that is up",
        );
        network.address("10.42.0.42/24");
        says(
            "--dhcp-ask eth0 --dhcp-timeout 1",
            "eth0: no DHCPv4 server answered within 1 s",
        );
        // As a user who may not have the port of DHCP clients.
        forget(&site);
        let mut device = network.device();
        device.args(["setpriv", "--bounding-set=-net_bind_service"]);
        let device_options = crate::site::DEVICE;
        let ran = site
            .bench
            .run_by(
                device,
                &format!("agent run {device_options} --dhcp-ask eth0"),
            )
            .refused("device.unreachable");
        let what = "eth0: DHCP clients have port 68, which needs root or CAP_NET_BIND_SERVICE";
        assert!(ran.err.contains(what), "{ran:?}");
    });
}

fn encoded(bench: &Workbench, family: Family, urls: &str, format: &str) -> String {
    let family = family.name();
    let command = format!("dhcp encode {urls} --family {family} --format {format}");
    bench.run(&command).ok().out
}

fn kea(bench: &Workbench, family: Family, urls: &str) -> Option<Daemon> {
    let written = encoded(bench, family, urls, "kea");
    let mut config: serde_json::Value = serde_json::from_str(&written).expect("JSON");
    let (program, section, subnets) = match family {
        V4 => ("kea-dhcp4", "Dhcp4", "subnet4"),
        V6 => ("kea-dhcp6", "Dhcp6", "subnet6"),
    };
    let server = &mut config[section];
    server["interfaces-config"] = serde_json::json!({ "interfaces": ["servers"] });
    server["lease-database"] = serde_json::json!({ "type": "memfile", "persist": false });
    server["loggers"] = serde_json::json!([{
        "name": program, "severity": "INFO", "output_options": [{ "output": "stdout" }],
    }]);
    let pool = match family {
        V4 => serde_json::json!({
            "subnet": "10.42.0.0/24", "pools": [{ "pool": "10.42.0.100-10.42.0.150" }],
        }),
        V6 => serde_json::json!({
            "subnet": "fd42::/64", "interface": "servers",
            "pools": [{ "pool": "fd42::100-fd42::1ff" }],
        }),
    };
    server[subnets] = serde_json::json!([pool]);
    if family == V6 {
        server["data-directory"] = "/run/kea".into();
    }
    let file = format!("{program}.json");
    bench.write(&file, config.to_string());
    Daemon::start(bench, program, &format!("-c {file}"), "_STARTED ")
}

fn dhcpd(bench: &Workbench, family: Family, urls: &str) -> Option<Daemon> {
    let option = encoded(bench, family, urls, "isc");
    let (flag, subnet) = match family {
        V4 => (
            "-4",
            "authoritative;\nsubnet 10.42.0.0 netmask 255.255.255.0 \
             { range 10.42.0.100 10.42.0.150; }",
        ),
        V6 => ("-6", "subnet6 fd42::/64 { range6 fd42::100 fd42::1ff; }"),
    };
    bench.write("dhcpd.conf", format!("{option}{subnet}\n"));
    bench.write("dhcpd.leases", "");
    let arguments = format!("{flag} -f -d --no-pid -cf dhcpd.conf -lf dhcpd.leases servers");
    Daemon::start(bench, "dhcpd", &arguments, "Server starting service.")
}

pub(crate) fn dnsmasq(bench: &Workbench, family: Family, urls: &str) -> Option<Daemon> {
    bench.write("dnsmasq.conf", encoded(bench, family, urls, "dnsmasq"));
    let range = match family {
        V4 => "10.42.0.100,10.42.0.150",
        V6 => "fd42::100,fd42::1ff",
    };
    let arguments = format!(
        "--no-daemon --conf-file=dnsmasq.conf --port=0 --dhcp-range={range} \
         --interface=servers --bind-interfaces --dhcp-leasefile=dnsmasq.leases \
         --log-facility=-"
    );
    Daemon::start(bench, "dnsmasq", &arguments, "sockets bound exclusively")
}

/// ISC's client gets a lease, and the address in it.
fn dhclient(network: &Network, site: &Site, family: Family) -> bool {
    let (flag, option) = match family {
        V4 => ("-4", "sztp-redirect"),
        V6 => ("-6", "dhcp6.sztp-redirect"),
    };
    let code = match family {
        V4 => 143,
        V6 => 136,
    };
    site.bench.write(
        "dhclient.conf",
        format!("option {option} code {code} = string;\nalso request {option};\n"),
    );
    script(
        site,
        "dhclient-script",
        "case $reason in BOUND|REBOOT) ip address add $new_ip_address/24 dev $interface ;; esac",
    );
    site.bench.write("dhclient.leases", "");
    let script = site.bench.path("dhclient-script");
    gets_a_lease(
        network,
        site,
        &format!(
            "dhclient {flag} -1 -cf dhclient.conf -lf dhclient.leases -pf dhclient.pid -sf {} eth0",
            script.display()
        ),
    )
}

/// BusyBox' client gets a lease, and the address in it.
fn udhcpc(network: &Network, site: &Site) -> bool {
    script(
        site,
        "udhcpc-script",
        "[ $1 = bound ] || exit 0\nip address add $ip/24 dev $interface\nenv > udhcpc.env",
    );
    let script = site.bench.path("udhcpc-script");
    gets_a_lease(
        network,
        site,
        &format!("udhcpc -i eth0 -f -q -n -O 143 -s {}", script.display()),
    )
}

fn gets_a_lease(network: &Network, site: &Site, command: &str) -> bool {
    let program = command.split(' ').next().expect("a program");
    let there = std::process::Command::new(program)
        .arg("--version")
        .output();
    if there.is_err() {
        absent(program);
        return false;
    }
    // In the background it keeps its output open.
    let status = network
        .device()
        .args(command.split(' '))
        .current_dir(site.bench.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("nsenter").success(), "{command}");
    true
}

fn script(site: &Site, name: &str, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    site.bench.write(name, format!("#!/bin/sh\n{content}\n"));
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(site.bench.path(name), mode).expect("a mode");
}
