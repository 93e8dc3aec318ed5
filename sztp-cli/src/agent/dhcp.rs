//! Asking DHCP servers for options 143 and 136 (RFC 8572 §8) on interfaces that have an address already:
//! DHCPINFORM (RFC 2131 §4.3.5) and Information-request (RFC 8415 §18.2.6).
//!
//! No lease is taken and no raw socket is needed. Whoever is on the link may answer: what the options
//! say is judged by the device machine, which trusts none of it.
//!
//! The two messages are written and read here, with options found by `sztp_core::dhcp`: `dhcproto`, the
//! library at hand, cuts `sname` and `file` at their first zero although both may hold parts of a long
//! option (RFC 3396 §5), its borrowing reader panics at a `hlen` that reaches past the message, and its
//! owning one refuses a message because of an option that nobody asked for.

#[cfg(test)]
mod damage;
mod exchange;
mod v4;
mod v6;

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use sztp_core::dhcp::Family;
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::exchange::{Answer, exchange};
use super::network::Interface;

/// Where to ask, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asking {
    /// Interfaces by name; none: all that have an address.
    pub(super) interfaces: Vec<String>,
    /// For somebody to answer.
    pub(super) patience: Duration,
}

/// What became of asking, in the order of the interfaces, IPv4 first.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) replies: Vec<Reply>,
    /// Why nothing came from some of them.
    pub(super) problems: Vec<AskError>,
}

/// What a server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) interface: String,
    pub(super) family: Family,
    pub(super) server: IpAddr,
    /// The option, its instances joined, if the server has it.
    pub(super) value: Option<Vec<u8>>,
}

/// Why nothing was asked, or nothing answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(super) enum AskError {
    #[error("the network interfaces cannot be listed: {reason}")]
    Interfaces { reason: String },
    #[error("there is no network interface {name:?} that is up")]
    NoSuchInterface { name: String },
    #[error(
        "{name} has neither an IPv4 address nor a link-local IPv6 address, of which asking DHCP needs one"
    )]
    Unconfigured { name: String },
    #[error("no network interface has an address, which asking DHCP needs")]
    NothingConfigured,
    #[error(
        "{interface}: DHCP clients have port {port}, which needs root or CAP_NET_BIND_SERVICE: {reason}"
    )]
    NotPermitted {
        interface: String,
        port: u16,
        reason: String,
    },
    #[error(
        "{interface}: another DHCP client has port {port} to itself; have the agent read its lease instead"
    )]
    PortTaken { interface: String, port: u16 },
    #[error("{interface}: {protocol}: {reason}")]
    Socket {
        interface: String,
        protocol: &'static str,
        reason: String,
    },
    #[error("{interface}: no {protocol} server answered within {} s", .patience.as_secs())]
    Silence {
        interface: String,
        protocol: &'static str,
        patience: Duration,
    },
    #[error("no randomness")]
    NoRandomness,
}

impl Asking {
    /// Asks on all of the interfaces at once.
    pub(super) async fn ask(&self) -> Result<Heard, AskError> {
        let (interfaces, mut problems) = self.chosen()?;
        let mut tasks = JoinSet::new();
        for (place, interface) in interfaces.into_iter().enumerate() {
            for family in [Family::V4, Family::V6] {
                let there = match family {
                    Family::V4 => interface.v4.is_some(),
                    Family::V6 => interface.link_local.is_some(),
                };
                if there {
                    let (interface, patience) = (interface.clone(), self.patience);
                    tasks.spawn(async move {
                        let answered = ask_on(&interface, family, patience).await;
                        (place, family, interface.name, answered)
                    });
                }
            }
        }
        let mut all = Vec::new();
        let mut until = None;
        while let Some(ended) = join_next(&mut tasks, until).await {
            let named = ended.3.as_ref().is_ok_and(|answers| {
                let mut values = answers.iter().map(|answer| &answer.value);
                values.any(Option::is_some)
            });
            if named && until.is_none() {
                until = Some(Instant::now() + OTHERS_WAIT);
            }
            all.push(ended);
        }
        all.sort_by_key(|(place, family, ..)| (*place, *family == Family::V6));
        let mut replies = Vec::new();
        for (_, family, interface, answered) in all {
            match answered {
                Ok(answers) => replies.extend(answers.into_iter().map(|answer| Reply {
                    interface: interface.clone(),
                    family,
                    server: answer.server,
                    value: answer.value,
                })),
                Err(problem) => problems.push(problem),
            }
        }
        Ok(Heard { replies, problems })
    }

    /// The interfaces to ask on, and those that were named in vain.
    fn chosen(&self) -> Result<(Vec<Interface>, Vec<AskError>), AskError> {
        let all = Interface::all().map_err(|error| AskError::Interfaces {
            reason: error.to_string(),
        })?;
        let configured = |one: &Interface| one.v4.is_some() || one.link_local.is_some();
        if self.interfaces.is_empty() {
            let mut found: Vec<Interface> = all.into_iter().filter(configured).collect();
            found.truncate(MAX_INTERFACES);
            if found.is_empty() {
                return Err(AskError::NothingConfigured);
            }
            return Ok((found, Vec::new()));
        }
        let mut found = Vec::new();
        let mut problems = Vec::new();
        for name in self.interfaces.iter().take(MAX_INTERFACES) {
            let name = name.clone();
            match all.iter().find(|one| one.name == name) {
                None => problems.push(AskError::NoSuchInterface { name }),
                Some(one) if !configured(one) => problems.push(AskError::Unconfigured { name }),
                Some(one) => found.push(one.clone()),
            }
        }
        Ok((found, problems))
    }
}

/// What was answered on the interface in this place.
type Ended = (usize, Family, String, Result<Vec<Answer>, AskError>);

/// The next one that has ended; none if all have, or time is up.
async fn join_next(tasks: &mut JoinSet<Ended>, until: Option<Instant>) -> Option<Ended> {
    loop {
        let ended = match until {
            None => tasks.join_next().await?,
            Some(until) => timeout_at(until, tasks.join_next()).await.ok()??,
        };
        // Nobody aborts one.
        if let Ok(ended) = ended {
            return Some(ended);
        }
    }
}

async fn ask_on(
    interface: &Interface,
    family: Family,
    patience: Duration,
) -> Result<Vec<Answer>, AskError> {
    let (protocol, port) = match family {
        Family::V4 => ("DHCPv4", v4::CLIENT_PORT),
        Family::V6 => ("DHCPv6", v6::CLIENT_PORT),
    };
    let name = || interface.name.clone();
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::PermissionDenied => AskError::NotPermitted {
            interface: name(),
            port,
            reason: error.to_string(),
        },
        ErrorKind::AddrInUse => AskError::PortTaken {
            interface: name(),
            port,
        },
        _ => AskError::Socket {
            interface: name(),
            protocol,
            reason: error.to_string(),
        },
    };
    let open =
        |address| -> Result<UdpSocket, AskError> { interface.socket(address).map_err(failed) };
    let identifier = random()?;
    let answers = match (family, interface.v4, interface.link_local) {
        (Family::V4, Some(address), _) => {
            let question = v4::Inform::new(identifier, address, interface.hardware);
            let socket = open(v4::listening(address))?;
            let times = v4::times(patience, fraction)?;
            exchange(&socket, v4::SERVERS, &question, &times, patience).await
        }
        (Family::V6, _, Some(address)) => {
            let question = v6::InformationRequest::new(identifier, interface.hardware);
            let socket = open(v6::listening(address, interface.index))?;
            let times = v6::times(patience, fraction)?;
            let servers = v6::servers(interface.index);
            exchange(&socket, servers, &question, &times, patience).await
        }
        _ => return Err(AskError::Unconfigured { name: name() }),
    };
    let answers = answers.map_err(failed)?;
    if answers.is_empty() {
        return Err(AskError::Silence {
            interface: name(),
            protocol,
            patience,
        });
    }
    Ok(answers)
}

/// From 0 to 1.
fn fraction() -> Result<f64, AskError> {
    Ok(f64::from(random()?) / f64::from(u32::MAX))
}

fn random() -> Result<u32, AskError> {
    getrandom::u32().map_err(|_| AskError::NoRandomness)
}

/// As the default of `--dhcp-ask` takes it: two questions of DHCPv4, four of DHCPv6.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// For other interfaces and the other family, once bootstrap servers are named on one.
const OTHERS_WAIT: Duration = Duration::from_secs(2);
/// Interfaces that are asked on.
const MAX_INTERFACES: usize = 64;
