//! Servers of others, as Debian has them, each started and waited for.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::workbench::Workbench;

/// A server that runs until it is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a program that says `ready` in its log when it is; none if it is not installed.
    pub(crate) fn start(
        bench: &Workbench,
        program: &str,
        arguments: &str,
        ready: &str,
    ) -> Option<Self> {
        let name = program.rsplit('/').next().unwrap_or(program);
        let log = bench.path(&format!("{name}.log"));
        let output = File::create(&log).expect("a log");
        let started = Command::new(program)
            .args(arguments.split(' '))
            .current_dir(bench.path(""))
            .env("KEA_PIDFILE_DIR", "/run/kea")
            .env("KEA_LOCKFILE_DIR", "none")
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a log"))
            .stderr(output)
            .spawn();
        let Ok(child) = started else {
            absent(program);
            return None;
        };
        let mut daemon = Self { child, log };
        let begun = Instant::now();
        while !daemon.log().contains(ready) {
            let ended = daemon.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{program}: {}", daemon.log());
            assert!(begun.elapsed() < PATIENCE, "{program}: {}", daemon.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(daemon)
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that something could not be tried.
pub(crate) fn absent(program: &str) {
    // Not `eprintln!`, which the test harness swallows.
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {program} is not installed");
}

const PATIENCE: Duration = Duration::from_secs(20);
