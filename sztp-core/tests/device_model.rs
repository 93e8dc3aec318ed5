//! Every way that a bootstrap can go, in a small world: each output of the machine is answered in
//! every way that the network, its sources, its servers and the device itself can answer, and the
//! process may die before any of them. What has to hold holds in every state that is reached.
//!
//! - What is applied comes from the owner, or from a server that was authenticated.
//! - No report goes to a server that was not authenticated, and no request for a signing request of
//!   such a server is listened to.
//! - No trust anchor of an untrusted redirect is ever used.
//! - Reports and effects of an attempt come in their order, and none after its error.
//! - Nothing of a failed attempt is active when another one begins.
//! - Only success, a reboot, or the word that bootstrapping is not enabled ends the machine; and from
//!   every state the next round succeeds if one source, the last, has become good by then.
//!
//! The worlds that are explored whole have 20 thousand states and 66 thousand transitions; of the one
//! that has everything in it, all beginnings and hundreds of lives are.

mod pair;
#[allow(dead_code)]
mod random;

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};
use std::sync::OnceLock;
use std::time::Duration;

use pair::{NOW, SERIAL, key, onboarding, redirect, root, running, unsigned, world};
use random::Random;
use sha2::{Digest as _, Sha256};
use sztp_cms::{TrustAnchors, WallClock, certs_only};
use sztp_core::artifacts::BootstrappingData;
use sztp_core::conveyed_info::{BootImage, ConveyedInfo, ImageVerification};
use sztp_core::csr::{CsrRequest, CsrSupport, P10_CSR};
use sztp_core::device::{
    Backoff, Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Input, Outcome, Output,
    ScriptStage, Source,
};
use sztp_core::dhcp::{BootstrapServerList, BootstrapUri};
use sztp_core::dns::{DomainName, RecordType, SrvRecord, text_records};
use sztp_core::removable_storage::{Layout, StoredFile};
use sztp_core::restconf::{Errors, RestconfError};
use sztp_core::rpc::{GetBootstrappingDataOutput, ProgressType, ReportingLevel};
use sztp_voucher::yang::Encoding;

const KNOWN: &str = "known.example";
const NAMED: &str = "named.example";
const OTHER: &str = "other.example";
const IMAGE: &[u8] = b"AxOS 2.0";
const CLOCK: WallClock = WallClock::Trusted(NOW);

/// All that servers and other sources may say.
struct Sayings {
    unsigned_good: GetBootstrappingDataOutput,
    unsigned_evil: GetBootstrappingDataOutput,
    signed: GetBootstrappingDataOutput,
    signed_with_image: GetBootstrappingDataOutput,
    for_another_device: GetBootstrappingDataOutput,
    /// To another server, with an anchor for it that nobody should believe.
    unsigned_redirect: GetBootstrappingDataOutput,
    signed_redirect: GetBootstrappingDataOutput,
    /// To where it came from and to all others.
    circle: GetBootstrappingDataOutput,
    evil_anchors: TrustAnchors,
    csr_request: Vec<u8>,
}

fn sayings() -> &'static Sayings {
    static SAYINGS: OnceLock<Sayings> = OnceLock::new();
    SAYINGS.get_or_init(Sayings::new)
}

impl Sayings {
    fn new() -> Self {
        let onboarding = |configuration: &str| {
            let mut info = onboarding();
            info.configuration = Some(configuration.as_bytes().to_vec());
            info
        };
        let mut with_image = onboarding("good");
        with_image.boot_image = Some(BootImage {
            os_name: Some("AxOS".to_owned()),
            os_version: Some("2.0".to_owned()),
            download_uris: vec!["http://files.example/axos".to_owned()],
            image_verification: vec![ImageVerification::sha256(Sha256::digest(IMAGE).into())],
        });
        let [good, evil] = ["good", "evil"].map(|text| ConveyedInfo::Onboarding(onboarding(text)));
        let evil_key = key();
        let evil_root = root("CN=Evil", &evil_key);
        let evil_anchor = certs_only(std::slice::from_ref(&evil_root), &[]).expect("a CMS");
        let anchor = world().server_anchor_artifact();
        let plain = |info: &ConveyedInfo| unsigned(info, ReportingLevel::Verbose);
        let request = CsrRequest {
            algorithm_identifier: Some(vec![0x30, 0]),
            format: P10_CSR.to_owned(),
            cert_req_info: None,
        };
        Self {
            unsigned_good: plain(&good),
            unsigned_evil: plain(&evil),
            signed: world().signed(&good),
            signed_with_image: world().signed(&ConveyedInfo::Onboarding(with_image)),
            for_another_device: world().signed_with(&evil, |voucher| {
                "AX7-00043".clone_into(&mut voucher.serial_number);
            }),
            unsigned_redirect: plain(&redirect(&[(OTHER, Some(evil_anchor))])),
            signed_redirect: world().signed(&redirect(&[(OTHER, Some(anchor))])),
            circle: plain(&redirect(&[(NAMED, None), (OTHER, None), (KNOWN, None)])),
            evil_anchors: TrustAnchors::new([evil_root]),
            csr_request: Errors::from(RestconfError::csr_request(&request)).encode(Encoding::Json),
        }
    }

    /// What an authenticated server may say: it is honest, but for being broken or badly run.
    fn of_trusted_servers(&self, scope: Scope) -> Vec<Input> {
        let mut all = self.of_anyone(scope);
        all.push(answer(&self.unsigned_good));
        all
    }

    fn of_untrusted_servers(&self, scope: Scope) -> Vec<Input> {
        let mut all = self.of_anyone(scope);
        let data = [&self.unsigned_evil, &self.unsigned_redirect, &self.circle];
        all.extend(data.map(answer));
        all
    }

    fn of_anyone(&self, scope: Scope) -> Vec<Input> {
        let broken = response(200, b"{".to_vec());
        let mut all = vec![failed(), response(500, Vec::new()), broken];
        let data = [
            &self.signed,
            &self.for_another_device,
            &self.signed_redirect,
        ];
        all.extend(data.map(answer));
        if scope.images {
            all.push(answer(&self.signed_with_image));
        }
        if scope.signing {
            all.push(response(400, self.csr_request.clone()));
        }
        all
    }

    /// What may lie on a stick or stand in DNS.
    fn of_records(&self) -> [&GetBootstrappingDataOutput; 4] {
        [
            &self.signed,
            &self.unsigned_evil,
            &self.unsigned_redirect,
            &self.for_another_device,
        ]
    }
}

fn answer(output: &GetBootstrappingDataOutput) -> Input {
    response(200, output.encode(Encoding::Json))
}

fn response(status: u16, body: Vec<u8>) -> Input {
    Input::Response {
        status,
        content_type: Some("application/yang-data+json".to_owned()),
        retry_after: (status == 500).then(|| Duration::from_secs(20)),
        body,
    }
}

fn failed() -> Input {
    Input::Failed {
        reason: "fault".to_owned(),
    }
}

fn ended() -> Vec<Input> {
    let error = Ended::Error("fault".to_owned());
    vec![Input::Ended(Ended::Well), Input::Ended(error)]
}

/// Every answer that there is to an output.
fn answers(output: &Output, scope: Scope) -> Vec<Input> {
    let sayings = sayings();
    match output {
        Output::CheckEnabled => vec![Input::Enabled(true), Input::Enabled(false)],
        Output::ListRemovableStorage => {
            let file = Layout::Rfc8572.path(SERIAL, StoredFile::ConveyedInformation);
            vec![Input::Nothing, Input::Media(vec![vec![file]]), failed()]
        }
        Output::ReadRemovableStorage { .. } => {
            let data = sayings.of_records();
            let data = data.map(|one| Input::Artifacts(BootstrappingData::from(one.clone())));
            [data.to_vec(), vec![failed()]].concat()
        }
        Output::LookUpDhcp => {
            let uri = BootstrapUri::parse(&format!("https://{NAMED}")).expect("a URI");
            let list = BootstrapServerList::new(vec![uri])
                .expect("a list")
                .encode();
            vec![
                Input::Nothing,
                Input::DhcpOptions(vec![list, vec![0]]),
                failed(),
            ]
        }
        Output::FindDomains => vec![Input::Nothing],
        Output::Resolve(query) => match query.record_type {
            RecordType::Txt => {
                let records = |one: &GetBootstrappingDataOutput| {
                    let name = DomainName::local();
                    let data = BootstrappingData::from(one.clone());
                    Input::Text(text_records(&name, &data).expect("records"))
                };
                [
                    sayings.of_records().map(records).to_vec(),
                    vec![Input::Nothing],
                ]
                .concat()
            }
            RecordType::Srv => {
                let named = SrvRecord::for_host(NAMED, 443).expect("a host");
                vec![Input::Nothing, Input::Services(vec![named])]
            }
        },
        Output::Wait { .. } => vec![Input::Waited],
        Output::MakeCsr(_) => vec![Input::Csr(b"csr".to_vec()), failed()],
        Output::DiscardKey => vec![Input::Ended(Ended::Well)],
        Output::Post {
            progress: Some(_), ..
        } => vec![response(204, Vec::new()), response(500, Vec::new())],
        Output::Post { server, .. } if server.trust.authenticates() => {
            sayings.of_trusted_servers(scope)
        }
        Output::Post { .. } => sayings.of_untrusted_servers(scope),
        Output::Fetch { .. } => vec![
            Input::Fetched {
                sha256: Sha256::digest(IMAGE).into(),
            },
            Input::Fetched { sha256: [0; 32] },
            failed(),
        ],
        Output::InstallImage => vec![Input::Installed, failed()],
        Output::Reboot => vec![
            Input::Rebooted {
                running: running("2.0"),
            },
            Input::Rebooting,
            failed(),
        ],
        Output::RunScript { .. }
        | Output::CommitConfiguration { .. }
        | Output::CheckReady
        | Output::Rollback => ended(),
        other => panic!("an output that the model does not know: {other:?}"),
    }
}

/// What a world answers in which the last source alone is good.
fn good_answer(output: &Output) -> Input {
    match output {
        Output::CheckEnabled => Input::Enabled(true),
        Output::Wait { .. } => Input::Waited,
        Output::Post {
            progress: Some(_), ..
        } => response(204, Vec::new()),
        Output::Post { server, .. } if server.address == KNOWN && server.trust.authenticates() => {
            answer(&sayings().signed)
        }
        Output::Post { .. } | Output::Fetch { .. } | Output::MakeCsr(_) => failed(),
        Output::Reboot => Input::Rebooted {
            running: running("2.0"),
        },
        Output::InstallImage => Input::Installed,
        Output::RunScript { .. }
        | Output::CommitConfiguration { .. }
        | Output::CheckReady
        | Output::Rollback
        | Output::DiscardKey => Input::Ended(Ended::Well),
        _ => Input::Nothing,
    }
}

/// How large the world is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Scope {
    /// The source before the servers known from manufacture.
    source: Option<Source>,
    /// Whether owners want another image.
    images: bool,
    /// Whether servers want signing requests and the device can make them.
    signing: bool,
}

/// What is around the machine, and what was seen of it since the last question for data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Around {
    scope: Scope,
    /// Whether the new image runs.
    updated: bool,
    /// Which of two boots.
    second_boot: bool,
    /// Whether a script or configuration is active that no success has made the device's own.
    active: bool,
    reported: u8,
    initiated: bool,
    gave_up: bool,
    done: u8,
}

impl Around {
    fn new(scope: Scope) -> Self {
        Self {
            scope,
            updated: false,
            second_boot: false,
            active: false,
            reported: 0,
            initiated: false,
            gave_up: false,
            done: 0,
        }
    }

    fn begin_attempt(&mut self) {
        self.reported = 0;
        self.initiated = false;
        self.gave_up = false;
        self.done = 0;
    }

    /// Checks an output, and notes what it does.
    fn watch(&mut self, output: &Output) {
        let mut advance = |stage: u8| {
            assert!(stage >= self.done, "effects out of order");
            assert!(!self.gave_up, "an effect after an error was reported");
            self.done = stage;
        };
        match output {
            Output::Post {
                server, progress, ..
            } => {
                if let EndpointTrust::Anchors(anchors) = &server.trust {
                    let evil = sayings().evil_anchors.iter().next();
                    assert!(
                        anchors.iter().all(|one| Some(one) != evil),
                        "an evil anchor"
                    );
                }
                match progress {
                    None => {
                        assert!(!self.active, "something of an attempt is active");
                        self.begin_attempt();
                    }
                    Some(progress) => self.watch_report(server, *progress),
                }
            }
            Output::ReadRemovableStorage { .. } | Output::Resolve(_) => {
                assert!(!self.active, "something of an attempt is active");
                self.begin_attempt();
            }
            Output::Fetch { .. } => advance(1),
            Output::InstallImage => advance(2),
            Output::Reboot => advance(3),
            Output::RunScript { stage, .. } => {
                advance(match stage {
                    ScriptStage::Pre => 4,
                    ScriptStage::Post => 6,
                });
                self.active = true;
            }
            Output::CommitConfiguration { configuration, .. } => {
                advance(5);
                assert_eq!(
                    configuration, b"good",
                    "applied from data that is not trusted"
                );
                self.active = true;
            }
            Output::CheckReady => advance(7),
            _ => {}
        }
    }

    fn watch_report(&mut self, server: &Endpoint, progress: ProgressType) {
        assert!(
            server.trust.authenticates(),
            "a report to a server that is not trusted"
        );
        let name = progress.as_str();
        let stages = [
            "bootstrap-initiated",
            "parsing",
            "boot-image",
            "pre-",
            "config",
            "post-",
        ];
        let stage = stages.iter().position(|stage| name.starts_with(stage));
        let stage = stage.map_or(6, |stage| u8::try_from(stage).expect("few"));
        assert!(!self.gave_up, "{name} after an error");
        assert!(stage >= self.reported, "{name} out of order");
        self.reported = stage;
        self.initiated |= progress == ProgressType::BootstrapInitiated;
        assert!(
            self.initiated || stage <= 1 || self.done == 0,
            "{name} before initiated"
        );
        self.gave_up = progress.is_error();
    }

    fn note_answer(&mut self, output: &Output, input: &Input) {
        match (output, input) {
            (Output::Rollback, Input::Ended(Ended::Well)) => self.active = false,
            (Output::Reboot, Input::Rebooted { .. }) => {
                self.updated = true;
                self.second_boot = !self.second_boot;
                self.begin_attempt();
            }
            _ => {}
        }
    }

    fn config(&self) -> DeviceConfig {
        let boot = if self.second_boot { "second" } else { "first" };
        DeviceConfig {
            sources: self
                .scope
                .source
                .into_iter()
                .chain([Source::BootstrapServers])
                .collect(),
            retry: Some(Backoff::default()),
            servers: vec![Endpoint {
                address: KNOWN.to_owned(),
                port: 443,
                trust: EndpointTrust::Anchors(world().server_anchors()),
            }],
            running: running(if self.updated { "2.0" } else { "1.0" }),
            boot_id: Some(boot.to_owned()),
            csr_support: self.scope.signing.then(|| CsrSupport {
                algorithm_identifiers: vec![vec![0x30, 0]],
                formats: vec![P10_CSR.to_owned()],
            }),
            max_redirect_depth: 2,
            max_contacts: 4,
            ..DeviceConfig::new(SERIAL, world().voucher_anchors())
        }
    }

    /// Another process goes on with the state that was stored before the last output.
    fn restart(&self, device: &Device) -> (Device, Self) {
        let mut around = self.clone();
        around.begin_attempt();
        // The process before has said so, if it had something to go on with.
        around.initiated = true;
        (Device::restore(self.config(), device.save()), around)
    }
}

/// A machine in its world, with an output that is not answered yet.
struct State {
    device: Device,
    output: Output,
    around: Around,
    /// Outputs before this one.
    depth: usize,
}

/// What a machine does next.
enum Next {
    Asks(State),
    Ended(Outcome, Device, Around),
}

/// What distinguishes states by what may come of them: neither what went wrong so far, nor how long
/// waiting takes.
fn fingerprint(device: &Device, around: &Around) -> u64 {
    let text = format!("{device:?}");
    let part = |from: &str, to: &str| {
        let start = text.rfind(from).expect("a field");
        let end = text.rfind(to).expect("a field");
        &text[start..end]
    };
    let mut hasher = DefaultHasher::new();
    part(", candidates: ", ", failed_rounds: ").hash(&mut hasher);
    part(", plan: ", ", failures: ").hash(&mut hasher);
    let mut saved = serde_json::to_value(device.save()).expect("plain data");
    saved["failed-rounds"] = 0.into();
    saved.to_string().hash(&mut hasher);
    around.hash(&mut hasher);
    hasher.finish()
}

/// The next output of a machine, or how it has ended.
fn advance(mut device: Device, mut around: Around) -> Next {
    match device.poll_output().expect("not ended, nothing pending") {
        Output::Done(outcome) => Next::Ended(outcome, device, around),
        output => {
            around.watch(&output);
            Next::Asks(State {
                device,
                output,
                around,
                depth: 0,
            })
        }
    }
}

/// Whether success comes once the last source is good; `known` are states from which it does.
fn succeeds(state: &State, known: &mut HashSet<u64>) -> bool {
    let mut passed = Vec::new();
    let mut device = state.device.clone();
    let mut output = state.output.clone();
    for _ in 0..200 {
        let seen = fingerprint(&device, &Around::new(state.around.scope));
        if known.contains(&seen) {
            known.extend(passed);
            return true;
        }
        passed.push(seen);
        device.handle_input(CLOCK, good_answer(&output));
        output = match device.poll_output() {
            Some(Output::Done(Outcome::Bootstrapped { .. })) => {
                known.extend(passed);
                return true;
            }
            Some(Output::Done(_)) | None => return false,
            Some(output) => output,
        };
    }
    false
}

#[derive(Debug, Default)]
struct Explored {
    states: usize,
    /// Outputs in a row: every way that fewer of them can go, or the most that there were.
    depth: usize,
    transitions: usize,
    bootstrapped: usize,
    rebooting: usize,
    disabled: usize,
}

/// All states, or the first ones.
fn explore(scope: Scope, most: usize) -> Explored {
    let mut explored = Explored::default();
    let mut seen = HashSet::new();
    let mut known = HashSet::new();
    let mut queue: VecDeque<State> = VecDeque::new();
    let start = Around::new(scope);
    let mut arrivals = vec![(Device::new(start.config()), start)];
    let mut depth = 0;
    loop {
        while let Some((device, around)) = arrivals.pop() {
            match advance(device, around) {
                Next::Asks(state) => {
                    if seen.insert(fingerprint(&state.device, &state.around)) {
                        queue.push_back(State { depth, ..state });
                    }
                }
                Next::Ended(Outcome::Bootstrapped { .. }, device, _) => {
                    explored.bootstrapped += 1;
                    assert!(device.save().is_bootstrapped());
                }
                Next::Ended(Outcome::Disabled, ..) => explored.disabled += 1,
                Next::Ended(Outcome::Rebooting { .. }, device, mut around) => {
                    explored.rebooting += 1;
                    around.second_boot = !around.second_boot;
                    // The new image runs, or the boot loader has fallen back.
                    arrivals.push(around.restart(&device));
                    around.updated = true;
                    arrivals.push(around.restart(&device));
                }
                Next::Ended(other, ..) => panic!("ended for good: {other:?}"),
            }
        }
        let Some(state) = queue.pop_front() else {
            return explored;
        };
        if explored.states == most {
            return explored;
        }
        explored.states += 1;
        explored.depth = state.depth;
        depth = state.depth + 1;
        assert!(succeeds(&state, &mut known), "stuck: {:#?}", state.device);
        for input in answers(&state.output, scope) {
            explored.transitions += 1;
            let mut device = state.device.clone();
            let mut around = state.around.clone();
            around.note_answer(&state.output, &input);
            device.handle_input(CLOCK, input);
            arrivals.push((device, around));
        }
        explored.transitions += 1;
        arrivals.push(state.around.restart(&state.device));
    }
}

fn check(scope: Scope, at_least: usize) {
    let explored = explore(scope, usize::MAX);
    eprintln!("{scope:?}: {explored:?}");
    assert!(explored.states >= at_least, "{explored:?}");
    assert!(explored.bootstrapped > 0 && explored.disabled > 0);
    assert_eq!(explored.rebooting > 0, scope.images);
}

fn with(source: Source) -> Scope {
    Scope {
        source: Some(source),
        // DNS has several answers as it is.
        images: source != Source::Dns,
        signing: false,
    }
}

// LEDGER: 8572-2.2-01, 8572-5.3-03, 8572-5.3-17, 8572-5.6-10, 8572-5.6-11
#[test]
fn with_removable_storage() {
    check(with(Source::RemovableStorage), 5_000);
}

// LEDGER: 8572-5.2-04, 8572-5.5-07, 8572-5.6-05, 8572-9.6-03
#[test]
fn with_dhcp() {
    check(with(Source::Dhcp), 5_000);
}

// LEDGER: 8572-4.2-01, 8572-5.3-15
#[test]
fn with_dns() {
    check(with(Source::Dns), 4_000);
}

// LEDGER: 8572-5.6-01, 8572-5.6-07, 8572-5.6-12, 8572-5.6-26
#[test]
fn with_images() {
    let scope = Scope {
        source: None,
        images: true,
        signing: false,
    };
    check(scope, 1_000);
}

// LEDGER: 9646-2.3-05, 9646-4.1.4-02
#[test]
fn with_signing_requests() {
    let scope = Scope {
        source: None,
        images: false,
        signing: true,
    };
    check(scope, 1_000);
}

/// All of it at once is more than can be gone through: here what can happen first, whole as far as it
/// goes, and beyond that hundreds of lives of a device by chance.
// LEDGER: 8572-5.3-03, 8572-5.6-01, 8572-5.6-05, 8572-5.6-11, 9646-4.1.4-02
#[test]
fn with_everything() {
    for source in [Source::RemovableStorage, Source::Dhcp, Source::Dns] {
        let scope = Scope {
            source: Some(source),
            images: true,
            signing: true,
        };
        let explored = explore(scope, 1_000);
        let lived = live(scope, 150);
        eprintln!("{scope:?}: {explored:?}, {lived:?}");
        // To the first effects, from every source.
        assert!(explored.depth >= 6, "{explored:?}");
        assert!(
            lived.bootstrapped > 20 && lived.rebooting > 5 && lived.disabled > 5,
            "{lived:?}"
        );
        assert!(lived.depth == LONGEST_LIFE, "{lived:?}");
    }
}

/// Lives of a device from its first start to success, chance deciding what it meets; the same ones
/// each time.
fn live(scope: Scope, lives: u64) -> Explored {
    let mut lived = Explored::default();
    let mut known = HashSet::new();
    for seed in 0..lives {
        let mut random = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let start = Around::new(scope);
        let mut next = advance(Device::new(start.config()), start);
        let mut steps = 0;
        loop {
            let mut state = match next {
                Next::Asks(state) => state,
                Next::Ended(Outcome::Bootstrapped { .. }, ..) => {
                    lived.bootstrapped += 1;
                    break;
                }
                Next::Ended(Outcome::Disabled, ..) => {
                    lived.disabled += 1;
                    break;
                }
                Next::Ended(Outcome::Rebooting { .. }, device, mut around) => {
                    lived.rebooting += 1;
                    around.second_boot = !around.second_boot;
                    around.updated = random.below(2) == 0;
                    let (device, around) = around.restart(&device);
                    next = advance(device, around);
                    continue;
                }
                Next::Ended(other, ..) => panic!("ended for good: {other:?}"),
            };
            steps += 1;
            if steps == LONGEST_LIFE {
                assert!(succeeds(&state, &mut known), "stuck: {:#?}", state.device);
                break;
            }
            lived.transitions += 1;
            if random.below(50) == 0 {
                let (device, around) = state.around.restart(&state.device);
                next = advance(device, around);
                continue;
            }
            let mut all = answers(&state.output, scope);
            // Almost always it is enabled, as otherwise that is the end.
            let chosen = match state.output {
                Output::CheckEnabled if random.below(100) > 0 => 0,
                _ => random.below(all.len()),
            };
            let input = all.swap_remove(chosen);
            state.around.note_answer(&state.output, &input);
            state.device.handle_input(CLOCK, input);
            next = advance(state.device, state.around);
        }
        lived.depth = lived.depth.max(steps);
    }
    lived
}

/// In outputs.
const LONGEST_LIFE: usize = 300;
