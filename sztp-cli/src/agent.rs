//! `sztp agent`: the device's side of bootstrapping (RFC 8572 §5), as a process.
//!
//! What is believed is decided by the machine in `sztp_core::device`; here it gets an identity, a
//! clock, a place for what it was given and a voice.

mod hook;
mod options;
mod platform;
mod state;
mod story;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sztp_cms::WallClock;
use sztp_core::client::{Client, Identity, Settings};
use sztp_core::device::{Device, DeviceConfig, Outcome, RunningImage};

use self::options::{Options, Prepared};
pub(crate) use self::platform::{Agent, Behaviour};
pub(crate) use self::state::State;
use crate::arguments::now;
use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// The device's side of bootstrapping (RFC 8572 section 5)
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Bootstrap this device once: ask the servers, verify, and apply what they say
    #[command(after_help = HELP)]
    Run(Run),
}

impl AgentCommand {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Run(command) => command.run(),
        }
    }
}

/// `sztp agent run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    options: Options,
}

impl Run {
    fn run(self) -> Result<Report, Failure> {
        let prepared = self.options.prepare()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new("agent.runtime", error))?;
        runtime.block_on(bootstrap(prepared))
    }
}

async fn bootstrap(prepared: Prepared) -> Result<Report, Failure> {
    files::make_directory(&prepared.state_dir)?;
    let mut state = State::load(&prepared.state_dir)?;
    if prepared.running_image_sha256.is_some() {
        state.running = prepared.running_image_sha256;
    }
    let config = DeviceConfig {
        idevid: prepared.chain.first().cloned(),
        servers: prepared.servers,
        hw_model: prepared.hw_model,
        running: RunningImage {
            os_name: prepared.os_name,
            os_version: prepared.os_version,
            sha256: state.running,
        },
        nonce: prepared.nonce,
        encoding: prepared.encoding,
        leniency: prepared.leniency,
        installed_images: state.installed.clone(),
        clock_floor: state.clock_floor,
        ..DeviceConfig::new(prepared.serial_number.clone(), prepared.voucher_anchors)
    };
    let identity = Identity {
        chain: prepared.chain,
        key: prepared.key,
    };
    let settings = Settings {
        download_directory: prepared.state_dir.clone(),
        ..Settings::default()
    };
    let clock_is_right = !prepared.no_clock;
    let client = Client::new(Some(identity), settings, move || {
        if clock_is_right {
            WallClock::Trusted(now())
        } else {
            WallClock::Unknown
        }
    });

    let running = config.running.clone();
    let mut device = Device::new(config);
    let mut agent = Agent::new(prepared.behaviour, running, state)?;
    let outcome = tokio::select! {
        outcome = client.run(&mut device, &mut agent, story::tell) => Some(outcome),
        _ = tokio::signal::ctrl_c() => None,
    };
    let Some(outcome) = outcome else {
        agent.abandon().await;
        return Err(Failure::new(
            "agent.interrupted",
            "interrupted; nothing is left active",
        ));
    };
    match outcome {
        Outcome::Bootstrapped { origin, signed } => {
            agent.keep(device.clock_floor())?;
            let server = origin.to_string();
            let mut text = Text::default();
            text.verdict(&prepared.serial_number, true, "bootstrapped");
            text.row("server", &server);
            text.row("signed by the owner", if signed { "yes" } else { "no" });
            text.row("state directory", &prepared.state_dir.display().to_string());
            let data = json!({
                "outcome": "bootstrapped",
                "serial-number": prepared.serial_number,
                "server": server,
                "signed": signed,
                "state-dir": prepared.state_dir,
            });
            Ok(Report::new(text, data))
        }
        Outcome::Rebooting { origin } => Err(Failure::new(
            "agent.rebooting",
            "the boot image is installed and the device reboots; it is not bootstrapped yet",
        )
        .within(origin.to_string())
        .hint("run the agent again after the reboot")),
        Outcome::Failed(failures) => {
            let mut text = Text::default();
            text.verdict(&prepared.serial_number, false, "not bootstrapped");
            let failures: Vec<Failure> = failures
                .iter()
                .map(|failure| {
                    Failure::new(failure.kind.code(), &failure.kind).within(failure.origin.clone())
                })
                .collect();
            let list: Vec<Value> = failures.iter().map(Failure::to_json).collect();
            let data = json!({
                "outcome": "failed",
                "serial-number": prepared.serial_number,
                "errors": list,
            });
            Ok(Report {
                failures,
                ..Report::new(text, data)
            })
        }
        _ => Err(Failure::new(
            "agent.outcome",
            "bootstrapping ended in an unknown way",
        )),
    }
}

const HELP: &str = "\
Example:
  sztp agent run --server https://localhost:8443 --server-ca lab/server/tls-ca.crt \\
    --idevid-cert lab/devices/AX7-00042/idevid.crt --idevid-key lab/devices/AX7-00042/idevid.key \\
    --voucher-anchor lab/vendor/root.crt --state-dir state

Configuration file (--config): TOML with the same keys, for instance
  server = [\"https://boot.example.net\"]
  idevid-cert = \"/etc/sztp/idevid.crt\"
  allow-scripts = true
What is given on the command line comes before it; relative paths are relative to the working
directory.

Without hooks, the image, the scripts and the configuration are put into the state directory:
image, applied/pre-configuration-script, applied/configuration, applied/configuration-handling,
applied/post-configuration-script. They get their places only when bootstrapping has succeeded,
the image when it is installed. Scripts are run only with --allow-scripts.

A hook is a program. It gets these environment variables, and the same as a JSON object on stdin:
  SZTP_EVENT          install-image, reboot, run-script, commit-configuration or roll-back
  SZTP_SERIAL_NUMBER  the device's serial number
  SZTP_STATE_DIR      the state directory
  SZTP_FILE           the image, script or configuration
  SZTP_STAGE          pre or post (run-script)
  SZTP_HANDLING       merge or replace (commit-configuration)
After a failure the script and configuration hooks that were called are called again with roll-back.

Exit status of scripts, and of hooks for scripts and configurations, as RFC 8572 section 6.3 has
it with the eight bits there are: 0 is success, 1 to 127 a warning (greater than zero), 128 to 255
or a signal an error (less than zero). For image and reboot hooks all but 0 is an error.

Exit codes: 0 bootstrapped; 1 not bootstrapped; 2 usage.";
