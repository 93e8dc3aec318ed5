//! The content itself: AES in CBC mode (RFC 3565) and in GCM mode (RFC 5084).
//!
//! Failing is one bit. Nothing in here says whether the key, the padding or the tag was wrong, and
//! the padding is looked at in a time that does not depend on it.

use aes::{Aes128, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U12, U13, U14, U15, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use cbc::cipher::{Block, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroizing;

use super::ContentCipher;
use super::algorithm::{Algorithm, identifier, random};
use crate::ber::{self, Reader, encode};
use crate::error::malformed;
use crate::{CmsError, DecryptionFailed};

const BLOCK: usize = 16;
const NONCE: usize = 12;

/// A cipher with its parameters, as the contentEncryptionAlgorithm has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentEncryption {
    pub(super) cipher: ContentCipher,
    /// The initialization vector of CBC, the nonce of GCM.
    vector: Vec<u8>,
    tag_length: usize,
}

impl ContentEncryption {
    /// For new content.
    pub(super) fn generate(cipher: ContentCipher) -> Result<Self, CmsError> {
        let length = if cipher.is_authenticated() {
            NONCE
        } else {
            BLOCK
        };
        Ok(Self {
            cipher,
            vector: random(length)?.to_vec(),
            tag_length: BLOCK,
        })
    }

    pub(super) fn read(algorithm: &Algorithm) -> Result<Self, CmsError> {
        const WHAT: &str = "parameters of the content encryption";
        let cipher =
            ContentCipher::from_oid(algorithm.oid).ok_or_else(|| algorithm.unsupported())?;
        let mut parameters = Reader::new(&algorithm.parameters);
        if !cipher.is_authenticated() {
            let vector = parameters.expect(ber::OCTET_STRING, WHAT)?.body;
            parameters.finish(WHAT)?;
            if vector.len() != BLOCK {
                return Err(malformed(WHAT));
            }
            return Ok(Self {
                cipher,
                vector: vector.to_vec(),
                tag_length: 0,
            });
        }
        let mut fields = Reader::new(parameters.expect(ber::SEQUENCE, WHAT)?.body);
        parameters.finish(WHAT)?;
        let nonce = fields.expect(ber::OCTET_STRING, WHAT)?.body;
        let tag_length = match fields.optional(ber::INTEGER, WHAT)?.map(|value| value.body) {
            None => 12,
            Some([length @ 12..=16]) => usize::from(*length),
            Some(_) => return Err(malformed(WHAT)),
        };
        fields.finish(WHAT)?;
        if nonce.len() != NONCE {
            return Err(malformed(WHAT));
        }
        Ok(Self {
            cipher,
            vector: nonce.to_vec(),
            tag_length,
        })
    }

    /// The contentEncryptionAlgorithm.
    pub(super) fn encode(&self) -> Vec<u8> {
        let vector = encode(ber::OCTET_STRING, &[&self.vector]);
        if !self.cipher.is_authenticated() {
            return identifier(self.cipher.oid(), &vector);
        }
        let length = [u8::try_from(self.tag_length).unwrap_or(16)];
        let length = encode(ber::INTEGER, &[&length]);
        let parameters = encode(ber::SEQUENCE, &[&vector, &length]);
        identifier(self.cipher.oid(), &parameters)
    }

    /// Encrypts; the tag is empty where the cipher has none.
    pub(super) fn encrypt(
        &self,
        key: &[u8],
        content: &[u8],
        associated: &[u8],
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        match self.cipher {
            ContentCipher::Aes128Cbc => {
                let cipher = cbc::Encryptor::<Aes128>::new_from_slices(key, &self.vector).ok()?;
                Some((encrypt_cbc(cipher, content), Vec::new()))
            }
            ContentCipher::Aes256Cbc => {
                let cipher = cbc::Encryptor::<Aes256>::new_from_slices(key, &self.vector).ok()?;
                Some((encrypt_cbc(cipher, content), Vec::new()))
            }
            ContentCipher::Aes128Gcm => {
                let cipher = AesGcm::<Aes128, U12, U16>::new_from_slice(key).ok()?;
                encrypt_gcm(&cipher, &self.vector, content, associated)
            }
            ContentCipher::Aes256Gcm => {
                let cipher = AesGcm::<Aes256, U12, U16>::new_from_slice(key).ok()?;
                encrypt_gcm(&cipher, &self.vector, content, associated)
            }
        }
    }

    /// Decrypts. `key_good` is whether the key is the right one as far as is known; a wrong one
    /// is used all the same, so that both failures look alike.
    pub(super) fn decrypt(
        &self,
        key: &[u8],
        key_good: Choice,
        encrypted: &[u8],
        associated: &[u8],
        tag: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
        let mut content = Zeroizing::new(encrypted.to_vec());
        match self.cipher {
            ContentCipher::Aes128Cbc => {
                let cipher = cbc::Decryptor::<Aes128>::new_from_slices(key, &self.vector);
                decrypt_cbc(
                    cipher.map_err(|_| DecryptionFailed)?,
                    &mut content,
                    key_good,
                )?;
            }
            ContentCipher::Aes256Cbc => {
                let cipher = cbc::Decryptor::<Aes256>::new_from_slices(key, &self.vector);
                decrypt_cbc(
                    cipher.map_err(|_| DecryptionFailed)?,
                    &mut content,
                    key_good,
                )?;
            }
            ContentCipher::Aes128Gcm => {
                let opened = self.open_gcm::<Aes128>(key, &mut content, associated, tag);
                both(opened, key_good)?;
            }
            ContentCipher::Aes256Gcm => {
                let opened = self.open_gcm::<Aes256>(key, &mut content, associated, tag);
                both(opened, key_good)?;
            }
        }
        Ok(content)
    }

    fn open_gcm<A>(
        &self,
        key: &[u8],
        content: &mut [u8],
        associated: &[u8],
        tag: &[u8],
    ) -> Option<()>
    where
        A: aes::cipher::BlockSizeUser<BlockSize = U16> + aes::cipher::BlockCipherEncrypt + KeyInit,
    {
        macro_rules! open {
            ($size:ident) => {
                AesGcm::<A, U12, $size>::new_from_slice(key)
                    .ok()?
                    .decrypt_inout_detached(
                        self.vector.as_slice().try_into().ok()?,
                        associated,
                        content.into(),
                        tag.try_into().ok()?,
                    )
                    .ok()
            };
        }
        if tag.len() != self.tag_length {
            return None;
        }
        match self.tag_length {
            12 => open!(U12),
            13 => open!(U13),
            14 => open!(U14),
            15 => open!(U15),
            16 => open!(U16),
            _ => None,
        }
    }
}

fn both(opened: Option<()>, key_good: Choice) -> Result<(), DecryptionFailed> {
    if bool::from(Choice::from(u8::from(opened.is_some())) & key_good) {
        Ok(())
    } else {
        Err(DecryptionFailed)
    }
}

fn encrypt_cbc(mut cipher: impl BlockModeEncrypt<BlockSize = U16>, content: &[u8]) -> Vec<u8> {
    let padding = BLOCK - content.len() % BLOCK;
    let mut octets = Vec::with_capacity(content.len() + padding);
    octets.extend_from_slice(content);
    // RFC 5652 §6.3: as many octets as are missing, at least one, each saying how many.
    octets.resize(
        content.len() + padding,
        u8::try_from(padding).unwrap_or_default(),
    );
    let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(&mut octets);
    cipher.encrypt_blocks(blocks);
    octets
}

fn decrypt_cbc(
    mut cipher: impl BlockModeDecrypt<BlockSize = U16>,
    content: &mut Vec<u8>,
    key_good: Choice,
) -> Result<(), DecryptionFailed> {
    // The length is no secret.
    if content.is_empty() || !content.len().is_multiple_of(BLOCK) {
        return Err(DecryptionFailed);
    }
    let (blocks, _) = Block::<Aes256>::slice_as_chunks_mut(content);
    cipher.decrypt_blocks(blocks);
    let (padding, good) = padding(&content[content.len() - BLOCK..]);
    if bool::from(good & key_good) {
        content.truncate(content.len() - usize::from(padding));
        Ok(())
    } else {
        Err(DecryptionFailed)
    }
}

/// How many octets of the last block are padding, and whether they are as RFC 5652 §6.3 has them.
/// Each octet is looked at, whatever it is.
fn padding(last: &[u8]) -> (u8, Choice) {
    let claimed = last.last().copied().unwrap_or_default();
    let mut good = !claimed.ct_eq(&0) & claimed.ct_lt(&17);
    let mut from_end = 16_u8;
    for octet in last {
        // The octets before the padding may be anything.
        let inside = !claimed.ct_lt(&from_end);
        let fits = octet.ct_eq(&claimed);
        good &= Choice::conditional_select(&Choice::from(1), &fits, inside);
        from_end = from_end.wrapping_sub(1);
    }
    (claimed, good)
}

fn encrypt_gcm<A>(
    cipher: &AesGcm<A, U12, U16>,
    nonce: &[u8],
    content: &[u8],
    associated: &[u8],
) -> Option<(Vec<u8>, Vec<u8>)>
where
    AesGcm<A, U12, U16>: AeadInOut<NonceSize = U12, TagSize = U16>,
{
    let mut octets = content.to_vec();
    let tag = cipher
        .encrypt_inout_detached(
            nonce.try_into().ok()?,
            associated,
            octets.as_mut_slice().into(),
        )
        .ok()?;
    Some((octets, tag.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(key: &[u8], cipher: ContentCipher, content: &[u8]) -> ContentEncryption {
        let encryption = ContentEncryption::generate(cipher).unwrap();
        let (encrypted, tag) = encryption.encrypt(key, content, b"more").unwrap();
        let yes = Choice::from(1);
        let decrypted = encryption.decrypt(key, yes, &encrypted, b"more", &tag);
        assert_eq!(*decrypted.unwrap(), content);
        let known_bad = encryption.decrypt(key, Choice::from(0), &encrypted, b"more", &tag);
        assert_eq!(known_bad, Err(DecryptionFailed));
        let read = Algorithm::from_octets(&encryption.encode(), "").unwrap();
        let read = ContentEncryption::read(&read).unwrap();
        assert_eq!(read.vector, encryption.vector);
        encryption
    }

    #[test]
    fn every_cipher_and_every_length_of_padding() {
        use ContentCipher::{Aes128Cbc, Aes128Gcm, Aes256Cbc, Aes256Gcm};
        for cipher in [Aes128Cbc, Aes256Cbc, Aes128Gcm, Aes256Gcm] {
            let key = random(cipher.key_length()).unwrap();
            for length in 0..50 {
                good(&key, cipher, &vec![7; length]);
            }
        }
    }

    #[test]
    fn padding_is_as_rfc_5652_has_it_or_wrong() {
        for claimed in 0..=255_u8 {
            let mut block = [claimed; 16];
            block[0] = if claimed == 16 { 16 } else { 0xEE };
            let (found, good) = padding(&block);
            assert_eq!(found, claimed);
            assert_eq!(bool::from(good), (1..=16).contains(&claimed), "{claimed}");
        }
        for at in 12..16 {
            let mut block = [4_u8; 16];
            block[at] = 5;
            assert!(!bool::from(padding(&block).1), "{at}");
        }
        let mut block = [4_u8; 16];
        block[11] = 9;
        assert!(bool::from(padding(&block).1));
    }

    #[test]
    fn gcm_notices_every_changed_bit() {
        let key = [9; 32];
        let encryption = good(&key, ContentCipher::Aes256Gcm, b"content");
        let (encrypted, tag) = encryption.encrypt(&key, b"content", b"").unwrap();
        let yes = Choice::from(1);
        for bit in 0..encrypted.len() * 8 {
            let mut changed = encrypted.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(encryption.decrypt(&key, yes, &changed, b"", &tag).is_err());
        }
        for bit in 0..tag.len() * 8 {
            let mut changed = tag.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let outcome = encryption.decrypt(&key, yes, &encrypted, b"", &changed);
            assert!(outcome.is_err());
        }
        assert!(
            encryption
                .decrypt(&key, yes, &encrypted, b"", &tag[..12])
                .is_err()
        );
        assert!(
            encryption
                .decrypt(&key, yes, &encrypted, b"x", &tag)
                .is_err()
        );
    }
}
