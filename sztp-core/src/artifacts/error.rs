//! Why artifacts are refused: one variant for each way to fail.

use sztp_cms::{CmsError, PathError, Rule};
use sztp_voucher::VoucherError;

use crate::conveyed_info::ConveyedInfoError;

/// Artifacts that are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The conveyed information's CMS.
    #[error("conveyed information: {0}")]
    ConveyedInformation(#[source] CmsError),
    /// The conveyed information is not signed by the owner certificate.
    #[error("conveyed information is not signed by the owner: {0}")]
    NotSignedByOwner(#[source] CmsError),
    /// What the conveyed information says.
    #[error("conveyed information: {0}")]
    Content(#[from] ConveyedInfoError),
    /// The owner certificate's CMS.
    #[error("owner certificate: {0}")]
    OwnerCertificate(#[source] CmsError),
    /// None of the certificates in the artifact signed the conveyed information.
    #[error("the owner certificate artifact does not hold the signer of the conveyed information")]
    OwnerCertificateMissing,
    /// The signer is an authority above another certificate of the artifact: the owner certificate
    /// is the end of its chain.
    #[error("the conveyed information is signed by an authority, not by the owner certificate")]
    NotEndEntity,
    /// The owner certificate is not the owner's whom the voucher names.
    #[error("the owner certificate does not lead to the voucher's pinned-domain-cert: {0}")]
    NotUnderPinnedDomainCert(#[source] PathError),
    /// The voucher wants revocation checked, and no current revocation list beside the owner
    /// certificate says that it and its chain are not revoked.
    #[error(
        "the voucher demands a revocation check of the owner certificate, and none is possible"
    )]
    RevocationUnknown,
    /// The owner certificate, or one of its chain, is on a revocation list.
    #[error("the owner certificate is not valid any more: {0}")]
    Revoked(#[source] PathError),
    /// The ownership voucher.
    #[error("ownership voucher: {0}")]
    Voucher(#[from] VoucherError),
    /// Signed data without a voucher.
    #[error("signed conveyed information without an ownership voucher")]
    VoucherAbsent,
    /// Signed data without an owner certificate.
    #[error("signed conveyed information without an owner certificate")]
    OwnerCertificateAbsent,
    /// Onboarding information that nobody vouches for.
    #[error("unsigned onboarding information from an unauthenticated source")]
    UntrustedOnboarding,
    /// An artifact is encrypted, and no key was given to [`BootstrappingData::decrypt`].
    ///
    /// [`BootstrappingData::decrypt`]: super::BootstrappingData::decrypt
    #[error("the artifact is encrypted and there is no key to decrypt it with")]
    Encrypted,
}

impl ArtifactError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ConveyedInformation(inner) | Self::OwnerCertificate(inner) => inner.code(),
            Self::NotSignedByOwner(_) => "conveyed-information.bad-signature",
            Self::Content(inner) => inner.code(),
            Self::OwnerCertificateMissing => "owner-certificate.not-the-signer",
            Self::NotEndEntity => "owner-certificate.not-end-entity",
            Self::NotUnderPinnedDomainCert(_) => "owner-certificate.not-under-pinned-domain-cert",
            Self::RevocationUnknown => "owner-certificate.revocation-unknown",
            Self::Revoked(_) => "owner-certificate.revoked",
            Self::Voucher(inner) => inner.code(),
            Self::VoucherAbsent => "artifacts.voucher-absent",
            Self::OwnerCertificateAbsent => "artifacts.owner-certificate-absent",
            Self::UntrustedOnboarding => "artifacts.untrusted-onboarding",
            Self::Encrypted => "artifacts.encrypted",
        }
    }

    /// The clause broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::ConveyedInformation(inner) | Self::OwnerCertificate(inner) => inner.rule(),
            Self::NotSignedByOwner(_) => Rule::new(8572, "5.4", "conveyed information signature"),
            Self::Content(inner) => inner.rule(),
            Self::OwnerCertificateMissing
            | Self::NotEndEntity
            | Self::NotUnderPinnedDomainCert(_) => Rule::new(8572, "5.4", "owner certificate"),
            Self::RevocationUnknown | Self::Revoked(_) => {
                Rule::new(8366, "5.3", "domain-cert-revocation-checks")
            }
            Self::Voucher(inner) => inner.rule(),
            Self::VoucherAbsent | Self::OwnerCertificateAbsent => {
                Rule::new(8572, "5.4", "signed data")
            }
            Self::UntrustedOnboarding => Rule::new(8572, "5.3", "untrusted source"),
            Self::Encrypted => Rule::new(8572, "3.4", "encrypted artifacts"),
        }
    }
}
