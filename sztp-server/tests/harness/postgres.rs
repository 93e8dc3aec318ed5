//! A PostgreSQL of the tests' own: made in a temporary directory, reached by a Unix socket only,
//! stopped and removed when the test's process ends, however it does.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// A server with its databases.
pub struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    user: Option<(String, u32, u32)>,
    port: u16,
    tcp: bool,
    settings: Vec<String>,
    keeper: Mutex<Option<Keeper>>,
}

/// The shell that stops the server when its standard input ends.
struct Keeper {
    process: Child,
    alive: ChildStdin,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Postgres {
    /// The server that all tests of a process share, which does not wait for disks; none where
    /// PostgreSQL is not installed, which is said.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&["fsync=off"])).as_ref()
    }

    /// A server of one's own.
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_reached_by(false, settings)
    }

    /// A server that is also reached at 127.0.0.1, by TLS if it is set so.
    pub fn start_with_tcp(settings: &[&str]) -> Option<Self> {
        Self::start_reached_by(true, settings)
    }

    fn start_reached_by(tcp: bool, settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            // The harness swallows eprintln!.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: PostgreSQL is not installed (Debian package postgresql), \
                 so nothing is tried on it"
            );
            return None;
        };
        let directory = tempfile::Builder::new()
            .prefix("sztp-pg-")
            .tempdir()
            .expect("a directory")
            .keep();
        let user = unprivileged();
        if let Some((_, uid, gid)) = &user {
            std::os::unix::fs::chown(&directory, Some(*uid), Some(*gid)).expect("chown");
        }
        let postgres = Self {
            port: super::free_port(),
            directory,
            programs,
            user,
            tcp,
            settings: settings.iter().map(|it| (*it).to_owned()).collect(),
            keeper: Mutex::default(),
        };
        // Sorted as people do by default, to show that nothing of ours depends on it.
        let made = postgres
            .program("initdb")
            .args([
                "--auth=trust",
                "--username=sztp",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .args([
                "--locale=C.UTF-8",
                "--locale-provider=icu",
                "--icu-locale=en-US",
            ])
            .arg("--no-instructions")
            .arg("-D")
            .arg(postgres.directory.join("data"))
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        postgres.run();
        Some(postgres)
    }

    /// The URL of a new and empty database.
    pub fn database(&self) -> String {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        );
        self.url(&name)
    }

    /// The URL of a database, by the Unix socket.
    pub fn url(&self, database: &str) -> String {
        let socket = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://sztp@{socket}:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join("data").join(name)
    }

    /// A file in the data directory, for the server's user alone.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        let private = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        fs::set_permissions(&path, private).expect("private");
        if let Some((_, uid, gid)) = &self.user {
            std::os::unix::fs::chown(&path, Some(*uid), Some(*gid)).expect("chown");
        }
    }

    /// What psql answers, unaligned and without headings.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let output = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--variable=ON_ERROR_STOP=1", "--username=sztp"])
            .arg("--host")
            .arg(&self.directory)
            .arg("--port")
            .arg(self.port.to_string())
            .args(["--dbname", database, "--command", statement])
            .stdin(Stdio::null())
            .output()
            .expect("psql runs");
        assert!(
            output.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Ends the server at once, as a power failure of its machine would, but for the disks.
    pub fn stop_at_once(&self) {
        let stopped = self
            .program("pg_ctl")
            .args(["stop", "--mode=immediate", "--silent", "-D"])
            .arg(self.directory.join("data"))
            .status()
            .expect("pg_ctl runs");
        assert!(stopped.success(), "pg_ctl stop: {stopped}");
        // The directory stays.
        let keeper = self.keeper.lock().expect("no panic").take();
        if let Some(mut keeper) = keeper {
            keeper.process.kill().expect("killed");
            keeper.process.wait().expect("the keeper's end");
        }
    }

    /// Starts it, again after [`Self::stop_at_once`], and waits until it takes connections.
    pub fn run(&self) {
        let data = self.directory.join("data");
        let mut server = self.program("postgres");
        server.arg("-D").arg(&data);
        server
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(&self.directory);
        server.arg("-c").arg(format!(
            "listen_addresses={}",
            if self.tcp { "127.0.0.1" } else { "" }
        ));
        for setting in ["max_connections=200", "logging_collector=off"]
            .into_iter()
            .chain(self.settings.iter().map(String::as_str))
        {
            server.args(["-c", setting]);
        }
        // Its standard input ends with this process, and then the directory goes.
        let mut keeper = Command::new("sh")
            .arg("-c")
            .arg(
                "log=$1; directory=$2; shift 2
                 \"$@\" >\"$log\" 2>&1 </dev/null &
                 server=$!
                 read -r _
                 kill -INT $server 2>/dev/null; wait $server
                 rm -rf \"$directory\"",
            )
            .arg("keeper")
            .arg(self.directory.join("log"))
            .arg(&self.directory)
            .arg(server.get_program())
            .args(server.get_args())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let alive = keeper.stdin.take().expect("piped");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.is_ready() {
            let ended = keeper.try_wait().expect("it can be asked");
            let log = || fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "PostgreSQL does not start: {}", log());
            assert!(
                Instant::now() < deadline,
                "PostgreSQL takes too long: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
        *self.keeper.lock().expect("no panic") = Some(Keeper {
            process: keeper,
            alive,
        });
    }

    fn is_ready(&self) -> bool {
        Command::new(self.programs.join("pg_isready"))
            .arg("--quiet")
            .arg("--host")
            .arg(&self.directory)
            .args(["--port", &self.port.to_string(), "--timeout=1"])
            .status()
            .expect("pg_isready runs")
            .success()
    }

    /// A program of the server's, as a user that may run it: it refuses to for root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = match &self.user {
            None => Command::new(program),
            Some((_, uid, gid)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={uid}"))
                    .arg(format!("--regid={gid}"))
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        };
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let keeper = self.keeper.lock().ok().and_then(|mut keeper| keeper.take());
        if let Some(keeper) = keeper {
            let Keeper { mut process, alive } = keeper;
            drop(alive);
            let _ = process.wait();
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Where the server's programs are, the newest version's.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, path)| path);
    newest
        .into_iter()
        .chain([
            PathBuf::from("/usr/local/pgsql/bin"),
            PathBuf::from("/usr/bin"),
        ])
        .find(|path| is_there(path))
}

fn is_there(programs: &Path) -> bool {
    ["initdb", "postgres"]
        .iter()
        .all(|name| programs.join(name).exists())
}

/// For root: another user, with its numbers.
fn unprivileged() -> Option<(String, u32, u32)> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        text.parse::<u32>().ok()
    };
    if number(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|name| {
        Some((
            (*name).to_owned(),
            number(&["-u", name])?,
            number(&["-g", name])?,
        ))
    })
}
