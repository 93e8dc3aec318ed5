//! `sztp usb verify`: a stick judged as the device does that it is plugged into.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use sztp_core::removable_storage::{FileSet, Layout, MAX_ARTIFACT_OCTETS, find};

use super::StickLayout;
use super::stick::{Stick, unreadable};
use crate::arguments::{At, Lenient};
use crate::artifacts;
use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// `sztp usb verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Where the stick is mounted
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The device's serial number
    #[arg(long, value_name = "SN")]
    serial_number: String,
    /// Which names the device looks for
    #[arg(long, value_enum, default_value_t)]
    layout: StickLayout,
    /// Certificates that the voucher's signer must lead to; several files, repeatable
    #[arg(long, value_name = "F", num_args = 1.., required = true)]
    trust_anchor: Vec<PathBuf>,
    /// The device's IDevID certificate, to compare idevid-issuer with
    #[arg(long, value_name = "F")]
    idevid_cert: Option<PathBuf>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    lenient: Lenient,
}

impl Verify {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let stick = Stick(&self.directory);
        let listing = stick.listing()?;
        let layout = Layout::from(self.layout);
        let sets = find(
            layout,
            &self.serial_number,
            listing.iter().map(String::as_str),
        );
        let mut first = None;
        for set in &sets {
            let outcome = self.judge(&stick, &listing, set);
            match outcome {
                Ok(report) if report.failures.is_empty() => return Ok(report),
                outcome => first = first.or(Some(outcome)),
            }
        }
        first.unwrap_or_else(|| {
            let path = layout.directory(&self.serial_number);
            Err(Failure::new(
                "usb.nothing-for-device",
                format!("the stick has nothing for {}", self.serial_number),
            )
            .at(&stick.path(&path))
            .hint("compare serial number and --layout; `sztp usb write` puts the files there"))
        })
    }

    fn judge(
        &self,
        stick: &Stick<'_>,
        listing: &[String],
        set: &FileSet,
    ) -> Result<Report, Failure> {
        let needed = |name: Option<&String>, what: &str| {
            name.map(|name| stick.path(name)).ok_or_else(|| {
                Failure::new("usb.incomplete", format!("there is no {what}"))
                    .at(&stick.path(&set.directory))
                    .hint("data on a stick is signed, and needs all three artifacts")
            })
        };
        let verify = artifacts::Verify {
            voucher: needed(set.ownership_voucher.as_ref(), "ownership voucher")?,
            owner_certificate: needed(set.owner_certificate.as_ref(), "owner certificate")?,
            conveyed_information: stick.path(&set.conveyed_information),
            trust_anchor: self.trust_anchor.clone(),
            serial_number: self.serial_number.clone(),
            idevid_cert: self.idevid_cert.clone(),
            nonce: None,
            at: self.at.clone(),
            lenient: self.lenient.clone(),
        };
        for path in [
            &verify.voucher,
            &verify.owner_certificate,
            &verify.conveyed_information,
        ] {
            check_der(path)?;
        }
        let (mut report, trusted) = verify.judge()?;
        let images = match &trusted {
            Some(trusted) => stick.check_images(trusted.info(), listing)?,
            None => Vec::new(),
        };
        let mut text = Text::default();
        text.line(&format!("Layout {}:", set.layout));
        let files = [
            Some(&set.conveyed_information),
            set.owner_certificate.as_ref(),
            set.ownership_voucher.as_ref(),
            set.ztp_actions.as_ref(),
        ];
        for name in files.into_iter().flatten().chain(&images) {
            text.row("file", name);
        }
        text.append(&report.text);
        report.text = text;
        if let Some(members) = report.data.as_object_mut() {
            members.insert("layout".into(), set.layout.to_string().into());
            members.insert(
                "files".into(),
                json!({
                    "conveyed-information": set.conveyed_information,
                    "owner-certificate": set.owner_certificate,
                    "ownership-voucher": set.ownership_voucher,
                    "ztp-actions": set.ztp_actions,
                    "images": images,
                }),
            );
        }
        Ok(report)
    }
}

/// A device reads DER or BER (RFC 8572 §4.1: the binary artifact), neither PEM nor base64.
fn check_der(path: &std::path::Path) -> Result<(), Failure> {
    let octets = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if octets.len() > MAX_ARTIFACT_OCTETS {
        let what = format!("larger than {MAX_ARTIFACT_OCTETS} octets");
        return Err(Failure::new("file.too-large", what).at(path));
    }
    // Whatever is neither text nor a SEQUENCE gets its verdict as CMS.
    if files::read(path)?.trim_ascii().is_ascii() {
        return Err(
            Failure::new("usb.not-binary", "text, where a device reads a binary file")
                .at(path)
                .hint("`sztp usb write` turns PEM and base64 into what devices read"),
        );
    }
    Ok(())
}
