//! Whose devices are let in: anchors of several manufacturers, revocation, old signatures,
//! activation codes; and devices that nobody knows.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Answer, Rig};
use raw::{Client, Reply};
use serde_json::{Value, json};
use sztp_cms::{Certificate, CertificateBuilder, KeyType, Signer as _, SigningKey};

const ASK: &str = "POST /restconf/operations/ietf-sztp-bootstrap-server:get-bootstrapping-data \
HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/yang-data+json\r\n\
Content-Length: {length}\r\n\r\n";
const TRUSTING: &str = r#"{"ietf-sztp-bootstrap-server:input":{"hw-model":"AX7"}}"#;

/// A manufacturer that the server was not configured with.
struct Vendor {
    root: Certificate,
    root_key: SigningKey,
    ca: Certificate,
    ca_key: SigningKey,
}

impl Vendor {
    fn new() -> Self {
        let key = || SigningKey::generate(KeyType::EcP256).expect("a key");
        let (root_key, ca_key) = (key(), key());
        let root = CertificateBuilder::new("O=Acme,CN=Acme Root")
            .ca(None)
            .self_signed(&root_key)
            .expect("a root");
        let ca = CertificateBuilder::new("O=Acme,CN=Acme Devices")
            .ca(Some(0))
            .issued_by(ca_key.spki_der(), &root, &root_key)
            .expect("an authority");
        Self {
            root,
            root_key,
            ca,
            ca_key,
        }
    }

    fn device(&self, rig: &Rig, subject: &str) -> Client {
        let key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let certificate = CertificateBuilder::new(subject)
            .issued_by(key.spki_der(), &self.ca, &self.ca_key)
            .expect("a certificate");
        Client::with(rig, vec![certificate, self.ca.clone()], key)
    }
}

fn post(rig: &Rig, path: &str, document: &Value) -> Answer {
    rig.admin()
        .header("Content-Type: application/json")
        .data(document.to_string())
        .send(path)
}

fn trust(rig: &Rig, certificate: &Certificate, more: &Value) -> i64 {
    let mut document = json!({
        "purpose": "idevid",
        "certificates": {"text": certificate.to_pem()},
    });
    let members = document.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let added = post(rig, "/api/v1/trust-anchors", &document);
    assert_eq!(added.status, 201, "{}", added.text());
    added.json()["items"][0]["id"].as_i64().expect("an id")
}

fn delete(rig: &Rig, path: &str) -> u16 {
    rig.admin().method("DELETE").send(path).status
}

fn code(reply: &Reply) -> String {
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let error = &document["ietf-restconf:errors"]["error"][0];
    error["error-app-tag"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// A whole life: not trusted, trusted and not known, adopted, no longer trusted. No restart.
#[test]
fn a_manufacturer_is_added_and_its_device_adopted() {
    let rig = Rig::start();
    let vendor = Vendor::new();
    let mut device = vendor.device(&rig, "O=Acme,serialNumber=ACME-1");
    let refused = device.send(ASK, TRUSTING);
    assert_eq!(refused.status, 401, "{refused:?}");

    // The authority in the middle is as good as the root.
    let id = trust(&rig, &vendor.ca, &json!({"name": "Acme"}));
    let refused = device.send(ASK, TRUSTING);
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (403, "device.unknown")
    );
    assert!(
        !refused.text().contains("serialNumber"),
        "it is told nothing"
    );

    let listed = rig.admin().send("/api/v1/unknown-devices").json();
    let [unknown] = &listed["items"].as_array().expect("items")[..] else {
        panic!("{listed}")
    };
    assert_eq!(unknown["serial_number"], "ACME-1");
    assert_eq!(unknown["anchor"], "O=Acme,CN=Acme Devices");
    assert_eq!(unknown["reported"]["hw_model"], "AX7");
    assert_eq!(unknown["times"], 1);
    let from = unknown["serial_number_from"].as_str().expect("text");
    assert!(
        from.starts_with("the subject's serialNumber of certificate "),
        "{from}"
    );

    let spec = json!({"answer": {"kind": "onboarding", "configuration": {"text": "hostname a\n"},
        "configuration_handling": "merge"}});
    let adopted = post(&rig, "/api/v1/unknown-devices/ACME-1/adopt", &spec);
    assert_eq!(adopted.status, 201, "{}", adopted.text());
    let again = post(&rig, "/api/v1/unknown-devices/ACME-1/adopt", &spec);
    assert_eq!(again.status, 404, "{}", again.text());
    let listed = rig.admin().send("/api/v1/unknown-devices").json();
    assert_eq!(listed["items"], json!([]));
    assert_eq!(device.send(ASK, TRUSTING).status, 200);
    let last = rig.last_event("ACME-1");
    assert!(
        last.contains("serial number from the subject's serialNumber"),
        "{last}"
    );
    assert!(last.contains("under O=Acme,CN=Acme Devices"), "{last}");

    let path = format!("/api/v1/trust-anchors/{id}");
    assert_eq!(delete(&rig, &path), 204);
    assert_eq!(delete(&rig, &path), 404);
    assert_eq!(device.send(ASK, TRUSTING).status, 401);
}

#[test]
fn anchors_are_listed_and_judged() {
    let rig = Rig::start();
    let vendor = Vendor::new();
    let before = rig.admin().send("/api/v1/trust-anchors").json();
    let of_files = before["items"].as_array().expect("items").len();
    assert!(of_files >= 3, "{before}");
    assert_eq!(before["items"][0]["id"], Value::Null);
    // A bundle, in DER and for vouchers too.
    let bundle = sztp_cms::certs_only(&[vendor.root.clone(), vendor.ca.clone()], &[]);
    let bundle = STANDARD.encode(bundle.expect("a bundle"));
    let document = json!({"purpose": "voucher", "certificates": bundle});
    let added = post(&rig, "/api/v1/trust-anchors", &document);
    assert_eq!(added.json()["items"].as_array().map(Vec::len), Some(2));
    // The same again changes nothing.
    let again = post(&rig, "/api/v1/trust-anchors", &document);
    assert_eq!(
        again.json()["items"][0]["id"],
        added.json()["items"][0]["id"]
    );
    let page = format!("/api/v1/trust-anchors?after={of_files}&limit=1");
    let page = rig.admin().send(&page).json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
    assert!(page["next"].is_string(), "{page}");

    for (document, expected) in [
        (
            json!({"purpose": "idevid", "certificates": {"text": "none"}}),
            422,
        ),
        (
            json!({"purpose": "voucher", "certificates": bundle, "allow_sha1": true}),
            422,
        ),
        (json!({"purpose": "other", "certificates": bundle}), 400),
        (json!({"certificates": bundle}), 400),
    ] {
        let refused = post(&rig, "/api/v1/trust-anchors", &document);
        assert_eq!(refused.status, expected, "{}", refused.text());
    }
}

#[test]
fn each_manufacturer_writes_the_serial_number_elsewhere() {
    let rig = Rig::start();
    let vendor = Vendor::new();
    trust(
        &rig,
        &vendor.root,
        &json!({"serial_number_from": "common-name"}),
    );
    rig.add(&harness::small_device("ACME-7"));
    let mut device = vendor.device(&rig, "CN=ACME-7,serialNumber=not this");
    assert_eq!(device.send(ASK, TRUSTING).status, 200);
    assert!(
        rig.last_event("ACME-7")
            .contains("serial number from the common name")
    );
    let mut nameless = vendor.device(&rig, "O=Acme");
    let refused = nameless.send(ASK, TRUSTING);
    assert_eq!(code(&refused), "device.serial-number-missing");
    let _ = &vendor.root_key;
}

#[test]
fn several_serial_numbers_lead_to_one_device() {
    let rig = Rig::start();
    let mut document = harness::small_device("CHASSIS-1");
    document["serial_numbers"] = json!(["RP-1"]);
    rig.add(&document);
    let mut processor = Client::new(&rig, "serialNumber=RP-1");
    assert_eq!(processor.send(ASK, TRUSTING).status, 200);
    let last = rig.last_event("CHASSIS-1");
    assert!(last.contains("as serial number RP-1"), "{last}");
}

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("these tests need the program openssl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
}

fn read(directory: &Path, name: &str) -> Certificate {
    let octets = std::fs::read(directory.join(name)).expect("a file");
    Certificate::from_pem_or_der(&octets).expect("a certificate")
}

/// As SUDIs of old: an RSA key, a certificate signed with SHA-1.
#[test]
fn signatures_of_old_only_where_that_is_said() {
    let rig = Rig::start();
    let at = rig.directory.path();
    openssl(at, "genrsa -out act2.key 2048");
    openssl(
        at,
        "req -x509 -new -key act2.key -subj /O=Cisco/CN=ACT2 -days 30 -out act2.crt",
    );
    openssl(at, "genrsa -out sudi.key 2048");
    std::fs::write(at.join("sudi.cnf"), "[req]\nprompt=no\ndistinguished_name=d\n[d]\nserialNumber=PID:C9300-24T SN:FCW2126G05V\nO=Cisco\n").expect("written");
    openssl(at, "req -new -key sudi.key -config sudi.cnf -out sudi.csr");
    openssl(
        at,
        "x509 -req -sha1 -in sudi.csr -CA act2.crt -CAkey act2.key -CAcreateserial -out sudi.crt",
    );
    let key = std::fs::read(at.join("sudi.key")).expect("a key");
    let key = SigningKey::from_pem_or_der(&key).expect("a key");
    let anchor = read(at, "act2.crt");
    rig.add(&harness::small_device("FCW2126G05V"));
    trust(&rig, &anchor, &json!({}));
    let mut device = Client::with(&rig, vec![read(at, "sudi.crt")], key.clone())
        .speaking(sztp_cms::TlsVersions::UpTo12);
    let refused = device.send(ASK, TRUSTING);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert!(
        rig.last_event("FCW2126G05V")
            .contains("path.weak-algorithm")
    );
    trust(
        &rig,
        &anchor,
        &json!({"allow_sha1": true, "serial_number_from": "product-and-serial"}),
    );
    assert_eq!(device.send(ASK, TRUSTING).status, 200);
}

#[test]
fn a_revoked_device_is_turned_away() {
    let rig = Rig::start();
    let at = rig.directory.path();
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).expect("written");
    write("index", "");
    write("number", "1000\n");
    write(
        "ca.cnf",
        "[ca]\ndatabase=index\ncrlnumber=number\ncertificate=ca.crt\nprivate_key=ca.key\ndefault_md=sha256\ndefault_crl_days=30\nunique_subject=no\n[req]\nprompt=no\ndistinguished_name=d\nx509_extensions=x\n[d]\nCN=Acme\n[x]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
    );
    openssl(at, "ecparam -name prime256v1 -genkey -noout -out ca.key");
    openssl(
        at,
        "req -x509 -new -key ca.key -config ca.cnf -days 30 -out ca.crt",
    );
    let mut devices = Vec::new();
    for name in ["good", "lost"] {
        openssl(
            at,
            &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"),
        );
        openssl(
            at,
            &format!("req -new -key {name}.key -subj /serialNumber={name} -out {name}.csr"),
        );
        openssl(
            at,
            &format!(
                "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt"
            ),
        );
        let key = std::fs::read(at.join(format!("{name}.key"))).expect("a key");
        let key = SigningKey::from_pem_or_der(&key).expect("a key");
        devices.push(Client::with(
            &rig,
            vec![read(at, &format!("{name}.crt"))],
            key,
        ));
        rig.add(&harness::small_device(name));
    }
    trust(&rig, &read(at, "ca.crt"), &json!({}));
    for device in &mut devices {
        assert_eq!(device.send(ASK, TRUSTING).status, 200);
    }
    openssl(
        at,
        "ca -config ca.cnf -name ca -revoke lost.crt -crl_reason keyCompromise",
    );
    openssl(at, "ca -config ca.cnf -name ca -gencrl -out list.crl");
    let list = std::fs::read(at.join("list.crl")).expect("a list");
    let kept = rig.admin().data(list).send("/api/v1/revocation-lists");
    assert_eq!(kept.status, 201, "{}", kept.text());
    let id = kept.json()["items"][0]["id"].as_i64().expect("an id");
    assert_eq!(devices[0].send(ASK, TRUSTING).status, 200);
    let refused = devices[1].send(ASK, TRUSTING);
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (401, "path.revoked")
    );
    assert!(rig.last_event("lost").contains("path.revoked"));
    let listed = rig.admin().send("/api/v1/revocation-lists").json();
    assert_eq!(listed["items"][0]["issuer"], "CN=Acme");
    assert_eq!(delete(&rig, &format!("/api/v1/revocation-lists/{id}")), 204);
    assert_eq!(devices[1].send(ASK, TRUSTING).status, 200);
    let refused = rig.admin().data("no list").send("/api/v1/revocation-lists");
    assert_eq!(refused.status, 422);
}

fn with_code(serial_number: &str, code: &str) -> String {
    let credentials = STANDARD.encode(format!("{serial_number}:{code}"));
    ASK.replace(
        "Host:",
        &format!("Authorization: Basic {credentials}\r\nHost:"),
    )
}

/// LEDGER: 8572-5.3-06
#[test]
fn a_device_without_certificate_has_a_code() {
    let rig = Rig::start();
    let mut document = harness::small_device("BOX-1");
    rig.add(&document);
    let made = rig
        .admin()
        .method("POST")
        .send("/api/v1/devices/BOX-1/activation-code");
    assert_eq!(made.status, 201, "{}", made.text());
    let code_of = made.json()["activation_code"]
        .as_str()
        .expect("a code")
        .to_owned();
    assert_eq!(code_of.len(), 39);
    let mut device = Client::anonymous(&rig);
    // Off by default, and the device is not told so.
    let refused = device.send(&with_code("BOX-1", &code_of), TRUSTING);
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (401, "device.activation-refused")
    );
    document["activation_codes"] = true.into();
    let put = rig
        .admin()
        .method("PUT")
        .data(document.to_string())
        .send("/api/v1/devices/BOX-1");
    assert_eq!(put.status, 200, "{}", put.text());
    let served = device.send(&with_code("BOX-1", &code_of.to_lowercase()), TRUSTING);
    assert_eq!(served.status, 200, "{served:?}");
    assert!(
        rig.last_event("BOX-1")
            .contains("HTTP Basic with its activation code")
    );
    // Beside a certificate it grants nothing, and must not contradict it.
    let mut other = Client::new(&rig, "serialNumber=BOX-2");
    let refused = other.send(&with_code("BOX-1", &code_of), TRUSTING);
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (401, "device.other-device")
    );
    assert_eq!(delete(&rig, "/api/v1/devices/BOX-1/activation-code"), 204);
    assert_eq!(delete(&rig, "/api/v1/devices/BOX-1/activation-code"), 404);
    assert_eq!(
        device.send(&with_code("BOX-1", &code_of), TRUSTING).status,
        401
    );
    // Nothing of the code is in the database.
    let stored = std::fs::read_dir(rig.path("data")).expect("a directory");
    for file in stored.flatten().filter(|file| file.path().is_file()) {
        let octets = std::fs::read(file.path()).expect("a file");
        let found = octets
            .windows(code_of.len())
            .any(|part| part == code_of.as_bytes());
        assert!(!found, "{}", file.path().display());
    }
}

#[test]
fn codes_cannot_be_guessed_for_long() {
    let rig = Rig::start_with(|config| config.answers.activation_codes = true);
    rig.add(&harness::small_device("BOX-1"));
    let mut device = Client::anonymous(&rig);
    let mut last = 0;
    for attempt in 0..12 {
        let reply = device.send(&with_code("BOX-1", &format!("{attempt:032}")), TRUSTING);
        last = reply.status;
    }
    assert_eq!(last, 403);
    // Devices with certificates at the same address are not concerned.
    let mut known = Client::new(&rig, "serialNumber=BOX-1");
    assert_eq!(known.send(ASK, TRUSTING).status, 200);
}

#[test]
fn what_ends_soon_is_said() {
    let rig = Rig::start();
    let now = harness::now();
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    let short = CertificateBuilder::new("CN=Short")
        .ca(None)
        .validity(now.plus_secs(-60), Some(now.plus_secs(7 * 24 * 3600)))
        .self_signed(&key)
        .expect("a root");
    let ready = rig.operator_with("X: y").send("/readyz").json();
    assert_eq!(ready["expiring"], 0, "{ready}");
    trust(&rig, &short, &json!({}));
    let listed = rig.admin().send("/api/v1/expiries").json();
    assert_eq!(listed["items"][0]["what"], "IDevID trust anchor CN=Short");
    let ready = rig.operator_with("X: y").send("/readyz").json();
    assert_eq!(ready["expiring"], 1);
    let notices = rig
        .runtime
        .block_on(rig.server().reload())
        .expect("read again");
    let said: Vec<String> = notices.iter().map(ToString::to_string).collect();
    assert!(
        said.iter()
            .any(|notice| notice.contains("CN=Short expires")),
        "{said:?}"
    );
}
