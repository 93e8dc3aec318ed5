//! From a well-formed message to content that may be acted on (RFC 5652 §5.4–5.6).

use der::asn1::ObjectIdentifier;

use super::SignedData;
use crate::path::validate_within;
use crate::{Certificate, CmsError, PathError, PathOptions, TrustAnchors, WallClock};

/// Deviations of known makers that may be let pass. All off by default; each one used is noted in
/// [`VerifiedContent::notes`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// signatureAlgorithm names the key type id-ecPublicKey where RFC 5754 §3.3 wants an ECDSA
    /// algorithm.
    pub ec_public_key_as_signature_algorithm: bool,
}

/// What a signature is judged against.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// Where the signer's path must end.
    pub anchors: &'a TrustAnchors,
    /// Certificates that may be the signer's or lead from it to an anchor, beside the message's.
    pub intermediates: &'a [Certificate],
    /// The time at which certificates must be valid.
    pub clock: WallClock,
    /// The eContentTypes that are accepted; others are refused before anything is verified.
    pub content_types: &'a [ObjectIdentifier],
    /// Deviations to let pass.
    pub leniency: Leniency,
    /// What is asked of the signer's path.
    pub path: PathOptions,
}

impl<'a> VerifyOptions<'a> {
    /// Strict, with nothing but the anchors and the message's own certificates.
    pub fn new(
        anchors: &'a TrustAnchors,
        clock: WallClock,
        content_types: &'a [ObjectIdentifier],
    ) -> Self {
        Self {
            anchors,
            intermediates: &[],
            clock,
            content_types,
            leniency: Leniency::default(),
            path: PathOptions::default(),
        }
    }
}

/// Content whose signature was verified; only verification makes one.
#[derive(Debug, Clone)]
pub struct VerifiedContent {
    content_type: ObjectIdentifier,
    content: Vec<u8>,
    chain: Vec<Certificate>,
    notes: Vec<String>,
}

impl VerifiedContent {
    /// The octets that were signed.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// What they are.
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// The certificate of the signer.
    pub fn signer(&self) -> &Certificate {
        &self.chain[0]
    }

    /// From the signer's certificate to its trust anchor; one certificate if they are the same.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// Deviations that were let pass, for the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl SignedData {
    /// Verifies that one of the signers is trusted and signed the content.
    ///
    /// Every certificate that fits a signer's identifier is tried. When none holds, the error is
    /// of the attempt that came furthest.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> Result<VerifiedContent, CmsError> {
        let content = self.content_of_type(options.content_types)?;
        let mut bag = self.certificates.clone();
        bag.extend_from_slice(options.intermediates);
        let pool: Vec<Certificate> = bag.iter().chain(options.anchors).cloned().collect();
        let path = |certificate: &Certificate, checks_left: &mut usize| {
            let path = validate_within(
                certificate,
                &bag,
                options.anchors,
                options.clock,
                &options.path,
                checks_left,
            )
            .map_err(CmsError::Path)?;
            Ok(path.certificates().to_vec())
        };
        let checks = options.path.max_signature_checks;
        self.first_that_holds(content, &pool, options.leniency, checks, path)
    }

    /// Verifies the signature alone, by a certificate that was found good in another way.
    pub fn verify_with(
        &self,
        certificate: &Certificate,
        content_types: &[ObjectIdentifier],
        leniency: Leniency,
    ) -> Result<VerifiedContent, CmsError> {
        let content = self.content_of_type(content_types)?;
        let pool = std::slice::from_ref(certificate);
        // One for each signer at most.
        let checks = self.signers.len();
        self.first_that_holds(content, pool, leniency, checks, |certificate, _| {
            Ok(vec![certificate.clone()])
        })
    }

    fn content_of_type(&self, content_types: &[ObjectIdentifier]) -> Result<&[u8], CmsError> {
        if !content_types.contains(&self.content_type) {
            return Err(CmsError::WrongContentType {
                found: self.content_type,
                expected: content_types.to_vec(),
            });
        }
        if self.signers.is_empty() {
            return Err(CmsError::NoSigner);
        }
        self.content.as_deref().ok_or(CmsError::NoContent)
    }

    fn first_that_holds(
        &self,
        content: &[u8],
        pool: &[Certificate],
        leniency: Leniency,
        max_checks: usize,
        path: impl Fn(&Certificate, &mut usize) -> Result<Vec<Certificate>, CmsError>,
    ) -> Result<VerifiedContent, CmsError> {
        let mut checks_left = max_checks;
        let mut furthest: Option<CmsError> = None;
        let mut failed = |error: CmsError| {
            if furthest
                .as_ref()
                .is_none_or(|known| known.progress() < error.progress())
            {
                furthest = Some(error);
            }
        };
        for signer in &self.signers {
            let octets = match signer.signed_octets(self.content_type, content) {
                Ok(octets) => octets,
                Err(error) => {
                    failed(error);
                    continue;
                }
            };
            let mut tried: Vec<&Certificate> = Vec::new();
            for certificate in pool.iter().filter(|one| signer.names(one)) {
                if tried.contains(&certificate) {
                    continue;
                }
                tried.push(certificate);
                let Some(left) = checks_left.checked_sub(1) else {
                    failed(CmsError::Path(PathError::BudgetExhausted {
                        checks: max_checks,
                    }));
                    break;
                };
                checks_left = left;
                let mut notes = Vec::new();
                let outcome = signer
                    .check(certificate, octets, leniency, &mut notes)
                    .and_then(|()| path(certificate, &mut checks_left));
                match outcome {
                    Ok(chain) => {
                        return Ok(VerifiedContent {
                            content_type: self.content_type,
                            content: content.to_vec(),
                            chain,
                            notes,
                        });
                    }
                    Err(error) => failed(error),
                }
            }
            if tried.is_empty() {
                failed(CmsError::SignerCertificateMissing {
                    signer: signer.describe(),
                });
            }
        }
        Err(furthest.unwrap_or(CmsError::NoSigner))
    }
}
