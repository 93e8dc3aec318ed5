//! `sztp simulate`: a fleet of devices in one process, against a bootstrap server.
//!
//! Each is the device machine of `sztp_core::device` with the driver of `sztp_core::client` and an
//! IDevID of its own, as in a real device; only what it does with image, scripts and configuration
//! is left out. Some may be made to misbehave, and all may be made to speak as a vendor's do.

mod arrival;
mod device;
mod dialect;
mod drip;
mod enrolment;
mod fleet;
mod identities;
mod misbehaviour;
mod options;
mod process;
mod progress;
mod result;
mod tally;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum as _};
use serde_json::{Map, Value};
use sztp_cms::TrustAnchors;
use sztp_core::client::{self, Settings};
use sztp_server::lab::{Identity, LabOptions, LabPki};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::arrival::Arrival;
use self::device::World;
use self::dialect::Dialect;
use self::enrolment::Enrolment;
use self::fleet::{Composition, Member};
use self::misbehaviour::Misbehaviour;
use self::options::Options;
use self::process::{Usage, allow_connections};
use self::progress::{Preparing, Running};
use self::result::Run;
use self::tally::Tally;
use crate::admin::{self, AdminApi};
use crate::arguments::{self, now};
use crate::failure::Failure;
use crate::files;
use crate::live::Live;
use crate::report::Report;

/// A fleet of devices against a bootstrap server: throughput, latencies, and how they fail
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Simulate {
    #[command(flatten)]
    options: Options,
}

impl Simulate {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new("simulate.runtime", error))?;
        runtime.block_on(simulate(self.options))
    }
}

async fn simulate(options: Options) -> Result<Report, Failure> {
    let per_second = rate(&options)?;
    let lab = LabPki::load(&options.pki)?;
    let members: Arc<[Member]> = members(&options).into();
    let concurrency = options.concurrency.unwrap_or(options.devices);
    allow_connections(2 * u64::from(concurrency)).map_err(|most| {
        Failure::new(
            "simulate.open-files",
            format!("{concurrency} devices at once need more than the {most} open files allowed"),
        )
        .hint("give --concurrency, or raise the limit (ulimit -n)")
    })?;
    let world = Arc::new(world(&options, &lab, &members).await?);
    let enrolment = enrolment(&options, &lab, &world)?;

    let identities = make_identities(&options, &lab, &members).await?;
    let mut enrolling_took = None;
    if let Some(enrolment) = enrolment {
        let begun = Instant::now();
        enrol(enrolment, &members).await?;
        enrolling_took = Some(begun.elapsed());
    }

    let seed = match options.seed {
        Some(seed) => seed,
        None => random_seed()?,
    };
    let before = Usage::so_far();
    let begun = Instant::now();
    let tally = Arc::new(Tally::default());
    let live = Live::show(Running {
        tally: tally.clone(),
        of: members.len(),
        since: begun,
    });
    let fleet = Fleet {
        world,
        tally: tally.clone(),
        concurrency: concurrency as usize,
    };
    let arrivals = options.arrival.times(per_second, seed);
    let deadline = tokio::time::sleep(options.duration.unwrap_or(FOREVER));
    let interrupted = tokio::select! {
        ran = fleet.run(&members, identities, arrivals) => {
            ran?;
            false
        }
        () = deadline => false,
        _ = tokio::signal::ctrl_c() => true,
    };
    let took = begun.elapsed();
    live.stop().await;
    let used = Usage::so_far().zip(before);
    Ok(Run {
        tally: &tally,
        devices: members.len(),
        took,
        enrolling_took,
        usage: used.map(|(after, before)| after.since(before)),
        interrupted,
    }
    .report())
}

/// What is needed to switch devices on.
struct Fleet {
    world: Arc<World>,
    tally: Arc<Tally>,
    concurrency: usize,
}

impl Fleet {
    /// Switches all devices on and waits for them to end; dropped, switches them off.
    async fn run(
        &self,
        members: &Arc<[Member]>,
        identities: Vec<client::Identity>,
        arrivals: impl Iterator<Item = Duration>,
    ) -> Result<(), Failure> {
        let permits = Arc::new(Semaphore::new(self.concurrency));
        let mut running = JoinSet::new();
        let begun = tokio::time::Instant::now();
        let ended_badly = |error| Failure::new("simulate.device", error);
        for ((index, identity), at) in identities.into_iter().enumerate().zip(arrivals) {
            let due = begun + at;
            tokio::time::sleep_until(due).await;
            let permit = permits.clone().acquire_owned().await;
            let permit = permit.map_err(|error| Failure::new("simulate.device", error))?;
            if self.concurrency < members.len() {
                self.tally.queued(due.elapsed());
            }
            let (world, tally) = (self.world.clone(), self.tally.clone());
            let members = members.clone();
            tally.start();
            running.spawn(async move {
                let member = &members[index];
                let ran = world.boot(member, identity).await;
                tally.end(member, &ran);
                drop(permit);
            });
            while let Some(ended) = running.try_join_next() {
                ended.map_err(ended_badly)?;
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(ended_badly)?;
        }
        Ok(())
    }
}

fn rate(options: &Options) -> Result<f64, Failure> {
    match (options.arrival, options.rate) {
        (Arrival::Burst, None) => Ok(1.0),
        (Arrival::Burst, Some(_)) => Err(Failure::usage(
            "usage.value",
            "--rate is for --arrival poisson and constant; a burst comes all at once",
        )),
        (_, Some(rate)) => Ok(rate),
        (_, None) => Err(Failure::usage(
            "usage.missing-option",
            "--arrival poisson and constant need a --rate",
        )),
    }
}

fn members(options: &Options) -> Vec<Member> {
    let dialects: Vec<&Dialect> = options.dialect.iter().map(|name| name.dialect()).collect();
    let all = Misbehaviour::value_variants();
    Composition {
        prefix: &options.prefix,
        first: options.first as usize,
        devices: options.devices as usize,
        dialects: &dialects,
        misbehaving: options.misbehave,
        misbehaviours: if options.misbehaviour.is_empty() {
            all
        } else {
            &options.misbehaviour
        },
        untrusting: options.untrusted.unwrap_or_default(),
        rsa: options.rsa,
    }
    .members()
}

async fn world(options: &Options, lab: &LabPki, members: &[Member]) -> Result<World, Failure> {
    let (host, port) = arguments::https_url("--server", &options.server)?;
    let port = port.unwrap_or(443);
    let address = reachable(&host, port).await?;
    let anchors = |files: &[std::path::PathBuf], own: &Identity| {
        if files.is_empty() {
            Ok(TrustAnchors::new([own.certificate.clone()]))
        } else {
            files::read_anchors(files)
        }
    };
    let settings = |dialect: &'static Dialect| {
        let settings = Settings {
            api_root: dialect.api_root.map(str::to_owned),
            tls_versions: dialect.tls_versions,
            connect_timeout: options.timeout,
            handshake_timeout: options.timeout,
            answer_timeout: options.timeout,
            body_timeout: options.timeout,
            // Looked up once, and not by every device.
            addresses: [(host.clone(), vec![address.ip()])].into(),
            ..Settings::default()
        };
        (dialect, Arc::new(settings))
    };
    let mut dialects: Vec<&'static Dialect> = Vec::new();
    for member in members {
        if !dialects
            .iter()
            .any(|known| known.name == member.dialect.name)
        {
            dialects.push(member.dialect);
        }
    }
    Ok(World {
        settings: dialects.into_iter().map(settings).collect(),
        address,
        server_anchors: anchors(&options.server_ca, &lab.tls_ca)?,
        voucher_anchors: anchors(&options.voucher_anchor, &lab.vendor_root)?,
        timeout: options.timeout,
        work: options.work,
        strict: options.strict,
        attempts: options.retries.saturating_add(1),
        pause: options.pause,
        server: (host, port),
    })
}

/// The first address of the host that takes a connection: a refusal counts once for each address
/// (RFC 8572 §5.5), and addresses of families that the server does not have would all be tried.
async fn reachable(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let unreachable = |what: String| {
        Failure::new("simulate.unreachable", what)
            .within(format!("{host}:{port}"))
            .hint("start the server first, or correct --server")
    };
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let mut last = "the name has no address".to_owned();
    for address in found {
        match tokio::time::timeout(PROBE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(address),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address}: connecting took too long"),
        }
    }
    Err(unreachable(last))
}

fn enrolment(options: &Options, lab: &LabPki, world: &World) -> Result<Option<Enrolment>, Failure> {
    let (true, Some(url)) = (options.enrol, &options.admin) else {
        return Ok(None);
    };
    let token = admin::token(options.token.as_deref(), options.token_file.as_deref())?;
    let anchors = if options.admin_ca.is_empty() {
        world.server_anchors.clone()
    } else {
        files::read_anchors(&options.admin_ca)?
    };
    let template = options.device_spec.as_ref().map(|path| {
        let text = files::read_text(path)?;
        serde_json::from_str::<Map<String, Value>>(&text).map_err(|error| {
            Failure::new(
                "simulate.device-spec",
                format!("not a JSON object: {error}"),
            )
            .at(path)
        })
    });
    Ok(Some(Enrolment {
        api: AdminApi::new(url, &token, anchors)?,
        lab: lab.clone(),
        template: template.transpose()?,
    }))
}

async fn enrol(enrolment: Enrolment, members: &Arc<[Member]>) -> Result<(), Failure> {
    let done = Arc::new(AtomicUsize::new(0));
    let live = Live::show(Preparing {
        what: "enrolled",
        done: done.clone(),
        of: members.len(),
    });
    let outcome = enrolment.enrol(members.clone(), done).await;
    live.stop().await;
    outcome
}

/// The identities that the devices show, in the members' order.
async fn make_identities(
    options: &Options,
    lab: &LabPki,
    members: &Arc<[Member]>,
) -> Result<Vec<client::Identity>, Failure> {
    let made = Arc::new(AtomicUsize::new(0));
    let live = Live::show(Preparing {
        what: "IDevIDs",
        done: made.clone(),
        of: members.len(),
    });
    let (lab, members, cache) = (lab.clone(), members.clone(), options.cache.clone());
    let making = tokio::task::spawn_blocking(move || {
        let from = LabOptions::new(now());
        let valid = from.valid_from;
        let own = identities::identities(&members, &lab, valid, cache.as_deref(), &made)?;
        let is_foreign =
            |member: &Member| member.misbehaviour == Some(Misbehaviour::WrongCertificate);
        let foreign = if members.iter().any(is_foreign) {
            Some(LabPki::generate(&from)?)
        } else {
            None
        };
        let shown = |(member, own): (&Member, Identity)| {
            let (maker, identity) = match &foreign {
                Some(foreign) if is_foreign(member) => {
                    let subject = member.subject_serial_number();
                    (
                        foreign,
                        foreign.issue_idevid(&subject, member.key_type, valid)?,
                    )
                }
                _ => (&lab, own),
            };
            Ok(client::Identity {
                chain: vec![identity.certificate, maker.idevid_ca.certificate.clone()],
                key: identity.key.into(),
            })
        };
        members.iter().zip(own).map(shown).collect()
    });
    let made = making.await;
    live.stop().await;
    made.map_err(|error| Failure::new("simulate.keys", error))?
}

fn random_seed() -> Result<u64, Failure> {
    getrandom::u64().map_err(|error| Failure::new("simulate.random", error))
}

/// For one address to answer at all.
const PROBE: Duration = Duration::from_secs(5);
/// As long as the devices' own time-outs let it take.
const FOREVER: Duration = Duration::from_hours(10 * 365 * 24);

const HELP: &str = "\
Example, with `sztp-server` running in the same directory:
  sztp simulate --server https://localhost:8443 --pki sztp-data/lab --devices 200 \\
    --enrol --admin https://localhost:9443 --token-file sztp-data/admin-token \\
    --misbehave 5% --untrusted 20%

A misbehaving device ends as expected if the server copes with it: it refuses what it has to
refuse, cuts off who takes forever, takes twice for once, and never answers with a status of 500
or more.

Exit codes: 0 all devices ended as expected; 1 some did not; 2 usage.";
