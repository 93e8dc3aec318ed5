//! `sztp agent bootstrap`: what it leaves for the program that called it, and how it ends.
#![cfg(unix)]

#[allow(dead_code)]
mod site;
#[allow(dead_code)]
mod workbench;

use serde_json::Value;
use site::{DEVICE, SERIAL, Site, configuration, everything};
use sztp_server::model::Answer;
use workbench::{Ran, Workbench};

const TRUSTING: &str = "--server-ca data/lab/server/tls-ca.crt";

fn bootstrap(bench: &Workbench, more: &str) -> Ran {
    bench.run(&format!("agent bootstrap {DEVICE} --out out {more}"))
}

fn json(bench: &Workbench, name: &str) -> Value {
    serde_json::from_slice(&bench.read(name)).expect("JSON")
}

/// Refused for a reason, which is said in both places, and without a payload.
fn refused(bench: &Workbench, ran: &Ran, reason: &str) {
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(json(bench, "out/result.json")["reason"], reason, "{ran:?}");
    assert!(ran.err.contains(&format!("reason: {reason}\n")), "{ran:?}");
    assert!(!bench.path("out/onboarding.json").exists());
}

fn try_again(bench: &Workbench, ran: &Ran) {
    assert_eq!(ran.code, 2, "{ran:?}");
    let result = json(bench, "out/result.json");
    assert_eq!(result["outcome"], "try-again", "{ran:?}");
    assert!(!bench.path("out/onboarding.json").exists());
}

#[test]
fn validated_data_is_written_down_and_no_server_is_told() {
    let site = Site::start(everything("true"));
    site.bench.write(
        "servers",
        format!("# the owner's\n\n{} # loopback\n", site.url()),
    );
    let servers = format!("--servers-file servers {TRUSTING} --tls-min 1.3");
    let ran = bootstrap(&site.bench, &servers);
    refused(&site.bench, &ran, "SCRIPTS");
    let ran = bootstrap(&site.bench, &format!("{servers} --allow-scripts -o json"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.json()["outcome"], "validated");
    let onboarding = json(&site.bench, "out/onboarding.json");
    assert_eq!(onboarding["serial-number"], SERIAL);
    assert_eq!(onboarding["boot-image"]["os-name"], "AxOS");
    assert_eq!(onboarding["configuration-handling"], "replace");
    assert_eq!(onboarding["configuration"]["file"], "configuration");
    assert_eq!(site.text("out/configuration"), "hostname edge-42\n");
    assert!(site.text("out/pre-configuration-script").starts_with("#!"));
    assert!(site.text("out/post-configuration-script").starts_with("#!"));
    assert!(!ran.err.contains("told:"), "{ran:?}");
    assert_ne!(site.device_state(), "Provisioned");
    assert!(!site.bench.path("state/image").exists());
    // The next run that fails takes the payload away.
    let ran = bootstrap(&site.bench, "--server https://localhost:1");
    try_again(&site.bench, &ran);
    assert!(!site.bench.path("out/configuration").exists());
}

#[test]
fn what_is_wrong_has_a_typed_reason() {
    let site = Site::start(configuration());
    let server = format!("--server {}", site.url());
    let bench = &site.bench;
    let ran = bootstrap(
        bench,
        &format!("{server} --server-ca lab/server/tls-ca.crt"),
    );
    refused(bench, &ran, "MTLS");
    let ran = bench.run(&format!(
        "agent bootstrap {} --out out {server}",
        DEVICE.replace("data/lab/vendor/root.crt", "lab/vendor/root.crt")
    ));
    refused(bench, &ran, "VOUCHER");
    let ran = bench.run(&format!(
        "agent bootstrap {} --out out {server}",
        DEVICE.replace("AX7-00042/idevid.key", "AX7-00042/nowhere.key")
    ));
    refused(bench, &ran, "SETUP");
    bench.write("state/agent.json", "{");
    let ran = bootstrap(bench, &server);
    refused(bench, &ran, "SETUP");
}

#[test]
fn a_device_for_which_there_is_nothing_yet_comes_again() {
    let site = Site::answering(Answer::Nothing);
    let ran = bootstrap(&site.bench, &format!("--server {} {TRUSTING}", site.url()));
    try_again(&site.bench, &ran);
    // The caller does not take a mistyped command for that.
    assert_eq!(bootstrap(&site.bench, "--sever x").code, 64);
    assert_eq!(bootstrap(&site.bench, "--server http://x").code, 64);
    assert_eq!(site.bench.run("agent bootstrap --help").code, 0);
    std::fs::create_dir(site.bench.path("precious")).expect("a directory");
    site.bench.write("precious/file", "x");
    let ran = site.bench.run(&format!(
        "agent bootstrap {DEVICE} --server {} --out precious",
        site.url()
    ));
    ran.refused("agent.output");
}

#[test]
fn artifacts_in_files_need_no_server_and_the_clock_never_goes_back() {
    let site = Site::start(configuration());
    let bench = &site.bench;
    let artifacts = artifacts(bench, "first", "--created-on 2031-01-01");
    // This machine's clock says that such a voucher comes from the future.
    let ran = bootstrap(bench, &artifacts);
    refused(bench, &ran, "VOUCHER");
    let ran = bootstrap(bench, &format!("{artifacts} --no-clock"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(site.text("out/configuration"), "hostname edge-42\n");
    let state = json(bench, "state/agent.json");
    assert_eq!(state["clock-floor"], "2031-01-01T00:00:00Z");

    let old = self::artifacts(
        bench,
        "old",
        "--created-on 2026-01-01 --expires-on 2030-01-01",
    );
    let ran = bootstrap(bench, &format!("{old} --no-clock"));
    refused(bench, &ran, "VOUCHER");
    assert!(ran.err.contains("error[voucher.expired]"), "{ran:?}");
    // This machine's clock is behind what is known, and so it is not asked either.
    let ran = bootstrap(bench, &old);
    refused(bench, &ran, "VOUCHER");
}

/// Artifacts of the lab in files, as options.
fn artifacts(bench: &Workbench, name: &str, voucher: &str) -> String {
    bench
        .run(&format!(
            "voucher issue --serial-number {SERIAL} --pinned-domain-cert \
             data/lab/owner/pinned-domain-ca.crt --signer-cert data/lab/vendor/masa.crt \
             --signer-key data/lab/vendor/masa.key {voucher} --out {name}.vcj"
        ))
        .ok();
    bench.write("edge.conf", "hostname edge-42\n");
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
    format!(
        "--conveyed-information conveyed-information.cms --owner-certificate \
         owner-certificate.cms --voucher {name}.vcj"
    )
}
