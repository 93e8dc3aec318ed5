//! Every example document decodes or is refused as its name says, and what we write is judged by
//! yanglint, an implementation that is not ours.
//!
//! The judge is `conformance/validate.sh` in `$SZTP_SHARED` (default: `../shared` beside the
//! workspace) with yanglint (Debian package `libyang2-tools`). Without them that part is skipped,
//! loudly, and under `CI` it fails.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::csr::CsrRequest;
use sztp_core::restconf::Errors;
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, Voucher};

/// What each refused document is refused for.
const REFUSED: &[(&str, &str)] = &[
    ("neg-both-kinds.json", "conveyed-information.both-kinds"), // LEDGER: 8572-6.3-01
    // LEDGER: 8572-6.3-13
    (
        "neg-config-without-handling.json",
        "conveyed-information.configuration-without-handling",
    ),
    ("neg-csr-request-keygen-empty.json", "yang.missing-node"),
    (
        "neg-csr-request-unprefixed-identity.json",
        "yang.invalid-value",
    ), // LEDGER: 7951-6.8-01
    ("neg-empty-servers.json", "yang.too-few-entries"), // LEDGER: 8572-6.3-02
    ("neg-errors-no-tag.json", "yang.missing-node"),    // LEDGER: 8040-7.1-02
    ("neg-gbd-in-empty-as-null.json", "yang.wrong-type"), // LEDGER: 7951-6.9-01
    ("neg-gbd-in-nonce-15.json", "message.nonce-length"), // LEDGER: 8572-7.3-04
    (
        "neg-gbd-in-support-and-csr.json",
        "message.several-csr-nodes",
    ), // LEDGER: 9646-2.3-01
    // LEDGER: 8572-7.3-08
    (
        "neg-gbd-out-voucher-alone.json",
        "message.voucher-without-owner-certificate",
    ),
    (
        "neg-report-keys-too-early.json",
        "message.only-when-complete",
    ), // LEDGER: 8572-7.3-18
    ("neg-report-unknown-type.json", "yang.invalid-value"), // LEDGER: 8572-7.3-12
    ("neg-unprefixed.json", "yang.wrong-namespace"),        // LEDGER: 7951-4-01
    // LEDGER: 8572-6.3-10
    (
        "neg-verify-without-uri.json",
        "conveyed-information.verification-without-uri",
    ),
    ("neg-voucher-bool-string.json", "yang.wrong-type"), // LEDGER: 7951-6.1-01
    ("neg-voucher-nonce-and-expiry.json", "voucher."),
    ("neg-voucher-renewal-without-expiry.json", "voucher."),
    ("neg-voucher-short-nonce.json", "voucher."),
];

#[test]
fn good_documents_survive_both_encodings() {
    for (name, kind, encoding, bytes) in documents().filter(|(name, ..)| !name.starts_with("neg-"))
    {
        let document = kind.decode(&bytes, encoding);
        let document = document.unwrap_or_else(|code| panic!("{name} was refused: {code}"));
        for encoding in [Encoding::Json, Encoding::Xml] {
            let again = kind.decode(&document.encode(encoding), encoding);
            assert_eq!(again.as_ref(), Ok(&document), "{name} by way of {encoding}");
        }
    }
}

#[test]
fn refused_documents_are_refused_for_the_flaw_in_their_name() {
    let mut met = 0;
    for (name, kind, encoding, bytes) in documents().filter(|(name, ..)| name.starts_with("neg-")) {
        let expected = REFUSED.iter().find(|(refused, _)| *refused == name);
        let (_, expected) = expected.unwrap_or_else(|| panic!("{name} has no expectation"));
        match kind.decode(&bytes, encoding) {
            Ok(_) => panic!("{name} was accepted"),
            Err(code) => assert!(code.starts_with(expected), "{name}: {code}"),
        }
        met += 1;
    }
    assert_eq!(
        met,
        REFUSED.len(),
        "a document that should be refused is missing"
    );
}

#[test]
fn the_json_and_the_xml_of_a_document_are_the_same_document() {
    let mut pairs = 0;
    for (name, kind, _, bytes) in documents() {
        let Some(stem) = name.strip_suffix(".xml").filter(|stem| *stem != "voucher") else {
            continue; // voucher.xml leaves out optional leaves that voucher.json has.
        };
        let Ok(json) = std::fs::read(examples().join(format!("{stem}.json"))) else {
            continue;
        };
        assert_eq!(
            kind.decode(&bytes, Encoding::Xml),
            kind.decode(&json, Encoding::Json),
            "{name}"
        );
        pairs += 1;
    }
    assert!(pairs >= 12, "only {pairs} pairs of examples");
}

#[test]
fn yanglint_accepts_what_we_write() {
    let Some(judge) = judge() else { return };
    let directory = tempfile::tempdir().expect("temporary directory");
    let mut work = Vec::new();
    for (name, kind, encoding, bytes) in documents().filter(|(name, ..)| !name.starts_with("neg-"))
    {
        let Ok(document) = kind.decode(&bytes, encoding) else {
            panic!("{name} was refused")
        };
        for (encoding, extension) in [(Encoding::Json, "json"), (Encoding::Xml, "xml")] {
            let file = directory.path().join(format!("{name}.{extension}"));
            std::fs::write(&file, document.encode(encoding)).expect("writable");
            work.push((kind, file));
        }
    }
    assert!(work.len() >= 40, "only {} documents", work.len());
    let bad = examples().join("neg-gbd-out-voucher-alone.json");
    let verdict = Command::new(&judge)
        .arg("gbd-out")
        .arg(bad)
        .output()
        .expect("runnable");
    assert!(!verdict.status.success(), "the judge accepts everything");
    let judge = judge.as_path();
    std::thread::scope(|scope| {
        for share in work.chunks(work.len().div_ceil(4)) {
            scope.spawn(move || {
                for (kind, file) in share {
                    judged(judge, *kind, file);
                }
            });
        }
    });
}

fn judged(judge: &Path, kind: Kind, file: &Path) {
    let output = Command::new(judge)
        .arg(kind.name())
        .arg(file)
        .output()
        .expect("runnable");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}: {said}\n{text}",
        file.display()
    );
}

/// The script that runs yanglint, where there is one.
fn judge() -> Option<PathBuf> {
    let shared = std::env::var_os("SZTP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let script = shared.join("conformance/validate.sh");
    let missing = if !script.exists() {
        format!("{} does not exist", script.display())
    } else if Command::new("yanglint").arg("--version").output().is_err() {
        "yanglint is not installed (Debian package libyang2-tools)".to_owned()
    } else {
        return Some(script);
    };
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    // Past the test harness, which keeps what a passing test prints.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: yanglint did not judge our documents: {missing}"
    );
    None
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Conveyed,
    Voucher,
    GbdIn,
    GbdOut,
    ReportIn,
    Errors,
    CsrRequest,
}

#[derive(Debug, PartialEq)]
enum Document {
    Conveyed(ConveyedInfo),
    Voucher(Box<Voucher>),
    GbdIn(GetBootstrappingDataInput),
    GbdOut(GetBootstrappingDataOutput),
    ReportIn(ProgressReport),
    Errors(Errors),
    CsrRequest(CsrRequest),
}

impl Kind {
    fn of(name: &str) -> Self {
        let bare = name.strip_prefix("neg-").unwrap_or(name);
        match bare {
            _ if bare.starts_with("voucher") => Self::Voucher,
            _ if bare.starts_with("gbd-in") => Self::GbdIn,
            _ if bare.starts_with("gbd-out") => Self::GbdOut,
            _ if bare.starts_with("report") => Self::ReportIn,
            _ if bare.starts_with("error") => Self::Errors,
            _ if bare.starts_with("csr-request") => Self::CsrRequest,
            _ => Self::Conveyed,
        }
    }

    /// The name that `validate.sh` knows it by.
    fn name(self) -> &'static str {
        match self {
            Self::Conveyed => "conveyed",
            Self::Voucher => "voucher",
            Self::GbdIn => "gbd-in",
            Self::GbdOut => "gbd-out",
            Self::ReportIn => "report-in",
            Self::Errors => "errors",
            Self::CsrRequest => "csr-request",
        }
    }

    /// The document, or the code of the refusal.
    fn decode(self, bytes: &[u8], encoding: Encoding) -> Result<Document, &'static str> {
        match self {
            Self::Conveyed => ConveyedInfo::decode(bytes, encoding)
                .map(Document::Conveyed)
                .map_err(|error| error.code()),
            Self::Voucher => Voucher::decode(bytes, encoding, Profile::Rfc8366)
                .map(|(voucher, _)| Document::Voucher(Box::new(voucher)))
                .map_err(|error| error.code()),
            Self::GbdIn => GetBootstrappingDataInput::decode(bytes, encoding)
                .map(Document::GbdIn)
                .map_err(|error| error.code()),
            Self::GbdOut => GetBootstrappingDataOutput::decode(bytes, encoding)
                .map(Document::GbdOut)
                .map_err(|error| error.code()),
            Self::ReportIn => ProgressReport::decode(bytes, encoding)
                .map(Document::ReportIn)
                .map_err(|error| error.code()),
            Self::Errors => Errors::decode(bytes, encoding)
                .map(Document::Errors)
                .map_err(|error| error.code()),
            Self::CsrRequest => CsrRequest::decode(bytes, encoding)
                .map(Document::CsrRequest)
                .map_err(|error| error.code()),
        }
    }
}

impl Document {
    fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match self {
            Self::Conveyed(document) => document.encode(encoding),
            Self::Voucher(document) => document.encode(encoding),
            Self::GbdIn(document) => document.encode(encoding),
            Self::GbdOut(document) => document.encode(encoding),
            Self::ReportIn(document) => document.encode(encoding),
            Self::Errors(document) => document.encode(encoding),
            Self::CsrRequest(document) => document.encode(encoding),
        }
    }
}

/// Every JSON and XML example in order of name.
fn documents() -> impl Iterator<Item = (String, Kind, Encoding, Vec<u8>)> {
    let entries = std::fs::read_dir(examples()).expect("examples");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names.into_iter().filter_map(|name| {
        let encoding = match Path::new(&name).extension()?.to_str()? {
            "json" => Encoding::Json,
            "xml" => Encoding::Xml,
            _ => return None,
        };
        let bytes = std::fs::read(examples().join(&name)).expect("readable");
        Some((name.clone(), Kind::of(&name), encoding, bytes))
    })
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/examples")
}
