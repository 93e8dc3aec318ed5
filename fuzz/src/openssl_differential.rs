//! SignedData as OpenSSL judges it and as `sztp-cms` does: accepted by both, refused by both, or
//! one of the differences listed here and in docs/ROBUSTNESS.md.

use std::sync::LazyLock;

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::x509::X509;
use openssl::x509::X509PurposeId;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use sztp_cms::{
    Certificate, CmsError, Limits, SignedData, SignerPolicy, TrustAnchors, UnixTime,
    VerifiedContent, VerifyOptions, WallClock, oids,
};

use crate::essential::reduced;

/// 2026-12-01T00:00:00Z.
const NOW: i64 = 1_796_083_200;

const ANCHORS: [&[u8]; 3] = [
    include_bytes!("../../sztp-core/tests/data/examples/pki/masa-root.der"),
    include_bytes!("../../sztp-core/tests/data/examples/pki/owner-ca.der"),
    include_bytes!("../keys/rsa.der"),
];

/// The same octets to both.
pub fn openssl(octets: &[u8]) {
    if let Some(difference) = difference(octets) {
        panic!("{difference}");
    }
}

/// How the two disagree, if that is none of the known differences.
pub fn difference(octets: &[u8]) -> Option<String> {
    match (ours(octets), theirs(octets)) {
        (Err(_), Err(_)) => None,
        (Ok(ours), Ok(theirs)) if ours.content() == theirs => None,
        (Ok(_), Ok(_)) => Some("each takes something else for the content".to_owned()),
        (Ok(ours), Err(theirs)) => {
            let chains = ours.signers().iter().flat_map(|signer| signer.chain());
            let reduced = reduced(octets, &chains.collect::<Vec<_>>());
            let accepted = reduced.is_some_and(|message| self::theirs(&message).is_ok());
            (!accepted).then(|| format!("refused by OpenSSL alone: {theirs}"))
        }
        (Err(ours), Ok(_)) if is_stricter(&ours) => None,
        (Err(ours), Ok(_)) => Some(format!("accepted by OpenSSL alone: {} {ours}", ours.code())),
    }
}

/// Whether both find it good.
pub fn is_accepted_by_both(octets: &[u8]) -> bool {
    ours(octets).is_ok() && theirs(octets).is_ok()
}

/// Where the project refuses what OpenSSL accepts, and means to: docs/ROBUSTNESS.md has the
/// reasons.
fn is_stricter(error: &CmsError) -> bool {
    match error {
        // OpenSSL knows more algorithms, and does not look at the one that a signature is said to
        // have where the key says enough.
        CmsError::UnsupportedAlgorithm(_) | CmsError::WeakAlgorithm(_) => true,
        // Any content type, and any with no signed attributes that would name it.
        CmsError::WrongContentType { .. } | CmsError::MissingSignedAttributes => true,
        // A name with a SET or SEQUENCE that is marked primitive, which has no text here.
        CmsError::SignerCertificateMissing { signer } => signer.starts_with("issuer ,"),
        // A certificate that leads nowhere need not be one.
        CmsError::Certificate(_) => true,
        // No limits.
        CmsError::TooDeep { .. } | CmsError::TooLarge { .. } => true,
        CmsError::Malformed { what } => LOOSELY_READ.contains(what),
        _ => false,
    }
}

/// Fields that OpenSSL reads with a wrong tag, as primitive where they are constructed, with any
/// version, or with an object identifier that is none.
const LOOSELY_READ: [&str; 12] = [
    "version",
    "version of SignerInfo",
    "digestAlgorithm",
    "digestAlgorithms",
    "eContentType",
    "issuer of the signer",
    "octets after the message",
    "signatureAlgorithm",
    "signed attribute",
    "signerInfos",
    "type of a signed attribute",
    "values of a signed attribute",
];

fn ours(octets: &[u8]) -> Result<VerifiedContent, CmsError> {
    static TRUSTED: LazyLock<TrustAnchors> = LazyLock::new(|| {
        TrustAnchors::new(ANCHORS.map(|der| Certificate::from_der(der).expect("an anchor")))
    });
    let types = [
        oids::ID_DATA,
        oids::ANIMA_JSON_VOUCHER,
        oids::SZTP_CONVEYED_INFO_JSON,
        oids::SZTP_CONVEYED_INFO_XML,
    ];
    let clock = WallClock::Trusted(UnixTime::from_secs(NOW));
    let options = VerifyOptions {
        // CMS_verify wants every signer to be good.
        signers: SignerPolicy::All,
        ..VerifyOptions::new(&TRUSTED, clock, &types)
    };
    SignedData::parse(octets, &Limits::default())?.verify(&options)
}

fn theirs(octets: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    static STORE: LazyLock<X509Store> = LazyLock::new(|| store().expect("a store"));
    let mut content = Vec::new();
    let mut message = CmsContentInfo::from_der(octets)?;
    message.verify(
        None,
        Some(&STORE),
        None,
        Some(&mut content),
        CMSOptions::BINARY,
    )?;
    Ok(content)
}

fn store() -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for der in ANCHORS {
        store.add_cert(X509::from_der(der)?)?;
    }
    let mut param = X509VerifyParam::new()?;
    param.set_time(NOW);
    // An owner certificate and an IDevID need no extended key usage for e-mail.
    param.set_purpose(X509PurposeId::ANY)?;
    // A trust anchor need not be self-signed, and may be the signer itself.
    param.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    store.set_param(&param)?;
    Ok(store.build())
}
