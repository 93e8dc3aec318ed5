//! Information-request and the Reply to it (RFC 8415 §18.2.6, §18.3.6).

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use sztp_core::dhcp::OPTION_V6_SZTP_REDIRECT;
use sztp_core::dhcp::long_option::find_v6;

use super::exchange::{NoAnswer, Question};
use crate::agent::network::Hardware;

/// A client that asks for options and no addresses.
#[derive(Debug)]
pub(super) struct InformationRequest {
    identifier: [u8; 3],
    hardware: Option<Hardware>,
}

impl InformationRequest {
    /// Of the identifier, three octets travel.
    pub(super) fn new(identifier: u32, hardware: Option<Hardware>) -> Self {
        let [_, identifier @ ..] = identifier.to_be_bytes();
        Self {
            identifier,
            hardware,
        }
    }

    /// A DUID of the link-layer address (RFC 8415 §11.4).
    fn client_identifier(&self) -> Option<Vec<u8>> {
        let hardware = self.hardware?;
        let head = [DUID_LL.to_be_bytes(), hardware.kind.to_be_bytes()].concat();
        Some([head.as_slice(), &hardware.address].concat())
    }
}

impl Question for InformationRequest {
    fn message(&self, elapsed: Duration) -> Vec<u8> {
        let mut message = vec![INFORMATION_REQUEST];
        message.extend_from_slice(&self.identifier);
        let mut option = |code: u16, value: &[u8]| {
            // None of them is long.
            let [.., high, low] = value.len().to_be_bytes();
            message.extend_from_slice(&code.to_be_bytes());
            message.extend_from_slice(&[high, low]);
            message.extend_from_slice(value);
        };
        if let Some(identifier) = self.client_identifier() {
            option(OPTION_CLIENTID, &identifier);
        }
        let hundredths = u16::try_from(elapsed.as_millis() / 10).unwrap_or(u16::MAX);
        option(OPTION_ELAPSED_TIME, &hundredths.to_be_bytes());
        // The first two are asked for whether or not one cares (RFC 8415 §18.2.6).
        let asked = [
            OPTION_INFORMATION_REFRESH_TIME,
            OPTION_INF_MAX_RT,
            OPTION_V6_SZTP_REDIRECT,
        ];
        option(OPTION_ORO, &asked.map(u16::to_be_bytes).concat());
        message
    }

    fn read(&self, message: &[u8]) -> Result<Option<Vec<u8>>, NoAnswer> {
        let ([kind, identifier @ ..], options) =
            message.split_first_chunk::<4>().ok_or(NoAnswer::TooShort)?;
        if *kind != REPLY {
            return Err(NoAnswer::OtherKind);
        }
        if *identifier != self.identifier {
            return Err(NoAnswer::OtherTransaction);
        }
        // RFC 8415 §16.10.
        if find_v6(OPTION_SERVERID, options)?.is_none_or(<[u8]>::is_empty) {
            return Err(NoAnswer::NoServerIdentifier);
        }
        if find_v6(OPTION_CLIENTID, options)? != self.client_identifier().as_deref() {
            return Err(NoAnswer::OtherClient);
        }
        match find_v6(OPTION_STATUS_CODE, options)? {
            None | Some([0, 0, ..]) => {}
            Some(_) => return Err(NoAnswer::Status),
        }
        let value = find_v6(OPTION_V6_SZTP_REDIRECT, options)?;
        Ok(value.map(<[u8]>::to_vec))
    }
}

/// When the question is sent: after up to a second, so that a thousand devices that get their power
/// back together do not ask together, and then with pauses that double from one second up to an hour,
/// each a tenth more or less by chance (RFC 8415 §15, §18.2.6).
pub(super) fn times<E>(
    patience: Duration,
    mut fraction: impl FnMut() -> Result<f64, E>,
) -> Result<Vec<Duration>, E> {
    let mut at = INF_MAX_DELAY.mul_f64(fraction()?).min(patience / 2);
    let mut pause = INF_TIMEOUT.mul_f64(0.9 + 0.2 * fraction()?);
    let mut times = Vec::new();
    while at < patience {
        times.push(at);
        at += pause;
        pause = pause.mul_f64(1.9 + 0.2 * fraction()?);
        if pause > INF_MAX_RT {
            pause = INF_MAX_RT.mul_f64(0.9 + 0.2 * fraction()?);
        }
    }
    Ok(times)
}

/// The clients' port on an interface.
pub(super) const fn listening(address: Ipv6Addr, interface: u32) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(address, CLIENT_PORT, 0, interface))
}

/// All_DHCP_Relay_Agents_and_Servers (RFC 8415 §7.1) on an interface.
pub(super) const fn servers(interface: u32) -> SocketAddr {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
    SocketAddr::V6(SocketAddrV6::new(all, 547, 0, interface))
}

/// Where clients listen (RFC 8415 §7.2).
pub(super) const CLIENT_PORT: u16 = 546;

const INF_MAX_DELAY: Duration = Duration::from_secs(1);
const INF_TIMEOUT: Duration = Duration::from_secs(1);
const INF_MAX_RT: Duration = Duration::from_hours(1);

const REPLY: u8 = 7;
const INFORMATION_REQUEST: u8 = 11;
const DUID_LL: u16 = 3;
const OPTION_CLIENTID: u16 = 1;
const OPTION_SERVERID: u16 = 2;
const OPTION_ORO: u16 = 6;
const OPTION_ELAPSED_TIME: u16 = 8;
const OPTION_STATUS_CODE: u16 = 13;
const OPTION_INFORMATION_REFRESH_TIME: u16 = 32;
const OPTION_INF_MAX_RT: u16 = 83;

#[cfg(test)]
mod tests {
    use super::*;
    use sztp_core::dhcp::DhcpError;

    const HARDWARE: Hardware = Hardware {
        kind: 1,
        address: [2, 0, 0, 0, 0, 42],
    };
    const CLIENT: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 42];

    fn question() -> InformationRequest {
        InformationRequest::new(0x00c0_ffee, Some(HARDWARE))
    }

    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        [&code.to_be_bytes(), &length.to_be_bytes(), value].concat()
    }

    fn answer(options: &[Vec<u8>]) -> Vec<u8> {
        [&[REPLY, 0xc0, 0xff, 0xee], options.concat().as_slice()].concat()
    }

    fn server() -> Vec<u8> {
        option(OPTION_SERVERID, b"server")
    }

    fn client() -> Vec<u8> {
        option(OPTION_CLIENTID, &CLIENT)
    }

    #[test]
    fn the_question_names_the_option() {
        // LEDGER: 8572-8.2-01
        let message = question().message(Duration::from_millis(1234));
        let expected = [
            vec![INFORMATION_REQUEST, 0xc0, 0xff, 0xee],
            client(),
            option(OPTION_ELAPSED_TIME, &[0, 123]),
            option(OPTION_ORO, &[0, 32, 0, 83, 0, 136]),
        ];
        assert_eq!(message, expected.concat());
        let anonymous = InformationRequest::new(1, None).message(Duration::from_hours(1));
        assert_eq!(anonymous[4..10], [0, 8, 0, 2, 0xff, 0xff]);
    }

    #[test]
    fn the_option_is_found_among_others() {
        // LEDGER: 8572-8.2-03, 8572-8.2-04
        let value = vec![b'a'; 700];
        let redirect = option(136, &value);
        let second = option(136, b"other");
        let all = answer(&[client(), server(), option(32, &[0; 4]), redirect, second]);
        assert_eq!(question().read(&all), Ok(Some(value)));
        let success = option(OPTION_STATUS_CODE, b"\0\0fine");
        let none = answer(&[success, server(), client()]);
        assert_eq!(question().read(&none), Ok(None));
    }

    #[test]
    fn what_is_no_answer_to_it_is_passed_over() {
        let good = answer(&[client(), server(), option(136, b"a")]);
        let with = |at: usize, octet: u8| {
            let mut message = good.clone();
            message[at] = octet;
            question().read(&message)
        };
        assert_eq!(with(0, 2), Err(NoAnswer::OtherKind));
        assert_eq!(with(3, 0), Err(NoAnswer::OtherTransaction));
        assert_eq!(with(17, 43), Err(NoAnswer::OtherClient));
        assert_eq!(question().read(&good[..3]), Err(NoAnswer::TooShort));
        for (options, reason) in [
            (vec![client()], NoAnswer::NoServerIdentifier),
            (vec![client(), option(2, b"")], NoAnswer::NoServerIdentifier),
            (vec![server()], NoAnswer::OtherClient),
            (
                vec![client(), server(), option(OPTION_STATUS_CODE, &[0, 1])],
                NoAnswer::Status,
            ),
            (
                vec![client(), server(), vec![0, 136, 0, 9, 1]],
                NoAnswer::Options(DhcpError::TruncatedOption { code: 136 }),
            ),
        ] {
            assert_eq!(question().read(&answer(&options)), Err(reason));
        }
        // Who did not say who it is does not get an answer for somebody else.
        let anonymous = InformationRequest::new(0x00c0_ffee, None);
        assert_eq!(anonymous.read(&good), Err(NoAnswer::OtherClient));
        let answered = answer(&[server(), option(136, b"a")]);
        assert_eq!(anonymous.read(&answered), Ok(Some(b"a".to_vec())));
    }

    #[test]
    fn pauses_double_with_chance_in_them() {
        let tenths = |fraction: f64, patience| {
            let times = times(Duration::from_secs(patience), || Ok::<_, ()>(fraction));
            let times = times.unwrap().into_iter();
            times.map(|time| time.as_millis() / 100).collect::<Vec<_>>()
        };
        assert_eq!(tenths(0.5, 10), [5, 15, 35, 75]);
        assert_eq!(tenths(0.0, 10), [0, 9, 26, 58]);
        assert_eq!(tenths(1.0, 10), [10, 21, 44, 92]);
        assert_eq!(tenths(1.0, 1), [5], "something is asked in any case");
        let long = tenths(0.5, 30_000);
        let pauses: Vec<_> = long.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses.last(), Some(&36_000), "{pauses:?}");
    }

    #[test]
    fn nothing_that_arrives_makes_it_panic() {
        let value = [b'a'; 600];
        let good = answer(&[client(), server(), option(32, &[9; 4]), option(136, &value)]);
        let mut accepted = 0_u32;
        super::super::damage::each(&good, |message| {
            if question().read(message).is_ok() {
                assert_eq!(message[..4], [REPLY, 0xc0, 0xff, 0xee]);
                accepted += 1;
            }
        });
        assert!(accepted > 1000, "{accepted}: that would show nothing");
    }
}
