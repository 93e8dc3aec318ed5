//! `sztp usb write`: one device's artifacts onto a stick.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use sztp_cms::{ContentInfo, Limits};
use sztp_core::artifacts::BootstrappingData;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::removable_storage::{IMAGES, Layout, MAX_ARTIFACT_OCTETS, StoredFile};
use sztp_voucher::yang::Encoding;

use super::StickLayout;
use super::stick::{Stick, check_hash, names_on_stick};
use crate::arguments::{At, Lenient};
use crate::artifacts;
use crate::failure::Failure;
use crate::files;
use crate::local_source::{ArtifactFiles, Content};
use crate::report::{Report, Text};

/// `sztp usb write`.
#[derive(Debug, Args)]
pub(crate) struct Write {
    /// Where the stick is mounted
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The device's serial number
    #[arg(long, value_name = "SN")]
    serial_number: String,
    /// Which names the files get
    #[arg(long, value_enum, default_value_t)]
    layout: StickLayout,
    /// The ownership voucher
    #[arg(long, alias = "ownership-voucher", value_name = "F")]
    voucher: PathBuf,
    /// The owner certificate artifact
    #[arg(long, value_name = "F")]
    owner_certificate: PathBuf,
    /// The signed conveyed information
    #[arg(long, value_name = "F")]
    conveyed_information: PathBuf,
    /// A boot image, for `file:` download-uris; repeatable
    #[arg(long, value_name = "F")]
    image: Vec<PathBuf>,
    /// Cisco's ztp_actions.cms, with --layout ios-xr
    #[arg(long, value_name = "F")]
    ztp_actions: Option<PathBuf>,
    /// Write only what a device accepts that trusts these certificates; several files, repeatable
    #[arg(long, value_name = "F", num_args = 1..)]
    trust_anchor: Vec<PathBuf>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    lenient: Lenient,
}

impl Write {
    pub(super) fn run(self) -> Result<Report, Failure> {
        if self.ztp_actions.is_some() && self.layout != StickLayout::IosXr {
            return Err(Failure::usage(
                "usage.value",
                "--ztp-actions is for --layout ios-xr",
            ));
        }
        let stick = Stick(&self.directory);
        stick.check()?;
        let sources = ArtifactFiles {
            conveyed_information: &self.conveyed_information,
            owner_certificate: Some(&self.owner_certificate),
            voucher: Some(&self.voucher),
        };
        let data = sources.read()?;
        if sources.check(&data, &self.serial_number)? == Content::UnsignedRedirect {
            return Err(sources.unsigned());
        }
        let images = self.images(&data)?;
        // Everything is judged before anything is written.
        let judged = !self.trust_anchor.is_empty();
        if judged {
            let verify = artifacts::Verify {
                voucher: self.voucher.clone(),
                owner_certificate: self.owner_certificate.clone(),
                conveyed_information: self.conveyed_information.clone(),
                trust_anchor: self.trust_anchor.clone(),
                serial_number: self.serial_number.clone(),
                idevid_cert: None,
                nonce: None,
                at: self.at.clone(),
                lenient: self.lenient.clone(),
            };
            let (report, trusted) = verify.judge()?;
            if trusted.is_none() {
                return Ok(report);
            }
        }
        let layout = Layout::from(self.layout);
        let ztp_actions = self.ztp_actions.as_deref();
        // The conveyed information comes last: without it, a device takes no notice of the others.
        let content = [
            (StoredFile::OwnershipVoucher, data.ownership_voucher),
            (StoredFile::OwnerCertificate, data.owner_certificate),
            (
                StoredFile::ZtpActions,
                ztp_actions.map(files::read_cms).transpose()?,
            ),
            (
                StoredFile::ConveyedInformation,
                Some(data.conveyed_information),
            ),
        ];
        let content: Vec<(StoredFile, Vec<u8>)> = content
            .into_iter()
            .filter_map(|(file, octets)| Some((file, octets?)))
            .collect();
        for (_, octets) in &content {
            if octets.len() as u64 > MAX_ARTIFACT_OCTETS {
                let what = format!("larger than {MAX_ARTIFACT_OCTETS} octets");
                return Err(Failure::new("file.too-large", what));
            }
        }
        files::make_directory(&stick.path(&layout.directory(&self.serial_number)))?;
        let mut written = Vec::new();
        for (image, name) in images {
            copy_image(image, &stick, &name)?;
            written.push(name);
        }
        for (file, octets) in content {
            let name = layout.path(&self.serial_number, file);
            files::write(&stick.path(&name), &octets)?;
            written.push(name);
        }
        let mut text = Text::default();
        text.line(&format!(
            "Written for {}, layout {layout}:",
            self.serial_number
        ));
        for name in &written {
            text.row("file", name);
        }
        let report = Report::new(
            text,
            json!({ "layout": layout.to_string(), "files": written, "judged": judged }),
        );
        if judged {
            return Ok(report);
        }
        Ok(report
            .note("the signatures were not judged: give --trust-anchor, or run `sztp usb verify`"))
    }

    /// The images and where they go, each with the hash that the device will ask for.
    fn images(&self, data: &BootstrappingData) -> Result<Vec<(&Path, String)>, Failure> {
        let mut images = Vec::new();
        for path in &self.image {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name
                .ok_or_else(|| Failure::usage("usage.value", "an image without a name").at(path))?;
            if let Some(ConveyedInfo::Onboarding(onboarding)) = unverified(data)
                && let Some(image) = &onboarding.boot_image
                && names_on_stick(image).any(|wanted| wanted == name)
            {
                check_hash(image, path)?;
            }
            images.push((path.as_path(), format!("{IMAGES}/{name}")));
        }
        Ok(images)
    }
}

/// What the signed conveyed information says, whoever signed it.
fn unverified(data: &BootstrappingData) -> Option<ConveyedInfo> {
    let message = ContentInfo::parse(&data.conveyed_information, &Limits::default()).ok()?;
    let ContentInfo::SignedData(signed) = message else {
        return None;
    };
    let content = signed.unverified_content()?;
    [Encoding::Json, Encoding::Xml]
        .into_iter()
        .find_map(|encoding| ConveyedInfo::decode(content, encoding).ok())
}

/// Images are too large to be held; a copy that was interrupted does not have the image's name.
fn copy_image(image: &Path, stick: &Stick<'_>, name: &str) -> Result<(), Failure> {
    files::make_directory(&stick.path(IMAGES))?;
    let target = stick.path(name);
    let partial = stick.path(&format!("{name}.partial"));
    fs::copy(image, &partial)
        .and_then(|_| fs::File::open(&partial)?.sync_all())
        .and_then(|()| fs::rename(&partial, &target))
        .map_err(|error| {
            Failure::new("file.unwritable", format!("cannot be written: {error}")).at(&target)
        })
}
