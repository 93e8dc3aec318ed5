//! Every example runs without arguments and says what it is there to show.

use std::process::Command;

/// Runs a program to its end; what it prints has to hold all of `said`.
fn run(program: &str, said: &[&str]) {
    let output = Command::new(program).output().expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{complained}");
    for text in said {
        assert!(printed.contains(text), "{text:?} is not in: {printed}");
    }
}

#[test]
fn issue_voucher() {
    let said = [
        "\"serial-number\":\"AX7-00042\"",
        "voucher.outlives-pinned-domain-cert",
    ];
    run(env!("CARGO_BIN_EXE_issue_voucher"), &said);
}

#[test]
fn verify_voucher() {
    let said = ["the owner is CN=Owner Domain CA", "voucher.serial-mismatch"];
    run(env!("CARGO_BIN_EXE_verify_voucher"), &said);
}

#[test]
fn drive_device() {
    let said = [
        "signed-data-preferred",
        "run Pre script",
        "Replace configuration: hostname edge-42",
        "signed by the owner: true",
    ];
    run(env!("CARGO_BIN_EXE_drive_device"), &said);
}

#[test]
fn embed_server() {
    let said = [
        "devices connect to https://localhost:",
        "Replace configuration: hostname edge-42",
        "AX7-00042 is Provisioned",
    ];
    run(env!("CARGO_BIN_EXE_embed_server"), &said);
}
