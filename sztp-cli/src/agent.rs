//! `sztp agent`: the device's side of bootstrapping (RFC 8572 §5), as a process.
//!
//! What is believed is decided by the machine in `sztp_core::device`; here it gets an identity, a
//! clock, its sources, a place for what it was given and a voice.

mod bootstrap;
mod dhcp;
mod dns;
mod hook;
mod hook_guard;
mod idevid_key;
mod leases;
mod multicast_dns;
mod network;
mod options;
mod own_certificate;
mod payload;
mod platform;
mod reported;
mod run;
mod sources;
mod state;
mod story;
mod verdict;

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use sztp_cms::WallClock;
use sztp_core::artifacts::ArtifactError;
use sztp_core::client::{Client, Identity, Settings};
use sztp_core::device::{DeviceConfig, DeviceKey, FailureKind, Obstacle, RunningImage};

use self::idevid_key::IdevidKey;
use self::multicast_dns::LocalHosts;
use self::options::Prepared;
pub(crate) use self::platform::{Agent, Behaviour};
pub(crate) use self::state::State;
use crate::arguments::now;
use crate::failure::{Exit, Failure};
use crate::report::Report;

/// The device's side of bootstrapping (RFC 8572 section 5)
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Bootstrap this device: ask its sources, verify, and apply what they say
    #[command(after_help = run::HELP)]
    Run(run::Run),
    /// Fetch and validate only: exit 0 and onboarding.json, 2 try again later, other refused
    #[command(after_help = bootstrap::HELP)]
    Bootstrap(bootstrap::Bootstrap),
}

impl AgentCommand {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Run(command) => command.run(),
            Self::Bootstrap(command) => command.run(),
        }
    }
}

/// What is said of a command line that was not understood, and the end of the program: for `sztp
/// agent bootstrap`, 2 would mean something else.
pub(crate) fn misused(error: &clap::Error) -> ExitCode {
    let failed = error.use_stderr();
    // There is nobody to complain to.
    let _ = error.print();
    let mut words = std::env::args().skip_while(|word| word != "agent").skip(1);
    let bootstrap = words.next().is_some_and(|word| word == "bootstrap");
    match (failed, bootstrap) {
        (false, _) => Exit::Done,
        (true, false) => Exit::Usage,
        (true, true) => Exit::Misused,
    }
    .into()
}

/// Runs what a command does, all of it in this thread.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("agent.runtime", error))?
        .block_on(work)
}

/// Ends when the process is told to end.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// The device that the options describe, as it left its state.
fn device_config(prepared: &Prepared, state: &State) -> DeviceConfig {
    let idevid = prepared.chain.first();
    let decryption = idevid
        .zip(prepared.key.decryptor())
        .map(|(certificate, key)| DeviceKey::new(key, certificate.clone()));
    DeviceConfig {
        idevid: idevid.cloned(),
        sources: prepared.order.clone(),
        servers: prepared.servers.clone(),
        retry: prepared.retry,
        seed: prepared.seed,
        hw_model: prepared.hw_model.clone(),
        running: RunningImage {
            os_name: prepared.os_name.clone(),
            os_version: prepared.os_version.clone(),
            sha256: prepared.running_image_sha256.or(state.running),
        },
        nonce: prepared.nonce.clone(),
        decryption: decryption.into_iter().collect(),
        encoding: prepared.encoding,
        leniency: prepared.leniency,
        max_redirect_depth: prepared.max_redirects,
        ssh_host_keys: prepared.reported.ssh_host_keys.clone(),
        trust_anchor_certs: prepared.reported.trust_anchor_certs.clone(),
        clock_floor: state.clock_floor(),
        boot_id: prepared.boot_id.clone(),
        ..DeviceConfig::new(
            prepared.serial_number.clone(),
            prepared.voucher_anchors.clone(),
        )
    }
}

/// Why a source failed, with what only the agent knows of it.
fn explained(failure: &sztp_core::device::Failure, key: &IdevidKey) -> Failure {
    let said = Failure::new(failure.kind.code(), &failure.kind).within(failure.origin.clone());
    match &failure.kind {
        FailureKind::Unreachable(why) if why.obstacle != Obstacle::NoAnswer => {
            said.rule(why.obstacle.rule())
        }
        FailureKind::Artifacts(ArtifactError::Encrypted) if key.decryptor().is_none() => {
            said.hint("the token does not let the IDevID key decrypt")
        }
        _ => said,
    }
}

fn client(prepared: &Prepared, state: &State) -> Client {
    let identity = Identity {
        chain: prepared.chain.clone(),
        key: prepared.key.tls(),
    };
    let settings = Settings {
        download_directory: prepared.state_dir.clone(),
        keep_partial_images: true,
        hosts: Some(Arc::new(LocalHosts)),
        tls_versions: prepared.tls_versions,
        connect_timeout: prepared.server_timeout,
        handshake_timeout: prepared.server_timeout,
        answer_timeout: prepared.server_timeout,
        body_timeout: prepared.server_timeout,
        ..Settings::default()
    };
    let clock_is_right = !prepared.no_clock;
    let floor = state.clock_floor();
    Client::new(Some(identity), settings, move || {
        let now = now();
        // A clock that is behind what is known for certain knows nothing.
        if clock_is_right && floor.is_none_or(|floor| floor <= now) {
            WallClock::Trusted(now)
        } else {
            WallClock::Unknown
        }
    })
}
