//! `sztp agent run`: bootstraps the device, once or for as long as it takes.

use clap::Args;
use serde_json::{Value, json};
use sztp_core::device::{Device, DeviceConfig, Outcome};

use super::hook_guard::OnlyAgent;
use super::options::{Options, Prepared};
use super::{Agent, State, block_on, client, device_config, explained, told_to_end};
use crate::failure::Failure;
use crate::files;
use crate::report::{Report, Text};

/// `sztp agent run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    options: Box<Options>,
}

impl Run {
    pub(super) fn run(self) -> Result<Report, Failure> {
        let prepared = self.options.with_file()?.prepare()?;
        block_on(bootstrap(prepared))
    }
}

async fn bootstrap(mut prepared: Prepared) -> Result<Report, Failure> {
    files::make_directory(&prepared.state_dir)?;
    let _alone = OnlyAgent::in_directory(&prepared.state_dir, prepared.behaviour.timeout)?;
    let mut state = State::load(&prepared.state_dir)?;
    if prepared.running_image_sha256.is_some() {
        state.running = prepared.running_image_sha256;
    }
    let client = client(&prepared, &state);
    let config = DeviceConfig {
        csr_support: prepared.csr_support.take(),
        ..device_config(&prepared, &state)
    };
    let running = config.running.clone();
    let mut device = Device::restore(config, state.machine.clone());
    let mut agent = Agent::new(prepared.behaviour, running, state)?;
    let log = prepared.log;
    let outcome = tokio::select! {
        outcome = client.run_with(
            &mut device,
            &mut agent,
            &mut prepared.sources,
            |event| log.tell(event),
        ) => Some(outcome),
        () = told_to_end() => None,
    };
    let Some(outcome) = outcome else {
        agent.abandon().await;
        if prepared.retry.is_some() {
            let data = json!({ "outcome": "stopped", "serial-number": prepared.serial_number });
            let mut text = Text::default();
            text.verdict(
                &prepared.serial_number,
                false,
                "stopped before it was bootstrapped",
            );
            return Ok(Report::new(text, data));
        }
        return Err(Failure::new(
            "agent.interrupted",
            "interrupted; nothing is left active",
        ));
    };
    match outcome {
        Outcome::Bootstrapped { origin, signed } => {
            agent.keep(device.clock_floor())?;
            let source = origin.to_string();
            let mut text = Text::default();
            text.verdict(&prepared.serial_number, true, "bootstrapped");
            text.row("source", &source);
            text.row("signed by the owner", if signed { "yes" } else { "no" });
            text.row("state directory", &prepared.state_dir.display().to_string());
            let data = json!({
                "outcome": "bootstrapped",
                "serial-number": prepared.serial_number,
                "source": source,
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
                .map(|failure| explained(failure, &prepared.key))
                .collect();
            let list: Vec<Value> = failures.iter().map(Failure::to_json).collect();
            for failure in &failures {
                log.tell_failure(failure);
            }
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

pub(super) const HELP: &str = "\
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

Sources: removable-storage, dhcp, dns and bootstrap-servers, in the order of --source. Leases are
read as ISC dhclient, systemd-networkd and NetworkManager's internal client write them, and as
udhcpc's script gets them (`env > /run/sztp/udhcpc.env` in it); with --dhcp-ask, DHCP servers are
asked instead. DNS is asked by multicast, on every network interface, and then of DNS servers.

Without hooks, the image, the scripts and the configuration are put into the state directory:
image, applied/pre-configuration-script, applied/configuration, applied/configuration-handling,
applied/post-configuration-script. They get their places only when bootstrapping has succeeded,
the image when it is installed. Scripts are run only with --allow-scripts; data with scripts that
may not be run is refused.

The state directory has all that another process needs to go on: whenever this one is killed, or
the device reboots, run it again. A device that is bootstrapped stays so; remove agent.json in the
state directory to begin anew. With --daemon it looks again and again, and ends with exit code 0
when told to by SIGTERM.

A hook is a program. It gets these environment variables, and the same as a JSON object on stdin:
  SZTP_EVENT          install-image, reboot, run-script, commit-configuration or roll-back
  SZTP_SERIAL_NUMBER  the device's serial number
  SZTP_STATE_DIR      the state directory
  SZTP_FILE           the image, script or configuration
  SZTP_STAGE          pre or post (run-script)
  SZTP_HANDLING       merge or replace (commit-configuration)
  SZTP_LDEVID_CERT    the owner's certificate for this device (RFC 9646), PEM with what is above it, once
                      it has come within a script or configuration
  SZTP_LDEVID_KEY     its private key, PEM; absent: that of the IDevID
After a failure the script and configuration hooks that were called are called again with roll-back.
Each may take --script-timeout seconds.

Exit status of scripts, and of hooks for scripts and configurations, as RFC 8572 section 6.3 has
it with the eight bits there are: 0 is success, 1 to 127 a warning (greater than zero), 128 to 255
or a signal an error (less than zero). For image and reboot hooks all but 0 is an error.

Exit codes: 0 bootstrapped; 1 not bootstrapped; 2 usage.";
