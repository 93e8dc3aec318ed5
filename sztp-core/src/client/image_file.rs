//! The file that an image is downloaded to, and the note by which another process goes on with it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use sha2::{Digest, Sha256};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

/// How the names of files begin that images are downloaded to
/// ([`Settings::download_directory`](super::Settings::download_directory)).
pub const DOWNLOAD_PREFIX: &str = "sztp-image-";

/// A file that is removed when this is dropped, unless there is a note about it.
pub(super) struct ImageFile {
    image: PathBuf,
    note: PathBuf,
}

/// A file that is ready to be written to.
pub(super) struct Opened {
    pub(super) place: ImageFile,
    pub(super) file: File,
    /// Of what is in it already.
    pub(super) entity_tag: Option<HeaderValue>,
    length: u64,
}

impl ImageFile {
    /// A new file.
    pub(super) async fn create(directory: &Path) -> io::Result<Opened> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut options = options();
        options.create_new(true);
        for _ in 0..MAX_NAMES {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{DOWNLOAD_PREFIX}{}-{count}", std::process::id());
            let place = Self::at(directory, &name);
            match options.open(&place.image).await {
                Ok(file) => {
                    return Ok(Opened {
                        place,
                        file,
                        entity_tag: None,
                        length: 0,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => place.leave(),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name"))
    }

    /// The file that an earlier process has left for this URI, or a new one. Those of other URIs are
    /// removed: there is room for one image, not for many.
    pub(super) async fn go_on(directory: &Path, uri: &str) -> io::Result<Opened> {
        let digest: [u8; 32] = Sha256::digest(uri).into();
        let digits: Vec<String> = digest[..8]
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        let name = format!("{DOWNLOAD_PREFIX}{}.part", digits.concat());
        let mut entries = fs::read_dir(directory).await?;
        while let Some(entry) = entries.next_entry().await? {
            let other = entry.file_name();
            let other = other.to_string_lossy();
            if other.starts_with(DOWNLOAD_PREFIX) && !other.starts_with(&name) {
                fs::remove_file(entry.path()).await.ok();
            }
        }
        let place = Self::at(directory, &name);
        let noted = place.read_note().await;
        let mut options = options();
        options.create(true).truncate(false);
        let mut file = options.open(&place.image).await?;
        let there = file.metadata().await?.len();
        let (length, entity_tag) = match noted {
            Some((length, entity_tag)) if length <= there => (length, Some(entity_tag)),
            _ => {
                place.forget();
                (0, None)
            }
        };
        file.set_len(length).await?;
        file.rewind().await?;
        Ok(Opened {
            place,
            file,
            entity_tag,
            length,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.image
    }

    /// Notes that so many octets of what has this tag are on disk.
    pub(super) async fn note(&self, octets: u64, entity_tag: &HeaderValue) -> io::Result<()> {
        let mut text = format!("{octets}\n").into_bytes();
        text.extend_from_slice(entity_tag.as_bytes());
        let made = self.note.with_extension("new");
        fs::write(&made, text).await?;
        fs::rename(made, &self.note).await
    }

    /// Nothing is to be gone on with.
    pub(super) fn forget(&self) {
        std::fs::remove_file(&self.note).ok();
    }

    fn at(directory: &Path, name: &str) -> Self {
        Self {
            image: directory.join(name),
            note: directory.join(format!("{name}.note")),
        }
    }

    async fn read_note(&self) -> Option<(u64, HeaderValue)> {
        let text = fs::read(&self.note).await.ok()?;
        let end = text.iter().position(|octet| *octet == b'\n')?;
        let octets = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
        let entity_tag = HeaderValue::from_bytes(&text[end + 1..]).ok()?;
        Some((octets, entity_tag))
    }

    /// It is somebody else's.
    fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for ImageFile {
    fn drop(&mut self) {
        if !self.note.exists() {
            std::fs::remove_file(&self.image).ok();
        }
    }
}

impl Opened {
    /// Hashes what is there; how much that is.
    pub(super) async fn read_into(&mut self, hasher: &mut Sha256) -> io::Result<u64> {
        let mut buffer = vec![0; BUFFER];
        let mut read = 0;
        while read < self.length {
            match self.file.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    hasher.update(&buffer[..count]);
                    read += count as u64;
                }
            }
        }
        self.file.flush().await?;
        Ok(read)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}

const BUFFER: usize = 64 * 1024;

/// Names that are tried for a file.
const MAX_NAMES: usize = 1000;
