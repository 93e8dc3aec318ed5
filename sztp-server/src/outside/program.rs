//! A program of the operator: a JSON document on its standard input, the answer on its standard
//! output. It runs in a process group of its own, which ends with it when it takes too long.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{OutsideError, shortened};

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// None: there is nothing to run.
    pub(crate) fn of(command: &[String]) -> Option<Self> {
        let (path, arguments) = command.split_first()?;
        Some(Self {
            path: PathBuf::from(path),
            arguments: arguments.to_vec(),
        })
    }

    /// What it prints, if it ends well. How long it may take is the caller's to say: when nobody
    /// waits any more, the program and all that it has started are killed.
    pub(crate) async fn run(&self, input: &Value, limit: usize) -> Result<Vec<u8>, OutsideError> {
        let failed = |reason: String| OutsideError::Program {
            program: self.path.display().to_string(),
            reason,
        };
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| {
                // What opens the server's keys is none of its business.
                name != "PGPASSWORD" && !name.to_string_lossy().ends_with("_PASSPHRASE")
            }))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let mut child = spawn(&mut command)
            .await
            .map_err(|error| failed(format!("cannot be run: {error}")))?;
        let mut group = Group::of(&child);
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let document = input.to_string();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // A program need not read what it is given.
                let _ = stdin.write_all(document.as_bytes()).await;
            }
        };
        let ((), out, err) = tokio::join!(
            feed,
            start_of(stdout, limit + 1),
            start_of(stderr, MAX_STDERR)
        );
        let status = child
            .wait()
            .await
            .map_err(|error| failed(error.to_string()))?;
        group.is_over = true;
        if !status.success() {
            let said = shortened(&err);
            return Err(failed(
                format!("{status}: {said}")
                    .trim_end_matches([':', ' '])
                    .to_owned(),
            ));
        }
        if out.len() > limit {
            return Err(failed(format!("it prints more than {limit} octets")));
        }
        Ok(out)
    }
}

/// A program that another thread is just starting has, for a moment, a copy of each open file; one
/// that was written right before cannot be run until that is over.
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

/// The first octets of a stream; the rest is read and dropped.
async fn start_of(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let mut start = Vec::new();
    let mut buffer = vec![0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = limit.saturating_sub(start.len()).min(count);
        start.extend_from_slice(&buffer[..room]);
    }
    start
}

/// The processes that a program has started, killed with it unless it has ended by itself.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
    is_over: bool,
}

impl Group {
    fn of(child: &Child) -> Self {
        Self {
            #[cfg(unix)]
            leader: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
            is_over: false,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if !self.is_over
            && let Some(leader) = self.leader
        {
            // It may have ended in the meantime.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

const MAX_STDERR: usize = 4096;

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::outside::Gate;

    fn program(folder: &Path, script: &str) -> Program {
        let path = folder.join("program");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Program::of(&[path.to_string_lossy().into_owned(), "arg".to_owned()]).unwrap()
    }

    #[tokio::test]
    async fn reads_a_document_and_answers() {
        let folder = tempfile::tempdir().unwrap();
        let echo = program(folder.path(), "#!/bin/sh\ncat; printf ' %s' \"$1\"\n");
        let answer = echo.run(&json!({"a": 1}), 100).await;
        assert_eq!(answer.unwrap(), br#"{"a":1} arg"#);
        assert_eq!(Program::of(&[]), None);
    }

    #[tokio::test]
    async fn failures_say_what_the_program_says() {
        let folder = tempfile::tempdir().unwrap();
        let failing = program(
            folder.path(),
            "#!/bin/sh\necho no such device >&2; exit 3\n",
        );
        let error = failing.run(&json!({}), 100).await.unwrap_err();
        assert_eq!(error.code(), "outside.program");
        assert!(
            error
                .to_string()
                .ends_with("exit status: 3: no such device"),
            "{error}"
        );
        let long = program(folder.path(), "#!/bin/sh\nhead -c 1000000 /dev/zero\n");
        let error = long.run(&json!({}), 100).await.unwrap_err();
        assert!(
            error.to_string().contains("more than 100 octets"),
            "{error}"
        );
        let none = Program::of(&["/no/such/program".to_owned()]).unwrap();
        assert!(none.run(&json!({}), 100).await.is_err());
    }

    #[tokio::test]
    async fn all_that_it_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\nsleep 600 & echo $! > \"$0.pid\"\nwait\n";
        let slow = program(folder.path(), script);
        let gate = Gate::new(1, 1);
        let outcome = gate.pass(slow.run(&json!({}), 100)).await;
        assert_eq!(outcome, Err(OutsideError::TimedOut { secs: 1 }));
        let pid = std::fs::read_to_string(folder.path().join("program.pid")).unwrap();
        let state = format!("/proc/{}/stat", pid.trim());
        for _ in 0..100 {
            // Gone, or dead and not yet waited for by its new parent.
            match std::fs::read_to_string(&state) {
                Ok(stat) if !stat.contains(") Z ") => {}
                _ => return,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the program's own child is still there");
    }
}
