//! `sztp agent bootstrap`: fetches and validates, applies nothing and tells no server anything. Made
//! to be called by a program, which looks at the exit code, `result.json` and `onboarding.json`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use sztp_core::client::{Platform, Reboot};
use sztp_core::conveyed_info::{ConfigurationHandling, OnboardingInformation};
use sztp_core::device::{Device, DeviceConfig, Ended, Outcome, ScriptStage};

use super::hook_guard::OnlyAgent;
use super::options::{Options, Prepared};
use super::payload::{Payload, check_replaceable};
use super::verdict::Reason;
use super::{State, block_on, client, device_config, explained, told_to_end};
use crate::failure::{Exit, Failure};
use crate::files;
use crate::report::{Report, Text};

/// `sztp agent bootstrap`.
#[derive(Debug, Args)]
pub(crate) struct Bootstrap {
    #[command(flatten)]
    options: Box<Options>,
}

impl Bootstrap {
    pub(super) fn run(self) -> Result<Report, Failure> {
        // 2 would say that it is worth trying again.
        let misused = |failure: Failure| match failure.exit() {
            Exit::Usage => failure.exiting(Exit::Misused),
            _ => failure,
        };
        let options = self.options.with_file().map_err(misused)?;
        let out = options.out().map_err(misused)?;
        check_replaceable(&out)?;
        let refused = |failure| Verdict::Refused {
            reason: Reason::Setup,
            failures: vec![failure],
        };
        let prepared = match options.prepare().map_err(misused) {
            Err(failure) if failure.exit() == Exit::Misused => return Err(failure),
            Err(failure) => return refused(failure).deliver(None, &out),
            Ok(prepared) => prepared,
        };
        let serial_number = prepared.serial_number.clone();
        block_on(validate(prepared))
            .unwrap_or_else(refused)
            .deliver(Some(&serial_number), &out)
    }
}

/// What came of it.
enum Verdict {
    Validated {
        info: Box<OnboardingInformation>,
        source: String,
        signed: bool,
    },
    TryAgain {
        failures: Vec<Failure>,
    },
    Refused {
        reason: Reason,
        failures: Vec<Failure>,
    },
}

impl Verdict {
    /// Writes it down, and says it.
    fn deliver(self, serial_number: Option<&str>, out: &Path) -> Result<Report, Failure> {
        let mut text = Text::default();
        let name = serial_number.unwrap_or("device");
        let (mut payload, outcome, reason, failures) = match self {
            Self::Validated {
                info,
                source,
                signed,
            } => {
                text.verdict(name, true, "validated");
                text.row("source", &source);
                text.row("signed by the owner", if signed { "yes" } else { "no" });
                text.row("output directory", &out.display().to_string());
                let payload = Payload::of(&info, name, &source, signed)?;
                (payload, "validated", None, Vec::new())
            }
            Self::TryAgain { failures } => {
                text.verdict(name, false, "try again later");
                (Payload::default(), "try-again", None, failures)
            }
            Self::Refused { reason, failures } => {
                text.verdict(name, false, &format!("refused: {}", reason.as_str()));
                (Payload::default(), "refused", Some(reason), failures)
            }
        };
        let exit = match outcome {
            "try-again" => Exit::TryAgain,
            _ => Exit::Failed,
        };
        let errors: Vec<Value> = failures.iter().map(Failure::to_json).collect();
        let data = json!({
            "outcome": outcome,
            "reason": reason.map(Reason::as_str),
            "serial-number": serial_number,
            "errors": errors,
        });
        payload.add_result(&data)?;
        payload.place(out)?;
        let mut report = Report {
            failures: failures
                .into_iter()
                .map(|failure| failure.exiting(exit))
                .collect(),
            ..Report::new(text, data)
        };
        if let Some(reason) = reason {
            report = report.note(format!("reason: {}", reason.as_str()));
        }
        Ok(report)
    }
}

async fn validate(mut prepared: Prepared) -> Result<Verdict, Failure> {
    files::make_directory(&prepared.state_dir)?;
    let alone = OnlyAgent::in_directory(&prepared.state_dir, prepared.behaviour.timeout);
    let _alone = match alone {
        // Both pass by themselves.
        Err(busy) if matches!(busy.code(), "agent.already-running" | "agent.hook-running") => {
            return Ok(Verdict::TryAgain {
                failures: vec![busy],
            });
        }
        other => other?,
    };
    let mut state = State::load(&prepared.state_dir)?;
    // What `sztp agent run` came to know of the time.
    let config = device_config(&prepared, &state);
    let known = Device::restore(config.clone(), state.machine.clone());
    state.raise_clock_floor(known.clock_floor());
    let client = client(&prepared, &state);
    let mut device = Device::new(DeviceConfig {
        validate_only: true,
        clock_floor: state.clock_floor(),
        retry: None,
        ..config
    });
    let log = prepared.log;
    let mut bystander = Bystander;
    let outcome = tokio::select! {
        outcome = client.run_with(
            &mut device,
            &mut bystander,
            &mut prepared.sources,
            |event| log.tell(event),
        ) => outcome,
        () = told_to_end() => {
            return Ok(Verdict::TryAgain {
                failures: vec![Failure::new("agent.interrupted", "interrupted")],
            });
        }
    };
    let (info, origin, signed) = match outcome {
        Outcome::Validated {
            info,
            origin,
            signed,
        } => (info, origin, signed),
        Outcome::Failed(found) => {
            let reason = found.iter().find_map(Reason::of);
            let failures: Vec<Failure> = found
                .iter()
                .map(|one| explained(one, &prepared.key))
                .collect();
            return Ok(match reason {
                Some(reason) => Verdict::Refused { reason, failures },
                None if failures.is_empty() => Verdict::TryAgain {
                    failures: vec![Failure::new("agent.nothing", "no source had anything")],
                },
                None => Verdict::TryAgain { failures },
            });
        }
        _ => {
            return Err(Failure::new(
                "agent.outcome",
                "bootstrapping ended in an unknown way",
            ));
        }
    };
    let scripts =
        info.pre_configuration_script.is_some() || info.post_configuration_script.is_some();
    if scripts && !prepared.behaviour.allow_scripts {
        let failure = Failure::new(
            "agent.scripts-not-allowed",
            "there are scripts, and they are not allowed",
        )
        .within(origin.to_string())
        .hint("--allow-scripts");
        return Ok(Verdict::Refused {
            reason: Reason::Scripts,
            failures: vec![failure],
        });
    }
    // Never back: not even if what was validated is thrown away.
    state.raise_clock_floor(device.clock_floor());
    state.save()?;
    Ok(Verdict::Validated {
        info,
        source: origin.to_string(),
        signed,
    })
}

/// A device to which nothing happens: a machine that only validates asks for none of this.
struct Bystander;

impl Bystander {
    fn no() -> String {
        "nothing is applied here".to_owned()
    }
}

impl Platform for Bystander {
    async fn install_image(&mut self, _: &Path) -> Result<(), String> {
        Err(Self::no())
    }

    async fn reboot(&mut self, _: &Device) -> Result<Reboot, String> {
        Err(Self::no())
    }

    async fn run_script(&mut self, _: ScriptStage, _: &[u8]) -> Ended {
        Ended::Error(Self::no())
    }

    async fn commit_configuration(&mut self, _: ConfigurationHandling, _: &[u8]) -> Ended {
        Ended::Error(Self::no())
    }

    async fn roll_back(&mut self) -> Ended {
        Ended::Well
    }
}

pub(super) const HELP: &str = "\
Example:
  sztp agent bootstrap --servers-file servers --tls-min 1.3 --idevid-cert idevid.crt \\
    --idevid-key idevid.key --voucher-anchor /etc/sztp/anchors --state-dir state --out onboarding

Nothing is applied and no server is told of any progress. The options and the configuration file are
those of `sztp agent run`; hooks are not called. The output directory is replaced as a whole:
  result.json                 outcome (validated, try-again, refused), reason, errors
  onboarding.json             only if validated: what the device is to become, and the files
  configuration, pre-configuration-script, post-configuration-script
                              the files that it names
The image is named, with its URIs and hashes, but not downloaded.

Exit codes:
   0  validated
   2  try again later: no server reachable, or none has anything for this device yet
  64  the command line or the configuration file was not understood
   1  refused, for the reason in result.json and on stderr:
      MTLS      server and device did not authenticate each other
      VERSION   no common version of TLS
      VOUCHER   the ownership voucher
      CMS       the signature of conveyed information, or what leads to the owner
      PAYLOAD   what was signed, or came from a trusted server, cannot be understood
      REDIRECT  redirected too often or in a circle
      SCRIPTS   there are scripts, and --allow-scripts is not given
      SETUP     the agent's own files and state";
