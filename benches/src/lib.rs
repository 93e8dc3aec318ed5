//! A vendor, an owner and a device to measure with, and the bare signatures to compare with; and
//! hostile input.

pub mod hostile;

use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, KeyUsage, PublicKey, Signer, SigningKey,
    TrustAnchors, UnixTime, WallClock,
};
use sztp_core::artifacts::{BootstrappingData, owner_certificate_artifact, sign_artifact};
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo, OnboardingInformation};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, VoucherContext, issue};

/// The device's serial number.
pub const SERIAL_NUMBER: &str = "AX7-00042";

/// The time of the device's clock.
pub const NOW: UnixTime = UnixTime::from_secs(1_772_439_300);

/// The kinds of keys that are measured, each for everybody in the scene.
pub const KEY_TYPES: [(&str, KeyType); 6] = [
    ("ecdsa-p256", KeyType::EcP256),
    ("ecdsa-p384", KeyType::EcP384),
    ("ecdsa-p521", KeyType::EcP521),
    ("ed25519", KeyType::Ed25519),
    ("rsa-2048", KeyType::Rsa2048),
    ("rsa-4096", KeyType::Rsa4096),
];

/// A vendor with its MASA, an owner, and what they made for one device.
#[derive(Debug)]
pub struct Scene {
    /// Where voucher signers lead to.
    pub anchors: TrustAnchors,
    /// What the ownership voucher says.
    pub terms: Voucher,
    /// The ownership voucher (CMS).
    pub voucher: Vec<u8>,
    /// The three artifacts.
    pub data: BootstrappingData,
    /// What the conveyed information says.
    pub info: ConveyedInfo,
    /// The owner's key and certificate.
    pub owner: (SigningKey, Certificate),
    masa: Certificate,
    keys: [SigningKey; 4],
}

impl Scene {
    /// Makes all of it anew.
    ///
    /// # Panics
    ///
    /// Where the system has no randomness.
    pub fn new(key_type: KeyType) -> Self {
        let keys = [(); 4].map(|()| SigningKey::generate(key_type).expect("a key"));
        let [root_key, masa_key, domain_key, owner_key] = &keys;
        let authority = |name: &str, key: &SigningKey| {
            let builder = CertificateBuilder::new(name).ca(None);
            builder.self_signed(key).expect("a certificate")
        };
        let below =
            |name: &str, key: &SigningKey, issuer: &Certificate, issuer_key: &SigningKey| {
                CertificateBuilder::new(name)
                    .key_usage(KeyUsage::DIGITAL_SIGNATURE)
                    .issued_by(key.spki_der(), issuer, issuer_key)
                    .expect("a certificate")
            };
        let root = authority("CN=vendor", root_key);
        let masa = below("CN=MASA", masa_key, &root, root_key);
        let domain = authority("CN=pinned domain", domain_key);
        let owner = below("CN=owner", owner_key, &domain, domain_key);
        let terms = Voucher::new(SERIAL_NUMBER, Assertion::Verified, domain.as_der(), NOW);
        // The chain inside, as makers send it: with P-256 a message of 1.7 KiB.
        let chain = std::slice::from_ref(&root);
        let voucher = issue(&terms, masa_key, &masa, chain, &IssueOptions::default());
        let voucher = voucher.expect("a voucher");
        let info = ConveyedInfo::Onboarding(OnboardingInformation {
            configuration: Some(b"hostname edge-42\n".repeat(250)),
            configuration_handling: Some(ConfigurationHandling::Replace),
            ..OnboardingInformation::default()
        });
        let owner = (owner_key.clone(), owner);
        let data = BootstrappingData {
            conveyed_information: signed(&info, &owner),
            owner_certificate: owner_certificate_artifact(&owner.1, &[domain]).ok(),
            ownership_voucher: Some(voucher.clone()),
        };
        Self {
            anchors: TrustAnchors::new([root]),
            terms,
            voucher,
            data,
            info,
            owner,
            masa,
            keys,
        }
    }

    /// Signs the ownership voucher, as a MASA does for each device.
    ///
    /// # Panics
    ///
    /// Where the key cannot sign.
    pub fn issue_voucher(&self) -> Vec<u8> {
        let [_, masa_key, ..] = &self.keys;
        let root: Vec<Certificate> = self.anchors.iter().cloned().collect();
        let options = IssueOptions::default();
        issue(&self.terms, masa_key, &self.masa, &root, &options).expect("a voucher")
    }

    /// The MASA, which signs vouchers: its key and certificate.
    pub fn masa(&self) -> (&SigningKey, &Certificate) {
        (&self.keys[1], &self.masa)
    }

    /// What the device knows.
    pub fn context(&self) -> VoucherContext<'_> {
        VoucherContext {
            serial_number: Some(SERIAL_NUMBER),
            ..VoucherContext::new(&self.anchors, WallClock::Trusted(NOW))
        }
    }

    /// The two signatures that a voucher needs: the MASA's over the attributes, and the vendor's
    /// over the MASA's certificate.
    ///
    /// # Panics
    ///
    /// Where a key cannot sign.
    pub fn voucher_signatures(&self) -> Vec<BareSignature> {
        let [root, masa, ..] = &self.keys;
        vec![
            BareSignature::new(masa, vec![0; ATTRIBUTES]),
            BareSignature::new(root, self.masa.tbs_der().to_vec()),
        ]
    }

    /// The four that the three artifacts need: beside the voucher's, the pinned domain's over the
    /// owner certificate, and the owner's over the attributes of the conveyed information.
    pub fn artifact_signatures(&self) -> Vec<BareSignature> {
        let [_, _, domain, owner] = &self.keys;
        let mut signatures = self.voucher_signatures();
        signatures.push(BareSignature::new(domain, self.owner.1.tbs_der().to_vec()));
        signatures.push(BareSignature::new(owner, vec![0; ATTRIBUTES]));
        signatures
    }

    /// Signs the conveyed information, as a server does at each request.
    pub fn sign_conveyed_information(&self) -> Vec<u8> {
        signed(&self.info, &self.owner)
    }

    /// The one signature that this needs.
    ///
    /// # Panics
    ///
    /// Where the key cannot sign.
    pub fn sign_bare(&self) -> Vec<u8> {
        self.owner.0.sign(&[0; ATTRIBUTES]).expect("signs")
    }

    /// A signature of the content itself instead of attributes, as whoever signs so many octets
    /// has to make it: with their digest.
    ///
    /// # Panics
    ///
    /// Where the key cannot sign.
    pub fn sign_bare_content(&self, content: &[u8]) -> Vec<u8> {
        self.owner.0.sign(content).expect("signs")
    }
}

fn signed(info: &ConveyedInfo, (key, certificate): &(SigningKey, Certificate)) -> Vec<u8> {
    let content_type = sztp_core::artifacts::content_type(Encoding::Json);
    sign_artifact(info, Encoding::Json, content_type, key, certificate).expect("signs")
}

/// Octets of the signed attributes: content type and message digest.
const ATTRIBUTES: usize = 76;

/// A signature with nothing around it: what any implementation has to pay for.
#[derive(Debug, Clone)]
pub struct BareSignature {
    key: SigningKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

impl BareSignature {
    fn new(key: &SigningKey, message: Vec<u8>) -> Self {
        let signature = key.sign(&message).expect("signs");
        Self {
            key: key.clone(),
            message,
            signature,
        }
    }

    /// Verifies it with a key that was parsed before.
    ///
    /// # Panics
    ///
    /// If it does not hold.
    pub fn verify(&self) {
        self.verify_with(self.key.public_key());
    }

    /// Verifies it with a key that is parsed from its SubjectPublicKeyInfo.
    ///
    /// # Panics
    ///
    /// If it does not hold.
    pub fn verify_from_octets(&self) {
        let key = PublicKey::from_spki_der(self.key.spki_der()).expect("a key");
        self.verify_with(&key);
    }

    fn verify_with(&self, key: &PublicKey) {
        let outcome = key.verify(self.key.algorithm(), &self.message, &self.signature);
        assert_eq!(outcome, Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sztp_core::artifacts::{Authenticated, SourceTrust};

    #[test]
    fn the_voucher_is_as_large_as_the_figures_say() {
        let size = Scene::new(KeyType::EcP256).voucher.len();
        assert!((1500..1750).contains(&size), "{size}");
    }

    /// What is measured is what succeeds.
    #[test]
    fn the_scene_is_sound() {
        for (name, key_type) in KEY_TYPES {
            let scene = Scene::new(key_type);
            let outcome = scene.data.authenticate(
                SourceTrust::Unauthenticated,
                &scene.context(),
                Encoding::Json,
            );
            assert!(matches!(outcome, Ok(Authenticated::Trusted(_))), "{name}");
            assert_eq!(scene.voucher_signatures().len(), 2);
            for signature in scene.artifact_signatures() {
                signature.verify();
                signature.verify_from_octets();
            }
        }
    }
}
