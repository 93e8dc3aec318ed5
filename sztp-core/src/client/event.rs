//! What a driver is doing, for a log or a live table.

use std::net::SocketAddr;
use std::time::Duration;

use crate::device::{Endpoint, Input, Outcome, Output, ScriptStage, Source, Unreachable};
use crate::dns::Query;
use crate::rpc::ProgressType;

/// Something that a driver does or that came of it.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// The bootstrap server in question, once there is one.
    pub server: Option<&'a Endpoint>,
    /// What it is.
    pub activity: Activity<'a>,
}

/// What a driver does, and what came of it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Activity<'a> {
    /// Looks whether bootstrapping is enabled; a round over the sources begins.
    Beginning,
    /// Looks for removable storage, for options of DHCP, or for domains to ask DNS about.
    LookingAt(Source),
    /// Reads artifacts from removable storage.
    ReadingStorage {
        /// The directory; empty for the top.
        directory: &'a str,
    },
    /// Asks DNS.
    Resolving(&'a Query),
    /// Lets time pass before the next round.
    Waiting(Duration),
    /// Makes a certificate signing request.
    MakingCsr,
    /// Deletes a key that has become useless.
    DiscardingKey,
    /// Asks the server for bootstrapping data.
    Asking,
    /// Tells the server this; servers that are not trusted are told nothing.
    Reporting(ProgressType),
    /// A new connection was made for what was asked or reported; told once that has an answer.
    Connected {
        /// To this address of the server.
        address: SocketAddr,
        /// For TCP and TLS.
        took: Duration,
    },
    /// The server was asked for its API root over the new connection.
    Discovered {
        /// For question and answer.
        took: Duration,
    },
    /// The server acknowledged this report.
    Reported(ProgressType),
    /// The server answered, to a report otherwise than with 204.
    Answered {
        /// HTTP status.
        status: u16,
        /// The report that it answers, if it was one.
        progress: Option<ProgressType>,
    },
    /// The server did not answer.
    Unreachable {
        /// Why.
        why: &'a Unreachable,
        /// The report that was lost, if it was one.
        progress: Option<ProgressType>,
    },
    /// Downloads an image.
    Downloading {
        /// From here.
        uri: &'a str,
        /// Octets that have arrived.
        octets: u64,
        /// Octets in all, if they are known.
        total: Option<u64>,
    },
    /// Installs the image.
    Installing,
    /// Reboots.
    Rebooting,
    /// Runs a script.
    RunningScript(ScriptStage),
    /// Commits the configuration.
    Committing,
    /// Checks whether the device is ready.
    CheckingReady,
    /// Undoes what a failed attempt has done.
    RollingBack,
    /// Has ended.
    Ended(&'a Outcome),
}

impl<'a> Activity<'a> {
    pub(super) fn of(output: &'a Output) -> Self {
        match output {
            Output::CheckEnabled => Self::Beginning,
            Output::ListRemovableStorage => Self::LookingAt(Source::RemovableStorage),
            Output::ReadRemovableStorage { files, .. } => Self::ReadingStorage {
                directory: &files.directory,
            },
            Output::LookUpDhcp => Self::LookingAt(Source::Dhcp),
            Output::FindDomains => Self::LookingAt(Source::Dns),
            Output::Resolve(query) => Self::Resolving(query),
            Output::Wait { duration } => Self::Waiting(*duration),
            Output::MakeCsr(_) => Self::MakingCsr,
            Output::DiscardKey => Self::DiscardingKey,
            Output::Post { progress: None, .. } => Self::Asking,
            Output::Post {
                progress: Some(progress_type),
                ..
            } => Self::Reporting(*progress_type),
            Output::Fetch { uri } => Self::Downloading {
                uri,
                octets: 0,
                total: None,
            },
            Output::InstallImage => Self::Installing,
            Output::Reboot => Self::Rebooting,
            Output::RunScript { stage, .. } => Self::RunningScript(*stage),
            Output::CommitConfiguration { .. } => Self::Committing,
            Output::CheckReady => Self::CheckingReady,
            Output::Rollback => Self::RollingBack,
            Output::Done(outcome) => Self::Ended(outcome),
        }
    }

    pub(super) fn of_answer(input: &'a Input, progress: Option<ProgressType>) -> Option<Self> {
        match (input, progress) {
            (Input::Response { status: 204, .. }, Some(progress_type)) => {
                Some(Self::Reported(progress_type))
            }
            (Input::Response { status, .. }, _) => Some(Self::Answered {
                status: *status,
                progress,
            }),
            (Input::Unreachable(why), _) => Some(Self::Unreachable { why, progress }),
            _ => None,
        }
    }
}
