//! One device of the demo: the device machine, its driver and the agent's platform, all as in a
//! real device; what it installs goes into a directory of its own.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sztp_cms::{UnixTime, WallClock};
use sztp_core::client::{Client, Event, Identity, Settings};
use sztp_core::device::{Device, DeviceConfig, Outcome};

use crate::agent::{Agent, Behaviour, State};
use crate::failure::Failure;
use crate::files;

/// A device out of its box.
pub(super) struct DemoDevice {
    client: Client,
    device: Device,
    agent: Agent,
}

impl DemoDevice {
    pub(super) fn unpack(
        config: DeviceConfig,
        identity: Identity,
        directory: PathBuf,
    ) -> Result<Self, Failure> {
        files::make_directory(&directory)?;
        let settings = Settings {
            download_directory: directory.clone(),
            ..Settings::default()
        };
        let clock = || WallClock::Trusted(UnixTime::from_system_time(SystemTime::now()));
        let state = State::load(&directory)?;
        let behaviour = Behaviour {
            serial_number: config.serial_number.clone(),
            state_dir: directory,
            allow_scripts: true,
            timeout: SCRIPT_TIMEOUT,
            image_hook: None,
            script_hook: None,
            config_hook: None,
            reboot_hook: None,
            applicant: None,
        };
        Ok(Self {
            client: Client::new(Some(identity), settings, clock),
            agent: Agent::new(behaviour, config.running.clone(), state)?,
            device: Device::new(config),
        })
    }

    /// Power on. Answers what the device itself makes of how it went.
    pub(super) async fn boot(mut self, observe: impl FnMut(&Event<'_>) + Send) -> String {
        let outcome = self
            .client
            .run(&mut self.device, &mut self.agent, observe)
            .await;
        match outcome {
            Outcome::Bootstrapped { origin, .. } => match self.agent.keep(None) {
                Ok(()) => format!("bootstrapped by {origin}"),
                Err(failure) => failure.to_string(),
            },
            Outcome::Failed(failures) => failures
                .last()
                .map_or_else(|| "no server".to_owned(), ToString::to_string),
            other => format!("{other:?}"),
        }
    }
}

const SCRIPT_TIMEOUT: Duration = Duration::from_secs(30);
