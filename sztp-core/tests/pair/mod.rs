//! A device and the servers it meets, on a wire of memory: the real device machine, real artifacts
//! signed with real keys, real certificates judged as TLS would, a fake clock, and a platform that
//! writes down what it is told to do. A whole bootstrap takes no longer than its signatures.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

mod world;

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sztp_cms::{
    Certificate, PathOptions, UnixTime, WallClock, certificate_names_host, validate_path,
};
use sztp_core::artifacts::BootstrappingData;
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo};
use sztp_core::csr::CsrRequest;
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Input, Origin, Outcome, Output,
    REPORT_PROGRESS, RunningImage, ScriptStage,
};
use sztp_core::dns::{DomainName, RecordType, SrvRecord, TxtRecord};
use sztp_core::restconf::media_type;
use sztp_core::rpc::{
    GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport, ProgressType,
    ReportingLevel,
};
use sztp_voucher::yang::Encoding;

#[allow(unused_imports, reason = "each test binary uses its part")]
pub use world::{NONCE, NOW, SERIAL, World, key, redirect, root, world};

/// What a server says to the question for bootstrapping data.
pub enum Reply {
    Data(GetBootstrappingDataOutput),
    /// 503 with Retry-After.
    Busy(Duration),
    /// Whatever the wire has.
    Input(Input),
    Raw {
        status: u16,
        content_type: Option<&'static str>,
        body: Vec<u8>,
    },
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Raw {
            status,
            content_type: None,
            body: Vec::new(),
        }
    }
}

type Answer = Box<dyn FnMut(&GetBootstrappingDataInput) -> Reply>;

/// A bootstrap server in memory.
pub struct Server {
    host: &'static str,
    port: u16,
    chain: Vec<Certificate>,
    answer: Answer,
    /// The status that each report gets.
    pub acknowledge: Box<dyn Fn(ProgressType) -> u16>,
    /// The one encoding that it speaks, if only one.
    pub only: Option<Encoding>,
    /// The requests for data that it got.
    pub asked: Vec<GetBootstrappingDataInput>,
    /// The reports that it got.
    pub reports: Vec<ProgressReport>,
}

impl Server {
    /// A server with a certificate that the operator's root stands for.
    pub fn new(
        host: &'static str,
        answer: impl FnMut(&GetBootstrappingDataInput) -> Reply + 'static,
    ) -> Self {
        Self {
            host,
            port: 443,
            chain: world().server_chain(host),
            answer: Box::new(answer),
            acknowledge: Box::new(|_| 204),
            only: None,
            asked: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// A server that always gives the same.
    pub fn giving(host: &'static str, output: GetBootstrappingDataOutput) -> Self {
        Self::new(host, move |_| Reply::Data(output.clone()))
    }

    pub fn answer_with(
        &mut self,
        answer: impl FnMut(&GetBootstrappingDataInput) -> Reply + 'static,
    ) {
        self.answer = Box::new(answer);
    }

    pub fn with_chain(mut self, chain: Vec<Certificate>) -> Self {
        self.chain = chain;
        self
    }

    pub fn acknowledging(mut self, status: impl Fn(ProgressType) -> u16 + 'static) -> Self {
        self.acknowledge = Box::new(status);
        self
    }

    /// The types of the reports that it got.
    pub fn told(&self) -> Vec<ProgressType> {
        self.reports.iter().map(|one| one.progress_type).collect()
    }

    fn take(&mut self, operation: &str, encoding: Encoding, body: &[u8]) -> Input {
        if self.only.is_some_and(|only| only != encoding) {
            return response(415, None, Vec::new());
        }
        if operation == REPORT_PROGRESS {
            let report = ProgressReport::decode(body, encoding).expect("a legal report");
            let status = (self.acknowledge)(report.progress_type);
            self.reports.push(report);
            return response(status, None, Vec::new());
        }
        let input = GetBootstrappingDataInput::decode(body, encoding).expect("a legal request");
        let reply = (self.answer)(&input);
        self.asked.push(input);
        match reply {
            Reply::Data(output) => {
                let body = output.encode(encoding);
                response(200, Some(media_type(encoding)), body)
            }
            Reply::Busy(retry_after) => Input::Response {
                status: 503,
                content_type: None,
                retry_after: Some(retry_after),
                body: Vec::new(),
            },
            Reply::Input(input) => input,
            Reply::Raw {
                status,
                content_type,
                body,
            } => response(status, content_type, body),
        }
    }
}

fn response(status: u16, content_type: Option<&str>, body: Vec<u8>) -> Input {
    Input::Response {
        status,
        content_type: content_type.map(str::to_owned),
        retry_after: None,
        body,
    }
}

/// Files by their paths.
pub type Medium = Vec<(String, Vec<u8>)>;

/// A device and all that it can reach.
pub struct Pair {
    pub servers: Vec<Server>,
    pub images: HashMap<&'static str, Vec<u8>>,
    pub clock: WallClock,
    pub install: Result<(), &'static str>,
    pub pre_script: Ended,
    pub configuration: Ended,
    pub post_script: Ended,
    pub ready: Ended,
    pub rollback: Ended,
    /// What runs after a reboot; none: the machine ends with it.
    pub after_reboot: Option<RunningImage>,
    /// Whether bootstrapping is enabled, round by round; the last one stays.
    pub enabled: Vec<bool>,
    /// Removable storage: files by their paths.
    pub media: Vec<Medium>,
    /// The values of options 143 and 136.
    pub dhcp: Vec<Vec<u8>>,
    /// The domains that DNS servers are asked about.
    pub domains: Vec<DomainName>,
    /// Records by name, with the answers of multicast under `local.`.
    pub texts: HashMap<String, Vec<TxtRecord>>,
    pub services: HashMap<String, Vec<SrvRecord>>,
    /// Requests that are made, one after the other; none: they cannot be made.
    pub csrs: Vec<Vec<u8>>,
    /// The requests that were asked for.
    pub csr_requests: Vec<CsrRequest>,
    /// How long the device waited.
    pub waited: Vec<Duration>,
    /// Rounds before the harness gives up.
    pub rounds: usize,
    /// What the device did, in its order.
    pub trace: Vec<String>,
}

impl Pair {
    pub fn new(servers: impl IntoIterator<Item = Server>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
            images: HashMap::new(),
            clock: WallClock::Trusted(NOW),
            install: Ok(()),
            pre_script: Ended::Well,
            configuration: Ended::Well,
            post_script: Ended::Well,
            ready: Ended::Well,
            rollback: Ended::Well,
            after_reboot: None,
            enabled: vec![true],
            media: Vec::new(),
            dhcp: Vec::new(),
            domains: Vec::new(),
            texts: HashMap::new(),
            services: HashMap::new(),
            csrs: Vec::new(),
            csr_requests: Vec::new(),
            waited: Vec::new(),
            rounds: 100,
            trace: Vec::new(),
        }
    }

    /// Runs a machine with this configuration to its end.
    pub fn run(&mut self, config: DeviceConfig) -> Outcome {
        self.drive(&mut Device::new(config))
    }

    pub fn drive(&mut self, device: &mut Device) -> Outcome {
        for _ in 0..10_000 {
            let output = device.poll_output().expect("not ended, nothing pending");
            assert!(
                matches!(output, Output::Done(_)) || device.poll_output().is_none(),
                "asks before it is answered"
            );
            if let Output::Wait { .. } = output
                && self.waited.len() + 1 == self.rounds
            {
                return Outcome::Failed(device.failures().to_vec());
            }
            if let Output::Done(outcome) = output {
                assert!(device.poll_output().is_none(), "goes on after its end");
                return outcome;
            }
            let input = self.perform(output);
            device.handle_input(self.clock, input);
        }
        panic!("no end: {:#?}", self.trace);
    }

    pub fn server(&self, host: &str) -> &Server {
        self.servers
            .iter()
            .find(|one| one.host == host)
            .expect("a server of this name")
    }

    /// The servers that were asked for data, in order.
    pub fn contacted(&self) -> Vec<&str> {
        self.trace
            .iter()
            .filter_map(|line| line.strip_prefix("ask "))
            .collect()
    }

    /// What the device did, without the talk to servers.
    pub fn effects(&self) -> Vec<&str> {
        self.trace
            .iter()
            .map(String::as_str)
            .filter(|line| !is_question(line) && !line.starts_with("report "))
            .collect()
    }

    /// What the device asked of its sources and of its servers, in order.
    pub fn asked(&self) -> Vec<&str> {
        let lines = self.trace.iter().map(String::as_str);
        lines.filter(|line| is_question(line)).collect()
    }

    pub fn perform(&mut self, output: Output) -> Input {
        let mut note = |text: String| self.trace.push(text);
        match output {
            Output::CheckEnabled => {
                let enabled = self.enabled[0];
                if self.enabled.len() > 1 {
                    self.enabled.remove(0);
                }
                Input::Enabled(enabled)
            }
            Output::Wait { duration } => {
                self.waited.push(duration);
                Input::Waited
            }
            Output::ListRemovableStorage => {
                note("list".to_owned());
                let paths = |medium: &Medium| medium.iter().map(|(path, _)| path.clone()).collect();
                Input::Media(self.media.iter().map(paths).collect())
            }
            Output::ReadRemovableStorage { medium, files } => {
                note(format!("read {medium} /{}", files.directory));
                let read = |path: &String| {
                    let mut files = self.media[medium].iter();
                    let (_, file) = files.find(|(listed, _)| listed == path).expect("listed");
                    file.clone()
                };
                Input::Artifacts(BootstrappingData {
                    conveyed_information: read(&files.conveyed_information),
                    owner_certificate: files.owner_certificate.as_ref().map(read),
                    ownership_voucher: files.ownership_voucher.as_ref().map(read),
                })
            }
            Output::LookUpDhcp => {
                note("dhcp".to_owned());
                Input::DhcpOptions(self.dhcp.clone())
            }
            Output::FindDomains => {
                note("domains".to_owned());
                Input::Domains(self.domains.clone())
            }
            Output::Resolve(query) => {
                let name = query.name.to_string();
                match query.record_type {
                    RecordType::Txt => {
                        note(format!("txt {name}"));
                        let records = self.texts.get(&name).cloned();
                        records.map_or(Input::Nothing, Input::Text)
                    }
                    RecordType::Srv => {
                        note(format!("srv {name}"));
                        let records = self.services.get(&name).cloned();
                        records.map_or(Input::Nothing, Input::Services)
                    }
                }
            }
            Output::MakeCsr(request) => {
                let key = request.algorithm_identifier.is_some();
                note(format!(
                    "csr with {} key",
                    if key { "a new" } else { "the old" }
                ));
                self.csr_requests.push(request);
                if self.csrs.is_empty() {
                    failed("no key can be made")
                } else {
                    Input::Csr(self.csrs.remove(0))
                }
            }
            Output::DiscardKey => {
                note("discard key".to_owned());
                Input::Ended(Ended::Well)
            }
            Output::Post {
                server,
                operation,
                encoding,
                body,
                progress,
            } => {
                note(match progress {
                    None => format!("ask {}", name(&server)),
                    Some(progress_type) => format!("report {progress_type}"),
                });
                let clock = self.clock;
                match self.connect(&server, clock) {
                    Ok(server) => server.take(operation, encoding, &body),
                    Err(reason) => failed(reason),
                }
            }
            Output::Fetch { uri } => {
                note(format!("fetch {uri}"));
                match self.images.get(uri.as_str()) {
                    Some(image) => Input::Fetched {
                        sha256: Sha256::digest(image).into(),
                    },
                    None => failed("status 404"),
                }
            }
            Output::InstallImage => {
                note("install".to_owned());
                match self.install {
                    Ok(()) => Input::Installed,
                    Err(reason) => failed(reason),
                }
            }
            Output::Reboot => {
                note("reboot".to_owned());
                match self.after_reboot.clone() {
                    Some(running) => Input::Rebooted { running },
                    None => Input::Rebooting,
                }
            }
            Output::RunScript { stage, script } => {
                let script = String::from_utf8_lossy(&script).into_owned();
                let (name, ended) = match stage {
                    ScriptStage::Pre => ("pre-script", &self.pre_script),
                    ScriptStage::Post => ("post-script", &self.post_script),
                };
                note(format!("{name} {script}"));
                Input::Ended(ended.clone())
            }
            Output::CommitConfiguration {
                handling,
                configuration,
            } => {
                let configuration = String::from_utf8_lossy(&configuration).into_owned();
                note(format!("{} {configuration}", handling.as_str()));
                Input::Ended(self.configuration.clone())
            }
            Output::CheckReady => {
                note("check".to_owned());
                Input::Ended(self.ready.clone())
            }
            Output::Rollback => {
                note("rollback".to_owned());
                Input::Ended(self.rollback.clone())
            }
            other => panic!("an output that the harness does not know: {other:?}"),
        }
    }

    /// What a TLS handshake would come to.
    fn connect(
        &mut self,
        endpoint: &Endpoint,
        clock: WallClock,
    ) -> Result<&mut Server, &'static str> {
        let server = self
            .servers
            .iter_mut()
            .find(|one| one.host == endpoint.address && one.port == endpoint.port)
            .ok_or("no such host")?;
        if let EndpointTrust::Anchors(anchors) = &endpoint.trust {
            let options = PathOptions::default();
            validate_path(
                &server.chain[0],
                &server.chain[1..],
                anchors,
                clock,
                &options,
            )
            .map_err(|_| "its certificate is not trusted")?;
            if !certificate_names_host(&server.chain[0], &endpoint.address) {
                return Err("its certificate is for another host");
            }
        }
        Ok(server)
    }
}

/// How servers stand in a trace: with a mark if they are not trusted.
fn name(endpoint: &Endpoint) -> String {
    let mark = if endpoint.trust.authenticates() {
        ""
    } else {
        "?"
    };
    format!("{}{mark}", endpoint.address)
}

fn is_question(line: &str) -> bool {
    let questions = ["ask ", "list", "read ", "dhcp", "domains", "txt ", "srv "];
    questions.iter().any(|start| line.starts_with(start))
}

fn failed(reason: impl Into<String>) -> Input {
    Input::Failed {
        reason: reason.into(),
    }
}

/// A device that knows this server by its anchor.
pub fn trusting(host: &str) -> DeviceConfig {
    config(host, EndpointTrust::Anchors(world().server_anchors()))
}

/// A device that knows of this server and nothing about it.
pub fn not_trusting(host: &str) -> DeviceConfig {
    config(host, EndpointTrust::Provisional)
}

fn config(host: &str, trust: EndpointTrust) -> DeviceConfig {
    DeviceConfig {
        idevid: Some(world().idevid.clone()),
        servers: vec![Endpoint {
            address: host.to_owned(),
            port: 443,
            trust,
        }],
        hw_model: Some("AX7".to_owned()),
        running: running("1.0"),
        ..DeviceConfig::new(SERIAL, world().voucher_anchors())
    }
}

pub fn running(version: &str) -> RunningImage {
    RunningImage {
        os_name: Some("AxOS".to_owned()),
        os_version: Some(version.to_owned()),
        sha256: None,
    }
}

/// Onboarding information with scripts and a configuration and without an image.
pub fn onboarding() -> sztp_core::conveyed_info::OnboardingInformation {
    sztp_core::conveyed_info::OnboardingInformation {
        boot_image: None,
        configuration_handling: Some(ConfigurationHandling::Merge),
        pre_configuration_script: Some(b"before".to_vec()),
        configuration: Some(b"hostname x".to_vec()),
        post_configuration_script: Some(b"after".to_vec()),
    }
}

/// Unsigned, at a reporting level.
pub fn unsigned(info: &ConveyedInfo, level: ReportingLevel) -> GetBootstrappingDataOutput {
    GetBootstrappingDataOutput {
        reporting_level: Some(level),
        conveyed_information: sztp_core::artifacts::unsigned_artifact(info, Encoding::Json),
        owner_certificate: None,
        ownership_voucher: None,
    }
}

/// What `outcome` failed of; panics if it did not.
pub fn codes(outcome: &Outcome) -> Vec<&'static str> {
    match outcome {
        Outcome::Failed(failures) => failures.iter().map(|one| one.kind.code()).collect(),
        other => panic!("did not fail: {other:?}"),
    }
}

pub fn bootstrapped(outcome: &Outcome) -> (String, bool) {
    match outcome {
        Outcome::Bootstrapped {
            origin: Origin::Server(server),
            signed,
        } => (name(server), *signed),
        Outcome::Bootstrapped { origin, signed } => (origin.to_string(), *signed),
        other => panic!("not bootstrapped: {other:?}"),
    }
}

/// Some seconds before or after the harness's clock.
pub fn at(seconds: i64) -> UnixTime {
    NOW.plus_secs(seconds)
}
