//! A device, or an operator's tool, verifies an ownership voucher (RFC 8366 §5.3, RFC 8572 §5.4).
//!
//! `cargo run -p sztp-examples --bin verify_voucher`

use std::error::Error;

use sztp_cms::{
    CertificateBuilder, KeyType, Signer as _, SigningKey, TrustAnchors, UnixTime, WallClock,
};
use sztp_voucher::{
    Assertion, IssueOptions, NonceExpectation, Profile, SignedVoucher, Voucher, VoucherContext,
    issue,
};

fn main() -> Result<(), Box<dyn Error>> {
    let now = UnixTime::from_system_time(std::time::SystemTime::now());
    let (root, file) = a_voucher_from_the_vendor(now)?;

    // Reading says nothing about truth: `unverified` is there to look at, not to act on.
    let signed = SignedVoucher::parse(&file, Profile::Rfc8366)?;
    println!("it says it is for {}", signed.unverified().serial_number);

    // What the device knows by itself. Without a clock it would be `WallClock::Unknown`, and the
    // dates would not be judged.
    let anchors = TrustAnchors::new([root]);
    let device = VoucherContext {
        serial_number: Some("AX7-00042"),
        nonce: NonceExpectation::None,
        assertions: &[Assertion::Verified],
        ..VoucherContext::new(&anchors, WallClock::Trusted(now))
    };
    // Only this makes a `VerifiedVoucher`, and only that has the owner's certificate to go on with.
    let verified = signed.verify(&device)?;
    println!(
        "it is, says {}; the owner is {}",
        verified.signer().subject(),
        verified.pinned_domain_cert().subject()
    );

    // Its neighbour on the shelf refuses it, with an error that names the rule.
    let neighbour = VoucherContext {
        serial_number: Some("AX7-00043"),
        ..device
    };
    match signed.verify(&neighbour) {
        Err(error) => println!("refused: {error} [{}, {}]", error.code(), error.rule()),
        Ok(_) => return Err("a voucher for another device was accepted".into()),
    }
    Ok(())
}

/// The vendor's root and a voucher file, as `issue_voucher` makes them.
fn a_voucher_from_the_vendor(
    now: UnixTime,
) -> Result<(sztp_cms::Certificate, Vec<u8>), Box<dyn Error>> {
    let (key, domain_key) = (
        SigningKey::generate(KeyType::EcP256)?,
        SigningKey::generate(KeyType::Rsa2048)?,
    );
    let root = CertificateBuilder::new("CN=Vendor Root")
        .ca(None)
        .self_signed(&key)?;
    let masa_key = SigningKey::generate(KeyType::EcP384)?;
    let masa =
        CertificateBuilder::new("CN=Vendor MASA").issued_by(masa_key.spki_der(), &root, &key)?;
    let domain = CertificateBuilder::new("CN=Owner Domain CA")
        .ca(None)
        .self_signed(&domain_key)?;
    let voucher = Voucher::new("AX7-00042", Assertion::Verified, domain.as_der(), now);
    let file = issue(&voucher, &masa_key, &masa, &[], &IssueOptions::default())?;
    Ok((root, file))
}
