//! Images: files named by the SHA-256 of their content, written once and never changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use tokio::fs;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::{Service, new_id, now};
use crate::model::{Image, Listed, Page};
use crate::store::{DeletedImage, FileWork};
use crate::{InventoryError, ServiceError};

/// The directory of the files.
#[derive(Debug)]
pub(super) struct ImageFiles {
    directory: PathBuf,
    max_bytes: u64,
    uploads: AtomicU64,
}

/// A file that is being served.
#[derive(Debug)]
pub(crate) struct StoredFile {
    /// Open for reading.
    pub(crate) file: fs::File,
    /// In octets.
    pub(crate) size: u64,
}

impl ImageFiles {
    pub(super) fn new(directory: PathBuf, max_bytes: u64) -> Self {
        Self {
            directory,
            max_bytes,
            uploads: AtomicU64::new(0),
        }
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.directory.join(sha256)
    }

    /// Streams an upload into a file of its own, and answers its hash and size.
    async fn receive(
        &self,
        content: &mut (impl AsyncRead + Send + Unpin),
        path: &Path,
    ) -> Result<(String, u64), ServiceError> {
        let file_error = |error| file_error(path, &error);
        let mut file = fs::File::create_new(path).await.map_err(file_error)?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = content
                .read(&mut buffer)
                .await
                .map_err(|error| ServiceError::Upload {
                    reason: error.to_string(),
                })?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > self.max_bytes {
                return Err(ServiceError::ImageTooLarge {
                    limit: self.max_bytes,
                });
            }
            hash.update(&buffer[..read]);
            file.write_all(&buffer[..read]).await.map_err(file_error)?;
        }
        file.flush().await.map_err(file_error)?;
        file.sync_all().await.map_err(file_error)?;
        Ok((hex(&hash.finalize()), size))
    }
}

impl Service {
    /// Stores an image under a name. The same content under the same name is no error.
    pub async fn add_image(
        &self,
        name: &str,
        mut content: impl AsyncRead + Send + Unpin,
    ) -> Result<Image, ServiceError> {
        check_name(name)?;
        let files = &self.0.images;
        let number = files.uploads.fetch_add(1, Ordering::Relaxed);
        let upload = files
            .directory
            .join(format!(".upload-{}-{number}", new_id()));
        let partial = RemoveOnDrop(upload.clone());
        let (sha256, size) = files.receive(&mut content, &upload).await?;
        let image = Image {
            name: name.to_owned(),
            sha256,
            size,
            created_at: now(),
        };
        let place = place(upload, files.path(&image.sha256));
        let there = self.0.store.add_image(image.clone(), place).await?;
        drop(partial);
        if there.sha256 == image.sha256 {
            tracing::info!(name, size, "image stored");
            return Ok(there);
        }
        Err(ServiceError::ImageExists {
            name: name.to_owned(),
        })
    }

    /// Images in the order of their names.
    pub async fn images(&self, page: Page) -> Result<Listed<Image>, ServiceError> {
        Ok(self.0.store.images(page).await?)
    }

    /// Deletes an image that no device needs.
    pub async fn delete_image(&self, name: &str) -> Result<(), ServiceError> {
        match self.0.store.delete_image(name).await? {
            DeletedImage::Missing => Err(ServiceError::ImageMissing {
                name: name.to_owned(),
            }),
            DeletedImage::InUse { serial_number } => Err(ServiceError::ImageInUse {
                name: name.to_owned(),
                serial_number,
            }),
            DeletedImage::InUseByProfile { profile } => Err(InventoryError::ImageInUse {
                name: name.to_owned(),
                profile,
            }
            .into()),
            DeletedImage::Deleted { sha256 } => {
                self.remove_if_unused(&sha256).await;
                Ok(())
            }
        }
    }

    /// The file behind `/files/<sha256>/<name>`.
    pub(crate) async fn open_file(
        &self,
        sha256: &str,
        name: &str,
    ) -> Result<StoredFile, ServiceError> {
        let missing = || ServiceError::ImageMissing {
            name: name.chars().take(128).collect(),
        };
        let image = self.0.store.image(name).await?;
        let image = image
            .filter(|image| image.sha256 == sha256)
            .ok_or_else(missing)?;
        let path = self.0.images.path(&image.sha256);
        let file = fs::File::open(&path)
            .await
            .map_err(|error| file_error(&path, &error))?;
        Ok(StoredFile {
            file,
            size: image.size,
        })
    }

    async fn remove_if_unused(&self, sha256: &str) {
        let path = self.0.images.path(sha256);
        let remove = Box::new(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        if let Err(error) = self.0.store.drop_content(sha256, remove).await {
            tracing::warn!(sha256, %error, "an image file is left over");
        }
    }
}

/// Makes an upload the file of its content, as durable as its row will be.
fn place(upload: PathBuf, path: PathBuf) -> FileWork {
    Box::new(move || {
        match std::fs::rename(&upload, &path) {
            // It was placed before, and the row came to nothing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.exists() => {}
            placed => placed?,
        }
        // The directory's entry, too.
        match path.parent() {
            Some(directory) => std::fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    })
}

/// What is left of an upload that broke off.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        // Renamed when all went well.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Names go into URIs as they are.
fn check_name(name: &str) -> Result<(), ServiceError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-+".contains(&b);
    if (1..=128).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.') {
        Ok(())
    } else {
        Err(ServiceError::ImageName {
            name: name.chars().take(140).collect(),
        })
    }
}

fn file_error(path: &Path, error: &std::io::Error) -> ServiceError {
    ServiceError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

const BUFFER: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for good in ["a", "cat9k_iosxe.17.18.01.SPA.bin", "os-1.2+3.img"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "a b",
            "a%2f",
            "\u{e4}",
            &"a".repeat(129),
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
