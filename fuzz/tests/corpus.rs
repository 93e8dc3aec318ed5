//! The corpora of the targets that the workspace's own tests cannot replay, and for the
//! differential one every change of one octet of its small seeds.

use std::path::Path;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let entries = std::fs::read_dir(&folder).expect("a corpus");
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let octets = std::fs::read(entry.path()).expect("a seed");
            (entry.file_name().to_string_lossy().into_owned(), octets)
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 10, "{target} has {} seeds", seeds.len());
    seeds
}

#[test]
fn jws() {
    for (seed, octets) in corpus("jws") {
        println!("{seed}");
        sztp_fuzz::jws(&octets);
    }
}

#[test]
fn openssl_agrees_on_the_corpus() {
    let mut accepted = 0;
    for (seed, octets) in corpus("openssl") {
        assert_eq!(sztp_fuzz::difference(&octets), None, "{seed}");
        accepted += usize::from(sztp_fuzz::is_accepted_by_both(&octets));
    }
    assert!(accepted >= 8, "only {accepted} seeds are good messages");
}

#[test]
fn openssl_agrees_on_whatever_has_one_octet_changed() {
    for (seed, octets) in corpus("openssl") {
        if octets.len() > 950 {
            continue;
        }
        for at in 0..octets.len() {
            for change in [0x01, 0x20] {
                let mut changed = octets.clone();
                changed[at] ^= change;
                assert_eq!(
                    sztp_fuzz::difference(&changed),
                    None,
                    "{seed}, octet {at} changed by {change:#04x}"
                );
            }
        }
    }
}
