//! What goes into the device machine and what comes out of it.

use std::fmt;

use sztp_cms::{Certificate, Leniency, TrustAnchors};
use sztp_voucher::Assertion;
use sztp_voucher::yang::Encoding;

use crate::artifacts::ArtifactError;
use crate::conveyed_info::ConfigurationHandling;
use crate::restconf::Errors;
use crate::rpc::{MessageError, ProgressType, SshHostKey};

/// Who the device is and what it was made to trust.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// As in its vouchers and in the subject of its IDevID certificate.
    pub serial_number: String,
    /// Its IDevID certificate, to compare a voucher's idevid-issuer with.
    pub idevid: Option<Certificate>,
    /// Where voucher signers must lead to: the manufacturer's.
    pub voucher_anchors: TrustAnchors,
    /// The voucher assertions that are accepted.
    pub assertions: Vec<Assertion>,
    /// Bootstrap servers to try, in order.
    pub servers: Vec<Endpoint>,
    /// Told to authenticated servers only.
    pub hw_model: Option<String>,
    /// What is running; told to authenticated servers only.
    pub running: RunningImage,
    /// Sent with each request if there is one, and expected in vouchers that have a nonce.
    pub nonce: Option<Vec<u8>>,
    /// The encoding of requests.
    pub encoding: Encoding,
    /// Deviations of signatures to let pass.
    pub leniency: Leniency,
    /// Reported with bootstrap-complete (RFC 8572 §7.3).
    pub ssh_host_keys: Vec<SshHostKey>,
    /// Redirects within redirects that are followed (RFC 8572 §5.3: at most ten).
    pub max_redirect_depth: usize,
    /// Servers contacted in all before giving up.
    pub max_contacts: usize,
}

impl DeviceConfig {
    /// A device with the usual limits that knows no server yet.
    pub fn new(serial_number: impl Into<String>, voucher_anchors: TrustAnchors) -> Self {
        Self {
            serial_number: serial_number.into(),
            idevid: None,
            voucher_anchors,
            assertions: Assertion::ALL.to_vec(),
            servers: Vec::new(),
            hw_model: None,
            running: RunningImage::default(),
            nonce: None,
            encoding: Encoding::Json,
            leniency: Leniency::default(),
            ssh_host_keys: Vec::new(),
            max_redirect_depth: 10,
            max_contacts: 50,
        }
    }
}

/// The boot image that is running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningImage {
    /// The operating system's name.
    pub os_name: Option<String>,
    /// The operating system's version.
    pub os_version: Option<String>,
    /// SHA-256 of the image, if it is known.
    pub sha256: Option<[u8; 32]>,
}

/// A bootstrap server and how it is to be judged.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name or IP address, without brackets.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// How its TLS certificate is judged.
    pub trust: EndpointTrust,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

/// How a server's TLS certificate is judged.
#[derive(Debug, Clone)]
pub enum EndpointTrust {
    /// It must lead to one of these and name the host; there is no other way in.
    Anchors(TrustAnchors),
    /// Taken blindly (RFC 8572 §5.5): what comes must be signed, or a redirect.
    Provisional,
}

impl EndpointTrust {
    /// Whether a connection that came about is an authenticated one.
    pub const fn authenticates(&self) -> bool {
        matches!(self, Self::Anchors(_))
    }
}

/// Something for the device to do. Each but [`Output::Done`] is answered by one [`Input`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Output {
    /// POST to an operation of a bootstrap server; answered by [`Input::Response`] or
    /// [`Input::Failed`].
    Post {
        /// The server; one connection serves all requests to it.
        server: Endpoint,
        /// Name of the operation, with its module.
        operation: &'static str,
        /// Of the body and of the answer.
        encoding: Encoding,
        /// The body.
        body: Vec<u8>,
        /// The progress type if it is a progress report.
        progress: Option<ProgressType>,
    },
    /// Download an image and hash it; answered by [`Input::Fetched`] or [`Input::Failed`].
    Fetch {
        /// Where from; its server need not be trusted.
        uri: String,
    },
    /// Install what was fetched last; answered by [`Input::Installed`] or [`Input::Failed`].
    InstallImage,
    /// Reboot into it; answered by [`Input::Rebooted`].
    Reboot,
    /// Run a script; answered by [`Input::Ended`].
    RunScript {
        /// Before or after the configuration.
        stage: ScriptStage,
        /// The script.
        script: Vec<u8>,
    },
    /// Put a configuration in place; answered by [`Input::Ended`].
    CommitConfiguration {
        /// Into the running configuration or instead of it.
        handling: ConfigurationHandling,
        /// The configuration.
        configuration: Vec<u8>,
    },
    /// Undo scripts and configuration of this attempt; answered by [`Input::Ended`].
    Rollback,
    /// The machine has ended.
    Done(Outcome),
}

/// When a script runs (RFC 8572 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptStage {
    /// Before the configuration.
    Pre,
    /// After the configuration.
    Post,
}

/// What came of an output.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// An HTTP answer.
    Response {
        /// HTTP status.
        status: u16,
        /// Content-Type, if there was one.
        content_type: Option<String>,
        /// The body.
        body: Vec<u8>,
    },
    /// It could not be done: no connection, refused certificate, no space.
    Failed {
        /// Why, for people.
        reason: String,
    },
    /// An image was downloaded whole.
    Fetched {
        /// SHA-256 of it.
        sha256: [u8; 32],
    },
    /// The image will run after a reboot.
    Installed,
    /// The device has rebooted.
    Rebooted {
        /// What is running now.
        running: RunningImage,
    },
    /// A script, a commit or a rollback ended.
    Ended(Ended),
}

/// How a script, a commit or a rollback ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Well,
    /// Well enough to go on.
    Warning(String),
    /// Badly.
    Error(String),
}

/// What became of it all.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The device is bootstrapped.
    Bootstrapped {
        /// Where the data came from.
        server: Endpoint,
        /// Whether the owner had signed it.
        signed: bool,
    },
    /// No server had anything that worked. Nothing is left active.
    Failed(Vec<Failure>),
}

/// Why one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The server, `host:port`.
    pub server: String,
    /// What happened.
    pub kind: FailureKind,
}

/// What can go wrong with one server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// No answer, or not one that may be listened to.
    #[error("{0}")]
    Unreachable(String),
    /// It refused.
    #[error("status {status}{}", errors.as_ref().map(describe).unwrap_or_default())]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        errors: Option<Errors>,
    },
    /// Its answer could not be read.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// Its data was not accepted.
    #[error("{0}")]
    Artifacts(#[from] ArtifactError),
    /// The redirect is one too many, or leads in a circle.
    #[error("redirect not followed: {0}")]
    Redirect(&'static str),
    /// A stage of onboarding failed.
    #[error("{stage}: {reason}")]
    Onboarding {
        /// As reported.
        stage: ProgressType,
        /// Why.
        reason: String,
    },
}

fn describe(errors: &Errors) -> String {
    let Some(first) = errors.errors.first() else {
        return String::new();
    };
    let tag = first.error_tag.as_str();
    match &first.message {
        Some(message) => format!(" ({tag}: {message})"),
        None => format!(" ({tag})"),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.kind)
    }
}
