//! DHCPINFORM and the answer to it (RFC 2131 §4.3.5, §4.4.3).

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use sztp_core::dhcp::OPTION_V4_SZTP_REDIRECT;
use sztp_core::dhcp::long_option::OptionFields;

use super::exchange::{NoAnswer, Question};
use crate::agent::network::Hardware;

/// A client that has an address and asks what else there is.
#[derive(Debug)]
pub(super) struct Inform {
    identifier: [u8; 4],
    address: Ipv4Addr,
    hardware: Option<Hardware>,
}

impl Inform {
    pub(super) fn new(identifier: u32, address: Ipv4Addr, hardware: Option<Hardware>) -> Self {
        Self {
            identifier: identifier.to_be_bytes(),
            address,
            hardware,
        }
    }

    /// `htype` and `hlen`, and `chaddr`.
    fn hardware(&self) -> ([u8; 2], [u8; CHADDR_OCTETS]) {
        let mut address = [0; CHADDR_OCTETS];
        let Some(hardware) = self.hardware else {
            return ([0, 0], address);
        };
        address[..hardware.address.len()].copy_from_slice(&hardware.address);
        // Only the low octet of the number exists in this protocol.
        let [_, kind] = hardware.kind.to_be_bytes();
        ([kind, 6], address)
    }
}

impl Question for Inform {
    fn message(&self, elapsed: Duration) -> Vec<u8> {
        let seconds = u16::try_from(elapsed.as_secs()).unwrap_or(u16::MAX);
        let ([kind, length], hardware) = self.hardware();
        let mut message = vec![BOOTREQUEST, kind, length, 0];
        message.extend_from_slice(&self.identifier);
        message.extend_from_slice(&seconds.to_be_bytes());
        // Unicast is heard, as there is an address.
        message.extend_from_slice(&[0; 2]);
        message.extend_from_slice(&self.address.octets());
        message.extend_from_slice(&[0; 12]);
        message.extend_from_slice(&hardware);
        message.extend_from_slice(&[0; SNAME_OCTETS + FILE_OCTETS]);
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(&[OPTION_MESSAGE_TYPE, 1, DHCPINFORM]);
        message.extend_from_slice(&[OPTION_PARAMETER_REQUEST_LIST, 1, OPTION_V4_SZTP_REDIRECT]);
        let [high, low] = MAX_MESSAGE_OCTETS.to_be_bytes();
        message.extend_from_slice(&[OPTION_MAX_MESSAGE_SIZE, 2, high, low]);
        message.push(OPTION_END);
        // As short as RFC 1542 §2.1 lets it be: relays may drop what is shorter.
        message.resize(message.len().max(MIN_MESSAGE_OCTETS), 0);
        message
    }

    fn read(&self, message: &[u8]) -> Result<Option<Vec<u8>>, NoAnswer> {
        let (fixed, rest) = message
            .split_first_chunk::<CHADDR_AT>()
            .ok_or(NoAnswer::TooShort)?;
        let (hardware, rest) = rest
            .split_first_chunk::<CHADDR_OCTETS>()
            .ok_or(NoAnswer::TooShort)?;
        let (sname, rest) = rest
            .split_first_chunk::<SNAME_OCTETS>()
            .ok_or(NoAnswer::TooShort)?;
        let (file, rest) = rest
            .split_first_chunk::<FILE_OCTETS>()
            .ok_or(NoAnswer::TooShort)?;
        let options = rest
            .strip_prefix(&MAGIC_COOKIE)
            .ok_or(NoAnswer::NotFromServer)?;
        if fixed[0] != BOOTREPLY {
            return Err(NoAnswer::NotFromServer);
        }
        if fixed[4..8] != self.identifier {
            return Err(NoAnswer::OtherTransaction);
        }
        if *hardware != self.hardware().1 {
            return Err(NoAnswer::OtherClient);
        }
        let fields = OptionFields {
            options,
            file,
            sname,
        };
        if fields.join(OPTION_MESSAGE_TYPE)?.as_deref() != Some(&[DHCPACK]) {
            return Err(NoAnswer::OtherKind);
        }
        Ok(fields.join(OPTION_V4_SZTP_REDIRECT)?)
    }
}

/// When the question is sent: at once, and then with pauses of 4, 8, 16, 32 and 64 seconds, each a
/// second more or less by chance (RFC 2131 §4.1).
pub(super) fn times<E>(
    patience: Duration,
    mut fraction: impl FnMut() -> Result<f64, E>,
) -> Result<Vec<Duration>, E> {
    let mut times = vec![Duration::ZERO];
    let mut at = Duration::ZERO;
    let mut pause = FIRST_PAUSE;
    loop {
        at += pause.saturating_sub(CHANCE) + (2 * CHANCE).mul_f64(fraction()?);
        if at >= patience {
            return Ok(times);
        }
        times.push(at);
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// The clients' port at an address, to which the answer goes (RFC 2131 §4.3.5). Not at every address:
/// another client that has the port at this one would get the answer.
pub(super) const fn listening(address: Ipv4Addr) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(address, CLIENT_PORT))
}

/// Where clients listen (RFC 2131 §4.1).
pub(super) const CLIENT_PORT: u16 = 68;
/// All of them on the link, and through relays beyond.
pub(super) const SERVERS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::BROADCAST, 67));

const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
const CHANCE: Duration = Duration::from_secs(1);

const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
const CHADDR_AT: usize = 28;
const CHADDR_OCTETS: usize = 16;
const SNAME_OCTETS: usize = 64;
const FILE_OCTETS: usize = 128;
const OPTION_MESSAGE_TYPE: u8 = 53;
const OPTION_PARAMETER_REQUEST_LIST: u8 = 55;
const OPTION_MAX_MESSAGE_SIZE: u8 = 57;
const OPTION_END: u8 = 255;
const DHCPACK: u8 = 5;
const DHCPINFORM: u8 = 8;
const MIN_MESSAGE_OCTETS: usize = 300;
/// What Ethernet carries, so that long lists need not be spread over `sname` and `file`.
const MAX_MESSAGE_OCTETS: u16 = 1500;

#[cfg(test)]
mod tests {
    use super::*;
    use sztp_core::dhcp::DhcpError;
    use sztp_core::dhcp::long_option::split;

    const HARDWARE: Hardware = Hardware {
        kind: 1,
        address: [2, 0, 0, 0, 0, 42],
    };

    fn question() -> Inform {
        Inform::new(0xdead_beef, Ipv4Addr::new(192, 0, 2, 42), Some(HARDWARE))
    }

    /// An answer to the question, with options before the end.
    fn answer(options: &[u8]) -> Vec<u8> {
        let mut message = vec![BOOTREPLY, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef];
        message.resize(CHADDR_AT, 0);
        message.extend_from_slice(&HARDWARE.address);
        message.resize(CHADDR_AT + CHADDR_OCTETS + SNAME_OCTETS + FILE_OCTETS, 0);
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(options);
        message.push(OPTION_END);
        message
    }

    const ACK: [u8; 3] = [OPTION_MESSAGE_TYPE, 1, DHCPACK];

    #[test]
    fn the_question_is_one_of_a_client_with_an_address() {
        // LEDGER: 8572-8.1-01
        let message = question().message(Duration::from_secs(4));
        assert_eq!(message.len(), MIN_MESSAGE_OCTETS);
        let head = [
            1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef, 0, 4, 0, 0, 192, 0, 2, 42,
        ];
        assert_eq!(message[..16], head);
        assert_eq!(message[16..28], [0; 12], "no other address");
        assert_eq!(message[28..34], HARDWARE.address);
        assert_eq!(message[34..236], [0; 202]);
        assert_eq!(message[236..240], MAGIC_COOKIE);
        let options = [53, 1, 8, 55, 1, 143, 57, 2, 5, 220, 255];
        assert_eq!(message[240..251], options);
        assert_eq!(message[251..], [0; 49]);
    }

    #[test]
    fn long_options_are_joined_wherever_their_parts_are() {
        // LEDGER: 8572-8.1-04, 3396-01
        let value = [b'a'; 300];
        let options = [ACK.as_slice(), &split(143, &value)].concat();
        assert_eq!(question().read(&answer(&options)), Ok(Some(value.to_vec())));
        let mut spread = answer(&[&ACK[..], &[143, 1, b'a', 52, 1, 3]].concat());
        spread[44..48].copy_from_slice(&[0, 143, 1, b'c']);
        spread[48] = OPTION_END;
        spread[108..112].copy_from_slice(&[143, 1, b'b', OPTION_END]);
        assert_eq!(question().read(&spread), Ok(Some(b"abc".to_vec())));
        assert_eq!(question().read(&answer(&ACK)), Ok(None));
    }

    #[test]
    fn what_is_no_answer_to_it_is_passed_over() {
        let good = answer(&[&ACK[..], &[143, 1, b'a']].concat());
        let with = |at: usize, octet: u8| {
            let mut message = good.clone();
            message[at] = octet;
            question().read(&message)
        };
        assert_eq!(with(0, BOOTREQUEST), Err(NoAnswer::NotFromServer));
        assert_eq!(with(7, 0xee), Err(NoAnswer::OtherTransaction));
        assert_eq!(with(33, 43), Err(NoAnswer::OtherClient));
        assert_eq!(with(236, 0), Err(NoAnswer::NotFromServer));
        for kind in [1, 2, 3, 4, 6, 7, 8, 0, 255] {
            assert_eq!(with(242, kind), Err(NoAnswer::OtherKind), "{kind}");
        }
        assert_eq!(question().read(&good[..239]), Err(NoAnswer::NotFromServer));
        assert_eq!(question().read(&good[..200]), Err(NoAnswer::TooShort));
        let truncated = DhcpError::TruncatedOption { code: 143 };
        assert_eq!(with(244, 9), Err(NoAnswer::Options(truncated)));
    }

    #[test]
    fn pauses_double_with_chance_in_them() {
        let seconds = |fraction: f64, patience| {
            let times = times(Duration::from_secs(patience), || Ok::<_, ()>(fraction));
            let times = times.unwrap().into_iter();
            times.map(|time| time.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(seconds(0.5, 10), [0, 4]);
        assert_eq!(seconds(0.5, 220), [0, 4, 12, 28, 60, 124, 188]);
        assert_eq!(seconds(0.0, 61), [0, 3, 10, 25, 56]);
        assert_eq!(seconds(1.0, 60), [0, 5, 14, 31]);
    }

    #[test]
    fn nothing_that_arrives_makes_it_panic() {
        let long = split(143, &[b'a'; 600]);
        let good = answer(&[ACK.as_slice(), &long, &[54, 4, 1, 2, 3, 4, 52, 1, 3]].concat());
        let mut accepted = 0_u32;
        super::super::damage::each(&good, |message| {
            if question().read(message).is_ok() {
                assert_eq!(message[4..8], [0xde, 0xad, 0xbe, 0xef]);
                assert_eq!(message[28..34], HARDWARE.address);
                accepted += 1;
            }
        });
        assert!(accepted > 1000, "{accepted}: that would show nothing");
    }
}
