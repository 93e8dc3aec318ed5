//! Fuzz targets that need nothing but the project's crates as they are by default.
//!
//! Each function takes any octets and must come back. Beside not panicking they hold what is read
//! to what it promises: what decodes also encodes, and decodes to the same again. The test
//! `fuzz_corpus` of `sztp-core` includes this module and replays `fuzz/corpus` without libFuzzer.

mod bootstrapping;
mod choices;
mod messages;
mod paths;
mod vouchers;

use sztp_cms::{UnixTime, WallClock};
use sztp_voucher::Profile;
use sztp_voucher::yang::Encoding;

pub use self::bootstrapping::{conveyed_information, dhcp, dns, removable_storage, rpc};
pub use self::messages::{ber, cms, enveloped_data};
pub use self::paths::{certificate, certification_request, crl, path};
pub use self::vouchers::{voucher, voucher_document, voucher_request};

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Xml];
const PROFILES: [Profile; 2] = [Profile::Rfc8366, Profile::Rfc8366bis];
/// 2026-12-01T00:00:00Z: the certificates of the corpus are valid then.
const NOW: WallClock = WallClock::Trusted(UnixTime::from_secs(1_796_083_200));
/// The corpus's voucher has run out by then, but not for a device without a clock.
const CLOCKS: [WallClock; 2] = [NOW, WallClock::Unknown];

/// One value in DER, from the parts of its content.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match u8::try_from(body.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits = body.len().to_be_bytes();
            let first = digits.iter().position(|digit| *digit != 0).unwrap_or(7);
            out.push(0x80 | u8::try_from(digits.len() - first).unwrap_or(8));
            out.extend(&digits[first..]);
        }
    }
    out.extend(body);
    out
}
