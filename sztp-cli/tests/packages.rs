//! What packages and images bring along is understood by the programs that it is for. That they can
//! be installed and used is tried by `packaging/try`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sztp_server::Config;

#[test]
fn the_service_differs_from_the_defaults_in_its_data_directory() {
    let expected = Config {
        data_dir: PathBuf::from("/var/lib/sztp-server"),
        ..Config::default()
    };
    let packaged = Config::from_file(&root().join("sztp-server/dist/sztp-server.toml"));
    assert_eq!(packaged, Ok(expected.clone()));
    // What no systemd of a host could look at is reached from outside of the container.
    let admin_listen = "0.0.0.0:9443".parse().expect("an address");
    let contained = Config::from_file(&root().join("packaging/container.toml"));
    let expected = Config {
        admin_listen,
        ..expected
    };
    assert_eq!(contained, Ok(expected));
}

#[test]
fn what_the_packaged_configuration_suggests_is_understood() {
    let path = root().join("sztp-server/dist/sztp-server.toml");
    let text = fs::read_to_string(path).expect("the configuration");
    let uncommented: String = text
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| line.contains(" = ") || line.starts_with('['))
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = Config::from_toml(&uncommented).expect("every suggestion together");
    assert!(config.tls.certificate.is_some() && config.owner.key.is_some());
    assert!(!config.idevid_anchors.is_empty() && !config.voucher_anchors.is_empty());
}

#[test]
fn the_agents_unit_starts_what_the_agent_understands() {
    let unit = root().join("sztp-cli/dist/systemd/sztp-agent.service");
    let unit = fs::read_to_string(unit).expect("the unit");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/sztp "))
        .expect("a command");
    let nowhere = tempfile::tempdir().expect("a temporary directory");
    let configuration = nowhere.path().join("agent.toml");
    let start = start.replace("/etc/sztp/agent.toml", &configuration.to_string_lossy());
    let run = || {
        let output = Command::new(env!("CARGO_BIN_EXE_sztp"))
            .args(start.split(' '))
            .stdin(Stdio::null())
            .output()
            .expect("sztp starts");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    // The command line is good, and so is the file that it then wants: only the device's own
    // certificate and key are missing.
    let said = run();
    assert!(said.contains("error[file.unreadable]"), "{said}");
    let example = fs::read_to_string(root().join("sztp-cli/dist/agent.toml")).expect("an example");
    let state = nowhere.path().join("state");
    let example = example.replace("/var/lib/sztp", &state.to_string_lossy());
    let absent = nowhere.path().join("etc");
    let example = example.replace("/etc/sztp", &absent.to_string_lossy());
    fs::write(&configuration, example).expect("a file");
    let said = run();
    assert!(said.contains("error[file.unreadable]"), "{said}");
    assert!(said.contains(&*absent.to_string_lossy()), "{said}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}
