//! What a MASA has decided, one JSON object a line, at the end of a file that is never rewritten.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use sztp_cms::UnixTime;

use crate::ServerError;

/// One decision.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Line {
    /// RFC 3339.
    pub(super) time: String,
    /// Of the request, as the answer names it too.
    pub(super) request_id: String,
    pub(super) peer: String,
    /// `granted`, or the code of the error.
    pub(super) outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) registrar: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) domain: Option<Named>,
    /// Of what the voucher pins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pinned_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assertion: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) has_nonce: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) has_pledge_request: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires_on: Option<String>,
    /// Of the voucher as it was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) voucher_sha256: Option<String>,
}

/// A certificate.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Named {
    pub(super) subject: String,
    pub(super) sha256: String,
}

impl Line {
    pub(super) fn new(time: UnixTime, request_id: &str, peer: &str, outcome: &str) -> Self {
        Self {
            time: time.to_string(),
            request_id: request_id.to_owned(),
            peer: peer.to_owned(),
            outcome: outcome.to_owned(),
            serial_number: None,
            message: None,
            registrar: None,
            domain: None,
            pinned_sha256: None,
            assertion: None,
            has_nonce: None,
            has_pledge_request: None,
            expires_on: None,
            voucher_sha256: None,
        }
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct AuditLog {
    file: Mutex<File>,
}

impl AuditLog {
    /// Opens the file, or makes it, for its owner only.
    pub(super) fn open(path: &Path) -> Result<Self, ServerError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path).and_then(|file| {
            // What was cut off in the middle of a line, by a crash, stays a line of its own.
            let length = file.metadata()?.len();
            if length > 0 && !ends_with_newline(path, length)? {
                (&file).write_all(b"\n")?;
            }
            file.sync_all()?;
            Ok(file)
        });
        let file = opened.map_err(|error| ServerError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            file: Mutex::new(file),
        })
    }

    /// Blocks until it is on disk.
    pub(super) fn append(&self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, so that no other process's line gets in between.
        file.write_all(&text)?;
        file.sync_data()
    }
}

fn ends_with_newline(path: &Path, length: u64) -> std::io::Result<bool> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_never_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let line = Line::new(UnixTime::from_secs(0), "1", "::1", "granted");
        let log = AuditLog::open(&path).unwrap();
        log.append(&line).unwrap();
        drop(log);
        // A crash in the middle of a line.
        let mut octets = std::fs::read(&path).unwrap();
        octets.extend_from_slice(b"{\"time\":");
        std::fs::write(&path, octets).unwrap();
        AuditLog::open(&path).unwrap().append(&line).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        for place in [0, 2] {
            let line: serde_json::Value = serde_json::from_str(lines[place]).unwrap();
            assert_eq!(line["outcome"], "granted");
            assert_eq!(line["time"], "1970-01-01T00:00:00Z");
        }
    }
}
