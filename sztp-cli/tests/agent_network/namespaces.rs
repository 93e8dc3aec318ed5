//! Network namespaces of Linux: each test gets two of its own, that of the servers, in which it runs
//! itself, and that of the device, with a cable between them.
//!
//! The test starts itself anew beneath `unshare`, with processes and mounts of its own too, so that
//! nothing of it is left when it ends, and it needs no privileges where users may have namespaces.

use std::any::type_name;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Runs a test in namespaces of its own. `_test` is the test's function, by which it is found again.
pub(crate) fn alone<F: Fn()>(_test: &F, body: impl FnOnce(&Network)) {
    if std::env::var_os(INSIDE).is_some() {
        return body(&Network::new());
    }
    let Some(flags) = flags() else {
        // Not `eprintln!`, which the test harness swallows.
        let notice = "NOT TESTED: no network namespaces, which need root or user namespaces\n";
        let _ = std::io::stderr().write_all(notice.as_bytes());
        return;
    };
    // `crate::module::function`, and the harness knows it without the crate.
    let name = type_name::<F>().split_once("::").expect("a path").1;
    let output = Command::new("unshare")
        .args(flags)
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{name} is no test: {out}");
    // What it could not do is said outside too.
    for line in err.lines().filter(|line| line.starts_with("NOT TESTED: ")) {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// What makes the namespaces here; none if nothing does.
fn flags() -> Option<Vec<&'static str>> {
    const ALL: [&str; 6] = [
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ];
    let with_user = [&["--user", "--map-root-user"], ALL.as_slice()].concat();
    [ALL.to_vec(), with_user].into_iter().find(|flags| {
        // With an interface, as where there is no `ip` nothing can be tried.
        let tried = Command::new("unshare")
            .args(flags)
            .args([
                "ip", "link", "add", "one", "type", "veth", "peer", "name", "two",
            ])
            .stdin(Stdio::null())
            .output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

/// The servers' side is `servers` and here; the device's is `eth0` and elsewhere.
pub(crate) struct Network {
    device: &'static str,
}

impl Network {
    fn new() -> Self {
        run("mount -t tmpfs tmpfs /run");
        for directory in ["/run/kea", "/run/named", "/run/avahi-daemon", "/run/dbus"] {
            std::fs::create_dir(directory).expect("a directory");
        }
        run("ip netns add device");
        let network = Self {
            device: "--net=/run/netns/device",
        };
        run("ip link add servers type veth peer name eth0 netns device");
        // Link-local addresses are given below, where nobody has to wait for them.
        for command in [
            "ip link set lo up",
            "ip link set servers addrgenmode none",
            "ip link set servers up",
            "ip address add 10.42.0.1/24 dev servers",
            "ip address add fd42::1/64 dev servers nodad",
            "ip address add fe80::1/64 dev servers nodad",
        ] {
            run(command);
        }
        for command in [
            "ip link set lo up",
            "ip link set eth0 addrgenmode none",
            "ip link set eth0 up",
        ] {
            network.on_device(command);
        }
        network
    }

    /// Gives the device an address.
    pub(crate) fn address(&self, address: &str) {
        let wait = if address.contains(':') { " nodad" } else { "" };
        self.on_device(&format!("ip address add {address} dev eth0{wait}"));
    }

    /// Takes all of the device's addresses.
    pub(crate) fn no_addresses(&self) {
        self.on_device("ip address flush dev eth0");
    }

    /// Makes the cable carry 9000 octets at a time.
    pub(crate) fn jumbo_frames(&self) {
        run("ip link set servers mtu 9000");
        self.on_device("ip link set eth0 mtu 9000");
    }

    /// What runs another program on the device.
    pub(crate) fn device(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.device);
        command
    }

    /// Runs a program on the device.
    pub(crate) fn on_device(&self, command: &str) {
        let mut device = self.device();
        device.args(command.split(' '));
        finish(&mut device);
    }
}

/// Takes the servers' addresses that are not of the link.
pub(crate) fn only_the_link() {
    run("ip address delete fd42::1/64 dev servers");
    run("ip address delete 10.42.0.1/24 dev servers");
}

/// Has a server whose user this is be itself: where users have namespaces, there is one user.
pub(crate) fn one_user_as(name: &str) {
    for (file, rest) in [("passwd", "0:0::/:/bin/false"), ("group", "0:")] {
        let text = format!("root:x:{rest}\n{name}:x:{rest}\n");
        std::fs::write(format!("/run/{file}"), text).expect("a file");
        run(&format!("mount --bind /run/{file} /etc/{file}"));
    }
}

/// What the system asks DNS with (`resolv.conf`).
pub(crate) fn resolver(text: &str) {
    std::fs::write("/run/resolv.conf", text).expect("a file");
    run("mount --bind /run/resolv.conf /etc/resolv.conf");
}

fn run(command: &str) {
    let mut words = command.split(' ');
    finish(Command::new(words.next().expect("a program")).args(words));
}

fn finish(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

const INSIDE: &str = "SZTP_TEST_INSIDE_NAMESPACES";
