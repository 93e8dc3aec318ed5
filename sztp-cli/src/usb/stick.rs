//! A mounted stick: what is on it, and its boot images.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use sztp_core::conveyed_info::{BootImage, ConveyedInfo};
use sztp_core::removable_storage::IMAGES;

use crate::failure::Failure;

/// The directory where a stick is mounted.
#[derive(Debug)]
pub(super) struct Stick<'a>(pub(super) &'a Path);

impl Stick<'_> {
    /// Fails if there is no such directory: what is written to a stick that is not there goes
    /// nowhere.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.0.is_dir() {
            return Ok(());
        }
        Err(Failure::new("usb.no-directory", "not a directory")
            .at(self.0)
            .hint("mount the stick and name the directory where it is mounted"))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The paths of the files from the top of the stick. Symbolic links are not followed, and names
    /// that are no text left out: neither is part of a layout.
    pub(super) fn listing(&self) -> Result<Vec<String>, Failure> {
        self.check()?;
        let mut files = Vec::new();
        let mut directories = VecDeque::from([(String::new(), 0)]);
        while let Some((directory, depth)) = directories.pop_front() {
            let path = self.0.join(&directory);
            let entries = fs::read_dir(&path).map_err(|error| unreadable(&path, &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(&path, &error))?;
                let kind = entry
                    .file_type()
                    .map_err(|error| unreadable(&entry.path(), &error))?;
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let name = if directory.is_empty() {
                    name
                } else {
                    format!("{directory}/{name}")
                };
                if kind.is_file() {
                    files.push(name);
                } else if kind.is_dir() && depth < MAX_DEPTH {
                    directories.push_back((name, depth + 1));
                }
                if files.len() + directories.len() > MAX_ENTRIES {
                    return Err(Failure::new(
                        "usb.too-many-files",
                        format!("more than {MAX_ENTRIES} files"),
                    )
                    .at(self.0));
                }
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    /// Judges the boot image that the conveyed information wants from the stick, if it does:
    /// answers the images found, by their names.
    pub(super) fn check_images(
        &self,
        info: &ConveyedInfo,
        listing: &[String],
    ) -> Result<Vec<String>, Failure> {
        let ConveyedInfo::Onboarding(onboarding) = info else {
            return Ok(Vec::new());
        };
        let Some(image) = &onboarding.boot_image else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for name in names_on_stick(image) {
            let wanted = format!("{IMAGES}/{name}");
            let listed = listing.iter().find(|file| **file == wanted);
            let listed = listed.or_else(|| {
                let mut files = listing.iter();
                files.find(|file| file.eq_ignore_ascii_case(&wanted))
            });
            let Some(listed) = listed else {
                return Err(Failure::new(
                    "usb.image-absent",
                    "a download-uri names an image that is not on the stick",
                )
                .at(&self.path(&wanted))
                .hint("put it there with `sztp usb write … --image F`"));
            };
            check_hash(image, &self.path(listed))?;
            found.push(listed.clone());
        }
        Ok(found)
    }
}

/// The names of the files that an image may be had from on the stick.
pub(super) fn names_on_stick(image: &BootImage) -> impl Iterator<Item = &str> {
    image.download_uris.iter().filter_map(|uri| on_stick(uri))
}

/// The file name in a `file:` URI; the path before it is the device's own.
fn on_stick(uri: &str) -> Option<&str> {
    let path = uri.strip_prefix("file:")?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// Compares an image with the hash that the device will compare it with.
pub(super) fn check_hash(image: &BootImage, path: &Path) -> Result<(), Failure> {
    let mut verifications = image.image_verification.iter();
    let Some(expected) = verifications.find(|verification| verification.is_sha256()) else {
        return Ok(());
    };
    let mut hash = Sha256::new();
    let mut file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(octets) => hash.update(&buffer[..octets]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    if hash.finalize().as_slice() == expected.hash_value {
        return Ok(());
    }
    Err(Failure::new(
        "usb.image-mismatch",
        "the image does not have the hash-value of the conveyed information",
    )
    .at(path))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new("file.unreadable", format!("cannot be read: {error}")).at(path)
}

/// Directories below the top; the deepest layout has three.
const MAX_DEPTH: usize = 4;
const MAX_ENTRIES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_on_the_stick_by_their_uris() {
        assert_eq!(on_stick("file:///disk2:/images/xr.iso"), Some("xr.iso"));
        assert_eq!(on_stick("file:xr.iso"), Some("xr.iso"));
        for uri in ["https://boot.example/xr.iso", "file:///images/", ""] {
            assert_eq!(on_stick(uri), None, "{uri}");
        }
    }
}
