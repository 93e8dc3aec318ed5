//! What goes into the device machine and what comes out of it.

use std::time::Duration;

use sztp_voucher::yang::Encoding;

use super::{Endpoint, Outcome, RunningImage, Unreachable};
use crate::artifacts::BootstrappingData;
use crate::conveyed_info::ConfigurationHandling;
use crate::csr::CsrRequest;
use crate::dns::{DomainName, Query, SrvRecord, TxtRecord};
use crate::removable_storage::FileSet;
use crate::rpc::ProgressType;

/// Something for the device to do. Each but [`Output::Done`] is answered by one [`Input`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Output {
    /// Say whether bootstrapping is enabled (RFC 8572 §5.2); answered by [`Input::Enabled`]. Asked at
    /// the beginning of each round.
    CheckEnabled,
    /// List the files on all removable storage that there is; answered by [`Input::Media`],
    /// [`Input::Nothing`] or [`Input::Failed`].
    ListRemovableStorage,
    /// Read these files, at most [`MAX_ARTIFACT_OCTETS`] of each, following no symbolic link;
    /// answered by [`Input::Artifacts`] or [`Input::Failed`].
    ///
    /// [`MAX_ARTIFACT_OCTETS`]: crate::removable_storage::MAX_ARTIFACT_OCTETS
    ReadRemovableStorage {
        /// Which medium of the list.
        medium: usize,
        /// Paths as they stand in its listing.
        files: FileSet,
    },
    /// Give DHCP's options 143 and 136, from leases or asked for; answered by
    /// [`Input::DhcpOptions`], [`Input::Nothing`] or [`Input::Failed`].
    LookUpDhcp,
    /// Give the domains to ask DNS servers about, where there are DNS servers; answered by
    /// [`Input::Domains`], [`Input::Nothing`] or [`Input::Failed`].
    FindDomains,
    /// Ask DNS; answered by [`Input::Text`] or [`Input::Services`] after the type of the records,
    /// [`Input::Nothing`] or [`Input::Failed`]. A truncated answer is asked for again over TCP.
    Resolve(Query),
    /// Let this time pass, or cut it short if something has changed, such as a stick that was
    /// plugged in; answered by [`Input::Waited`].
    Wait {
        /// How long.
        duration: Duration,
    },
    /// Make a certificate signing request (RFC 9646 §3.2), with a key made for it if it names an
    /// algorithm, else with the key of the IDevID; answered by [`Input::Csr`] or [`Input::Failed`].
    /// A key of that kind that is still there, as [`Output::DiscardKey`] did not ask to delete it, was
    /// made for this request by a process that ended, and is used again.
    /// The request was checked: it is one of those that the device offered.
    MakeCsr(CsrRequest),
    /// Delete the key that was made last: its certificate will not come (RFC 9646 §2.3); answered by
    /// [`Input::Ended`].
    DiscardKey,
    /// POST to an operation of a bootstrap server; answered by [`Input::Response`] or
    /// [`Input::Unreachable`].
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
        /// How long the server wants not to be asked again (Retry-After, RFC 9110 §10.2.3).
        retry_after: Option<Duration>,
        /// The body.
        body: Vec<u8>,
    },
    /// Whether bootstrapping is enabled.
    Enabled(bool),
    /// There is none of what was asked for: no storage, no lease, no record.
    Nothing,
    /// For each medium, the paths of its files from its top with `/` between directories.
    Media(Vec<Vec<String>>),
    /// The artifacts that were read.
    Artifacts(BootstrappingData),
    /// The value of each such option, its instances joined (RFC 3396).
    DhcpOptions(Vec<Vec<u8>>),
    /// Domains, the most specific first.
    Domains(Vec<DomainName>),
    /// TXT records.
    Text(Vec<TxtRecord>),
    /// SRV records, in any order.
    Services(Vec<SrvRecord>),
    /// Time has passed.
    Waited,
    /// A request as DER, in the format that was asked for.
    Csr(Vec<u8>),
    /// There is no answer of a server.
    Unreachable(Unreachable),
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
