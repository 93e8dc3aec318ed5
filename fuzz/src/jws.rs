//! Vouchers in JWS, a feature that is off by default.

use sztp_cms::{TrustAnchors, UnixTime, WallClock};
use sztp_voucher::jws::JwsVoucher;
use sztp_voucher::{Profile, VoucherContext};

/// Vouchers in JWS, trusting the certificates inside.
pub fn jws(octets: &[u8]) {
    let now = WallClock::Trusted(UnixTime::from_secs(1_796_083_200));
    for profile in [Profile::Rfc8366, Profile::Rfc8366bis] {
        let Ok(signed) = JwsVoucher::parse(octets, profile) else {
            continue;
        };
        let anchors = TrustAnchors::new(signed.certificates().to_vec());
        for clock in [now, WallClock::Unknown] {
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
