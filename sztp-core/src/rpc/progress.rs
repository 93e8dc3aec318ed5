//! Progress reports (RFC 8572 §7.3): what a device tells a bootstrap server that it trusts.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use sztp_voucher::yang::{self, Encoding, Options, YangError, clean_text, encode_binary};

use super::{INPUT, MAX_REQUEST_BYTES, MessageError, insert_text, top};
use crate::schema;

/// Input of `report-progress` (RFC 8572 §7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressReport {
    /// What happened.
    pub progress_type: ProgressType,
    /// In words.
    pub message: Option<String>,
    /// The device's SSH host keys; only with `bootstrap-complete`.
    pub ssh_host_keys: Vec<SshHostKey>,
    /// Certs-only CMS for the device's certificates; only with `bootstrap-complete`.
    pub trust_anchor_certs: Vec<Vec<u8>>,
}

/// `ssh-host-key` (RFC 8572 §7.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHostKey {
    /// Name in the IANA registry, as in `ssh-ed25519`.
    pub algorithm: String,
    /// The key blob of RFC 4253 §6.6.
    pub key_data: Vec<u8>,
}

impl ProgressReport {
    /// A report without keys and anchors.
    pub fn new(progress_type: ProgressType, message: Option<String>) -> Self {
        Self {
            progress_type,
            message,
            ssh_host_keys: Vec::new(),
            trust_anchor_certs: Vec::new(),
        }
    }

    /// Decodes a report.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, MessageError> {
        Self::decode_noting(bytes, encoding).map(|(report, _)| report)
    }

    /// Decodes a report and says which leniencies it took.
    pub fn decode_noting(
        bytes: &[u8],
        encoding: Encoding,
    ) -> Result<(Self, Vec<String>), MessageError> {
        let mut notes = Vec::new();
        let options = Options {
            max_bytes: MAX_REQUEST_BYTES,
            ..Options::default()
        };
        let mut document = yang::decode(bytes, encoding, schema::REPORT_PROGRESS_INPUT, &options)?;
        let mut fields = top(&mut document, INPUT)?;
        let name = fields.mandatory_string("progress-type")?;
        let progress_type =
            name.parse()
                .map_err(|UnknownProgressType| YangError::InvalidValue {
                    path: fields.path_of("progress-type"),
                    reason: "unknown progress type".to_owned(),
                })?;
        let message = fields.string("message");
        let mut note_empty = |node: &str, empty: bool| {
            if empty {
                notes.push(format!("an empty {node} was taken as none"));
            }
        };
        let mut ssh_host_keys = Vec::new();
        if let Some(mut keys) = fields.container("ssh-host-keys") {
            for mut key in keys.list("ssh-host-key") {
                ssh_host_keys.push(SshHostKey {
                    algorithm: key.mandatory_string("algorithm")?,
                    key_data: key.mandatory_binary("key-data")?,
                });
            }
            note_empty("ssh-host-keys", ssh_host_keys.is_empty());
        }
        let mut trust_anchor_certs = Vec::new();
        if let Some(mut anchors) = fields.container("trust-anchor-certs") {
            trust_anchor_certs = anchors.binaries("trust-anchor-cert");
            note_empty("trust-anchor-certs", trust_anchor_certs.is_empty());
        }
        let report = Self {
            progress_type,
            message,
            ssh_host_keys,
            trust_anchor_certs,
        };
        report.check()?;
        Ok((report, notes))
    }

    /// Encodes the report; characters that YANG strings cannot hold are replaced in the message.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("progress-type".into(), self.progress_type.as_str().into());
        insert_text(&mut members, "message", self.message.as_deref());
        if !self.ssh_host_keys.is_empty() {
            let keys: Vec<Value> = self
                .ssh_host_keys
                .iter()
                .map(|key| {
                    let data = encode_binary(&key.key_data);
                    json!({ "algorithm": clean_text(&key.algorithm), "key-data": data })
                })
                .collect();
            members.insert("ssh-host-keys".into(), json!({ "ssh-host-key": keys }));
        }
        if !self.trust_anchor_certs.is_empty() {
            let anchors: Vec<String> = self
                .trust_anchor_certs
                .iter()
                .map(|der| encode_binary(der))
                .collect();
            members.insert(
                "trust-anchor-certs".into(),
                json!({ "trust-anchor-cert": anchors }),
            );
        }
        yang::encode_unchecked(
            &json!({ INPUT: members }),
            encoding,
            schema::REPORT_PROGRESS_INPUT,
        )
    }

    /// Checks the constraints of the schema on a value that was built rather than decoded.
    pub fn check(&self) -> Result<(), MessageError> {
        let progress_type = self.progress_type;
        if progress_type == ProgressType::BootstrapComplete {
            return Ok(());
        }
        if !self.ssh_host_keys.is_empty() {
            return Err(MessageError::OnlyWhenComplete {
                node: "ssh-host-keys",
                progress_type,
            });
        }
        if !self.trust_anchor_certs.is_empty() {
            let node = "trust-anchor-certs";
            return Err(MessageError::OnlyWhenComplete {
                node,
                progress_type,
            });
        }
        Ok(())
    }
}

macro_rules! progress_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// `progress-type` (RFC 8572 §7.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ProgressType { $($(#[$doc])* $variant,)* }

        impl ProgressType {
            /// Every value, in the order of the module.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the schema.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

progress_types! {
    /// The device has just taken bootstrapping data from this server.
    BootstrapInitiated = "bootstrap-initiated",
    /// About to parse the data.
    ParsingInitiated = "parsing-initiated",
    /// A fault in the data that does not matter.
    ParsingWarning = "parsing-warning",
    /// The data was refused.
    ParsingError = "parsing-error",
    /// The data was parsed.
    ParsingComplete = "parsing-complete",
    /// About to see to the boot image.
    BootImageInitiated = "boot-image-initiated",
    /// A fault with the boot image that does not matter.
    BootImageWarning = "boot-image-warning",
    /// The boot image could not be installed.
    BootImageError = "boot-image-error",
    /// The device is not running the required boot image.
    BootImageMismatch = "boot-image-mismatch",
    /// A new boot image is installed and the device reboots.
    BootImageInstalledRebooting = "boot-image-installed-rebooting",
    /// The required boot image is running.
    BootImageComplete = "boot-image-complete",
    /// About to run the pre-configuration script.
    PreScriptInitiated = "pre-script-initiated",
    /// The pre-configuration script warned.
    PreScriptWarning = "pre-script-warning",
    /// The pre-configuration script failed.
    PreScriptError = "pre-script-error",
    /// The pre-configuration script succeeded.
    PreScriptComplete = "pre-script-complete",
    /// About to commit the configuration.
    ConfigInitiated = "config-initiated",
    /// The commit gave warnings.
    ConfigWarning = "config-warning",
    /// The commit failed.
    ConfigError = "config-error",
    /// The configuration is committed.
    ConfigComplete = "config-complete",
    /// About to run the post-configuration script.
    PostScriptInitiated = "post-script-initiated",
    /// The post-configuration script warned.
    PostScriptWarning = "post-script-warning",
    /// The post-configuration script failed.
    PostScriptError = "post-script-error",
    /// The post-configuration script succeeded.
    PostScriptComplete = "post-script-complete",
    /// A warning that no other type fits.
    BootstrapWarning = "bootstrap-warning",
    /// An error that no other type fits.
    BootstrapError = "bootstrap-error",
    /// The device is ready to be managed.
    BootstrapComplete = "bootstrap-complete",
    /// Anything else.
    Informational = "informational",
}

impl ProgressType {
    /// Whether it says that the device gave up on this server (RFC 8572 §7.3).
    pub fn is_error(self) -> bool {
        self.as_str().ends_with("-error")
    }

    /// Whether it says that the device went on in spite of a fault.
    pub fn is_warning(self) -> bool {
        self.as_str().ends_with("-warning")
    }
}

impl fmt::Display for ProgressType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not one of the progress types of RFC 8572 §7.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown progress type")]
pub struct UnknownProgressType;

impl FromStr for ProgressType {
    type Err = UnknownProgressType;

    fn from_str(name: &str) -> Result<Self, UnknownProgressType> {
        Self::ALL
            .iter()
            .copied()
            .find(|t| t.as_str() == name)
            .ok_or(UnknownProgressType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(members: &str) -> Result<(ProgressReport, Vec<String>), MessageError> {
        let text = format!("{{\"{INPUT}\":{{{members}}}}}");
        ProgressReport::decode_noting(text.as_bytes(), Encoding::Json)
    }

    #[test]
    fn every_progress_type_and_no_other() {
        // LEDGER: 8572-7.3-12
        assert_eq!(ProgressType::ALL.len(), 27);
        let names: Vec<_> = ProgressType::ALL.iter().map(|t| t.as_str()).collect();
        assert_eq!(names, schema::PROGRESS_TYPES);
        for &progress_type in ProgressType::ALL {
            for encoding in [Encoding::Json, Encoding::Xml] {
                let report = ProgressReport::new(progress_type, None);
                assert_eq!(
                    ProgressReport::decode(&report.encode(encoding), encoding),
                    Ok(report)
                );
            }
        }
        for name in ["", "done", "Bootstrap-Complete", "bootstrap-complete "] {
            assert!(
                report(&format!("\"progress-type\":\"{name}\"")).is_err(),
                "{name}"
            );
        }
        assert_eq!(report("").map_err(|e| e.code()), Err("yang.missing-node"));
        // LEDGER: 8572-7.3-14
        assert_eq!(ProgressType::ALL.iter().filter(|t| t.is_error()).count(), 6);
        assert_eq!(
            ProgressType::ALL.iter().filter(|t| t.is_warning()).count(),
            6
        );
    }

    #[test]
    fn keys_and_anchors_only_at_the_end() {
        // LEDGER: 8572-7.3-18
        let key = r#""ssh-host-keys":{"ssh-host-key":[{"algorithm":"x","key-data":"AA=="}]}"#;
        assert!(report(&format!(r#""progress-type":"bootstrap-complete",{key}"#)).is_ok());
        let progress_type = ProgressType::ConfigComplete;
        let early = report(&format!(r#""progress-type":"config-complete",{key}"#));
        let node = "ssh-host-keys";
        assert_eq!(
            early,
            Err(MessageError::OnlyWhenComplete {
                node,
                progress_type
            })
        );
        let anchors = r#""trust-anchor-certs":{"trust-anchor-cert":["AA=="]}"#;
        let early = report(&format!(r#""progress-type":"config-complete",{anchors}"#));
        let node = "trust-anchor-certs";
        assert_eq!(
            early,
            Err(MessageError::OnlyWhenComplete {
                node,
                progress_type
            })
        );
        for half in [r#"{"algorithm":"x"}"#, r#"{"key-data":"AA=="}"#] {
            let members = format!(
                r#""progress-type":"bootstrap-complete","ssh-host-keys":{{"ssh-host-key":[{half}]}}"#
            );
            assert_eq!(
                report(&members).map_err(|e| e.code()),
                Err("yang.missing-node")
            );
        }
        let empty = r#""progress-type":"config-complete","ssh-host-keys":{},
            "trust-anchor-certs":{"trust-anchor-cert":[]}"#;
        assert!(report(empty).is_ok_and(|(_, notes)| notes.len() == 2));
    }

    #[test]
    fn script_output_becomes_a_legal_string() {
        // LEDGER: 8572-7.3-13
        let message = Some("\u{1b}[31mfailed\u{0}\r\n<b>".to_owned());
        let report = ProgressReport::new(ProgressType::PreScriptError, message);
        for encoding in [Encoding::Json, Encoding::Xml] {
            let decoded = ProgressReport::decode(&report.encode(encoding), encoding);
            let message = decoded.expect("legal").message;
            assert_eq!(
                message.as_deref(),
                Some("\u{FFFD}[31mfailed\u{FFFD}\r\n<b>")
            );
        }
    }
}
