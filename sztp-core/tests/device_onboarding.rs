//! Onboarding information is put to work in its order, and the server is told as it asked to be.

mod pair;

use pair::{Pair, Server, bootstrapped, not_trusting, onboarding, trusting, unsigned, world};
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo, OnboardingInformation};
use sztp_core::device::{DeviceConfig, Ended, RunningImage};
use sztp_core::rpc::ProgressType::{self, *};
use sztp_core::rpc::{ReportingLevel, SshHostKey};
use sztp_voucher::yang::Encoding;

const HOST: &str = "boot.example";

fn with_image() -> ConveyedInfo {
    let mut info = onboarding();
    info.boot_image = Some(sztp_core::conveyed_info::BootImage {
        os_name: Some("AxOS".to_owned()),
        os_version: Some("1.0".to_owned()),
        ..Default::default()
    });
    ConveyedInfo::Onboarding(info)
}

fn run(level: ReportingLevel, edit: impl FnOnce(&mut Pair)) -> (Pair, Vec<ProgressType>) {
    let server = Server::giving(HOST, unsigned(&with_image(), level));
    let mut pair = Pair::new([server]);
    edit(&mut pair);
    let outcome = pair.run(trusting(HOST));
    assert_eq!(bootstrapped(&outcome), (HOST.to_owned(), false));
    let told = pair.server(HOST).told();
    (pair, told)
}

#[test]
fn image_pre_script_configuration_post_script() {
    // LEDGER: 8572-5.6-01, 8572-5.6-17
    let (pair, _) = run(ReportingLevel::Minimal, |_| {});
    assert_eq!(
        pair.effects(),
        [
            "pre-script before",
            "merge hostname x",
            "post-script after",
            "check"
        ]
    );
}

#[test]
fn a_minimal_level_gets_the_beginning_and_the_end() {
    // LEDGER: 8572-5.6-02, 8572-5.6-12
    let (_, told) = run(ReportingLevel::Minimal, |_| {});
    assert_eq!(told, [BootstrapInitiated, BootstrapComplete]);
}

#[test]
fn a_verbose_level_gets_every_step() {
    // LEDGER: 8572-5.6-03
    let (pair, told) = run(ReportingLevel::Verbose, |_| {});
    assert_eq!(
        told,
        [
            BootstrapInitiated,
            ParsingInitiated,
            ParsingComplete,
            BootImageInitiated,
            BootImageComplete,
            PreScriptInitiated,
            PreScriptComplete,
            ConfigInitiated,
            ConfigComplete,
            PostScriptInitiated,
            PostScriptComplete,
            BootstrapComplete,
        ]
    );
    // Each stage is announced before it is done.
    let position = |line: &str| pair.trace.iter().position(|one| one == line);
    assert!(position("report pre-script-initiated") < position("pre-script before"));
    assert!(position("pre-script before") < position("report pre-script-complete"));
    assert!(position("report config-initiated") < position("merge hostname x"));
    assert!(position("report post-script-initiated") < position("post-script after"));
}

#[test]
fn warnings_are_told_at_each_level_and_stop_nothing() {
    // LEDGER: 8572-6.3-16, 8572-5.6-28, 8572-5.6-33
    let warn = |pair: &mut Pair| {
        pair.pre_script = Ended::Warning("little space".to_owned());
        pair.configuration = Ended::Warning("deprecated".to_owned());
        pair.post_script = Ended::Warning("slow".to_owned());
        pair.ready = Ended::Warning("bootstrapping is still switched on".to_owned());
    };
    let (pair, told) = run(ReportingLevel::Minimal, warn);
    let warnings = [
        PreScriptWarning,
        ConfigWarning,
        PostScriptWarning,
        BootstrapWarning,
    ];
    assert_eq!(told[1..5], warnings);
    assert_eq!((told[0], told[5]), (BootstrapInitiated, BootstrapComplete));
    // LEDGER: 8572-7.3-13
    let messages: Vec<_> = pair.server(HOST).reports[1..5]
        .iter()
        .map(|report| report.message.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(
        messages,
        [
            "little space",
            "deprecated",
            "slow",
            "bootstrapping is still switched on"
        ]
    );
    let (_, told) = run(ReportingLevel::Verbose, warn);
    let pre = [PreScriptInitiated, PreScriptWarning, PreScriptComplete];
    assert!(told.windows(3).any(|three| three == pre), "{told:?}");
}

#[test]
fn a_long_message_is_cut_in_its_middle() {
    let output = format!("BEGIN{}END", "\u{e9}".repeat(100_000));
    let (pair, _) = run(ReportingLevel::Minimal, |pair| {
        pair.pre_script = Ended::Warning(output);
    });
    let message = pair.server(HOST).reports[1].message.clone().expect("one");
    assert!(message.len() < 5000, "{}", message.len());
    assert!(message.starts_with("BEGIN") && message.ends_with("END"));
}

#[test]
fn the_configuration_is_merged_or_replaces() {
    // LEDGER: 8572-5.6-30
    let mut info = onboarding();
    info.configuration_handling = Some(ConfigurationHandling::Replace);
    let info = ConveyedInfo::Onboarding(info);
    let mut pair = Pair::new([Server::giving(HOST, world().signed(&info))]);
    pair.run(trusting(HOST));
    assert!(pair.effects().contains(&"replace hostname x"));
}

#[test]
fn nothing_to_do_is_done() {
    // LEDGER: 8572-2.2-02
    let info = ConveyedInfo::Onboarding(OnboardingInformation::default());
    let mut pair = Pair::new([Server::giving(HOST, world().signed(&info))]);
    let outcome = pair.run(trusting(HOST));
    assert_eq!(bootstrapped(&outcome), (HOST.to_owned(), true));
    assert_eq!(pair.effects(), ["check"]);
}

#[test]
fn a_server_that_is_not_trusted_is_told_nothing() {
    // LEDGER: 8572-5.6-05, 8572-5.3-17, 8572-9.6-03
    let mut pair = Pair::new([Server::giving(HOST, world().signed(&with_image()))]);
    pair.post_script = Ended::Warning("slow".to_owned());
    let outcome = pair.run(not_trusting(HOST));
    assert_eq!(bootstrapped(&outcome), (format!("{HOST}?"), true));
    assert!(pair.effects().contains(&"merge hostname x"));
    assert_eq!(pair.server(HOST).told(), []);
    // LEDGER: 8572-9.6-04, 8572-7.3-01, 8572-7.3-03
    let asked = &pair.server(HOST).asked[0];
    assert!(asked.signed_data_preferred);
    assert_eq!((&asked.hw_model, &asked.os_name), (&None, &None));
    assert_eq!(asked.os_version, None);
}

#[test]
fn a_trusted_server_learns_model_and_software() {
    // LEDGER: 8572-7.3-03
    let (pair, _) = run(ReportingLevel::Minimal, |_| {});
    let asked = &pair.server(HOST).asked[0];
    assert!(!asked.signed_data_preferred);
    assert_eq!(asked.hw_model.as_deref(), Some("AX7"));
    assert_eq!(asked.os_name.as_deref(), Some("AxOS"));
    assert_eq!(asked.os_version.as_deref(), Some("1.0"));
}

#[test]
fn host_keys_and_anchors_travel_with_bootstrap_complete_alone() {
    // LEDGER: 8572-5.6-35, 8572-7.3-19
    let mut pair = Pair::new([Server::giving(HOST, world().signed(&with_image()))]);
    let key = SshHostKey {
        algorithm: "ssh-ed25519".to_owned(),
        key_data: vec![1, 2, 3],
    };
    let anchor = sztp_cms::certs_only(&[world().vendor_root.clone()], &[]).expect("a CMS");
    pair.run(DeviceConfig {
        ssh_host_keys: vec![key.clone()],
        trust_anchor_certs: vec![anchor.clone()],
        ..trusting(HOST)
    });
    for report in &pair.server(HOST).reports {
        let (keys, anchors) = if report.progress_type == BootstrapComplete {
            (vec![key.clone()], vec![anchor.clone()])
        } else {
            (Vec::new(), Vec::new())
        };
        assert_eq!(report.ssh_host_keys, keys, "{}", report.progress_type);
        assert_eq!(report.trust_anchor_certs, anchors);
    }
}

#[test]
fn later_sources_are_not_contacted_after_success() {
    // LEDGER: 8572-5.2-03
    let data = unsigned(&with_image(), ReportingLevel::Minimal);
    let second = Server::giving("second.example", data.clone());
    let mut pair = Pair::new([Server::giving(HOST, data), second]);
    let mut config = trusting(HOST);
    config.servers.extend(trusting("second.example").servers);
    pair.run(config);
    assert_eq!(pair.contacted(), [HOST]);
}

#[test]
fn a_server_that_speaks_one_encoding_is_spoken_to_in_it() {
    // LEDGER: 8040-5.2-04
    let data = unsigned(&with_image(), ReportingLevel::Verbose);
    for (ours, only) in [
        (Encoding::Json, Encoding::Xml),
        (Encoding::Xml, Encoding::Json),
    ] {
        let mut server = Server::giving(HOST, data.clone());
        server.only = Some(only);
        let mut pair = Pair::new([server]);
        let outcome = pair.run(DeviceConfig {
            encoding: ours,
            ..trusting(HOST)
        });
        bootstrapped(&outcome);
        assert_eq!(pair.contacted(), [HOST, HOST]);
        assert_eq!(pair.server(HOST).told().len(), 12);
    }
}

#[test]
fn an_image_known_by_its_hash_alone_runs() {
    // LEDGER: 8572-5.6-17
    let hash = [9; 32];
    let mut info = onboarding();
    info.boot_image = Some(sztp_core::conveyed_info::BootImage {
        download_uris: vec!["https://images.example/x".to_owned()],
        image_verification: vec![sztp_core::conveyed_info::ImageVerification::sha256(hash)],
        ..Default::default()
    });
    let data = world().signed(&ConveyedInfo::Onboarding(info));
    let mut pair = Pair::new([Server::giving(HOST, data)]);
    let outcome = pair.run(DeviceConfig {
        running: RunningImage {
            sha256: Some(hash),
            ..RunningImage::default()
        },
        ..trusting(HOST)
    });
    bootstrapped(&outcome);
    assert!(!pair.trace.iter().any(|line| line.starts_with("fetch")));
}
