//! An owner that issues LDevIDs, and a device that makes signing requests.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file needs its own part"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Answer, GET_DATA, JSON, Rig, now};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sztp_cms::{
    Certificate, CertificateBuilder, CertificationRequestBuilder, KeyType, Signer as _, SigningKey,
    TrustAnchors, WallClock,
};
use sztp_core::client::{Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::csr::{CsrRequest, CsrSupport, P10_CSR, algorithm_of, key_type_of};
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Outcome, ScriptStage,
};
use sztp_core::rpc::GetBootstrappingDataOutput;
use sztp_voucher::yang::Encoding;

pub const SERIAL: &str = "AX7-00042";

/// A root and an issuing authority below it, in files: `ca-root.crt`, `ca.crt` (both), `ca.key`.
pub fn authority(directory: &Path) -> (Certificate, Certificate) {
    fs::create_dir_all(directory).expect("a directory");
    let from = now().plus_secs(-3600);
    let (root_key, key) = (new_key(KeyType::EcP384), new_key(KeyType::EcP256));
    let root = CertificateBuilder::new("CN=Owner Root CA,O=Birch")
        .validity(from, None)
        .ca(None)
        .self_signed(&root_key)
        .expect("a root");
    let issuing = CertificateBuilder::new("CN=Owner Device CA,O=Birch")
        .validity(from, Some(from.plus_secs(10 * 365 * 24 * 60 * 60)))
        .ca(Some(0))
        .issued_by(key.spki_der(), &root, &root_key)
        .expect("an authority");
    let write = |name: &str, text: &str| {
        fs::write(directory.join(name), text).expect("written");
    };
    write("ca-root.crt", &root.to_pem());
    write("ca.crt", &(issuing.to_pem() + &root.to_pem()));
    write("ca.key", &key.to_pkcs8_pem().expect("PEM"));
    (root, issuing)
}

pub fn new_key(kind: KeyType) -> SigningKey {
    SigningKey::generate(kind).expect("a key")
}

/// A profile with a configuration that names the certificate, and a device with it.
pub fn enrol(rig: &Rig, template: &str, ldevid: &Value) {
    let json = "Content-Type: application/json";
    let put = rig.admin().method("PUT").data(template);
    let put = put.send("/api/v1/configurations/edge?kind=configuration");
    assert_eq!(put.status, 201, "{}", put.text());
    let profile = json!({"configuration": "edge", "configuration_handling": "merge",
        "ldevid": ldevid});
    let put = rig
        .admin()
        .method("PUT")
        .header(json)
        .data(profile.to_string());
    let put = put.send("/api/v1/profiles/edge");
    assert!([200, 201].contains(&put.status), "{}", put.text());
    rig.add(&json!({"serial_number": SERIAL, "profile": "edge", "host_name": "edge-42"}));
}

/// A request in PKCS#10.
pub fn csr(subject: &str, names: &[&str], key: &SigningKey) -> Vec<u8> {
    let mut builder = CertificationRequestBuilder::new(subject).expect("a name");
    if !names.is_empty() {
        builder = builder.dns_names(names).expect("names");
    }
    builder.sign(key).expect("a request")
}

/// What a device that trusts the server is answered, with these members in its question.
pub fn asked(rig: &Rig, members: &Value) -> Answer {
    let body = json!({"ietf-sztp-bootstrap-server:input": members}).to_string();
    rig.device(SERIAL).rpc(GET_DATA, JSON, &body)
}

pub fn asked_with(rig: &Rig, csr: &[u8]) -> Answer {
    asked(rig, &json!({"ietf-sztp-csr:p10-csr": STANDARD.encode(csr)}))
}

pub fn support(kinds: &[KeyType], format: &str) -> Value {
    let algorithms: Vec<String> = kinds
        .iter()
        .filter_map(|kind| algorithm_of(*kind).map(|der| STANDARD.encode(der)))
        .collect();
    let mut support = json!({"csr-generation": {"supported-formats": {
        "format-identifier": [format]}}});
    if !algorithms.is_empty() {
        support["key-generation"] =
            json!({"supported-algorithms": {"algorithm-identifier": algorithms}});
    }
    json!({"ietf-sztp-csr:csr-support": support})
}

/// The configuration in an answer.
pub fn configuration(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let output = GetBootstrappingDataOutput::decode(&answer.body, Encoding::Json).expect("data");
    let limits = sztp_cms::Limits::default();
    let message = sztp_cms::ContentInfo::parse(&output.conveyed_information, &limits);
    let content = match message.expect("a message") {
        sztp_cms::ContentInfo::Octets { content, .. } => content,
        sztp_cms::ContentInfo::SignedData(signed) => {
            signed.unverified_content().expect("content").to_vec()
        }
        other => panic!("{other:?}"),
    };
    let document: Value = serde_json::from_slice(&content).expect("JSON");
    let onboarding = &document["ietf-sztp-conveyed-info:onboarding-information"];
    let text = onboarding["configuration"]
        .as_str()
        .expect("a configuration");
    String::from_utf8(STANDARD.decode(text).expect("base64")).expect("text")
}

/// `openssl` with these arguments; what it prints.
pub fn openssl(directory: &Path, arguments: &str) -> String {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("these tests need the program openssl");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes the certificates of a text to `leaf.crt` and `rest.crt`, and has OpenSSL judge them.
pub fn judged_by_openssl(rig: &Rig, text: &str) -> (Certificate, String) {
    let list = Certificate::list_from_pem_or_der(text.as_bytes()).expect("certificates");
    let (leaf, rest) = list.split_first().expect("one");
    let rest: String = rest.iter().map(Certificate::to_pem).collect();
    rig.write("leaf.crt", leaf.to_pem());
    let mut arguments = "verify -purpose sslclient -CAfile ca-root.crt ".to_owned();
    if !rest.is_empty() {
        rig.write("rest.crt", rest);
        arguments.push_str("-untrusted rest.crt ");
    }
    let directory = rig.directory.path();
    let said = openssl(directory, &format!("{arguments}leaf.crt"));
    assert_eq!(said.trim(), "leaf.crt: OK");
    let text = openssl(directory, "x509 -in leaf.crt -noout -text -nameopt RFC2253");
    (leaf.clone(), text)
}

/// A device that makes keys, and commits configurations.
pub struct Enrolling {
    pub idevid: Identity,
    pub keys: Vec<SigningKey>,
    pub discarded: usize,
    pub asked: Vec<CsrRequest>,
    pub committed: Vec<String>,
}

impl Platform for Enrolling {
    async fn make_csr(&mut self, request: &CsrRequest) -> Result<Vec<u8>, String> {
        self.asked.push(request.clone());
        let idevid = &self.idevid.chain[0];
        let builder = CertificationRequestBuilder::like(idevid).map_err(|e| e.to_string())?;
        let made = match &request.algorithm_identifier {
            Some(algorithm) => {
                let key = new_key(key_type_of(algorithm).ok_or("an unknown kind of key")?);
                self.keys.push(key.clone());
                builder.sign(&key)
            }
            None => builder.sign(self.idevid.key.signer()),
        };
        made.map_err(|error| error.to_string())
    }
    async fn discard_key(&mut self) -> Result<(), String> {
        self.discarded += 1;
        Ok(())
    }
    async fn install_image(&mut self, _: &Path) -> Result<(), String> {
        Err("no image is expected".to_owned())
    }
    async fn reboot(&mut self, _: &Device) -> Result<Reboot, String> {
        Err("no reboot is expected".to_owned())
    }
    async fn run_script(&mut self, _: ScriptStage, _: &[u8]) -> Ended {
        Ended::Well
    }
    async fn commit_configuration(&mut self, _: ConfigurationHandling, octets: &[u8]) -> Ended {
        self.committed
            .push(String::from_utf8_lossy(octets).into_owned());
        Ended::Well
    }
    async fn roll_back(&mut self) -> Ended {
        Ended::Well
    }
}

/// Boots the device machine, which offers these kinds of keys.
pub fn boot(rig: &Rig, trust: EndpointTrust, kinds: &[KeyType]) -> (Outcome, Enrolling) {
    let idevid = rig.lab.issue_idevid(SERIAL, KeyType::EcP256, now());
    let idevid = idevid.expect("an IDevID");
    let anchors = TrustAnchors::new([rig.lab.vendor_root.certificate.clone()]);
    let mut config = DeviceConfig::new(SERIAL, anchors);
    config.idevid = Some(idevid.certificate.clone());
    config.csr_support = Some(CsrSupport {
        algorithm_identifiers: kinds
            .iter()
            .filter_map(|kind| algorithm_of(*kind).map(<[u8]>::to_vec))
            .collect(),
        formats: vec![P10_CSR.to_owned()],
    });
    config.servers = vec![Endpoint {
        address: "localhost".to_owned(),
        port: rig.server().device_addr().port(),
        trust,
    }];
    let identity = Identity {
        chain: vec![idevid.certificate, rig.lab.idevid_ca.certificate.clone()],
        key: idevid.key.into(),
    };
    let settings = Settings {
        download_directory: rig.directory.path().to_owned(),
        ..Settings::default()
    };
    let client = Client::new(Some(identity.clone()), settings, || {
        WallClock::Trusted(now())
    });
    let mut platform = Enrolling {
        idevid: identity,
        keys: Vec::new(),
        discarded: 0,
        asked: Vec::new(),
        committed: Vec::new(),
    };
    let mut device = Device::new(config);
    let outcome = rig
        .runtime
        .block_on(client.run(&mut device, &mut platform, |_| {}));
    (outcome, platform)
}

/// The server's anchor, for a device that trusts it.
pub fn trusted(rig: &Rig) -> EndpointTrust {
    EndpointTrust::Anchors(TrustAnchors::new([rig.lab.tls_ca.certificate.clone()]))
}

/// The value of a metric, with its labels.
pub fn metric(rig: &Rig, name: &str) -> u64 {
    let text = rig.admin().send("/metrics").text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}"))
        .parse()
        .expect("a number")
}

/// A program with this text.
pub fn script(path: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("allowed");
    path.display().to_string()
}
