//! A manufacturer with its MASA, a device, an owner.

use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, Signer as _, SigningKey, TrustAnchors, UnixTime,
    WallClock,
};
use sztp_voucher::{
    Assertion, IssueOptions, Profile, SignedVoucher, VerifiedVoucher, Voucher, VoucherContext,
    VoucherError, issue,
};

/// 2026-03-02T08:15:00Z.
pub(crate) const CREATED: UnixTime = UnixTime::from_secs(1_772_439_300);
pub(crate) const SERIAL_NUMBER: &str = "AX7-00042";
pub(crate) const DAY: i64 = 24 * 3600;

pub(crate) struct Lab {
    pub(crate) root: Certificate,
    pub(crate) root_key: SigningKey,
    pub(crate) masa: Certificate,
    pub(crate) masa_key: SigningKey,
    pub(crate) idevid: Certificate,
    pub(crate) idevid_key: SigningKey,
    pub(crate) domain: Certificate,
    pub(crate) domain_key: SigningKey,
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(KeyType::EcP256).expect("a key")
}

impl Lab {
    pub(crate) fn new() -> Self {
        let (root_key, masa_key, domain_key, idevid_key) = (key(), key(), key(), key());
        let root = CertificateBuilder::new("CN=vendor")
            .ca(None)
            .self_signed(&root_key);
        let root = root.expect("issues");
        let under_root = |builder: CertificateBuilder, key: &SigningKey| {
            builder
                .issued_by(key.spki_der(), &root, &root_key)
                .expect("issues")
        };
        let masa = under_root(CertificateBuilder::new("CN=MASA"), &masa_key);
        let device = format!("serialNumber={SERIAL_NUMBER}");
        let idevid = under_root(CertificateBuilder::new(device), &idevid_key);
        let domain = CertificateBuilder::new("CN=domain")
            .ca(None)
            .validity(UnixTime::from_secs(0), Some(CREATED.plus_secs(365 * DAY)))
            .self_signed(&domain_key)
            .expect("issues");
        Self {
            root,
            root_key,
            masa,
            masa_key,
            idevid,
            idevid_key,
            domain,
            domain_key,
        }
    }

    /// A voucher with nothing but the mandatory leaves.
    pub(crate) fn voucher(&self) -> Voucher {
        let pinned = self.domain.as_der().to_vec();
        Voucher::new(SERIAL_NUMBER, Assertion::Verified, pinned, CREATED)
    }

    pub(crate) fn try_issue(&self, voucher: &Voucher) -> Result<Vec<u8>, VoucherError> {
        issue(
            voucher,
            &self.masa_key,
            &self.masa,
            &[],
            &IssueOptions::default(),
        )
    }

    pub(crate) fn issue(&self, voucher: &Voucher) -> Vec<u8> {
        self.try_issue(voucher).expect("issues")
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::new([self.root.clone()])
    }

    /// Issues, parses and verifies; `adjust` says how the device differs from one that takes all.
    pub(crate) fn judge(
        &self,
        voucher: &Voucher,
        at: UnixTime,
        adjust: impl for<'a> FnOnce(&'a Self, VoucherContext<'a>) -> VoucherContext<'a>,
    ) -> Result<VerifiedVoucher, VoucherError> {
        let anchors = self.anchors();
        let context = VoucherContext::new(&anchors, WallClock::Trusted(at));
        SignedVoucher::parse(&self.issue(voucher), Profile::Rfc8366)?.verify(&adjust(self, context))
    }

    /// As [`Self::judge`] a day after it was created, by anyone.
    pub(crate) fn judge_next_day(
        &self,
        voucher: &Voucher,
    ) -> Result<VerifiedVoucher, VoucherError> {
        self.judge(voucher, CREATED.plus_secs(DAY), |_, context| context)
    }

    /// Signs any content as the MASA, with the voucher's own content type.
    pub(crate) fn sign(&self, content: &[u8]) -> Vec<u8> {
        self.sign_as(sztp_cms::oids::ANIMA_JSON_VOUCHER, content)
    }

    pub(crate) fn sign_as(
        &self,
        content_type: der::asn1::ObjectIdentifier,
        content: &[u8],
    ) -> Vec<u8> {
        sztp_cms::SignedDataBuilder::new(content_type, content)
            .certificates([self.masa.clone()])
            .sign(&self.masa_key, &self.masa)
            .expect("signs")
    }
}
