//! Certificate signing requests on the way to a configuration (RFC 9646).

mod pair;

use pair::{
    Pair, Reply, Server, bootstrapped, codes, not_trusting, onboarding, running, trusting,
    unsigned, world,
};
use sha2::{Digest as _, Sha256};
use sztp_core::conveyed_info::{BootImage, ConveyedInfo, ImageVerification};
use sztp_core::csr::{CMC_CSR, CMP_CSR, CsrRequest, CsrSupport, P10_CSR};
use sztp_core::device::{Device, DeviceConfig, Output, SavedState};
use sztp_core::restconf::{Errors, RestconfError};
use sztp_core::rpc::ProgressType::*;
use sztp_core::rpc::{Csr, ReportingLevel};
use sztp_voucher::yang::Encoding;

const HOST: &str = "boot.example";
const IMAGE: &[u8] = b"AxOS 2.0";
const URI: &str = "http://files.example/axos";
/// ecPublicKey with prime256v1.
const EC_P256: &[u8] = &[
    0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1,
    7,
];

fn support() -> CsrSupport {
    CsrSupport {
        algorithm_identifiers: vec![EC_P256.to_vec()],
        formats: vec![P10_CSR.to_owned()],
    }
}

fn able(config: DeviceConfig) -> DeviceConfig {
    DeviceConfig {
        csr_support: Some(support()),
        ..config
    }
}

fn request() -> CsrRequest {
    CsrRequest {
        algorithm_identifier: Some(EC_P256.to_vec()),
        format: P10_CSR.to_owned(),
        cert_req_info: None,
    }
}

fn wanted(request: &CsrRequest) -> Reply {
    Reply::Raw {
        status: 400,
        content_type: Some("application/yang-data+json"),
        body: Errors::from(RestconfError::csr_request(request)).encode(Encoding::Json),
    }
}

/// A server that wants these requests one after the other before it gives its data.
fn wanting(requests: Vec<CsrRequest>) -> Server {
    wanting_at(HOST, requests)
}

fn wanting_at(host: &'static str, requests: Vec<CsrRequest>) -> Server {
    let mut requests = requests.into_iter();
    Server::new(host, move |_| match requests.next() {
        Some(request) => wanted(&request),
        None => Reply::Data(unsigned(
            &ConveyedInfo::Onboarding(onboarding()),
            ReportingLevel::Minimal,
        )),
    })
}

#[test]
fn the_request_is_sent_and_the_key_stays() {
    // LEDGER: 9646-2.3-01, 9646-4.1.3-01
    let mut pair = Pair::new([wanting(vec![request()])]);
    pair.csrs = vec![b"csr".to_vec()];
    bootstrapped(&pair.run(able(trusting(HOST))));
    let asked = &pair.server(HOST).asked;
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (&asked[0].csr_support, &asked[0].csr),
        (&Some(support()), &None)
    );
    let csr = Some(Csr::P10(b"csr".to_vec()));
    assert_eq!((&asked[1].csr_support, &asked[1].csr), (&None, &csr));
    assert_eq!(asked[1].hw_model.as_deref(), Some("AX7"));
    assert_eq!(pair.csr_requests, [request()]);
    assert_eq!(pair.effects()[0], "csr with a new key");
    assert!(!pair.effects().contains(&"discard key"));
}

#[test]
fn a_server_that_wants_none_gets_none() {
    let mut pair = Pair::new([wanting(Vec::new())]);
    bootstrapped(&pair.run(able(trusting(HOST))));
    assert_eq!(pair.csr_requests, []);
}

#[test]
fn an_untrusted_server_is_neither_told_nor_listened_to() {
    // LEDGER: 9646-4.1.4-01, 9646-4.1.4-02
    let mut pair = Pair::new([wanting(vec![request()])]);
    pair.csrs = vec![b"csr".to_vec()];
    let outcome = pair.run(able(not_trusting(HOST)));
    assert_eq!(codes(&outcome), ["device.refused-by-server"]);
    let asked = &pair.server(HOST).asked;
    assert!(asked.len() == 1 && asked[0].csr_support.is_none() && asked[0].signed_data_preferred);
    assert!(pair.effects().is_empty());
}

#[test]
fn a_device_without_this_ability_does_not_listen() {
    let mut pair = Pair::new([wanting(vec![request()])]);
    let outcome = pair.run(trusting(HOST));
    assert_eq!(codes(&outcome), ["device.refused-by-server"]);
    assert!(pair.effects().is_empty());
}

#[test]
fn another_request_makes_the_key_of_the_first_useless() {
    // LEDGER: 9646-2.3-05, 9646-4.1.3-01
    let existing = CsrRequest {
        algorithm_identifier: None,
        ..request()
    };
    let mut pair = Pair::new([wanting(vec![request(), request(), existing])]);
    pair.csrs = [b"1", b"2", b"3"].map(|csr| csr.to_vec()).to_vec();
    bootstrapped(&pair.run(able(trusting(HOST))));
    assert_eq!(
        pair.effects()[..5],
        [
            "csr with a new key",
            "discard key",
            "csr with a new key",
            "discard key",
            "csr with the old key"
        ]
    );
    let sent: Vec<_> = pair
        .server(HOST)
        .asked
        .iter()
        .map(|one| one.csr.clone())
        .collect();
    let p10 = |csr: &[u8]| Some(Csr::P10(csr.to_vec()));
    assert_eq!(sent, [None, p10(b"1"), p10(b"2"), p10(b"3")]);
}

#[test]
fn a_server_that_never_has_enough() {
    // LEDGER: 9646-2.3-07
    let mut pair = Pair::new([wanting(vec![request(); 100])]);
    pair.csrs = vec![b"csr".to_vec(); 100];
    let outcome = pair.run(able(trusting(HOST)));
    assert_eq!(codes(&outcome), ["csr.too-many-requests"]);
    assert_eq!(pair.csr_requests.len(), 3);
    assert_eq!(pair.effects().last(), Some(&"discard key"));
    assert_eq!(
        pair.server(HOST).told(),
        [BootstrapInitiated, BootstrapError]
    );
}

#[test]
fn what_was_not_offered_is_not_made() {
    // LEDGER: 9646-3.2-05, 9646-3.2-06, 9646-3.2-12, 9646-3.2-13
    let format = |format: &str| CsrRequest {
        format: format.to_owned(),
        ..request()
    };
    let other_key = CsrRequest {
        algorithm_identifier: Some(vec![0x30, 0]),
        ..request()
    };
    for (request, code) in [
        (format(CMP_CSR), "csr.format-not-offered"),
        (format(CMC_CSR), "csr.format-not-offered"),
        (other_key, "csr.algorithm-not-offered"),
    ] {
        let mut pair = Pair::new([wanting(vec![request])]);
        pair.csrs = vec![b"csr".to_vec()];
        assert_eq!(codes(&pair.run(able(trusting(HOST)))), [code]);
        assert!(pair.effects().is_empty());
        assert_eq!(
            pair.server(HOST).told(),
            [BootstrapInitiated, BootstrapError]
        );
    }
}

/// A CertificationRequestInfo of this device's IDevID key.
fn request_info() -> Vec<u8> {
    let key = world().idevid.spki_der();
    let content = [&[2, 1, 0, 0x30, 0], key, &[0xa0, 0]].concat();
    let length = u8::try_from(content.len()).expect("short");
    assert!(length < 128);
    [&[0x30, length], &content[..]].concat()
}

#[test]
fn the_given_request_information_must_fit_the_selected_key() {
    // LEDGER: 9646-3.2-07, 9646-3.2-09, 9646-3.2-10
    let with = |algorithm: Option<&[u8]>, info: Vec<u8>| CsrRequest {
        algorithm_identifier: algorithm.map(<[u8]>::to_vec),
        cert_req_info: Some(info),
        ..request()
    };
    let able = || DeviceConfig {
        csr_support: Some(CsrSupport {
            algorithm_identifiers: vec![EC_P256.to_vec(), vec![0x30, 0]],
            ..support()
        }),
        ..trusting(HOST)
    };
    for request in [
        with(Some(EC_P256), request_info()),
        with(None, request_info()),
    ] {
        let mut pair = Pair::new([wanting(vec![request.clone()])]);
        pair.csrs = vec![b"csr".to_vec()];
        bootstrapped(&pair.run(able()));
        assert_eq!(pair.csr_requests, [request], "handed on as it is");
    }
    let truncated = request_info()[..20].to_vec();
    for (request, code) in [
        (
            with(Some(&[0x30, 0]), request_info()),
            "csr.algorithm-mismatch",
        ),
        (with(None, truncated), "csr.malformed-request-info"),
        (with(None, Vec::new()), "csr.malformed-request-info"),
    ] {
        let mut pair = Pair::new([wanting(vec![request])]);
        pair.csrs = vec![b"csr".to_vec()];
        assert_eq!(codes(&pair.run(able())), [code]);
        assert_eq!(pair.csr_requests, []);
    }
}

#[test]
fn a_key_that_cannot_be_made() {
    let mut pair = Pair::new([wanting(vec![request()])]);
    let outcome = pair.run(able(trusting(HOST)));
    assert_eq!(codes(&outcome), ["csr.not-made"]);
    assert_eq!(
        pair.server(HOST).told(),
        [BootstrapInitiated, BootstrapError]
    );
}

#[test]
fn the_key_of_a_failed_attempt_is_deleted_by_this_process_or_the_next() {
    // LEDGER: 9646-2.3-05
    let server = || {
        Server::new(HOST, move |input| {
            if input.csr.is_some() {
                return Reply::status(500);
            }
            wanted(&request())
        })
    };
    let mut pair = Pair::new([server()]);
    pair.csrs = vec![b"csr".to_vec()];
    assert_eq!(
        codes(&pair.run(able(trusting(HOST)))),
        ["device.refused-by-server"]
    );
    assert_eq!(pair.effects(), ["csr with a new key", "discard key"]);

    let mut pair = Pair::new([server()]);
    let state = killed_while_making_a_key(&mut pair);
    pair.csrs = vec![b"csr".to_vec()];
    pair.drive(&mut Device::restore(able(trusting(HOST)), state.clone()));
    // The platform has the key, and takes it.
    assert_eq!(pair.effects(), ["csr with a new key", "discard key"]);

    let existing = CsrRequest {
        algorithm_identifier: None,
        ..request()
    };
    let mut pair = Pair::new([wanting(vec![existing])]);
    pair.csrs = vec![b"csr".to_vec()];
    bootstrapped(&pair.drive(&mut Device::restore(able(trusting(HOST)), state.clone())));
    assert_eq!(pair.effects()[..2], ["discard key", "csr with the old key"]);

    let mut pair = Pair::new([Server::new(HOST, |_| Reply::status(500))]);
    pair.drive(&mut Device::restore(able(trusting(HOST)), state));
    assert_eq!(pair.effects(), ["discard key"]);
}

#[test]
fn another_server_gets_another_key_also_after_a_restart() {
    // LEDGER: 9646-2.3-05, 9646-4.1.3-01
    let state = killed_while_making_a_key(&mut Pair::new([wanting(vec![request()])]));
    let mut pair = Pair::new([wanting(vec![request()])]);
    pair.csrs = vec![b"csr".to_vec()];
    bootstrapped(&pair.drive(&mut Device::restore(able(trusting(HOST)), state.clone())));
    assert_eq!(
        pair.effects()[..1],
        ["csr with a new key"],
        "the same server"
    );

    let mut pair = Pair::new([wanting_at("other.example", vec![request()])]);
    pair.csrs = vec![b"csr".to_vec()];
    bootstrapped(&pair.drive(&mut Device::restore(able(trusting("other.example")), state)));
    assert_eq!(pair.effects()[..2], ["discard key", "csr with a new key"]);
}

#[test]
fn a_server_that_has_issued_the_certificate_already_finds_its_key() {
    let mut pair = Pair::new([wanting(vec![request()])]);
    let state = killed_while_making_a_key(&mut pair);
    bootstrapped(&pair.drive(&mut Device::restore(able(trusting(HOST)), state)));
    assert!(!pair.effects().contains(&"discard key"));
}

#[test]
fn the_key_survives_the_reboot_into_another_image() {
    let mut image = onboarding();
    image.boot_image = Some(BootImage {
        os_name: Some("AxOS".to_owned()),
        os_version: Some("2.0".to_owned()),
        download_uris: vec![URI.to_owned()],
        image_verification: vec![ImageVerification::sha256(Sha256::digest(IMAGE).into())],
    });
    let info = ConveyedInfo::Onboarding(image);
    let mut requests = vec![request()].into_iter();
    let server = Server::new(HOST, move |_| match requests.next() {
        Some(request) => wanted(&request),
        None => Reply::Data(unsigned(&info, ReportingLevel::Minimal)),
    });
    let mut pair = Pair::new([server]);
    pair.csrs = vec![b"csr".to_vec()];
    pair.images.insert(URI, IMAGE.to_vec());
    pair.after_reboot = Some(running("2.0"));
    bootstrapped(&pair.run(able(trusting(HOST))));
    assert!(pair.effects().contains(&"reboot"), "{:?}", pair.effects());
    assert!(!pair.effects().contains(&"discard key"));
}

/// The state of a process that is killed while it makes a key.
fn killed_while_making_a_key(pair: &mut Pair) -> SavedState {
    let mut device = Device::new(able(trusting(HOST)));
    loop {
        let output = device.poll_output().expect("an output");
        if matches!(output, Output::MakeCsr(_)) {
            return device.save();
        }
        let input = pair.perform(output);
        device.handle_input(pair.clock, input);
    }
}
