//! Whose signature a JWS has (RFC 7515 §5.2), and whether that signer is trusted.

use sztp_cms::{Certificate, PathOptions, TrustAnchors, WallClock, validate_path};

use super::JwsError;
use super::message::{Message, Signature};
use crate::VoucherError;

/// What signers are judged by.
pub(super) struct Judge<'a> {
    pub(super) anchors: &'a TrustAnchors,
    pub(super) intermediates: &'a [Certificate],
    pub(super) clock: WallClock,
    pub(super) path: PathOptions<'a>,
}

impl Judge<'_> {
    /// The path of the first signature that holds; else the failure that came furthest.
    pub(super) fn verify(&self, message: &Message) -> Result<Vec<Certificate>, VoucherError> {
        let mut furthest: Option<VoucherError> = None;
        for signature in &message.signatures {
            let input = message.signing_input(signature);
            match self.verify_signature(signature, &input) {
                Ok(chain) => return Ok(chain),
                Err(error) => {
                    let known = furthest.as_ref().map(progress);
                    if known.is_none_or(|known| known < progress(&error)) {
                        furthest = Some(error);
                    }
                }
            }
        }
        Err(furthest.unwrap_or(JwsError::NoSigner.into()))
    }

    /// The signer's path, if the signature and the path hold.
    fn verify_signature(
        &self,
        signature: &Signature,
        input: &[u8],
    ) -> Result<Vec<Certificate>, VoucherError> {
        let at_hand = self.intermediates.iter().chain(self.anchors);
        // Without x5c the message does not say who signed: whoever is at hand may have.
        let candidates: Vec<&Certificate> = match signature.certificates.first() {
            Some(signer) => vec![signer],
            None => at_hand.take(self.path.max_signature_checks).collect(),
        };
        let mut outcome = Err(JwsError::SignerCertificateMissing.into());
        for candidate in candidates {
            match check(signature, candidate, input) {
                Ok(()) => {
                    let mut bag = signature.certificates.clone();
                    bag.extend_from_slice(self.intermediates);
                    return validate_path(candidate, &bag, self.anchors, self.clock, &self.path)
                        .map(|path| path.certificates().to_vec())
                        .map_err(VoucherError::UntrustedSigner);
                }
                // Of someone who is not named it says nothing that the signature is not his.
                Err(_) if signature.certificates.is_empty() => {}
                Err(error) => outcome = Err(error.into()),
            }
        }
        outcome
    }
}

fn check(signature: &Signature, signer: &Certificate, input: &[u8]) -> Result<(), JwsError> {
    let algorithm = signature.algorithm;
    if !algorithm.fits(signer.spki_der()) {
        return Err(JwsError::AlgorithmKeyMismatch {
            algorithm: algorithm.name(),
        });
    }
    let key = signer.public_key().map_err(JwsError::SignerKey)?;
    let octets = algorithm
        .signature_to_der(&signature.octets)
        .ok_or(JwsError::BadSignature)?;
    key.verify(algorithm.signature_algorithm(), input, &octets)
        .map_err(|_| JwsError::BadSignature)
}

/// How far verification came: of several failures the furthest says most.
fn progress(error: &VoucherError) -> u8 {
    match error {
        VoucherError::UntrustedSigner(_) => 3,
        VoucherError::Jws(JwsError::BadSignature) => 2,
        VoucherError::Jws(JwsError::SignerCertificateMissing) => 0,
        _ => 1,
    }
}
