//! Options 143 and 136 (RFC 8572 §8) as DHCP clients write them down in their leases.
//!
//! Known are the lease files of ISC dhclient, the `OPTION_143=` lines of systemd-networkd and
//! NetworkManager's internal client, and the environment that udhcpc gives to its script, saved with
//! `env`. What the options say is judged by the device machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The values of the options in these lease files, or in those of the usual places if there are
/// none; a file that is not there has none.
pub(super) fn read_all(given: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let files = if given.is_empty() {
        usual()
    } else {
        given.to_vec()
    };
    let mut values = Vec::new();
    for file in files {
        for value in options(&read(&file)?) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
    Ok(values)
}

/// The values of the options in a lease file, whoever wrote it.
fn options(text: &str) -> Vec<Vec<u8>> {
    if text
        .lines()
        .any(|line| matches!(line.trim(), "lease {" | "lease6 {"))
    {
        of_dhclient(text)
    } else {
        text.lines().filter_map(of_line).collect()
    }
}

/// `lease { interface "eth0"; option unknown-143 0:14:68...; }`, of each interface and family the
/// last one, which is the current one.
fn of_dhclient(text: &str) -> Vec<Vec<u8>> {
    let mut leases: BTreeMap<(String, bool), Option<Vec<u8>>> = BTreeMap::new();
    let mut interface = String::new();
    let mut value = None;
    let mut depth = 0_usize;
    let mut v6 = false;
    for line in text.lines() {
        let line = line.trim();
        if line.ends_with('{') {
            if depth == 0 {
                v6 = line.starts_with("lease6");
                interface.clear();
                value = None;
            }
            depth += 1;
        } else if line.starts_with('}') {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                leases.insert((interface.clone(), v6), value.take());
            }
        } else if let Some(rest) = line.strip_prefix("interface ") {
            rest.trim_matches([' ', '"', ';'])
                .clone_into(&mut interface);
        } else if let Some((name, written)) = line
            .strip_prefix("option ")
            .and_then(|rest| rest.strip_suffix(';'))
            .and_then(|rest| rest.split_once(' '))
            && DHCLIENT_NAMES.contains(&name)
        {
            value = dhclient_value(written.trim()).or(value);
        }
    }
    leases.into_values().flatten().collect()
}

/// `0:14:68:74`, or `"text"` with backslashes and octal numbers.
fn dhclient_value(written: &str) -> Option<Vec<u8>> {
    let Some(quoted) = written.strip_prefix('"') else {
        return written
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).ok())
            .collect();
    };
    let mut octets = quoted.strip_suffix('"')?.bytes().peekable();
    let mut value = Vec::new();
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            value.push(octet);
            continue;
        }
        let mut number = None;
        for _ in 0..3 {
            let Some(digit) = octets.next_if(|digit| (b'0'..=b'7').contains(digit)) else {
                break;
            };
            number = Some(number.unwrap_or(0_u16) * 8 + u16::from(digit - b'0'));
        }
        match number {
            Some(number) => value.push(u8::try_from(number).ok()?),
            None => value.push(octets.next()?),
        }
    }
    Some(value)
}

/// `OPTION_143=001468...` or `opt143='001468...'`.
fn of_line(line: &str) -> Option<Vec<u8>> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, written) = line.split_once('=')?;
    if !LINE_NAMES.contains(&name) {
        return None;
    }
    let digits: Vec<u8> = written
        .trim_matches(['"', '\''])
        .bytes()
        .filter(|octet| *octet != b':')
        .collect();
    digits
        .chunks(2)
        .map(|pair| {
            let both = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
            let pair = core::str::from_utf8(pair).ok()?;
            both.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        })
        .collect::<Option<Vec<u8>>>()
        .filter(|value| !value.is_empty())
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        other => other.map_err(failed)?,
    };
    let mut octets = Vec::new();
    // The current lease stands last, but nothing in a file of this size is a lease.
    file.take(MAX_OCTETS + 1)
        .read_to_end(&mut octets)
        .map_err(failed)?;
    if octets.len() as u64 > MAX_OCTETS {
        return Err(format!(
            "{}: larger than {MAX_OCTETS} octets",
            path.display()
        ));
    }
    Ok(String::from_utf8_lossy(&octets).into_owned())
}

/// The lease files that are there.
fn usual() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (directory, start) in USUAL {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        found.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
                .map(|entry| entry.path())
                .filter(|path| path.is_file()),
        );
    }
    found.sort();
    found.truncate(MAX_FILES);
    found
}

/// As dhclient calls them of itself, and as our own `sztp dhcp encode --format isc` does.
const DHCLIENT_NAMES: [&str; 6] = [
    "unknown-143",
    "sztp-redirect",
    "v4-sztp-redirect",
    "dhcp6.unknown-136",
    "dhcp6.sztp-redirect",
    "dhcp6.v6-sztp-redirect",
];
const LINE_NAMES: [&str; 4] = ["OPTION_143", "OPTION_136", "opt143", "opt136"];
/// Directories, and how the names of leases in them begin.
const USUAL: [(&str, &str); 6] = [
    ("/var/lib/dhcp", "dhclient"),
    ("/var/lib/dhclient", "dhclient"),
    ("/run/systemd/netif/leases", ""),
    ("/var/lib/NetworkManager", "internal-"),
    ("/run/NetworkManager", "internal-"),
    ("/run/sztp", "udhcpc"),
];
const MAX_FILES: usize = 64;
const MAX_OCTETS: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use sztp_core::dhcp::{BootstrapServerList, DhcpLeniency};

    fn uris(text: &str) -> Vec<String> {
        let values = options(text).into_iter();
        let lists = values.map(|value| {
            let list = BootstrapServerList::decode(&value, DhcpLeniency::default()).unwrap();
            list.list.uris().iter().map(ToString::to_string).collect()
        });
        lists.collect::<Vec<Vec<String>>>().concat()
    }

    fn sample(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/leases");
        fs::read_to_string(path.join(name)).unwrap()
    }

    #[test]
    fn dhclient_keeps_the_last_lease_of_each_interface_last() {
        let text = sample("dhclient.leases");
        assert_eq!(uris(&text), ["https://b.example", "https://other.example"]);
        let text = sample("dhclient6.leases");
        assert_eq!(uris(&text), ["https://six.example:8443"]);
    }

    #[test]
    fn a_renewed_lease_without_the_option_has_none() {
        let lease = "lease {\n  interface \"eth0\";\n  option unknown-143 0:3:61:62:63;\n}\n";
        let renewed = "lease {\n  interface \"eth0\";\n  option routers 10.0.0.1;\n}\n";
        assert_eq!(options(lease).len(), 1);
        assert!(options(&format!("{lease}{renewed}")).is_empty());
    }

    #[test]
    fn networkd_and_network_manager_and_udhcpc() {
        for name in ["networkd", "network-manager.lease", "udhcpc.env"] {
            assert_eq!(uris(&sample(name)), ["https://a.example"], "{name}");
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for text in [
            "OPTION_143=0",
            "OPTION_143=",
            "OPTION_143=zz",
            "OPTION_143=+1",
            "opt143=\u{e9}\u{e9}",
            "OPTION_144=00",
            "lease {\n option unknown-143 0:999:1;\n}\n",
            "lease {\n option unknown-143 \"\\777\";\n}\n",
            "lease {\n option unknown-143 \"open;\n}\n",
            "}\n}\nlease {",
        ] {
            assert!(options(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn only_files_that_cannot_be_read_are_failures() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        assert_eq!(read_all(&[absent]), Ok(Vec::new()));
        let large = folder.path().join("large");
        File::create(&large)
            .unwrap()
            .set_len(MAX_OCTETS + 1)
            .unwrap();
        assert!(read_all(&[large]).is_err());
        assert!(read_all(&[folder.path().to_owned()]).is_err());
    }
}
