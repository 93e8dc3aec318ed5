//! Onboarding information put to work in its order (RFC 8572 §5.6): boot image, pre-script,
//! configuration, post-script.

use super::{Awaiting, Device, Ended, FailureKind, Input, Outcome, ScriptStage, Stage, Step};
use crate::conveyed_info::{ConfigurationHandling, OnboardingInformation};
use crate::rpc::ProgressType;

impl Device {
    pub(super) fn onboard(&mut self, info: OnboardingInformation, notes: &[String]) {
        if self.config.validate_only
            && let Some(contact) = &self.contact
        {
            let outcome = Outcome::Validated {
                origin: contact.origin.clone(),
                signed: contact.signed,
                info: Box::new(info),
            };
            self.plan.clear();
            return self.plan_first([Some(Step::End(outcome))]);
        }
        self.info = info;
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        let steps = [
            self.needed_report(ProgressType::BootstrapInitiated),
            self.report(ProgressType::ParsingInitiated, None),
            note.and_then(|note| self.report(ProgressType::Informational, Some(note))),
            self.report(ProgressType::ParsingComplete, None),
            Some(Step::BootImage),
            Some(Step::Script(ScriptStage::Pre)),
            Some(Step::Configuration),
            Some(Step::Script(ScriptStage::Post)),
            Some(Step::CheckReady),
            Some(Step::Complete),
        ];
        self.plan_first(steps);
    }

    /// Takes the result of an image, script or configuration step.
    pub(super) fn take_result(&mut self, awaiting: Awaiting, input: Input) {
        match (awaiting, input) {
            (Awaiting::Image { uri }, Input::Fetched { sha256 }) => self.take_image(uri, sha256),
            (Awaiting::Image { uri }, Input::Failed { reason }) => self.try_next_uri(uri, &reason),
            (Awaiting::Install, Input::Installed) => self.take_installed(),
            (Awaiting::Reboot, Input::Rebooting) => self.take_rebooting(),
            (Awaiting::Image { .. } | Awaiting::Install | Awaiting::Reboot, other) => {
                self.fail_stage(ProgressType::BootImageError, reason_of(other));
            }
            (Awaiting::Rollback, input) => self.take_rollback(input),
            (Awaiting::Ready, Input::Ended(Ended::Well)) => {}
            (Awaiting::Ready, Input::Ended(Ended::Warning(reason))) => {
                let warning = self.report(ProgressType::BootstrapWarning, Some(reason));
                self.plan_first([warning]);
            }
            (Awaiting::Script(stage), input) => self.take_ended(&Types::of_script(stage), input),
            (Awaiting::Configuration, input) => self.take_ended(&Types::CONFIGURATION, input),
            (_, other) => {
                self.fail_stage(ProgressType::BootstrapError, reason_of(other));
            }
        }
    }

    pub(super) fn plan_script(&mut self, stage: ScriptStage) {
        let script = match stage {
            ScriptStage::Pre => self.info.pre_configuration_script.take(),
            ScriptStage::Post => self.info.post_configuration_script.take(),
        };
        if let Some(script) = script {
            let initiated = self.report(Types::of_script(stage).initiated, None);
            self.plan_first([initiated, Some(Step::RunScript { stage, script })]);
        }
    }

    pub(super) fn plan_configuration(&mut self) {
        if let Some(configuration) = self.info.configuration.take() {
            let handling = self
                .info
                .configuration_handling
                .unwrap_or(ConfigurationHandling::Merge);
            let initiated = self.report(Types::CONFIGURATION.initiated, None);
            let commit = Step::Commit {
                handling,
                configuration,
            };
            self.plan_first([initiated, Some(commit)]);
        }
    }

    pub(super) fn plan_completion(&mut self) {
        let Some(contact) = &self.contact else {
            return;
        };
        let outcome = Outcome::Bootstrapped {
            origin: contact.origin.clone(),
            signed: contact.signed,
        };
        self.stage = Stage::Completing;
        let report = self.needed_report(ProgressType::BootstrapComplete);
        self.plan_first([report, Some(Step::End(outcome))]);
    }

    pub(super) fn fail_stage(&mut self, stage: ProgressType, reason: String) {
        self.give_up(stage, FailureKind::Onboarding { stage, reason });
    }

    /// The attempt failed: nothing of it stays active (RFC 8572 §5.6), the server is told, and the
    /// next one is tried.
    pub(super) fn give_up(&mut self, stage: ProgressType, kind: FailureKind) {
        let message = match &kind {
            FailureKind::Onboarding { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        let report = self.report(stage, Some(message));
        self.note_failure(kind);
        self.stage = Stage::Searching;
        // The next server gets a key of its own (RFC 9646 §2.3).
        self.key_kept = false;
        self.plan.clear();
        self.plan_first([self.changed.then_some(Step::Rollback), report]);
    }

    fn take_ended(&mut self, types: &Types, input: Input) {
        match input {
            Input::Ended(Ended::Well) => {
                let complete = self.report(types.complete, None);
                self.plan_first([complete]);
            }
            Input::Ended(Ended::Warning(reason)) => {
                let warning = self.report(types.warning, Some(reason));
                let complete = self.report(types.complete, None);
                self.plan_first([warning, complete]);
            }
            other => self.fail_stage(types.error, reason_of(other)),
        }
    }

    /// What could not be undone is still active, and nothing may be built on it.
    fn take_rollback(&mut self, input: Input) {
        self.changed = !matches!(input, Input::Ended(Ended::Well | Ended::Warning(_)));
        if self.changed {
            self.note_failure(FailureKind::NotRolledBack(reason_of(input)));
            self.candidates.clear();
            self.plan.retain(|step| matches!(step, Step::Report { .. }));
        }
    }
}

/// Why something did not work; an answer to another question is a reason, too.
pub(super) fn reason_of(input: Input) -> String {
    match input {
        Input::Failed { reason } | Input::Ended(Ended::Error(reason)) => reason,
        Input::Unreachable(why) => why.reason,
        _ => "the device answered another question".to_owned(),
    }
}

/// What a stage reports about itself.
struct Types {
    initiated: ProgressType,
    warning: ProgressType,
    error: ProgressType,
    complete: ProgressType,
}

impl Types {
    const PRE_SCRIPT: Self = Self {
        initiated: ProgressType::PreScriptInitiated,
        warning: ProgressType::PreScriptWarning,
        error: ProgressType::PreScriptError,
        complete: ProgressType::PreScriptComplete,
    };
    const CONFIGURATION: Self = Self {
        initiated: ProgressType::ConfigInitiated,
        warning: ProgressType::ConfigWarning,
        error: ProgressType::ConfigError,
        complete: ProgressType::ConfigComplete,
    };
    const POST_SCRIPT: Self = Self {
        initiated: ProgressType::PostScriptInitiated,
        warning: ProgressType::PostScriptWarning,
        error: ProgressType::PostScriptError,
        complete: ProgressType::PostScriptComplete,
    };

    const fn of_script(stage: ScriptStage) -> Self {
        match stage {
            ScriptStage::Pre => Self::PRE_SCRIPT,
            ScriptStage::Post => Self::POST_SCRIPT,
        }
    }
}
