//! What goes into the device machine and what comes out of it.

use sztp_voucher::yang::Encoding;

use super::{Endpoint, Outcome, RunningImage};
use crate::conveyed_info::ConfigurationHandling;
use crate::rpc::ProgressType;

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
        /// Where from; its server need not be trusted (RFC 8572 §5.6).
        uri: String,
    },
    /// Install what was fetched last; answered by [`Input::Installed`] or [`Input::Failed`].
    InstallImage,
    /// Reboot into it; answered by [`Input::Rebooted`], [`Input::Rebooting`] or [`Input::Failed`].
    Reboot,
    /// Run a script; answered by [`Input::Ended`].
    RunScript {
        /// Before or after the configuration.
        stage: ScriptStage,
        /// The script.
        script: Vec<u8>,
    },
    /// Put a configuration in place, whole or not at all; answered by [`Input::Ended`].
    CommitConfiguration {
        /// Into the running configuration or instead of it.
        handling: ConfigurationHandling,
        /// The configuration.
        configuration: Vec<u8>,
    },
    /// Say whether the device is ready to be managed; answered by [`Input::Ended`]. If bootstrapping
    /// was not switched off by what was applied, that is a warning (RFC 8572 §5.6).
    CheckReady,
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
    /// The device will reboot when this machine has ended.
    Rebooting,
    /// A script, a commit, a check or a rollback ended.
    Ended(Ended),
}

/// How a script, a commit, a check or a rollback ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Well,
    /// Well enough to go on.
    Warning(String),
    /// Badly.
    Error(String),
}
