//! Revocation as OpenSSL's `ca` command publishes it. What RFC 5280 §6.3 says of single rules is
//! judged by PKITS (`pkits.rs`).

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use sztp_cms::{
    Certificate, CertificateRevocationList, CrlError, Limits, PathError, PathOptions,
    RevocationPolicy, RevocationReason, TrustAnchors, UnixTime, ValidatedPath, WallClock,
    certs_only, parse_certs_only, validate_path,
};

use RevocationPolicy::{EndEntity, NotChecked, WhereAvailable, WholePath};

const DAY: i64 = 24 * 60 * 60;

/// A root, an intermediate and a device, made by OpenSSL, and the books of the two authorities.
struct Pki {
    directory: tempfile::TempDir,
    root: Certificate,
    ca: Certificate,
    device: Certificate,
}

impl Pki {
    fn new() -> Self {
        Self::with_usage("keyCertSign,cRLSign")
    }

    fn with_usage(usage: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).expect("write");
        };
        let mut configuration = String::from(CONFIGURATION);
        for issuer in ["root", "ca"] {
            write(&format!("{issuer}.index"), "");
            write(&format!("{issuer}.crlnumber"), "1000\n");
            write(&format!("{issuer}.serial"), "8001\n");
            let _ = write!(
                configuration,
                "[{issuer}]\ndatabase = {issuer}.index\ncrlnumber = {issuer}.crlnumber\n\
                 serial = {issuer}.serial\nnew_certs_dir = .\ncertificate = {issuer}.crt\n\
                 private_key = {issuer}.key\ndefault_md = sha256\ndefault_crl_days = 30\n\
                 default_days = 365\npolicy = any\nunique_subject = no\n"
            );
        }
        write("openssl.cnf", &configuration);
        write(
            "ca.ext",
            &format!("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,{usage}\n"),
        );
        write("device.ext", "keyUsage=digitalSignature\n");
        let run = |arguments: &str| openssl(&directory, arguments);
        for name in ["root", "ca", "device"] {
            run(&format!(
                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"
            ));
        }
        for (name, by) in [
            ("root", "root -selfsign -extensions root_extensions"),
            ("ca", "root -extfile ca.ext"),
            ("device", "ca -extfile device.ext"),
        ] {
            run(&format!(
                "req -new -config openssl.cnf -key {name}.key -subj /CN={name} -out {name}.csr"
            ));
            // Older than the lists, so that a time before them is not before the certificates.
            run(&format!(
                "ca -batch -config openssl.cnf -startdate 20200101000000Z -notext -in {name}.csr \
                 -out {name}.crt -name {by}"
            ));
        }
        let read = |name: &str| {
            let bytes = fs::read(directory.path().join(name)).expect(name);
            Certificate::from_pem_or_der(&bytes).expect(name)
        };
        let (root, ca, device) = (read("root.crt"), read("ca.crt"), read("device.crt"));
        Self {
            directory,
            root,
            ca,
            device,
        }
    }

    /// The issuer's list as it stands, PEM.
    fn list_file(&self, issuer: &str, options: &str) -> Vec<u8> {
        openssl(
            &self.directory,
            &format!("ca -config openssl.cnf -name {issuer} -gencrl {options} -out list.crl"),
        );
        fs::read(self.path("list.crl")).expect("a list")
    }

    fn list(&self, issuer: &str) -> CertificateRevocationList {
        let file = self.list_file(issuer, "-crlexts crl_extensions");
        CertificateRevocationList::from_pem_or_der(&file).expect("a list")
    }

    fn revoke(&self, issuer: &str, name: &str, reason: &str) {
        openssl(
            &self.directory,
            &format!(
                "ca -config openssl.cnf -name {issuer} -revoke {name}.crt -crl_reason {reason}"
            ),
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn judge(
        &self,
        policy: RevocationPolicy,
        crls: &[CertificateRevocationList],
    ) -> Result<ValidatedPath, PathError> {
        self.judge_at(WallClock::Trusted(now()), policy, crls)
    }

    fn judge_at(
        &self,
        clock: WallClock,
        revocation: RevocationPolicy,
        crls: &[CertificateRevocationList],
    ) -> Result<ValidatedPath, PathError> {
        let anchors = TrustAnchors::new([self.root.clone()]);
        let options = PathOptions {
            revocation,
            crls,
            ..PathOptions::default()
        };
        let bag = std::slice::from_ref(&self.ca);
        validate_path(&self.device, bag, &anchors, clock, &options)
    }
}

fn openssl(directory: &tempfile::TempDir, arguments: &str) {
    let output = Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
        .args(arguments.split_whitespace())
        .current_dir(directory.path())
        .output()
        .expect("openssl is installed");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {stderr}");
}

fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

/// Why nothing is known of whether a certificate is revoked.
fn unknown(judged: Result<ValidatedPath, PathError>) -> (String, CrlError) {
    match judged {
        Err(PathError::RevocationUnknown { subject, why }) => (subject, why),
        other => panic!("{other:?}"),
    }
}

fn code(judged: Result<ValidatedPath, PathError>) -> &'static str {
    judged.map_or_else(|error| error.code(), |_| "good")
}

#[test]
fn a_list_is_read_as_openssl_writes_it() {
    let pki = Pki::new();
    pki.revoke("ca", "device", "keyCompromise");
    let list = pki.list("ca");
    assert_eq!(list.issuer(), "CN=ca");
    assert_eq!(list.number(), Some(&[0x10, 0x00][..]));
    assert_eq!(
        (list.len(), list.is_empty(), list.is_delta()),
        (1, false, false)
    );
    let next_update = list.next_update().expect("nextUpdate");
    assert_eq!(next_update, list.this_update().plus_secs(30 * DAY));
    let entry = list.entry(pki.device.serial_bytes()).expect("an entry");
    assert_eq!(entry.reason, RevocationReason::KeyCompromise);
    assert!((now().secs() - entry.date.secs()).abs() < DAY);
    assert_eq!(list.entry(&[1]), None);
    let again = CertificateRevocationList::from_pem_or_der(list.as_der()).expect("DER");
    assert_eq!(again, list);
}

#[test]
fn who_is_on_the_list_is_refused_with_date_and_reason() {
    let pki = Pki::new();
    pki.revoke("ca", "device", "superseded");
    let lists = [pki.list("root"), pki.list("ca")];
    for policy in [WhereAvailable, EndEntity, WholePath] {
        let Err(PathError::Revoked {
            subject,
            date,
            reason,
        }) = pki.judge(policy, &lists)
        else {
            panic!("{policy:?}");
        };
        assert_eq!(
            (subject.as_str(), reason),
            ("CN=device", RevocationReason::Superseded)
        );
        assert!((now().secs() - date.secs()).abs() < DAY);
    }
    pki.judge(NotChecked, &lists).expect("nobody asked");
}

#[test]
fn what_is_required_is_missed_where_it_is_absent() {
    let pki = Pki::new();
    let (root, ca) = (pki.list("root"), pki.list("ca"));
    let judge = |policy, lists: &[CertificateRevocationList]| pki.judge(policy, lists);
    for policy in [NotChecked, WhereAvailable, EndEntity, WholePath] {
        judge(policy, &[ca.clone(), root.clone()]).expect("nobody is revoked");
    }
    let device = || ("CN=device".to_owned(), CrlError::NotFound);
    let authority = || ("CN=ca".to_owned(), CrlError::NotFound);
    judge(WhereAvailable, &[]).expect("none is required");
    assert_eq!(unknown(judge(EndEntity, &[])), device());
    assert_eq!(
        unknown(judge(EndEntity, std::slice::from_ref(&root))),
        device()
    );
    judge(EndEntity, std::slice::from_ref(&ca)).expect("the device's list is there");
    assert_eq!(unknown(judge(WholePath, &[ca])), authority());
    assert_eq!(unknown(judge(WholePath, &[root])), device());
}

#[test]
fn a_revoked_authority_takes_its_devices_along() {
    let pki = Pki::new();
    pki.revoke("root", "ca", "CACompromise");
    let lists = [pki.list("ca"), pki.list("root")];
    for policy in [WhereAvailable, EndEntity, WholePath] {
        let Err(PathError::Revoked {
            subject, reason, ..
        }) = pki.judge(policy, &lists)
        else {
            panic!("{policy:?}");
        };
        assert_eq!(
            (subject.as_str(), reason),
            ("CN=ca", RevocationReason::CaCompromise)
        );
    }
}

#[test]
fn a_list_holds_from_its_making_until_the_next_is_due() {
    let pki = Pki::new();
    let lists = [pki.list("ca")];
    let (this_update, next_update) = (lists[0].this_update(), lists[0].next_update().unwrap());
    let at = |time, policy| pki.judge_at(WallClock::Trusted(time), policy, &lists);
    at(this_update, EndEntity).expect("just made");
    at(next_update, EndEntity).expect("the last second");
    let late = next_update.plus_secs(1);
    let stale = CrlError::Stale {
        at: late,
        next_update,
    };
    assert_eq!(unknown(at(late, EndEntity)).1, stale);
    at(late, WhereAvailable).expect("none is required");
    let early = this_update.plus_secs(-1);
    let future = CrlError::NotYetValid {
        at: early,
        this_update,
    };
    assert_eq!(unknown(at(early, EndEntity)).1, future);
}

#[test]
fn without_a_clock_a_list_may_be_old_but_must_be_there() {
    let pki = Pki::new();
    let good = [pki.list("ca")];
    // LEDGER: 8572-9.1-02
    pki.judge_at(WallClock::Unknown, EndEntity, &good)
        .expect("no date is looked at");
    let none = pki.judge_at(WallClock::Unknown, EndEntity, &[]);
    assert_eq!(unknown(none).1, CrlError::NotFound);
    pki.revoke("ca", "device", "unspecified");
    let revoked = pki.judge_at(WallClock::Unknown, WhereAvailable, &[pki.list("ca")]);
    assert_eq!(code(revoked), "path.revoked");
}

#[test]
fn what_an_old_list_revokes_stays_revoked() {
    let pki = Pki::new();
    pki.revoke("ca", "device", "keyCompromise");
    let lists = [pki.list("ca")];
    let late = WallClock::Trusted(now().plus_secs(60 * DAY));
    for policy in [WhereAvailable, EndEntity] {
        assert_eq!(code(pki.judge_at(late, policy, &lists)), "path.revoked");
    }
}

#[test]
fn the_newest_list_counts() {
    let pki = Pki::new();
    let before = pki.list("ca");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    pki.revoke("ca", "device", "certificateHold");
    let on_hold = pki.list("ca");
    assert!(before.this_update() < on_hold.this_update());
    for lists in [[before.clone(), on_hold.clone()], [on_hold, before.clone()]] {
        assert_eq!(code(pki.judge(EndEntity, &lists)), "path.revoked");
    }
    pki.judge(EndEntity, &[before])
        .expect("who has only the old list cannot know");
}

/// RFC 5280 §5.2.3: whoever makes two lists in one second gives the second a greater number.
#[test]
fn of_two_lists_of_one_second_the_greater_number_counts() {
    let pki = Pki::new();
    // The next number has one octet more, and a longer one is not a smaller one.
    fs::write(pki.path("ca.crlnumber"), "FF\n").unwrap();
    let free = fs::read(pki.path("ca.index")).unwrap();
    let second = now().plus_secs(-DAY).to_string();
    let second = second.replace(['-', ':', 'T'], "");
    let list = || {
        let options = format!("-crlexts crl_extensions -crl_lastupdate {second}");
        let file = pki.list_file("ca", &options);
        CertificateRevocationList::from_pem_or_der(&file).unwrap()
    };
    let before = list();
    pki.revoke("ca", "device", "certificateHold");
    let on_hold = list();
    fs::write(pki.path("ca.index"), free).unwrap();
    let released = list();
    assert_eq!(before.this_update(), on_hold.this_update());
    assert_eq!(before.this_update(), released.this_update());
    let numbers = [&before, &on_hold, &released].map(|list| list.number().unwrap().to_vec());
    assert_eq!(numbers, [vec![0, 0xFF], vec![1, 0], vec![1, 1]]);
    for lists in [
        [before.clone(), on_hold.clone()],
        [on_hold.clone(), before.clone()],
    ] {
        assert_eq!(code(pki.judge(EndEntity, &lists)), "path.revoked");
    }
    for lists in [
        [on_hold.clone(), released.clone()],
        [released.clone(), on_hold.clone()],
        [released.clone(), before],
    ] {
        pki.judge(EndEntity, &lists).expect("is free again");
    }
    // An issuer that gives two lists one number says nothing about their order: what is on one of
    // them is revoked.
    fs::write(pki.path("ca.crlnumber"), "0100\n").unwrap();
    let same_number = list();
    assert_eq!(same_number.number(), on_hold.number());
    for lists in [
        [on_hold.clone(), same_number.clone()],
        [same_number, on_hold],
    ] {
        assert_eq!(code(pki.judge(EndEntity, &lists)), "path.revoked");
    }
}

#[test]
fn version_1_is_a_list_too() {
    let pki = Pki::new();
    fs::remove_file(pki.path("ca.crlnumber")).unwrap();
    let configuration = fs::read_to_string(pki.path("openssl.cnf")).unwrap();
    let configuration = configuration.replace("crlnumber = ca.crlnumber\n", "");
    fs::write(pki.path("openssl.cnf"), configuration).unwrap();
    let read = || {
        let file = pki.list_file("ca", "");
        CertificateRevocationList::from_pem_or_der(&file).expect("a list")
    };
    let list = read();
    assert_eq!(list.number(), None);
    pki.judge(EndEntity, &[list]).expect("nobody is revoked");
    pki.revoke("ca", "device", "unspecified");
    assert_eq!(code(pki.judge(EndEntity, &[read()])), "path.revoked");
}

#[test]
fn a_list_by_somebody_else_of_the_same_name_says_nothing() {
    let (pki, other) = (Pki::new(), Pki::new());
    other.revoke("ca", "device", "keyCompromise");
    let foreign = [other.list("ca")];
    assert_eq!(foreign[0].issuer(), pki.list("ca").issuer());
    pki.judge(WhereAvailable, &foreign)
        .expect("no list of ours");
    let (_, why) = unknown(pki.judge(EndEntity, &foreign));
    assert_eq!(
        why,
        CrlError::BadSignature {
            issuer: "CN=ca".to_owned()
        }
    );
}

#[test]
fn who_may_not_sign_lists_says_nothing() {
    let pki = Pki::with_usage("keyCertSign");
    let (_, why) = unknown(pki.judge(EndEntity, &[pki.list("ca")]));
    assert_eq!(
        why,
        CrlError::SignerKeyUsage {
            signer: "CN=ca".to_owned()
        }
    );
}

#[test]
fn an_anchor_is_not_asked_for_its_own_status() {
    let pki = Pki::new();
    pki.revoke("ca", "device", "keyCompromise");
    let lists = [pki.list("ca")];
    let anchors = TrustAnchors::new([pki.device.clone()]);
    let options = PathOptions {
        revocation: WholePath,
        crls: &lists,
        ..PathOptions::default()
    };
    let clock = WallClock::Trusted(now());
    validate_path(&pki.device, &[], &anchors, clock, &options).expect("it is pinned");
}

#[test]
fn lists_travel_with_certificates() {
    let pki = Pki::new();
    pki.revoke("ca", "device", "keyCompromise");
    let list = pki.list("ca");
    // LEDGER: 8572-3.2-06
    let artifact = certs_only(
        &[pki.device.clone(), pki.ca.clone()],
        &[list.as_der().to_vec()],
    )
    .expect("an artifact");
    let message = parse_certs_only(&artifact, &Limits::default()).expect("parses");
    let lists: Vec<CertificateRevocationList> = message
        .crls()
        .iter()
        .map(|der| CertificateRevocationList::from_der(der).expect("a list"))
        .collect();
    assert_eq!(lists, [list]);
    assert_eq!(code(pki.judge(EndEntity, &lists)), "path.revoked");
}

/// Whatever octet is changed, a list that revokes never becomes one that does not.
#[test]
fn a_changed_list_lets_nobody_through() {
    let pki = Pki::new();
    pki.revoke("ca", "device", "keyCompromise");
    let list = pki.list("ca");
    for position in 0..list.as_der().len() {
        let mut der = list.as_der().to_vec();
        der[position] ^= 0x01;
        if let Ok(changed) = CertificateRevocationList::from_der(&der) {
            let judged = pki.judge(EndEntity, &[changed]);
            assert!(judged.is_err(), "octet {position}");
        }
    }
}

#[test]
fn files_with_several_lists_or_none() {
    let pki = Pki::new();
    let mut file = pki.list_file("root", "");
    file.extend(pki.list_file("ca", ""));
    let lists = CertificateRevocationList::list_from_pem_or_der(&file).expect("two lists");
    assert_eq!(lists.len(), 2);
    pki.judge(WholePath, &lists).expect("nobody is revoked");

    let read = CertificateRevocationList::from_pem_or_der;
    assert_eq!(read(pki.root.to_pem().as_bytes()), Err(CrlError::Missing));
    assert_eq!(read(b"-----BEGIN X509 CRL-----\nMII"), Err(CrlError::Pem));
    assert!(matches!(
        read(pki.root.as_der()),
        Err(CrlError::Malformed { .. })
    ));
    assert!(matches!(read(b""), Err(CrlError::Malformed { .. })));
    let size = 16 * 1024 * 1024 + 1;
    let huge = vec![0; size];
    assert_eq!(
        CertificateRevocationList::from_der(&huge),
        Err(CrlError::TooLarge { size })
    );
}

#[test]
fn many_lists_that_do_not_hold_are_given_up() {
    let pki = Pki::new();
    let list = pki.list("ca");
    let lists: Vec<CertificateRevocationList> = (0..500_u16)
        .map(|number| {
            let mut der = list.as_der().to_vec();
            let end = der.len();
            der[end - 2..].copy_from_slice(&number.to_be_bytes());
            CertificateRevocationList::from_der(&der).expect("a list")
        })
        .collect();
    let judged = pki.judge(EndEntity, &lists);
    assert_eq!(judged, Err(PathError::BudgetExhausted { checks: 64 }));
}

const CONFIGURATION: &str = "
[req]
distinguished_name = name
[name]
[root_extensions]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
[any]
commonName = supplied
[crl_extensions]
authorityKeyIdentifier = keyid
";
