//! The device's side of bootstrapping (RFC 8572 §5) as a machine without I/O.
//!
//! [`Device::poll_output`] says what to do next, [`Device::handle_input`] takes what came of it.
//! Two facts are kept apart: whether the server was *authenticated* decides what it is told and
//! whether it gets progress reports; whether the data is *trusted* decides whether it is acted
//! on, and only [`TrustedConveyedInfo`] ever is.

mod io;
mod onboarding;

use std::collections::VecDeque;

use sztp_cms::{Certificate, Limits, TrustAnchors, WallClock, parse_certs_only};
use sztp_voucher::{NonceExpectation, VoucherContext};

pub use self::io::{
    DeviceConfig, Ended, Endpoint, EndpointTrust, Failure, FailureKind, Input, Outcome, Output,
    RunningImage, ScriptStage,
};
use self::onboarding::Step;
use crate::artifacts::{Authenticated, BootstrappingData, SourceTrust, Trust, TrustedConveyedInfo};
use crate::conveyed_info::{ConveyedInfo, OnboardingInformation, RedirectInformation};
use crate::restconf::{Errors, encoding_of};
use crate::rpc::{
    GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport, ProgressType,
    ReportingLevel,
};

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
    /// Servers tried, so that redirects in a circle end.
    visited: Vec<(String, u16, bool)>,
    contacts: usize,
    current: Option<Candidate>,
    /// What the current server asked to be told.
    verbose: bool,
    signed: bool,
    info: OnboardingInformation,
    plan: VecDeque<Step>,
    awaiting: Option<Awaiting>,
    /// What waits for the report that announces it.
    held: Option<(Awaiting, Output)>,
    bootstrapped: Option<Outcome>,
    failures: Vec<Failure>,
    done: bool,
}

#[derive(Debug, Clone)]
struct Candidate {
    endpoint: Endpoint,
    depth: usize,
}

/// The answer that the last output waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaiting {
    Data,
    Report,
    Image { uri: usize },
    Install,
    Reboot,
    Script(ScriptStage),
    Configuration,
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
            current: None,
            verbose: false,
            signed: false,
            info: OnboardingInformation::default(),
            plan: VecDeque::new(),
            awaiting: None,
            held: None,
            bootstrapped: None,
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
        if let Some((awaiting, output)) = self.held.take() {
            self.awaiting = Some(awaiting);
            return Some(output);
        }
        loop {
            if let Some(outcome) = self.bootstrapped.take() {
                return Some(self.finish(outcome));
            }
            let output = match self.plan.pop_front() {
                Some(step) => self.perform(step),
                None => Some(self.finish(Outcome::Failed(self.failures.clone()))),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    /// Takes what came of the last output; an answer to another question counts as a failure.
    pub fn handle_input(&mut self, clock: WallClock, input: Input) {
        let Some(awaiting) = self.awaiting.take() else {
            return;
        };
        match (awaiting, input) {
            (
                Awaiting::Data,
                Input::Response {
                    status,
                    content_type,
                    body,
                },
            ) => {
                if let Err(kind) = self.take_data(clock, status, content_type.as_deref(), &body) {
                    self.refuse(kind);
                }
            }
            (Awaiting::Data, Input::Failed { reason }) => {
                self.fail(FailureKind::Unreachable(reason));
            }
            // A report that does not arrive stops nothing: the device is what matters.
            (Awaiting::Report | Awaiting::Rollback, _) => {}
            (Awaiting::Reboot, Input::Rebooted { running }) => {
                self.config.running = running;
                self.start();
            }
            (awaiting, input) => self.take_result(awaiting, input),
        }
    }

    /// What went wrong so far, server by server.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    fn start(&mut self) {
        let servers = self.config.servers.iter().rev().cloned();
        self.candidates = servers
            .map(|endpoint| Candidate { endpoint, depth: 0 })
            .collect();
        self.visited.clear();
        self.plan.clear();
        self.plan.push_back(Step::NextServer);
    }

    /// Goes to the next server that was not tried yet.
    fn next_server(&mut self) -> Option<Output> {
        let candidate = self.candidates.pop()?;
        let endpoint = candidate.endpoint.clone();
        let authenticates = endpoint.trust.authenticates();
        self.current = Some(candidate);
        let key = (endpoint.address.clone(), endpoint.port, authenticates);
        let problem = if self.visited.contains(&key) {
            Some("this server was tried before")
        } else if self.contacts >= self.config.max_contacts {
            Some("too many servers were contacted")
        } else {
            None
        };
        if let Some(problem) = problem {
            self.fail(FailureKind::Redirect(problem));
            return None;
        }
        self.visited.push(key);
        self.contacts += 1;
        self.verbose = false;
        let running = &self.config.running;
        // An untrusted server is told as little as possible (RFC 8572 §9.6).
        let input = if authenticates {
            GetBootstrappingDataInput {
                hw_model: self.config.hw_model.clone(),
                os_name: running.os_name.clone(),
                os_version: running.os_version.clone(),
                nonce: self.config.nonce.clone(),
                ..GetBootstrappingDataInput::default()
            }
        } else {
            GetBootstrappingDataInput {
                signed_data_preferred: true,
                nonce: self.config.nonce.clone(),
                ..GetBootstrappingDataInput::default()
            }
        };
        self.awaiting = Some(Awaiting::Data);
        Some(Output::Post {
            server: endpoint,
            operation: GET_BOOTSTRAPPING_DATA,
            encoding: self.config.encoding,
            body: input.encode(self.config.encoding),
            progress: None,
        })
    }

    fn take_data(
        &mut self,
        clock: WallClock,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<(), FailureKind> {
        let encoding = content_type
            .and_then(encoding_of)
            .unwrap_or(self.config.encoding);
        if status != 200 {
            let errors = Errors::decode(body, encoding).ok();
            return Err(FailureKind::Refused { status, errors });
        }
        let output = GetBootstrappingDataOutput::decode(body, encoding)?;
        self.verbose = output.reporting_level == Some(ReportingLevel::Verbose);
        self.report(ProgressType::BootstrapInitiated, None);
        self.report(ProgressType::ParsingInitiated, None);
        let authenticated = self.server_is_authenticated();
        let source = if authenticated {
            SourceTrust::Authenticated
        } else {
            SourceTrust::Unauthenticated
        };
        let context = VoucherContext {
            serial_number: Some(&self.config.serial_number),
            idevid: self.config.idevid.as_ref(),
            nonce: match &self.config.nonce {
                Some(nonce) => NonceExpectation::ExactOrNone(nonce),
                None => NonceExpectation::None,
            },
            assertions: &self.config.assertions,
            leniency: self.config.leniency,
            ..VoucherContext::new(&self.config.voucher_anchors, clock)
        };
        match BootstrappingData::from(output).authenticate(source, &context, encoding)? {
            Authenticated::Trusted(trusted) => self.take_trusted(trusted)?,
            Authenticated::UntrustedRedirect { redirect, refused } => {
                if let Some(error) = refused {
                    self.report(ProgressType::ParsingWarning, Some(error.to_string()));
                }
                self.follow(&redirect, false)?;
            }
        }
        Ok(())
    }

    fn take_trusted(&mut self, trusted: TrustedConveyedInfo) -> Result<(), FailureKind> {
        self.signed = matches!(trusted.how(), Trust::Signed { .. });
        match trusted.into_info() {
            ConveyedInfo::Redirect(redirect) => {
                self.report(ProgressType::ParsingComplete, None);
                self.follow(&redirect, true)
            }
            ConveyedInfo::Onboarding(info) => {
                self.report(ProgressType::ParsingComplete, None);
                self.info = info;
                self.plan.extend(Step::ONBOARDING);
                Ok(())
            }
        }
    }

    /// Puts the servers of a redirect before all others (RFC 8572 §5.3: recursively).
    fn follow(&mut self, redirect: &RedirectInformation, trusted: bool) -> Result<(), FailureKind> {
        let depth = self.current.as_ref().map_or(0, |current| current.depth) + 1;
        if depth > self.config.max_redirect_depth {
            return Err(FailureKind::Redirect("redirected too often"));
        }
        for server in redirect.bootstrap_servers.iter().rev() {
            let trust = match &server.trust_anchor {
                Some(anchor) if trusted => EndpointTrust::Anchors(read_anchors(anchor)?),
                _ => EndpointTrust::Provisional,
            };
            self.candidates.push(Candidate {
                endpoint: Endpoint {
                    address: server.address.clone(),
                    port: server.port.unwrap_or(443),
                    trust,
                },
                depth,
            });
        }
        self.plan.push_back(Step::NextServer);
        Ok(())
    }

    /// The data of the current server is refused; it is told so if it was authenticated.
    fn refuse(&mut self, kind: FailureKind) {
        if !matches!(kind, FailureKind::Refused { .. }) {
            self.report(ProgressType::ParsingError, Some(kind.to_string()));
        }
        self.fail(kind);
    }

    /// Gives the current server up and goes on with the next one.
    fn fail(&mut self, kind: FailureKind) {
        let server = self
            .current
            .as_ref()
            .map_or_else(String::new, |current| current.endpoint.to_string());
        self.failures.push(Failure { server, kind });
        self.plan.push_back(Step::NextServer);
    }

    /// Plans a progress report, if the current server may have it and wants it.
    fn report(&mut self, progress_type: ProgressType, message: Option<String>) {
        if !self.server_is_authenticated() {
            return;
        }
        let wanted = self.verbose
            || progress_type.is_error()
            || progress_type.is_warning()
            || ALWAYS_REPORTED.contains(&progress_type);
        if wanted {
            self.plan
                .push_back(Step::Report(ProgressReport::new(progress_type, message)));
        }
    }

    fn post_report(&mut self, report: &ProgressReport) -> Option<Output> {
        let server = self.current.as_ref()?.endpoint.clone();
        self.awaiting = Some(Awaiting::Report);
        Some(Output::Post {
            server,
            operation: REPORT_PROGRESS,
            encoding: self.config.encoding,
            body: report.encode(self.config.encoding),
            progress: Some(report.progress_type),
        })
    }

    fn server_is_authenticated(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.endpoint.trust.authenticates())
    }

    fn finish(&mut self, outcome: Outcome) -> Output {
        self.done = true;
        Output::Done(outcome)
    }
}

/// The trust anchors of a redirect: a certs-only CMS (RFC 8572 §2.1).
fn read_anchors(anchor: &[u8]) -> Result<TrustAnchors, FailureKind> {
    let bag = parse_certs_only(anchor, &Limits::default())
        .map_err(|_| FailureKind::Redirect("its trust anchor is not a certs-only CMS"))?;
    let mut certificates: Vec<Certificate> = bag.certificates().to_vec();
    // The anchor is the certificate that no other of the bag issued; the rest leads to it.
    let roots: Vec<Certificate> = certificates
        .iter()
        .filter(|one| {
            one.is_self_issued()
                || !certificates
                    .iter()
                    .any(|other| other != *one && other.subject_der() == one.issuer_der())
        })
        .cloned()
        .collect();
    if !roots.is_empty() {
        certificates = roots;
    }
    Ok(TrustAnchors::new(certificates))
}

/// Sent at every reporting level, with all warnings and errors (RFC 8572 §5.6, §7.3).
const ALWAYS_REPORTED: [ProgressType; 4] = [
    ProgressType::BootstrapInitiated,
    ProgressType::BootImageMismatch,
    ProgressType::BootImageInstalledRebooting,
    ProgressType::BootstrapComplete,
];
