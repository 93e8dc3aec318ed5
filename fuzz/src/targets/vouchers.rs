//! Vouchers and voucher-requests: the documents, and signed in CMS.

use sztp_cms::TrustAnchors;
use sztp_voucher::request::{
    PledgeContext, RegistrarContext, SignedVoucherRequest, VoucherRequest,
};
use sztp_voucher::{SignedVoucher, Voucher, VoucherContext, VoucherReport, unwrap_text};

use super::{CLOCKS, ENCODINGS, PROFILES};

/// Signed vouchers as they are found, trusting the certificates inside.
pub fn voucher(octets: &[u8]) {
    let _ = unwrap_text(octets);
    for profile in PROFILES {
        let Ok(signed) = SignedVoucher::read(octets, profile) else {
            continue;
        };
        let anchors = TrustAnchors::new(signed.cms().certificates().to_vec());
        for clock in CLOCKS {
            let context = VoucherContext {
                serial_number: Some("AX7-00042"),
                ..VoucherContext::new(&anchors, clock)
            };
            let verdict = signed.verify(&context);
            if let Ok(verified) = &verdict {
                assert_eq!(verified.voucher(), signed.unverified());
            }
            let report: VoucherReport = signed.examine(&context);
            assert_eq!(report.verdict().is_ok(), verdict.is_ok());
        }
    }
}

/// A voucher's document, JSON and XML.
pub fn voucher_document(octets: &[u8]) {
    for profile in PROFILES {
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

/// Voucher-requests, signed and the bare document in both encodings.
pub fn voucher_request(octets: &[u8]) {
    for profile in PROFILES {
        for encoding in ENCODINGS {
            let _ = VoucherRequest::decode(octets, encoding, profile);
        }
        let Ok(signed) = SignedVoucherRequest::read(octets, profile) else {
            continue;
        };
        let anchors = TrustAnchors::new(signed.cms().certificates().to_vec());
        for clock in CLOCKS {
            let pledge = PledgeContext::new(&anchors, clock);
            let _ = signed.verify_as_pledge(&pledge);
            let _ = signed.verify_as_registrar(&RegistrarContext::new(pledge));
        }
    }
}
