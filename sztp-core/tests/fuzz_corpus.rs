//! The fuzz targets without a fuzzer: their corpus is replayed, and thousands of deterministic
//! mutations of each seed, so that a panic on input is found by a normal test run.
//!
//! `SZTP_WRITE_CORPUS=1 cargo test -p sztp-core --test fuzz_corpus` makes the corpus again from
//! the example documents; seeds that come from elsewhere and inputs that once were a bug stay.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/targets/mod.rs"]
#[expect(unreachable_pub, reason = "there it is a library")]
mod targets;

type Target = fn(&[u8]);
type Seeds = BTreeMap<String, Vec<u8>>;

const TARGETS: [(&str, Target); 15] = [
    ("ber", targets::ber),
    ("cms", targets::cms),
    ("enveloped_data", targets::enveloped_data),
    ("certificate", targets::certificate),
    ("certification_request", targets::certification_request),
    ("crl", targets::crl),
    ("path", targets::path),
    ("voucher", targets::voucher),
    ("voucher_document", targets::voucher_document),
    ("voucher_request", targets::voucher_request),
    ("conveyed_information", targets::conveyed_information),
    ("rpc", targets::rpc),
    ("dhcp", targets::dhcp),
    ("dns", targets::dns),
    ("removable_storage", targets::removable_storage),
];
/// Those that need a feature or a library that is not here; `fuzz` has a test for them.
const ELSEWHERE: [&str; 2] = ["jws", "openssl"];

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn corpus(target: &str) -> Seeds {
    let folder = workspace("fuzz/corpus").join(target);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    if std::env::var_os("SZTP_WRITE_CORPUS").is_some() {
        write_corpus();
    }
    let manifest = std::fs::read_to_string(workspace("fuzz/Cargo.toml")).unwrap();
    let listed = manifest.lines().filter(|line| *line == "[[bin]]").count();
    assert_eq!(listed, TARGETS.len() + ELSEWHERE.len());
    let here = TARGETS.iter().map(|(name, _)| *name);
    for name in here.chain(ELSEWHERE) {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
        assert!(
            workspace(&format!("fuzz/fuzz_targets/{name}.rs")).is_file(),
            "{name}"
        );
        let seeds = corpus(name);
        assert!(seeds.len() >= 10, "{name} has {} seeds", seeds.len());
        let large = seeds.iter().find(|(_, octets)| octets.len() > 16 * 1024);
        assert_eq!(large.map(|(name, _)| name), None, "seeds are small");
    }
}

#[test]
fn the_corpus_is_read_without_a_panic() {
    for (name, target) in TARGETS {
        for (seed, octets) in corpus(name) {
            run(target, &octets, &format!("{name}/{seed}"));
        }
    }
}

/// Every seed is also what another target could be sent.
#[test]
fn seeds_of_one_target_are_read_by_the_others() {
    for (name, target) in TARGETS {
        for (other, _) in TARGETS.into_iter().filter(|(other, _)| *other != name) {
            for (seed, octets) in corpus(other) {
                run(target, &octets, &format!("{name} on {other}/{seed}"));
            }
        }
    }
}

#[test]
fn mutated_seeds_are_read_without_a_panic() {
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || mutate_all(name, target));
        }
    });
}

fn mutate_all(name: &str, target: Target) {
    let seeds = corpus(name);
    let all: Vec<&Vec<u8>> = seeds.values().collect();
    // What is cut off already has little left to change.
    let whole = seeds.iter().filter(|(seed, _)| !seed.starts_with("cut-"));
    for (index, (seed, octets)) in whole.enumerate() {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1));
        for round in 0..mutations(name) {
            let mutated = mutated(octets, &all, &mut random);
            run(
                target,
                &mutated,
                &format!("{name}/{seed}, mutation {round}"),
            );
        }
    }
}

/// For each seed: a hundred thousand altogether, in seconds.
fn mutations(name: &str) -> usize {
    match name {
        // These sign or encrypt for each.
        "path" | "enveloped_data" => 50,
        "ber" => 200,
        _ => 1000,
    }
}

/// Runs a target, and says which input it was that it did not survive.
fn run(target: Target, octets: &[u8], what: &str) {
    let outcome = std::panic::catch_unwind(|| target(octets));
    if outcome.is_err() {
        let head = &octets[..octets.len().min(2000)];
        panic!(
            "{what}: {} octets: {:?}",
            octets.len(),
            String::from_utf8_lossy(head)
        );
    }
}

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 {
            return 0;
        }
        usize::try_from(self.next() >> 33).unwrap() % limit
    }
}

/// One to four changes of the kinds that a fuzzer makes.
fn mutated(seed: &[u8], others: &[&Vec<u8>], random: &mut Random) -> Vec<u8> {
    /// Octets that mean something in DER, JSON and XML.
    const TELLING: &[u8] =
        b"\x00\x01\x7F\x80\x81\x82\x84\xFF\x30\x31\x24\x04\x06\xA0\xA1\"{}[]<>&/:,\\-=";
    let mut octets = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(octets.len() + 1);
        let end = (at + 1 + random.below(40)).min(octets.len());
        match random.below(8) {
            0 if at < octets.len() => octets[at] ^= 1 << random.below(8),
            1 if at < octets.len() => octets[at] = TELLING[random.below(TELLING.len())],
            2 => octets.insert(at, TELLING[random.below(TELLING.len())]),
            3 if at < end => drop(octets.drain(at..end)),
            4 if at < end => {
                let again = octets[at..end].to_vec();
                octets.splice(at..at, again);
            }
            5 => octets.truncate(at),
            6 => {
                let other = others[random.below(others.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                octets.splice(at..end.max(at), other[from..to].iter().copied());
            }
            _ if at < octets.len() => octets[at] = octets[at].wrapping_add(1),
            _ => {}
        }
    }
    octets
}

// --- making the corpus -----------------------------------------------------------------------

fn write_corpus() {
    let examples = workspace("sztp-core/tests/data/examples");
    let mut made: BTreeMap<&str, Seeds> = BTreeMap::new();
    for folder in [examples.clone(), examples.join("pki")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let Ok(octets) = std::fs::read(&path) else {
                continue;
            };
            for target in targets_of(&name) {
                made.entry(target)
                    .or_default()
                    .insert(name.clone(), octets.clone());
            }
        }
    }
    let read = |name: &str| std::fs::read(examples.join("pki").join(name)).unwrap();
    for chain in [
        ["masa", "masa-root"],
        ["owner", "owner-ca"],
        ["idevid", "idevid-ca"],
    ] {
        let pem = [
            read(&format!("{}.pem", chain[0])),
            read(&format!("{}.pem", chain[1])),
        ];
        let seeds = made.get_mut("certificate").unwrap();
        seeds.insert(format!("chain-{}.pem", chain[0]), pem.concat());
    }
    made.insert("dhcp", dhcp_seeds());
    made.insert("dns", dns_seeds());
    for (target, seeds) in made {
        let folder = workspace("fuzz/corpus").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, octets) in seeds {
            let ber = [
                &[0x30, 0x80][..],
                octets.get(4..).unwrap_or_default(),
                &[0, 0],
            ]
            .concat();
            if octets.starts_with(&[0x30, 0x82])
                && ["cms", "voucher", "conveyed_information"].contains(&target)
            {
                std::fs::write(folder.join(format!("ber-{name}")), ber).unwrap();
            }
            std::fs::write(
                folder.join(format!("cut-{name}")),
                &octets[..octets.len() * 2 / 3],
            )
            .unwrap();
            std::fs::write(folder.join(name), octets).unwrap();
        }
    }
}

fn dhcp_seeds() -> Seeds {
    let entry = |uri: &str| {
        let length = u16::try_from(uri.len()).unwrap().to_be_bytes();
        [&length[..], uri.as_bytes()].concat()
    };
    let list = [
        entry("https://198.51.100.7"),
        entry("https://boot-a.example:8443"),
    ]
    .concat();
    let long: Vec<u8> = (0..12)
        .flat_map(|n| entry(&format!("https://boot-{n}.example")))
        .collect();
    let v6 = |value: &[u8]| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[0, 136][..], &length, value].concat()
    };
    let seeds = [
        ("list", list.clone()),
        ("v4", sztp_core::dhcp::long_option::split(143, &list)),
        ("v4-long", sztp_core::dhcp::long_option::split(143, &long)),
        ("v6", v6(&list)),
        (
            "v6-among-others",
            [&[0, 1, 0, 2, 7, 7][..], &v6(&list)].concat(),
        ),
        ("ipv6", entry("https://[2001:db8::7]:9443")),
        ("path", entry("https://boot.example/restconf")),
        ("plain-text", b"https://boot.example".to_vec()),
        ("http", entry("http://boot.example")),
        (
            "mixed",
            [entry("ftp://x"), entry("https://boot.example")].concat(),
        ),
        ("past-end", vec![0, 200, b'h']),
    ];
    seeds.map(|(name, octets)| (name.to_owned(), octets)).into()
}

fn dns_seeds() -> Seeds {
    use sztp_core::dns::{ArtifactKey, TxtRecord};
    let artifact =
        std::fs::read(workspace("sztp-core/tests/data/examples").join("ownership-voucher.vcj"))
            .unwrap();
    let record = |key, octets: &[u8]| TxtRecord::of_artifact(key, octets).unwrap().to_rdata();
    let seeds = [
        ("ov", record(ArtifactKey::OwnershipVoucher, &artifact)),
        ("ci", record(ArtifactKey::ConveyedInformation, b"\x30\x00")),
        (
            "oc",
            record(ArtifactKey::OwnerCertificate, &artifact[..300]),
        ),
        ("no-key", b"\x05hello".to_vec()),
        ("empty-string", vec![0]),
        ("upper-case-key", b"\x04CI=x".to_vec()),
        ("name", b"AX7-00042._sztp.example.com.".to_vec()),
        ("name-service", b"_sztp._tcp.example.com".to_vec()),
        ("name-escaped", b"a\\.b\\032c.example".to_vec()),
        ("name-root", b".".to_vec()),
    ];
    seeds.map(|(name, octets)| (name.to_owned(), octets)).into()
}

/// The targets that an example document is a seed of.
fn targets_of(name: &str) -> &'static [&'static str] {
    let bare = name.strip_prefix("neg-").unwrap_or(name);
    let extension = Path::new(name)
        .extension()
        .and_then(|it| it.to_str())
        .unwrap_or_default();
    match extension {
        "vcj" => &["ber", "cms", "voucher"],
        "cms" if bare.contains("enveloped") => &["cms", "enveloped_data", "conveyed_information"],
        "cms" if bare.starts_with("ci-") => &["cms", "conveyed_information"],
        "cms" => &["cms", "certificate"],
        "der" | "pem" => &["certificate"],
        "json" | "xml" if bare.starts_with("voucher") => &["voucher_document"],
        "json" | "xml"
            if ["gbd", "report", "error", "csr"]
                .iter()
                .any(|kind| bare.starts_with(kind)) =>
        {
            &["rpc"]
        }
        "json" | "xml" => &["conveyed_information"],
        _ => &[],
    }
}
