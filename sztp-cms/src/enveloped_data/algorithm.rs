//! Which ciphers, key transports and key agreements are known, and how CMS names them
//! (RFC 3565, RFC 4055 §4.1, RFC 5084, RFC 5753 §7).

use der::asn1::ObjectIdentifier;
use getrandom::SysRng;
use getrandom::rand_core::TryRng;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::ber::{self, Reader, encode};
use crate::content_info::{encode_oid, oid};
use crate::{CmsError, KeyDigest, RsaPadding};

/// How the content is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ContentCipher {
    /// AES-128 in CBC mode (RFC 3565).
    Aes128Cbc,
    /// AES-256 in CBC mode (RFC 3565).
    #[default]
    Aes256Cbc,
    /// AES-128 in GCM mode (RFC 5084): makes AuthEnvelopedData, which is no SZTP form.
    Aes128Gcm,
    /// AES-256 in GCM mode (RFC 5084): makes AuthEnvelopedData, which is no SZTP form.
    Aes256Gcm,
}

impl ContentCipher {
    /// Length of the content-encryption key in octets.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Aes128Cbc | Self::Aes128Gcm => 16,
            Self::Aes256Cbc | Self::Aes256Gcm => 32,
        }
    }

    /// Whether the content is authenticated as well (RFC 5083).
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes256Gcm)
    }

    pub(super) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Aes128Cbc => AES_128_CBC,
            Self::Aes256Cbc => AES_256_CBC,
            Self::Aes128Gcm => AES_128_GCM,
            Self::Aes256Gcm => AES_256_GCM,
        }
    }

    pub(super) const fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        match oid {
            AES_128_CBC => Some(Self::Aes128Cbc),
            AES_256_CBC => Some(Self::Aes256Cbc),
            AES_128_GCM => Some(Self::Aes128Gcm),
            AES_256_GCM => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

/// An AlgorithmIdentifier as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Algorithm {
    pub(super) oid: ObjectIdentifier,
    /// The parameters' encoding; empty if absent.
    pub(super) parameters: Vec<u8>,
    /// All of it.
    pub(super) raw: Vec<u8>,
}

impl Algorithm {
    pub(super) fn read(fields: &mut Reader<'_>, what: &'static str) -> Result<Self, CmsError> {
        let raw = fields.expect(ber::SEQUENCE, what)?;
        let mut inner = Reader::new(raw.body);
        let oid = oid(&mut inner, what)?;
        let parameters = if inner.is_empty() {
            Vec::new()
        } else {
            inner.any(what)?.raw.to_vec()
        };
        inner.finish(what)?;
        Ok(Self {
            oid,
            parameters,
            raw: raw.raw.to_vec(),
        })
    }

    /// Reads an AlgorithmIdentifier that stands alone.
    pub(super) fn from_octets(octets: &[u8], what: &'static str) -> Result<Self, CmsError> {
        let mut reader = Reader::new(octets);
        let algorithm = Self::read(&mut reader, what)?;
        reader.finish(what)?;
        Ok(algorithm)
    }

    pub(super) fn unsupported(&self) -> CmsError {
        CmsError::UnsupportedEncryption { oid: self.oid }
    }
}

/// Encodes an AlgorithmIdentifier.
pub(super) fn identifier(oid: ObjectIdentifier, parameters: &[u8]) -> Vec<u8> {
    encode(ber::SEQUENCE, &[&encode_oid(oid), parameters])
}

/// The padding that a KeyTransRecipientInfo names.
pub(super) fn read_padding(algorithm: &Algorithm) -> Result<RsaPadding, CmsError> {
    match algorithm.oid {
        RSA_ENCRYPTION => Ok(RsaPadding::Pkcs1),
        RSAES_OAEP => read_oaep(algorithm),
        _ => Err(algorithm.unsupported()),
    }
}

/// RSAES-OAEP-params (RFC 4055 §4.1): every field defaults to its SHA-1 form.
fn read_oaep(algorithm: &Algorithm) -> Result<RsaPadding, CmsError> {
    const WHAT: &str = "RSAES-OAEP-params";
    let (mut digest, mut mask) = (KeyDigest::Sha1, KeyDigest::Sha1);
    if algorithm.parameters.is_empty() {
        return Ok(RsaPadding::Oaep { digest, mask });
    }
    let mut outer = Reader::new(&algorithm.parameters);
    let mut fields = Reader::new(outer.expect(ber::SEQUENCE, WHAT)?.body);
    outer.finish(WHAT)?;
    if let Some(field) = fields.optional(ber::CONTEXT_0, WHAT)? {
        digest = read_digest(&Algorithm::from_octets(field.body, WHAT)?)?;
    }
    if let Some(field) = fields.optional(ber::CONTEXT_1, WHAT)? {
        let function = Algorithm::from_octets(field.body, WHAT)?;
        if function.oid != MGF1 {
            return Err(function.unsupported());
        }
        mask = read_digest(&Algorithm::from_octets(&function.parameters, WHAT)?)?;
    }
    if let Some(field) = fields.optional(CONTEXT_2, WHAT)? {
        let source = Algorithm::from_octets(field.body, WHAT)?;
        // RFC 3560 §3: the label is empty.
        if source.oid != P_SPECIFIED || source.parameters != encode(ber::OCTET_STRING, &[]) {
            return Err(source.unsupported());
        }
    }
    fields.finish(WHAT)?;
    Ok(RsaPadding::Oaep { digest, mask })
}

fn read_digest(algorithm: &Algorithm) -> Result<KeyDigest, CmsError> {
    match algorithm.oid {
        SHA_1 => Ok(KeyDigest::Sha1),
        SHA_256 => Ok(KeyDigest::Sha256),
        SHA_384 => Ok(KeyDigest::Sha384),
        SHA_512 => Ok(KeyDigest::Sha512),
        _ => Err(algorithm.unsupported()),
    }
}

/// OAEP with SHA-256 for both uses: what is written.
pub(super) fn oaep_sha256() -> Vec<u8> {
    let sha256 = identifier(SHA_256, &NULL);
    let mask = identifier(MGF1, &sha256);
    let parameters = encode(
        ber::SEQUENCE,
        &[
            &encode(ber::CONTEXT_0, &[&sha256]),
            &encode(ber::CONTEXT_1, &[&mask]),
        ],
    );
    identifier(RSAES_OAEP, &parameters)
}

/// Ephemeral-static Diffie-Hellman, derivation and key wrap: what a KeyAgreeRecipientInfo names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) derivation: KeyDigest,
    pub(super) wrap: KeyWrap,
}

impl Agreement {
    pub(super) fn read(algorithm: &Algorithm) -> Result<Self, CmsError> {
        let derivation = match algorithm.oid {
            STD_DH_SHA_1 => KeyDigest::Sha1,
            STD_DH_SHA_256 => KeyDigest::Sha256,
            STD_DH_SHA_384 => KeyDigest::Sha384,
            STD_DH_SHA_512 => KeyDigest::Sha512,
            _ => return Err(algorithm.unsupported()),
        };
        let wrap = Algorithm::from_octets(&algorithm.parameters, "KeyWrapAlgorithm")?;
        let wrap = match wrap.oid {
            AES_128_WRAP => KeyWrap::Aes128,
            AES_192_WRAP => KeyWrap::Aes192,
            AES_256_WRAP => KeyWrap::Aes256,
            _ => return Err(wrap.unsupported()),
        };
        Ok(Self { derivation, wrap })
    }

    pub(super) fn encode(self) -> Vec<u8> {
        let scheme = match self.derivation {
            KeyDigest::Sha1 => STD_DH_SHA_1,
            KeyDigest::Sha256 => STD_DH_SHA_256,
            KeyDigest::Sha384 => STD_DH_SHA_384,
            KeyDigest::Sha512 => STD_DH_SHA_512,
        };
        identifier(scheme, &self.wrap.identifier())
    }

    /// Makes the key-encryption key from the shared secret: ANSI X9.63 over ECC-CMS-SharedInfo
    /// (RFC 5753 §7.2).
    ///
    /// `key_info` is the key-wrap algorithm as the message has it; `user_keying_material` the
    /// `ukm` as an OCTET STRING, empty if absent.
    pub(super) fn derive(
        self,
        shared: &[u8],
        key_info: &[u8],
        user_keying_material: &[u8],
    ) -> Zeroizing<Vec<u8>> {
        let bits = u32::try_from(self.wrap.key_length() * 8).unwrap_or(u32::MAX);
        let entity = if user_keying_material.is_empty() {
            Vec::new()
        } else {
            encode(ber::CONTEXT_0, &[user_keying_material])
        };
        let length = encode(ber::OCTET_STRING, &[&bits.to_be_bytes()]);
        let info = encode(
            ber::SEQUENCE,
            &[key_info, &entity, &encode(CONTEXT_2, &[&length])],
        );
        match self.derivation {
            KeyDigest::Sha1 => x963::<Sha1>(shared, &info, self.wrap.key_length()),
            KeyDigest::Sha256 => x963::<Sha256>(shared, &info, self.wrap.key_length()),
            KeyDigest::Sha384 => x963::<Sha384>(shared, &info, self.wrap.key_length()),
            KeyDigest::Sha512 => x963::<Sha512>(shared, &info, self.wrap.key_length()),
        }
    }
}

/// AES key wrap (RFC 3394).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyWrap {
    Aes128,
    Aes192,
    Aes256,
}

impl KeyWrap {
    pub(super) const fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// The KeyWrapAlgorithm; parameters are absent (RFC 3565 §2.3.2).
    pub(super) fn identifier(self) -> Vec<u8> {
        let oid = match self {
            Self::Aes128 => AES_128_WRAP,
            Self::Aes192 => AES_192_WRAP,
            Self::Aes256 => AES_256_WRAP,
        };
        identifier(oid, &[])
    }

    /// The wrapped key; `None` if a length does not fit.
    pub(super) fn wrap(self, kek: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        use aes_kw::cipher::KeyInit;
        let mut out = vec![0; key.len() + 8];
        let length = match self {
            Self::Aes128 => aes_kw::KwAes128::new_from_slice(kek)
                .ok()?
                .wrap_key(key, &mut out),
            Self::Aes192 => aes_kw::KwAes192::new_from_slice(kek)
                .ok()?
                .wrap_key(key, &mut out),
            Self::Aes256 => aes_kw::KwAes256::new_from_slice(kek)
                .ok()?
                .wrap_key(key, &mut out),
        }
        .ok()?
        .len();
        (length == out.len()).then_some(out)
    }

    /// The key inside; `None` if it was not wrapped with this key.
    pub(super) fn unwrap(self, kek: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        use aes_kw::cipher::KeyInit;
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let length = match self {
            Self::Aes128 => aes_kw::KwAes128::new_from_slice(kek)
                .ok()?
                .unwrap_key(wrapped, &mut out),
            Self::Aes192 => aes_kw::KwAes192::new_from_slice(kek)
                .ok()?
                .unwrap_key(wrapped, &mut out),
            Self::Aes256 => aes_kw::KwAes256::new_from_slice(kek)
                .ok()?
                .unwrap_key(wrapped, &mut out),
        }
        .ok()?
        .len();
        out.truncate(length);
        Some(out)
    }
}

/// The key derivation of ANSI X9.63 (SEC 1 §3.6.1).
fn x963<D: Digest>(shared: &[u8], info: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + <D as Digest>::output_size()));
    let mut counter = 1_u32;
    while key.len() < length {
        let mut digest = D::new()
            .chain_update(shared)
            .chain_update(counter.to_be_bytes())
            .chain_update(info)
            .finalize();
        key.extend_from_slice(&digest);
        digest.as_mut_slice().zeroize();
        counter += 1;
    }
    key.truncate(length);
    key
}

/// Octets from the operating system's randomness.
pub(super) fn random(length: usize) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    let mut octets = Zeroizing::new(vec![0; length]);
    SysRng
        .try_fill_bytes(&mut octets)
        .map_err(|_| CmsError::Random)?;
    Ok(octets)
}

const fn oid_of(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

pub(super) const CONTEXT_2: u8 = 0xA2;
pub(super) const NULL: [u8; 2] = [5, 0];
pub(super) const RSA_ENCRYPTION: ObjectIdentifier = oid_of("1.2.840.113549.1.1.1");
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier = oid_of("1.2.840.10045.2.1");
pub(super) const P_256: ObjectIdentifier = oid_of("1.2.840.10045.3.1.7");
pub(super) const P_384: ObjectIdentifier = oid_of("1.3.132.0.34");
pub(super) const P_521: ObjectIdentifier = oid_of("1.3.132.0.35");
const RSAES_OAEP: ObjectIdentifier = oid_of("1.2.840.113549.1.1.7");
const MGF1: ObjectIdentifier = oid_of("1.2.840.113549.1.1.8");
const P_SPECIFIED: ObjectIdentifier = oid_of("1.2.840.113549.1.1.9");
const SHA_1: ObjectIdentifier = oid_of("1.3.14.3.2.26");
const SHA_256: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.2.3");
const AES_128_CBC: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.2");
const AES_256_CBC: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.42");
const AES_128_GCM: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.6");
const AES_256_GCM: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.46");
const AES_128_WRAP: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.5");
const AES_192_WRAP: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.25");
const AES_256_WRAP: ObjectIdentifier = oid_of("2.16.840.1.101.3.4.1.45");
const STD_DH_SHA_1: ObjectIdentifier = oid_of("1.3.133.16.840.63.0.2");
const STD_DH_SHA_256: ObjectIdentifier = oid_of("1.3.132.1.11.1");
const STD_DH_SHA_384: ObjectIdentifier = oid_of("1.3.132.1.11.2");
const STD_DH_SHA_512: ObjectIdentifier = oid_of("1.3.132.1.11.3");

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// RFC 3394 §4.1 and §4.6.
    #[test]
    fn key_wrap_of_rfc_3394() {
        let kek = hex("000102030405060708090A0B0C0D0E0F");
        let key = hex("00112233445566778899AABBCCDDEEFF");
        let wrapped = hex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5");
        assert_eq!(KeyWrap::Aes128.wrap(&kek, &key).unwrap(), wrapped);
        assert_eq!(*KeyWrap::Aes128.unwrap(&kek, &wrapped).unwrap(), key);
        let kek = hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
        let key = hex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
        let mut wrapped =
            hex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21");
        assert_eq!(KeyWrap::Aes256.wrap(&kek, &key).unwrap(), wrapped);
        wrapped[3] ^= 1;
        assert_eq!(KeyWrap::Aes256.unwrap(&kek, &wrapped), None);
        for length in [0, 7, 8, 9] {
            assert_eq!(KeyWrap::Aes256.unwrap(&kek, &vec![0; length]), None);
        }
    }

    /// NIST CAVP, ANSI X9.63-2001 KDF with SHA-256, first vector.
    #[test]
    fn key_derivation_of_x963() {
        let shared = hex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
        let key = x963::<Sha256>(&shared, &[], 16);
        assert_eq!(*key, hex("443024c3dae66b95e6f5670601558f71"));
    }

    #[test]
    fn oaep_parameters() {
        let ours = Algorithm::from_octets(&oaep_sha256(), "").unwrap();
        let sha256 = KeyDigest::Sha256;
        let expected = RsaPadding::Oaep {
            digest: sha256,
            mask: sha256,
        };
        assert_eq!(read_padding(&ours), Ok(expected));
        let empty = identifier(RSAES_OAEP, &encode(ber::SEQUENCE, &[]));
        let sha1 = KeyDigest::Sha1;
        let expected = RsaPadding::Oaep {
            digest: sha1,
            mask: sha1,
        };
        let empty = Algorithm::from_octets(&empty, "").unwrap();
        assert_eq!(read_padding(&empty), Ok(expected));
        let label = identifier(P_SPECIFIED, &encode(ber::OCTET_STRING, &[b"label"]));
        let labelled = encode(ber::SEQUENCE, &[&encode(CONTEXT_2, &[&label])]);
        let labelled = Algorithm::from_octets(&identifier(RSAES_OAEP, &labelled), "").unwrap();
        assert_eq!(
            read_padding(&labelled),
            Err(CmsError::UnsupportedEncryption { oid: P_SPECIFIED })
        );
    }

    #[test]
    fn agreements_survive_encoding() {
        use KeyDigest::{Sha1, Sha256, Sha384, Sha512};
        for derivation in [Sha1, Sha256, Sha384, Sha512] {
            for wrap in [KeyWrap::Aes128, KeyWrap::Aes192, KeyWrap::Aes256] {
                let agreement = Agreement { derivation, wrap };
                let read = Algorithm::from_octets(&agreement.encode(), "").unwrap();
                assert_eq!(Agreement::read(&read), Ok(agreement));
            }
        }
    }
}
