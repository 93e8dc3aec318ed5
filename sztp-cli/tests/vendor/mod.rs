//! A vendor: a lab PKI, and its MASA as a process of its own.

#![allow(dead_code, reason = "each test file needs its own part")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sztp_cms::{KeyType, UnixTime};
use sztp_server::lab::{Identity, LabOptions, LabPki};

/// A MASA that is killed with its owner.
pub(crate) struct Masa {
    child: Child,
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
}

/// A lab below `directory`, with a registrar.
pub(crate) fn lab(directory: &Path, now: UnixTime) -> (LabPki, Identity) {
    let lab = LabPki::generate(&LabOptions::new(now)).expect("a lab");
    fs::create_dir_all(directory).expect("a directory");
    lab.write(&directory.join("lab")).expect("written");
    let registrar = lab
        .issue_registrar(KeyType::EcP256, LabOptions::new(now).valid_from)
        .expect("a registrar");
    lab.write_registrar(&directory.join("lab"), &registrar)
        .expect("written");
    (lab, registrar)
}

impl Masa {
    /// Starts a MASA on the lab in `directory`, for devices that are sold to the lab's owner.
    pub(crate) fn start(directory: &Path, serial_numbers: &[&str], policy: &str) -> Self {
        sell(directory, serial_numbers);
        let config = format!(
            "listen = \"127.0.0.1:0\"\nsales_list = \"sales.csv\"\n\
             [tls]\ncertificate = \"lab/server/tls.crt\"\nkey = \"lab/server/tls.key\"\n\
             [signer]\ncertificate = \"lab/vendor/masa.crt\"\nkey = \"lab/vendor/masa.key\"\n\
             [policy]\nidevid_anchors = [\"lab/vendor/root.crt\", \"lab/vendor/idevid-ca.crt\"]\n\
             {policy}\n"
        );
        fs::write(directory.join("masa.toml"), config).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_sztp"))
            .args(["masa", "serve", "--config", "masa.toml"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sztp starts");
        let stdout = child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a first line");
        let port = line
            .split_once("https://127.0.0.1:")
            .and_then(|(_, rest)| rest.split('/').next()?.parse().ok())
            .unwrap_or_else(|| panic!("no address: {line:?}"));
        Self {
            child,
            port,
            directory: directory.to_owned(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// As a machine that is switched off.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// What it has decided, oldest first.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.join("masa-audit.jsonl")).unwrap_or_default();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// The outcomes of what it has decided.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let lines = self.audit();
        let outcome = |line: &Value| line["outcome"].as_str().unwrap_or_default().to_owned();
        lines.iter().map(outcome).collect()
    }
}

impl Drop for Masa {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the sales list, as one that is put in place whole.
pub(crate) fn sell(directory: &Path, serial_numbers: &[&str]) {
    let mut text = "serial-number,pinned-domain-cert\n".to_owned();
    for serial_number in serial_numbers {
        text.push_str(serial_number);
        text.push_str(
            ",lab/owner/pinned-domain-ca.crt
",
        );
    }
    let aside = directory.join("sales.new");
    fs::write(&aside, text).expect("written");
    fs::rename(aside, directory.join("sales.csv")).expect("renamed");
}

/// Waits for something that comes true soon.
pub(crate) fn soon(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
