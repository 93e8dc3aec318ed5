//! Redirects: where they lead, with which trust, and that they end.

mod pair;

use std::cell::Cell;
use std::rc::Rc;

use pair::{
    Pair, Reply, Server, at, bootstrapped, codes, not_trusting, onboarding, redirect, trusting,
    unsigned, world,
};
use sztp_cms::certs_only;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{DeviceConfig, FailureKind, Outcome};
use sztp_core::rpc::ProgressType::*;
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};

const FIRST: &str = "first.example";
const SECOND: &str = "second.example";
const THIRD: &str = "third.example";

#[expect(
    clippy::unnecessary_wraps,
    reason = "the form that entries of redirects want"
)]
fn anchor() -> Option<Vec<u8>> {
    Some(world().server_anchor_artifact())
}

fn plain(info: &ConveyedInfo) -> GetBootstrappingDataOutput {
    unsigned(info, ReportingLevel::Minimal)
}

fn data() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

fn signed_onboarding(host: &'static str) -> Server {
    Server::giving(host, world().signed(&data()))
}

#[test]
fn the_trust_of_the_next_server() {
    // LEDGER: 8572-2.1-01, 8572-2.1-02, 8572-5.3-03, 8572-5.3-09, 8572-5.5-05, 8572-5.5-06
    // LEDGER: 8572-5.5-07
    let to_second = |anchor: Option<Vec<u8>>| redirect(&[(SECOND, anchor)]);
    let expired = |info: &ConveyedInfo| {
        world().signed_with(info, |voucher| voucher.expires_on = Some(at(-1)))
    };
    let authenticated = SECOND.to_owned();
    let provisional = format!("{SECOND}?");
    for (name, config, output, next) in [
        (
            "unsigned, trusted server, anchor",
            trusting(FIRST),
            plain(&to_second(anchor())),
            &authenticated,
        ),
        (
            "unsigned, trusted server, no anchor",
            trusting(FIRST),
            plain(&to_second(None)),
            &provisional,
        ),
        (
            "unsigned, untrusted server, anchor",
            not_trusting(FIRST),
            plain(&to_second(anchor())),
            &provisional,
        ),
        (
            "signed, untrusted server, anchor",
            not_trusting(FIRST),
            world().signed(&to_second(anchor())),
            &authenticated,
        ),
        (
            "signed, untrusted server, no anchor",
            not_trusting(FIRST),
            world().signed(&to_second(None)),
            &provisional,
        ),
        (
            "badly signed, untrusted server, anchor",
            not_trusting(FIRST),
            expired(&to_second(anchor())),
            &provisional,
        ),
        // LEDGER: 8572-5.3-10
        (
            "badly signed, trusted server, anchor",
            trusting(FIRST),
            expired(&to_second(anchor())),
            &provisional,
        ),
    ] {
        let mut pair = Pair::new([Server::giving(FIRST, output), signed_onboarding(SECOND)]);
        let outcome = pair.run(config);
        assert_eq!(bootstrapped(&outcome), (next.clone(), true), "{name}");
        let told = !pair.server(SECOND).told().is_empty();
        assert_eq!(told, *next == authenticated, "{name}");
    }
}

#[test]
fn servers_of_redirects_get_no_reports() {
    // LEDGER: 8572-7.3-09, 8572-7.3-10
    let first = Server::giving(FIRST, world().signed(&redirect(&[(SECOND, anchor())])))
        .acknowledging(|_| 404);
    let mut pair = Pair::new([first, signed_onboarding(SECOND)]);
    bootstrapped(&pair.run(trusting(FIRST)));
    assert_eq!(pair.server(FIRST).told(), []);
}

#[test]
fn a_badly_signed_redirect_is_told_to_a_trusted_server_and_kept_for_the_record() {
    // LEDGER: 8572-5.3-10
    let info = redirect(&[(SECOND, anchor())]);
    let output = world().signed_with(&info, |voucher| voucher.expires_on = Some(at(-1)));
    let mut pair = Pair::new([Server::giving(FIRST, output)]);
    let outcome = pair.run(trusting(FIRST));
    assert_eq!(codes(&outcome), ["voucher.expired", "device.unreachable"]);
    assert_eq!(pair.server(FIRST).told(), [ParsingWarning]);
}

#[test]
fn an_anchor_must_authenticate() {
    // LEDGER: 8572-5.5-05: no other anchor helps, and there is no way in without.
    let other_key = pair::key();
    let other = certs_only(&[pair::root("CN=Other", &other_key)], &[]).expect("a CMS");
    let first = Server::giving(FIRST, plain(&redirect(&[(SECOND, Some(other))])));
    let mut pair = Pair::new([first, signed_onboarding(SECOND)]);
    let outcome = pair.run(trusting(FIRST));
    assert_eq!(codes(&outcome), ["device.unreachable"]);
    assert_eq!(pair.server(SECOND).asked, []);
}

#[test]
fn the_last_authority_of_the_chain_is_the_anchor() {
    // LEDGER: 8572-6.3-07
    let first = || Server::giving(FIRST, plain(&redirect(&[(SECOND, anchor())])));
    let from_root = signed_onboarding(SECOND).with_chain(world().server_chain_from_root(SECOND));
    let mut pair = Pair::new([first(), from_root]);
    let outcome = pair.run(trusting(FIRST));
    assert_eq!(codes(&outcome), ["device.unreachable"]);
    // The root alone stands for all that it issued.
    let root = certs_only(&[world().server_root.clone()], &[]).expect("a CMS");
    for chain in [
        world().server_chain(SECOND),
        world().server_chain_from_root(SECOND),
    ] {
        let first = Server::giving(FIRST, plain(&redirect(&[(SECOND, Some(root.clone()))])));
        let mut pair = Pair::new([first, signed_onboarding(SECOND).with_chain(chain)]);
        let outcome = pair.run(trusting(FIRST));
        assert_eq!(bootstrapped(&outcome).0, SECOND);
    }
}

#[test]
fn an_anchor_that_is_no_single_chain_from_a_root() {
    // LEDGER: 8572-6.3-05, 8572-6.3-06
    let other_key = pair::key();
    let other = pair::root("CN=Other", &other_key);
    let two = certs_only(&[world().server_root.clone(), other], &[]).expect("a CMS");
    let rootless = certs_only(&[world().server_ca.clone()], &[]).expect("a CMS");
    let bare = world().server_root.as_der().to_vec();
    for (artifact, reason) in [
        (
            two,
            "its trust anchor is not a single chain of certificates",
        ),
        (
            rootless,
            "the chain of its trust anchor does not begin with a root",
        ),
        (bare, "its trust anchor is not a certs-only CMS"),
    ] {
        // The entry is lost, the next one is not.
        let info = redirect(&[(SECOND, Some(artifact.clone())), (THIRD, None)]);
        let first = Server::giving(FIRST, plain(&info));
        let mut pair = Pair::new([first, signed_onboarding(SECOND), signed_onboarding(THIRD)]);
        let outcome = pair.run(trusting(FIRST));
        assert_eq!(bootstrapped(&outcome).0, format!("{THIRD}?"), "{reason}");
        assert_eq!(pair.contacted(), [FIRST, "third.example?"]);
        assert_eq!(pair.server(FIRST).told(), [ParsingWarning]);

        let info = redirect(&[(SECOND, Some(artifact))]);
        let mut pair = Pair::new([Server::giving(FIRST, plain(&info))]);
        let Outcome::Failed(failures) = pair.run(trusting(FIRST)) else {
            panic!("{reason}");
        };
        assert_eq!(failures[0].kind, FailureKind::Redirect(reason));
        assert_eq!(pair.server(FIRST).told(), [ParsingError]);
    }
}

#[test]
fn servers_are_walked_in_their_order_and_deeper_ones_first() {
    // LEDGER: 8572-5.5-01, 8572-5.5-02, 8572-5.3-11, 8572-5.6-08
    let first = Server::giving(
        FIRST,
        plain(&redirect(&[
            ("dead.example", None),
            (SECOND, anchor()),
            ("last.example", None),
        ])),
    );
    let second = Server::giving(
        SECOND,
        plain(&redirect(&[(THIRD, None), ("a.example", None)])),
    );
    // What it gives fails on the device.
    let third = signed_onboarding(THIRD);
    let last = Server::giving("last.example", world().signed(&data()));
    let mut pair = Pair::new([first, second, third, last]);
    pair.pre_script = sztp_core::device::Ended::Error("no".to_owned());
    let mut config = trusting(FIRST);
    config.servers.extend(not_trusting("after.example").servers);
    pair.run(config);
    assert_eq!(
        pair.contacted(),
        [
            FIRST,
            "dead.example?",
            SECOND,
            "third.example?",
            "a.example?",
            "last.example?",
            "after.example?"
        ]
    );
}

#[test]
fn an_untrusted_server_is_promoted() {
    // LEDGER: 8572-9.6-05: the same address with another trust is another server.
    let server = Server::new(FIRST, |input| {
        Reply::Data(if input.signed_data_preferred {
            world().signed(&redirect(&[(FIRST, anchor())]))
        } else {
            plain(&data())
        })
    });
    let mut pair = Pair::new([server]);
    let outcome = pair.run(not_trusting(FIRST));
    assert_eq!(bootstrapped(&outcome), (FIRST.to_owned(), false));
    assert_eq!(pair.contacted(), ["first.example?", FIRST]);
    let server = pair.server(FIRST);
    assert_eq!(server.told(), [BootstrapInitiated, BootstrapComplete]);
    assert_eq!(server.asked[0].hw_model, None);
    assert_eq!(server.asked[1].hw_model.as_deref(), Some("AX7"));
}

#[test]
fn the_same_server_with_another_anchor_is_tried_again() {
    let other_key = pair::key();
    let other = certs_only(&[pair::root("CN=Other", &other_key)], &[]).expect("a CMS");
    let first = Server::giving(
        FIRST,
        plain(&redirect(&[(SECOND, Some(other)), (THIRD, None)])),
    );
    let third = Server::giving(THIRD, world().signed(&redirect(&[(SECOND, anchor())])));
    let mut pair = Pair::new([first, third, signed_onboarding(SECOND)]);
    let outcome = pair.run(trusting(FIRST));
    assert_eq!(bootstrapped(&outcome).0, SECOND);
}

#[test]
fn a_circle_ends() {
    // LEDGER: 8572-5.3-12
    let first = Server::giving(FIRST, plain(&redirect(&[("SECOND.example", None)])));
    let second = Server::giving(
        "SECOND.example",
        plain(&redirect(&[("First.Example.", None)])),
    );
    let mut pair = Pair::new([first, second]);
    let outcome = pair.run(not_trusting(FIRST));
    let Outcome::Failed(failures) = outcome else {
        panic!("{outcome:?}");
    };
    let expected = FailureKind::Redirect("this server was tried before");
    assert_eq!(failures[0].kind, expected);
    assert_eq!(pair.contacted(), ["first.example?", "SECOND.example?"]);
}

/// A chain of servers, each redirecting to the next.
fn chain(length: usize) -> Vec<Server> {
    let names: Vec<&'static str> = (0..=length)
        .map(|n| &*format!("s{n}.example").leak())
        .collect();
    names
        .iter()
        .enumerate()
        .map(|(n, name)| match names.get(n + 1) {
            Some(next) => Server::giving(name, plain(&redirect(&[(next, None)]))),
            None => signed_onboarding(name),
        })
        .collect()
}

#[test]
fn ten_redirects_are_followed_and_the_eleventh_is_not() {
    // LEDGER: 8572-5.3-12, 8572-5.3-13
    let mut pair = Pair::new(chain(10));
    bootstrapped(&pair.run(not_trusting("s0.example")));
    let mut pair = Pair::new(chain(11));
    assert_eq!(
        codes(&pair.run(not_trusting("s0.example"))),
        ["device.redirect"]
    );
    assert_eq!(pair.contacted().len(), 11);
    let mut pair = Pair::new(chain(3));
    let outcome = pair.run(DeviceConfig {
        max_redirect_depth: 2,
        ..not_trusting("s0.example")
    });
    assert_eq!(codes(&outcome), ["device.redirect"]);
}

#[test]
fn the_contacts_in_all_are_limited() {
    // LEDGER: 8572-5.3-14
    let count = Rc::new(Cell::new(0));
    let many = move || {
        let names: Vec<String> = (0..1000)
            .map(|n| {
                count.set(count.get() + 1);
                format!("s{}-{n}.example", count.get())
            })
            .collect();
        let servers: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        redirect(&servers)
    };
    let hostile = || {
        let many = many.clone();
        Server::new(FIRST, move |_| Reply::Data(plain(&many())))
    };
    let mut pair = Pair::new([hostile()]);
    let outcome = pair.run(not_trusting(FIRST));
    assert_eq!(pair.contacted().len(), 50);
    // The list of failures does not grow beyond it either.
    assert!(codes(&outcome).len() <= 51, "{}", codes(&outcome).len());

    // What the device itself knows is tried all the same.
    let mut pair = Pair::new([hostile(), signed_onboarding(SECOND)]);
    let mut config = not_trusting(FIRST);
    config.servers.extend(trusting(SECOND).servers);
    assert_eq!(bootstrapped(&pair.run(config)).0, SECOND);
}

#[test]
fn a_hostile_server_cannot_use_up_what_belongs_to_the_next() {
    // LEDGER: 8572-5.3-14
    let count = Rc::new(Cell::new(0));
    let hostile = move || {
        let mut server = signed_onboarding(FIRST);
        let count = count.clone();
        server.answer_with(move |_| {
            let names = [(); 40].map(|()| {
                count.set(count.get() + 1);
                format!("s{}.example", count.get())
            });
            let servers: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
            Reply::Data(plain(&redirect(&servers)))
        });
        server
    };
    let start = Server::giving(THIRD, plain(&redirect(&[(FIRST, None), (SECOND, None)])));
    let mut pair = Pair::new([start, hostile(), signed_onboarding(SECOND)]);
    let outcome = pair.run(not_trusting(THIRD));
    assert_eq!(bootstrapped(&outcome).0, "second.example?");
}

#[test]
fn lists_within_lists_are_limited_together() {
    // LEDGER: 8572-5.3-14
    let list = |first: &'static str, name: &str| {
        let names: Vec<String> = (0..30).map(|n| format!("{name}{n}.example")).collect();
        let mut servers: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        servers.insert(0, (first, None));
        plain(&redirect(&servers))
    };
    let first = Server::giving(FIRST, list(SECOND, "a"));
    let second = Server::giving(SECOND, list(THIRD, "b"));
    let mut pair = Pair::new([first, second]);
    pair.run(not_trusting(FIRST));
    // Of the fifty, second.example may use two: itself and one that it names.
    let contacted = pair.contacted();
    assert_eq!(
        contacted[..4],
        [
            "first.example?",
            "second.example?",
            "third.example?",
            "a0.example?"
        ]
    );
    assert_eq!(contacted.len(), 1 + 2 + 30);
}
