//! A directory with a lab PKI in which `sztp` is run, and what came of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A directory of its own with a copy of the kept lab PKI in `lab/`.
pub(crate) struct Workbench {
    directory: tempfile::TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Workbench {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        copy(&data().join("lab"), &directory.path().join("lab"));
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs `sztp` with arguments that are separated by single spaces.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ran {
        let sztp = Command::new(env!("CARGO_BIN_EXE_sztp"));
        self.finish(sztp, arguments, environment)
    }

    #[allow(dead_code, reason = "only some tests run it in a namespace")]
    /// Runs `sztp` by way of a program that runs another one, as `nsenter` does.
    pub(crate) fn run_by(&self, mut way: Command, arguments: &str) -> Ran {
        way.arg(env!("CARGO_BIN_EXE_sztp"));
        self.finish(way, arguments, &[])
    }

    fn finish(&self, mut sztp: Command, arguments: &str, environment: &[(&str, &str)]) -> Ran {
        let output = sztp
            .args(arguments.split(' '))
            .current_dir(self.directory.path())
            .env_remove("SZTP_PASSPHRASE")
            .env_remove("CLICOLOR_FORCE")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("sztp starts");
        Ran {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs another program; none if it is not installed.
    pub(crate) fn run_other(&self, program: &str, arguments: &str) -> Option<Ran> {
        let output = Command::new(program)
            .args(arguments.split(' '))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output();
        let Ok(output) = output else {
            // Not `eprintln!`, which the test harness swallows.
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("NOT TESTED: {program} is not installed\n").as_bytes(),
            );
            return None;
        };
        Some(Ran {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A voucher of the lab's MASA for AX7-00042.
    pub(crate) fn issue(&self, more: &str, out: &str) -> Ran {
        let more = if more.is_empty() {
            String::new()
        } else {
            format!(" {more}")
        };
        self.run(&format!(
            "voucher issue --serial-number AX7-00042 --pinned-domain-cert \
             lab/owner/pinned-domain-ca.crt --signer-cert lab/vendor/masa.crt --signer-key \
             lab/vendor/masa.key --created-on {CREATED_ON} --out {out}{more}"
        ))
    }

    /// The three artifacts of one onboarding.
    pub(crate) fn make_artifacts(&self) {
        self.issue("", "voucher.vcj").ok();
        self.write("edge.conf", "hostname edge-42\n");
        self.run(
            "conveyed-info onboarding --configuration edge.conf --configuration-handling replace \
             --out onboarding.json",
        )
        .ok();
        self.run(
            "conveyed-info sign onboarding.json --owner-cert lab/owner/owner.crt --owner-key \
             lab/owner/owner.key --out conveyed-information.cms",
        )
        .ok();
        self.run("owner-certificate bundle lab/owner/owner.crt --out owner-certificate.cms")
            .ok();
    }
}

impl Ran {
    /// It is done.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// It failed with this code.
    pub(crate) fn refused(self, code: &str) -> Self {
        assert_eq!(self.code, 1, "{self:?}");
        self.says(code)
    }

    /// It was not understood, for the reason with this code.
    pub(crate) fn misused(self, code: &str) -> Self {
        assert_eq!(self.code, 2, "{self:?}");
        self.says(code)
    }

    /// It was not understood by the parser of the command line.
    pub(crate) fn rejected(self) -> Self {
        assert_eq!(self.code, 2, "{self:?}");
        assert!(
            self.out.is_empty() && self.err.starts_with("error: "),
            "{self:?}"
        );
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn says(self, code: &str) -> Self {
        let line = format!("error[{code}]: ");
        assert!(
            self.err.lines().any(|one| one.starts_with(&line)),
            "{code}: {self:?}"
        );
        self
    }
}

/// When the kept lab's vouchers are made and judged.
pub(crate) const CREATED_ON: &str = "2026-12-01T00:00:00Z";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the kept lab PKI") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("a file");
        }
    }
}
