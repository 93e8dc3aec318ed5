//! Records as `sztp dns records` writes them, judged and read back by BIND.

#[allow(dead_code)]
mod workbench;

use sztp_core::dns::{TxtRecord, bootstrapping_data};
use workbench::Workbench;

const HEAD: &str = "$TTL 3600\n@ IN SOA ns hostmaster 1 7200 3600 1209600 3600\n@ IN NS ns\n\
    ns IN A 192.0.2.53\nboot-a IN A 192.0.2.7\nboot-b IN AAAA 2001:db8::7\n";
const RECORDS: &str = "dns records --domain birch.example";
const ARTIFACTS: &str = "--conveyed-information conveyed-information.cms --owner-certificate \
    owner-certificate.cms --ownership-voucher voucher.vcj";

#[test]
fn bootstrap_servers_for_all() {
    let bench = Workbench::new();
    let ran = bench
        .run(&format!(
            "{RECORDS} --target boot-a.birch.example --target boot-b.birch.example. --port 8443"
        ))
        .ok();
    assert_eq!(
        ran.out,
        "_sztp._tcp.birch.example. 3600 IN SRV 0 0 8443 boot-a.birch.example.\n\
         _sztp._tcp.birch.example. 3600 IN SRV 1 0 8443 boot-b.birch.example.\n"
    );
    let Some(compiled) = compile(&bench, &ran.out) else {
        return;
    };
    let servers = compiled.lines().filter(|line| line.contains("SRV"));
    assert_eq!(servers.count(), 2, "{compiled}");
    // The judge does judge.
    bench.write(
        "zone",
        format!("{HEAD}{}", ran.out.replace(" 8443 ", " 65536 ")),
    );
    let verdict = bench.run_other("named-checkzone", "birch.example zone");
    assert_ne!(verdict.expect("still there").code, 0);
}

#[test]
fn artifacts_of_one_device_come_back_octet_for_octet() {
    // LEDGER: 8572-4.2.2-01, 8572-4.2.2-03
    let bench = Workbench::new();
    bench.make_artifacts();
    for serial_number in ["AX7-00042", "AX7.42/a;(b)@$\"\\"] {
        bench
            .run(&format!(
                "voucher issue --serial-number {serial_number} --pinned-domain-cert \
                 lab/owner/pinned-domain-ca.crt --signer-cert lab/vendor/masa.crt \
                 --signer-key lab/vendor/masa.key --out voucher.vcj"
            ))
            .ok();
        let ran = bench
            .run(&format!(
                "{RECORDS} --serial-number {serial_number} {ARTIFACTS}"
            ))
            .ok();
        assert!(ran.err.contains("DNS over TCP"), "{ran:?}");
        let Some(compiled) = compile(&bench, &ran.out) else {
            return;
        };
        let records: Vec<TxtRecord> = compiled.lines().filter_map(text_record).collect();
        assert_eq!(records.len(), 3, "{compiled}");
        let data = bootstrapping_data(&records).expect("the artifacts");
        assert_eq!(
            data.conveyed_information,
            bench.read("conveyed-information.cms")
        );
        assert_eq!(
            data.owner_certificate,
            Some(bench.read("owner-certificate.cms"))
        );
        assert_eq!(data.ownership_voucher, Some(bench.read("voucher.vcj")));
    }
}

#[test]
fn a_redirect_may_be_unsigned_and_nothing_else() {
    // LEDGER: 8572-4.2-02
    let bench = Workbench::new();
    bench.make_artifacts();
    for (name, arguments) in [
        ("redirect", "redirect --server boot.example"),
        ("unsigned", "onboarding --os-name x"),
    ] {
        bench
            .run(&format!("conveyed-info {arguments} --out {name}.json"))
            .ok();
        let info = sztp_core::conveyed_info::ConveyedInfo::decode(
            &bench.read(&format!("{name}.json")),
            sztp_voucher::yang::Encoding::Json,
        );
        let artifact = sztp_core::artifacts::unsigned_artifact(
            &info.expect("conveyed information"),
            sztp_voucher::yang::Encoding::Json,
        );
        bench.write(&format!("{name}.cms"), artifact);
    }
    let device = "--serial-number AX7-00042 --conveyed-information";
    let ran = bench.run(&format!("{RECORDS} {device} redirect.cms -o json"));
    let records = ran.ok().json()["records"].clone();
    assert_eq!(records.as_array().expect("records").len(), 1);
    assert_eq!(records[0]["data"]["key"], "ci");
    bench
        .run(&format!("{RECORDS} {device} unsigned.cms"))
        .refused("artifacts.untrusted-onboarding");
    bench
        .run(&format!(
            "{RECORDS} {device} redirect.cms --ownership-voucher voucher.vcj"
        ))
        .refused("artifacts.not-signed");
    bench
        .run(&format!("{RECORDS} {device} conveyed-information.cms"))
        .refused("artifacts.owner-certificate-absent");
    bench
        .run(&format!(
            "{RECORDS} {device} conveyed-information.cms --owner-certificate owner-certificate.cms"
        ))
        .refused("artifacts.voucher-absent");
}

#[test]
fn records_that_cannot_be() {
    let bench = Workbench::new();
    bench.make_artifacts();
    for target in ["192.0.2.7", "2001:db8::7", "boot_example!", "."] {
        bench
            .run(&format!("{RECORDS} --target {target}"))
            .refused("dns.target");
    }
    bench
        .run(&format!("{RECORDS} --target boot.example --port 0"))
        .refused("dns.target");
    bench
        .run("dns records --domain a..b --target boot.example")
        .refused("dns.label-length");
    bench
        .run("dns records --domain a\\2 --target boot.example")
        .refused("dns.escape");
    let long = "9".repeat(64);
    bench
        .run(&format!("{RECORDS} --serial-number {long} {ARTIFACTS}"))
        .refused("dns.label-length");
    bench
        .run(&format!("{RECORDS} --serial-number AX7-00043 {ARTIFACTS}"))
        .refused("voucher.serial-mismatch");
    // LEDGER: 8572-4.2.4-01
    bench.write("edge.conf", "x".repeat(70_000));
    bench
        .run(
            "conveyed-info onboarding --configuration edge.conf --configuration-handling replace \
             --out onboarding.json",
        )
        .ok();
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert lab/owner/owner.crt --owner-key \
             lab/owner/owner.key --out conveyed-information.cms",
        )
        .ok();
    bench
        .run(&format!("{RECORDS} --serial-number AX7-00042 {ARTIFACTS}"))
        .refused("dns.record-too-large");
    bench.run(RECORDS).rejected();
    bench
        .run(&format!("{RECORDS} --serial-number AX7-00042"))
        .rejected();
}

/// The zone with these records as BIND understands it, one record a line.
fn compile(bench: &Workbench, records: &str) -> Option<String> {
    bench.write("zone", format!("{HEAD}{records}"));
    bench
        .run_other("named-checkzone", "-i local birch.example zone")?
        .ok();
    bench
        .run_other(
            "named-compilezone",
            "-i local -s full -o compiled birch.example zone",
        )?
        .ok();
    Some(String::from_utf8(bench.read("compiled")).expect("text"))
}

/// A TXT record in a line of a zone file.
fn text_record(line: &str) -> Option<TxtRecord> {
    let (_, data) = line.split_once("TXT")?;
    let mut strings = Vec::new();
    let mut octets = data.bytes();
    while octets.by_ref().any(|octet| octet == b'"') {
        let mut string = Vec::new();
        loop {
            match octets.next()? {
                b'"' => break,
                b'\\' => match octets.next()? {
                    first if first.is_ascii_digit() => {
                        let digits = [first, octets.next()?, octets.next()?];
                        string.push(std::str::from_utf8(&digits).ok()?.parse().ok()?);
                    }
                    literal => string.push(literal),
                },
                octet => string.push(octet),
            }
        }
        strings.push(string);
    }
    TxtRecord::new(strings).ok()
}
