//! Onboarding information put to work in its order (RFC 8572 §5.6): boot image, pre-script,
//! configuration, post-script.

use super::{Awaiting, Device, Ended, FailureKind, Input, Outcome, Output, ScriptStage};
use crate::conveyed_info::ConfigurationHandling;
use crate::rpc::{ProgressReport, ProgressType};

/// One thing to do. Steps may plan more steps.
#[derive(Debug, Clone)]
pub(super) enum Step {
    NextServer,
    Report(ProgressReport),
    BootImage,
    Fetch { uri: usize },
    Install,
    Reboot,
    PreScript,
    Configuration,
    PostScript,
    Complete,
    Rollback,
}

impl Step {
    pub(super) const ONBOARDING: [Self; 5] = [
        Self::BootImage,
        Self::PreScript,
        Self::Configuration,
        Self::PostScript,
        Self::Complete,
    ];
}

impl Device {
    /// Does a step; `None` if there is nothing to do outside the machine.
    pub(super) fn perform(&mut self, step: Step) -> Option<Output> {
        match step {
            Step::NextServer => self.next_server(),
            Step::Report(report) => self.post_report(&report),
            Step::BootImage => {
                self.plan_image();
                None
            }
            Step::Fetch { uri } => self.fetch(uri),
            Step::Install => {
                self.awaiting = Some(Awaiting::Install);
                Some(Output::InstallImage)
            }
            Step::Reboot => {
                self.awaiting = Some(Awaiting::Reboot);
                Some(Output::Reboot)
            }
            Step::PreScript => self.run_script(ScriptStage::Pre),
            Step::Configuration => self.commit(),
            Step::PostScript => self.run_script(ScriptStage::Post),
            Step::Complete => self.complete(),
            Step::Rollback => {
                self.awaiting = Some(Awaiting::Rollback);
                Some(Output::Rollback)
            }
        }
    }

    /// Takes the result of an image, script or configuration step.
    pub(super) fn take_result(&mut self, awaiting: Awaiting, input: Input) {
        match (awaiting, input) {
            (Awaiting::Image { uri }, Input::Fetched { sha256 }) => {
                if self
                    .expected_hash()
                    .is_some_and(|expected| expected == sha256)
                {
                    self.plan.push_front(Step::Install);
                } else {
                    self.next_uri(uri, "its SHA-256 is not the one that was announced");
                }
            }
            (Awaiting::Image { uri }, Input::Failed { reason }) => self.next_uri(uri, &reason),
            (Awaiting::Install, Input::Installed) => {
                self.plan.clear();
                self.report(ProgressType::BootImageInstalledRebooting, None);
                self.plan.push_back(Step::Reboot);
            }
            (Awaiting::Install, Input::Failed { reason }) => {
                self.give_up(ProgressType::BootImageError, reason);
            }
            (Awaiting::Script(stage), Input::Ended(ended)) => {
                let types = match stage {
                    ScriptStage::Pre => Types {
                        warning: ProgressType::PreScriptWarning,
                        error: ProgressType::PreScriptError,
                        complete: ProgressType::PreScriptComplete,
                    },
                    ScriptStage::Post => Types {
                        warning: ProgressType::PostScriptWarning,
                        error: ProgressType::PostScriptError,
                        complete: ProgressType::PostScriptComplete,
                    },
                };
                self.take_ended(&types, ended);
            }
            (Awaiting::Configuration, Input::Ended(ended)) => {
                let types = Types {
                    warning: ProgressType::ConfigWarning,
                    error: ProgressType::ConfigError,
                    complete: ProgressType::ConfigComplete,
                };
                self.take_ended(&types, ended);
            }
            (_, Input::Failed { reason }) => self.give_up(ProgressType::BootstrapError, reason),
            _ => {
                let reason = "the device answered another question".to_owned();
                self.give_up(ProgressType::BootstrapError, reason);
            }
        }
    }

    fn plan_image(&mut self) {
        let Some(image) = &self.info.boot_image else {
            return;
        };
        let running = &self.config.running;
        let fits =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let named = image.os_name.is_some() || image.os_version.is_some();
        let hash = self.expected_hash();
        let runs = (hash.is_some() && hash == running.sha256)
            || (named
                && fits(&image.os_name, &running.os_name)
                && fits(&image.os_version, &running.os_version));
        let downloadable = !image.download_uris.is_empty();
        let rest = std::mem::take(&mut self.plan);
        self.report(ProgressType::BootImageInitiated, None);
        if runs {
            self.report(ProgressType::BootImageComplete, None);
            self.plan.extend(rest);
        } else if !downloadable {
            // Only the name was given: the device cannot get the image itself.
            let reason = "another image is required and none can be downloaded".to_owned();
            self.give_up(ProgressType::BootImageError, reason);
        } else if hash.is_none() {
            let reason = "the image has no SHA-256 to verify it by".to_owned();
            self.give_up(ProgressType::BootImageError, reason);
        } else {
            self.report(ProgressType::BootImageMismatch, None);
            self.plan.push_back(Step::Fetch { uri: 0 });
            self.plan.extend(rest);
        }
    }

    fn expected_hash(&self) -> Option<[u8; 32]> {
        let image = self.info.boot_image.as_ref()?;
        let verification = image
            .image_verification
            .iter()
            .find(|one| one.is_sha256())?;
        verification.hash_value.as_slice().try_into().ok()
    }

    fn fetch(&mut self, index: usize) -> Option<Output> {
        let image = self.info.boot_image.as_ref()?;
        let uri = image.download_uris.get(index)?.clone();
        self.awaiting = Some(Awaiting::Image { uri: index });
        Some(Output::Fetch { uri })
    }

    fn next_uri(&mut self, index: usize, reason: &str) {
        let uris = self
            .info
            .boot_image
            .as_ref()
            .map_or(&[][..], |image| image.download_uris.as_slice());
        let reason = format!("{}: {reason}", uris.get(index).map_or("", String::as_str));
        if index + 1 < uris.len() {
            let rest = std::mem::take(&mut self.plan);
            self.report(ProgressType::BootImageWarning, Some(reason));
            self.plan.push_back(Step::Fetch { uri: index + 1 });
            self.plan.extend(rest);
        } else {
            self.give_up(ProgressType::BootImageError, reason);
        }
    }

    fn run_script(&mut self, stage: ScriptStage) -> Option<Output> {
        let (script, initiated) = match stage {
            ScriptStage::Pre => (
                self.info.pre_configuration_script.take(),
                ProgressType::PreScriptInitiated,
            ),
            ScriptStage::Post => (
                self.info.post_configuration_script.take(),
                ProgressType::PostScriptInitiated,
            ),
        };
        let script = script?;
        self.awaiting = Some(Awaiting::Script(stage));
        self.before(initiated, Output::RunScript { stage, script })
    }

    fn commit(&mut self) -> Option<Output> {
        let configuration = self.info.configuration.take()?;
        let handling = self
            .info
            .configuration_handling
            .unwrap_or(ConfigurationHandling::Merge);
        self.awaiting = Some(Awaiting::Configuration);
        self.before(
            ProgressType::ConfigInitiated,
            Output::CommitConfiguration {
                handling,
                configuration,
            },
        )
    }

    /// Reports that a stage begins, before it does.
    fn before(&mut self, initiated: ProgressType, output: Output) -> Option<Output> {
        let rest = std::mem::take(&mut self.plan);
        self.report(initiated, None);
        let Some(Step::Report(report)) = self.plan.pop_front() else {
            self.plan = rest;
            return Some(output);
        };
        self.plan = rest;
        let awaiting = self.awaiting.take();
        self.held = awaiting.map(|awaiting| (awaiting, output));
        self.post_report(&report)
    }

    fn take_ended(&mut self, types: &Types, ended: Ended) {
        let rest = std::mem::take(&mut self.plan);
        match ended {
            Ended::Error(reason) => self.give_up(types.error, reason),
            Ended::Warning(reason) => {
                self.report(types.warning, Some(reason));
                self.plan.extend(rest);
            }
            Ended::Well => {
                self.report(types.complete, None);
                self.plan.extend(rest);
            }
        }
    }

    fn complete(&mut self) -> Option<Output> {
        let mut report = ProgressReport::new(ProgressType::BootstrapComplete, None);
        report.ssh_host_keys.clone_from(&self.config.ssh_host_keys);
        let server = self.current.as_ref()?.endpoint.clone();
        self.bootstrapped = Some(Outcome::Bootstrapped {
            server,
            signed: self.signed,
        });
        if self.server_is_authenticated() {
            self.post_report(&report)
        } else {
            None
        }
    }

    /// A stage failed: nothing of this attempt stays active, and the next server is tried.
    fn give_up(&mut self, stage: ProgressType, reason: String) {
        self.plan.clear();
        if stage != ProgressType::BootImageError {
            self.plan.push_back(Step::Rollback);
        }
        self.report(stage, Some(reason.clone()));
        self.fail(FailureKind::Onboarding { stage, reason });
    }
}

/// What a stage reports about its end.
struct Types {
    warning: ProgressType,
    error: ProgressType,
    complete: ProgressType,
}
