//! What a device is given, judged as a device judges it.

mod harness;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Answer, GET_DATA, JSON, REPORT, Rig, TRUSTING, UNTRUSTING, XML, now, report};
use serde_json::{Value, json};
use sztp_cms::{TrustAnchors, UnixTime, WallClock, oids};
use sztp_core::artifacts::{
    Authenticated, BootstrappingData, SourceTrust, owner_certificate_artifact, sign_artifact,
    unsigned_artifact,
};
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_core::restconf::encoding_of;
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};
use sztp_server::lab::{LabOptions, LabPki};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, VoucherContext, issue};

const SERIAL: &str = "AX7-00042";

struct Device<'a>(&'a Rig);

impl Device<'_> {
    fn ask(&self, media_type: &str, body: &str) -> Answer {
        self.0.device(SERIAL).rpc(GET_DATA, media_type, body)
    }

    fn output(answer: &Answer) -> GetBootstrappingDataOutput {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let encoding = encoding_of(answer.header("content-type")).expect("yang-data");
        GetBootstrappingDataOutput::decode(&answer.body, encoding).expect("an output")
    }

    /// As a device that does not trust the server does.
    fn judge(&self, output: GetBootstrappingDataOutput) -> Authenticated {
        let anchors = TrustAnchors::new([self.0.lab.vendor_root.certificate.clone()]);
        let context = VoucherContext {
            serial_number: Some(SERIAL),
            ..VoucherContext::new(&anchors, WallClock::Trusted(now()))
        };
        BootstrappingData::from(output)
            .authenticate(SourceTrust::Unauthenticated, &context, Encoding::Json)
            .expect("accepted")
    }

    fn trusted(&self, output: GetBootstrappingDataOutput) -> ConveyedInfo {
        match self.judge(output) {
            Authenticated::Trusted(trusted) => trusted.into_info(),
            other @ Authenticated::UntrustedRedirect { .. } => panic!("{other:?}"),
        }
    }
}

fn voucher(lab: &LabPki, serial_number: &str, expires_on: Option<UnixTime>) -> String {
    let mut voucher = Voucher::new(
        serial_number,
        Assertion::Verified,
        lab.pinned_domain_ca.certificate.as_der(),
        now().plus_secs(-3600),
    );
    voucher.expires_on = expires_on;
    let octets = issue(
        &voucher,
        &lab.masa.key,
        &lab.masa.certificate,
        &[],
        &IssueOptions::default(),
    )
    .expect("a voucher");
    STANDARD.encode(octets)
}

fn with(document: Value, more: &Value) -> Value {
    let (Value::Object(mut members), Value::Object(more)) = (document, more.clone()) else {
        panic!("objects");
    };
    members.extend(more);
    members.into()
}

/// A device with a voucher and a configuration.
fn secured(rig: &Rig) -> Value {
    with(
        harness::small_device(SERIAL),
        &json!({"voucher": voucher(&rig.lab, SERIAL, None)}),
    )
}

// LEDGER: 8572-7.3-06, 8572-7.3-08, 8572-4.4-03
#[test]
fn a_trusting_device_is_told_how_much_to_report() {
    let rig = Rig::start();
    rig.add(&secured(&rig));
    for (media_type, body) in [(JSON, TRUSTING), (XML, "")] {
        let output = Device::output(&Device(&rig).ask(media_type, body));
        assert_eq!(output.reporting_level, Some(ReportingLevel::Verbose));
        let ConveyedInfo::Onboarding(info) = Device(&rig).trusted(output) else {
            panic!("no onboarding information");
        };
        assert_eq!(info.configuration.as_deref(), Some(&b"hostname edge\n"[..]));
    }
}

// LEDGER: 8572-9.6-05, 8572-B-01, 8572-7.3-06
#[test]
fn an_untrusting_device_is_sent_back_with_the_servers_anchor_and_then_served() {
    let rig = Rig::start();
    rig.add(&secured(&rig));
    let device = Device(&rig);
    let output = Device::output(&device.ask(JSON, UNTRUSTING));
    assert_eq!(output.reporting_level, None);
    let ConveyedInfo::Redirect(redirect) = device.trusted(output) else {
        panic!("no redirect")
    };
    let [server] = &redirect.bootstrap_servers[..] else {
        panic!("{redirect:?}")
    };
    assert_eq!(server.address, "localhost");
    assert_eq!(server.port, Some(rig.server().device_addr().port()));
    let anchor = server.trust_anchor.as_deref().expect("an anchor");
    let anchor = sztp_cms::parse_certs_only(anchor, &sztp_cms::Limits::default()).expect("CMS");
    let [anchor] = anchor.certificates() else {
        panic!("not one anchor")
    };
    assert_eq!(anchor, &rig.lab.tls_ca.certificate);
    assert!(
        rig.last_event(SERIAL)
            .starts_with("promoted: signed redirect")
    );

    // It comes back, trusting.
    let output = Device::output(&device.ask(JSON, TRUSTING));
    assert_eq!(output.reporting_level, Some(ReportingLevel::Verbose));
    assert!(matches!(
        device.trusted(output),
        ConveyedInfo::Onboarding(_)
    ));
    let told = rig
        .device(SERIAL)
        .rpc(REPORT, JSON, &report("bootstrap-complete"));
    assert_eq!(told.status, 204);
    assert_eq!(rig.state(SERIAL), "Provisioned");
}

/// Some devices never trust a bootstrap server; they must not be redirected in a circle.
#[test]
fn a_device_that_cannot_be_promoted_is_served_at_the_second_time() {
    let rig = Rig::start();
    rig.add(&secured(&rig));
    let device = Device(&rig);
    let first = device.trusted(Device::output(&device.ask(XML, &untrusting_xml())));
    assert!(matches!(first, ConveyedInfo::Redirect(_)));
    // Perhaps it trusts the server by now and always prefers signed data: its reports are wanted.
    let output = Device::output(&device.ask(XML, &untrusting_xml()));
    assert_eq!(output.reporting_level, Some(ReportingLevel::Verbose));
    assert!(matches!(
        device.trusted(output),
        ConveyedInfo::Onboarding(_)
    ));
}

fn untrusting_xml() -> String {
    "<input xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server\">\
     <signed-data-preferred/></input>"
        .to_owned()
}

// LEDGER: 8572-7.3-02, 8572-7.3-07
#[test]
fn unsigned_onboarding_information_is_only_for_those_who_trust() {
    let rig = Rig::start();
    rig.add(&harness::small_device(SERIAL));
    let device = Device(&rig);
    let refused = device.ask(JSON, UNTRUSTING);
    assert_eq!(
        (refused.status, refused.error_tag().as_str()),
        (404, "invalid-value")
    );
    assert_eq!(rig.state(SERIAL), "ProvisioningError");
    assert!(
        rig.last_event(SERIAL)
            .starts_with("refused: answer.nothing-signed")
    );

    let output = Device::output(&device.ask(JSON, TRUSTING));
    assert_eq!(output.owner_certificate, None);
    let message =
        sztp_cms::ContentInfo::parse(&output.conveyed_information, &sztp_cms::Limits::default());
    assert!(
        matches!(message, Ok(sztp_cms::ContentInfo::Octets { .. })),
        "{message:?}"
    );

    // An unsigned redirect may be given to anyone; nothing at all is an error.
    let put = |document: Value| {
        let path = format!("/api/v1/devices/{SERIAL}");
        let answer = rig
            .admin()
            .method("PUT")
            .data(document.to_string())
            .send(&path);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    put(json!({"answer": {"kind": "redirect", "servers": [{"address": "boot.example"}]}}));
    let output = Device::output(&device.ask(JSON, UNTRUSTING));
    let Authenticated::UntrustedRedirect {
        redirect,
        refused: None,
    } = device.judge(output)
    else {
        panic!("no unsigned redirect");
    };
    assert_eq!(redirect.bootstrap_servers[0].address, "boot.example");
    put(json!({}));
    let nothing = device.ask(JSON, TRUSTING);
    assert_eq!(
        (nothing.status, nothing.error_tag().as_str()),
        (404, "invalid-value")
    );
}

// LEDGER: 8572-3.1-07
#[test]
fn the_encoding_inside_has_nothing_to_do_with_the_one_outside() {
    let rig = Rig::start();
    rig.add(&with(
        secured(&rig),
        &json!({"promote": false, "conveyed_encoding": "xml"}),
    ));
    let device = Device(&rig);
    let content_type = |output: &GetBootstrappingDataOutput| {
        let limits = sztp_cms::Limits::default();
        let signed = sztp_cms::SignedData::parse(&output.conveyed_information, &limits);
        signed.expect("signed data").content_type()
    };
    let output = Device::output(&device.ask(JSON, UNTRUSTING));
    assert_eq!(content_type(&output), oids::SZTP_CONVEYED_INFO_XML);
    device.trusted(output);
    let spec = with(
        secured(&rig),
        &json!({"promote": false, "conveyed_encoding": "json", "content_type": "id-data"}),
    );
    let path = format!("/api/v1/devices/{SERIAL}");
    assert_eq!(
        rig.admin()
            .method("PUT")
            .data(spec.to_string())
            .send(&path)
            .status,
        200
    );
    let output = Device::output(&device.ask(XML, &untrusting_xml()));
    assert_eq!(content_type(&output), oids::ID_DATA);
    device.trusted(output);
}

#[test]
fn the_uri_and_the_hash_of_an_uploaded_image_are_filled_in() {
    let rig = Rig::start();
    let image = rig
        .admin()
        .data("an image")
        .send("/api/v1/images?name=os-1.2.bin")
        .json();
    let sha256 = image["sha256"].as_str().expect("a hash").to_owned();
    rig.add(
        &json!({"serial_number": SERIAL, "voucher": voucher(&rig.lab, SERIAL, None),
        "answer": {"kind": "onboarding", "boot_image": {"image": "os-1.2.bin",
            "os_name": "os", "os_version": "1.2", "download_uris": ["https://mirror.example/x"]}}}),
    );
    let device = Device(&rig);
    let ConveyedInfo::Onboarding(info) =
        device.trusted(Device::output(&device.ask(JSON, TRUSTING)))
    else {
        panic!("no onboarding information");
    };
    let boot_image = info.boot_image.expect("a boot image");
    let url = rig.server().public_url();
    let here = format!("{url}/files/{sha256}/os-1.2.bin");
    assert_eq!(
        boot_image.download_uris,
        [here.clone(), "https://mirror.example/x".to_owned()]
    );
    let hash: Vec<String> = boot_image.image_verification[0]
        .hash_value
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    assert_eq!(hash.concat(), sha256);
    let path = here.strip_prefix(url).expect("on this server");
    assert_eq!(rig.anonymous().send(path).text(), "an image");
}

// LEDGER: 8572-3.5-01, 8572-3.5-02
#[test]
fn vouchers_and_artifacts_are_judged_when_they_arrive() {
    let rig = Rig::start();
    let lab = &rig.lab;
    let other = LabPki::generate(&LabOptions::new(now())).expect("another lab");
    let mut foreign_owner = lab.clone();
    foreign_owner.pinned_domain_ca = other.pinned_domain_ca.clone();
    let onboarding = ConveyedInfo::Onboarding(OnboardingInformation::default());
    let unsigned = STANDARD.encode(unsigned_artifact(&onboarding, Encoding::Json));
    let signed = |by: &LabPki| {
        let content_type = oids::SZTP_CONVEYED_INFO_JSON;
        let (key, owner) = (&by.owner.key, &by.owner.certificate);
        STANDARD.encode(
            sign_artifact(&onboarding, Encoding::Json, content_type, key, owner).expect("signed"),
        )
    };
    let owner = |by: &LabPki| {
        STANDARD.encode(owner_certificate_artifact(&by.owner.certificate, &[]).expect("CMS"))
    };
    let good = voucher(lab, SERIAL, None);
    let presigned = |information: &str, owner: Option<String>, voucher: Option<&str>| {
        let mut answer = json!({"kind": "presigned", "conveyed_information": information});
        if let Some(owner) = owner {
            answer["owner_certificate"] = owner.into();
        }
        if let Some(voucher) = voucher {
            answer["ownership_voucher"] = voucher.into();
        }
        json!({"answer": answer})
    };
    for (what, document, code) in [
        (
            "another serial",
            json!({"voucher": voucher(lab, "OTHER", None)}),
            "voucher.serial-mismatch",
        ),
        (
            "expired",
            json!({"voucher": voucher(lab, SERIAL, Some(now().plus_secs(-60)))}),
            "voucher.expired",
        ),
        (
            "another vendor's",
            json!({"voucher": voucher(&other, SERIAL, None)}),
            "voucher.untrusted-signer",
        ),
        (
            "another owner's",
            json!({"voucher": voucher(&foreign_owner, SERIAL, None)}),
            "owner-certificate.not-under-pinned-domain-cert",
        ),
        (
            "signed alone",
            presigned(&signed(lab), None, None),
            "answer.artifact-grouping",
        ),
        (
            "unsigned with the others",
            presigned(&unsigned, Some(owner(lab)), Some(&good)),
            "answer.artifact-grouping",
        ),
        (
            "voucher alone",
            presigned(&signed(lab), None, Some(&good)),
            "answer.artifact-grouping",
        ),
        (
            "signed by another owner",
            presigned(&signed(&other), Some(owner(&other)), Some(&good)),
            "owner-certificate.not-under-pinned-domain-cert",
        ),
    ] {
        let document = with(json!({"serial_number": SERIAL}), &document);
        let answer = rig
            .admin()
            .data(document.to_string())
            .send("/api/v1/devices");
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        assert_eq!(answer.json()["code"], code, "{what}");
    }
    assert_eq!(
        rig.admin()
            .send(&format!("/api/v1/devices/{SERIAL}"))
            .status,
        404
    );

    let information = signed(lab);
    let trio = presigned(&information, Some(owner(lab)), Some(&good));
    rig.add(&with(json!({"serial_number": SERIAL}), &trio));
    let device = Device(&rig);
    let output = Device::output(&device.ask(JSON, UNTRUSTING));
    assert_eq!(STANDARD.encode(&output.conveyed_information), information);
    assert_eq!(
        output
            .ownership_voucher
            .as_deref()
            .map(|v| STANDARD.encode(v)),
        Some(good)
    );
    device.trusted(output);
}

#[test]
fn a_voucher_that_has_run_out_is_not_handed_on() {
    let rig = Rig::start();
    let short = voucher(&rig.lab, SERIAL, Some(now().plus_secs(2)));
    rig.add(&with(
        harness::small_device(SERIAL),
        &json!({"voucher": short}),
    ));
    std::thread::sleep(std::time::Duration::from_secs(4));
    let refused = Device(&rig).ask(JSON, UNTRUSTING);
    assert_eq!(
        (refused.status, refused.error_tag().as_str()),
        (500, "operation-failed")
    );
    assert_eq!(rig.state(SERIAL), "ProvisioningError");
    let event = rig.last_event(SERIAL);
    assert!(event.starts_with("refused: voucher.expired"), "{event}");
}
