//! The sources of bootstrapping data: their order, what each may say, and that looking goes on for
//! as long as bootstrapping is enabled.

mod pair;

use std::time::Duration;

use pair::{
    NONCE, Pair, Reply, SERIAL, Server, at, bootstrapped, codes, not_trusting, onboarding,
    redirect, trusting, unsigned, world,
};
use sztp_core::artifacts::BootstrappingData;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{Backoff, DeviceConfig, Ended, Outcome, Source};
use sztp_core::dhcp::{BootstrapServerList, BootstrapUri, DhcpLeniency};
use sztp_core::dns::{DomainName, SrvRecord, text_records};
use sztp_core::removable_storage::{Layout, StoredFile};
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};
use sztp_voucher::Voucher;

const KNOWN: &str = "known.example";
const NAMED: &str = "named.example";

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

fn data(output: GetBootstrappingDataOutput) -> BootstrappingData {
    output.into()
}

fn plain(info: &ConveyedInfo) -> BootstrappingData {
    data(unsigned(info, ReportingLevel::Verbose))
}

fn signed(info: &ConveyedInfo) -> BootstrappingData {
    data(world().signed(info))
}

fn signed_with(edit: impl FnOnce(&mut Voucher)) -> BootstrappingData {
    data(world().signed_with(&info(), edit))
}

/// A stick with these artifacts for a device.
fn stick(layout: Layout, serial_number: &str, data: &BootstrappingData) -> pair::Medium {
    let mut files = Vec::new();
    let mut put = |file, octets: &Option<Vec<u8>>| {
        if let Some(octets) = octets {
            files.push((layout.path(serial_number, file), octets.clone()));
        }
    };
    let ci = Some(data.conveyed_information.clone());
    put(StoredFile::ConveyedInformation, &ci);
    put(StoredFile::OwnerCertificate, &data.owner_certificate);
    put(StoredFile::OwnershipVoucher, &data.ownership_voucher);
    files
}

fn dhcp(uris: &[&str]) -> Vec<u8> {
    let uris = uris
        .iter()
        .map(|uri| BootstrapUri::parse(uri).expect("a URI"));
    BootstrapServerList::new(uris.collect())
        .expect("a list")
        .encode()
}

fn domain() -> DomainName {
    DomainName::parse("birch.example").expect("a name")
}

/// Records of this device in the zone.
fn publish(pair: &mut Pair, zone: &DomainName, data: &BootstrappingData) {
    let name = DomainName::device_specific(SERIAL, zone).expect("a name");
    let records = text_records(&name, data).expect("records");
    pair.texts.insert(name.to_string(), records);
}

fn announce(pair: &mut Pair, zone: &DomainName, targets: &[(&str, u16)]) {
    let name = DomainName::device_independent(zone).expect("a name");
    let records = targets.iter().map(|(target, priority)| SrvRecord {
        priority: *priority,
        ..SrvRecord::for_host(target, 443).expect("a host")
    });
    pair.services.insert(name.to_string(), records.collect());
}

fn endless(config: DeviceConfig) -> DeviceConfig {
    DeviceConfig {
        retry: Some(Backoff::default()),
        ..config
    }
}

#[test]
fn local_sources_come_first_and_all_are_tried() {
    // LEDGER: 8572-5.2-02, 8572-5.1-06, 8572-9.7-01, 8572-4.2.1-01, 8572-4.2.1-02, 8572-4.2.1-03
    // LEDGER: 8572-4.2.1-04, 8572-10.6-01, 8572-10.7-01
    let mut pair = Pair::new([]);
    pair.domains = vec![domain()];
    let config = trusting(KNOWN);
    let everything = [
        "list",
        "dhcp",
        "domains",
        "txt AX7-00042._sztp.local.",
        "txt AX7-00042._sztp.birch.example.",
        "srv _sztp._tcp.local.",
        "srv _sztp._tcp.birch.example.",
        "ask known.example",
    ];
    assert_eq!(codes(&pair.run(config.clone())), ["device.unreachable"]);
    assert_eq!(pair.asked(), everything);
    let mut pair = Pair::new([]);
    pair.run(DeviceConfig {
        sources: vec![Source::BootstrapServers, Source::Dhcp],
        ..config
    });
    assert_eq!(pair.asked(), ["ask known.example", "dhcp"]);
    for source in Source::LOCAL_FIRST {
        assert_eq!(Source::from_name(source.as_str()), Some(source));
    }
}

#[test]
fn bootstrapping_that_is_not_enabled_does_nothing() {
    // LEDGER: 8572-5.2-01, 8572-5.1-01
    let mut pair = Pair::new([Server::giving(KNOWN, world().signed(&info()))]);
    pair.enabled = vec![false];
    assert!(matches!(
        pair.run(endless(trusting(KNOWN))),
        Outcome::Disabled
    ));
    assert!(pair.trace.is_empty(), "{:?}", pair.trace);
}

#[test]
fn signed_files_bootstrap_and_nothing_is_told_to_anyone() {
    // LEDGER: 8572-4.1-01, 8572-4.1-02, 8572-5.2-03, 8572-5.6-06, 8572-4.1-05
    let mut pair = Pair::new([Server::giving(KNOWN, world().signed(&info()))]);
    let other = stick(Layout::Rfc8572, "AX7-00043", &plain(&info()));
    let own = stick(Layout::Rfc8572, SERIAL, &signed(&info()));
    pair.media = vec![Vec::new(), [other, own].concat()];
    let outcome = pair.run(trusting(KNOWN));
    let expected = ("removable storage /AX7-00042".to_owned(), true);
    assert_eq!(bootstrapped(&outcome), expected);
    assert_eq!(pair.asked(), ["list", "read 1 /AX7-00042"]);
    assert_eq!(
        pair.effects(),
        [
            "pre-script before",
            "merge hostname x",
            "post-script after",
            "check"
        ]
    );
    assert!(pair.server(KNOWN).asked.is_empty());
}

#[test]
fn unsigned_onboarding_information_of_an_untrusted_source_is_refused() {
    // LEDGER: 8572-2.1-01, 8572-2.2-01, 8572-4.1-02, 8572-4.2-01, 8572-4.2-02, 8572-5.3-03
    let mut pair = Pair::new([]);
    pair.media = vec![stick(Layout::IOS_XR, SERIAL, &plain(&info()))];
    pair.domains = vec![domain()];
    publish(&mut pair, &domain(), &plain(&info()));
    publish(&mut pair, &DomainName::local(), &plain(&info()));
    let outcome = pair.run(DeviceConfig {
        storage_layouts: vec![Layout::Rfc8572, Layout::IOS_XR],
        ..trusting(KNOWN)
    });
    let refused = "artifacts.untrusted-onboarding";
    assert_eq!(
        codes(&outcome),
        [refused, refused, refused, "device.unreachable"]
    );
    assert!(pair.effects().is_empty());
}

#[test]
fn a_redirect_of_an_untrusted_source_is_followed_as_far_as_it_is_signed() {
    // LEDGER: 8572-2.1-01, 8572-2.1-02, 8572-5.3-09, 8572-5.5-07, 8572-4.1-02, 8572-4.2-02
    let to_named = redirect(&[(NAMED, Some(world().server_anchor_artifact()))]);
    for (data, expected) in [
        (plain(&to_named), "named.example?"),
        (signed(&to_named), NAMED),
        (
            self::data(world().signed_with(&to_named, |voucher| voucher.expires_on = Some(at(-1)))),
            "named.example?",
        ),
    ] {
        let mut pair = Pair::new([Server::giving(NAMED, world().signed(&info()))]);
        pair.media = vec![stick(Layout::Rfc8572, SERIAL, &data)];
        assert_eq!(bootstrapped(&pair.run(trusting(KNOWN))).0, expected);
        let mut pair = Pair::new([Server::giving(NAMED, world().signed(&info()))]);
        publish(&mut pair, &DomainName::local(), &data);
        assert_eq!(bootstrapped(&pair.run(trusting(KNOWN))).0, expected);
        assert_eq!(pair.asked().last(), Some(&&*format!("ask {expected}")));
    }
}

#[test]
fn dhcp_names_servers_that_nobody_vouches_for() {
    // LEDGER: 8572-4.3-01, 8572-8.1-02, 8572-8.2-02, 8572-5.5-07, 8572-5.6-05
    let mut pair = Pair::new([Server::giving(NAMED, world().signed(&info()))]);
    pair.dhcp = vec![dhcp(&["https://192.0.2.7:8443", "https://named.example"])];
    assert_eq!(bootstrapped(&pair.run(trusting(KNOWN))).0, "named.example?");
    assert_eq!(
        pair.asked(),
        ["list", "dhcp", "ask 192.0.2.7?", "ask named.example?"]
    );
    assert_eq!(pair.server(NAMED).told(), []);
    // LEDGER: 8572-9.6-01, 8572-9.6-04, 8572-7.3-01
    assert!(pair.server(NAMED).asked[0].signed_data_preferred);
    assert_eq!(pair.server(NAMED).asked[0].hw_model, None);
}

#[test]
fn entries_of_an_option_that_are_not_usable() {
    // LEDGER: 8572-8.1-03, 8572-8.3-02, 8572-8.3-03
    let named = dhcp(&["https://named.example"]);
    let entry = |uri: &str| {
        let length = u16::try_from(uri.len()).expect("short").to_be_bytes();
        [&length, uri.as_bytes()].concat()
    };
    let bad = [
        entry("http://a.example"),
        entry("https://a.example/restconf"),
    ]
    .concat();
    let run = |options: Vec<Vec<u8>>, leniency| {
        let mut pair = Pair::new([Server::giving(NAMED, world().signed(&info()))]);
        pair.dhcp = options;
        pair.run(DeviceConfig {
            dhcp_leniency: leniency,
            ..DeviceConfig::new(SERIAL, world().voucher_anchors())
        })
    };
    let strict = DhcpLeniency::default();
    let outcome = run(vec![[bad.clone(), named.clone()].concat()], strict);
    bootstrapped(&outcome);
    // One option that is discarded does not take the other with it.
    bootstrapped(&run(vec![bad.clone(), named], strict));
    assert_eq!(codes(&run(vec![bad], strict)), ["dhcp.no-usable-uri"]);
    // LEDGER: 8572-8.3-04
    let text = vec![b"https://named.example".to_vec()];
    assert_eq!(codes(&run(text.clone(), strict)), ["dhcp.plain-text"]);
    bootstrapped(&run(text, DhcpLeniency::FIELD));
}

#[test]
fn signed_text_records_bootstrap() {
    // LEDGER: 8572-4.2.2-01, 8572-4.2.2-05, 8572-5.6-06, 8572-4.2.1-01
    let mut pair = Pair::new([]);
    pair.domains = vec![domain()];
    announce(&mut pair, &DomainName::local(), &[(NAMED, 0)]);
    publish(&mut pair, &domain(), &signed(&info()));
    let outcome = pair.run(trusting(KNOWN));
    let expected = "DNS AX7-00042._sztp.birch.example.".to_owned();
    assert_eq!(bootstrapped(&outcome), (expected, true));
    assert!(!pair.asked().iter().any(|line| line.starts_with("srv")));
}

#[test]
fn what_no_multicast_message_can_hold_is_not_believed() {
    // LEDGER: 8572-4.2.4-02
    let mut info = onboarding();
    info.configuration = Some(vec![b'x'; 9000]);
    let large = signed(&ConveyedInfo::Onboarding(info));
    let mut pair = Pair::new([]);
    publish(&mut pair, &DomainName::local(), &large);
    let outcome = pair.run(DeviceConfig::new(SERIAL, world().voucher_anchors()));
    assert_eq!(codes(&outcome), ["device.unreachable"]);
    let mut pair = Pair::new([]);
    pair.domains = vec![domain()];
    publish(&mut pair, &domain(), &large);
    let outcome = pair.run(DeviceConfig::new(SERIAL, world().voucher_anchors()));
    assert!(bootstrapped(&outcome).1, "by unicast, over TCP");
}

#[test]
fn a_serial_number_that_is_no_label_leaves_the_other_questions() {
    // LEDGER: 8572-4.2.1-05
    let mut pair = Pair::new([]);
    pair.run(DeviceConfig::new("x".repeat(64), world().voucher_anchors()));
    assert_eq!(
        pair.asked(),
        ["list", "dhcp", "domains", "srv _sztp._tcp.local."]
    );
    let mut pair = Pair::new([]);
    pair.run(DeviceConfig::new(
        "PID:C9300 SN:a.b",
        world().voucher_anchors(),
    ));
    assert!(
        pair.asked()[3].contains("a\\.b._sztp.local."),
        "{:?}",
        pair.asked()
    );
}

#[test]
fn services_are_an_unsigned_redirect_in_their_order() {
    // LEDGER: 8572-4.2.3-01, 8572-4.2.3-02
    let mut pair = Pair::new([Server::giving(NAMED, world().signed(&info()))]);
    pair.domains = vec![domain()];
    announce(&mut pair, &domain(), &[(NAMED, 2), ("dead.example", 1)]);
    let outcome = pair.run(trusting(KNOWN));
    assert_eq!(bootstrapped(&outcome).0, "named.example?");
    assert_eq!(pair.contacted(), ["dead.example?", "named.example?"]);
    assert_eq!(pair.server(NAMED).told(), []);
}

#[test]
fn services_of_equal_rank_are_shared_out() {
    // LEDGER: 8572-4.2.3-02
    let first = |seed| {
        let mut pair = Pair::new([]);
        announce(
            &mut pair,
            &DomainName::local(),
            &[("a.example", 0), ("b.example", 0)],
        );
        pair.run(DeviceConfig {
            seed,
            ..DeviceConfig::new(SERIAL, world().voucher_anchors())
        });
        pair.contacted()[0].to_owned()
    };
    // Of weight zero both: the one that was sorted first (RFC 2782).
    assert_eq!(first(1), "a.example?");
    let weighted = |seed| {
        let mut pair = Pair::new([]);
        announce(
            &mut pair,
            &DomainName::local(),
            &[("a.example", 0), ("b.example", 0)],
        );
        for records in pair.services.values_mut() {
            for record in records {
                record.weight = 10;
            }
        }
        pair.run(DeviceConfig {
            seed,
            ..DeviceConfig::new(SERIAL, world().voucher_anchors())
        });
        pair.contacted()[0].to_owned()
    };
    let count = (0..100)
        .filter(|seed| weighted(*seed) == "a.example?")
        .count();
    assert!((30..70).contains(&count), "{count}");
}

#[test]
fn a_nonce_of_another_occasion_is_refused_from_a_stick() {
    // LEDGER: 8572-5.4-14, 8572-5.4-15, 8366-5.3-12
    let run = |nonce: Option<Vec<u8>>| {
        let mut pair = Pair::new([]);
        let data = signed_with(|voucher| voucher.nonce = Some(NONCE.to_vec()));
        pair.media = vec![stick(Layout::Rfc8572, SERIAL, &data)];
        pair.run(DeviceConfig {
            nonce,
            ..DeviceConfig::new(SERIAL, world().voucher_anchors())
        })
    };
    bootstrapped(&run(Some(NONCE.to_vec())));
    assert_eq!(codes(&run(Some(vec![8; 16]))), ["voucher.nonce-mismatch"]);
    assert_eq!(codes(&run(None)).len(), 1);
}

#[test]
fn what_a_failed_source_did_is_undone_before_the_next_is_tried() {
    // LEDGER: 8572-5.6-10, 8572-5.6-11, 8572-5.3-01, 8572-5.3-16
    let mut pair = Pair::new([Server::giving(NAMED, world().signed(&info()))]);
    pair.media = vec![stick(Layout::Rfc8572, SERIAL, &signed(&info()))];
    pair.dhcp = vec![dhcp(&["https://named.example"])];
    pair.post_script = Ended::Error("exit 1".to_owned());
    let outcome = pair.run(DeviceConfig::new(SERIAL, world().voucher_anchors()));
    assert_eq!(codes(&outcome), ["device.onboarding", "device.onboarding"]);
    let once = [
        "pre-script before",
        "merge hostname x",
        "post-script after",
        "rollback",
    ];
    assert_eq!(pair.effects(), [once, once].concat());
}

#[test]
fn looking_goes_on_for_as_long_as_bootstrapping_is_enabled() {
    // LEDGER: 8572-5.2-04, 8572-5.2-05, 8572-5.2-06
    let mut pair = Pair::new([]);
    pair.enabled = [vec![true; 12], vec![false]].concat();
    assert!(matches!(
        pair.run(endless(trusting(KNOWN))),
        Outcome::Disabled
    ));
    assert_eq!(pair.contacted().len(), 12);
    let seconds: Vec<u64> = pair.waited.iter().map(Duration::as_secs).collect();
    for (round, waited) in seconds.iter().enumerate() {
        let longest = (10 << round).min(600);
        assert!((longest / 2..=longest).contains(waited), "{seconds:?}");
    }
}

#[test]
fn devices_do_not_wait_in_step() {
    // LEDGER: 8572-5.2-05
    let waited = |serial_number: &str, seed| {
        let mut pair = Pair::new([]);
        pair.rounds = 6;
        pair.run(endless(DeviceConfig {
            seed,
            ..DeviceConfig::new(serial_number, world().voucher_anchors())
        }));
        pair.waited
    };
    assert_eq!(waited("A", 1), waited("A", 1));
    assert_ne!(waited("A", 1), waited("B", 1));
    assert_ne!(waited("A", 1), waited("A", 2));
}

#[test]
fn a_server_that_asks_for_patience_gets_it_within_bounds() {
    let server =
        |patience: u64| Server::new(KNOWN, move |_| Reply::Busy(Duration::from_secs(patience)));
    let waited = |patience: u64| {
        let mut pair = Pair::new([server(patience)]);
        pair.rounds = 2;
        let outcome = pair.run(endless(trusting(KNOWN)));
        assert_eq!(codes(&outcome), ["device.refused-by-server"]);
        pair.waited[0].as_secs()
    };
    assert!((5..=10).contains(&waited(0)));
    assert!((120..=135).contains(&waited(120)));
    let long = waited(10_000_000);
    assert!((600..=675).contains(&long), "{long}");
}

#[test]
fn a_later_round_succeeds() {
    let mut answers = 0;
    let server = Server::new(KNOWN, move |_| {
        answers += 1;
        if answers < 4 {
            return Reply::status(500);
        }
        Reply::Data(world().signed(&info()))
    });
    let mut pair = Pair::new([server]);
    bootstrapped(&pair.run(endless(not_trusting(KNOWN))));
    assert_eq!(pair.waited.len(), 3);
}

#[test]
fn what_cannot_be_undone_is_tried_to_be_undone_again() {
    // LEDGER: 8572-5.6-10
    let mut pair = Pair::new([Server::giving(KNOWN, world().signed(&info()))]);
    pair.post_script = Ended::Error("exit 1".to_owned());
    pair.rollback = Ended::Error("read-only".to_owned());
    pair.rounds = 3;
    let outcome = pair.run(endless(not_trusting(KNOWN)));
    assert_eq!(codes(&outcome), ["device.not-rolled-back"]);
    // Nothing is built on what is still active.
    assert_eq!(pair.contacted().len(), 1);
    assert_eq!(
        pair.effects(),
        [
            "pre-script before",
            "merge hostname x",
            "post-script after",
            "rollback",
            "rollback",
            "rollback"
        ]
    );
}
