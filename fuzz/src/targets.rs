//! What is fuzzed: everything that reads what others send.
//!
//! Each function takes any octets and must come back. Beside not panicking they hold what is read
//! to what it promises: what decodes also encodes, and decodes to the same again. The test
//! `fuzz_corpus` of `sztp-core` includes this file and replays `fuzz/corpus` without libFuzzer.

use sztp_cms::{
    Certificate, ContentInfo, Limits, PathOptions, SignedData, TrustAnchors, UnixTime,
    VerifyOptions, WallClock, certs_only, oids, parse_certs_only, validate_path,
};
use sztp_core::artifacts::{BootstrappingData, SourceTrust};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::csr::CsrRequest;
use sztp_core::dhcp::{BootstrapServerList, DhcpLeniency, Family, long_option};
use sztp_core::dns::{DomainName, TxtRecord, bootstrapping_data};
use sztp_core::restconf::Errors;
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport};
use sztp_voucher::request::{SignedVoucherRequest, VoucherRequest};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, SignedVoucher, Voucher, VoucherContext};

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Xml];
const PROFILES: [Profile; 2] = [Profile::Rfc8366, Profile::Rfc8366bis];
/// 2026-12-01T00:00:00Z: the certificates of the corpus are valid then.
const NOW: WallClock = WallClock::Trusted(UnixTime::from_secs(1_796_083_200));
/// The corpus's voucher has run out by then, but not for a device without a clock.
const CLOCKS: [WallClock; 2] = [NOW, WallClock::Unknown];

/// CMS: ContentInfo and SignedData, DER and BER, up to the signature.
pub fn cms(octets: &[u8]) {
    let limits = Limits::default();
    let Ok(message) = ContentInfo::parse(octets, &limits) else {
        return;
    };
    let ContentInfo::SignedData(signed) = message else {
        return;
    };
    for signer in signed.signers() {
        let _ = signer.describe();
    }
    verify_trusting_what_is_inside(&signed);
    if let Ok(bag) = parse_certs_only(octets, &limits) {
        let again = certs_only(bag.certificates(), bag.crls()).expect("what was read encodes");
        let again = parse_certs_only(&again, &limits).expect("what was made parses");
        assert_eq!(again.crls().len(), distinct(bag.crls()));
        assert_eq!(again.certificates().len(), distinct(bag.certificates()));
    }
}

/// With the message's own certificates as anchors more of the code is reached.
fn verify_trusting_what_is_inside(signed: &SignedData) {
    let anchors = TrustAnchors::new(signed.certificates().to_vec());
    let types = [
        oids::ID_DATA,
        oids::ANIMA_JSON_VOUCHER,
        oids::SZTP_CONVEYED_INFO_JSON,
        oids::SZTP_CONVEYED_INFO_XML,
    ];
    if let Ok(verified) = signed.verify(&VerifyOptions::new(&anchors, NOW, &types)) {
        assert_eq!(Some(verified.content()), signed.unverified_content());
    }
}

fn distinct<T: PartialEq>(list: &[T]) -> usize {
    let first = |(index, item)| !list[..index].contains(item);
    list.iter().enumerate().filter(|&pair| first(pair)).count()
}

/// Certificates, PEM and DER, and building a path through them: the first is judged, the last is
/// trusted.
pub fn certificate(octets: &[u8]) {
    let Ok(list) = Certificate::list_from_pem_or_der(octets) else {
        return;
    };
    for certificate in &list {
        let again = Certificate::from_der(certificate.as_der()).expect("its own octets read");
        assert_eq!(&again, certificate);
        let pem = Certificate::from_pem_or_der(certificate.to_pem().as_bytes());
        assert_eq!(pem.as_ref(), Ok(certificate));
        let _ = format!("{certificate:?} {:?}", certificate.public_key());
        let _ = (
            certificate.serial_number_attribute(),
            certificate.authority_key_id(),
        );
        let _ = (
            certificate.subject_key_id(),
            certificate.sha256_fingerprint(),
        );
    }
    let (Some(end), Some(anchor)) = (list.first(), list.last()) else {
        return;
    };
    let anchors = TrustAnchors::new([anchor.clone()]);
    for clock in CLOCKS {
        let _ = validate_path(end, &list, &anchors, clock, &PathOptions::default());
    }
}

/// Vouchers and voucher-requests: signed, and the bare document in both encodings.
pub fn voucher(octets: &[u8]) {
    for profile in PROFILES {
        let _ = SignedVoucherRequest::read(octets, profile);
        for encoding in ENCODINGS {
            let _ = VoucherRequest::decode(octets, encoding, profile);
        }
        if let Ok(signed) = SignedVoucher::read(octets, profile) {
            let anchors = TrustAnchors::new(signed.cms().certificates().to_vec());
            for clock in CLOCKS {
                let context = VoucherContext {
                    serial_number: Some("AX7-00042"),
                    ..VoucherContext::new(&anchors, clock)
                };
                if let Ok(verified) = signed.verify(&context) {
                    assert_eq!(verified.voucher(), signed.unverified());
                }
            }
        }
        for encoding in ENCODINGS {
            let Ok((voucher, _)) = Voucher::decode(octets, encoding, profile) else {
                continue;
            };
            let mut known = voucher.clone();
            known.extra.clear();
            for encoding in ENCODINGS {
                let again = Voucher::decode(&voucher.encode(encoding), encoding, profile);
                let (mut again, _) = again.expect("what was written decodes");
                // Leaves that RFC 8366 does not know need not survive.
                again.extra.clear();
                assert_eq!(again, known);
            }
        }
    }
}

/// Conveyed information: the document in both encodings, and the artifact around it.
pub fn conveyed_information(octets: &[u8]) {
    for encoding in ENCODINGS {
        if let Ok(info) = ConveyedInfo::decode(octets, encoding) {
            same_again(&info, ConveyedInfo::encode, ConveyedInfo::decode);
        }
    }
    let data = BootstrappingData {
        conveyed_information: octets.to_vec(),
        owner_certificate: None,
        ownership_voucher: None,
    };
    let anchors = TrustAnchors::default();
    let context = VoucherContext::new(&anchors, NOW);
    for source in [SourceTrust::Authenticated, SourceTrust::Unauthenticated] {
        let _ = data.authenticate(source, &context, Encoding::Json);
    }
}

/// The bodies of both RPCs and of errors, JSON and XML.
pub fn rpc(octets: &[u8]) {
    for encoding in ENCODINGS {
        if let Ok(input) = GetBootstrappingDataInput::decode(octets, encoding) {
            same_again(
                &input,
                GetBootstrappingDataInput::encode,
                GetBootstrappingDataInput::decode,
            );
        }
        if let Ok(output) = GetBootstrappingDataOutput::decode(octets, encoding) {
            same_again(
                &output,
                GetBootstrappingDataOutput::encode,
                GetBootstrappingDataOutput::decode,
            );
        }
        if let Ok(report) = ProgressReport::decode(octets, encoding) {
            same_again(&report, ProgressReport::encode, ProgressReport::decode);
        }
        if let Ok(request) = CsrRequest::decode(octets, encoding) {
            same_again(&request, CsrRequest::encode, CsrRequest::decode);
        }
        if let Ok(errors) = Errors::decode(octets, encoding) {
            // Whatever a server puts into error-info is encoded, but not always in both encodings.
            let again = Errors::decode(&errors.encode(encoding), encoding);
            assert_eq!(again.as_ref(), Ok(&errors));
            let _ = errors.status();
        }
    }
}

/// DHCP options, alone and among others.
pub fn dhcp(octets: &[u8]) {
    let _ = long_option::OptionFields::options_only(octets).join(143);
    let _ = long_option::find_v6(136, octets);
    let Ok((_, value)) = long_option::unwrapped(octets) else {
        return;
    };
    for leniency in [DhcpLeniency::default(), DhcpLeniency::FIELD] {
        let Ok(received) = BootstrapServerList::decode(&value, leniency) else {
            continue;
        };
        let list = received.list;
        let again = BootstrapServerList::decode(&list.encode(), DhcpLeniency::default());
        assert_eq!(again.map(|again| again.list).as_ref(), Ok(&list));
        for family in [Family::V4, Family::V6] {
            let (found, value) =
                long_option::unwrapped(&list.to_option(family)).expect("an option that was made");
            assert_eq!((found, value), (Some(family), list.encode()));
        }
    }
}

/// DNS: the data of a TXT record, and names as people write them.
pub fn dns(octets: &[u8]) {
    if let Ok(record) = TxtRecord::from_rdata(octets) {
        assert_eq!(record.to_rdata(), octets);
        let _ = bootstrapping_data(&[record]);
    }
    if let Ok(text) = std::str::from_utf8(octets)
        && let Ok(name) = DomainName::parse(text)
    {
        let again = DomainName::parse(&name.to_string());
        assert_eq!(again.as_ref(), Ok(&name), "{name}");
    }
}

/// A document that was decoded survives both encodings.
fn same_again<T: PartialEq + std::fmt::Debug, E: PartialEq + std::fmt::Debug>(
    document: &T,
    encode: impl Fn(&T, Encoding) -> Vec<u8>,
    decode: impl Fn(&[u8], Encoding) -> Result<T, E>,
) {
    for encoding in ENCODINGS {
        let again = decode(&encode(document, encoding), encoding);
        assert_eq!(again.as_ref(), Ok(document), "by way of {encoding}");
    }
}
