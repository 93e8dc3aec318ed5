//! The server as a process of its own, which can be killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::free_port;

/// The server's program.
pub struct Program {
    pub process: Child,
    pub device_port: u16,
    pub admin_port: u16,
}

impl Program {
    /// On this database, or SQLite, for devices that report as fast as they can.
    pub fn start(directory: &Path, database: Option<&str>) -> Self {
        let database =
            database.map_or_else(String::new, |url| format!("[database]\nurl = \"{url}\"\n"));
        Self::start_with(
            directory,
            &format!("[limits]\nreports_per_minute = 0\n{database}"),
        )
    }

    /// With these tables in its configuration.
    pub fn start_with(directory: &Path, tables: &str) -> Self {
        let (device_port, admin_port) = (free_port(), free_port());
        let config = format!(
            "data_dir = \"data\"\n\
             device_listen = \"127.0.0.1:{device_port}\"\n\
             admin_listen = \"127.0.0.1:{admin_port}\"\n{tables}"
        );
        fs::write(directory.join("sztp-server.toml"), config).expect("written");
        let process = Command::new(PROGRAM.expect("the tests of sztp-server have it"))
            .args(["--config", "sztp-server.toml"])
            .env("SZTP_LOG", "error")
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server's binary starts");
        let mut program = Self {
            process,
            device_port,
            admin_port,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", admin_port)).is_err()
            || !has_token(directory)
        {
            let ended = program
                .process
                .try_wait()
                .expect("the process can be asked");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "it does not listen after 30 seconds"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        program
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.process.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    pub fn kill_9(mut self) {
        self.process.kill().expect("SIGKILL");
        self.process.wait().expect("its end");
    }

    /// The messages of a device's reports, in the order of its history.
    pub fn reports(&self, directory: &Path, serial: &str) -> Vec<String> {
        let device = self.admin(directory, &[], &format!("devices/{serial}"));
        assert_eq!(device["state"], "InProgress", "{device}");
        let mut messages = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("devices/{serial}/history?limit=500{after}");
            let page = self.admin(directory, &[], &path);
            messages.extend(
                page["items"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .filter(|entry| entry["event"] == "progress")
                    .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return messages,
            }
        }
    }

    /// The status of what needs no token.
    pub fn status(&self, directory: &Path, path: &str) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code}", "--cacert"])
            .arg(directory.join("data/lab/server/tls-ca.crt"))
            .arg(format!("https://localhost:{}{path}", self.admin_port))
            .stdin(Stdio::null())
            .output()
            .expect("this test needs the program curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn admin(&self, directory: &Path, arguments: &[&str], path: &str) -> Value {
        let token = fs::read_to_string(directory.join("data/admin-token")).expect("the token");
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail-with-body",
                "--max-time",
                "20",
            ])
            .args(["--cacert", "data/lab/server/tls-ca.crt"])
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ])
            .args(arguments)
            .arg(format!(
                "https://localhost:{}/api/v1/{path}",
                self.admin_port
            ))
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .expect("this test needs the program curl");
        let body = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whole, and not only made.
fn has_token(directory: &Path) -> bool {
    fs::read(directory.join("data/admin-token")).is_ok_and(|token| token.ends_with(b"\n"))
}

/// None where tests of other packages use this.
const PROGRAM: Option<&str> = option_env!("CARGO_BIN_EXE_sztp-server");
