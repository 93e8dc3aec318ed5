//! A stage that fails ends the attempt: the server is told, nothing stays active, the next server
//! is tried.

mod pair;

use pair::{
    Pair, Server, bootstrapped, codes, not_trusting, onboarding, trusting, unsigned, world,
};
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_core::device::{Device, Ended, FailureKind, Outcome};
use sztp_core::rpc::ProgressType::{self, *};
use sztp_core::rpc::ReportingLevel;

const HOST: &str = "boot.example";
const SECOND: &str = "second.example";

fn bad(reason: &str) -> Ended {
    Ended::Error(reason.to_owned())
}

/// The first of two servers gives all stages; `edit` breaks one of them.
fn run(edit: impl FnOnce(&mut Pair)) -> (Pair, Outcome) {
    let info = ConveyedInfo::Onboarding(onboarding());
    let first = Server::giving(HOST, unsigned(&info, ReportingLevel::Minimal));
    let empty = ConveyedInfo::Onboarding(OnboardingInformation::default());
    let second = Server::giving(SECOND, unsigned(&empty, ReportingLevel::Minimal));
    let mut pair = Pair::new([first, second]);
    edit(&mut pair);
    let mut config = trusting(HOST);
    config.servers.extend(trusting(SECOND).servers);
    let outcome = pair.run(config);
    (pair, outcome)
}

fn fails_at(edit: impl FnOnce(&mut Pair), stage: ProgressType, reason: &str, effects: &[&str]) {
    let (pair, outcome) = run(edit);
    let told = pair.server(HOST).told();
    assert_eq!(told.first(), Some(&BootstrapInitiated));
    assert_eq!(told.last(), Some(&stage));
    // LEDGER: 8572-7.3-13, 8572-7.3-14
    let last = pair.server(HOST).reports.last().expect("reports");
    assert_eq!(last.message.as_deref(), Some(reason));
    assert!(!told.contains(&BootstrapComplete));
    // LEDGER: 8572-5.6-07, 8572-5.6-08, 8572-5.6-11
    assert_eq!(bootstrapped(&outcome).0, SECOND);
    let mut expected = effects.to_vec();
    // The second server's success.
    expected.push("check");
    assert_eq!(pair.effects(), expected);
}

#[test]
fn the_pre_script() {
    // LEDGER: 8572-5.6-29, 8572-5.6-10
    fails_at(
        |pair| pair.pre_script = bad("no disk"),
        PreScriptError,
        "no disk",
        &["pre-script before", "rollback"],
    );
}

#[test]
fn the_configuration() {
    // LEDGER: 8572-5.6-31, 8572-5.6-37
    fails_at(
        |pair| pair.configuration = bad("line 3"),
        ConfigError,
        "line 3",
        &["pre-script before", "merge hostname x", "rollback"],
    );
}

#[test]
fn the_post_script() {
    // LEDGER: 8572-5.6-32, 8572-5.6-10
    fails_at(
        |pair| pair.post_script = bad("exit 1"),
        PostScriptError,
        "exit 1",
        &[
            "pre-script before",
            "merge hostname x",
            "post-script after",
            "rollback",
        ],
    );
}

#[test]
fn the_last_check() {
    let (pair, outcome) = run(|pair| pair.ready = bad("no management address"));
    assert_eq!(codes(&outcome), ["device.onboarding"; 2]);
    assert_eq!(
        pair.server(HOST).told(),
        [BootstrapInitiated, BootstrapError]
    );
    // The second server gave nothing that would have to be undone.
    assert_eq!(pair.effects()[3..], ["check", "rollback", "check"]);
}

#[test]
fn an_unacknowledged_beginning() {
    // LEDGER: 8572-5.6-13
    for status in [200, 404, 500] {
        let (pair, outcome) = run(|pair| {
            pair.servers[0].acknowledge = Box::new(move |report| match report {
                BootstrapInitiated => status,
                _ => 204,
            });
        });
        assert_eq!(
            pair.server(HOST).told(),
            [BootstrapInitiated, BootstrapError]
        );
        assert_eq!(pair.effects(), ["check"], "only the second server's");
        assert_eq!(bootstrapped(&outcome).0, SECOND);
    }
}

#[test]
fn an_unacknowledged_end() {
    // LEDGER: 8572-5.6-34, 8572-5.6-10
    let (pair, outcome) = run(|pair| {
        pair.servers[0].acknowledge = Box::new(|report| match report {
            BootstrapComplete => 500,
            _ => 204,
        });
    });
    let told = pair.server(HOST).told();
    assert_eq!(told[told.len() - 2..], [BootstrapComplete, BootstrapError]);
    assert_eq!(pair.effects()[4..], ["rollback", "check"]);
    assert_eq!(bootstrapped(&outcome).0, SECOND);
}

#[test]
fn reports_on_the_way_need_no_acknowledgement() {
    // LEDGER: 8572-5.6-16
    let info = ConveyedInfo::Onboarding(onboarding());
    let server =
        Server::giving(HOST, unsigned(&info, ReportingLevel::Verbose)).acknowledging(|report| {
            match report {
                BootstrapInitiated | BootstrapComplete => 204,
                _ => 503,
            }
        });
    let mut pair = Pair::new([server]);
    bootstrapped(&pair.run(trusting(HOST)));
    assert_eq!(pair.server(HOST).told().len(), 10);
}

#[test]
fn an_error_that_cannot_be_told_is_no_further_error() {
    // LEDGER: 8572-5.6-16
    let (pair, outcome) = run(|pair| {
        pair.configuration = bad("line 3");
        pair.servers[0].acknowledge = Box::new(|report| match report {
            BootstrapInitiated => 204,
            _ => 500,
        });
    });
    assert_eq!(
        pair.server(HOST).told(),
        [BootstrapInitiated, ConfigError],
        "told once"
    );
    assert_eq!(bootstrapped(&outcome).0, SECOND);
}

#[test]
fn at_a_server_that_is_not_trusted_nothing_is_told() {
    // LEDGER: 8572-5.6-05
    let info = ConveyedInfo::Onboarding(onboarding());
    let mut pair = Pair::new([Server::giving(HOST, world().signed(&info))]);
    pair.configuration = bad("line 3");
    let outcome = pair.run(not_trusting(HOST));
    assert_eq!(codes(&outcome), ["device.onboarding"]);
    assert_eq!(pair.server(HOST).told(), []);
    assert_eq!(pair.effects().last(), Some(&"rollback"));
}

#[test]
fn what_cannot_be_undone_ends_it_all() {
    // LEDGER: 8572-5.6-10
    let (pair, outcome) = run(|pair| {
        pair.configuration = bad("line 3");
        pair.rollback = bad("checkpoint lost");
    });
    assert_eq!(
        codes(&outcome),
        ["device.onboarding", "device.not-rolled-back"]
    );
    assert_eq!(pair.contacted(), [HOST]);
    assert_eq!(pair.server(HOST).told(), [BootstrapInitiated, ConfigError]);
}

#[test]
fn the_failures_are_listed_with_their_servers() {
    let info = ConveyedInfo::Onboarding(onboarding());
    let mut pair = Pair::new([Server::giving(HOST, world().signed(&info))]);
    pair.pre_script = bad("no disk");
    let mut config = trusting("dead.example");
    config.servers.extend(trusting(HOST).servers);
    let mut device = Device::new(config);
    let Outcome::Failed(failures) = pair.drive(&mut device) else {
        panic!("bootstrapped");
    };
    assert_eq!(failures, device.failures());
    assert_eq!(failures[0].origin, "dead.example:443");
    assert_eq!(
        failures[0].kind,
        FailureKind::Unreachable("no such host".to_owned().into())
    );
    assert_eq!(failures[1].origin, "boot.example:443");
    let stage = PreScriptError;
    let reason = "no disk".to_owned();
    assert_eq!(failures[1].kind, FailureKind::Onboarding { stage, reason });
}
