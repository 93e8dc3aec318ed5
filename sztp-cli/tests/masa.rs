//! `sztp masa serve` as registrars see it: curl asks, and OpenSSL reads what it gets.

mod vendor;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use sztp_cms::{Certificate, KeyType, TrustAnchors, UnixTime, WallClock};
use sztp_server::lab::{Identity, LabPki};
use sztp_voucher::request::{VoucherRequest, sign};
use sztp_voucher::{
    Assertion, IssueOptions, NonceExpectation, Profile, SignedVoucher, VoucherContext,
};
use vendor::{Masa, lab, sell, soon};

const CMS: &str = "application/voucher-cms+json";

struct World {
    directory: tempfile::TempDir,
    lab: LabPki,
    registrar: Identity,
    masa: Masa,
}

struct Answer {
    status: u16,
    media_type: String,
    body: Vec<u8>,
}

fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

impl World {
    fn new(policy: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (lab, registrar) = lab(directory.path(), now());
        let masa = Masa::start(directory.path(), &["AX7-00042"], policy);
        Self {
            directory,
            lab,
            registrar,
            masa,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A registrar's request, in a file.
    fn request(
        &self,
        request: &VoucherRequest,
        signer: &Identity,
        chain: &[Certificate],
    ) -> PathBuf {
        let options = IssueOptions::default();
        let octets = sign(request, &signer.key, &signer.certificate, chain, &options);
        let path = self.path("request.vrq");
        fs::write(&path, octets.expect("signed")).expect("written");
        path
    }

    fn asked(&self, request: &VoucherRequest) -> Answer {
        let domain = [self.lab.pinned_domain_ca.certificate.clone()];
        let file = self.request(request, &self.registrar, &domain);
        self.post(&file, &[])
    }

    fn post(&self, file: &Path, more: &[&str]) -> Answer {
        let registrar = self.path("lab/owner/registrar");
        let certificate = registrar.with_extension("crt");
        let key = registrar.with_extension("key");
        let data = format!("@{}", file.display());
        let identity = [
            "--cert",
            &certificate.to_string_lossy(),
            "--key",
            &key.to_string_lossy(),
            "--data-binary",
            &data,
        ]
        .map(str::to_owned);
        let mut arguments: Vec<&str> = identity.iter().map(String::as_str).collect();
        let content_type = format!("Content-Type: {CMS}");
        if !more.iter().any(|word| word.starts_with("Content-Type")) {
            arguments.extend(["--header", &content_type]);
        }
        arguments.extend(more);
        self.curl(&arguments, "/.well-known/brski/requestvoucher")
    }

    fn curl(&self, arguments: &[&str], path: &str) -> Answer {
        let body = self.path("answer");
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--cacert"])
            .arg(self.path("lab/server/tls-ca.crt"))
            .arg("--output")
            .arg(&body)
            .args(["--write-out", "%{http_code} %{content_type}"])
            .args(arguments)
            .arg(format!("{}{path}", self.masa.url()))
            .stdin(Stdio::null())
            .output()
            .expect("these tests need the program curl");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (status, media_type) = said.split_once(' ').expect("two words");
        Answer {
            status: status.parse().expect("a status"),
            media_type: media_type.to_owned(),
            body: fs::read(&body).unwrap_or_default(),
        }
    }
}

impl Answer {
    fn code(&self) -> String {
        assert_eq!(self.media_type, "application/json");
        let document: Value = serde_json::from_slice(&self.body).expect("JSON");
        assert!(
            document["message"]
                .as_str()
                .is_some_and(|text| text.len() > 5),
            "{document}"
        );
        document["code"].as_str().expect("a code").to_owned()
    }
}

#[test]
fn a_registrar_gets_the_voucher_of_a_device_that_its_owner_bought() {
    let world = World::new("validity_days = 30");
    let nonce = vec![5; 16];
    let answer = world.asked(&VoucherRequest {
        nonce: Some(nonce.clone()),
        created_on: Some(now()),
        ..VoucherRequest::new("AX7-00042")
    });
    assert_eq!((answer.status, answer.media_type.as_str()), (200, CMS));
    let anchors = TrustAnchors::new([world.lab.vendor_root.certificate.clone()]);
    let context = VoucherContext {
        serial_number: Some("AX7-00042"),
        nonce: NonceExpectation::Exact(&nonce),
        ..VoucherContext::new(&anchors, WallClock::Trusted(now()))
    };
    let voucher = SignedVoucher::parse(&answer.body, Profile::Rfc8366).expect("a voucher");
    let verified = voucher.verify(&context).expect("good");
    assert_eq!(
        verified.pinned_domain_cert(),
        &world.lab.pinned_domain_ca.certificate
    );
    assert_eq!(verified.voucher().assertion, Assertion::Verified);
    // Another program reads and verifies it.
    let output = Command::new("openssl")
        .args([
            "cms", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile",
        ])
        .arg(world.path("lab/vendor/root.crt"))
        .arg("-in")
        .arg(world.path("answer"))
        .output()
        .expect("these tests need the program openssl");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        document["ietf-voucher:voucher"]["serial-number"],
        "AX7-00042"
    );
    // Without a nonce it ends.
    let answer = world.asked(&VoucherRequest::new("AX7-00042"));
    let voucher = SignedVoucher::parse(&answer.body, Profile::Rfc8366).expect("a voucher");
    let end = voucher.unverified().expires_on.expect("an end");
    let days = (end.secs() - now().secs()).div_euclid(24 * 60 * 60);
    assert!((29..=30).contains(&days), "{days}");
    // What was decided was written down before.
    let audit = world.masa.audit();
    assert_eq!(audit.len(), 2);
    assert_eq!(audit[0]["outcome"], "granted");
    assert_eq!(audit[0]["serial-number"], "AX7-00042");
    assert_eq!(audit[0]["has-nonce"], true);
    assert_eq!(
        audit[0]["registrar"]["subject"],
        "CN=Lab Registrar,O=Lab Owner"
    );
    assert_eq!(audit[1]["has-nonce"], false);
}

#[test]
fn refusals_have_the_statuses_of_rfc_8995() {
    let world = World::new("");
    let domain = [world.lab.pinned_domain_ca.certificate.clone()];
    let request = VoucherRequest::new("AX7-00042");
    let good = world.request(&request, &world.registrar, &domain);
    let refused = |answer: Answer| (answer.status, answer.code());
    let is = |status: u16, code: &str| (status, code.to_owned());
    let json = ["--header", "Content-Type: application/json"];
    assert_eq!(
        refused(world.post(&good, &json)),
        is(415, "masa.media-type")
    );
    let accept = ["--header", "Accept: application/voucher-jws+json"];
    assert_eq!(
        refused(world.post(&good, &accept)),
        is(406, "masa.not-acceptable")
    );
    let put = ["--request", "PUT"];
    assert_eq!(refused(world.post(&good, &put)), is(405, "masa.method"));
    let elsewhere = world.curl(&["--data", "x"], "/.well-known/brski/other");
    assert_eq!(refused(elsewhere), is(404, "masa.no-such-resource"));
    let content_type = format!("Content-Type: {CMS}");
    let nobody = ["--header", content_type.as_str(), "--data", "x"];
    let nobody = world.curl(&nobody, "/.well-known/brski/requestvoucher");
    assert_eq!(refused(nobody), is(403, "masa.certificate-missing"));
    let unknown = world.asked(&VoucherRequest::new("AX7-99999"));
    assert_eq!(refused(unknown), is(404, "masa.device-unknown"));
    let stale = world.asked(&VoucherRequest {
        created_on: Some(now().plus_secs(-3 * 24 * 60 * 60)),
        ..VoucherRequest::new("AX7-00042")
    });
    assert_eq!(refused(stale), is(403, "masa.stale-request"));
    // Signed by the owner, but not by a registrar.
    let owner = world.lab.owner.clone();
    let file = world.request(&request, &owner, &domain);
    assert_eq!(
        refused(world.post(&file, &[])),
        is(403, "voucher-request.not-a-registrar")
    );
    // One octet of the signature is another.
    let mut octets = fs::read(&good).expect("a request");
    world.request(&request, &world.registrar, &domain);
    let last = octets.len() - 1;
    octets[last] ^= 1;
    let changed = world.path("changed.vrq");
    fs::write(&changed, octets).expect("written");
    assert_eq!(world.post(&changed, &[]).status, 403);
    fs::write(&changed, b"no request at all").expect("written");
    assert_eq!(world.post(&changed, &[]).status, 400);
    fs::write(&changed, vec![0; 100_000]).expect("written");
    assert_eq!(
        refused(world.post(&changed, &[])),
        is(413, "masa.too-large")
    );
    assert!(
        world
            .masa
            .outcomes()
            .contains(&"masa.device-unknown".to_owned())
    );
    assert!(!world.masa.outcomes().contains(&"granted".to_owned()));
}

#[test]
fn the_sales_list_is_read_again_when_it_changes() {
    let world = World::new("");
    let request = VoucherRequest::new("AX7-00043");
    assert_eq!(world.asked(&request).status, 404);
    sell(world.directory.path(), &["AX7-00042", "AX7-00043"]);
    soon("the new row counts", || world.asked(&request).status == 200);
    // A list that cannot be read changes nothing.
    fs::write(world.path("sales.csv"), "nonsense\n").expect("written");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(world.asked(&request).status, 200);
    sell(world.directory.path(), &["AX7-00042"]);
    soon("the row is gone", || world.asked(&request).status == 404);
}

#[test]
fn a_pledge_may_speak_for_itself() {
    let world = World::new("unlisted_by_pledge_request = true\nassertion = \"evidence\"");
    let idevid = world.lab.issue_idevid("AX7-77", KeyType::EcP256, now());
    let idevid = idevid.expect("an IDevID");
    let pledge = VoucherRequest {
        assertion: Some(Assertion::Proximity),
        nonce: Some(vec![8; 16]),
        proximity_registrar_cert: Some(world.registrar.certificate.as_der().to_vec()),
        ..VoucherRequest::new("AX7-77")
    };
    let chain = [world.lab.idevid_ca.certificate.clone()];
    let options = IssueOptions::default();
    let prior = sign(&pledge, &idevid.key, &idevid.certificate, &chain, &options).expect("signed");
    let request = VoucherRequest {
        nonce: Some(vec![8; 16]),
        prior_signed_voucher_request: Some(prior),
        ..VoucherRequest::new("AX7-77")
    };
    let answer = world.asked(&request);
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let voucher = SignedVoucher::parse(&answer.body, Profile::Rfc8366).expect("a voucher");
    assert_eq!(voucher.unverified().assertion, Assertion::Proximity);
    // Without the pledge's word nobody gets what was sold to nobody.
    let answer = world.asked(&VoucherRequest {
        nonce: Some(vec![8; 16]),
        ..VoucherRequest::new("AX7-77")
    });
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "voucher-request.prior-missing")
    );
}

#[test]
fn a_configuration_that_cannot_work_is_told_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |config: &str| {
        fs::write(directory.path().join("masa.toml"), config).expect("written");
        let output = Command::new(env!("CARGO_BIN_EXE_sztp"))
            .args(["masa", "serve", "--config", "masa.toml"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .expect("sztp starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run("listn = 1");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("error[config.unknown-key]") && said.contains("`listen`"),
        "{said}"
    );
    let (code, said) = run("[tls]\ncertificate = \"x\"\n");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("error[config.value]: tls.key: is not set"),
        "{said}"
    );
}
