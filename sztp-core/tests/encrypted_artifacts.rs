//! Artifacts encrypted for the device (RFC 8572 §3.4) are decrypted first and then judged as ever.

use std::sync::OnceLock;

use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, ContentInfo, DecryptionPolicy, EnvelopedDataBuilder,
    KeyType, Limits, Signer as _, SigningKey, TrustAnchors, UnixTime, WallClock, oids,
};
use sztp_core::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, DecryptionKey, SourceTrust, Trust,
    content_type, encrypt_artifact, owner_certificate_artifact, sign_artifact, unsigned_artifact,
};
use sztp_core::conveyed_info::{
    BootstrapServer, ConveyedInfo, OnboardingInformation, RedirectInformation,
};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, VoucherContext, issue};

const SERIAL: &str = "AX7-00042";
const NOW: UnixTime = UnixTime::from_secs(1_772_439_300);

struct World {
    anchors: TrustAnchors,
    plain: BootstrappingData,
    idevid_key: SigningKey,
    idevid: Certificate,
    other_key: SigningKey,
    other: Certificate,
    owner_key: SigningKey,
    owner: Certificate,
}

/// One for each kind of IDevID key.
fn worlds() -> &'static [World; 2] {
    static WORLDS: OnceLock<[World; 2]> = OnceLock::new();
    WORLDS.get_or_init(|| [KeyType::EcP384, KeyType::Rsa2048].map(World::new))
}

fn self_signed(subject: &str, key: &SigningKey) -> Certificate {
    CertificateBuilder::new(subject)
        .ca(None)
        .self_signed(key)
        .expect("a certificate")
}

fn key(kind: KeyType) -> SigningKey {
    SigningKey::generate(kind).expect("a key")
}

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(OnboardingInformation {
        pre_configuration_script: Some(b"#!/bin/sh\n".to_vec()),
        ..OnboardingInformation::default()
    })
}

impl World {
    fn new(kind: KeyType) -> Self {
        let vendor_key = key(KeyType::EcP256);
        let vendor = self_signed("CN=Vendor", &vendor_key);
        let owner_ca_key = key(KeyType::EcP256);
        let owner_ca = self_signed("CN=Owner CA", &owner_ca_key);
        let owner_key = key(KeyType::EcP256);
        let owner = CertificateBuilder::new("CN=Owner")
            .issued_by(owner_key.spki_der(), &owner_ca, &owner_ca_key)
            .expect("the owner certificate");
        let device = |key: &SigningKey| {
            CertificateBuilder::new(format!("CN=AX7,serialNumber={SERIAL}"))
                .issued_by(key.spki_der(), &vendor, &vendor_key)
                .expect("a device's certificate")
        };
        let (idevid_key, other_key) = (key(kind), key(KeyType::EcP256));
        let voucher = Voucher::new(SERIAL, Assertion::Verified, owner_ca.as_der(), NOW);
        let voucher = issue(
            &voucher,
            &vendor_key,
            &vendor,
            &[],
            &IssueOptions::default(),
        );
        let encoding = Encoding::Json;
        let conveyed_information = sign_artifact(
            &info(),
            encoding,
            content_type(encoding),
            &owner_key,
            &owner,
        );
        Self {
            anchors: TrustAnchors::new([vendor.clone()]),
            plain: BootstrappingData {
                conveyed_information: conveyed_information.expect("signed"),
                owner_certificate: Some(
                    owner_certificate_artifact(&owner, &[owner_ca]).expect("a CMS"),
                ),
                ownership_voucher: Some(voucher.expect("a voucher")),
            },
            idevid: device(&idevid_key),
            other: device(&other_key),
            idevid_key,
            other_key,
            owner_key,
            owner,
        }
    }

    fn judge(
        &self,
        data: &BootstrappingData,
        source: SourceTrust,
    ) -> Result<Authenticated, ArtifactError> {
        let context = VoucherContext {
            serial_number: Some(SERIAL),
            idevid: Some(&self.idevid),
            ..VoucherContext::new(&self.anchors, WallClock::Trusted(NOW))
        };
        data.authenticate(source, &context, Encoding::Json)
    }

    fn keys(&self) -> [DecryptionKey<'_>; 2] {
        [
            DecryptionKey::new(&self.other_key, &self.other),
            DecryptionKey::new(&self.idevid_key, &self.idevid),
        ]
    }
}

fn assert_signed(outcome: Result<Authenticated, ArtifactError>) {
    match outcome {
        Ok(Authenticated::Trusted(trusted)) => {
            assert_eq!(trusted.info(), &info());
            assert!(matches!(trusted.how(), Trust::Signed { .. }));
        }
        other => panic!("not trusted: {other:?}"),
    }
}

// LEDGER: 8572-3.4-01, 8572-3.4-04, 8572-5.3-08, 8572-3.1-06, 8572-3.2-08, 8572-3.3-03
#[test]
fn each_artifact_may_be_encrypted_on_its_own_and_to_another_certificate() {
    for world in worlds() {
        for device in [&world.idevid, &world.other] {
            for which in 0..8 {
                let encrypt = |bit: u8, artifact: &[u8]| {
                    if which & bit == 0 {
                        artifact.to_vec()
                    } else {
                        // The voucher always to the IDevID.
                        let device = if bit == 4 { &world.idevid } else { device };
                        encrypt_artifact(artifact, device).expect("encrypts")
                    }
                };
                let plain = &world.plain;
                let data = BootstrappingData {
                    conveyed_information: encrypt(1, &plain.conveyed_information),
                    owner_certificate: plain.owner_certificate.as_deref().map(|a| encrypt(2, a)),
                    ownership_voucher: plain.ownership_voucher.as_deref().map(|a| encrypt(4, a)),
                };
                let decrypted = data.decrypt(&world.keys()).expect("decrypts");
                assert_eq!(decrypted.data, *plain);
                assert_eq!(decrypted.notes, [] as [String; 0]);
                assert_signed(world.judge(&decrypted.data, SourceTrust::Unauthenticated));
                // LEDGER: 8572-5.1-13
                let without_key = data.decrypt(&[]).expect("stays as it is");
                assert_eq!(without_key.data, data);
                if which != 0 {
                    let outcome = world.judge(&data, SourceTrust::Unauthenticated);
                    assert_eq!(outcome.expect_err("encrypted"), ArtifactError::Encrypted);
                }
            }
        }
    }
}

// LEDGER: 8572-3.4-03, 8572-3.4-10
#[test]
fn what_cannot_be_decrypted_is_one_error_for_each_artifact() {
    let [world, another] = worlds();
    let mut data = world.plain.clone();
    let encrypted = encrypt_artifact(&data.conveyed_information, &another.idevid);
    data.conveyed_information = encrypted.expect("encrypts");
    let error = data.decrypt(&world.keys()).expect_err("another device's");
    assert_eq!(
        error,
        ArtifactError::ConveyedInformation(CmsError::NotARecipient)
    );

    let damaged = |artifact: &[u8]| {
        let mut encrypted = encrypt_artifact(artifact, &world.idevid).expect("encrypts");
        let middle = encrypted.len() / 2;
        encrypted[middle] ^= 1;
        encrypted
    };
    let mut data = world.plain.clone();
    // The certificate's content is garbled by the flip, or the form of the message around it is.
    data.owner_certificate = data.owner_certificate.as_deref().map(damaged);
    match data.decrypt(&world.keys()) {
        Err(error) => {
            assert_eq!(error, ArtifactError::OwnerCertificate(CmsError::Decryption));
            assert_eq!(error.code(), "cms.decryption");
            assert_eq!(
                error.to_string(),
                "owner certificate: the message cannot be decrypted"
            );
        }
        // Else the signatures and the path tell.
        Ok(decrypted) => {
            let outcome = world.judge(&decrypted.data, SourceTrust::Unauthenticated);
            assert!(outcome.is_err());
        }
    }
}

// LEDGER: 8572-3.4-02
#[test]
fn encrypt_then_sign_is_refused() {
    let world = &worlds()[0];
    let encrypted = encrypt_artifact(&world.plain.conveyed_information, &world.idevid);
    let mut data = world.plain.clone();
    data.conveyed_information =
        sztp_cms::SignedDataBuilder::new(oids::ID_ENVELOPED_DATA, encrypted.expect("encrypts"))
            .sign(&world.owner_key, &world.owner)
            .expect("signs");
    let decrypted = data.decrypt(&world.keys()).expect("nothing to decrypt");
    assert_eq!(decrypted.data, data);
    let outcome = world.judge(&data, SourceTrust::Unauthenticated);
    assert!(matches!(
        outcome,
        Err(ArtifactError::NotSignedByOwner(
            CmsError::WrongContentType { .. }
        ))
    ));
    let encrypted = encrypt_artifact(&world.plain.conveyed_information, &world.idevid);
    let twice = encrypt_artifact(&encrypted.expect("encrypts"), &world.idevid);
    assert!(matches!(twice, Err(CmsError::NotSignedData(_))));
}

// LEDGER: 8572-3.1-04, 8572-3.4-07
#[test]
fn unsigned_conveyed_information_stays_as_trusted_as_its_source() {
    let world = &worlds()[1];
    let redirect = ConveyedInfo::Redirect(RedirectInformation {
        bootstrap_servers: vec![BootstrapServer {
            address: "sztp.example.net".to_owned(),
            port: None,
            trust_anchor: None,
        }],
    });
    for encoding in [Encoding::Json, Encoding::Xml] {
        for info in [info(), redirect.clone()] {
            let artifact = unsigned_artifact(&info, encoding);
            let data = BootstrappingData {
                conveyed_information: encrypt_artifact(&artifact, &world.idevid).expect("encrypts"),
                owner_certificate: None,
                ownership_voucher: None,
            };
            let decrypted = data.decrypt(&world.keys()).expect("decrypts").data;
            assert_eq!(decrypted.conveyed_information, artifact);
            let trusted = world.judge(&decrypted, SourceTrust::Authenticated);
            assert!(matches!(trusted, Ok(Authenticated::Trusted(_))));
            let untrusted = world.judge(&decrypted, SourceTrust::Unauthenticated);
            match info {
                ConveyedInfo::Redirect(_) => assert!(matches!(
                    untrusted,
                    Ok(Authenticated::UntrustedRedirect { .. })
                )),
                ConveyedInfo::Onboarding(_) => assert_eq!(
                    untrusted.expect_err("nobody vouches for it"),
                    ArtifactError::UntrustedOnboarding
                ),
            }
        }
    }
}

/// OpenSSL's command line declares all it encrypts as id-data.
// LEDGER: 8572-3.4-09, 8572-3.4-08
#[test]
fn a_declaration_as_id_data_is_noted_and_auth_enveloped_data_asks_for_a_policy() {
    let world = &worlds()[0];
    let mut data = world.plain.clone();
    let encrypt = |cipher| {
        EnvelopedDataBuilder::new(oids::ID_DATA, world.plain.conveyed_information.clone())
            .recipient(world.idevid.clone())
            .content_cipher(cipher)
            .encrypt()
            .expect("encrypts")
    };
    data.conveyed_information = encrypt(sztp_cms::ContentCipher::Aes128Cbc);
    let decrypted = data.decrypt(&world.keys()).expect("decrypts");
    assert_eq!(decrypted.data, world.plain);
    assert_eq!(decrypted.notes.len(), 1);

    data.conveyed_information = encrypt(sztp_cms::ContentCipher::Aes256Gcm);
    assert!(matches!(
        ContentInfo::parse(&data.conveyed_information, &Limits::default()),
        Ok(ContentInfo::EnvelopedData(message)) if message.is_auth_enveloped_data()
    ));
    let refused = ArtifactError::ConveyedInformation(CmsError::EncryptionRefused {
        what: "AuthEnvelopedData (AES-GCM)",
    });
    assert_eq!(data.decrypt(&world.keys()), Err(refused));
    let outcome = world.judge(&data, SourceTrust::Unauthenticated);
    assert_eq!(
        outcome.expect_err("no SZTP form"),
        ArtifactError::ConveyedInformation(CmsError::NotSignedData(oids::ID_AUTH_ENVELOPED_DATA))
    );
    let mut keys = world.keys();
    keys[1].policy = DecryptionPolicy {
        aes_gcm: true,
        ..DecryptionPolicy::default()
    };
    let decrypted = data.decrypt(&keys).expect("decrypts");
    assert_eq!(decrypted.data, world.plain);
}
