//! A process that dies at any point, and a device that reboots: the next process goes on from what
//! was stored, and repeats nothing that must not be repeated.

mod pair;

use std::cell::Cell;
use std::rc::Rc;

use pair::{Pair, Reply, SERIAL, Server, onboarding, running, trusting, unsigned, world};
use sha2::{Digest, Sha256};
use sztp_core::conveyed_info::{BootImage, ConveyedInfo, ImageVerification};
use sztp_core::device::{Device, DeviceConfig, Ended, Outcome, Output, SavedState};
use sztp_core::rpc::{ProgressType, ReportingLevel};

const HOST: &str = "boot.example";
const URI: &str = "http://files.example/axos-2.0.img";
const IMAGE: &[u8] = b"AxOS 2.0";

/// A server that gives its data until it is told that the device is bootstrapped.
fn pair(signed: bool) -> Pair {
    let mut info = onboarding();
    info.boot_image = Some(BootImage {
        os_name: Some("AxOS".to_owned()),
        os_version: Some("2.0".to_owned()),
        download_uris: vec![URI.to_owned()],
        image_verification: vec![ImageVerification::sha256(Sha256::digest(IMAGE).into())],
    });
    let info = ConveyedInfo::Onboarding(info);
    let output = if signed {
        world().signed(&info)
    } else {
        unsigned(&info, ReportingLevel::Minimal)
    };
    let complete = Rc::new(Cell::new(false));
    let told = complete.clone();
    let server = Server::new(HOST, move |_| {
        if complete.get() {
            return Reply::status(409);
        }
        Reply::Data(output.clone())
    })
    .acknowledging(move |progress_type| {
        if progress_type == ProgressType::BootstrapComplete {
            told.set(true);
        }
        204
    });
    let mut pair = Pair::new([server]);
    pair.images.insert(URI, IMAGE.to_vec());
    pair
}

/// When the process dies.
#[derive(Debug, Clone, Copy)]
enum Death {
    Never,
    /// Before the nth output is carried out.
    Before(usize),
    /// After that, but before the machine is told.
    After(usize),
}

/// Runs a device whose process dies once; answers how it ended and how many outputs there were.
fn run(pair: &mut Pair, config: &DeviceConfig, death: Death) -> (Outcome, usize) {
    let mut stored: Option<String> = None;
    let mut boots = 1;
    let mut step = 0;
    for _process in 0..5 {
        let config = DeviceConfig {
            running: running(if boots == 1 { "1.0" } else { "2.0" }),
            boot_id: Some(format!("boot {boots}")),
            ..config.clone()
        };
        let mut device = match &stored {
            None => Device::new(config),
            Some(text) => Device::restore(config, read(text)),
        };
        loop {
            let output = device.poll_output().expect("not ended, nothing pending");
            stored = Some(serde_json::to_string(&device.save()).expect("plain data"));
            if let Output::Done(outcome) = output {
                return (outcome, step);
            }
            step += 1;
            if matches!(death, Death::Before(at) if at == step) {
                break;
            }
            if matches!(output, Output::Reboot) {
                pair.trace.push("reboot".to_owned());
                boots += 1;
                break;
            }
            let input = pair.perform(output);
            if matches!(death, Death::After(at) if at == step) {
                break;
            }
            device.handle_input(pair.clock, input);
        }
    }
    panic!("no end: {:#?}", pair.trace);
}

fn read(text: &str) -> SavedState {
    serde_json::from_str(text).expect("what was written")
}

/// What is active on the device at the end; nothing may begin while something of another attempt is.
fn active(pair: &Pair) -> Vec<&str> {
    let mut active: Vec<&str> = Vec::new();
    for line in pair.effects() {
        match line.split(' ').next() {
            Some("rollback") => active.clear(),
            Some("pre-script") => {
                assert!(active.is_empty(), "{:#?}", pair.trace);
                active.push(line);
            }
            Some("merge" | "post-script") => active.push(line),
            _ => {}
        }
    }
    active
}

#[test]
fn a_process_may_die_at_any_point() {
    // LEDGER: 8572-5.6-10, 8572-5.6-26, 8572-5.6-25, 8572-5.6-34
    for signed in [false, true] {
        let mut undisturbed = pair(signed);
        let (outcome, outputs) = run(&mut undisturbed, &trusting(HOST), Death::Never);
        assert!(matches!(outcome, Outcome::Bootstrapped { .. }));
        assert!(outputs > 10);
        let all = active(&undisturbed);
        assert_eq!(
            all,
            ["pre-script before", "merge hostname x", "post-script after"]
        );
        for at in 1..=outputs {
            for death in [Death::Before(at), Death::After(at)] {
                let mut pair = pair(signed);
                let (outcome, _) = run(&mut pair, &trusting(HOST), death);
                let Outcome::Bootstrapped {
                    signed: by_owner, ..
                } = outcome
                else {
                    panic!("{death:?}: {outcome:?}\n{:#?}", pair.trace);
                };
                assert_eq!(by_owner, signed);
                assert_eq!(active(&pair), all, "{death:?}");
                let count =
                    |name: &str| pair.effects().iter().filter(|line| **line == name).count();
                assert_eq!(count("reboot"), 1, "{death:?}: {:#?}", pair.trace);
                // Whether an installation had come to its end before the process did is not known.
                assert!(count("install") <= 2);
                assert!(count("rollback") <= 1);
                let told = pair.server(HOST).told();
                assert_eq!(told.last(), Some(&ProgressType::BootstrapComplete));
            }
        }
    }
}

#[test]
fn an_image_that_does_not_run_is_not_installed_again() {
    // LEDGER: 8572-5.6-26
    let mut pair = pair(false);
    let config = DeviceConfig {
        boot_id: Some("boot 1".to_owned()),
        ..trusting(HOST)
    };
    let mut device = Device::new(config.clone());
    let outcome = pair.drive(&mut device);
    assert!(matches!(outcome, Outcome::Rebooting { .. }));
    assert!(device.save().is_rebooting());
    // The boot loader has fallen back.
    let config = DeviceConfig {
        boot_id: Some("boot 2".to_owned()),
        ..config
    };
    let mut device = Device::restore(config, device.save());
    let outcome = pair.drive(&mut device);
    assert_eq!(pair::codes(&outcome), ["device.onboarding"]);
    let installs = pair
        .effects()
        .iter()
        .filter(|line| **line == "install")
        .count();
    assert_eq!(installs, 1);
}

#[test]
fn what_is_done_stays_done() {
    let mut pair = pair(false);
    let config = DeviceConfig {
        running: running("2.0"),
        ..trusting(HOST)
    };
    let mut device = Device::new(config.clone());
    pair.drive(&mut device);
    assert!(device.save().is_bootstrapped());
    let before = pair.trace.clone();
    let mut restored = Device::restore(config, device.save());
    let outcome = pair.drive(&mut restored);
    assert!(matches!(outcome, Outcome::Bootstrapped { .. }));
    assert_eq!(pair.trace, before);
    assert_eq!(restored.save(), device.save());
}

#[test]
fn what_cannot_be_undone_after_a_restart_stops_everything() {
    // LEDGER: 8572-5.6-10
    let mut pair = pair(false);
    let config = DeviceConfig {
        running: running("2.0"),
        ..trusting(HOST)
    };
    let mut device = Device::new(config.clone());
    let state = loop {
        let output = device.poll_output().expect("an output");
        if matches!(output, Output::CommitConfiguration { .. }) {
            break device.save();
        }
        let input = pair.perform(output);
        device.handle_input(pair.clock, input);
    };
    let asked = pair.contacted().len();
    pair.rollback = Ended::Error("read-only".to_owned());
    let outcome = pair.drive(&mut Device::restore(config, state));
    assert_eq!(pair::codes(&outcome), ["device.not-rolled-back"]);
    assert_eq!(pair.contacted().len(), asked);
}

#[test]
fn nonce_and_clock_survive() {
    // LEDGER: 8572-5.4-15, 8572-9.1-02
    let config = DeviceConfig {
        nonce: Some(pair::NONCE.to_vec()),
        clock_floor: Some(pair::NOW),
        ..DeviceConfig::new(SERIAL, world().voucher_anchors())
    };
    let saved = Device::new(config.clone()).save();
    let earlier = DeviceConfig {
        nonce: Some(vec![9; 16]),
        clock_floor: Some(pair::at(-1000)),
        ..config
    };
    assert_eq!(Device::restore(earlier, saved.clone()).save(), saved);
}

#[test]
fn a_stored_state_that_is_none_is_refused() {
    for text in [
        "",
        "{\"stage\":\"bootstrapped\"}",
        "{\"more\":1}",
        "{\"changed\":2}",
    ] {
        assert!(serde_json::from_str::<SavedState>(text).is_err(), "{text}");
    }
    assert_eq!(read("{}"), SavedState::default());
}
