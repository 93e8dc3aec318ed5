//! The server's view of a device's way from its box to its work: a pure function from state and
//! event to state, or a refusal.
//!
//! Nothing is stored or sent here; the server writes every event to the device's history, those
//! that change nothing and those that are refused included.

use std::fmt;
use std::str::FromStr;

use sztp_cms::Rule;

use crate::rpc::ProgressType;

/// How far a device has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Known, and has not asked yet.
    #[default]
    Unprovisioned,
    /// Has been given bootstrapping data.
    InProgress,
    /// Has reported bootstrap-complete.
    Provisioned,
    /// Was accepted by the systems that manage it from now on.
    Onboarded,
    /// Authentication or validation of the bootstrapping data failed.
    ProvisioningError,
    /// Image, script or configuration failed.
    ZtpError,
    /// Was refused by the systems that should manage it.
    OnboardingError,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Unprovisioned,
        Self::InProgress,
        Self::Provisioned,
        Self::Onboarded,
        Self::ProvisioningError,
        Self::ZtpError,
        Self::OnboardingError,
    ];

    /// The name, as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unprovisioned => "Unprovisioned",
            Self::InProgress => "InProgress",
            Self::Provisioned => "Provisioned",
            Self::Onboarded => "Onboarded",
            Self::ProvisioningError => "ProvisioningError",
            Self::ZtpError => "ZtpError",
            Self::OnboardingError => "OnboardingError",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no state's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a lifecycle state")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or(UnknownState)
    }
}

/// A device's state and what is needed to go on from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// The progress type last reported (RFC 8572 §7.3), since data was last served.
    pub stage: Option<String>,
    /// Whether the device got past parsing since data was last served.
    pub parsed: bool,
    /// Why it is in an error state.
    pub reason: Option<String>,
}

/// Something that happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It authenticated and was given bootstrapping data.
    Served,
    /// It could not be authenticated, or its data was found bad before it was served.
    ValidationFailed {
        /// What failed.
        reason: String,
    },
    /// It reported progress (RFC 8572 §7.3).
    Progress {
        /// What it reported.
        progress_type: ProgressType,
        /// What it said about it.
        message: Option<String>,
    },
    /// The systems that manage it accepted it.
    OnboardingSucceeded,
    /// The systems that manage it refused it for good.
    OnboardingFailed {
        /// What they said.
        reason: String,
    },
    /// Nothing was heard from it for too long.
    TimedOut,
    /// The operator starts over.
    Reset,
}

impl Event {
    /// A word for logs and refusals.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::ValidationFailed { .. } => "validation-failed",
            Self::Progress { progress_type, .. } => progress_type.as_str(),
            Self::OnboardingSucceeded => "onboarding-succeeded",
            Self::OnboardingFailed { .. } => "onboarding-failed",
            Self::TimedOut => "timed-out",
            Self::Reset => "reset",
        }
    }
}

/// What the operator allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// A device that is done may be served again without a reset.
    pub reprovision: bool,
}

/// An event that a state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible in state {state}")]
pub struct Refusal {
    /// The state that the device stays in.
    pub state: State,
    /// The event's name.
    pub event: &'static str,
}

impl Refusal {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        "lifecycle.refused"
    }

    /// The clause that the order of events follows from.
    pub fn rule(&self) -> Rule {
        Rule::new(8572, "5.6", "order of bootstrapping")
    }
}

/// What becomes of a device when something happens.
pub fn apply(status: &Status, event: &Event, policy: Policy) -> Result<Status, Refusal> {
    use State::{
        InProgress, Onboarded, OnboardingError, Provisioned, ProvisioningError, Unprovisioned,
        ZtpError,
    };
    let refused = Err(Refusal {
        state: status.state,
        event: event.name(),
    });
    match event {
        Event::Reset => Ok(Status::default()),
        Event::Served => match status.state {
            Provisioned | Onboarded | OnboardingError if !policy.reprovision => refused,
            _ => Ok(Status {
                state: InProgress,
                ..Status::default()
            }),
        },
        Event::ValidationFailed { reason } => match status.state {
            Unprovisioned | InProgress | ProvisioningError | ZtpError => {
                Ok(failed(status, ProvisioningError, reason.clone()))
            }
            Provisioned | Onboarded | OnboardingError => refused,
        },
        Event::Progress {
            progress_type,
            message,
        } => progress(status, *progress_type, message.as_deref()).ok_or(Refusal {
            state: status.state,
            event: event.name(),
        }),
        Event::OnboardingSucceeded => match status.state {
            Provisioned | OnboardingError | Onboarded => Ok(Status {
                state: Onboarded,
                reason: None,
                ..status.clone()
            }),
            _ => refused,
        },
        Event::OnboardingFailed { reason } => match status.state {
            Provisioned | OnboardingError => Ok(failed(status, OnboardingError, reason.clone())),
            _ => refused,
        },
        Event::TimedOut => match status.state {
            InProgress => {
                let stage = status
                    .stage
                    .as_deref()
                    .unwrap_or("waiting for its first report");
                Ok(failed(status, ZtpError, format!("timed out in {stage}")))
            }
            _ => refused,
        },
    }
}

/// `None`: the state does not allow this report.
fn progress(status: &Status, reported: ProgressType, message: Option<&str>) -> Option<Status> {
    let name = reported.as_str();
    if reported == ProgressType::Informational {
        return Some(status.clone());
    }
    match status.state {
        State::InProgress => {}
        // The same thing said twice changes nothing.
        State::Provisioned | State::Onboarded | State::OnboardingError
            if reported == ProgressType::BootstrapComplete =>
        {
            return Some(status.clone());
        }
        // A failure is often followed by bootstrap-error; the first reason says most.
        State::ProvisioningError | State::ZtpError
            if reported.is_error() || reported.is_warning() =>
        {
            return Some(status.clone());
        }
        _ => return None,
    }
    let stage = Stage::of(name);
    let mut next = Status {
        stage: Some(name.to_owned()),
        parsed: status.parsed || name == "parsing-complete" || stage > Stage::Parsing,
        ..status.clone()
    };
    if reported == ProgressType::BootstrapComplete {
        next.parsed = true;
    }
    let with = |text: &str| match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{text}: {message}"),
        None => text.to_owned(),
    };
    if reported.is_error() {
        let state = if next.parsed {
            State::ZtpError
        } else {
            State::ProvisioningError
        };
        return Some(failed(&next, state, with(name)));
    }
    let skipped_install = status.stage.as_deref() == Some("boot-image-mismatch")
        && (stage > Stage::BootImage || reported == ProgressType::BootstrapComplete);
    if skipped_install {
        let reason = "boot-image-mismatch was not followed by an installation".to_owned();
        return Some(failed(&next, State::ZtpError, reason));
    }
    if reported == ProgressType::BootstrapComplete {
        next.state = State::Provisioned;
        next.reason = None;
    }
    Some(next)
}

fn failed(status: &Status, state: State, reason: String) -> Status {
    Status {
        state,
        reason: Some(reason),
        ..status.clone()
    }
}

/// The stages of RFC 8572 §5.6 in their order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Bootstrap,
    Parsing,
    BootImage,
    Later,
}

impl Stage {
    fn of(progress_type: &str) -> Self {
        if progress_type.starts_with("bootstrap-") {
            Self::Bootstrap
        } else if progress_type.starts_with("parsing-") {
            Self::Parsing
        } else if progress_type.starts_with("boot-image-") {
            Self::BootImage
        } else {
            Self::Later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_state(state: State) -> Status {
        Status {
            state,
            ..Status::default()
        }
    }

    fn report(status: &Status, name: &str) -> Result<Status, Refusal> {
        let progress_type = name.parse().expect("a progress type");
        let message = None;
        let event = Event::Progress {
            progress_type,
            message,
        };
        apply(status, &event, Policy::default())
    }

    fn after(reports: &[&str]) -> State {
        let mut status = in_state(State::InProgress);
        for name in reports {
            status = report(&status, name).unwrap_or_else(|refusal| panic!("{refusal}"));
        }
        status.state
    }

    #[test]
    fn names_are_exact_both_ways() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        assert_eq!("inprogress".parse::<State>(), Err(UnknownState));
    }

    /// One row for each event, one letter for each state in the order of `State::ALL`: the state
    /// afterwards, or `-` for a refusal.
    #[test]
    fn each_event_in_each_state() {
        let reason = || "why".to_owned();
        let progress = |name: &str| Event::Progress {
            progress_type: name.parse().expect("a progress type"),
            message: None,
        };
        let table = [
            (Event::Served, "II--II-"),
            (Event::ValidationFailed { reason: reason() }, "EE--EE-"),
            (progress("bootstrap-initiated"), "-I-----"),
            (progress("parsing-warning"), "-I--EZ-"),
            (progress("parsing-error"), "-E--EZ-"),
            (progress("bootstrap-error"), "-E--EZ-"),
            (progress("boot-image-mismatch"), "-I-----"),
            (progress("boot-image-error"), "-Z--EZ-"),
            (progress("pre-script-error"), "-Z--EZ-"),
            (progress("config-error"), "-Z--EZ-"),
            (progress("post-script-error"), "-Z--EZ-"),
            (progress("bootstrap-complete"), "-PPO--F"),
            (progress("informational"), "UIPOEZF"),
            (Event::OnboardingSucceeded, "--OO--O"),
            (Event::OnboardingFailed { reason: reason() }, "--F---F"),
            (Event::TimedOut, "-Z-----"),
            (Event::Reset, "UUUUUUU"),
        ];
        let letter = |state: State| match state {
            State::Unprovisioned => 'U',
            State::InProgress => 'I',
            State::Provisioned => 'P',
            State::Onboarded => 'O',
            State::ProvisioningError => 'E',
            State::ZtpError => 'Z',
            State::OnboardingError => 'F',
        };
        for (event, expected) in table {
            let found: String = State::ALL
                .iter()
                .map(|state| {
                    apply(&in_state(*state), &event, Policy::default())
                        .map_or('-', |status| letter(status.state))
                })
                .collect();
            assert_eq!(found, expected, "{}", event.name());
        }
    }

    #[test]
    fn done_devices_are_served_again_only_by_policy() {
        let policy = Policy { reprovision: true };
        for state in State::ALL {
            let status = apply(&in_state(state), &Event::Served, policy).expect("allowed");
            assert_eq!(status.state, State::InProgress);
        }
    }

    #[test]
    fn an_error_counts_by_whether_parsing_was_done() {
        assert_eq!(
            after(&["parsing-initiated", "bootstrap-error"]),
            State::ProvisioningError
        );
        assert_eq!(
            after(&["parsing-complete", "bootstrap-error"]),
            State::ZtpError
        );
        assert_eq!(
            after(&["config-initiated", "bootstrap-error"]),
            State::ZtpError
        );
    }

    #[test]
    fn a_mismatch_is_an_error_only_without_installation() {
        let installed = [
            "boot-image-mismatch",
            "boot-image-installed-rebooting",
            "config-initiated",
        ];
        assert_eq!(after(&installed), State::InProgress);
        assert_eq!(
            after(&["boot-image-mismatch", "config-initiated"]),
            State::ZtpError
        );
        assert_eq!(
            after(&["boot-image-mismatch", "bootstrap-complete"]),
            State::ZtpError
        );
    }

    #[test]
    fn the_reason_says_what_and_where() {
        let status = in_state(State::InProgress);
        let event = Event::Progress {
            progress_type: ProgressType::ConfigError,
            message: Some("line 3".to_owned()),
        };
        let next = apply(&status, &event, Policy::default()).expect("allowed");
        assert_eq!(next.reason.as_deref(), Some("config-error: line 3"));
        let waiting = report(&status, "config-initiated").expect("allowed");
        let next = apply(&waiting, &Event::TimedOut, Policy::default()).expect("allowed");
        assert_eq!(
            next.reason.as_deref(),
            Some("timed out in config-initiated")
        );
        assert_eq!(next.state, State::ZtpError);
    }
}
