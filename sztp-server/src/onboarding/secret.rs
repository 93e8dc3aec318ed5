//! Secrets of other systems: read from their files when they are needed, and kept out of whatever
//! is shown.

use std::fmt;
use std::path::{Path, PathBuf};

use super::system::Undelivered;

/// A file with a secret.
#[derive(Debug, Clone)]
pub(super) struct SecretFile(PathBuf);

/// What is in it.
pub(super) struct Secret(String);

impl SecretFile {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A file that is changed counts from the next delivery on.
    pub(super) async fn read(&self) -> Result<Secret, Undelivered> {
        let unreadable = |problem: &dyn fmt::Display| {
            Undelivered::later(format!("{}: {problem}", self.0.display()))
        };
        let text = tokio::fs::read_to_string(&self.0)
            .await
            .map_err(|error| unreadable(&error))?;
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_SECRET {
            return Err(unreadable(&format!("not 1 to {MAX_SECRET} octets")));
        }
        Ok(Secret(text.to_owned()))
    }
}

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// A text that others have written, without the secret in it.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

const MAX_SECRET: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_shown_to_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let file = SecretFile::new(&path);
        let secret = file.read().await.unwrap();
        assert_eq!(secret.expose(), "s3cret");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret.hidden_in("bad token s3cret!"), "bad token ***!");
        std::fs::write(&path, "\n").unwrap();
        assert!(file.read().await.is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.read().await, Err(Undelivered::Later { .. })));
    }
}
