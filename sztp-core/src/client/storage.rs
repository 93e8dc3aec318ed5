//! Removable storage that is mounted: listed and read within bounds (RFC 8572 §4.1).

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::artifacts::BootstrappingData;
use crate::removable_storage::{FileSet, MAX_ARTIFACT_OCTETS};

/// Directories on which media may be mounted. Symbolic links are not followed: what is on a stick
/// does not lead to what is on the device.
#[derive(Debug, Clone, Default)]
pub struct RemovableStorage {
    directories: Vec<PathBuf>,
}

impl RemovableStorage {
    /// Media mounted on these directories; one that is not there is a medium without files.
    pub fn new(directories: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self {
            directories: directories.into_iter().map(Into::into).collect(),
        }
    }

    /// For each medium, the paths of its files from its top with `/` between directories. What
    /// cannot be read, and what is more than a stick for many devices holds, is left out.
    pub fn list(&self) -> Vec<Vec<String>> {
        self.directories.iter().map(|top| list(top)).collect()
    }

    /// Reads the files of a medium, the `medium`th of the list.
    ///
    /// # Errors
    /// A file that is no regular file, is too large, or cannot be read.
    pub fn read(&self, medium: usize, files: &FileSet) -> io::Result<BootstrappingData> {
        let top = self
            .directories
            .get(medium)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let optional = |file: &Option<String>| {
            let file = file.as_ref();
            file.map(|file| read(top, file)).transpose()
        };
        Ok(BootstrappingData {
            conveyed_information: read(top, &files.conveyed_information)?,
            owner_certificate: optional(&files.owner_certificate)?,
            ownership_voucher: optional(&files.ownership_voucher)?,
        })
    }
}

fn list(top: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![(top.to_path_buf(), String::new(), 0)];
    let mut entries_left = MAX_ENTRIES;
    while let Some((path, prefix, depth)) = directories.pop() {
        let Ok(entries) = fs::read_dir(path) else {
            continue;
        };
        for entry in entries.flatten() {
            if entries_left == 0 {
                return files;
            }
            entries_left -= 1;
            let name = entry.file_name();
            let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else {
                continue;
            };
            let listed = format!("{prefix}{name}");
            if kind.is_file() {
                files.push(listed);
            } else if kind.is_dir() && depth < MAX_DEPTH {
                directories.push((entry.path(), format!("{listed}/"), depth + 1));
            }
        }
    }
    files.sort();
    files
}

fn read(top: &Path, file: &str) -> io::Result<Vec<u8>> {
    let mut path = top.to_path_buf();
    for name in file.split('/') {
        if name.is_empty() || name == "." || name == ".." {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        path.push(name);
        if fs::symlink_metadata(&path)?.is_symlink() {
            return Err(io::Error::other(format!("{file} is a symbolic link")));
        }
    }
    let opened = File::open(&path)?;
    if !opened.metadata()?.is_file() {
        return Err(io::Error::other(format!("{file} is no file")));
    }
    let mut octets = Vec::new();
    opened
        .take(MAX_ARTIFACT_OCTETS + 1)
        .read_to_end(&mut octets)?;
    if octets.len() as u64 > MAX_ARTIFACT_OCTETS {
        return Err(io::Error::other(format!("{file} is too large")));
    }
    Ok(octets)
}

/// Files and directories of a medium that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// Directories within directories: the layouts need three.
const MAX_DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::removable_storage::{Layout, find};

    #[test]
    fn what_is_on_a_stick_is_read_and_nothing_else() {
        // LEDGER: 8572-4.1-03, 8572-4.1-05
        let stick = tempfile::tempdir().unwrap();
        let own = stick.path().join("AX7-00042");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("conveyed-information.cms"), b"ci").unwrap();
        fs::write(own.join("owner-certificate.cms"), b"oc").unwrap();
        fs::write(own.join("ownership-voucher.vcj"), b"ov").unwrap();
        fs::write(stick.path().join("readme.txt"), b"x").unwrap();
        let storage = RemovableStorage::new([Path::new("/nonexistent"), stick.path()]);
        let media = storage.list();
        assert_eq!(media[0], Vec::<String>::new());
        assert_eq!(media[1].len(), 4);
        let listing = media[1].iter().map(String::as_str);
        let sets = find(Layout::Rfc8572, "AX7-00042", listing);
        let data = storage.read(1, &sets[0]).unwrap();
        assert_eq!(data.conveyed_information, b"ci");
        assert_eq!(data.owner_certificate.as_deref(), Some(&b"oc"[..]));
        assert_eq!(data.ownership_voucher.as_deref(), Some(&b"ov"[..]));
        assert!(storage.read(0, &sets[0]).is_err());
        assert!(storage.read(2, &sets[0]).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere_and_large_files_are_not_read() {
        let stick = tempfile::tempdir().unwrap();
        let secret = tempfile::NamedTempFile::new().unwrap();
        let file = stick.path().join("conveyed-information.cms");
        std::os::unix::fs::symlink(secret.path(), &file).unwrap();
        let storage = RemovableStorage::new([stick.path()]);
        assert_eq!(storage.list(), [Vec::<String>::new()]);
        let [set] = &find(Layout::Rfc8572, "A", ["conveyed-information.cms"])[..] else {
            panic!("one set");
        };
        assert!(storage.read(0, set).is_err(), "put there after listing");
        fs::remove_file(&file).unwrap();
        let large = File::create(&file).unwrap();
        large.set_len(MAX_ARTIFACT_OCTETS).unwrap();
        assert!(storage.read(0, set).is_ok());
        large.set_len(MAX_ARTIFACT_OCTETS + 1).unwrap();
        assert!(storage.read(0, set).is_err());
    }
}
