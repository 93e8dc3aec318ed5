//! A private key in a token.

use core::fmt;
use std::sync::{Mutex, PoisonError};

use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::Encode;
use der::asn1::{BitString, ObjectIdentifier};

use super::{Pkcs11Error, Pkcs11Module, Pkcs11Uri, decryption, token_error};
use crate::algorithm::RSA_ENCRYPTION;
use crate::ber::{INTEGER, OCTET_STRING, Reader, SEQUENCE, encode};
use crate::{
    Certificate, DigestAlgorithm, KeyError, PublicKey, SignatureAlgorithm, SignatureError, Signer,
};

/// Signs with a key that stays in its token: ECDSA, RSA (PKCS#1 v1.5 and PSS) or Ed25519.
///
/// Each signature is checked with the public key before it is handed out. One signature is made at
/// a time; who needs more at once opens several signers. It decrypts, too, if the token lets it:
/// [`Self::can_decrypt`].
pub struct Pkcs11Signer {
    session: Mutex<Session>,
    key: ObjectHandle,
    public: PublicKey,
    algorithm: SignatureAlgorithm,
    /// Whether the token lets the key decrypt.
    decrypts: bool,
}

impl Pkcs11Signer {
    /// Loads the module that the URI names, and finds the key: see [`Pkcs11Module::signer`].
    pub fn open(uri: &Pkcs11Uri, pin: Option<&str>) -> Result<Self, Pkcs11Error> {
        let path = uri.module_path().ok_or(Pkcs11Error::NoModule)?;
        Pkcs11Module::load(path)?.signer(uri, pin)
    }

    /// Signs with another algorithm.
    pub fn with_algorithm(self, algorithm: SignatureAlgorithm) -> Result<Self, KeyError> {
        if self.public.fits(algorithm) {
            Ok(Self { algorithm, ..self })
        } else {
            Err(KeyError::WrongAlgorithm)
        }
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// `knows` answers whether the token has a mechanism for decryption or derivation.
    pub(super) fn find(
        session: Session,
        uri: &Pkcs11Uri,
        knows: impl Fn(MechanismType) -> bool,
    ) -> Result<Self, Pkcs11Error> {
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        if let Some(label) = &uri.object {
            template.push(Attribute::Label(label.as_bytes().to_vec()));
        }
        if let Some(id) = &uri.id {
            template.push(Attribute::Id(id.clone()));
        }
        let keys = session.find_objects(&template).map_err(token_error)?;
        let key = match keys.as_slice() {
            [] => return Err(Pkcs11Error::NoKey),
            [key] => *key,
            several => {
                return Err(Pkcs11Error::Ambiguous {
                    what: "keys",
                    count: several.len(),
                });
            }
        };
        let always = read(&session, key, AttributeType::AlwaysAuthenticate)?;
        if matches!(always, Some(Attribute::AlwaysAuthenticate(true))) {
            return Err(Pkcs11Error::AlwaysAuthenticate);
        }
        let public = public_key(&session, key)?;
        // A token that does not want to be asked still signs.
        let decrypts =
            decryption::is_possible(&session, key, public.kind(), knows).unwrap_or(false);
        Ok(Self {
            session: Mutex::new(session),
            decrypts,
            key,
            algorithm: public.kind().usual_algorithm(),
            public,
        })
    }

    /// What the token does with the key, one thing at a time.
    pub(super) fn in_token<T>(&self, work: impl FnOnce(&Session, ObjectHandle) -> T) -> T {
        // Whoever panicked while using it has left the session as it was.
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        work(&session, self.key)
    }

    pub(super) fn decrypts(&self) -> bool {
        self.decrypts
    }

    fn sign_in_token(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        let (mechanism, input) = match algorithm {
            SignatureAlgorithm::Ecdsa(digest) => (Mechanism::Ecdsa, digest.digest(message)),
            SignatureAlgorithm::RsaPkcs1(digest) => {
                (Mechanism::RsaPkcs, digest.digest_info(message).ok()?)
            }
            SignatureAlgorithm::RsaPss(digest) => (
                Mechanism::RsaPkcsPss(pss_parameters(digest)?),
                digest.digest(message),
            ),
            SignatureAlgorithm::Ed25519 => (
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure)),
                message.to_vec(),
            ),
            #[cfg(feature = "ml-dsa")]
            SignatureAlgorithm::MlDsa(_) => return None,
        };
        let signature = self
            .in_token(|session, key| session.sign(&mechanism, key, &input))
            .ok()?;
        match algorithm {
            SignatureAlgorithm::Ecdsa(_) => ecdsa_der(&signature),
            _ => Some(signature),
        }
    }
}

impl Signer for Pkcs11Signer {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    fn spki_der(&self) -> &[u8] {
        self.public.spki_der()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        self.sign_with(self.algorithm, message)
    }

    fn sign_with(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SignatureError> {
        if !self.public.fits(algorithm) {
            return Err(SignatureError::WrongKeyType);
        }
        let signature = self
            .sign_in_token(algorithm, message)
            .ok_or(SignatureError::Signing)?;
        self.public
            .verify(algorithm, message, &signature)
            .map_err(|_| SignatureError::Signing)?;
        Ok(signature)
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Signer({})", self.public.description())
    }
}

/// From the private key itself, its public key object, or its certificate.
fn public_key(session: &Session, private: ObjectHandle) -> Result<PublicKey, Pkcs11Error> {
    if let Some(Attribute::PublicKeyInfo(spki)) =
        read(session, private, AttributeType::PublicKeyInfo)?
        && !spki.is_empty()
    {
        return Ok(PublicKey::from_spki_der(&spki)?);
    }
    if let Some(spki) = rsa_spki(session, private)? {
        return Ok(PublicKey::from_spki_der(&spki)?);
    }
    let Some(Attribute::Id(id)) = read(session, private, AttributeType::Id)? else {
        return Err(Pkcs11Error::NoPublicKey);
    };
    // An empty CKA_ID says nothing about what belongs together.
    if id.is_empty() {
        return Err(Pkcs11Error::NoPublicKey);
    }
    let of_class = |class| {
        session
            .find_objects(&[Attribute::Class(class), Attribute::Id(id.clone())])
            .map_err(token_error)
    };
    for object in of_class(ObjectClass::PUBLIC_KEY)? {
        let spki = match ec_spki(session, object)? {
            None => rsa_spki(session, object)?,
            some => some,
        };
        if let Some(spki) = spki {
            return Ok(PublicKey::from_spki_der(&spki)?);
        }
    }
    for object in of_class(ObjectClass::CERTIFICATE)? {
        if let Some(Attribute::Value(der)) = read(session, object, AttributeType::Value)?
            && let Ok(certificate) = Certificate::from_der(&der)
        {
            return Ok(PublicKey::from_spki_der(certificate.spki_der())?);
        }
    }
    Err(Pkcs11Error::NoPublicKey)
}

/// `None` if the object has no such attribute.
pub(super) fn read(
    session: &Session,
    object: ObjectHandle,
    attribute: AttributeType,
) -> Result<Option<Attribute>, Pkcs11Error> {
    session
        .get_attributes(object, &[attribute])
        .map(|mut found| found.pop())
        .map_err(token_error)
}

fn rsa_spki(session: &Session, object: ObjectHandle) -> Result<Option<Vec<u8>>, Pkcs11Error> {
    let modulus = read(session, object, AttributeType::Modulus)?;
    let exponent = read(session, object, AttributeType::PublicExponent)?;
    let (Some(Attribute::Modulus(modulus)), Some(Attribute::PublicExponent(exponent))) =
        (modulus, exponent)
    else {
        return Ok(None);
    };
    if modulus.is_empty() || exponent.is_empty() {
        return Ok(None);
    }
    let key = encode(SEQUENCE, &[&integer(&modulus), &integer(&exponent)]);
    let null = [5, 0];
    Ok(spki(RSA_ENCRYPTION, &null, &key))
}

fn ec_spki(session: &Session, object: ObjectHandle) -> Result<Option<Vec<u8>>, Pkcs11Error> {
    let parameters = read(session, object, AttributeType::EcParams)?;
    let point = read(session, object, AttributeType::EcPoint)?;
    let (Some(Attribute::EcParams(parameters)), Some(Attribute::EcPoint(point))) =
        (parameters, point)
    else {
        return Ok(None);
    };
    // PKCS#11 wraps the point in an OCTET STRING; some tokens do not.
    let mut reader = Reader::new(&point);
    let point = match reader.expect(OCTET_STRING, "CKA_EC_POINT") {
        Ok(octets) if reader.is_empty() => octets.body,
        _ => &point,
    };
    if EDWARDS_25519.contains(&parameters.as_slice()) {
        return Ok(spki(crate::algorithm::ED25519, &[], point));
    }
    Ok(spki(EC_PUBLIC_KEY, &parameters, point))
}

fn spki(algorithm: ObjectIdentifier, parameters: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let algorithm = encode(SEQUENCE, &[&algorithm.to_der().ok()?, parameters]);
    let key = BitString::from_bytes(key).ok()?.to_der().ok()?;
    Some(encode(SEQUENCE, &[&algorithm, &key]))
}

/// r and s side by side, as PKCS#11 has them, to Ecdsa-Sig-Value (RFC 5480 §2.2.3).
fn ecdsa_der(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.is_empty() || !raw.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    Some(encode(SEQUENCE, &[&integer(r), &integer(s)]))
}

/// A non-negative INTEGER from big-endian octets.
fn integer(octets: &[u8]) -> Vec<u8> {
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let digits = &octets[zeros.min(octets.len().saturating_sub(1))..];
    let sign: &[u8] = if digits.first().is_some_and(|first| first & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    encode(INTEGER, &[sign, digits])
}

fn pss_parameters(digest: DigestAlgorithm) -> Option<PkcsPssParams> {
    let (hash_alg, mgf) = match digest {
        DigestAlgorithm::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        DigestAlgorithm::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        DigestAlgorithm::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
    };
    Some(PkcsPssParams {
        hash_alg,
        mgf,
        s_len: digest.length().try_into().ok()?,
    })
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// What CKA_EC_PARAMS says of Ed25519: its OID (RFC 8410), or the name that PKCS#11 gives the curve.
const EDWARDS_25519: [&[u8]; 2] = [
    &[0x06, 0x03, 0x2b, 0x65, 0x70],
    &[
        0x13, 0x0c, b'e', b'd', b'w', b'a', b'r', b'd', b's', b'2', b'5', b'5', b'1', b'9',
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_positive_and_short() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(ecdsa_der(&[1, 2]).unwrap(), [0x30, 6, 2, 1, 1, 2, 1, 2]);
        assert_eq!(ecdsa_der(&[1, 2, 3]), None);
    }
}
