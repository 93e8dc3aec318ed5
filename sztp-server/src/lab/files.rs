//! The lab PKI's directory: written whole or not at all, never over what is there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sztp_cms::{Certificate, Signer as _, SigningKey};

use super::{Identity, LabError, LabPki};

pub(super) fn write(lab: &LabPki, directory: &Path) -> Result<(), LabError> {
    for folder in FOLDERS {
        refuse_existing(&directory.join(folder))?;
    }
    make_directory(directory)?;
    // All is written aside and moved into place, so that a full disk leaves no half PKI.
    let staging = directory.join(format!(".lab-{}", std::process::id()));
    let outcome = write_folders(lab, &staging).and_then(|()| {
        for folder in FOLDERS {
            let place = directory.join(folder);
            fs::rename(staging.join(folder), &place).map_err(|error| file(&place, &error))?;
        }
        Ok(())
    });
    // Nothing more can be done about what cannot be removed.
    let _ = fs::remove_dir_all(&staging);
    outcome
}

pub(super) fn load(directory: &Path) -> Result<LabPki, LabError> {
    let read = |name: &str| read_identity(&directory.join(name));
    Ok(LabPki {
        vendor_root: read("vendor/root")?,
        masa: read("vendor/masa")?,
        idevid_ca: read("vendor/idevid-ca")?,
        pinned_domain_ca: read("owner/pinned-domain-ca")?,
        owner: read("owner/owner")?,
        tls_ca: read("server/tls-ca")?,
        tls: read("server/tls")?,
    })
}

pub(super) fn write_device(
    directory: &Path,
    serial_number: &str,
    idevid: &Identity,
    issuer: &Certificate,
) -> Result<PathBuf, LabError> {
    let device = directory.join("devices").join(folder_name(serial_number));
    refuse_existing(&device.join("idevid.crt"))?;
    refuse_existing(&device.join("idevid.key"))?;
    make_directory(&device)?;
    write_identity(&device.join("idevid"), idevid, &[issuer])?;
    Ok(device)
}

pub(super) fn write_registrar(
    directory: &Path,
    registrar: &Identity,
    issuer: &Certificate,
) -> Result<PathBuf, LabError> {
    let path = directory.join("owner/registrar");
    refuse_existing(&path.with_added_extension("crt"))?;
    refuse_existing(&path.with_added_extension("key"))?;
    write_identity(&path, registrar, &[issuer])?;
    Ok(path)
}

fn write_folders(lab: &LabPki, staging: &Path) -> Result<(), LabError> {
    for folder in FOLDERS {
        make_directory(&staging.join(folder))?;
    }
    for (name, identity) in [
        ("vendor/root", &lab.vendor_root),
        ("vendor/masa", &lab.masa),
        ("vendor/idevid-ca", &lab.idevid_ca),
        ("owner/pinned-domain-ca", &lab.pinned_domain_ca),
        ("owner/owner", &lab.owner),
        ("server/tls-ca", &lab.tls_ca),
        ("server/tls", &lab.tls),
    ] {
        write_identity(&staging.join(name), identity, &[])?;
    }
    Ok(())
}

fn write_identity(
    path: &Path,
    identity: &Identity,
    chain: &[&Certificate],
) -> Result<(), LabError> {
    let key = identity.key.to_pkcs8_pem().map_err(LabError::Key)?;
    create(&path.with_added_extension("key"), key.as_bytes(), 0o600)?;
    let mut pem = identity.certificate.to_pem();
    for certificate in chain {
        pem.push_str(&certificate.to_pem());
    }
    create(&path.with_added_extension("crt"), pem.as_bytes(), 0o644)
}

fn read_identity(path: &Path) -> Result<Identity, LabError> {
    let key_path = path.with_added_extension("key");
    let octets = fs::read(&key_path).map_err(|error| file(&key_path, &error))?;
    let key = SigningKey::from_pem_or_der(&octets).map_err(|error| LabError::KeyFile {
        path: key_path,
        error,
    })?;
    let path = path.with_added_extension("crt");
    let octets = fs::read(&path).map_err(|error| file(&path, &error))?;
    let certificate = match Certificate::from_pem_or_der(&octets) {
        Ok(certificate) => certificate,
        Err(error) => return Err(LabError::CertificateFile { path, error }),
    };
    if certificate.spki_der() != key.spki_der() {
        return Err(LabError::NotAPair { path });
    }
    Ok(Identity { certificate, key })
}

/// A serial number as the name of a folder that stays within its parent.
fn folder_name(serial_number: &str) -> String {
    let mut name = String::new();
    for (index, octet) in serial_number.bytes().enumerate() {
        let plain = octet.is_ascii_alphanumeric()
            || matches!(octet, b'-' | b'_')
            || (octet == b'.' && index > 0);
        if plain {
            name.push(char::from(octet));
        } else {
            name.extend(['%', hex_digit(octet >> 4), hex_digit(octet & 15)]);
        }
    }
    name
}

fn hex_digit(value: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(value & 15)])
}

fn refuse_existing(path: &Path) -> Result<(), LabError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file(path, &error)),
        Ok(_) => Err(LabError::Exists {
            path: path.to_owned(),
        }),
    }
}

fn make_directory(path: &Path) -> Result<(), LabError> {
    fs::create_dir_all(path).map_err(|error| file(path, &error))
}

fn create(path: &Path, content: &[u8], mode: u32) -> Result<(), LabError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options
        .open(path)
        .and_then(|mut out| {
            out.write_all(content)?;
            out.sync_all()
        })
        .map_err(|error| file(path, &error))
}

fn file(path: &Path, error: &io::Error) -> LabError {
    LabError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

const FOLDERS: [&str; 3] = ["vendor", "owner", "server"];
