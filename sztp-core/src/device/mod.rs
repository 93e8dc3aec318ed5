//! The device's side of bootstrapping (RFC 8572 §5) as a machine without I/O.
//!
//! [`Device::poll_output`] says what to do next, [`Device::handle_input`] takes what came of it.
//! Two facts are kept apart: whether the server was *authenticated* decides what it is told and
//! whether it gets progress reports; whether the data is *trusted* decides whether it is acted
//! on, and only [`TrustedConveyedInfo`](crate::artifacts::TrustedConveyedInfo) ever is.
//!
//! The machine goes through its servers once. Whether and when it is started again (RFC 8572 §5.2)
//! is left to its owner.

mod answer;
mod config;
mod image;
mod io;
mod onboarding;
mod outcome;
mod reports;
mod servers;

use std::collections::VecDeque;

use sztp_cms::{UnixTime, WallClock};

pub use self::config::{DeviceConfig, Endpoint, EndpointTrust, RunningImage};
pub use self::io::{Ended, Input, Output, ScriptStage};
pub use self::outcome::{Failure, FailureKind, Outcome};
use self::servers::{Candidate, Contact};
use crate::conveyed_info::{ConfigurationHandling, OnboardingInformation};
use crate::rpc::{ProgressReport, ProgressType};

/// The operation that fetches bootstrapping data (RFC 8572 §7.1).
pub const GET_BOOTSTRAPPING_DATA: &str = "ietf-sztp-bootstrap-server:get-bootstrapping-data";
/// The operation that reports progress (RFC 8572 §7.1).
pub const REPORT_PROGRESS: &str = "ietf-sztp-bootstrap-server:report-progress";

/// A device that is being bootstrapped.
#[derive(Debug)]
pub struct Device {
    config: DeviceConfig,
    /// Servers still to be tried: the next one last.
    candidates: Vec<Candidate>,
    /// Servers tried since the last boot, so that redirects in a circle end.
    visited: Vec<Endpoint>,
    /// Servers tried since the last one that the configuration names.
    contacts: usize,
    contact: Option<Contact>,
    info: OnboardingInformation,
    /// Whether this attempt ran a script or committed a configuration.
    changed: bool,
    plan: VecDeque<Step>,
    awaiting: Option<Awaiting>,
    failures: Vec<Failure>,
    done: bool,
}

/// One thing to do. Steps may plan more steps.
#[derive(Debug, Clone)]
enum Step {
    NextServer,
    Ask,
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
    /// A device that is about to try its servers.
    pub fn new(config: DeviceConfig) -> Self {
        let mut device = Self {
            config,
            candidates: Vec::new(),
            visited: Vec::new(),
            contacts: 0,
            contact: None,
            info: OnboardingInformation::default(),
            changed: false,
            plan: VecDeque::new(),
            awaiting: None,
            failures: Vec::new(),
            done: false,
        };
        device.start();
        device
    }

    /// What to do next; `None` while the last output is not answered, and after the end.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.awaiting.is_some() || self.done {
            return None;
        }
        loop {
            let step = self.plan.pop_front().unwrap_or(Step::NextServer);
            if let Some(output) = self.perform(step) {
                self.done = matches!(output, Output::Done(_));
                return Some(output);
            }
        }
    }

    /// Takes what came of the last output; an answer to another question counts as a failure.
    pub fn handle_input(&mut self, clock: WallClock, input: Input) {
        match self.awaiting.take() {
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
                    self.start();
                }
                other => self.take_result(Awaiting::Reboot, other),
            },
            Some(awaiting) => self.take_result(awaiting, input),
        }
    }

    /// What went wrong so far, server by server.
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

    /// After a reboot as at the first time (RFC 8572 §5.6).
    fn start(&mut self) {
        self.candidates = self
            .config
            .servers
            .iter()
            .rev()
            .map(|endpoint| Candidate {
                endpoint: endpoint.clone(),
                depth: 0,
            })
            .collect();
        self.visited.clear();
        self.plan.clear();
        self.changed = false;
    }

    /// Does a step; `None` if there is nothing to do outside the machine.
    fn perform(&mut self, step: Step) -> Option<Output> {
        match step {
            Step::NextServer => self.next_server(),
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

    /// Notes that the current server has failed.
    fn note_failure(&mut self, kind: FailureKind) {
        let server = self
            .contact
            .as_ref()
            .map_or_else(String::new, |contact| contact.endpoint.to_string());
        self.failures.push(Failure { server, kind });
    }
}
