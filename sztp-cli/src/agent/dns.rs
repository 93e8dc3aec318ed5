//! DNS as a source (RFC 8572 §4.2): servers are asked with hickory-resolver, over TCP where the answer
//! is large; multicast DNS is that of `multicast_dns`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType as Type};
use hickory_resolver::system_conf::read_system_conf;
use sztp_core::client::Records;
use sztp_core::dns::{DomainName, Query, RecordType, SrvRecord, Transport, TxtRecord};

use super::multicast_dns;

/// Whom to ask, and about which domains.
#[derive(Debug, Default)]
pub(super) struct Dns {
    /// DNS servers; none: those of the system.
    pub(super) servers: Vec<SocketAddr>,
    /// The most specific first; none: those of the system.
    pub(super) domains: Vec<DomainName>,
}

impl Dns {
    /// The domains to ask DNS servers about; none if there are no servers.
    pub(super) fn domains(&self) -> Result<Vec<DomainName>, String> {
        if !self.domains.is_empty() {
            return Ok(self.domains.clone());
        }
        let (system, _) = read_system_conf().map_err(|error| error.to_string())?;
        let names = system.domain().into_iter().chain(system.search());
        let mut found = Vec::new();
        for name in names {
            let name = ours(name)?;
            if !name.labels().is_empty() && !found.contains(&name) {
                found.push(name);
            }
        }
        Ok(found)
    }

    pub(super) async fn resolve(&self, query: &Query) -> Result<Records, String> {
        let name = theirs(&query.name)?;
        let kind = match query.record_type {
            RecordType::Txt => Type::TXT,
            RecordType::Srv => Type::SRV,
        };
        let answers = match query.transport {
            Transport::Unicast => self.ask_servers(name, kind).await?,
            Transport::Multicast => {
                let told = multicast_dns::ask(&name, &[kind]).await?;
                told.into_iter().map(|one| one.data).collect()
            }
        };
        records(answers, query.record_type)
    }

    async fn ask_servers(&self, name: Name, kind: Type) -> Result<Vec<RData>, String> {
        let resolver = self.resolver()?;
        match resolver.lookup(name, kind).await {
            Ok(lookup) => Ok(lookup
                .answers()
                .iter()
                .filter(|record| record.record_type() == kind)
                .map(|record| record.data.clone())
                .collect()),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn resolver(&self) -> Result<TokioResolver, String> {
        let (config, mut options) = if self.servers.is_empty() {
            read_system_conf().map_err(|error| error.to_string())?
        } else {
            let servers = self.servers.iter().map(|address| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = address.port();
                    connection
                });
                NameServerConfig::new(address.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            (config, ResolverOpts::default())
        };
        // Each round asks anew, and nothing but DNS.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = UNICAST_TIMEOUT;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder.build().map_err(|error| error.to_string())
    }
}

fn records(answers: Vec<RData>, kind: RecordType) -> Result<Records, String> {
    let malformed = |error: sztp_core::dns::DnsError| error.to_string();
    if answers.is_empty() {
        return Ok(Records::None);
    }
    match kind {
        RecordType::Txt => {
            let texts = answers.into_iter().filter_map(|data| match data {
                RData::TXT(text) => Some(text.txt_data.iter().map(|one| one.to_vec()).collect()),
                _ => None,
            });
            let records: Result<_, _> = texts.map(TxtRecord::new).collect();
            records.map(Records::Text).map_err(malformed)
        }
        RecordType::Srv => {
            let services = answers.into_iter().filter_map(|data| match data {
                RData::SRV(service) => Some(service),
                _ => None,
            });
            let records = services.map(|service| {
                Ok(SrvRecord {
                    priority: service.priority,
                    weight: service.weight,
                    port: service.port,
                    target: ours(&service.target)?,
                })
            });
            records
                .collect::<Result<_, String>>()
                .map(Records::Services)
        }
    }
}

fn ours(name: &Name) -> Result<DomainName, String> {
    let labels = name.iter().map(<[u8]>::to_vec).collect();
    DomainName::from_labels(labels).map_err(|error| error.to_string())
}

/// The serial number in it is one label, whatever octets it has.
fn theirs(name: &DomainName) -> Result<Name, String> {
    let labels = name.labels().iter().map(Vec::as_slice);
    let mut name = Name::from_labels(labels).map_err(|error| error.to_string())?;
    // No search list is gone through.
    name.set_fqdn(true);
    Ok(name)
}

/// A DNS server: an address, with or without a port.
pub(super) fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53));
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("{text:?} is not ADDRESS or ADDRESS:PORT"))
}

const UNICAST_TIMEOUT: Duration = Duration::from_secs(3);
#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::op::Message;
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{SRV, TXT};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, UdpSocket};

    /// Answers one question over UDP, truncated if `truncated`, and then one over TCP.
    async fn serve(answers: Vec<RData>, truncated: bool) -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let answer = move |octets: &[u8], cut: bool| {
            let question = Message::from_vec(octets).unwrap();
            let name = question.queries[0].name().clone();
            let mut message = question.into_response();
            message.metadata.truncation = cut;
            if !cut {
                let records = answers.iter().cloned();
                message.add_answers(records.map(|data| Record::from_rdata(name.clone(), 60, data)));
            }
            message.to_vec().unwrap()
        };
        let again = answer.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((octets, from)) = udp.recv_from(&mut buffer).await {
                let message = answer(&buffer[..octets], truncated);
                udp.send_to(&message, from).await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.unwrap();
                let mut octets = vec![0; length.into()];
                stream.read_exact(&mut octets).await.unwrap();
                let message = again(&octets, false);
                let length = u16::try_from(message.len()).unwrap();
                stream.write_u16(length).await.unwrap();
                stream.write_all(&message).await.unwrap();
                stream.flush().await.unwrap();
                // The client may close.
                let _ = stream.read_u8().await;
            }
        });
        address
    }

    fn dns(server: SocketAddr) -> Dns {
        Dns {
            servers: vec![server],
            domains: vec![DomainName::parse("birch.example").unwrap()],
        }
    }

    fn question(record_type: RecordType) -> Query {
        let domain = DomainName::parse("birch.example").unwrap();
        Query {
            name: DomainName::device_specific("AX7 00.042", &domain).unwrap(),
            record_type,
            transport: Transport::Unicast,
        }
    }

    // LEDGER: 8572-4.2.4-02
    #[tokio::test]
    async fn a_large_answer_comes_over_tcp() {
        let strings: Vec<Vec<u8>> = vec![vec![b'x'; 255]; 60];
        let data = TXT::from_bytes(strings.iter().map(Vec::as_slice).collect());
        let server = serve(vec![RData::TXT(data)], true).await;
        let records = dns(server).resolve(&question(RecordType::Txt)).await;
        let expected = TxtRecord::new(strings).unwrap();
        assert_eq!(records, Ok(Records::Text(vec![expected])));
    }

    #[tokio::test]
    async fn services_are_found_and_so_is_nothing() {
        let target = Name::from_ascii("boot.birch.example.").unwrap();
        let data = RData::SRV(SRV::new(1, 2, 8443, target));
        let server = serve(vec![data], false).await;
        let records = dns(server).resolve(&question(RecordType::Srv)).await;
        let Ok(Records::Services(found)) = records else {
            panic!("{records:?}")
        };
        assert_eq!(found[0].port, 8443);
        assert_eq!(found[0].target.to_string(), "boot.birch.example.");
        let server = serve(Vec::new(), false).await;
        let records = dns(server).resolve(&question(RecordType::Txt)).await;
        assert_eq!(records, Ok(Records::None));
    }

    #[test]
    fn servers_with_and_without_a_port() {
        assert_eq!(server("192.0.2.1").unwrap().port(), 53);
        assert_eq!(server("192.0.2.1:5300").unwrap().port(), 5300);
        assert_eq!(server("2001:db8::1").unwrap().port(), 53);
        assert_eq!(server("[2001:db8::1]:5300").unwrap().port(), 5300);
        assert!(server("dns.example").is_err());
    }
}
