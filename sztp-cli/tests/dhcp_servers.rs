//! Options 143 and 136 as `sztp dhcp` writes them, judged by the DHCP servers they are for.

#[allow(dead_code)]
mod workbench;

use workbench::Workbench;

#[test]
fn kea_takes_what_is_written_for_it() {
    let bench = Workbench::new();
    for (family, program, section) in [("v4", "kea-dhcp4", "Dhcp4"), ("v6", "kea-dhcp6", "Dhcp6")] {
        for count in [1, 12, 64] {
            let uris = uris(count);
            let ran = bench.run(&format!(
                "dhcp encode {uris} --family {family} --format kea"
            ));
            let mut config = ran.ok().json();
            let server = &mut config[section];
            server["interfaces-config"] = serde_json::json!({ "interfaces": [] });
            server["lease-database"] = serde_json::json!({ "type": "memfile", "persist": false });
            bench.write("kea.json", config.to_string());
            let Some(verdict) = bench.run_other(program, "-t kea.json") else {
                break;
            };
            verdict.ok();
            // The judge does judge.
            let data = &mut config[section]["option-data"][0]["data"];
            *data = "not hexadecimal".into();
            bench.write("kea.json", config.to_string());
            let verdict = bench
                .run_other(program, "-t kea.json")
                .expect("still there");
            assert_ne!(verdict.code, 0, "{verdict:?}");
        }
    }
}

#[test]
fn dhcpd_takes_what_is_written_for_it() {
    let bench = Workbench::new();
    for (family, flag, subnet) in [
        ("v4", "-4", "subnet 192.0.2.0 netmask 255.255.255.0 { }"),
        ("v6", "-6", "subnet6 2001:db8::/64 { }"),
    ] {
        for (format, count) in [("isc", 1), ("isc", 12), ("isc", 64), ("isc-text", 1)] {
            let uris = uris(count);
            let ran = bench
                .run(&format!(
                    "dhcp encode {uris} --family {family} --format {format}"
                ))
                .ok();
            assert_eq!(ran.err.contains("note: plain text"), format == "isc-text");
            bench.write("dhcpd.conf", format!("{}{subnet}\n", ran.out));
            let arguments = format!("{flag} -t -q -cf dhcpd.conf -lf /dev/null");
            let Some(verdict) = bench.run_other("dhcpd", &arguments) else {
                break;
            };
            verdict.ok();
            let damaged = ran.out.replace(';', ":zz;");
            bench.write("dhcpd.conf", format!("{damaged}{subnet}\n"));
            let verdict = bench.run_other("dhcpd", &arguments).expect("still there");
            assert_ne!(verdict.code, 0, "{verdict:?}");
        }
    }
}

#[test]
fn dnsmasq_takes_what_is_written_for_it_up_to_its_limit() {
    let bench = Workbench::new();
    // What one entry more or one octet more of it would be, dnsmasq itself refuses.
    for (family, most) in [("v4", 255), ("v6", 333)] {
        for octets in [40, most - 1, most] {
            let uris = uris_of(octets);
            let ran = bench.run(&format!(
                "dhcp encode {uris} --family {family} --format dnsmasq"
            ));
            let ran = ran.ok();
            bench.write("dnsmasq.conf", &ran.out);
            let Some(verdict) = bench.run_other("dnsmasq", "--test -C dnsmasq.conf") else {
                return;
            };
            verdict.ok();
            if octets == most {
                bench.write("dnsmasq.conf", ran.out.trim_end().to_owned() + ":00\n");
                let verdict = bench.run_other("dnsmasq", "--test -C dnsmasq.conf");
                assert_ne!(verdict.expect("still there").code, 0, "{family}");
            }
        }
        let uris = uris_of(most + 1);
        bench
            .run(&format!(
                "dhcp encode {uris} --family {family} --format dnsmasq"
            ))
            .refused("dhcp.too-long-for-server");
    }
}

#[test]
fn what_is_written_is_read_as_a_device_does() {
    let bench = Workbench::new();
    for (family, count) in [("v4", 1), ("v4", 12), ("v6", 2), ("v6", 64)] {
        let uris = uris(count);
        let written = bench.run(&format!("dhcp encode {uris} --family {family} -o json"));
        let written = written.ok().json();
        for form in ["value", "option"] {
            let hex = written[form].as_str().expect("octets");
            let read = bench.run(&format!("dhcp decode {hex} --family {family} -o json"));
            assert_eq!(read.ok().json()["uris"], written["uris"]);
        }
        // The code says which family it is; a value by itself does not.
        let hex = written["option"].as_str().expect("octets");
        let read = bench.run(&format!("dhcp decode {hex} -o json")).ok().json();
        assert_eq!(read["code"], written["code"]);
        let other = if family == "v4" { "v6" } else { "v4" };
        bench
            .run(&format!("dhcp decode {hex} --family {other}"))
            .refused("dhcp.option-absent");
    }
    // As Cisco writes it, and as dhcpd does.
    let cisco = bench
        .run("dhcp encode https://a.example --format cisco")
        .ok();
    let hex = cisco.out.trim().rsplit(' ').next().expect("octets");
    let read = bench.run(&format!("dhcp decode {hex}")).ok();
    assert!(read.out.contains("https://a.example"), "{read:?}");
}

#[test]
fn what_is_no_option_is_refused() {
    let bench = Workbench::new();
    for (uri, code) in [
        ("http://boot.example", "dhcp.uri-scheme"),
        ("https://boot.example/restconf", "dhcp.uri-path"),
        ("https://boot.example:0", "dhcp.uri-port"),
        ("https://boot_/", "dhcp.uri-path"),
        ("https://192.0.2.300", "dhcp.uri-host"),
        ("https://a@boot.example", "dhcp.uri-user-information"),
        ("https://boot.example?x", "dhcp.uri-query"),
    ] {
        bench.run(&format!("dhcp encode {uri}")).refused(code);
    }
    let too_many = uris(65);
    bench
        .run(&format!("dhcp encode {too_many}"))
        .refused("dhcp.too-many-uris");
    bench
        .run("dhcp encode https://a.example https://b.example --format isc-text")
        .refused("dhcp.several-as-text");
    bench
        .run("dhcp encode https://a.example --family v6 --format cisco")
        .refused("dhcp.not-served");
    bench.run("dhcp encode").rejected();
    bench.run("dhcp decode 8f3").misused("usage.value");
    bench.run("dhcp decode xyz").misused("usage.value");
    bench
        .run("dhcp decode 8f05aa")
        .refused("dhcp.truncated-option");
    bench.run("dhcp decode 8f00").refused("dhcp.empty");
    bench.run("dhcp decode 0000").refused("dhcp.no-usable-uri");
}

#[test]
fn plain_text_is_read_only_when_asked_for() {
    // LEDGER: 8572-8.3-04
    let bench = Workbench::new();
    let url = "https://10.1.1.1:30617/restconf/operations/\
        ietf-sztp-bootstrap-server:get-bootstrap-data";
    let octets: Vec<String> = url.bytes().map(|octet| format!("{octet:02x}")).collect();
    let hex = octets.join(":");
    bench
        .run(&format!("dhcp decode {hex}"))
        .refused("dhcp.plain-text");
    let read = bench.run(&format!("dhcp decode {hex} --lenient -o json"));
    let read = read.ok().json();
    assert_eq!(read["uris"], serde_json::json!(["https://10.1.1.1:30617"]));
    assert_eq!(read["notes"].as_array().expect("notes").len(), 2);
}

/// So many URIs with a blank between.
fn uris(count: usize) -> String {
    let uris: Vec<String> = (0..count)
        .map(|n| format!("https://boot-{n:02}.birch.example:8443"))
        .collect();
    uris.join(" ")
}

/// URIs that take exactly so many octets as a list.
fn uris_of(octets: usize) -> String {
    const ENTRY: usize = 40;
    let mut left = octets;
    let mut uris = Vec::new();
    while left > 0 {
        let entry = if left >= 2 * ENTRY { ENTRY } else { left };
        let label = entry - "..https://.a".len();
        let name = if label > 63 {
            format!("{}.{}", "b".repeat(label - 31), "b".repeat(30))
        } else {
            "b".repeat(label)
        };
        uris.push(format!("https://{name}.a"));
        left -= entry;
    }
    uris.join(" ")
}
