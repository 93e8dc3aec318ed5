//! Where bootstrapping data lies on removable storage (RFC 8572 §4.1).
//!
//! RFC 8572 leaves the names to the device's maker and recommends that several devices can share a
//! stick. A [`Layout`] is such a scheme; [`find`] picks out of the files that are there those meant
//! for one device. Mounting and reading are left to others: whoever reads should not follow
//! symbolic links, and read no more than [`MAX_ARTIFACT_OCTETS`]. What is read is never trusted:
//! it is signed, or it is a redirect that is followed provisionally.

use std::fmt::{self, Write as _};

/// A scheme of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// The file names of RFC 8572 §4.1 in a directory named after the serial number, or, for a
    /// stick that is for one device only, at the top.
    Rfc8572,
    /// `EN<enterprise-number>/<serial-number>/bootstrapping-data/`, unique to a manufacturer by its
    /// IANA private enterprise number, as RFC 8572 §4.1 wants a scheme to be.
    Enterprise(u32),
}

impl Layout {
    /// Cisco IOS XR: `EN9/<serial-number>/bootstrapping-data/`, images in `images/`.
    pub const IOS_XR: Self = Self::Enterprise(9);

    /// Where a device's files go, named as `file` prefers to be.
    pub fn path(self, serial_number: &str, file: StoredFile) -> String {
        join(&self.directory(serial_number), file.names()[0])
    }

    /// The directory of a device.
    pub fn directory(self, serial_number: &str) -> String {
        let device = directory_name(serial_number);
        match self {
            Self::Rfc8572 => device,
            Self::Enterprise(number) => format!("EN{number}/{device}/bootstrapping-data"),
        }
    }

    /// The directories to look into, in order.
    fn directories(self, serial_number: &str) -> Vec<String> {
        let own = self.directory(serial_number);
        match self {
            Self::Rfc8572 if own.is_empty() => vec![own],
            Self::Rfc8572 => vec![own, String::new()],
            Self::Enterprise(_) => vec![own],
        }
    }
}

/// The directory of boot images, for every device on the stick (RFC 8572 §4.1: an image may lie
/// there too). A `file:` download-uri leads to it by a path of the device's own.
pub const IMAGES: &str = "images";

/// The files of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoredFile {
    /// The conveyed information artifact (RFC 8572 §3.1), DER.
    ConveyedInformation,
    /// The owner certificate artifact (RFC 8572 §3.2), DER.
    OwnerCertificate,
    /// The ownership voucher artifact (RFC 8572 §3.3), DER.
    OwnershipVoucher,
    /// Cisco IOS XR's `ztp_actions.cms`.
    ZtpActions,
}

impl StoredFile {
    /// The names it may have; it is written with the first.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::ConveyedInformation => &["conveyed-information.cms"],
            Self::OwnerCertificate => &["owner-certificate.cms"],
            // RFC 8572 §4.1 gives both as examples; .vcj is RFC 8366 §9.4's.
            Self::OwnershipVoucher => &["ownership-voucher.vcj", "ownership-voucher.cms"],
            Self::ZtpActions => &["ztp_actions.cms"],
        }
    }
}

/// The files of one device that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSet {
    /// By which scheme.
    pub layout: Layout,
    /// The directory; empty for the top.
    pub directory: String,
    /// The conveyed information.
    pub conveyed_information: String,
    /// The owner certificate, there if the conveyed information is signed.
    pub owner_certificate: Option<String>,
    /// The ownership voucher, there if the conveyed information is signed.
    pub ownership_voucher: Option<String>,
    /// `ztp_actions.cms`.
    pub ztp_actions: Option<String>,
}

/// The files that are meant for a device, the ones of its own directory first.
///
/// `listing` are the paths of the files on the stick from its top, with `/` between directories.
/// Upper and lower case are told apart only where both are there, as FAT does not tell them apart
/// at all. What is answered is in the listing and has a name of the scheme: no path leads elsewhere.
pub fn find<'a>(
    layout: Layout,
    serial_number: &str,
    listing: impl IntoIterator<Item = &'a str>,
) -> Vec<FileSet> {
    let listing: Vec<&str> = listing.into_iter().collect();
    let directories = layout.directories(serial_number).into_iter();
    let mut sets = Vec::new();
    for directory in directories {
        let pick = |file: StoredFile| {
            let mut names = file.names().iter();
            names.find_map(|name| lookup(&listing, &join(&directory, name)))
        };
        if let Some(conveyed_information) = pick(StoredFile::ConveyedInformation) {
            sets.push(FileSet {
                layout,
                conveyed_information,
                owner_certificate: pick(StoredFile::OwnerCertificate),
                ownership_voucher: pick(StoredFile::OwnershipVoucher),
                ztp_actions: pick(StoredFile::ZtpActions),
                directory,
            });
        }
    }
    sets
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Rfc8572 => f.write_str("RFC 8572"),
            Self::IOS_XR => f.write_str("Cisco IOS XR"),
            Self::Enterprise(number) => write!(f, "enterprise {number}"),
        }
    }
}

/// A path as the listing spells it.
fn lookup(listing: &[&str], path: &str) -> Option<String> {
    let exact = listing.iter().find(|listed| **listed == path);
    let found = exact.or_else(|| {
        listing
            .iter()
            .find(|listed| listed.eq_ignore_ascii_case(path))
    });
    found.map(|listed| (*listed).to_owned())
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        return name.to_owned();
    }
    format!("{directory}/{name}")
}

/// A serial number as the name of a directory on any file system, FAT included: what is neither a
/// letter nor a digit nor one of `-_.` becomes `%` and two hexadecimal digits, and so does a dot at
/// either end.
fn directory_name(serial_number: &str) -> String {
    let last = serial_number.len().saturating_sub(1);
    let mut name = String::with_capacity(serial_number.len());
    for (index, octet) in serial_number.bytes().enumerate() {
        let plain = match octet {
            b'.' => index != 0 && index != last,
            b'-' | b'_' => true,
            _ => octet.is_ascii_alphanumeric(),
        };
        if plain {
            name.push(char::from(octet));
        } else {
            let _ = write!(name, "%{octet:02X}");
        }
    }
    name
}

/// Octets of an artifact that are read; what a CMS message may have at most.
pub const MAX_ARTIFACT_OCTETS: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const IOS_XR: Layout = Layout::IOS_XR;

    fn found(layout: Layout, serial_number: &str, listing: &[&str]) -> Vec<FileSet> {
        find(layout, serial_number, listing.iter().copied())
    }

    #[test]
    fn where_the_files_of_a_device_are() {
        // LEDGER: 8572-4.1-03, 8572-4.1-06
        let path = |layout: Layout, file| layout.path("AX7-00042", file);
        assert_eq!(
            path(Layout::Rfc8572, StoredFile::ConveyedInformation),
            "AX7-00042/conveyed-information.cms"
        );
        assert_eq!(
            path(IOS_XR, StoredFile::OwnerCertificate),
            "EN9/AX7-00042/bootstrapping-data/owner-certificate.cms"
        );
        assert_eq!(
            path(IOS_XR, StoredFile::OwnershipVoucher),
            "EN9/AX7-00042/bootstrapping-data/ownership-voucher.vcj"
        );
        assert_eq!(
            path(Layout::Enterprise(32473), StoredFile::ZtpActions),
            "EN32473/AX7-00042/bootstrapping-data/ztp_actions.cms"
        );
    }

    #[test]
    fn each_device_picks_its_own() {
        // LEDGER: 8572-4.1-05
        let listing = [
            "SN1/conveyed-information.cms",
            "SN1/owner-certificate.cms",
            "SN1/ownership-voucher.cms",
            "SN2/conveyed-information.cms",
            "SN2/ownership-voucher.cms",
            "SN2/ownership-voucher.vcj",
            "EN9/SN1/bootstrapping-data/conveyed-information.cms",
            "EN9/SN1/bootstrapping-data/ztp_actions.cms",
            "images/router.iso",
        ];
        let [one] = &found(Layout::Rfc8572, "SN1", &listing)[..] else {
            panic!("one set");
        };
        assert_eq!(one.conveyed_information, "SN1/conveyed-information.cms");
        let voucher = one.ownership_voucher.as_deref();
        assert_eq!(voucher, Some("SN1/ownership-voucher.cms"));
        let [two] = &found(Layout::Rfc8572, "SN2", &listing)[..] else {
            panic!("one set");
        };
        assert_eq!(two.owner_certificate, None);
        let voucher = two.ownership_voucher.as_deref();
        assert_eq!(voucher, Some("SN2/ownership-voucher.vcj"));
        assert!(found(Layout::Rfc8572, "SN3", &listing).is_empty());
        let [xr] = &found(IOS_XR, "SN1", &listing)[..] else {
            panic!("one set");
        };
        assert!(xr.ztp_actions.is_some() && xr.ownership_voucher.is_none());
        assert!(found(IOS_XR, "SN2", &listing).is_empty());
        assert!(found(Layout::Enterprise(10), "SN1", &listing).is_empty());
    }

    #[test]
    fn the_top_is_for_a_stick_of_one_device() {
        let top = ["conveyed-information.cms", "owner-certificate.cms"];
        let sets = found(Layout::Rfc8572, "SN1", &top);
        assert_eq!(sets.len(), 1);
        assert_eq!(sets[0].directory, "");
        let both = [top[0], top[1], "SN1/conveyed-information.cms"];
        let sets = found(Layout::Rfc8572, "SN1", &both);
        assert_eq!(sets.len(), 2);
        assert_eq!(sets[0].directory, "SN1", "its own first");
        assert!(found(IOS_XR, "SN1", &top).is_empty());
    }

    #[test]
    fn letter_case_as_fat_has_it() {
        let sets = found(
            IOS_XR,
            "FOC1234A",
            &["en9/foc1234a/BOOTSTRAPPING-DATA/Conveyed-Information.CMS"],
        );
        assert_eq!(
            sets[0].conveyed_information,
            "en9/foc1234a/BOOTSTRAPPING-DATA/Conveyed-Information.CMS"
        );
        let both = [
            "sn1/conveyed-information.cms",
            "SN1/conveyed-information.cms",
        ];
        for (serial_number, expected) in [("sn1", both[0]), ("SN1", both[1])] {
            let sets = found(Layout::Rfc8572, serial_number, &both);
            assert_eq!(sets[0].conveyed_information, expected);
        }
    }

    #[test]
    fn a_serial_number_is_no_path() {
        for (serial_number, name) in [
            ("AX7-00042", "AX7-00042"),
            ("a.b_c", "a.b_c"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("../../etc", "%2E.%2F..%2Fetc"),
            ("/etc", "%2Fetc"),
            ("a\\b:c*d", "a%5Cb%3Ac%2Ad"),
            ("PID:C9300 SN:FOO", "PID%3AC9300%20SN%3AFOO"),
            ("a%2Fb", "a%252Fb"),
            ("a.", "a%2E"),
            ("\u{e9}\0", "%C3%A9%00"),
        ] {
            let directory = Layout::Rfc8572.directory(serial_number);
            assert_eq!(directory, name);
            assert!(!directory.contains(['/', '\\', ':']));
        }
    }

    #[test]
    fn a_hostile_listing_leads_nowhere() {
        let listing = [
            "",
            "/",
            "../conveyed-information.cms",
            "/conveyed-information.cms",
            "SN1/../conveyed-information.cms",
            "SN1//conveyed-information.cms",
            "SN1\\conveyed-information.cms",
            "SN1/conveyed-information.cms/",
            "./SN1/conveyed-information.cms",
            "SN1/conveyed-information.cms\0",
        ];
        assert!(found(Layout::Rfc8572, "SN1", &listing).is_empty());
        // No serial number: only what is for anyone.
        assert_eq!(Layout::Rfc8572.directory(""), "");
        assert!(found(Layout::Rfc8572, "", &listing).is_empty());
    }
}
