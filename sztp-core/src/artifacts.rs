//! The three bootstrapping artifacts as one unit (RFC 8572 §3): whether they may be acted on
//! (§5.3, §5.4), and making the conveyed information.
//!
//! [`BootstrappingData::authenticate`] is the only way to [`TrustedConveyedInfo`], and that is the
//! only thing the device machine acts on; besides it there is only a redirect to follow without
//! trust.

mod encryption;
mod error;

use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateRevocationList, CmsError, ContentInfo, Limits, PathError, PathOptions,
    RevocationPolicy, SignedData, SignedDataBuilder, Signer, TrustAnchors, VerifiedContent,
    certs_only, oids, parse_certs_only, validate_path,
};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Profile, SignedVoucher, VerifiedVoucher, VoucherContext, VoucherError};

pub use self::encryption::{DecryptedData, DecryptionKey, encrypt_artifact};
pub use self::error::ArtifactError;
use crate::conveyed_info::{ConveyedInfo, RedirectInformation};
use crate::rpc::GetBootstrappingDataOutput;

/// The artifacts as received (RFC 8572 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrappingData {
    /// CMS: signed, or bare octets.
    pub conveyed_information: Vec<u8>,
    /// CMS with the owner certificate and its chain.
    pub owner_certificate: Option<Vec<u8>>,
    /// CMS with the ownership voucher.
    pub ownership_voucher: Option<Vec<u8>>,
}

impl From<GetBootstrappingDataOutput> for BootstrappingData {
    fn from(output: GetBootstrappingDataOutput) -> Self {
        Self {
            conveyed_information: output.conveyed_information,
            owner_certificate: output.owner_certificate,
            ownership_voucher: output.ownership_voucher,
        }
    }
}

/// Whether the source of the data was authenticated (RFC 8572 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTrust {
    /// A bootstrap server whose TLS certificate was verified.
    Authenticated,
    /// Anything else.
    Unauthenticated,
}

/// What came of the data.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
pub enum Authenticated {
    /// It may be acted on.
    Trusted(TrustedConveyedInfo),
    /// It may only be followed: its servers are untrusted and its trust anchors are gone.
    UntrustedRedirect {
        /// Where to go.
        redirect: RedirectInformation,
        /// Why signed data was not believed; none if it was not signed (RFC 8572 §5.3: signed
        /// data that does not validate takes all trust away).
        refused: Option<ArtifactError>,
    },
}

/// Conveyed information that may be acted on; only [`BootstrappingData::authenticate`] makes one.
#[derive(Debug, Clone)]
pub struct TrustedConveyedInfo {
    info: ConveyedInfo,
    how: Trust,
}

/// Why conveyed information is trusted.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
pub enum Trust {
    /// The owner signed it.
    Signed {
        /// Which names the owner.
        voucher: VerifiedVoucher,
        /// Which signed it.
        owner: Certificate,
    },
    /// It came from an authenticated bootstrap server.
    AuthenticatedServer,
}

impl TrustedConveyedInfo {
    /// What it says.
    pub fn info(&self) -> &ConveyedInfo {
        &self.info
    }

    /// Why it is trusted.
    pub fn how(&self) -> &Trust {
        &self.how
    }

    /// What it says, by value.
    pub fn into_info(self) -> ConveyedInfo {
        self.info
    }
}

impl BootstrappingData {
    /// Decides what may be done with the data (RFC 8572 §5.3).
    ///
    /// `default_encoding` is for content of type id-data, which does not say whether it is JSON
    /// or XML: the encoding of the transport.
    pub fn authenticate(
        &self,
        source: SourceTrust,
        context: &VoucherContext<'_>,
        default_encoding: Encoding,
    ) -> Result<Authenticated, ArtifactError> {
        let message = ContentInfo::parse(&self.conveyed_information, &Limits::default())
            .map_err(ArtifactError::ConveyedInformation)?;
        match message {
            ContentInfo::SignedData(signed) => {
                let refused = match self.authenticate_signed(&signed, context, default_encoding) {
                    Ok(trusted) => return Ok(Authenticated::Trusted(trusted)),
                    Err(error) => error,
                };
                match unverified_redirect(&signed, default_encoding) {
                    Some(redirect) => Ok(Authenticated::UntrustedRedirect {
                        redirect,
                        refused: Some(refused),
                    }),
                    None => Err(refused),
                }
            }
            ContentInfo::Octets {
                content_type,
                content,
            } => {
                let info = decode(content_type, &content, default_encoding)?;
                match (source, info) {
                    (SourceTrust::Authenticated, info) => {
                        Ok(Authenticated::Trusted(TrustedConveyedInfo {
                            info,
                            how: Trust::AuthenticatedServer,
                        }))
                    }
                    (SourceTrust::Unauthenticated, ConveyedInfo::Redirect(redirect)) => {
                        Ok(Authenticated::UntrustedRedirect {
                            redirect: without_anchors(redirect),
                            refused: None,
                        })
                    }
                    (SourceTrust::Unauthenticated, _) => Err(ArtifactError::UntrustedOnboarding),
                }
            }
            // AuthEnvelopedData is no SZTP form.
            ContentInfo::EnvelopedData(message) if message.is_auth_enveloped_data() => {
                Err(ArtifactError::ConveyedInformation(CmsError::NotSignedData(
                    oids::ID_AUTH_ENVELOPED_DATA,
                )))
            }
            ContentInfo::EnvelopedData(_) => Err(ArtifactError::Encrypted),
            ContentInfo::Other(oid) => Err(ArtifactError::ConveyedInformation(
                CmsError::NotSignedData(oid),
            )),
            _ => Err(ArtifactError::ConveyedInformation(CmsError::NoContent)),
        }
    }

    /// Validates signed data in the order of RFC 8572 §5.4; the first step that fails ends it.
    fn authenticate_signed(
        &self,
        signed: &SignedData,
        context: &VoucherContext<'_>,
        default_encoding: Encoding,
    ) -> Result<TrustedConveyedInfo, ArtifactError> {
        let voucher = self
            .ownership_voucher
            .as_deref()
            .ok_or(ArtifactError::VoucherAbsent)?;
        let owner_certificate = self
            .owner_certificate
            .as_deref()
            .ok_or(ArtifactError::OwnerCertificateAbsent)?;
        let voucher = SignedVoucher::parse(voucher, Profile::Rfc8366bis)
            .map_err(voucher_refused)?
            .verify(context)?;
        let bag = parse_certs_only(owner_certificate, &Limits::default()).map_err(|error| {
            if is_encrypted(&error) {
                ArtifactError::Encrypted
            } else {
                ArtifactError::OwnerCertificate(error)
            }
        })?;
        let (owner, verified) = signed_by_owner(signed, &bag, &voucher, context)?;
        let info = decode(
            verified.content_type(),
            verified.content(),
            default_encoding,
        )?;
        let how = Trust::Signed { voucher, owner };
        Ok(TrustedConveyedInfo { info, how })
    }
}

/// The certificate that the conveyed information's signer identifier names, if it leads to the
/// pinned-domain-cert, and what it signed.
fn signed_by_owner(
    signed: &SignedData,
    bag: &SignedData,
    voucher: &VerifiedVoucher,
    context: &VoucherContext<'_>,
) -> Result<(Certificate, VerifiedContent), ArtifactError> {
    let pin = TrustAnchors::new([voucher.pinned_domain_cert().clone()]);
    let revocation = revocation_policy(voucher);
    // Stapled beside the certificates (RFC 8572 §3.2); what cannot be read is as good as absent.
    let crls: Vec<CertificateRevocationList> = bag
        .crls()
        .iter()
        .filter_map(|der| CertificateRevocationList::from_der(der).ok())
        .collect();
    let options = PathOptions {
        require_digital_signature_usage: true,
        revocation,
        crls: &crls,
        ..PathOptions::default()
    };
    let candidates = bag
        .certificates()
        .iter()
        .filter(|one| signed.signers().iter().any(|signer| signer.names(one)));
    let mut refused = ArtifactError::OwnerCertificateMissing;
    for candidate in candidates {
        let issued_another = bag
            .certificates()
            .iter()
            .any(|other| other.issuer_der() == candidate.subject_der() && !other.is_self_issued());
        if issued_another {
            if refused == ArtifactError::OwnerCertificateMissing {
                refused = ArtifactError::NotEndEntity;
            }
            continue;
        }
        match validate_path(candidate, bag.certificates(), &pin, context.clock, &options) {
            // Nothing below the pin could be on a list, and none of the pin's own would be believed.
            Ok(path)
                if revocation == RevocationPolicy::WholePath && path.certificates().len() == 1 =>
            {
                refused = ArtifactError::RevocationUnknown;
            }
            // Issuer and serial may name several: the one whose signature holds is the owner.
            Ok(_) => match signed.verify_with(candidate, &CONTENT_TYPES, context.leniency) {
                Ok(verified) => return Ok((candidate.clone(), verified)),
                Err(error) => refused = ArtifactError::NotSignedByOwner(error),
            },
            // That an owner did not sign says more than that another certificate is none.
            Err(_) if matches!(refused, ArtifactError::NotSignedByOwner(_)) => {}
            Err(error) => {
                refused = match error {
                    PathError::Revoked { .. } => ArtifactError::Revoked(error),
                    PathError::RevocationUnknown { .. } => ArtifactError::RevocationUnknown,
                    error => ArtifactError::NotUnderPinnedDomainCert(error),
                };
            }
        }
    }
    Err(refused)
}

/// What the voucher wants checked (RFC 8366 §5.3): it must be, it must not be, or as is normal in
/// PKIX, where a list that is there is heard.
fn revocation_policy(voucher: &VerifiedVoucher) -> RevocationPolicy {
    match voucher.voucher().domain_cert_revocation_checks {
        Some(true) => RevocationPolicy::WholePath,
        Some(false) => RevocationPolicy::NotChecked,
        None => RevocationPolicy::WhereAvailable,
    }
}

fn voucher_refused(error: VoucherError) -> ArtifactError {
    match error {
        VoucherError::Cms(inner) if is_encrypted(&inner) => ArtifactError::Encrypted,
        other => other.into(),
    }
}

/// Whether what should have been SignedData is EnvelopedData; AuthEnvelopedData is no SZTP form.
fn is_encrypted(error: &CmsError) -> bool {
    *error == CmsError::NotSignedData(oids::ID_ENVELOPED_DATA)
}

fn unverified_redirect(signed: &SignedData, encoding: Encoding) -> Option<RedirectInformation> {
    let content = signed.unverified_content()?;
    match decode(signed.content_type(), content, encoding) {
        Ok(ConveyedInfo::Redirect(redirect)) => Some(without_anchors(redirect)),
        _ => None,
    }
}

fn without_anchors(mut redirect: RedirectInformation) -> RedirectInformation {
    for server in &mut redirect.bootstrap_servers {
        server.trust_anchor = None;
    }
    redirect
}

fn decode(
    content_type: ObjectIdentifier,
    content: &[u8],
    default_encoding: Encoding,
) -> Result<ConveyedInfo, ArtifactError> {
    let encoding = match content_type {
        oids::SZTP_CONVEYED_INFO_JSON => Encoding::Json,
        oids::SZTP_CONVEYED_INFO_XML => Encoding::Xml,
        // id-data does not say; the first character does.
        oids::ID_DATA => match content.trim_ascii_start().first() {
            Some(b'{') => Encoding::Json,
            Some(b'<') => Encoding::Xml,
            _ => default_encoding,
        },
        found => {
            return Err(ArtifactError::ConveyedInformation(
                CmsError::WrongContentType {
                    found,
                    expected: CONTENT_TYPES.to_vec(),
                },
            ));
        }
    };
    Ok(ConveyedInfo::decode(content, encoding)?)
}

/// The content type that says how conveyed information is encoded (RFC 8572 §3.1).
pub const fn content_type(encoding: Encoding) -> ObjectIdentifier {
    match encoding {
        Encoding::Json => oids::SZTP_CONVEYED_INFO_JSON,
        Encoding::Xml => oids::SZTP_CONVEYED_INFO_XML,
    }
}

/// The conveyed information artifact, unsigned (RFC 8572 §3.1): a bare ContentInfo.
pub fn unsigned_artifact(info: &ConveyedInfo, encoding: Encoding) -> Vec<u8> {
    ContentInfo::unsigned(content_type(encoding), &info.encode(encoding))
}

/// The conveyed information artifact, signed by the owner (RFC 8572 §3.1).
///
/// `content_type` is [`content_type`]'s or id-data. The owner certificate travels in its own
/// artifact ([`owner_certificate_artifact`]); it is not put into this one.
pub fn sign_artifact(
    info: &ConveyedInfo,
    encoding: Encoding,
    content_type: ObjectIdentifier,
    signer: &dyn Signer,
    owner: &Certificate,
) -> Result<Vec<u8>, CmsError> {
    SignedDataBuilder::new(content_type, info.encode(encoding)).sign(signer, owner)
}

/// The owner certificate artifact (RFC 8572 §3.2): the certificate and what leads from it to the
/// pinned-domain-cert.
pub fn owner_certificate_artifact(
    owner: &Certificate,
    chain: &[Certificate],
) -> Result<Vec<u8>, CmsError> {
    let all: Vec<Certificate> = std::iter::once(owner).chain(chain).cloned().collect();
    certs_only(&all, &[])
}

const CONTENT_TYPES: [ObjectIdentifier; 3] = [
    oids::SZTP_CONVEYED_INFO_JSON,
    oids::SZTP_CONVEYED_INFO_XML,
    oids::ID_DATA,
];
