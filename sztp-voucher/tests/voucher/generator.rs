//! Vouchers and voucher-requests by the hundred: a small generator that gives the same ones in each
//! run.

use serde_json::{Map, Value, json};
use sztp_cms::UnixTime;
use sztp_voucher::request::VoucherRequest;
use sztp_voucher::{Assertion, Voucher};

/// Marsaglia's xorshift.
pub(crate) struct Generator(u64);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bound = u64::try_from(bound).expect("fits");
        usize::try_from((self.0 >> 11) % bound).expect("below the bound")
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.coin() { Some(make(self)) } else { None }
    }

    fn octets(&mut self, lengths: std::ops::Range<usize>) -> Vec<u8> {
        let length = lengths.start + self.below(lengths.len());
        (0..length)
            .map(|_| u8::try_from(self.below(256)).expect("an octet"))
            .collect()
    }

    /// Whatever a YANG string can hold, above all what encodings have to escape.
    fn text(&mut self) -> String {
        const CHARACTERS: &[char] = &[
            'A',
            'z',
            '0',
            '-',
            ' ',
            '"',
            '\\',
            '/',
            '<',
            '>',
            '&',
            '\'',
            ']',
            '\t',
            '\n',
            '\r',
            'é',
            '€',
            '\u{10348}',
            '\u{85}',
            '\u{2028}',
            '{',
            '}',
            ':',
        ];
        let length = 1 + self.below(24);
        (0..length)
            .map(|_| CHARACTERS[self.below(CHARACTERS.len())])
            .collect()
    }

    /// In the years that have four digits.
    fn time(&mut self) -> UnixTime {
        let span = 253_402_300_799 + 62_135_596_800;
        let secs = i64::try_from(self.below(span)).expect("fits") - 62_135_596_800;
        UnixTime::from_secs(secs)
    }

    fn assertion(&mut self) -> Assertion {
        Assertion::ALL[self.below(3)]
    }

    /// A voucher that breaks no rule.
    pub(crate) fn voucher(&mut self) -> Voucher {
        let expires_on = self.maybe(Self::time);
        let mut nonce = self.maybe(|it| it.octets(8..33));
        if expires_on.is_some() {
            nonce = None;
        }
        let last_renewal_date = self.maybe(Self::time).filter(|_| expires_on.is_some());
        Voucher {
            expires_on,
            idevid_issuer: self.maybe(|it| it.octets(0..40)),
            domain_cert_revocation_checks: self.maybe(Self::coin),
            nonce,
            last_renewal_date,
            ..Voucher::new(
                self.text(),
                self.assertion(),
                self.octets(0..600),
                self.time(),
            )
        }
    }

    /// A voucher-request that breaks no rule.
    pub(crate) fn request(&mut self) -> VoucherRequest {
        let expires_on = self.maybe(Self::time);
        let mut nonce = self.maybe(|it| it.octets(8..33));
        if expires_on.is_some() {
            nonce = None;
        }
        VoucherRequest {
            created_on: self.maybe(Self::time),
            expires_on,
            assertion: self.maybe(Self::assertion),
            idevid_issuer: self.maybe(|it| it.octets(0..40)),
            nonce,
            prior_signed_voucher_request: self.maybe(|it| it.octets(0..2000)),
            proximity_registrar_cert: self.maybe(|it| it.octets(0..600)),
            ..VoucherRequest::new(self.text())
        }
    }

    /// Leaves of a later revision, in their canonical JSON form.
    pub(crate) fn extra(&mut self) -> Map<String, Value> {
        let mut extra = Map::new();
        for name in ["est-domain", "extensions", "manufacturer-private", "x:y"] {
            let value = match self.below(5) {
                0 => json!(self.text()),
                1 => json!(self.below(1000)),
                2 => json!([null]),
                3 => json!({ "inner": [self.text(), { "deep": self.coin() }] }),
                _ => continue,
            };
            extra.insert(name.to_owned(), value);
        }
        extra
    }
}
