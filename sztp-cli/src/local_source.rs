//! What is put where nobody authenticates the source (a stick, DNS): artifacts of one device, seen
//! to be such that the device can act on them (RFC 8572 §4.1, §4.2).

use std::path::{Path, PathBuf};

use sztp_cms::{ContentInfo, Limits, parse_certs_only};
use sztp_core::artifacts::{ArtifactError, Authenticated, BootstrappingData, SourceTrust};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, SignedVoucher, VoucherContext, VoucherError};

use crate::failure::Failure;
use crate::files;

/// The files of the artifacts.
#[derive(Debug)]
pub(crate) struct ArtifactFiles<'a> {
    pub(crate) conveyed_information: &'a Path,
    pub(crate) owner_certificate: Option<&'a PathBuf>,
    pub(crate) voucher: Option<&'a PathBuf>,
}

impl ArtifactFiles<'_> {
    /// Reads the artifacts, each as the octets of a CMS message.
    pub(crate) fn read(&self) -> Result<BootstrappingData, Failure> {
        let optional = |path: Option<&PathBuf>| path.map(|path| files::read_cms(path)).transpose();
        Ok(BootstrappingData {
            conveyed_information: files::read_cms(self.conveyed_information)?,
            owner_certificate: optional(self.owner_certificate)?,
            ownership_voucher: optional(self.voucher)?,
        })
    }

    /// Refuses what a device with this serial number could not act on, as far as that shows without
    /// the device's trust anchors.
    pub(crate) fn check(
        &self,
        data: &BootstrappingData,
        serial_number: &str,
    ) -> Result<Content, Failure> {
        let message = ContentInfo::parse(&data.conveyed_information, &Limits::default())
            .map_err(|error| Failure::from(error).at(self.conveyed_information))?;
        match message {
            ContentInfo::SignedData(signed) if signed.signers().is_empty() => Err(self.unsigned()),
            ContentInfo::SignedData(_) => {
                self.check_owner_certificate(data)?;
                self.check_voucher(data, serial_number)?;
                Ok(Content::Signed)
            }
            _ => self.check_unsigned(data),
        }
    }

    /// That the conveyed information should be signed.
    pub(crate) fn unsigned(&self) -> Failure {
        Failure::new(
            "artifacts.not-signed",
            "the conveyed information is not signed",
        )
        .at(self.conveyed_information)
        .hint("sign it with `sztp conveyed-info sign`")
    }

    fn check_owner_certificate(&self, data: &BootstrappingData) -> Result<(), Failure> {
        match (self.owner_certificate, &data.owner_certificate) {
            (Some(path), Some(octets)) => parse_certs_only(octets, &Limits::default())
                .map(drop)
                .map_err(|error| Failure::from(error).at(path)),
            _ => Err(ArtifactError::OwnerCertificateAbsent.into()),
        }
    }

    fn check_voucher(&self, data: &BootstrappingData, serial_number: &str) -> Result<(), Failure> {
        let (Some(path), Some(octets)) = (self.voucher, &data.ownership_voucher) else {
            return Err(ArtifactError::VoucherAbsent.into());
        };
        let voucher = SignedVoucher::parse(octets, Profile::Rfc8366bis)
            .map_err(|error| Failure::from(error).at(path))?;
        let found = &voucher.unverified().serial_number;
        if found == serial_number {
            return Ok(());
        }
        let error = VoucherError::SerialNumberMismatch {
            device: serial_number.to_owned(),
            voucher: found.clone(),
        };
        Err(Failure::from(error).at(path))
    }

    /// Only a redirect can do without a signature.
    fn check_unsigned(&self, data: &BootstrappingData) -> Result<Content, Failure> {
        let nobody = sztp_cms::TrustAnchors::new([]);
        let context = VoucherContext::new(&nobody, sztp_cms::WallClock::Unknown);
        let outcome = data.authenticate(SourceTrust::Unauthenticated, &context, Encoding::Json);
        match outcome {
            Ok(Authenticated::UntrustedRedirect { .. }) => Ok(Content::UnsignedRedirect),
            Ok(Authenticated::Trusted(_)) => Ok(Content::Signed),
            Err(error) => Err(Failure::from(error).at(self.conveyed_information)),
        }
    }
}

/// What the conveyed information is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Signed, with voucher and owner certificate beside it.
    Signed,
    /// A redirect that a device follows without trusting it.
    UnsignedRedirect,
}
