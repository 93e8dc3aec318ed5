//! NIST's Public Key Interoperability Test Suite (PKITS 1.0.1, RFC 5280 edition of 2011), all of
//! it: each test with the settings and the outcome that its document demands.
//!
//! The suite is not in this repository: `.ci/fetch-test-vectors` fetches it. It is looked for in
//! `$SZTP_TEST_VECTORS`, then in `target/test-vectors`. Each test is run twice: as the signed
//! message that PKITS has for it, with the certificates and revocation lists in the message; and
//! with all certificates and lists of the suite in one bag, so that the path must be found.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use base64::Engine;
use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateRevocationList, CmsError, Limits, PathError, PathOptions,
    PolicyOptions, RevocationPolicy, SignedData, TrustAnchors, UnixTime, ValidatedPath,
    VerifyOptions, WallClock, oids, validate_path,
};

use table::{Expected, Policies, Run, TESTS, Test};

#[path = "pkits/table.rs"]
mod table;

/// What of PKITS we mean to judge otherwise, and why.
const EXPECTED_DIFFERENCES: &[(&str, &str)] = &[
    ("4.1.4", DSA),
    ("4.1.5", DSA),
    // Refused, but before the signature is looked at.
    ("4.1.6", DSA),
    ("4.14.22", INDIRECT),
    ("4.14.24", INDIRECT),
    ("4.14.25", INDIRECT),
    ("4.14.28", INDIRECT),
    ("4.14.29", INDIRECT),
    ("4.14.30", INDIRECT),
    ("4.14.33", INDIRECT),
];

const DSA: &str = "DSA is not an algorithm of SZTP, and these messages are signed with SHA-1";
const INDIRECT: &str = "lists by others than the certificate's issuer are refused";

#[test]
fn each_message_is_judged_as_pkits_demands() {
    let Some(suite) = Suite::load() else { return };
    judge(|test, run| {
        let message = suite.message(test.name);
        let signed = SignedData::parse(&message.signature, &Limits::default()).unwrap();
        let crls: Vec<_> = signed.crls().iter().map(|der| crl(der)).collect();
        let policies = Policies::new(run);
        let mut options = VerifyOptions::new(&suite.anchors, WallClock::Trusted(NOW), &CONTENT);
        // The message's own lists need not be given.
        options.path = path_options(&policies, &[]);
        let verified = signed.verify_detached(&message.content, &options);
        options.path.crls = &crls;
        match verified {
            Ok(_) => {
                // What the path was valid for is not kept with the content.
                let end = &signed.signer_certificates(&[])[0];
                let bag = signed.certificates();
                Ok(validate_path(end, bag, &suite.anchors, options.clock, &options.path).unwrap())
            }
            Err(CmsError::Path(error)) => Err(reason(&error)),
            Err(other) => Err(other.code()),
        }
    });
}

#[test]
fn each_path_is_found_among_all_certificates() {
    let Some(suite) = Suite::load() else { return };
    let certificates: Vec<Certificate> = suite
        .files("certs")
        .map(|der| Certificate::from_der(&der).unwrap())
        .collect();
    let crls: Vec<_> = suite.files("crls").map(|der| crl(&der)).collect();
    assert_eq!((certificates.len(), crls.len()), (405, 173));
    judge(|test, run| {
        let message = suite.message(test.name);
        let signed = SignedData::parse(&message.signature, &Limits::default()).unwrap();
        let end = &signed.signer_certificates(&[])[0];
        let policies = Policies::new(run);
        let options = path_options(&policies, &crls);
        let clock = WallClock::Trusted(NOW);
        validate_path(end, &certificates, &suite.anchors, clock, &options)
            .map_err(|error| reason(&error))
    });
}

struct Suite {
    root: PathBuf,
    anchors: TrustAnchors,
}

struct Message {
    content: Vec<u8>,
    signature: Vec<u8>,
}

impl Suite {
    fn load() -> Option<Self> {
        let vectors = env::var_os("SZTP_TEST_VECTORS").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/test-vectors"),
            PathBuf::from,
        );
        let root = vectors.join("pkits");
        let Ok(anchor) = fs::read(root.join("certs/TrustAnchorRootCertificate.crt")) else {
            // Not `eprintln!`, which the test harness swallows.
            let _ = writeln!(
                std::io::stderr(),
                "NOT TESTED: PKITS is not in {}; .ci/fetch-test-vectors fetches it",
                root.display()
            );
            return None;
        };
        let anchors = TrustAnchors::new([Certificate::from_der(&anchor).unwrap()]);
        Some(Self { root, anchors })
    }

    fn files(&self, directory: &str) -> impl Iterator<Item = Vec<u8>> {
        let mut paths: Vec<_> = fs::read_dir(self.root.join(directory))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths.into_iter().map(|path| fs::read(path).unwrap())
    }

    /// A multipart/signed message (RFC 8551 §3.5.3): the signed part with the line ends that were
    /// signed, and the signature.
    fn message(&self, name: &str) -> Message {
        let path = self.root.join(format!("smime/Signed{name}.eml"));
        let text = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
        let (_, rest) = text.split_once("boundary=\"").unwrap();
        let (boundary, rest) = rest.split_once('"').unwrap();
        let parts: Vec<&str> = rest.split(&format!("\n--{boundary}")).collect();
        let content = parts[1].strip_prefix('\n').unwrap();
        let (_, signature) = parts[2].split_once("\n\n").unwrap();
        let signature: String = signature.split_whitespace().collect();
        Message {
            content: content.replace('\n', "\r\n").into_bytes(),
            signature: base64::engine::general_purpose::STANDARD
                .decode(signature)
                .unwrap(),
        }
    }
}

/// Runs all tests and compares; what differs and is not expected to, and what does not differ
/// and is expected to, is an error.
fn judge(outcome: impl Fn(&Test, &Run) -> Result<ValidatedPath, &'static str>) {
    let mut report = String::new();
    let mut runs = 0;
    let mut differing = Vec::new();
    for test in TESTS {
        for (index, run) in test.runs.iter().enumerate() {
            runs += 1;
            let found = outcome(test, run);
            let as_expected = match (&found, run.expected) {
                (Ok(_), Expected::Valid) => true,
                (Ok(path), Expected::ValidFor(policies)) => {
                    policies == table::numbers(path.policies())
                }
                (Err(code), Expected::Invalid(expected)) => *code == expected,
                _ => false,
            };
            if !as_expected {
                differing.push(test.number);
                if !EXPECTED_DIFFERENCES
                    .iter()
                    .any(|(number, _)| *number == test.number)
                {
                    let found = found.map(|path| table::numbers(path.policies()));
                    let (number, name) = (test.number, test.name);
                    let wanted = run.expected;
                    let part = index + 1;
                    writeln!(report, "{number} {name}.{part}: {found:?}, not {wanted:?}").unwrap();
                }
            }
        }
    }
    for (number, reason) in EXPECTED_DIFFERENCES {
        if !differing.contains(number) {
            writeln!(report, "{number} no longer differs ({reason})").unwrap();
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert_eq!((TESTS.len(), runs), (224, 247));
}

fn path_options<'a>(
    policies: &'a Policies,
    crls: &'a [CertificateRevocationList],
) -> PathOptions<'a> {
    PathOptions {
        policies: PolicyOptions {
            initial_policy_set: &policies.initial,
            require_explicit_policy: policies.explicit,
            inhibit_policy_mapping: policies.inhibit_mapping,
            inhibit_any_policy: policies.inhibit_any,
        },
        revocation: RevocationPolicy::WholePath,
        crls,
        ..PathOptions::default()
    }
}

/// Where revocation is unknown, the code that says why.
fn reason(error: &PathError) -> &'static str {
    match error {
        PathError::RevocationUnknown { why, .. } => why.code(),
        other => other.code(),
    }
}

fn crl(der: &[u8]) -> CertificateRevocationList {
    CertificateRevocationList::from_der(der).unwrap()
}

const CONTENT: [ObjectIdentifier; 1] = [oids::ID_DATA];

/// PKITS' certificates are valid from 2010 to 2030.
const NOW: UnixTime = UnixTime::from_secs(1_577_836_800);
