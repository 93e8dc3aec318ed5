//! Multicast DNS (RFC 6762): one question on every network interface, by IPv4 and IPv6, and what is
//! answered within two seconds.
//!
//! It is asked from port 5353, so that answers come by multicast: those that come back by unicast may
//! be cut to what other DNS messages hold (RFC 6762 §6.7), and artifacts are larger. Their records come
//! in any number of messages.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, Query as Question};
use hickory_resolver::proto::rr::{Name, RData, RecordType as Type};
use socket2::SockRef;
use sztp_core::client::Hosts;
use sztp_core::dns::MAX_MULTICAST_OCTETS;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::network::Interface;

/// A record, and the interface on which it was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) data: RData,
    pub(super) interface: u32,
}

/// Asks all that listen for the records of a name, of any of these types.
pub(super) async fn ask(name: &Name, types: &[Type]) -> Result<Vec<Told>, String> {
    let interfaces = Interface::all().map_err(|error| failed(&error))?;
    let mut asked = Vec::new();
    let mut problem = None;
    let reachable = interfaces
        .iter()
        .filter(|interface| interface.v4.is_some() || interface.link_local.is_some());
    for interface in reachable.take(MAX_INTERFACES) {
        for group in [GROUP_V4, GROUP_V6] {
            match open(interface, group) {
                Ok(Some(socket)) => asked.push((socket, at(group, interface), interface.index)),
                Ok(None) => {}
                Err(error) => problem = Some(failed(&error)),
            }
        }
    }
    match problem {
        Some(problem) if asked.is_empty() => Err(problem),
        _ => ask_on(asked, name, types).await,
    }
}

/// Host names beneath `local` (RFC 6762 §3), for which not every system has a resolver.
#[derive(Debug)]
pub(super) struct LocalHosts;

impl Hosts for LocalHosts {
    fn addresses<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = Vec<SocketAddr>> + Send + 'a>> {
        Box::pin(async move {
            let Some(mut name) = Name::from_ascii(host).ok().filter(is_local) else {
                return Vec::new();
            };
            name.set_fqdn(true);
            let told = ask(&name, &[Type::A, Type::AAAA]).await.unwrap_or_default();
            told.iter().filter_map(address).collect()
        })
    }
}

fn is_local(name: &Name) -> bool {
    let mut labels = name.iter().rev();
    let last = labels.next();
    last.is_some_and(|label| label.eq_ignore_ascii_case(b"local")) && labels.next().is_some()
}

fn address(told: &Told) -> Option<SocketAddr> {
    match &told.data {
        RData::A(address) => Some(SocketAddr::new(IpAddr::V4(address.0), 0)),
        RData::AAAA(address) => {
            let scope = if address.0.is_unicast_link_local() {
                told.interface
            } else {
                0
            };
            Some(SocketAddrV6::new(address.0, 0, 0, scope).into())
        }
        _ => None,
    }
}

/// A socket in the group, where the interface has an address of its family.
fn open(interface: &Interface, group: IpAddr) -> io::Result<Option<UdpSocket>> {
    let anywhere: IpAddr = match group {
        IpAddr::V4(_) if interface.v4.is_some() => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) if interface.link_local.is_some() => Ipv6Addr::UNSPECIFIED.into(),
        _ => return Ok(None),
    };
    let socket = interface.socket(SocketAddr::new(anywhere, PORT));
    // Somebody may have the port to himself; some answer all the same.
    let socket = socket.or_else(|_| interface.socket(SocketAddr::new(anywhere, 0)))?;
    // RFC 6762 §11.
    match (group, interface.v4) {
        (IpAddr::V4(group), Some(address)) => {
            socket.join_multicast_v4(group, address)?;
            socket.set_multicast_ttl_v4(255)?;
        }
        (IpAddr::V6(group), _) => {
            socket.join_multicast_v6(&group, interface.index)?;
            SockRef::from(&socket).set_multicast_hops_v6(255)?;
        }
        _ => {}
    }
    Ok(Some(socket))
}

fn at(group: IpAddr, interface: &Interface) -> SocketAddr {
    match group {
        IpAddr::V4(_) => SocketAddr::new(group, PORT),
        IpAddr::V6(group) => SocketAddrV6::new(group, PORT, 0, interface.index).into(),
    }
}

/// Asks through these sockets until some time after the first answer.
async fn ask_on(
    sockets: Vec<(UdpSocket, SocketAddr, u32)>,
    name: &Name,
    types: &[Type],
) -> Result<Vec<Told>, String> {
    let mut message = Message::query();
    message.metadata.id = 0;
    message.metadata.recursion_desired = false;
    for kind in types {
        message.add_query(Question::query(name.clone(), *kind));
    }
    let question = message.to_vec().map_err(|error| error.to_string())?;
    let (told, mut hearing) = mpsc::channel(MAX_RECORDS);
    let mut tasks = JoinSet::new();
    for (socket, to, interface) in sockets {
        let (question, told) = (question.clone(), told.clone());
        let (name, types) = (name.clone(), types.to_vec());
        tasks.spawn(async move {
            let asked = Asked {
                name: &name,
                types: &types,
            };
            hear(&socket, to, &question, &asked, |data| {
                // Who tells more than is wanted is not heard to the end.
                told.try_send(Told { data, interface }).is_ok()
            })
            .await
        });
    }
    drop(told);
    let mut until = Instant::now() + WAIT;
    let mut found: Vec<Told> = Vec::new();
    while let Ok(Some(one)) = timeout_at(until, hearing.recv()).await {
        // The same by IPv4 and IPv6, and again to others that ask.
        if found.iter().all(|known| known.data != one.data) {
            found.push(one);
            until = until.min(Instant::now() + REST_WAIT);
        }
        if found.len() == MAX_RECORDS {
            break;
        }
    }
    if found.is_empty() {
        while let Some(ended) = tasks.try_join_next() {
            if let Ok(Err(error)) = ended {
                return Err(failed(&error));
            }
        }
    }
    Ok(found)
}

/// What an answer has to be about.
struct Asked<'a> {
    name: &'a Name,
    types: &'a [Type],
}

impl Asked<'_> {
    /// The records in a message that are asked for.
    fn records(&self, octets: &[u8]) -> Vec<RData> {
        let Ok(message) = Message::from_vec(octets) else {
            return Vec::new();
        };
        if message.metadata.message_type != MessageType::Response {
            return Vec::new();
        }
        let records = message.answers.into_iter().chain(message.additionals);
        records
            .filter(|record| {
                // A time to live of 0 takes a record back (RFC 6762 §10.1).
                record.ttl > 0
                    && record.name == *self.name
                    && self.types.contains(&record.record_type())
            })
            .map(|record| record.data)
            .collect()
    }
}

/// Asks, and once more after a second, and tells of what comes until nobody listens.
async fn hear(
    socket: &UdpSocket,
    to: SocketAddr,
    question: &[u8],
    asked: &Asked<'_>,
    mut tell: impl FnMut(RData) -> bool,
) -> io::Result<()> {
    socket.send_to(question, to).await?;
    let mut again = Some(Instant::now() + AGAIN);
    let mut buffer = vec![0; MAX_MULTICAST_OCTETS];
    loop {
        let receiving = socket.recv_from(&mut buffer);
        let received = match again {
            None => Ok(receiving.await),
            Some(time) => timeout_at(time, receiving).await,
        };
        let Ok(received) = received else {
            again = None;
            socket.send_to(question, to).await?;
            continue;
        };
        let (octets, from) = received?;
        // Only responders speak from this port (RFC 6762 §6).
        if from.port() != to.port() {
            continue;
        }
        for data in asked.records(buffer.get(..octets).unwrap_or_default()) {
            again = None;
            if !tell(data) {
                return Ok(());
            }
        }
    }
}

fn failed(error: &io::Error) -> String {
    format!("multicast DNS: {error}")
}

const PORT: u16 = 5353;
const GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));
const GROUP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb));
const WAIT: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);
/// For more records after one that is new.
const REST_WAIT: Duration = Duration::from_millis(500);
/// Records that are looked at.
const MAX_RECORDS: usize = 64;
const MAX_INTERFACES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV, TXT};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn service(port: u16) -> RData {
        RData::SRV(SRV::new(0, 0, port, name("boot.local.")))
    }

    /// A message with one record, as an answer to the question.
    fn answer(question: &[u8], of: &str, ttl: u32, data: RData) -> Vec<u8> {
        let mut message = Message::from_vec(question).unwrap().into_response();
        message.add_answer(Record::from_rdata(name(of), ttl, data));
        message.to_vec().unwrap()
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_passed_over() {
        let responder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = responder.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            let (octets, from) = responder.recv_from(&mut buffer).await.unwrap();
            let question = &buffer[..octets];
            let asked = Message::from_vec(question).unwrap();
            assert_eq!(asked.queries[0].name(), &name("_sztp._tcp.local."));
            assert_eq!(asked.metadata.id, 0);
            let of_other = answer(question, "_sztp._tcp.local.", 60, service(1));
            other.send_to(&of_other, from).await.unwrap();
            responder.send_to(b"noise", from).await.unwrap();
            responder.send_to(question, from).await.unwrap();
            for (of, ttl, port) in [
                ("_ipp._tcp.local.", 60, 2),
                ("_sztp._tcp.local.", 0, 3),
                ("_SZTP._tcp.local.", 60, 4),
                ("_sztp._tcp.local.", 60, 4),
                ("_sztp._tcp.local.", 60, 5),
            ] {
                let message = answer(question, of, ttl, service(port));
                responder.send_to(&message, from).await.unwrap();
            }
        });
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let asked = vec![(socket, address, 7)];
        let begun = Instant::now();
        let found = ask_on(asked, &name("_sztp._tcp.local."), &[Type::SRV]).await;
        let told = |port| Told {
            data: service(port),
            interface: 7,
        };
        assert_eq!(found, Ok(vec![told(4), told(5)]));
        assert!(begun.elapsed() < WAIT);
    }

    #[tokio::test]
    async fn whoever_is_silent_is_asked_once_more() {
        let responder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = responder.local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let begun = Instant::now();
        let asked = vec![(socket, address, 1)];
        let found = ask_on(asked, &name("_sztp._tcp.local."), &[Type::SRV]).await;
        assert_eq!(found, Ok(Vec::new()));
        assert!(begun.elapsed() >= WAIT);
        let mut buffer = [0; 2048];
        let mut questions = 0;
        while responder.try_recv_from(&mut buffer).is_ok() {
            questions += 1;
        }
        assert_eq!(questions, 2);
    }

    #[tokio::test]
    async fn more_than_anybody_has_is_not_kept() {
        let responder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = responder.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            let (octets, from) = responder.recv_from(&mut buffer).await.unwrap();
            for number in 0..u64::MAX {
                let text = TXT::new(vec![number.to_string()]);
                let message = answer(&buffer[..octets], "a.local.", 60, RData::TXT(text));
                // Until the other side has gone.
                let _ = responder.send_to(&message, from).await;
                tokio::task::yield_now().await;
            }
        });
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let asked = vec![(socket, address, 1)];
        let found = ask_on(asked, &name("a.local."), &[Type::TXT]).await;
        assert_eq!(found.unwrap().len(), MAX_RECORDS);
    }

    #[test]
    fn link_local_addresses_are_those_of_their_link() {
        let told = |data| Told { data, interface: 7 };
        let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
        let scoped = SocketAddrV6::new(link_local, 0, 0, 7);
        let data = RData::AAAA(AAAA(link_local));
        assert_eq!(address(&told(data)), Some(scoped.into()));
        let data = RData::A(A::new(192, 0, 2, 1));
        assert_eq!(address(&told(data)), Some("192.0.2.1:0".parse().unwrap()));
        assert_eq!(address(&told(service(1))), None);
        for (text, local) in [
            ("boot.local", true),
            ("boot.LOCAL.", true),
            ("local", false),
            ("boot.local.example", false),
        ] {
            assert_eq!(is_local(&name(text)), local, "{text}");
        }
    }
}
