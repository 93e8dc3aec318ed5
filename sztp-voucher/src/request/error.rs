//! Why a voucher-request is not granted.

use sztp_cms::{CertificateError, Rule};

use crate::VoucherError;

/// A voucher-request that is not accepted, could not be signed, or asks for what is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoucherRequestError {
    /// A rule that vouchers and requests have in common: the signed message, its signer, the
    /// leaves.
    #[error(transparent)]
    Voucher(#[from] VoucherError),
    /// The content is a voucher.
    #[error("this is a voucher, not a voucher-request")]
    IsVoucher,
    /// The pledge signed for another device than it is.
    #[error("the request is for serial number {request:?}, its IDevID certificate has {idevid:?}")]
    SerialNumberMismatch {
        /// In the certificate that signed; none if it has none.
        idevid: Option<String>,
        /// In the request.
        request: String,
    },
    /// The request's idevid-issuer is not that of the IDevID that signed.
    #[error("the request's idevid-issuer is not the authority key identifier of the IDevID")]
    IdevidIssuerMismatch,
    /// Proximity is asserted, and nothing says to whom.
    #[error("a request for assertion proximity needs proximity-registrar-cert")]
    ProximityCertMissing,
    /// The proximity-registrar-cert is no certificate.
    #[error("proximity-registrar-cert: {0}")]
    ProximityCert(#[source] CertificateError),
    /// The pledge talked to another registrar than the one that signed.
    #[error("proximity-registrar-cert is not among the certificates of the registrar that signed")]
    ProximityCertMismatch,
    /// The signer's certificate does not make it a registrar.
    #[error("the signer's certificate lacks the extended key usage id-kp-cmcRA of a registrar")]
    NotRegistrar,
    /// Policy wants the pledge's own request, and it is not there.
    #[error("the registrar's request lacks the prior-signed-voucher-request of the pledge")]
    PriorMissing,
    /// The pledge's own request does not hold.
    #[error("prior-signed-voucher-request: {0}")]
    Prior(#[source] Box<Self>),
    /// The registrar's nonce is not the pledge's.
    #[error("the registrar's nonce is not the one of the prior-signed-voucher-request")]
    NonceMismatch,
    /// Without a nonce the registrar must be known, and it is only by its own word.
    #[error("a request without a nonce needs a registrar under a configured trust anchor")]
    RegistrarUnknown,
    /// The message does not say under which authority the registrar is.
    #[error("the message does not hold the domain's certificate authority")]
    DomainCaMissing,
    /// There is no registrar whose certificate or authority could be pinned.
    #[error("a pledge's own request says nothing about whose certificate to pin")]
    NothingToPin,
    /// A device without a clock would be given a voucher that it cannot judge.
    #[error("a device without a clock is not given a voucher that expires")]
    ExpiryWithoutClock,
}

impl VoucherRequestError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Voucher(inner) => inner.code(),
            Self::IsVoucher => "voucher-request.is-a-voucher",
            Self::SerialNumberMismatch { .. } => "voucher-request.serial-mismatch",
            Self::IdevidIssuerMismatch => "voucher-request.idevid-issuer-mismatch",
            Self::ProximityCertMissing => "voucher-request.proximity-registrar-cert-missing",
            Self::ProximityCert(_) => "voucher-request.proximity-registrar-cert",
            Self::ProximityCertMismatch => "voucher-request.proximity-registrar-cert-mismatch",
            Self::NotRegistrar => "voucher-request.not-a-registrar",
            Self::PriorMissing => "voucher-request.prior-missing",
            Self::Prior(_) => "voucher-request.prior",
            Self::NonceMismatch => "voucher-request.nonce-mismatch",
            Self::RegistrarUnknown => "voucher-request.registrar-unknown",
            Self::DomainCaMissing => "voucher-request.domain-ca-missing",
            Self::NothingToPin => "voucher-request.nothing-to-pin",
            Self::ExpiryWithoutClock => "voucher-request.expiry-without-clock",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Voucher(inner) => inner.rule(),
            Self::Prior(inner) => inner.rule(),
            Self::IsVoucher => Rule::new(8995, "3", "voucher-request"),
            Self::SerialNumberMismatch { .. }
            | Self::IdevidIssuerMismatch
            | Self::PriorMissing
            | Self::ProximityCertMismatch => {
                Rule::new(8995, "5.5.5", "prior-signed-voucher-request")
            }
            Self::ProximityCertMissing | Self::ProximityCert(_) => {
                Rule::new(8995, "3.4", "proximity-registrar-cert")
            }
            Self::NotRegistrar | Self::RegistrarUnknown => {
                Rule::new(8995, "5.5.4", "domain registrar")
            }
            Self::NonceMismatch => Rule::new(8995, "5.5.6", "nonce"),
            Self::DomainCaMissing | Self::NothingToPin => {
                Rule::new(8995, "5.5.2", "pinning of registrar")
            }
            Self::ExpiryWithoutClock => Rule::new(8366, "7.1", "clock sensitivity"),
        }
    }
}
