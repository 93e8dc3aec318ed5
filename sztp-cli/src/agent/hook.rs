//! Running programs: the owner's scripts and the device's hooks, bounded in time and output.
//!
//! Each runs in a process group of its own, and what has to be stopped is stopped with all that it
//! has started.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use sztp_core::device::Ended;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::hook_guard::{GRACE, RunningHook};

/// A program to run.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    /// The working directory.
    pub(super) directory: &'a Path,
    /// Where it is noted that it runs.
    pub(super) state_dir: &'a Path,
    pub(super) environment: &'a [(&'static str, String)],
    /// What it reads on stdin.
    pub(super) input: Vec<u8>,
    pub(super) timeout: Duration,
}

impl Program<'_> {
    /// Runs it to its end and judges its exit (RFC 8572 §6.3).
    pub(super) async fn run(self) -> Ended {
        let name = self.path.display().to_string();
        // A program in the working directory has no slash, and would be looked up in PATH.
        let path = match std::path::absolute(self.path) {
            Ok(path) => path,
            Err(error) => return Ended::Error(format!("{name}: {error}")),
        };
        let mut command = Command::new(path);
        command
            .current_dir(self.directory)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            // What opens the device's key is none of a script's business.
            .env_remove("SZTP_PASSPHRASE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut note = match RunningHook::announce(self.state_dir) {
            Ok(note) => note,
            Err(error) => return Ended::Error(format!("{name} cannot be run: {error}")),
        };
        let mut child = match spawn(&mut command).await {
            Ok(child) => child,
            Err(error) => {
                note.ended();
                return Ended::Error(format!("{name} cannot be run: {error}"));
            }
        };
        let group = Group::of(&child);
        if let Some(group) = &group
            && let Err(error) = note.started(group.0)
        {
            return Ended::Error(format!("{name} cannot be run: {error}"));
        }
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is given.
                let _ = stdin.write_all(&self.input).await;
            }
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let ended = {
            let mut talk = std::pin::pin!(async {
                tokio::join!(feed, start_of(stdout, &mut out), start_of(stderr, &mut err))
            });
            let work = async {
                tokio::select! {
                    status = child.wait() => {
                        // What it has started to stay may keep the other ends open.
                        let _ = tokio::time::timeout(LAST_WORDS, talk.as_mut()).await;
                        status
                    }
                    _ = talk.as_mut() => child.wait().await,
                }
            };
            tokio::time::timeout(self.timeout, work).await
        };
        let Ok(outcome) = ended else {
            if let Some(group) = group {
                group.stop(&mut child).await;
            }
            return Ended::Error(format!("{name} did not end within {:?}", self.timeout));
        };
        if let Some(group) = group {
            // What it has started to stay is left alone.
            group.release();
        }
        note.ended();
        match outcome {
            Ok(status) => judged(&name, status, &[out, err].concat()),
            Err(error) => Ended::Error(format!("{name}: {error}")),
        }
    }
}

/// A program and all that it has started, but for what has gone into a group of its own. Killed when
/// dropped.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Option<Self> {
        let id = child.id()?.try_into().ok()?;
        Pid::from_raw(id).map(Self)
    }

    fn release(self) {
        std::mem::forget(self);
    }

    /// Asks it to end, and sees to it that it does.
    async fn stop(self, child: &mut Child) {
        let _ = kill_process_group(self.0, Signal::TERM);
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
        // The rest of them, too; the number is taken as long as there is one.
        let _ = kill_process_group(self.0, Signal::KILL);
        let _ = child.wait().await;
        self.release();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Starts a program that may have been written a moment ago.
///
/// A process that another thread is just starting has, until it runs its own program, a copy of
/// each open file, and a file that is open for writing cannot be run.
async fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            outcome => return outcome,
        }
    }
}

/// Greater than zero is a soft error, less than zero a hard one (RFC 8572 §6.3); an exit status has
/// eight bits, so that -1 is 255.
fn judged(name: &str, status: ExitStatus, said: &[u8]) -> Ended {
    let said = String::from_utf8_lossy(said);
    let said = said.trim();
    let with_output = |what: String| {
        if said.is_empty() {
            what
        } else {
            format!("{what}: {said}")
        }
    };
    match status.code() {
        Some(0) => Ended::Well,
        Some(code @ 1..=127) => Ended::Warning(with_output(format!("{name} exited with {code}"))),
        Some(code) => Ended::Error(with_output(format!("{name} exited with {code}"))),
        None => Ended::Error(with_output(format!("{name} was ended: {status}"))),
    }
}

/// Takes the first octets of what a program says; the rest is read and dropped.
async fn start_of(stream: Option<impl AsyncRead + Unpin>, start: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_OUTPUT.saturating_sub(start.len()).min(count);
        start.extend_from_slice(&buffer[..room]);
    }
}

/// For what was said before the end to arrive.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// In octets; as much as a progress report can use.
const MAX_OUTPUT: usize = 8 * 1024;

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    async fn ended(script: &str, timeout: Duration) -> Ended {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let program = Program {
            path: &path,
            directory: folder.path(),
            state_dir: folder.path(),
            environment: &[("SZTP_EVENT", "run-script".to_owned())],
            input: b"in".to_vec(),
            timeout,
        };
        program.run().await
    }

    // LEDGER: 8572-5.6-28
    #[tokio::test]
    async fn exit_statuses_mean_what_the_rfc_says() {
        let second = Duration::from_secs(20);
        assert_eq!(
            ended("#!/bin/sh\ntest $(cat) = in\n", second).await,
            Ended::Well
        );
        let Ended::Warning(text) = ended("#!/bin/sh\necho $SZTP_EVENT; exit 3\n", second).await
        else {
            panic!("a positive status is a soft error")
        };
        assert!(text.ends_with("exited with 3: run-script"), "{text}");
        for hard in [
            "#!/bin/sh\nexit 255\n",
            "#!/bin/sh\nkill -9 $$\n",
            "no program",
        ] {
            assert!(
                matches!(ended(hard, second).await, Ended::Error(_)),
                "{hard}"
            );
        }
        let slow = ended("#!/bin/sh\nsleep 60\n", Duration::from_millis(100)).await;
        assert!(matches!(slow, Ended::Error(text) if text.contains("did not end")));
    }

    /// A script that waits for a child, and writes down the number of their group.
    fn sleeper(marker: &Path) -> String {
        format!(
            "#!/bin/sh\n(echo $$ > {0}; exec sleep 600) &\nwait\n",
            marker.display()
        )
    }

    fn lives(marker: &Path) -> bool {
        // The group is named after the script, and the sleeper is in it.
        let text = std::fs::read_to_string(marker).unwrap();
        let group = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        rustix::process::test_kill_process_group(group).is_ok()
    }

    async fn wait_for(condition: impl Fn() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not come about");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_stopped_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("marker");
        let slow = ended(&sleeper(&marker), Duration::from_secs(1)).await;
        assert!(matches!(slow, Ended::Error(text) if text.contains("did not end")));
        wait_for(|| !lives(&marker)).await;
    }

    #[tokio::test]
    async fn what_does_not_listen_is_killed() {
        let script = "#!/bin/sh\ntrap '' TERM\nsleep 600 &\nwhile :; do wait; done\n";
        let slow = ended(script, Duration::from_millis(300)).await;
        assert!(matches!(slow, Ended::Error(text) if text.contains("did not end")));
    }

    #[tokio::test]
    async fn who_no_longer_waits_leaves_nothing_running() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("marker");
        let script = sleeper(&marker);
        let running = ended(&script, Duration::from_mins(1));
        let started = wait_for(|| marker.metadata().is_ok_and(|file| file.len() > 0));
        tokio::select! {
            outcome = running => panic!("{outcome:?}"),
            () = started => {}
        }
        wait_for(|| !lives(&marker)).await;
    }

    #[tokio::test]
    async fn a_daemon_that_a_script_starts_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("marker");
        let script = format!(
            "#!/bin/sh\nsleep 600 &\necho $$ > {}\necho said\nexit 3\n",
            marker.display()
        );
        let begun = std::time::Instant::now();
        let outcome = ended(&script, Duration::from_mins(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(matches!(outcome, Ended::Warning(text) if text.ends_with("3: said")));
        assert!(lives(&marker), "it is left alone");
        let text = std::fs::read_to_string(&marker).unwrap();
        let group = Pid::from_raw(text.trim().parse().unwrap()).unwrap();
        kill_process_group(group, Signal::KILL).unwrap();
    }
}
