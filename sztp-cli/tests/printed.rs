//! What is printed for people and for programs, compared with files in `tests/output`.
//!
//! With `SZTP_BLESS` set, the files are written instead: read the difference before committing it.

#[allow(dead_code)]
mod workbench;

use std::path::Path;

use workbench::{Ran, Workbench};

const VERIFY: &str =
    "voucher verify voucher.vcj --trust-anchor lab/vendor/root.crt --at 2026-12-02";
const ARTIFACTS: &str = "artifacts verify --voucher voucher.vcj --owner-certificate \
    owner-certificate.cms --conveyed-information conveyed-information.cms --trust-anchor \
    lab/vendor/root.crt --at 2026-12-02";

#[test]
fn vouchers() {
    let bench = Workbench::new();
    bench.make_artifacts();
    let more = "--idevid-issuer lab/vendor/idevid-ca.crt --nonce AQIDBAUGBwgJCgsMDQ4PEA==";
    compare("voucher-issue", &bench.issue(more, "full.vcj"));
    compare("voucher-inspect", &bench.run("voucher inspect voucher.vcj"));
    compare(
        "voucher-inspect-json",
        &bench.run("voucher inspect voucher.vcj -o json"),
    );
    compare(
        "voucher-inspect-yaml",
        &bench.run("voucher inspect voucher.vcj -o yaml"),
    );
    compare(
        "voucher-valid",
        &bench.run(&format!("{VERIFY} --serial-number AX7-00042")),
    );
    compare(
        "voucher-refused",
        &bench.run(&format!("{VERIFY} --serial-number AX7-00043")),
    );
    compare(
        "voucher-refused-json",
        &bench.run(&format!("{VERIFY} --serial-number AX7-00043 -o json")),
    );
}

#[test]
fn conveyed_information() {
    let bench = Workbench::new();
    bench.make_artifacts();
    compare(
        "conveyed-info-inspect",
        &bench.run("conveyed-info inspect conveyed-information.cms"),
    );
    compare(
        "conveyed-info-redirect",
        &bench.run("conveyed-info redirect --server [2001:db8::7]:8443 --server boot.example --out redirect.xml"),
    );
    compare(
        "owner-certificate-bundle",
        &bench.run("owner-certificate bundle lab/owner/owner.crt lab/owner/pinned-domain-ca.crt --out oc.cms"),
    );
}

#[test]
fn artifacts() {
    let bench = Workbench::new();
    bench.make_artifacts();
    compare(
        "artifacts-valid",
        &bench.run(&format!("{ARTIFACTS} --serial-number AX7-00042")),
    );
    compare(
        "artifacts-valid-json",
        &bench.run(&format!("{ARTIFACTS} --serial-number AX7-00042 -o json")),
    );
    compare(
        "artifacts-refused",
        &bench.run(&format!("{ARTIFACTS} --serial-number AX7-00043")),
    );
}

fn compare(name: &str, ran: &Ran) {
    let printed = format!("{}{}exit code {}\n", ran.out, ran.err, ran.code);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/output/{name}.txt"));
    if std::env::var_os("SZTP_BLESS").is_some() {
        std::fs::write(&path, &printed).expect("a file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(printed, expected, "{name} differs from {}", path.display());
}
