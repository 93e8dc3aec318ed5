//! Sticks written by `sztp usb write` and judged by `sztp usb verify`: good ones, and each flaw.

#[allow(dead_code)]
mod workbench;

use workbench::{Ran, Workbench};

const FILES: &str = "--voucher voucher.vcj --owner-certificate owner-certificate.cms \
    --conveyed-information conveyed-information.cms";
const TRUST: &str = "--trust-anchor lab/vendor/root.crt --at 2026-12-02";
const LAYOUTS: [(&str, &str); 2] = [
    ("rfc8572", "AX7-00042"),
    ("ios-xr", "EN9/AX7-00042/bootstrapping-data"),
];

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.make_artifacts();
    std::fs::create_dir(bench.path("stick")).expect("a directory");
    bench
}

fn write(bench: &Workbench, more: &str) -> Ran {
    bench.run(&format!(
        "usb write stick --serial-number AX7-00042 {FILES} {TRUST}{more}"
    ))
}

fn verify(bench: &Workbench, more: &str) -> Ran {
    bench.run(&format!(
        "usb verify stick --serial-number AX7-00042 {TRUST}{more}"
    ))
}

#[test]
fn what_is_written_is_accepted_in_each_layout() {
    // LEDGER: 8572-4.1-03, 8572-4.1-05, 8572-4.1-06
    let bench = bench();
    for (layout, directory) in LAYOUTS {
        let more = format!(" --layout {layout}");
        verify(&bench, &more).refused("usb.nothing-for-device");
        write(&bench, &more).ok();
        for (source, name) in [
            ("conveyed-information.cms", "conveyed-information.cms"),
            ("owner-certificate.cms", "owner-certificate.cms"),
            ("voucher.vcj", "ownership-voucher.vcj"),
        ] {
            let stored = bench.read(&format!("stick/{directory}/{name}"));
            assert_eq!(stored, bench.read(source), "{layout} {name}");
        }
        let verdict = verify(&bench, &format!("{more} -o json")).ok().json();
        assert_eq!(verdict["valid"], true);
        assert_eq!(
            verdict["files"]["ownership-voucher"],
            format!("{directory}/ownership-voucher.vcj")
        );
        assert!(verify(&bench, &more).ok().out.contains("hostname edge-42"));
    }
    let more = " --layout ios-xr -o json";
    write(&bench, &format!("{more} --ztp-actions voucher.vcj")).ok();
    assert_eq!(
        verify(&bench, more).ok().json()["files"]["ztp-actions"],
        "EN9/AX7-00042/bootstrapping-data/ztp_actions.cms"
    );
    // The other device on the stick finds nothing of its own.
    bench
        .run(&format!(
            "usb verify stick --serial-number AX7-00043 {TRUST}"
        ))
        .refused("usb.nothing-for-device");
}

#[test]
fn text_becomes_binary_on_the_way() {
    // LEDGER: 8572-4.1-03
    let bench = bench();
    let pem = |name: &str| {
        use base64::Engine as _;
        let octets = bench.read(name);
        let text = base64::engine::general_purpose::STANDARD.encode(octets);
        format!("-----BEGIN CMS-----\n{text}\n-----END CMS-----\n")
    };
    let (voucher, binary) = (pem("voucher.vcj"), bench.read("voucher.vcj"));
    bench.write("voucher.vcj", &voucher);
    write(&bench, "").ok();
    let stored = "stick/AX7-00042/ownership-voucher.vcj";
    assert_eq!(bench.read(stored), binary);
    // By other means it comes onto the stick as it is, and the device cannot read it.
    bench.write(stored, &voucher);
    verify(&bench, "").refused("usb.not-binary");
}

#[test]
fn only_signed_data_of_this_device_is_written() {
    // LEDGER: 8572-4.1-02
    let bench = bench();
    let nothing_written = || {
        let mut entries = std::fs::read_dir(bench.path("stick")).expect("the stick");
        assert!(entries.next().is_none());
    };
    bench
        .run(&format!(
            "usb write stick --serial-number AX7-00043 {FILES}"
        ))
        .refused("voucher.serial-mismatch");
    let foreign = "--trust-anchor lab/owner/pinned-domain-ca.crt --at 2026-12-02";
    bench
        .run(&format!(
            "usb write stick --serial-number AX7-00042 {FILES} {foreign}"
        ))
        .refused("voucher.untrusted-signer");
    bench
        .run("conveyed-info redirect --server boot.example --out redirect.json")
        .ok();
    let unsigned = |name: &str| {
        let encoding = sztp_voucher::yang::Encoding::Json;
        let info = sztp_core::conveyed_info::ConveyedInfo::decode(&bench.read(name), encoding);
        sztp_core::artifacts::unsigned_artifact(&info.expect("conveyed information"), encoding)
    };
    for (name, code) in [
        ("redirect.json", "artifacts.not-signed"),
        ("onboarding.json", "artifacts.untrusted-onboarding"),
    ] {
        bench.write("conveyed-information.cms", unsigned(name));
        write(&bench, "").refused(code);
    }
    bench.write(
        "conveyed-information.cms",
        bench.read("owner-certificate.cms"),
    );
    write(&bench, "").refused("artifacts.not-signed");
    nothing_written();
    bench
        .run(&format!(
            "usb write nowhere --serial-number AX7-00042 {FILES}"
        ))
        .refused("usb.no-directory");
    write(&bench, " --ztp-actions edge.conf").misused("usage.value");
    bench.run(&format!("usb write stick {FILES}")).rejected();
}

#[test]
fn without_trust_anchors_it_says_what_was_not_judged() {
    let bench = bench();
    let ran = bench.run(&format!(
        "usb write stick --serial-number AX7-00042 {FILES}"
    ));
    assert!(
        ran.ok()
            .err
            .contains("note: the signatures were not judged")
    );
    verify(&bench, "").ok();
}

#[test]
fn each_flaw_has_its_verdict() {
    let bench = bench();
    write(&bench, "").ok();
    let own = |name: &str| format!("stick/AX7-00042/{name}");
    bench
        .run(
            "usb verify stick --serial-number AX7-00042 --trust-anchor \
             lab/owner/pinned-domain-ca.crt --at 2026-12-02",
        )
        .refused("voucher.untrusted-signer");
    for (name, octets, code) in [
        ("conveyed-information.cms", b"\x30\x80\xff".to_vec(), "cms."),
        (
            "conveyed-information.cms",
            b"hello".to_vec(),
            "usb.not-binary",
        ),
        (
            "ownership-voucher.vcj",
            vec![0xff; 5 * 1024 * 1024],
            "file.too-large",
        ),
        ("owner-certificate.cms", Vec::new(), "file.empty"),
    ] {
        let good = bench.read(&own(name));
        bench.write(&own(name), octets);
        let ran = verify(&bench, "");
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(&format!("error[{code}")), "{ran:?}");
        bench.write(&own(name), good);
    }
    for name in ["owner-certificate.cms", "ownership-voucher.vcj"] {
        let good = bench.read(&own(name));
        std::fs::remove_file(bench.path(&own(name))).expect("removed");
        verify(&bench, "").refused("usb.incomplete");
        bench.write(&own(name), good);
    }
    verify(&bench, "").ok();
    bench
        .run(&format!(
            "usb verify nowhere --serial-number AX7-00042 {TRUST}"
        ))
        .refused("usb.no-directory");
}

#[test]
fn files_at_the_top_are_for_the_one_device_of_a_stick() {
    let bench = bench();
    for (source, name) in [
        ("conveyed-information.cms", "conveyed-information.cms"),
        ("owner-certificate.cms", "owner-certificate.cms"),
        ("voucher.vcj", "ownership-voucher.cms"),
    ] {
        bench.write(&format!("stick/{name}"), bench.read(source));
    }
    verify(&bench, "").ok();
    verify(&bench, " --layout ios-xr").refused("usb.nothing-for-device");
    bench
        .run(&format!(
            "usb verify stick --serial-number AX7-00043 {TRUST}"
        ))
        .refused("voucher.serial-mismatch");
    // A device's own files come first; if they are no good, those at the top are tried.
    std::fs::create_dir(bench.path("stick/AX7-00042")).expect("a directory");
    bench.write("stick/AX7-00042/conveyed-information.cms", b"\x30\x80\xff");
    verify(&bench, "").ok();
}

#[test]
#[cfg(unix)]
fn symbolic_links_are_no_files() {
    let bench = bench();
    write(&bench, "").ok();
    std::fs::rename(bench.path("stick/AX7-00042"), bench.path("elsewhere")).expect("moved");
    std::os::unix::fs::symlink(bench.path("elsewhere"), bench.path("stick/AX7-00042"))
        .expect("a link");
    verify(&bench, "").refused("usb.nothing-for-device");
}

#[test]
fn an_image_on_the_stick_is_compared_with_its_hash() {
    // LEDGER: 8572-4.1-07
    let bench = bench();
    bench.write("xr.iso", vec![7; 100_000]);
    bench
        .run(
            "conveyed-info onboarding --os-name IOSXR --image xr.iso --download-uri \
             file:///disk2:/images/xr.iso --out onboarding.json",
        )
        .ok();
    bench
        .run(
            "conveyed-info sign onboarding.json --owner-cert lab/owner/owner.crt --owner-key \
             lab/owner/owner.key --out conveyed-information.cms",
        )
        .ok();
    let layout = " --layout ios-xr";
    write(&bench, layout).ok();
    verify(&bench, layout).refused("usb.image-absent");
    std::fs::create_dir(bench.path("other")).expect("a directory");
    bench.write("other/xr.iso", [8; 10]);
    write(&bench, &format!("{layout} --image other/xr.iso")).refused("usb.image-mismatch");
    write(&bench, &format!("{layout} --image xr.iso")).ok();
    assert_eq!(bench.read("stick/images/xr.iso"), vec![7; 100_000]);
    let verdict = verify(&bench, &format!("{layout} -o json")).ok().json();
    assert_eq!(verdict["files"]["images"][0], "images/xr.iso");
    bench.write("stick/images/xr.iso", vec![8; 100_000]);
    verify(&bench, layout).refused("usb.image-mismatch");
}
