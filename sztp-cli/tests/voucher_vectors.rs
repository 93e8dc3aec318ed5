//! Vouchers and voucher-requests made by other people's software get the verdicts that their
//! README expects, through `sztp voucher verify --at ...`.
//!
//! The files are not part of this project. They are looked for in `$SZTP_VECTORS`, in
//! `$SZTP_SHARED/vectors` and beside the workspace in `../shared/vectors`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sztp_cms::{
    Certificate, CmsError, Leniency, Limits, SignedData, TrustAnchors, UnixTime, VerifyOptions,
    WallClock, oids,
};

/// What is expected of one run.
struct Case {
    file: &'static str,
    anchors: &'static [&'static str],
    at: &'static str,
    /// None: valid.
    code: Option<&'static str>,
}

const fn valid(file: &'static str, anchors: &'static [&'static str], at: &'static str) -> Case {
    Case {
        file,
        anchors,
        at,
        code: None,
    }
}

const fn refused(
    file: &'static str,
    anchors: &'static [&'static str],
    at: &'static str,
    code: &'static str,
) -> Case {
    Case {
        file,
        anchors,
        at,
        code: Some(code),
    }
}

const UNTRUSTED: &str = "voucher.untrusted-signer";
const REQUEST: &str = "voucher.is-a-request";

const RFC8995: &[Case] = &[
    valid("rfc8995/voucher.der", &["rfc8995/vendor.crt"], "2021-06-01"),
    refused(
        "rfc8995/voucher.der",
        &["rfc8995/vendor.crt"],
        "2023-04-14",
        UNTRUSTED,
    ),
    // An intermediate as the only anchor.
    valid("rfc8995/voucher.der", &["rfc8995/masa.crt"], "2021-06-01"),
    refused(
        "rfc8995/voucher.der",
        &["rfc8995/ownerca_secp384r1.crt"],
        "2021-06-01",
        UNTRUSTED,
    ),
    refused(
        "rfc8995/voucher.der",
        &["rfc8995/vendor.crt"],
        "2021-04-13T21:43:23Z",
        "voucher.not-yet-valid",
    ),
    valid(
        "rfc8995/voucher.der",
        &["rfc8995/vendor.crt"],
        "2021-04-13T17:43:24.589-04:00",
    ),
    // The same as base64 text with line breaks.
    valid(
        "rfc8995/voucher_00-D0-E5-F2-00-02.b64",
        &["rfc8995/vendor.crt"],
        "2021-06-01",
    ),
    valid(
        "rfc8995/voucher_00-D0-E5-F2-00-02.pkcs",
        &["rfc8995/vendor.crt"],
        "2021-06-01",
    ),
    refused(
        "rfc8995/vr.der",
        &["rfc8995/vendor.crt"],
        "2021-06-01",
        REQUEST,
    ),
    refused(
        "rfc8995/parboiled_vr.der",
        &["rfc8995/ownerca_secp384r1.crt"],
        "2021-06-01",
        REQUEST,
    ),
];

const ANIMA_VOUCHER: &[Case] = &[
    // The certificate beside these files, vendor-*.crt, bears the name of the issuer but another
    // key (RSA), and ended in 2021: OpenSSL does not accept it either. The vendor who signed is
    // the one of the RFC 8995 examples.
    valid(
        "anima-voucher/voucher_00-D0-E5-F2-00-02.pkcs",
        &["rfc8995/vendor.crt"],
        "2022-07-11",
    ),
    valid(
        "anima-voucher/voucher_00-D0-E5-F2-00-02.b64",
        &["rfc8995/vendor.crt"],
        "2022-07-11",
    ),
    refused(
        "anima-voucher/voucher_00-D0-E5-F2-00-02.pkcs",
        &["anima-voucher/vendor-00-D0-E5-F2-00-02.crt"],
        "2022-07-11",
        UNTRUSTED,
    ),
    refused(
        "anima-voucher/vr_00-D0-E5-F2-00-02.pkcs",
        &["rfc8995/vendor.crt"],
        "2022-07-11",
        REQUEST,
    ),
    refused(
        "anima-voucher/vr_00-D0-E5-F2-00-02.b64",
        &["rfc8995/vendor.crt"],
        "2022-07-11",
        REQUEST,
    ),
];

const BRSKI_01: &str = "brski/01_voucher-00-D0-E5-F2-00-02.pkcs.der";
const BRSKI_02: &str = "brski/02_voucher-00-D0-E5-F2-00-03.vch.der";
const BRSKI_04: &str = "brski/04_voucher_00123456789A.pkcs.der";
const BRSKI_04_0: &str = "brski/04_voucher_00123456789A.pkcs.anchor0.pem";
const BRSKI_04_1: &str = "brski/04_voucher_00123456789A.pkcs.anchor1.pem";
const BRSKI_09: &str = "brski/09_vr_00-D0-E5-03-00-03.pkcs.der";
const BRSKI_10: &str = "brski/10_voucher_00-D0-E5-03-00-03.pkcs.der";
const BRSKI_14: &str = "brski/14_vr_00-D0-E5-F2-00-02.pkcs.der";
const BRSKI_18: &str = "brski/18_mranga-1-vr.vrq.der";
const BRSKI_22: &str = "brski/22_vr_JADA123456789.pkcs.der";

const BRSKI: &[Case] = &[
    valid(
        BRSKI_01,
        &["brski/01_voucher-00-D0-E5-F2-00-02.pkcs.anchor0.pem"],
        "2019-06-01",
    ),
    valid(
        BRSKI_02,
        &["brski/02_voucher-00-D0-E5-F2-00-03.vch.anchor0.pem"],
        "2019-06-01",
    ),
    valid(
        BRSKI_10,
        &["brski/10_voucher_00-D0-E5-03-00-03.pkcs.anchor0.pem"],
        "2019-08-01",
    ),
    // The CA and the signer have the same issuer and serial number, which is how the message names
    // its signer: each has to be tried.
    valid(BRSKI_04, &[BRSKI_04_0, BRSKI_04_1], "2017-11-01"),
    valid(BRSKI_04, &[BRSKI_04_1, BRSKI_04_0], "2017-11-01"),
    valid(BRSKI_04, &[BRSKI_04_0], "2017-11-01"),
    valid(BRSKI_04, &[BRSKI_04_1], "2017-11-01"),
    refused(
        BRSKI_09,
        &["brski/09_vr_00-D0-E5-03-00-03.pkcs.anchor0.pem"],
        "2019-08-01",
        REQUEST,
    ),
    refused(
        BRSKI_14,
        &["brski/14_vr_00-D0-E5-F2-00-02.pkcs.anchor0.pem"],
        "2021-06-01",
        REQUEST,
    ),
    refused(
        BRSKI_22,
        &["brski/22_vr_JADA123456789.pkcs.anchor0.pem"],
        "2018-06-01",
        REQUEST,
    ),
    refused(
        BRSKI_18,
        &["brski/22_vr_JADA123456789.pkcs.anchor0.pem"],
        "2018-06-01",
        REQUEST,
    ),
];

#[test]
fn the_examples_of_rfc_8995() {
    run(RFC8995);
}

#[test]
fn the_examples_of_the_successor_draft() {
    run(ANIMA_VOUCHER);
}

#[test]
fn vouchers_of_other_brski_implementations() {
    run(BRSKI);
}

#[test]
fn what_was_let_pass_is_said() {
    let Some(folder) = folder() else { return };
    let case = &RFC8995[0];
    let (_, verdict, _) = verify(&folder, case.file, case.anchors, case.at, &[]);
    let notes = verdict["vouchers"][0]["notes"].to_string();
    assert!(notes.contains("base64url"), "{}: {notes}", case.file);
}

#[test]
fn the_nonce_is_compared_in_either_alphabet() {
    let Some(folder) = folder() else { return };
    let case = &RFC8995[0];
    let inspected = sztp(&folder, &["voucher", "inspect", case.file, "-o", "json"]);
    let inspected: Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    let nonce = inspected["voucher"]["nonce"]
        .as_str()
        .expect("a nonce")
        .to_owned();
    let url = nonce.replace('+', "-").replace('/', "_").replace('=', "");
    for nonce in [&nonce, &url] {
        let found = verify(
            &folder,
            case.file,
            case.anchors,
            case.at,
            &["--nonce", nonce],
        );
        assert_eq!(found.0, 0, "{nonce}: {}", found.2);
    }
    let other = ["--nonce", "AAAAAAAAAAAAAAAAAAAAAA"];
    let found = verify(&folder, case.file, case.anchors, case.at, &other);
    assert_eq!(
        found.1["vouchers"][0]["error"]["code"],
        "voucher.nonce-mismatch"
    );
}

// The requests are refused as vouchers above; their signatures are good, as OpenSSL has it.
#[test]
fn the_signatures_of_the_requests_hold() {
    let Some(folder) = folder() else { return };
    for (file, anchor, at) in [
        (
            "rfc8995/vr.der",
            "rfc8995/vendor.crt",
            "2021-06-01T00:00:00Z",
        ),
        (
            "rfc8995/parboiled_vr.der",
            "rfc8995/ownerca_secp384r1.crt",
            "2021-06-01T00:00:00Z",
        ),
        (
            BRSKI_09,
            "brski/09_vr_00-D0-E5-03-00-03.pkcs.anchor0.pem",
            "2019-08-01T00:00:00Z",
        ),
        (
            BRSKI_14,
            "brski/14_vr_00-D0-E5-F2-00-02.pkcs.anchor0.pem",
            "2021-06-01T00:00:00Z",
        ),
        (
            BRSKI_22,
            "brski/22_vr_JADA123456789.pkcs.anchor0.pem",
            "2018-06-01T00:00:00Z",
        ),
    ] {
        let outcome = verify_cms(&folder, file, &certificates(&folder, anchor), at, false);
        assert!(outcome.is_ok(), "{file}: {outcome:?}");
    }
}

#[test]
fn a_key_type_in_place_of_a_signature_algorithm_needs_leniency() {
    let Some(folder) = folder() else { return };
    let octets = read(&folder, BRSKI_18);
    let message = SignedData::parse(&octets, &Limits::default()).expect("a message");
    let own = message.signer_certificates(&[]);
    let at = "2020-06-01T00:00:00Z";
    let strict = verify_cms(&folder, BRSKI_18, &own, at, false);
    assert!(
        matches!(strict, Err(CmsError::UnsupportedAlgorithm(_))),
        "{BRSKI_18}: {strict:?}"
    );
    let notes = verify_cms(&folder, BRSKI_18, &own, at, true).expect(BRSKI_18);
    assert_eq!(notes.len(), 1, "{BRSKI_18}: {notes:?}");
}

fn run(cases: &[Case]) {
    let Some(folder) = folder() else { return };
    for case in cases {
        let name = format!("{} under {:?} at {}", case.file, case.anchors, case.at);
        let (exit, verdict, errors) = verify(&folder, case.file, case.anchors, case.at, &[]);
        let found = verdict["vouchers"][0]["error"]["code"].as_str();
        assert_eq!(found, case.code, "{name}: {errors}");
        assert_eq!(exit, i32::from(case.code.is_some()), "{name}: {errors}");
        assert_eq!(verdict["valid"], case.code.is_none(), "{name}");
        if let Some(code) = case.code {
            assert!(
                errors.contains(&format!("error[{code}]: ")),
                "{name}: {errors}"
            );
        }
    }
}

fn verify(
    folder: &Path,
    file: &str,
    anchors: &[&str],
    at: &str,
    more: &[&str],
) -> (i32, Value, String) {
    let mut arguments = vec!["voucher", "verify", file, "--at", at, "-o", "json"];
    for anchor in anchors {
        arguments.extend(["--trust-anchor", anchor]);
    }
    arguments.extend(more);
    let output = sztp(folder, &arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let verdict = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{file}: no JSON ({error}): {errors}"));
    (output.status.code().expect("an exit code"), verdict, errors)
}

fn sztp(folder: &Path, arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_sztp"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("sztp starts")
}

fn verify_cms(
    folder: &Path,
    file: &str,
    anchors: &[Certificate],
    at: &str,
    lenient: bool,
) -> Result<Vec<String>, CmsError> {
    let octets = read(folder, file);
    let at = UnixTime::parse_rfc3339(at).expect("a time");
    let anchors = TrustAnchors::new(anchors.iter().cloned());
    let message = SignedData::parse(&octets, &Limits::default())?;
    let verified = message.verify(&VerifyOptions {
        leniency: Leniency {
            ec_public_key_as_signature_algorithm: lenient,
        },
        ..VerifyOptions::new(&anchors, WallClock::Trusted(at), &[oids::ID_DATA])
    })?;
    Ok(verified.notes().to_vec())
}

fn certificates(folder: &Path, file: &str) -> Vec<Certificate> {
    Certificate::list_from_pem_or_der(&read(folder, file)).expect(file)
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("SZTP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let folder =
        std::env::var_os("SZTP_VECTORS").map_or_else(|| shared.join("vectors"), PathBuf::from);
    if folder.join("README.md").exists() {
        return Some(folder);
    }
    // Not `eprintln!`, which the test harness swallows.
    let _ = writeln!(
        std::io::stderr(),
        "NOT TESTED: the vouchers of other software are absent from {}; set SZTP_VECTORS or \
         SZTP_SHARED",
        folder.display()
    );
    None
}
