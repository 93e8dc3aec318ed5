//! What `sztp agent bootstrap` leaves: a directory with `result.json` and, if all is well,
//! `onboarding.json` and the files it names. It is replaced as a whole, so that nobody ever sees a
//! half of it, or a payload beside the result of another run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sztp_core::conveyed_info::{BootImage, OnboardingInformation};

use crate::failure::Failure;
use crate::files;

/// Files by name, to be put into a directory all at once.
#[derive(Debug, Default)]
pub(super) struct Payload {
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Payload {
    /// What is to be put into place, and `onboarding.json`, which says so.
    pub(super) fn of(
        info: &OnboardingInformation,
        serial_number: &str,
        source: &str,
        signed: bool,
    ) -> Result<Self, Failure> {
        let mut payload = Self::default();
        let document = json!({
            "serial-number": serial_number,
            "source": source,
            "signed": signed,
            "boot-image": info.boot_image.as_ref().map(image),
            "pre-configuration-script":
                payload.add(PRE_SCRIPT, info.pre_configuration_script.as_ref()),
            "configuration-handling":
                info.configuration_handling.map(|handling| handling.as_str().to_owned()),
            "configuration": payload.add(CONFIGURATION, info.configuration.as_ref()),
            "post-configuration-script":
                payload.add(POST_SCRIPT, info.post_configuration_script.as_ref()),
        });
        payload.add_json(ONBOARDING, &document)?;
        Ok(payload)
    }

    fn add(&mut self, name: &'static str, content: Option<&Vec<u8>>) -> Option<Value> {
        let content = content?;
        self.files.push((name, content.clone()));
        Some(json!({
            "file": name,
            "octets": content.len(),
            "sha256": hex(&Sha256::digest(content)),
        }))
    }

    pub(super) fn add_result(&mut self, result: &Value) -> Result<(), Failure> {
        self.add_json(RESULT, result)
    }

    fn add_json(&mut self, name: &'static str, document: &Value) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::new("output.encoding", error))?;
        self.files.push((name, (text + "\n").into_bytes()));
        Ok(())
    }

    /// Puts the files into a directory in place of all that an earlier run has put there.
    pub(super) fn place(&self, directory: &Path) -> Result<(), Failure> {
        check_replaceable(directory)?;
        let failed = |error: io::Error| {
            Failure::new("file.unwritable", format!("cannot be written: {error}")).at(directory)
        };
        let folder = match directory.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        files::make_directory(folder)?;
        // Mode 0700; removed if anything fails.
        let made = tempfile::Builder::new()
            .prefix(".sztp-")
            .tempdir_in(folder)
            .map_err(failed)?;
        for (name, content) in &self.files {
            files::write_private(&made.path().join(name), content)?;
        }
        exchange(made.path(), directory).map_err(failed)?;
        // It may have got what was there before, or be gone.
        let rest: PathBuf = made.keep();
        match fs::remove_dir_all(rest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

/// Puts a directory in the place of another one, if there is one, in a single step.
fn exchange(made: &Path, directory: &Path) -> io::Result<()> {
    if !directory.exists() {
        return fs::rename(made, directory);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, made, CWD, directory, RenameFlags::EXCHANGE) {
            // Not every file system can do it.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            done => return Ok(done?),
        }
    }
    fs::remove_dir_all(directory)?;
    fs::rename(made, directory)
}

/// That there is nothing that was not put there by an earlier run.
pub(super) fn check_replaceable(directory: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| Failure::new("file.unreadable", error).at(directory))?,
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !NAMES.iter().any(|known| name == *known) {
            return Err(Failure::new(
                "agent.output",
                "the output directory has files of somebody else, and would be replaced",
            )
            .at(&entry.path())
            .hint("give --out a directory of its own"));
        }
    }
    Ok(())
}

fn image(image: &BootImage) -> Value {
    let verifications: Vec<Value> = image
        .image_verification
        .iter()
        .map(|one| {
            json!({
                "hash-algorithm": one.hash_algorithm,
                "hash-value": hex(&one.hash_value),
            })
        })
        .collect();
    json!({
        "os-name": image.os_name,
        "os-version": image.os_version,
        "download-uri": image.download_uris,
        "image-verification": verifications,
    })
}

fn hex(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    octets.concat()
}

const RESULT: &str = "result.json";
const ONBOARDING: &str = "onboarding.json";
const PRE_SCRIPT: &str = "pre-configuration-script";
const CONFIGURATION: &str = "configuration";
const POST_SCRIPT: &str = "post-configuration-script";
const NAMES: [&str; 5] = [RESULT, ONBOARDING, PRE_SCRIPT, CONFIGURATION, POST_SCRIPT];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_replaces_all_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let info = OnboardingInformation {
            configuration: Some(b"hostname edge-42\n".to_vec()),
            ..OnboardingInformation::default()
        };
        let mut payload = Payload::of(&info, "A", "here", true).unwrap();
        payload.add_result(&json!({})).unwrap();
        payload.place(&out).unwrap();
        payload.place(&out).unwrap();
        assert_eq!(
            fs::read(out.join(CONFIGURATION)).unwrap(),
            b"hostname edge-42\n"
        );
        assert_eq!(fs::read_dir(&out).unwrap().count(), 3);
        let mut payload = Payload::default();
        payload.add_result(&json!({})).unwrap();
        payload.place(&out).unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(out.join("precious"), "x").unwrap();
        assert_eq!(payload.place(&out).unwrap_err().code(), "agent.output");
        assert!(out.join("precious").exists());
    }
}
