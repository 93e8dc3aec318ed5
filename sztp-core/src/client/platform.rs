//! What only the device itself can do.

use std::future::Future;
use std::path::Path;

use crate::conveyed_info::ConfigurationHandling;
use crate::device::{Device, Ended, RunningImage, ScriptStage};

/// What a device does with what it was given (RFC 8572 §5.6). All of it has been verified.
///
/// Reasons are for people: they go into progress reports and logs.
pub trait Platform: Send {
    /// Makes the image in this file the one that runs after the next reboot. The file is removed
    /// afterwards.
    fn install_image(&mut self, image: &Path) -> impl Future<Output = Result<(), String>> + Send;

    /// Reboots. Where the process does not survive that, [`Device::installed_images`] and
    /// [`Device::clock_floor`] have to be stored first and given to the next machine.
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
