//! That no hook runs twice at once: one agent at a time in a state directory, and a hook that outlives
//! its agent is stopped before the next agent does anything.
//!
//! Locks go with the processes that hold them, so that nothing is left of them after a crash.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getpgid, kill_process_group};

use crate::failure::Failure;

/// The right to act in a state directory, while it lives.
#[derive(Debug)]
pub(crate) struct OnlyAgent {
    _lock: File,
}

impl OnlyAgent {
    /// Waits a moment for an agent that is just ending; then stops the hook that an agent which was
    /// killed has left running, which gets `patience` to end by itself where it cannot be stopped.
    pub(super) fn in_directory(state_dir: &Path, patience: Duration) -> Result<Self, Failure> {
        let path = state_dir.join("agent.lock");
        let lock = open(&path).map_err(|error| unusable(&path, &error))?;
        if !locked_within(&lock, ENDING).map_err(|error| unusable(&path, &error))? {
            return Err(Failure::new(
                "agent.already-running",
                "another agent is at work with this state directory",
            )
            .at(&path));
        }
        RunningHook::stop_left_over(state_dir, patience)?;
        Ok(Self { _lock: lock })
    }
}

/// The note that a hook is running. The hook inherits its lock, which thus holds as long as the hook
/// or anything that it has started.
#[derive(Debug)]
pub(super) struct RunningHook {
    path: PathBuf,
    file: File,
}

impl RunningHook {
    /// Before a hook is started. One that was broken off is gone then, to the last process.
    pub(super) fn announce(state_dir: &Path) -> Result<Self, Failure> {
        Self::stop_left_over(state_dir, GRACE)?;
        let path = state_dir.join(NOTE);
        let locked = || {
            let file = open(&path)?;
            file.lock()?;
            fcntl_setfd(&file, FdFlags::empty())?;
            Ok(file)
        };
        let file = locked().map_err(|error: io::Error| unusable(&path, &error))?;
        Ok(Self { path, file })
    }

    /// Once it is started: which process group to stop.
    pub(super) fn started(&mut self, group: Pid) -> io::Result<()> {
        writeln!(self.file, "{}", group.as_raw_nonzero())
    }

    /// It has come to its end: what it has started to stay is left alone.
    pub(super) fn ended(self) {
        // If it stays, the next finds a note whose lock is free, or stops what holds it.
        let _ = fs::remove_file(&self.path);
    }

    fn stop_left_over(state_dir: &Path, patience: Duration) -> Result<(), Failure> {
        let path = state_dir.join(NOTE);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| unusable(&path, &error))?,
        };
        let mut gone = locked_within(&file, Duration::ZERO);
        if matches!(gone, Ok(false)) {
            let mut text = String::new();
            let _ = (&file).take(64).read_to_string(&mut text);
            let noted = text.trim().parse().ok().filter(|number| *number > 1);
            let noted = noted.and_then(Pid::from_raw);
            for signal in [Signal::TERM, Signal::KILL] {
                // The number that is written down may be somebody else's by now.
                let mut groups = groups_that_hold(&file);
                if groups.is_empty() {
                    groups.extend(noted);
                }
                for group in groups {
                    let _ = kill_process_group(group, signal);
                }
                gone = locked_within(&file, GRACE);
                if !matches!(gone, Ok(false)) {
                    break;
                }
            }
            if matches!(gone, Ok(false)) {
                gone = locked_within(&file, patience);
            }
        }
        if !gone.map_err(|error| unusable(&path, &error))? {
            return Err(Failure::new(
                "agent.hook-running",
                "a hook of an agent that was killed is still running and cannot be stopped",
            )
            .at(&path));
        }
        fs::remove_file(&path).map_err(|error| unusable(&path, &error))
    }
}

/// The process groups of others that have this file open, where the system tells.
fn groups_that_hold(file: &File) -> Vec<Pid> {
    use std::os::unix::fs::MetadataExt as _;
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let Ok(wanted) = file.metadata().map(identity) else {
        return Vec::new();
    };
    let holds = |process: &Path| {
        let open = fs::read_dir(process.join("fd"));
        open.into_iter().flatten().flatten().any(|descriptor| {
            fs::metadata(descriptor.path()).is_ok_and(|found| identity(found) == wanted)
        })
    };
    let own = getpgid(None).ok();
    let mut groups = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_string_lossy().parse().ok();
        if let Some(number) = number.and_then(Pid::from_raw)
            && holds(&process.path())
            && let Ok(group) = getpgid(Some(number))
            && Some(group) != own
            && !groups.contains(&group)
        {
            groups.push(group);
        }
    }
    groups
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn locked_within(file: &File, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() >= limit => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
        }
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new("file.unwritable", format!("cannot be used: {error}")).at(path)
}

const NOTE: &str = "hook.running";

/// For an agent that is ending, as when a service is restarted.
const ENDING: Duration = Duration::from_secs(2);

/// Between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_never_share_a_state_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = OnlyAgent::in_directory(folder.path(), Duration::ZERO).unwrap();
        let second = OnlyAgent::in_directory(folder.path(), Duration::ZERO);
        assert_eq!(second.unwrap_err().code(), "agent.already-running");
        drop(first);
        OnlyAgent::in_directory(folder.path(), Duration::ZERO).unwrap();
    }

    /// The agent was killed between starting the hook and writing down its number.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_hook_without_a_number_is_found_and_stopped() {
        use std::os::unix::process::CommandExt as _;
        let folder = tempfile::tempdir().unwrap();
        let hook = RunningHook::announce(folder.path()).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("600")
            .process_group(0)
            .spawn()
            .unwrap();
        let (note, kept) = (folder.path().join(NOTE), folder.path().join("kept"));
        fs::hard_link(&note, &kept).unwrap();
        drop(hook);
        fs::rename(kept, &note).unwrap();
        OnlyAgent::in_directory(folder.path(), Duration::ZERO).unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!note.exists());
    }

    #[test]
    fn a_hook_that_was_left_running_is_waited_for_and_no_longer_than_that() {
        let folder = tempfile::tempdir().unwrap();
        let hook = RunningHook::announce(folder.path()).unwrap();
        let patience = Duration::from_millis(50);
        let refused = OnlyAgent::in_directory(folder.path(), patience);
        assert_eq!(refused.unwrap_err().code(), "agent.hook-running");
        drop(hook);
        OnlyAgent::in_directory(folder.path(), patience).unwrap();
    }
}
