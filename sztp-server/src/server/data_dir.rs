//! The data directory: database, images, lab PKI, first token. For its owner only.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Notice;
use crate::model::{Role, Token};
use crate::service::{new_secret, now, token_hash};
use crate::store::Store;
use crate::{Config, ServerError};

/// Makes the directory and the one for images; whether it was not there.
pub(super) fn make(config: &Config) -> Result<bool, ServerError> {
    let directory = &config.data_dir;
    let made = !directory.exists();
    make_private(directory)?;
    make_private(&images(config))?;
    Ok(made)
}

/// Removes what uploads left that were under way when the server last ended.
pub(super) fn clean(config: &Config) -> Result<(), ServerError> {
    let images = images(config);
    // Another instance may be receiving one.
    let is_shared = config.images_dir.is_some();
    let entries = fs::read_dir(&images).map_err(|error| file_error(&images, &error))?;
    for entry in entries.flatten() {
        let is_upload = entry.file_name().to_string_lossy().starts_with(".upload-");
        if is_upload && (!is_shared || is_old(&entry)) {
            let path = entry.path();
            fs::remove_file(&path).map_err(|error| file_error(&path, &error))?;
        }
    }
    Ok(())
}

/// Held for as long as the server runs; the system lets go of it if the process ends otherwise.
#[derive(Debug)]
pub(super) struct Lock {
    _file: fs::File,
}

/// Sees to it that one server at a time uses the directory.
pub(super) fn lock(directory: &Path) -> Result<Lock, ServerError> {
    let path = directory.join("lock");
    let mut options = fs::OpenOptions::new();
    let opened = options.create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| file_error(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock { _file: file }),
        Err(fs::TryLockError::WouldBlock) => Err(ServerError::InUse { path }),
        Err(fs::TryLockError::Error(error)) => Err(file_error(&path, &error)),
    }
}

pub(super) fn images(config: &Config) -> PathBuf {
    let own = || config.data_dir.join("images");
    config.images_dir.clone().unwrap_or_else(own)
}

/// Nothing was written to it for a day.
fn is_old(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > DAY))
}

/// The database file, which is made here so that it is private from the start.
pub(super) fn database(directory: &Path) -> Result<PathBuf, ServerError> {
    let path = directory.join("sztp.db");
    if !path.exists() {
        create_private(&path, b"").map_err(|error| file_error(&path, &error))?;
    }
    Ok(path)
}

/// The key of the tokens by which scripts of devices prove themselves, made at the first start.
pub(super) fn token_key(directory: &Path) -> Result<[u8; 32], ServerError> {
    let path = directory.join("crosswork-token.key");
    if !path.exists() {
        let secret = new_secret().map_err(|error| ServerError::Process {
            reason: error.to_string(),
        })?;
        create_private(&path, secret.as_bytes()).map_err(|error| file_error(&path, &error))?;
    }
    super::crosswork::read_key(&path)
}

/// The database file, which must be there.
pub(super) fn existing_database(directory: &Path) -> Result<PathBuf, ServerError> {
    let path = directory.join("sztp.db");
    match fs::metadata(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(file_error(&path, &error)),
    }
}

/// Puts a copy of `file` in the place of the database, which is kept. What the write-ahead log has
/// belongs to the old one.
pub(super) fn replace_database(directory: &Path, file: &Path) -> Result<(), ServerError> {
    let path = directory.join("sztp.db");
    let new = directory.join("sztp.db.restoring");
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| file_error(&path, &error)
    };
    let _ = fs::remove_file(&new);
    create_private(&new, b"").map_err(at(&new))?;
    fs::copy(file, &new).map_err(at(file))?;
    sync(&new)?;
    for suffix in ["-wal", "-shm", ""] {
        let old = directory.join(format!("sztp.db{suffix}"));
        let kept = directory.join(format!("sztp.db.before-restore{suffix}"));
        let _ = fs::remove_file(&kept);
        match fs::rename(&old, &kept) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error(&old, &error));
            }
            _ => {}
        }
    }
    fs::rename(&new, &path).map_err(at(&path))?;
    sync(directory)
}

/// Makes a file or directory durable.
pub(super) fn sync(path: &Path) -> Result<(), ServerError> {
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| file_error(path, &error))
}

/// Makes the first token of the admin API, unless there is one.
pub(super) async fn first_token(
    directory: &Path,
    store: &impl Store,
    notices: &mut Vec<Notice>,
) -> Result<(), ServerError> {
    if !store.token_hashes().await?.is_empty() {
        return Ok(());
    }
    let path = token_file(directory);
    let write = |token: &str| {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        create_private(&path, format!("{token}\n").as_bytes())
    };
    let token = new_secret().map_err(|error| ServerError::Process {
        reason: error.to_string(),
    })?;
    // The file first: without its hash in the database it opens nothing, and the next start makes
    // another. No request is answered yet.
    write(&token).map_err(|error| file_error(&path, &error))?;
    let first = Token {
        name: "admin".to_owned(),
        role: Role::Admin,
        created_at: now(),
        created_by: None,
        expires_at: None,
    };
    if store.add_token(first, token_hash(&token)).await? {
        notices.push(Notice::MadeToken(path));
    } else {
        // Another instance, which started at the same time, has made the one that counts.
        fs::remove_file(&path).map_err(|error| file_error(&path, &error))?;
    }
    Ok(())
}

/// Adding a first device, and looking at all of them.
pub(super) fn next_commands(directory: &Path, admin: SocketAddr, config: &Config) -> [String; 2] {
    let lab = directory.join("lab/server/tls-ca.crt");
    let anchor = match (&config.tls.trust_anchor, &config.tls.certificate) {
        (Some(path), _) | (None, Some(path)) => path.display().to_string(),
        (None, None) => lab.display().to_string(),
    };
    let devices = format!(
        "curl --cacert {anchor} -H \"Authorization: Bearer $(cat {})\" \
         https://localhost:{}/api/v1/devices",
        token_file(directory).display(),
        admin.port(),
    );
    [format!("{devices} -d '{FIRST_DEVICE}'"), devices]
}

fn token_file(directory: &Path) -> PathBuf {
    directory.join("admin-token")
}

fn make_private(directory: &Path) -> Result<(), ServerError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(directory)
        .map_err(|error| file_error(directory, &error))
}

pub(super) fn create_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

pub(super) fn file_error(path: &Path, error: &std::io::Error) -> ServerError {
    ServerError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

const FIRST_DEVICE: &str = concat!(
    r#"{"serial_number":"AX7-00042","answer":{"kind":"onboarding","#,
    r#""configuration":{"text":"hostname edge-42"},"configuration_handling":"merge"}}"#
);
