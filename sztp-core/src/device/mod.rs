//! The device's side of bootstrapping (RFC 8572 §5) as a machine without I/O.
//!
//! [`Device::poll_output`] says what to do next, [`Device::handle_input`] takes what came of it.
//! Two facts are kept apart: whether the server was *authenticated* decides what it is told and
//! whether it gets progress reports; whether the data is *trusted* decides whether it is acted
//! on, and only [`TrustedConveyedInfo`](crate::artifacts::TrustedConveyedInfo) ever is.
//!
//! It goes through its [sources](Source) in their order, and begins anew after a while if it was told
//! to ([`DeviceConfig::retry`]). Time passes outside, and chance comes in as a seed. What has to
//! survive the process is a [`SavedState`].

mod answer;
mod chance;
mod config;
mod image;
mod io;
mod onboarding;
mod outcome;
mod reports;
mod rounds;
mod saved;
mod servers;
mod signing_request;
mod source;
mod unreachable;

use std::collections::VecDeque;
use std::time::Duration;

use sztp_cms::{UnixTime, WallClock};

use self::chance::Chance;
pub use self::config::{Backoff, DeviceConfig, DeviceKey, Endpoint, EndpointTrust, RunningImage};
pub use self::io::{Ended, Input, Output, ScriptStage};
pub use self::outcome::{Failure, FailureKind, Outcome};
pub use self::saved::SavedState;
use self::saved::Stage;
use self::servers::{Candidate, Contact, Visit};
pub use self::source::{Origin, Source};
pub use self::unreachable::{Obstacle, Unreachable};
use crate::conveyed_info::{ConfigurationHandling, OnboardingInformation};
use crate::csr::CsrRequest;
use crate::dns::Transport;
use crate::rpc::{ProgressReport, ProgressType};

/// The operation that fetches bootstrapping data (RFC 8572 §7.1).
pub const GET_BOOTSTRAPPING_DATA: &str = "ietf-sztp-bootstrap-server:get-bootstrapping-data";
/// The operation that reports progress (RFC 8572 §7.1).
pub const REPORT_PROGRESS: &str = "ietf-sztp-bootstrap-server:report-progress";

/// A device that is being bootstrapped.
#[derive(Debug, Clone)]
pub struct Device {
    config: DeviceConfig,
    chance: Chance,
    /// What is still to be tried: the next one last.
    candidates: Vec<Candidate>,
    /// Servers tried in this round, so that redirects in a circle end.
    visited: Vec<Visit>,
    contact: Option<Contact>,
    info: OnboardingInformation,
    stage: Stage,
    /// Whether a script was run or a configuration committed and not undone.
    changed: bool,
    /// Whether there is a key for a certificate that has not come yet.
    key_made: bool,
    /// Whether it was made before the process ended or the device rebooted, and no server of this
    /// round has asked for one: it may be what data that come now are meant for.
    key_kept: bool,
    /// Who asked for it.
    key_server: Option<String>,
    /// Rounds without success.
    failed_rounds: u32,
    /// The longest that a server of this round asked to be left alone.
    retry_after: Option<Duration>,
    plan: VecDeque<Step>,
    awaiting: Option<Awaiting>,
    failures: Vec<Failure>,
    done: bool,
}

/// One thing to do. Steps may plan more steps.
#[derive(Debug, Clone)]
enum Step {
    CheckEnabled,
    Next,
    Ask,
    DiscardKey,
    MakeCsr(CsrRequest),
    Report {
        report: ProgressReport,
        /// Whether the attempt fails without an acknowledgement (RFC 8572 §5.6).
        needed: bool,
    },
    BootImage,
    Fetch {
        uri: usize,
    },
    Install,
    Reboot,
    Script(ScriptStage),
    RunScript {
        stage: ScriptStage,
        script: Vec<u8>,
    },
    Configuration,
    Commit {
        handling: ConfigurationHandling,
        configuration: Vec<u8>,
    },
    CheckReady,
    Complete,
    Rollback,
    End(Outcome),
}

/// The answer that the last output waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaiting {
    Enabled,
    Time,
    Media,
    Artifacts,
    Dhcp,
    Domains,
    Records(Transport),
    Csr {
        format: String,
    },
    KeyDiscarded,
    Data,
    Report {
        progress_type: ProgressType,
        needed: bool,
    },
    Image {
        uri: usize,
    },
    Install,
    Reboot,
    Script(ScriptStage),
    Configuration,
    Ready,
    Rollback,
}

impl Device {
    /// A device that is about to look for bootstrapping data.
    pub fn new(config: DeviceConfig) -> Self {
        let mut device = Self {
            chance: Chance::new(config.seed, &config.serial_number),
            config,
            candidates: Vec::new(),
            visited: Vec::new(),
            contact: None,
            info: OnboardingInformation::default(),
            stage: Stage::Searching,
            changed: false,
            key_made: false,
            key_kept: false,
            key_server: None,
            failed_rounds: 0,
            retry_after: None,
            plan: VecDeque::new(),
            awaiting: None,
            failures: Vec::new(),
            done: false,
        };
        device.start_round();
        device
    }

    /// What to do next; `None` while the last output is not answered, and after the end.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.awaiting.is_some() || self.done {
            return None;
        }
        loop {
            let step = self.plan.pop_front().unwrap_or(Step::Next);
            if let Some(output) = self.perform(step) {
                if let Output::Done(Outcome::Bootstrapped { .. }) = output {
                    self.stage = Stage::Bootstrapped;
                }
                self.done = matches!(output, Output::Done(_));
                return Some(output);
            }
        }
    }

    /// Takes what came of the last output; an answer to another question counts as a failure.
    pub fn handle_input(&mut self, clock: WallClock, input: Input) {
        match self.awaiting.take() {
            Some(Awaiting::Enabled) => self.take_enabled(&input),
            // Whatever ended the wait: another round begins.
            Some(Awaiting::Time) => self.start_round(),
            Some(
                awaiting @ (Awaiting::Media
                | Awaiting::Artifacts
                | Awaiting::Dhcp
                | Awaiting::Domains
                | Awaiting::Records(_)),
            ) => self.take_source(clock, awaiting, input),
            Some(Awaiting::Csr { format }) => self.take_csr(&format, input),
            Some(Awaiting::KeyDiscarded) => self.take_key_discarded(input),
            Some(Awaiting::Data) => self.take_answer(clock, input),
            Some(Awaiting::Report {
                progress_type,
                needed,
            }) if needed => self.take_acknowledgement(progress_type, &input),
            // An error report that does not arrive stops nothing.
            None | Some(Awaiting::Report { .. }) => {}
            Some(Awaiting::Reboot) => match input {
                Input::Rebooted { running } => {
                    self.config.running = running;
                    self.stage = Stage::Searching;
                    self.start_round();
                }
                other => self.take_result(Awaiting::Reboot, other),
            },
            Some(awaiting) => self.take_result(awaiting, input),
        }
    }

    /// What went wrong in this round, one source after the other.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// SHA-256 of the images that were installed since bootstrapping began, to be kept over a
    /// reboot that ends the process ([`DeviceConfig::installed_images`]).
    pub fn installed_images(&self) -> &[[u8; 32]] {
        &self.config.installed_images
    }

    /// The time before which it certainly is not, to be kept over a reboot that ends the process
    /// ([`DeviceConfig::clock_floor`]).
    pub fn clock_floor(&self) -> Option<UnixTime> {
        self.config.clock_floor
    }

    /// Does a step; `None` if there is nothing to do outside the machine.
    fn perform(&mut self, step: Step) -> Option<Output> {
        match step {
            Step::CheckEnabled => self.wait_for(Awaiting::Enabled, Output::CheckEnabled),
            Step::Next => self.next_candidate(),
            Step::DiscardKey => self.wait_for(Awaiting::KeyDiscarded, Output::DiscardKey),
            Step::MakeCsr(request) => self.make_csr(request),
            Step::Ask => self.ask(),
            Step::Report { report, needed } => self.post_report(&report, needed),
            Step::BootImage => {
                self.plan_image();
                None
            }
            Step::Fetch { uri } => self.fetch(uri),
            Step::Script(stage) => {
                self.plan_script(stage);
                None
            }
            Step::Configuration => {
                self.plan_configuration();
                None
            }
            Step::Install => self.wait_for(Awaiting::Install, Output::InstallImage),
            Step::Reboot => self.wait_for(Awaiting::Reboot, Output::Reboot),
            Step::RunScript { stage, script } => {
                self.changed = true;
                self.wait_for(Awaiting::Script(stage), Output::RunScript { stage, script })
            }
            Step::Commit {
                handling,
                configuration,
            } => {
                self.changed = true;
                let output = Output::CommitConfiguration {
                    handling,
                    configuration,
                };
                self.wait_for(Awaiting::Configuration, output)
            }
            Step::CheckReady => self.wait_for(Awaiting::Ready, Output::CheckReady),
            Step::Complete => {
                self.plan_completion();
                None
            }
            Step::Rollback => self.wait_for(Awaiting::Rollback, Output::Rollback),
            Step::End(outcome) => Some(Output::Done(outcome)),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the form that perform wants")]
    fn wait_for(&mut self, awaiting: Awaiting, output: Output) -> Option<Output> {
        self.awaiting = Some(awaiting);
        Some(output)
    }

    /// Plans steps before all that is planned already, in their order.
    fn plan_first(&mut self, steps: impl IntoIterator<Item = Option<Step>>) {
        let mut planned: VecDeque<Step> = steps.into_iter().flatten().collect();
        planned.append(&mut self.plan);
        self.plan = planned;
    }

    /// Notes that the current source has failed.
    fn note_failure(&mut self, kind: FailureKind) {
        let origin = self.contact.as_ref();
        let origin = origin.map_or_else(String::new, |contact| contact.origin.to_string());
        self.failures.push(Failure { origin, kind });
    }
}
