//! A vendor's MASA issues an ownership voucher (RFC 8366) to a file.
//!
//! `cargo run -p sztp-examples --bin issue_voucher`

use std::error::Error;

use sztp_cms::{CertificateBuilder, KeyType, Signer as _, SigningKey, UnixTime};
use sztp_voucher::{Assertion, IssueOptions, Voucher, VoucherError, issue};

fn main() -> Result<(), Box<dyn Error>> {
    let now = UnixTime::from_system_time(std::time::SystemTime::now());
    let in_two_weeks = now.plus_secs(14 * 24 * 3600);

    // The vendor. Devices are made with the root as their trust anchor; the MASA signs below it.
    // In production the MASA's key is in an HSM: anything that implements `Signer` will do.
    let root_key = SigningKey::generate(KeyType::EcP256)?;
    let root = CertificateBuilder::new("CN=Vendor Root,O=Vendor")
        .ca(None)
        .self_signed(&root_key)?;
    let masa_key = SigningKey::generate(KeyType::EcP256)?;
    let masa = CertificateBuilder::new("CN=Vendor MASA,O=Vendor").issued_by(
        masa_key.spki_der(),
        &root,
        &root_key,
    )?;

    // The owner sends the vendor the certificate of its domain with the order for the device.
    let domain_key = SigningKey::generate(KeyType::EcP256)?;
    let domain = CertificateBuilder::new("CN=Owner Domain CA,O=Owner")
        .ca(None)
        .validity(now, Some(in_two_weeks.plus_secs(1)))
        .self_signed(&domain_key)?;

    // "The device AX7-00042 belongs to whoever this domain certifies; we know it from the sale."
    let mut voucher = Voucher::new("AX7-00042", Assertion::Verified, domain.as_der(), now);
    voucher.expires_on = Some(in_two_weeks);
    let signed = issue(&voucher, &masa_key, &masa, &[], &IssueOptions::default())?;

    let directory = tempfile::tempdir()?;
    let file = directory.path().join("AX7-00042.vcj");
    std::fs::write(&file, &signed)?;
    println!(
        "issued a voucher of {} octets:\n{}",
        signed.len(),
        document(&voucher)
    );

    // What breaks a rule is not signed: here, a voucher that outlives what it pins.
    voucher.expires_on = Some(in_two_weeks.plus_secs(3600));
    match issue(&voucher, &masa_key, &masa, &[], &IssueOptions::default()) {
        Err(error @ VoucherError::OutlivesPinnedDomainCert { .. }) => {
            println!("not issued: {error} [{}, {}]", error.code(), error.rule());
        }
        other => return Err(format!("should have been refused: {other:?}").into()),
    }
    Ok(())
}

fn document(voucher: &Voucher) -> String {
    String::from_utf8_lossy(&voucher.encode(sztp_voucher::yang::Encoding::Json)).into_owned()
}
