//! Options 143 and 136 (RFC 8572 §8) against the kept vectors, round trips, and hostile octets.

mod random;

use std::io::Write as _;
use std::path::PathBuf;

use random::Random;
use sztp_core::dhcp::long_option::{OptionFields, find_v6, split};
use sztp_core::dhcp::{
    BootstrapServerList, BootstrapUri, DhcpError, DhcpLeniency, Family, OPTION_V4_SZTP_REDIRECT,
    OPTION_V6_SZTP_REDIRECT,
};

fn list(uris: &[&str]) -> BootstrapServerList {
    let uris = uris
        .iter()
        .map(|uri| BootstrapUri::parse(uri).expect("a URI"));
    BootstrapServerList::new(uris.collect()).expect("a list")
}

fn hexadecimal(octets: &[u8]) -> String {
    let octets: Vec<String> = octets.iter().map(|o| format!("{o:02x}")).collect();
    octets.concat()
}

/// As a client: one option out of a message, then the list out of the option.
fn received(family: Family, options: &[u8]) -> Result<BootstrapServerList, DhcpError> {
    let value = match family {
        Family::V4 => OptionFields::options_only(options).join(OPTION_V4_SZTP_REDIRECT)?,
        Family::V6 => find_v6(OPTION_V6_SZTP_REDIRECT, options)?.map(<[u8]>::to_vec),
    };
    let code = family.option_code();
    let value = value.ok_or(DhcpError::Absent { code })?;
    BootstrapServerList::decode(&value, DhcpLeniency::default()).map(|received| received.list)
}

#[test]
fn the_kept_vectors() {
    let shared = std::env::var_os("SZTP_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("conformance/examples/dhcp-vectors.txt");
    let Ok(vectors) = std::fs::read_to_string(&path) else {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: {} is absent",
            path.display()
        );
        return;
    };
    let after = |start: &str| {
        let line = vectors.lines().find(|line| line.starts_with(start));
        let line = line.unwrap_or_else(|| panic!("no line {start:?}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    // LEDGER: 8572-8.1-07, 8572-8.2-04, 8572-8.3-01
    let two = list(&["https://198.51.100.7", "https://boot-a.birch.example:8443"]);
    assert_eq!(hexadecimal(&two.to_option(Family::V4)), after("v4 option"));
    assert_eq!(hexadecimal(&two.to_option(Family::V6)), after("v6 option"));
    // LEDGER: 8572-8.1-05, 8572-8.1-06, 8572-8.1-08
    let uris: Vec<String> = (0..12)
        .map(|n| format!("https://boot-{n:02}.birch.example:8443"))
        .collect();
    let twelve = list(&uris.iter().map(String::as_str).collect::<Vec<_>>());
    let option = twelve.to_option(Family::V4);
    assert_eq!(hexadecimal(&option), after("12 URIs"));
    // LEDGER: 8572-8.1-04, 3396-01
    assert_eq!(received(Family::V4, &option), Ok(twelve));
}

#[test]
fn what_is_encoded_is_decoded_in_both_families() {
    // LEDGER: 8572-8.2-02
    let mut random = Random(1);
    for _ in 0..500 {
        let count = 1 + random.below(64);
        let uris: Vec<BootstrapUri> = (0..count).map(|_| any_uri(&mut random)).collect();
        let list = BootstrapServerList::new(uris).unwrap();
        for family in [Family::V4, Family::V6] {
            // Among options of other codes.
            let mut options = match family {
                Family::V4 => split(12, b"edge-42"),
                Family::V6 => vec![0, 23, 0, 2, 1, 2],
            };
            options.extend(list.to_option(family));
            if family == Family::V4 {
                options.push(255);
            }
            assert_eq!(received(family, &options), Ok(list.clone()));
        }
    }
}

#[test]
fn a_long_option_may_be_cut_anywhere() {
    // LEDGER: 8572-8.1-04
    let list = list(&["https://a.example", "https://[2001:db8::7]:8443"]);
    let value = list.encode();
    for first in 0..=value.len() {
        for second in first..=value.len() {
            let parts = [&value[..first], &value[first..second], &value[second..]];
            let mut options = Vec::new();
            for part in parts {
                options.extend(split(OPTION_V4_SZTP_REDIRECT, part));
                options.extend([0, 1, 4, 255, 255, 255, 0]);
            }
            assert_eq!(received(Family::V4, &options).as_ref(), Ok(&list));
        }
    }
}

#[test]
fn no_octets_are_too_hostile() {
    let mut random = Random(2);
    let good = list(&["https://boot.example:8443", "https://192.0.2.7"]).encode();
    for _ in 0..20_000 {
        let mut value = if random.below(2) == 0 {
            good.clone()
        } else {
            random.octets(64)
        };
        for _ in 0..random.below(4) {
            let at = random.below(value.len().max(1));
            if let Some(octet) = value.get_mut(at) {
                *octet = random.octet();
            }
        }
        value.truncate(random.below(value.len() + 1));
        for leniency in [DhcpLeniency::default(), DhcpLeniency::FIELD] {
            // Whatever is accepted is an https URI without a path that reads the same again.
            let Ok(received) = BootstrapServerList::decode(&value, leniency) else {
                continue;
            };
            assert!(!received.list.uris().is_empty());
            for uri in received.list.uris() {
                assert_eq!(BootstrapUri::parse(&uri.to_string()).as_ref(), Ok(uri));
            }
        }
        let _ = received(Family::V4, &value);
        let _ = received(Family::V6, &value);
    }
}

/// An address or a name, with or without a port.
fn any_uri(random: &mut Random) -> BootstrapUri {
    let host = match random.below(3) {
        0 => format!("192.0.2.{}", random.octet()),
        1 => format!("[2001:db8::{:x}]", 1 + random.below(0xfffe)),
        _ => format!("{}.example", "b".repeat(1 + random.below(63))),
    };
    let port = match random.below(2) {
        0 => String::new(),
        _ => format!(":{}", 1 + random.below(65_535)),
    };
    BootstrapUri::parse(&format!("https://{host}{port}")).expect("a URI")
}
