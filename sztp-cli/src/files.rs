//! Files in and out: PEM, DER and base64 told apart by content, sizes bounded, output atomic.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sztp_cms::{Certificate, CertificateRevocationList, SigningKey, TrustAnchors};
use sztp_voucher::VoucherError;

use crate::failure::{Failure, TEXT_MODE_HINT};

/// Reads a file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_at_most(path, MAX_BYTES)
}

/// Reads a text file.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?)
        .map_err(|_| Failure::new("file.not-text", "the file is not UTF-8 text").at(path))
}

/// Reads a CMS message: DER or BER as it is, PEM, or base64 with or without line breaks.
pub(crate) fn read_cms(path: &Path) -> Result<Vec<u8>, Failure> {
    let octets = read(path)?;
    match sztp_voucher::unwrap_text(&octets) {
        Ok((message, _)) => Ok(message.into_owned()),
        Err(VoucherError::LineEndingDamage) => Err(Failure::new(
            "file.text-mode-damage",
            VoucherError::LineEndingDamage,
        )
        .hint(TEXT_MODE_HINT)
        .at(path)),
        Err(error) => Err(Failure::new("file.pem", error).at(path)),
    }
}

/// Reads all certificates of a file.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let octets = read(path)?;
    Certificate::list_from_pem_or_der(&octets)
        .map_err(|error| explained(&octets, Failure::from(error)).at(path))
}

/// Reads all certificates of several files.
pub(crate) fn read_all_certificates(paths: &[PathBuf]) -> Result<Vec<Certificate>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read_certificates(path)?);
    }
    Ok(all)
}

/// Reads a certificate and those that follow it in the file.
pub(crate) fn read_certificate(path: &Path) -> Result<(Certificate, Vec<Certificate>), Failure> {
    let mut list = read_certificates(path)?;
    let first = list.remove(0);
    Ok((first, list))
}

/// Reads the certificates of several files as trust anchors.
pub(crate) fn read_anchors(paths: &[PathBuf]) -> Result<TrustAnchors, Failure> {
    Ok(TrustAnchors::new(read_all_certificates(paths)?))
}

/// Reads the revocation lists of several files.
pub(crate) fn read_revocation_lists(
    paths: &[PathBuf],
) -> Result<Vec<CertificateRevocationList>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        let octets = read(path)?;
        let lists = CertificateRevocationList::list_from_pem_or_der(&octets)
            .map_err(|error| explained(&octets, Failure::from(error)).at(path))?;
        all.extend(lists);
    }
    Ok(all)
}

/// Reads a private key; an encrypted one with the passphrase from `passphrase_file`, from
/// `SZTP_PASSPHRASE`, or as typed on the terminal.
pub(crate) fn read_key(path: &Path, passphrase_file: Option<&Path>) -> Result<SigningKey, Failure> {
    let octets = read(path)?;
    let key = if SigningKey::is_encrypted(&octets) {
        passphrase(path, passphrase_file).and_then(|words| {
            Ok(SigningKey::from_encrypted(
                &octets,
                words.trim_end_matches(['\r', '\n']),
            )?)
        })
    } else {
        SigningKey::from_pem_or_der(&octets).map_err(Failure::from)
    };
    key.map_err(|failure| explained(&octets, failure).at(path))
}

fn passphrase(path: &Path, file: Option<&Path>) -> Result<String, Failure> {
    use std::io::IsTerminal as _;
    if let Some(file) = file {
        return read_text(file);
    }
    if let Ok(words) = std::env::var("SZTP_PASSPHRASE") {
        return Ok(words);
    }
    if io::stdin().is_terminal() {
        let prompt = format!("Passphrase of {}: ", path.display());
        return rpassword::prompt_password(prompt)
            .map_err(|error| Failure::new("key.encrypted", format!("no passphrase: {error}")));
    }
    Err(sztp_cms::KeyError::Encrypted.into())
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with_mode(path, content, 0o644)
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_with_mode(path, content, 0o600)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |error: &io::Error| {
        Failure::new("file.unwritable", format!("cannot be written: {error}")).at(path)
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sztp-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder
        .tempfile_in(folder)
        .map_err(|error| failed(&error))?;
    file.write_all(content)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    // The name, too, is there after a power cut; not every file system can promise that.
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Makes a directory and what leads to it.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| {
        Failure::new("file.unwritable", format!("cannot be made: {error}")).at(path)
    })
}

/// Base64 with padding or without, in either alphabet, with white space anywhere.
pub(crate) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let compact: String = text
        .iter()
        .filter(|octet| !octet.is_ascii_whitespace())
        .map(|octet| match octet {
            b'-' => '+',
            b'_' => '/',
            other => char::from(*other),
        })
        .collect();
    let mut padded = compact.trim_end_matches('=').to_owned();
    while !padded.len().is_multiple_of(4) {
        padded.push('=');
    }
    STANDARD
        .decode(padded)
        .ok()
        .filter(|octets| !octets.is_empty())
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let outcome = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut octets)
    } else {
        File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut octets))
    };
    outcome.map_err(|error| {
        Failure::new("file.unreadable", format!("cannot be read: {error}")).at(path)
    })?;
    if octets.len() as u64 > limit {
        return Err(Failure::new("file.too-large", format!("larger than {limit} octets")).at(path));
    }
    if octets.is_empty() {
        return Err(Failure::new("file.empty", "the file is empty").at(path));
    }
    Ok(octets)
}

/// Says that a binary file was ruined by a text conversion, where that explains the failure.
fn explained(octets: &[u8], failure: Failure) -> Failure {
    const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
    let text = octets.starts_with(b"-----BEGIN");
    if !text
        && octets
            .windows(REPLACEMENT.len())
            .any(|three| three == REPLACEMENT)
    {
        return Failure::new(
            "file.text-mode-damage",
            "damaged by a text conversion (it has U+FFFD in place of octets)",
        )
        .hint(TEXT_MODE_HINT);
    }
    failure
}

/// Configurations and scripts too are below this; images are never read whole.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_in_every_guise() {
        for text in ["+/8=", "+/8", "-_8", "-_\n8=\n", " +/ 8= "] {
            assert_eq!(
                decode_base64(text.as_bytes()),
                Some(vec![0xfb, 0xff]),
                "{text:?}"
            );
        }
        for text in ["", "====", "a", "h\u{e9}"] {
            assert_eq!(decode_base64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn output_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
