//! Vouchers and voucher-requests in JWS, a feature that is off by default.

use sztp_cms::{TrustAnchors, UnixTime, WallClock};
use sztp_voucher::jws::{JwsVoucher, JwsVoucherRequest};
use sztp_voucher::request::{PledgeContext, RegistrarContext};
use sztp_voucher::{Profile, VoucherContext};

const NOW: WallClock = WallClock::Trusted(UnixTime::from_secs(1_796_083_200));

/// Vouchers and voucher-requests in JWS, trusting the certificates inside.
pub fn jws(octets: &[u8]) {
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        request(octets, profile);
        let Ok(signed) = JwsVoucher::parse(octets, profile) else {
            continue;
        };
        let anchors = TrustAnchors::new(signed.certificates().to_vec());
        for clock in [NOW, WallClock::Unknown] {
            let context = VoucherContext::new(&anchors, clock);
            let verdict = signed.verify(&context);
            if let Ok(verified) = &verdict {
                assert_eq!(verified.voucher(), signed.unverified());
            }
            let report = signed.examine(&context);
            assert_eq!(report.verdict().is_ok(), verdict.is_ok());
        }
    }
}

fn request(octets: &[u8], profile: Profile) {
    let Ok(signed) = JwsVoucherRequest::parse(octets, profile) else {
        return;
    };
    let anchors = TrustAnchors::new(signed.certificates().to_vec());
    for clock in [NOW, WallClock::Unknown] {
        let pledge = PledgeContext::new(&anchors, clock);
        if let Ok(verified) = signed.verify_as_pledge(&pledge) {
            assert_eq!(verified.request(), signed.unverified());
        }
        let context = RegistrarContext {
            prior_required: false,
            registrar_usage_required: false,
            ..RegistrarContext::new(pledge)
        };
        if let Ok(verified) = signed.verify_as_registrar(&context) {
            assert_eq!(verified.request(), signed.unverified());
        }
    }
}
