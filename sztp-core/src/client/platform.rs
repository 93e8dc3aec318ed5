//! What only the device itself can do.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use crate::conveyed_info::ConfigurationHandling;
use crate::csr::CsrRequest;
use crate::device::{Device, Ended, RunningImage, SavedState, ScriptStage};

/// What a device does with what it was given (RFC 8572 §5.6). All of it has been verified.
///
/// Reasons are for people: they go into progress reports and logs.
pub trait Platform: Send {
    /// Says whether bootstrapping is enabled (RFC 8572 §5.1); asked before each round over the
    /// sources.
    fn is_enabled(&mut self) -> impl Future<Output = bool> + Send {
        async { true }
    }

    /// Stores what another process needs to go on ([`Device::restore`]), whole or not at all. Called
    /// before anything is done that depends on it, whenever it has changed.
    ///
    /// # Errors
    /// Why it could not be stored; what depends on it is not done then.
    fn store(&mut self, state: &SavedState) -> impl Future<Output = Result<(), String>> + Send {
        let _ = state;
        async { Ok(()) }
    }

    /// Lets time pass before the next round, or less of it if something has changed.
    fn wait(&mut self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }

    /// Makes a certificate signing request as DER (RFC 9646 §3.2), with a key made for it if the
    /// request names an algorithm, else with the key of the IDevID. A key of that kind that is still
    /// there was made for this request by a process that ended, and is used again.
    fn make_csr(
        &mut self,
        request: &CsrRequest,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send {
        let _ = request;
        async { Err("this device makes no certificate signing requests".to_owned()) }
    }

    /// Deletes the key that was made last; there may be none.
    fn discard_key(&mut self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Makes the image in this file the one that runs after the next reboot. The file is removed
    /// afterwards.
    fn install_image(&mut self, image: &Path) -> impl Future<Output = Result<(), String>> + Send;

    /// Reboots. Where the process does not survive that, the next one goes on from what
    /// [`Self::store`] was given last ([`Device::restore`]).
    fn reboot(&mut self, device: &Device) -> impl Future<Output = Result<Reboot, String>> + Send;

    /// Runs a script to its end and judges its exit and output (RFC 8572 §6.3).
    fn run_script(
        &mut self,
        stage: ScriptStage,
        script: &[u8],
    ) -> impl Future<Output = Ended> + Send;

    /// Commits a configuration, whole or not at all.
    fn commit_configuration(
        &mut self,
        handling: ConfigurationHandling,
        configuration: &[u8],
    ) -> impl Future<Output = Ended> + Send;

    /// Says whether the device is ready to be managed; a warning if bootstrapping was not switched
    /// off by what was applied (RFC 8572 §5.6).
    fn check_ready(&mut self) -> impl Future<Output = Ended> + Send {
        async { Ended::Well }
    }

    /// Undoes what this attempt's scripts and configuration did: nothing of it may stay active.
    fn roll_back(&mut self) -> impl Future<Output = Ended> + Send;
}

/// How a reboot went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reboot {
    /// The device is up again, and this process has survived or only plays it.
    Done(RunningImage),
    /// It comes once this process has ended.
    Pending,
}
