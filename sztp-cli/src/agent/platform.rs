//! What the agent does with what the device was given: files in its state directory, or hooks.
//!
//! All of an attempt is put aside first and gets its place when bootstrapping has succeeded, so
//! that a failed attempt leaves nothing active (RFC 8572 §5.6). What has to be undone if the process
//! is killed stands in the state before it is done.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sztp_cms::UnixTime;
use sztp_core::client::{DOWNLOAD_PREFIX, Platform, Reboot};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::csr::CsrRequest;
use sztp_core::device::{Device, Ended, RunningImage, SavedState, ScriptStage};
use tokio::fs;

use super::hook::Program;
use super::own_certificate::{self, Applicant, OwnCertificate};
use super::state::State;
use crate::failure::Failure;
use crate::files;

/// How the agent is to act.
#[derive(Debug)]
pub(crate) struct Behaviour {
    pub(crate) serial_number: String,
    pub(crate) state_dir: PathBuf,
    pub(crate) allow_scripts: bool,
    pub(crate) timeout: Duration,
    pub(crate) image_hook: Option<PathBuf>,
    pub(crate) script_hook: Option<PathBuf>,
    pub(crate) config_hook: Option<PathBuf>,
    pub(crate) reboot_hook: Option<PathBuf>,
    /// Who asks the owner for a certificate (RFC 9646); none: the device does not.
    pub(crate) applicant: Option<Applicant>,
}

/// The device that the agent is.
#[derive(Debug)]
pub(crate) struct Agent {
    behaviour: Behaviour,
    running: RunningImage,
    state: State,
    own_certificate: Option<OwnCertificate>,
}

impl Agent {
    pub(crate) fn new(
        behaviour: Behaviour,
        running: RunningImage,
        state: State,
    ) -> Result<Self, Failure> {
        let applicant = behaviour.applicant.clone();
        let agent = Self {
            own_certificate: applicant.map(|one| OwnCertificate::new(one, &behaviour.state_dir)),
            behaviour,
            running,
            state,
        };
        // Left by somebody who removed the state to begin anew.
        if agent.state.is_new {
            remove(&agent.attempt())?;
            own_certificate::forget(&agent.behaviour.state_dir)?;
            remove_downloads(&agent.behaviour.state_dir);
            agent.state.save()?;
        }
        Ok(agent)
    }

    /// Bootstrapping has succeeded: gives everything its place. Whoever is killed meanwhile does it
    /// again.
    pub(crate) fn keep(&mut self, clock_floor: Option<UnixTime>) -> Result<(), Failure> {
        let (attempt, applied) = (self.attempt(), self.behaviour.state_dir.join("applied"));
        let previous = self.behaviour.state_dir.join("previous");
        remove(&previous)?;
        if attempt.exists() {
            if applied.exists() {
                std::fs::rename(&applied, &previous)
                    .map_err(|error| unwritable(&applied, &error))?;
            }
            std::fs::rename(&attempt, &applied).map_err(|error| unwritable(&applied, &error))?;
            remove(&previous)?;
        }
        remove_downloads(&self.behaviour.state_dir);
        self.state.called.clear();
        self.state.raise_clock_floor(clock_floor);
        self.state.save()
    }

    /// Bootstrapping was broken off from outside. What only waits for the server's acknowledgement
    /// is kept, as the next process goes on from there.
    pub(super) async fn abandon(&mut self) {
        if !self.state.machine.is_completing() && !self.state.machine.is_bootstrapped() {
            // What cannot be undone now is undone at the next start.
            let _ = self.undo().await;
        }
    }

    fn attempt(&self) -> PathBuf {
        self.behaviour.state_dir.join("attempt")
    }

    /// Puts a file aside and answers where.
    fn put(&self, name: &str, content: &[u8]) -> Result<PathBuf, String> {
        let path = self.attempt().join(name);
        files::make_directory(&self.attempt())
            .and_then(|()| files::write_private(&path, content))
            .map_err(|failure| failure.to_string())?;
        Ok(path)
    }

    async fn call(
        &self,
        hook: &Path,
        event: &str,
        details: &[(&'static str, &'static str, String)],
    ) -> Ended {
        let absolute = |path: &Path| match std::path::absolute(path) {
            Ok(path) => path.display().to_string(),
            Err(_) => path.display().to_string(),
        };
        let state_dir = absolute(&self.behaviour.state_dir);
        let mut environment = vec![
            ("SZTP_EVENT", event.to_owned()),
            ("SZTP_SERIAL_NUMBER", self.behaviour.serial_number.clone()),
            ("SZTP_STATE_DIR", state_dir.clone()),
        ];
        let mut input = json!({
            "event": event,
            "serial-number": self.behaviour.serial_number,
            "state-dir": state_dir,
        });
        let own = self
            .own_certificate
            .iter()
            .flat_map(OwnCertificate::details);
        let own = own.map(|(variable, key, path)| (variable, key, absolute(&path)));
        for (variable, key, value) in details.iter().cloned().chain(own) {
            input[key] = value.as_str().into();
            environment.push((variable, value));
        }
        let program = Program {
            path: hook,
            directory: &self.behaviour.state_dir,
            state_dir: &self.behaviour.state_dir,
            environment: &environment,
            input: input.to_string().into_bytes(),
            timeout: self.behaviour.timeout,
        };
        program.run().await
    }

    async fn undo(&mut self) -> Ended {
        let mut problems = Vec::new();
        for hook in std::mem::take(&mut self.state.called) {
            match self.call(&hook, "roll-back", &[]).await {
                Ended::Well => {}
                Ended::Warning(problem) | Ended::Error(problem) => problems.push(problem),
            }
        }
        let certificate = self.own_certificate.as_ref();
        let certificate = certificate.map_or(Ok(()), OwnCertificate::discard_certificate);
        let removed = certificate.and_then(|()| remove(&self.attempt()));
        if let Err(failure) = removed.and_then(|()| self.state.save()) {
            problems.push(failure.to_string());
        }
        if problems.is_empty() {
            Ended::Well
        } else {
            Ended::Error(problems.join("; "))
        }
    }

    /// Takes the device's own certificate out of what has come, for hooks and whoever comes later.
    fn look_for_certificate(&self, content: &[u8]) -> Result<(), String> {
        let own = self.own_certificate.as_ref();
        own.map_or(Ok(()), |own| own.look_in(content))
            .map_err(|failure| failure.to_string())
    }

    /// Remembers that a hook has done something that may have to be undone.
    fn called(&mut self, hook: &Path) -> Result<(), String> {
        if self.state.called.iter().any(|known| known == hook) {
            return Ok(());
        }
        self.state.called.push(hook.to_owned());
        self.state.save().map_err(|failure| failure.to_string())
    }
}

impl Platform for Agent {
    async fn store(&mut self, state: &SavedState) -> Result<(), String> {
        self.state.machine = state.clone();
        self.state.save().map_err(|failure| failure.to_string())
    }

    async fn make_csr(&mut self, request: &CsrRequest) -> Result<Vec<u8>, String> {
        match &self.own_certificate {
            Some(own) => own.request(request),
            None => Err("no certificate is asked for here".to_owned()),
        }
    }

    async fn discard_key(&mut self) -> Result<(), String> {
        let own = self.own_certificate.as_ref();
        own.map_or(Ok(()), OwnCertificate::discard_key)
            .map_err(|failure| failure.to_string())
    }

    async fn install_image(&mut self, image: &Path) -> Result<(), String> {
        if let Some(hook) = &self.behaviour.image_hook {
            let details = [("SZTP_FILE", "file", absolute_text(image))];
            return strictly(self.call(hook, "install-image", &details).await);
        }
        let place = self.behaviour.state_dir.join("image");
        // The download lies in the same directory; it is removed by whoever made it if this fails.
        fs::rename(image, &place)
            .await
            .map_err(|error| format!("{}: {error}", place.display()))
    }

    async fn reboot(&mut self, device: &Device) -> Result<Reboot, String> {
        let installed = device.installed_images().last();
        self.state.running = installed.copied().or(self.state.running);
        self.state.raise_clock_floor(device.clock_floor());
        self.state.save().map_err(|failure| failure.to_string())?;
        if let Some(hook) = &self.behaviour.reboot_hook {
            strictly(self.call(hook, "reboot", &[]).await)?;
            return Ok(Reboot::Pending);
        }
        self.running.sha256 = self.state.running;
        Ok(Reboot::Done(self.running.clone()))
    }

    async fn run_script(&mut self, stage: ScriptStage, script: &[u8]) -> Ended {
        let (name, stage) = match stage {
            ScriptStage::Pre => ("pre-configuration-script", "pre"),
            ScriptStage::Post => ("post-configuration-script", "post"),
        };
        if self.behaviour.script_hook.is_none() && !self.behaviour.allow_scripts {
            return Ended::Error(format!(
                "scripts are not allowed; {name} is not run, and without it the device is not what \
                 its owner wants"
            ));
        }
        let put = self.look_for_certificate(script);
        let path = match put.and_then(|()| self.put(name, script)) {
            Ok(path) => path,
            Err(problem) => return Ended::Error(problem),
        };
        if let Some(hook) = self.behaviour.script_hook.clone() {
            if let Err(problem) = self.called(&hook) {
                return Ended::Error(problem);
            }
            let details = [
                ("SZTP_FILE", "file", absolute_text(&path)),
                ("SZTP_STAGE", "stage", stage.to_owned()),
            ];
            return self.call(&hook, "run-script", &details).await;
        }
        if let Err(error) = make_executable(&path) {
            return Ended::Error(format!("{}: {error}", path.display()));
        }
        let own = self
            .own_certificate
            .iter()
            .flat_map(OwnCertificate::details);
        let own = own.map(|(variable, _, path)| (variable, absolute_text(&path)));
        let environment: Vec<_> = [
            ("SZTP_EVENT", "run-script".to_owned()),
            ("SZTP_SERIAL_NUMBER", self.behaviour.serial_number.clone()),
            ("SZTP_STAGE", stage.to_owned()),
        ]
        .into_iter()
        .chain(own)
        .collect();
        let program = Program {
            path: &path,
            directory: &self.attempt(),
            state_dir: &self.behaviour.state_dir,
            environment: &environment,
            input: Vec::new(),
            timeout: self.behaviour.timeout,
        };
        program.run().await
    }

    async fn commit_configuration(
        &mut self,
        handling: ConfigurationHandling,
        configuration: &[u8],
    ) -> Ended {
        let put = self.look_for_certificate(configuration);
        let put = put.and_then(|()| self.put("configuration", configuration));
        let put = put.and_then(|path| {
            self.put("configuration-handling", handling.as_str().as_bytes())
                .map(|_| path)
        });
        let path = match put {
            Ok(path) => path,
            Err(problem) => return Ended::Error(problem),
        };
        let Some(hook) = self.behaviour.config_hook.clone() else {
            return Ended::Well;
        };
        if let Err(problem) = self.called(&hook) {
            return Ended::Error(problem);
        }
        let details = [
            ("SZTP_FILE", "file", absolute_text(&path)),
            ("SZTP_HANDLING", "handling", handling.as_str().to_owned()),
        ];
        self.call(&hook, "commit-configuration", &details).await
    }

    async fn check_ready(&mut self) -> Ended {
        // What an earlier bootstrapping has applied is replaced even by nothing.
        match files::make_directory(&self.attempt()) {
            Ok(()) => Ended::Well,
            Err(failure) => Ended::Warning(failure.to_string()),
        }
    }

    async fn roll_back(&mut self) -> Ended {
        self.undo().await
    }
}

/// Where there is no going on in spite of a fault.
fn strictly(ended: Ended) -> Result<(), String> {
    match ended {
        Ended::Well => Ok(()),
        Ended::Warning(problem) | Ended::Error(problem) => Err(problem),
    }
}

fn absolute_text(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    absolute.as_deref().unwrap_or(path).display().to_string()
}

fn make_executable(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}

/// What is left of downloads that nobody will go on with; only room is lost if it stays.
fn remove_downloads(state_dir: &Path) {
    for entry in std::fs::read_dir(state_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(DOWNLOAD_PREFIX) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn remove(directory: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(directory, &error)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new("file.unwritable", format!("cannot be written: {error}")).at(path)
}
