//! Vouchers that expire: renewed instead of revoked (RFC 8366 §6.1), and without a clock to tell by.

use sztp_cms::WallClock;
use sztp_voucher::{Profile, SignedVoucher, Voucher, VoucherContext, VoucherError};

use crate::lab::{CREATED, DAY, Lab};

/// LEDGER: 8366-6.1-01, 8366-5.3-13
#[test]
fn a_series_of_vouchers() {
    let lab = Lab::new();
    let first = Voucher {
        expires_on: Some(CREATED.plus_secs(14 * DAY)),
        last_renewal_date: Some(CREATED.plus_secs(100 * DAY)),
        ..lab.voucher()
    };
    let (at, until) = (CREATED.plus_secs(10 * DAY), CREATED.plus_secs(24 * DAY));
    let next = first.renewed(at, until).expect("renews");
    assert_eq!((next.created_on, next.expires_on), (at, Some(until)));
    let unchanged = Voucher {
        created_on: first.created_on,
        expires_on: first.expires_on,
        ..next.clone()
    };
    assert_eq!(unchanged, first, "all else is the same");
    let on = CREATED.plus_secs(20 * DAY);
    let judge = |voucher: &Voucher| lab.judge(voucher, on, |_, context| context).map(|_| ());
    assert!(matches!(judge(&first), Err(VoucherError::Expired { .. })));
    assert_eq!(judge(&next), Ok(()));
    let last = CREATED.plus_secs(100 * DAY);
    assert!(next.renewed(last, last.plus_secs(DAY)).is_ok());
    let at = last.plus_secs(1);
    assert_eq!(
        next.renewed(at, at.plus_secs(DAY)),
        Err(VoucherError::RenewalEnded { at, last })
    );
}

#[test]
fn what_does_not_expire_is_not_renewed() {
    let lab = Lab::new();
    let refused = lab.voucher().renewed(CREATED, CREATED.plus_secs(DAY));
    assert_eq!(refused, Err(VoucherError::NotRenewable));
}

/// LEDGER: 8366-7.1-01, 8366-5.3-03
#[test]
fn a_device_without_a_clock_may_refuse_all_that_expires() {
    let lab = Lab::new();
    let anchors = lab.anchors();
    let expires_on = CREATED.plus_secs(DAY);
    let judge = |voucher: &Voucher, clock| {
        SignedVoucher::parse(&lab.issue(voucher), Profile::Rfc8366)
            .expect("parses")
            .verify(&VoucherContext {
                expiry_needs_clock: true,
                ..VoucherContext::new(&anchors, clock)
            })
            .map(|_| ())
    };
    let expiring = Voucher {
        expires_on: Some(expires_on),
        ..lab.voucher()
    };
    assert_eq!(
        judge(&expiring, WallClock::Unknown),
        Err(VoucherError::ExpiryWithoutClock { expires_on })
    );
    assert_eq!(judge(&expiring, WallClock::Trusted(CREATED)), Ok(()));
    assert_eq!(judge(&lab.voucher(), WallClock::Unknown), Ok(()));
}
