//! The files of an upload: one, or those in a tar, a gzipped tar or a zip. Blocks.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};

use flate2::read::GzDecoder;
use tar::EntryType;

use crate::InventoryError;

/// A file as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Octets(Vec<u8>),
    /// Larger than a voucher can be.
    TooLarge,
}

/// Gives each file of an upload to `found`, as long as that answers `true`.
///
/// An error comes after the files that could be read.
pub(super) fn unpack(
    upload: &mut File,
    name: &str,
    found: &mut dyn FnMut(String, Content) -> bool,
) -> Result<(), InventoryError> {
    let mut beginning = Vec::new();
    upload.seek(SeekFrom::Start(0)).map_err(broken)?;
    upload
        .by_ref()
        .take(TAR_MAGIC_END as u64)
        .read_to_end(&mut beginning)
        .map_err(broken)?;
    upload.seek(SeekFrom::Start(0)).map_err(broken)?;
    if beginning.starts_with(b"PK\x03\x04") || beginning.starts_with(b"PK\x05\x06") {
        return unzip(upload, found);
    }
    if is_tar(&beginning) {
        return untar(upload, found);
    }
    if beginning.starts_with(&[0x1F, 0x8B]) {
        let mut unpacked = GzDecoder::new(upload).take(MAX_UNPACKED);
        let mut beginning = Vec::new();
        unpacked
            .by_ref()
            .take(TAR_MAGIC_END as u64)
            .read_to_end(&mut beginning)
            .map_err(broken)?;
        let mut all = io::Cursor::new(&beginning).chain(unpacked);
        if is_tar(&beginning) {
            return untar(all, found);
        }
        let content = bounded(&mut all)?;
        found(name.trim_end_matches(".gz").to_owned(), content);
        return Ok(());
    }
    let content = bounded(upload)?;
    found(name.to_owned(), content);
    Ok(())
}

fn is_tar(beginning: &[u8]) -> bool {
    beginning.get(TAR_MAGIC_END - 5..TAR_MAGIC_END) == Some(b"ustar")
}

fn untar(
    archive: impl Read,
    found: &mut dyn FnMut(String, Content) -> bool,
) -> Result<(), InventoryError> {
    let mut archive = tar::Archive::new(archive);
    for (number, entry) in archive.entries().map_err(broken)?.enumerate() {
        let mut entry = entry.map_err(broken)?;
        check_number(number)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular || is_hidden(&name) {
            continue;
        }
        if !found(name, bounded(&mut entry)?) {
            break;
        }
    }
    Ok(())
}

fn unzip(
    archive: &mut File,
    found: &mut dyn FnMut(String, Content) -> bool,
) -> Result<(), InventoryError> {
    let refused = |error: zip::result::ZipError| InventoryError::Archive {
        problem: error.to_string(),
    };
    let mut archive = zip::ZipArchive::new(archive).map_err(refused)?;
    for number in 0..archive.len() {
        check_number(number)?;
        let mut entry = archive.by_index(number).map_err(refused)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        if entry.is_dir() || is_hidden(&name) {
            continue;
        }
        let content = bounded(&mut entry)?;
        if !found(name, content) {
            break;
        }
    }
    Ok(())
}

fn bounded(file: &mut dyn Read) -> Result<Content, InventoryError> {
    let mut octets = Vec::new();
    file.take(MAX_VOUCHER as u64 + 1)
        .read_to_end(&mut octets)
        .map_err(broken)?;
    if octets.len() > MAX_VOUCHER {
        return Ok(Content::TooLarge);
    }
    Ok(Content::Octets(octets))
}

/// What file managers leave in archives.
fn is_hidden(path: &str) -> bool {
    path.split('/')
        .any(|part| part.starts_with('.') && part != "." && part != "..")
        || path.contains("__MACOSX/")
}

fn check_number(number: usize) -> Result<(), InventoryError> {
    if number < MAX_FILES {
        return Ok(());
    }
    Err(InventoryError::Archive {
        problem: format!("more than {MAX_FILES} files; those before are done"),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: io::Error) -> InventoryError {
    InventoryError::Archive {
        problem: error.to_string(),
    }
}

/// Octets of a voucher, in any form.
pub(super) const MAX_VOUCHER: usize = 256 * 1024;
const MAX_FILES: usize = 1_000_000;
const MAX_UNPACKED: u64 = 8 * 1024 * 1024 * 1024;
const TAR_MAGIC_END: usize = 262;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn unpacked(octets: &[u8]) -> (Vec<(String, Content)>, Result<(), InventoryError>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(octets).unwrap();
        let mut files = Vec::new();
        let result = unpack(&mut file, "one", &mut |name, content| {
            files.push((name, content));
            true
        });
        (files, result)
    }

    fn some(name: &str, octets: &[u8]) -> (String, Content) {
        (name.to_owned(), Content::Octets(octets.to_vec()))
    }

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, octets) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(octets.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *octets).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn archives_and_what_is_none() {
        assert_eq!(unpacked(b"abc").0, [some("one", b"abc")]);
        let big = vec![0; MAX_VOUCHER + 1];
        assert_eq!(unpacked(&big).0, [("one".to_owned(), Content::TooLarge)]);
        let long = "d/".repeat(80) + "a.vcj";
        let tar = tar_of(&[
            ("a.vcj", b"a"),
            ("._a.vcj", b"x"),
            ("b.vcj", &big),
            (&long, b"c"),
        ]);
        let expected = [
            some("a.vcj", b"a"),
            ("b.vcj".to_owned(), Content::TooLarge),
            some(&long, b"c"),
        ];
        assert_eq!(unpacked(&tar), (expected.to_vec(), Ok(())));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        assert_eq!(unpacked(&gzip.finish().unwrap()).0, expected);

        let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, octets) in [("d/a.vcj", &b"a"[..]), ("b.vcj", &big)] {
            zip.start_file(name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(octets).unwrap();
        }
        let zip = zip.finish().unwrap().into_inner();
        assert_eq!(
            unpacked(&zip).0,
            [
                some("d/a.vcj", b"a"),
                ("b.vcj".to_owned(), Content::TooLarge)
            ]
        );
        // What can be read of a damaged one is.
        let (files, result) = unpacked(&tar[..tar.len() / 2]);
        assert_eq!(files[0], some("a.vcj", b"a"));
        assert_eq!(result.unwrap_err().code(), "upload.archive");
        assert!(unpacked(&zip[..zip.len() / 2]).1.is_err());
    }
}
