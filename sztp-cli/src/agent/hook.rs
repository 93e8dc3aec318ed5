//! Running programs: the owner's scripts and the device's hooks, bounded in time and output.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use sztp_core::device::Ended;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// A program to run.
#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    /// The working directory.
    pub(super) directory: &'a Path,
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
            .kill_on_drop(true);
        let mut child = match spawn(&mut command).await {
            Ok(child) => child,
            Err(error) => return Ended::Error(format!("{name} cannot be run: {error}")),
        };
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is given.
                let _ = stdin.write_all(&self.input).await;
            }
        };
        let work = async {
            let ((), out, err) = tokio::join!(feed, start_of(stdout), start_of(stderr));
            child
                .wait()
                .await
                .map(|status| (status, [out, err].concat()))
        };
        match tokio::time::timeout(self.timeout, work).await {
            Ok(Ok((status, said))) => judged(&name, status, &said),
            Ok(Err(error)) => Ended::Error(format!("{name}: {error}")),
            Err(_) => Ended::Error(format!("{name} did not end within {:?}", self.timeout)),
        }
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

/// The first octets of what a program says; the rest is read and dropped.
async fn start_of(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let mut start = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_OUTPUT.saturating_sub(start.len()).min(count);
        start.extend_from_slice(&buffer[..room]);
    }
    start
}

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
}
