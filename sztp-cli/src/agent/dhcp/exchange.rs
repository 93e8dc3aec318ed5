//! A question that is sent until somebody answers, and the answers to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sztp_core::dhcp::DhcpError;
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// A question, and how an answer to it is told from everything else that arrives.
pub(super) trait Question {
    /// The message as it is sent so long after the first one.
    fn message(&self, elapsed: Duration) -> Vec<u8>;

    /// The option in an answer, if it is there.
    fn read(&self, message: &[u8]) -> Result<Option<Vec<u8>>, NoAnswer>;
}

/// What a server has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) server: IpAddr,
    pub(super) value: Option<Vec<u8>>,
}

/// Why a message is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum NoAnswer {
    #[error("it is too short")]
    TooShort,
    #[error("it is no answer of a server")]
    NotFromServer,
    #[error("it answers another question")]
    OtherTransaction,
    #[error("it is for another client")]
    OtherClient,
    #[error("it is of another kind")]
    OtherKind,
    #[error("the server does not say who it is")]
    NoServerIdentifier,
    #[error("the server says that it failed")]
    Status,
    #[error(transparent)]
    Options(#[from] DhcpError),
}

/// Sends the question at these times after now until somebody answers, and gives the first answer of
/// each server: of those that come until shortly after the first one.
pub(super) async fn exchange(
    socket: &UdpSocket,
    servers: SocketAddr,
    question: &impl Question,
    times: &[Duration],
    patience: Duration,
) -> io::Result<Vec<Answer>> {
    let begun = Instant::now();
    let mut until = begun + patience;
    let mut sent = 0;
    let mut first_sent = None;
    let mut answers: Vec<Answer> = Vec::new();
    let mut buffer = vec![0; MAX_OCTETS];
    loop {
        let now = Instant::now();
        if now >= until || answers.len() == MAX_ANSWERS {
            return Ok(answers);
        }
        let next = match times.get(sent) {
            Some(time) if answers.is_empty() => until.min(begun + *time),
            _ => until,
        };
        if next <= now {
            sent += 1;
            let first = *first_sent.get_or_insert(now);
            let message = question.message(now - first);
            socket.send_to(&message, servers).await?;
            continue;
        }
        let Ok(received) = timeout_at(next, socket.recv_from(&mut buffer)).await else {
            continue;
        };
        let (octets, from) = received?;
        let server = from.ip();
        if answers.iter().any(|answer| answer.server == server) {
            continue;
        }
        if let Ok(value) = question.read(buffer.get(..octets).unwrap_or_default()) {
            if answers.is_empty() {
                until = until.min(Instant::now() + OTHERS_WAIT);
            }
            answers.push(Answer { server, value });
        }
    }
}

/// A UDP message is not larger.
const MAX_OCTETS: usize = 65_535;
/// For the answers of other servers after the first one.
const OTHERS_WAIT: Duration = Duration::from_secs(1);
/// Servers whose answers are taken.
const MAX_ANSWERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Asks with `?` and the tenths that have passed; `!` and more is an answer.
    struct Plain;

    impl Question for Plain {
        fn message(&self, elapsed: Duration) -> Vec<u8> {
            let tenths = u8::try_from(elapsed.as_millis() / 100).unwrap();
            vec![b'?', tenths]
        }

        fn read(&self, message: &[u8]) -> Result<Option<Vec<u8>>, NoAnswer> {
            let value = message.strip_prefix(b"!").ok_or(NoAnswer::OtherKind)?;
            Ok((!value.is_empty()).then(|| value.to_vec()))
        }
    }

    async fn socket(address: &str) -> UdpSocket {
        UdpSocket::bind(address).await.unwrap()
    }

    const TENTH: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn silence_is_asked_again_and_then_taken_for_an_answer() {
        let server = socket("127.0.0.1:0").await;
        let client = socket("127.0.0.1:0").await;
        let to = server.local_addr().unwrap();
        let times = [Duration::ZERO, TENTH, 3 * TENTH, 100 * TENTH];
        let begun = Instant::now();
        let answers = exchange(&client, to, &Plain, &times, 10 * TENTH).await;
        assert_eq!(answers.unwrap(), []);
        assert!(begun.elapsed() >= 10 * TENTH);
        let mut seen = Vec::new();
        let mut buffer = [0; 16];
        while let Ok((octets, _)) = server.try_recv_from(&mut buffer) {
            seen.push(buffer[..octets].to_vec());
        }
        let elapsed: Vec<u8> = seen.iter().map(|message| message[1]).collect();
        assert_eq!((seen.len(), elapsed[0]), (3, 0));
        assert!(elapsed[1] >= 1 && elapsed[2] >= 3, "{elapsed:?}");
    }

    #[tokio::test]
    async fn each_server_is_heard_once_and_noise_is_not() {
        let first = socket("127.0.0.2:0").await;
        let second = socket("127.0.0.3:0").await;
        let client = socket("127.0.0.1:0").await;
        let to = first.local_addr().unwrap();
        let asked = Mutex::new(0);
        let serving = async {
            let mut buffer = [0; 16];
            loop {
                let (_, from) = first.recv_from(&mut buffer).await.unwrap();
                *asked.lock().unwrap() += 1;
                second.send_to(b"noise", from).await.unwrap();
                first.send_to(b"!", from).await.unwrap();
                first.send_to(b"!too late", from).await.unwrap();
                second.send_to(b"!another", from).await.unwrap();
            }
        };
        let times: Vec<Duration> = (0..100).map(|n| n * TENTH).collect();
        let begun = Instant::now();
        let answers = tokio::select! {
            answers = exchange(&client, to, &Plain, &times, 100 * TENTH) => answers.unwrap(),
            () = serving => unreachable!("it serves for ever"),
        };
        let server = |last| IpAddr::from([127, 0, 0, last]);
        let answer = |last, value: Option<&[u8]>| Answer {
            server: server(last),
            value: value.map(<[u8]>::to_vec),
        };
        assert_eq!(answers, [answer(2, None), answer(3, Some(b"another"))]);
        assert!(begun.elapsed() < 20 * TENTH);
        assert_eq!(*asked.lock().unwrap(), 1, "who has an answer asks no more");
    }

    #[tokio::test]
    async fn a_flood_takes_no_longer_than_silence() {
        let client = socket("127.0.0.1:0").await;
        let to = client.local_addr().unwrap();
        let flooding = tokio::spawn(async move {
            let server = socket("127.0.0.2:0").await;
            loop {
                server.send_to(&[b'x'; 1000], to).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let begun = Instant::now();
        let times = [Duration::ZERO];
        let nobody = "127.0.0.9:9".parse().unwrap();
        let answers = exchange(&client, nobody, &Plain, &times, 3 * TENTH).await;
        assert_eq!(answers.unwrap(), []);
        assert!(begun.elapsed() < 20 * TENTH);
        flooding.abort();
        // More servers than anybody has.
        for last in 1..=MAX_ANSWERS + 4 {
            let server = socket(&format!("127.0.1.{last}:0")).await;
            server.send_to(b"!", to).await.unwrap();
        }
        let answers = exchange(&client, nobody, &Plain, &times, 30 * TENTH).await;
        assert_eq!(answers.unwrap().len(), MAX_ANSWERS);
    }
}
