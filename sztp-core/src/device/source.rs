//! Sources of bootstrapping data (RFC 8572 §4): what is asked of each, and what its answer is worth.
//!
//! Only a bootstrap server can be authenticated. What lies on removable storage or stands in DNS is
//! signed, or it is a redirect to follow without trust; DHCP has nothing but such a redirect.

use std::fmt;

use sztp_cms::WallClock;
use sztp_voucher::yang::Encoding;

use super::onboarding::reason_of;
use super::servers::{Candidate, Contact};
use super::{Awaiting, Device, Endpoint, EndpointTrust, FailureKind, Input, Output};
use crate::artifacts::BootstrappingData;
use crate::conveyed_info::BootstrapServer;
use crate::dhcp::BootstrapServerList;
use crate::dns::{
    DomainName, MAX_MULTICAST_OCTETS, Query, RecordType, SrvRecord, Transport, TxtRecord,
    answer_octets, bootstrapping_data, ordered, queries, servers,
};
use crate::removable_storage::{FileSet, find};

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// Files on removable storage (RFC 8572 §4.1).
    RemovableStorage,
    /// The options of DHCPv4 and DHCPv6 (RFC 8572 §4.3).
    Dhcp,
    /// DNS by multicast and unicast (RFC 8572 §4.2).
    Dns,
    /// The bootstrap servers known from manufacture (RFC 8572 §4.4).
    BootstrapServers,
}

impl Source {
    /// All of them, the local ones before the remote ones (RFC 8572 §9.7).
    pub const LOCAL_FIRST: [Self; 4] = [
        Self::RemovableStorage,
        Self::Dhcp,
        Self::Dns,
        Self::BootstrapServers,
    ];

    /// Its name in configurations and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RemovableStorage => "removable-storage",
            Self::Dhcp => "dhcp",
            Self::Dns => "dns",
            Self::BootstrapServers => "bootstrap-servers",
        }
    }

    /// The source of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::LOCAL_FIRST
            .into_iter()
            .find(|source| source.as_str() == name)
    }
}

/// Where data came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Origin {
    /// A bootstrap server.
    Server(Endpoint),
    /// A directory on removable storage.
    RemovableStorage {
        /// Empty: the top.
        directory: String,
    },
    /// A record in DNS.
    Dns {
        /// Its name.
        name: DomainName,
        /// How it was asked for.
        transport: Transport,
    },
    /// A source as a whole.
    Source(Source),
}

impl Origin {
    /// The bootstrap server, if it is one.
    pub const fn server(&self) -> Option<&Endpoint> {
        match self {
            Self::Server(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// Whether it is a bootstrap server that was authenticated.
    pub const fn is_authenticated(&self) -> bool {
        match self.server() {
            Some(endpoint) => endpoint.trust.authenticates(),
            None => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(endpoint) => endpoint.fmt(f),
            Self::RemovableStorage { directory } => write!(f, "removable storage /{directory}"),
            Self::Dns { name, transport } => match transport {
                Transport::Multicast => write!(f, "multicast DNS {name}"),
                Transport::Unicast => write!(f, "DNS {name}"),
            },
            Self::Source(source) => f.write_str(source.as_str()),
        }
    }
}

impl Device {
    /// Begins with a source.
    pub(super) fn open_source(&mut self, source: Source) -> Option<Output> {
        self.contact = Some(self.contact_with(Origin::Source(source)));
        match source {
            Source::RemovableStorage => {
                self.wait_for(Awaiting::Media, Output::ListRemovableStorage)
            }
            Source::Dhcp => self.wait_for(Awaiting::Dhcp, Output::LookUpDhcp),
            Source::Dns => self.wait_for(Awaiting::Domains, Output::FindDomains),
            Source::BootstrapServers => {
                let known = self.config.servers.iter().rev();
                let known = known.map(|endpoint| Candidate::Server {
                    endpoint: endpoint.clone(),
                    depth: 0,
                    budget: self.config.max_contacts,
                });
                self.candidates.extend(known);
                None
            }
        }
    }

    pub(super) fn read_storage(&mut self, medium: usize, files: FileSet) -> Option<Output> {
        let directory = files.directory.clone();
        self.contact = Some(self.contact_with(Origin::RemovableStorage { directory }));
        let output = Output::ReadRemovableStorage { medium, files };
        self.wait_for(Awaiting::Artifacts, output)
    }

    pub(super) fn resolve(&mut self, query: Query) -> Option<Output> {
        let transport = query.transport;
        let name = query.name.clone();
        self.contact = Some(self.contact_with(Origin::Dns { name, transport }));
        self.wait_for(Awaiting::Records(transport), Output::Resolve(query))
    }

    /// What a source has answered, where it is no server.
    pub(super) fn take_source(&mut self, clock: WallClock, awaiting: Awaiting, input: Input) {
        match (awaiting, input) {
            (Awaiting::Media, Input::Media(media)) => self.take_media(&media),
            (Awaiting::Artifacts, Input::Artifacts(data)) => self.take_artifacts(clock, &data),
            (Awaiting::Dhcp, Input::DhcpOptions(options)) => self.take_dhcp(&options),
            (Awaiting::Domains, Input::Domains(domains)) => self.take_domains(&domains),
            // Multicast needs no domain.
            (Awaiting::Domains, other) => {
                if !matches!(other, Input::Nothing) {
                    self.note_failure(FailureKind::Unreachable(reason_of(other).into()));
                }
                self.take_domains(&[]);
            }
            (Awaiting::Records(transport), Input::Text(records)) => {
                self.take_text(clock, transport, &records);
            }
            (Awaiting::Records(_), Input::Services(records)) => self.take_services(records),
            (_, Input::Nothing) => {}
            (_, other) => self.note_failure(FailureKind::Unreachable(reason_of(other).into())),
        }
    }

    pub(super) fn contact_with(&self, origin: Origin) -> Contact {
        Contact {
            origin,
            depth: 0,
            budget: self.config.max_contacts,
            encoding: self.config.encoding,
            asked_again: false,
            verbose: false,
            signed: false,
            csr: None,
            csr_requests: 0,
        }
    }

    /// The files that are meant for this device, on each medium by each layout.
    fn take_media(&mut self, media: &[Vec<String>]) {
        let mut found = Vec::new();
        for (medium, listing) in media.iter().take(MAX_MEDIA).enumerate() {
            for layout in &self.config.storage_layouts {
                let listing = listing.iter().map(String::as_str);
                let sets = find(*layout, &self.config.serial_number, listing).into_iter();
                found.extend(sets.map(|files| Candidate::Storage { medium, files }));
            }
        }
        self.candidates.extend(found.into_iter().rev());
    }

    /// Bootstrapping data that did not come from a server: never authenticated.
    fn take_artifacts(&mut self, clock: WallClock, data: &BootstrappingData) {
        let judged = self.judge(clock, data, Encoding::Json);
        self.take_judgement(judged);
    }

    /// Invalid entries are ignored, and an option without a valid one is as if it were not there
    /// (RFC 8572 §8.1, §8.2).
    fn take_dhcp(&mut self, options: &[Vec<u8>]) {
        let mut named: Vec<BootstrapServer> = Vec::new();
        for value in options.iter().take(MAX_OPTIONS) {
            match BootstrapServerList::decode(value, self.config.dhcp_leniency) {
                Ok(received) => named.extend(received.list.servers()),
                Err(error) => self.note_failure(error.into()),
            }
        }
        self.list_servers(named);
    }

    /// Device-specific questions first, each by multicast and then by unicast (RFC 8572 §4.2.1).
    fn take_domains(&mut self, domains: &[DomainName]) {
        let mut asked: Vec<Query> = queries(&self.config.serial_number, None);
        // No DNS server is asked about multicast's own domain (RFC 6762 §3).
        let domains = domains
            .iter()
            .filter(|domain| **domain != DomainName::local());
        for domain in domains.take(MAX_DOMAINS) {
            for query in queries(&self.config.serial_number, Some(domain)) {
                if !asked.contains(&query) {
                    asked.push(query);
                }
            }
        }
        // Stable: domains stay in their order.
        asked.sort_by_key(|query| {
            (
                query.record_type == RecordType::Srv,
                query.transport == Transport::Unicast,
            )
        });
        self.candidates
            .extend(asked.into_iter().rev().map(Candidate::Query));
    }

    fn take_text(&mut self, clock: WallClock, transport: Transport, records: &[TxtRecord]) {
        if records.is_empty() {
            return;
        }
        let octets = answer_octets(&DomainName::local(), records);
        if transport == Transport::Multicast && octets > MAX_MULTICAST_OCTETS {
            let reason = "more than a multicast DNS message can hold".to_owned();
            return self.note_failure(FailureKind::Unreachable(reason.into()));
        }
        match bootstrapping_data(records) {
            Ok(data) => self.take_artifacts(clock, &data),
            Err(error) => self.note_failure(error.into()),
        }
    }

    /// SRV records are an unsigned redirect (RFC 8572 §4.2.3).
    fn take_services(&mut self, mut records: Vec<SrvRecord>) {
        records.truncate(MAX_NAMED);
        let records = ordered(records, |most| self.chance.up_to(most));
        self.list_servers(servers(&records));
    }

    /// Servers that an untrusted source names, as those of an untrusted redirect.
    fn list_servers(&mut self, mut named: Vec<BootstrapServer>) {
        named.truncate(MAX_NAMED);
        let found = named.into_iter().rev().map(|server| Candidate::Server {
            endpoint: Endpoint {
                address: server.address,
                port: server.port.unwrap_or(443),
                trust: EndpointTrust::Provisional,
            },
            depth: 1,
            budget: self.config.max_contacts,
        });
        self.candidates.extend(found);
    }
}

/// Media that are looked at.
const MAX_MEDIA: usize = 16;
/// DHCP options that are looked at: leases of several interfaces.
const MAX_OPTIONS: usize = 16;
/// Domains that are asked for.
const MAX_DOMAINS: usize = 8;
/// Servers of one untrusted source that are tried.
const MAX_NAMED: usize = 64;
