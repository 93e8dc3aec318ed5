//! The same work done by others: the `cms` crate, and OpenSSL.

use der::Decode;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use sztp_benches::Scene;

/// All that the `cms` crate does to read a message: its certificates, content and signers.
pub(crate) fn decode_with_cms_crate(message: &[u8]) -> cms::signed_data::SignedData {
    let outer = cms::content_info::ContentInfo::from_der(message).expect("a ContentInfo");
    outer.content.decode_as().expect("a SignedData")
}

/// All that OpenSSL does to read a message (`d2i_CMS_ContentInfo`).
pub(crate) fn decode_with_openssl(message: &[u8]) -> CmsContentInfo {
    CmsContentInfo::from_der(message).expect("OpenSSL reads it")
}

/// What OpenSSL needs to know of a scene, read before the race.
pub(crate) struct OpenSsl {
    anchors: X509Store,
    masa: (PKey<Private>, X509),
    chain: Stack<X509>,
}

impl OpenSsl {
    pub(crate) fn new(scene: &Scene) -> Self {
        let x509 = |der: &[u8]| X509::from_der(der).expect("a certificate");
        let mut anchors = X509StoreBuilder::new().expect("a store");
        let mut chain = Stack::new().expect("a stack");
        for anchor in &scene.anchors {
            anchors.add_cert(x509(anchor.as_der())).expect("an anchor");
            chain.push(x509(anchor.as_der())).expect("a certificate");
        }
        let (key, certificate) = scene.masa();
        let key = PKey::private_key_from_pkcs8(&key.to_pkcs8_der().expect("PKCS#8"));
        Self {
            anchors: anchors.build(),
            masa: (key.expect("a key"), x509(certificate.as_der())),
            chain,
        }
    }

    /// `d2i_CMS_ContentInfo` and `CMS_verify`: signature and path. The voucher's rules, and its
    /// JSON, are not among what it does.
    pub(crate) fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        decode_with_openssl(message)
            .verify(
                None,
                Some(&self.anchors),
                None,
                Some(&mut content),
                CMSOptions::BINARY,
            )
            .ok()?;
        Some(content)
    }

    /// `CMS_sign` and `i2d_CMS_ContentInfo`.
    pub(crate) fn sign(&self, content: &[u8]) -> Option<Vec<u8>> {
        let (key, certificate) = &self.masa;
        let flags = CMSOptions::BINARY | CMSOptions::NOSMIMECAP;
        CmsContentInfo::sign(
            Some(certificate),
            Some(key),
            Some(&self.chain),
            Some(content),
            flags,
        )
        .ok()?
        .to_der()
        .ok()
    }
}
