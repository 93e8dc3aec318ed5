//! What the artifacts carry, the bodies of RPCs, and the other sources of bootstrapping data.

use sztp_cms::TrustAnchors;
use sztp_core::artifacts::{BootstrappingData, SourceTrust};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::csr::CsrRequest;
use sztp_core::dhcp::{BootstrapServerList, DhcpLeniency, Family, long_option};
use sztp_core::dns::{DomainName, TxtRecord, bootstrapping_data};
use sztp_core::removable_storage::{Layout, find};
use sztp_core::restconf::Errors;
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport};
use sztp_voucher::VoucherContext;
use sztp_voucher::yang::Encoding;

use super::{ENCODINGS, NOW};

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

/// The paths of the files on a stick, one a line; the first line is the device's serial number.
pub fn removable_storage(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else {
        return;
    };
    let mut lines = text.split('\n');
    let serial_number = lines.next().unwrap_or_default();
    let listing: Vec<&str> = lines.collect();
    for layout in [Layout::Rfc8572, Layout::IOS_XR] {
        for set in find(layout, serial_number, listing.iter().copied()) {
            let conveyed_information = Some(set.conveyed_information);
            for file in [
                conveyed_information,
                set.owner_certificate,
                set.ownership_voucher,
                set.ztp_actions,
            ] {
                assert!(file.is_none_or(|file| listing.contains(&file.as_str())));
            }
            assert!(!set.directory.split('/').any(|step| step == ".."));
        }
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
