//! From a well-formed message to content that may be acted on (RFC 5652 §5.4–5.6).

use der::asn1::ObjectIdentifier;

use super::signer_info::Digested;
use super::{SignedData, SignerInfo};
use crate::path::{Work, validate_path_within};
use crate::{
    Certificate, CertificateRevocationList, CmsError, PathError, PathOptions, RevocationPolicy,
    SignatureAlgorithm, TrustAnchors, WallClock,
};

/// Deviations of known makers that may be let pass. All off by default; each one used is noted in
/// [`VerifiedContent::notes`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// signatureAlgorithm names the key type id-ecPublicKey where RFC 5754 §3.3 wants an ECDSA
    /// algorithm.
    pub ec_public_key_as_signature_algorithm: bool,
}

/// How many of a message's signers must be good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignerPolicy {
    /// One signer that holds is enough; what is wrong with others does not matter.
    #[default]
    Any,
    /// Each signer must have signed and be trusted.
    All,
}

/// What a signature is judged against.
#[derive(Debug, Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// Where the signers' paths must end.
    pub anchors: &'a TrustAnchors,
    /// Certificates that may be the signer's or lead from it to an anchor, beside the message's.
    pub intermediates: &'a [Certificate],
    /// The time at which certificates must be valid.
    pub clock: WallClock,
    /// The eContentTypes that are accepted; others are refused before anything is verified.
    pub content_types: &'a [ObjectIdentifier],
    /// Deviations to let pass.
    pub leniency: Leniency,
    /// How many of the signers must be good.
    pub signers: SignerPolicy,
    /// What is asked of the signers' paths. Its limit on signature checks is for the message as a
    /// whole: the signatures of all signers, and all their paths.
    pub path: PathOptions<'a>,
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
            signers: SignerPolicy::default(),
            path: PathOptions::default(),
        }
    }
}

/// Content whose signature was verified; only verification makes one.
#[derive(Debug, Clone)]
pub struct VerifiedContent {
    content_type: ObjectIdentifier,
    content: Vec<u8>,
    /// Never empty.
    signers: Vec<VerifiedSigner>,
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

    /// The certificate of the signer; of the first good one, if there are several.
    pub fn signer(&self) -> &Certificate {
        self.signers[0].certificate()
    }

    /// From the signer's certificate to its trust anchor; one certificate if they are the same.
    pub fn chain(&self) -> &[Certificate] {
        self.signers[0].chain()
    }

    /// Who was found to have signed, in the message's order: all of them under
    /// [`SignerPolicy::All`], the first good one under [`SignerPolicy::Any`].
    pub fn signers(&self) -> &[VerifiedSigner] {
        &self.signers
    }

    /// Deviations that were let pass, for the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// One signer whose signature was verified.
#[derive(Debug, Clone)]
pub struct VerifiedSigner {
    /// Never empty.
    chain: Vec<Certificate>,
    algorithm: SignatureAlgorithm,
}

impl VerifiedSigner {
    /// The signer's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }

    /// From the signer's certificate to its trust anchor; one certificate if they are the same.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// How it signed.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

impl SignedData {
    /// Verifies that the signers that must be good ([`VerifyOptions::signers`]) are trusted and
    /// signed the content.
    ///
    /// Every certificate that fits a signer's identifier is tried. When none holds, the error is
    /// of the attempt that came furthest.
    pub fn verify(&self, options: &VerifyOptions<'_>) -> Result<VerifiedContent, CmsError> {
        self.is_of_type(options.content_types)?;
        let content = self.content.as_deref().ok_or(CmsError::NoContent)?;
        self.verify_content(content, options)
    }

    /// Verifies a detached signature (RFC 5652 §5.2) over content that came in another way.
    pub fn verify_detached(
        &self,
        content: &[u8],
        options: &VerifyOptions<'_>,
    ) -> Result<VerifiedContent, CmsError> {
        self.is_of_type(options.content_types)?;
        if self.content.is_some() {
            return Err(CmsError::NotDetached);
        }
        self.verify_content(content, options)
    }

    /// Verifies the signature alone, by a certificate that was found good in another way.
    pub fn verify_with(
        &self,
        certificate: &Certificate,
        content_types: &[ObjectIdentifier],
        leniency: Leniency,
    ) -> Result<VerifiedContent, CmsError> {
        self.is_of_type(content_types)?;
        let content = self.content.as_deref().ok_or(CmsError::NoContent)?;
        let pool = std::slice::from_ref(certificate);
        let limit = PathOptions::default().max_signature_checks;
        let mut attempt = Attempt {
            content_type: self.content_type,
            content: Digested::new(content),
            pool,
            leniency,
            work: Work::new(limit),
            paths: Vec::new(),
            notes: Vec::new(),
        };
        let signers = attempt.signers(&self.signers, SignerPolicy::Any, |certificate, _| {
            Ok(vec![certificate.clone()])
        })?;
        Ok(self.verified(content, signers, attempt.notes))
    }

    fn is_of_type(&self, content_types: &[ObjectIdentifier]) -> Result<(), CmsError> {
        if !content_types.contains(&self.content_type) {
            return Err(CmsError::WrongContentType {
                found: self.content_type,
                expected: content_types.to_vec(),
            });
        }
        if self.signers.is_empty() {
            return Err(CmsError::NoSigner);
        }
        Ok(())
    }

    fn verify_content(
        &self,
        content: &[u8],
        options: &VerifyOptions<'_>,
    ) -> Result<VerifiedContent, CmsError> {
        let mut bag = self.certificates.clone();
        bag.extend_from_slice(options.intermediates);
        let pool: Vec<Certificate> = bag.iter().chain(options.anchors).cloned().collect();
        let crls = self.crls_beside(&options.path);
        let limit = options.path.max_signature_checks;
        let mut attempt = Attempt {
            content_type: self.content_type,
            content: Digested::new(content),
            pool: &pool,
            leniency: options.leniency,
            work: Work::new(limit),
            paths: Vec::new(),
            notes: Vec::new(),
        };
        let path_options = PathOptions {
            crls: &crls,
            ..options.path
        };
        let signers = attempt.signers(&self.signers, options.signers, |certificate, work| {
            validate_path_within(
                certificate,
                &bag,
                options.anchors,
                options.clock,
                &path_options,
                work,
            )
            .map(|path| path.certificates().to_vec())
            .map_err(CmsError::Path)
        })?;
        Ok(self.verified(content, signers, attempt.notes))
    }

    /// The lists at hand and the message's own, which are worth what their signatures are. One
    /// that cannot be read is as good as absent.
    fn crls_beside(&self, options: &PathOptions<'_>) -> Vec<CertificateRevocationList> {
        if options.revocation == RevocationPolicy::NotChecked {
            return Vec::new();
        }
        let own = self.crls.iter();
        let own = own.filter_map(|der| CertificateRevocationList::from_der(der).ok());
        options.crls.iter().cloned().chain(own).collect()
    }

    fn verified(
        &self,
        content: &[u8],
        signers: Vec<VerifiedSigner>,
        notes: Vec<String>,
    ) -> VerifiedContent {
        VerifiedContent {
            content_type: self.content_type,
            content: content.to_vec(),
            signers,
            notes,
        }
    }
}

/// The verification of one message: what it may still cost, and what is known already.
struct Attempt<'a> {
    content_type: ObjectIdentifier,
    content: Digested<'a>,
    pool: &'a [Certificate],
    leniency: Leniency,
    work: Work,
    /// What became of the paths looked for: the same certificate may be named by several signers.
    paths: Vec<(Certificate, Result<Vec<Certificate>, CmsError>)>,
    notes: Vec<String>,
}

impl Attempt<'_> {
    fn signers(
        &mut self,
        signers: &[SignerInfo],
        policy: SignerPolicy,
        find_path: impl Fn(&Certificate, &mut Work) -> Result<Vec<Certificate>, CmsError>,
    ) -> Result<Vec<VerifiedSigner>, CmsError> {
        let mut good = Vec::new();
        let mut furthest: Option<CmsError> = None;
        for signer in signers {
            match (self.signer(signer, &find_path), policy) {
                (Ok(verified), SignerPolicy::Any) => return Ok(vec![verified]),
                (Ok(verified), SignerPolicy::All) => good.push(verified),
                (Err(error), SignerPolicy::All)
                | (
                    Err(error @ CmsError::Path(PathError::BudgetExhausted { .. })),
                    SignerPolicy::Any,
                ) => {
                    return Err(error);
                }
                (Err(error), SignerPolicy::Any) => keep_furthest(&mut furthest, error),
            }
        }
        match furthest {
            Some(error) => Err(error),
            None if good.is_empty() => Err(CmsError::NoSigner),
            None => Ok(good),
        }
    }

    fn signer(
        &mut self,
        signer: &SignerInfo,
        find_path: &impl Fn(&Certificate, &mut Work) -> Result<Vec<Certificate>, CmsError>,
    ) -> Result<VerifiedSigner, CmsError> {
        let octets = signer.signed_octets(self.content_type, &self.content)?;
        let (algorithm, lenient) = signer.algorithm(self.leniency)?;
        let mut furthest = None;
        let mut tried: Vec<&Certificate> = Vec::new();
        let mut keys: Vec<(&[u8], Result<(), CmsError>)> = Vec::new();
        for certificate in self.pool.iter().filter(|one| signer.names(one)) {
            if tried.contains(&certificate) {
                continue;
            }
            tried.push(certificate);
            // The same key gives the same answer.
            let spki = certificate.spki_der();
            let known = keys.iter().find(|(key, _)| *key == spki);
            let checked = if let Some((_, outcome)) = known {
                outcome.clone()
            } else {
                self.work
                    .check_signatures(cost(octets))
                    .map_err(CmsError::Path)?;
                let outcome = signer.check(certificate, algorithm, octets);
                keys.push((spki, outcome.clone()));
                outcome
            };
            let path = checked.and_then(|()| {
                if let Some((_, path)) = self.paths.iter().find(|(end, _)| end == certificate) {
                    return path.clone();
                }
                let path = find_path(certificate, &mut self.work);
                self.paths.push((certificate.clone(), path.clone()));
                path
            });
            match path {
                Ok(chain) => {
                    if lenient {
                        self.notes.push(EC_PUBLIC_KEY_NOTE.to_owned());
                    }
                    return Ok(VerifiedSigner { chain, algorithm });
                }
                Err(error) => keep_furthest(&mut furthest, error),
            }
        }
        Err(
            furthest.unwrap_or_else(|| CmsError::SignerCertificateMissing {
                signer: signer.describe(),
            }),
        )
    }
}

fn keep_furthest(furthest: &mut Option<CmsError>, error: CmsError) {
    let further = furthest
        .as_ref()
        .is_none_or(|known| known.progress() < error.progress());
    if further {
        *furthest = Some(error);
    }
}

/// Signed octets count beside the signature itself, as without signed attributes the whole content
/// is digested for each key that is tried.
fn cost(octets: &[u8]) -> usize {
    1 + octets.len() / (1024 * 1024)
}

const EC_PUBLIC_KEY_NOTE: &str = "signatureAlgorithm is id-ecPublicKey, which names a key and no \
                                  signature algorithm (RFC 5754 §3.3); taken for ECDSA";
