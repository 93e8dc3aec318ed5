//! Requests to bootstrap servers (RFC 8572 §7): one connection is kept for each, all addresses of
//! its name are tried, its RESTCONF API root is discovered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::Full;
use sztp_cms::{ServerTrust, UnixTime, WallClock};
use sztp_voucher::yang::Encoding;

use super::Client;
use super::connection::{Answer, Connection, addresses_of};
use super::fault::Fault;
use crate::device::{Endpoint, EndpointTrust, Input};
use crate::restconf::{HOST_META_MEDIA_TYPE, media_type, restconf_root};

/// The connections of a driver: at most one is open.
pub(super) struct Servers<'a> {
    client: &'a Client,
    open: Option<Open>,
    connected: Vec<Connected>,
}

/// A connection that was made, and how long that took.
pub(super) struct Connected {
    pub(super) address: SocketAddr,
    pub(super) took: Duration,
    pub(super) discovery_took: Option<Duration>,
}

/// A connection and what it leads to.
struct Open {
    endpoint: Endpoint,
    address: SocketAddr,
    root: String,
    connection: Connection,
}

/// A call of an operation.
pub(super) struct Post {
    pub(super) operation: &'static str,
    pub(super) encoding: Encoding,
    pub(super) body: Bytes,
    /// Whether an address that refuses is as good as one that is dead, and the next one is tried.
    pub(super) any_address: bool,
}

impl<'a> Servers<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            open: None,
            connected: Vec::new(),
        }
    }

    /// The connections that were made since this was asked last.
    pub(super) fn take_connected(&mut self) -> Vec<Connected> {
        std::mem::take(&mut self.connected)
    }

    pub(super) fn disconnect(&mut self) {
        self.open = None;
    }

    pub(super) async fn post(&mut self, endpoint: &Endpoint, post: Post) -> Input {
        let mut input = match self.post_to_any(endpoint, &post).await {
            Ok(answer) => Input::Response {
                status: answer.status.as_u16(),
                content_type: answer
                    .headers
                    .get(header::CONTENT_TYPE)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
                retry_after: retry_after(&answer.headers, (self.client.clock)()),
                body: answer.body.to_vec(),
            },
            Err(fault) => Input::Unreachable(fault.into()),
        };
        if let Some(deviation) = &self.client.deviation {
            deviation.change_answer(post.operation, &mut input);
        }
        input
    }

    /// Tries the address that answered last, then all others (RFC 8572 §5.5).
    async fn post_to_any(&mut self, endpoint: &Endpoint, post: &Post) -> Result<Answer, Fault> {
        let known = match &mut self.open {
            Some(open) if open.endpoint.is_same(endpoint) => Some(open.address),
            _ => None,
        };
        let mut faults = Vec::new();
        let mut refusal = None;
        let mut addresses: Vec<SocketAddr> = known.into_iter().collect();
        if known.is_none() || post.any_address {
            match addresses_of(&self.client.settings, &endpoint.address, endpoint.port).await {
                Ok(found) => addresses.extend(found.into_iter().filter(|a| Some(*a) != known)),
                Err(fault) => faults.push(fault),
            }
        }
        for address in addresses {
            match self.post_to(endpoint, address, post).await {
                Ok(answer) => {
                    let refused = !answer.status.is_success()
                        && !matches!(
                            answer.status,
                            StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE
                        );
                    if !(refused && post.any_address) {
                        return Ok(answer);
                    }
                    refusal.get_or_insert(answer);
                }
                Err(fault) => faults.push(fault),
            }
        }
        match (refusal, faults.len()) {
            (Some(answer), _) => Ok(answer),
            (None, 1) => Err(faults.remove(0)),
            (None, _) => Err(Fault::Each(faults)),
        }
    }

    async fn post_to(
        &mut self,
        endpoint: &Endpoint,
        address: SocketAddr,
        post: &Post,
    ) -> Result<Answer, Fault> {
        let kept = self
            .open
            .take()
            .filter(|open| open.address == address && open.endpoint.is_same(endpoint));
        let root = kept.as_ref().map(|open| open.root.clone());
        if let Some(mut open) = kept
            && open.connection.is_usable().await
        {
            match self.exchange(&mut open, post).await {
                // A server may close an idle connection at any time, and both operations may be
                // repeated.
                Err(Fault::Http(_)) => {}
                Ok(answer) => {
                    self.open = Some(open);
                    return Ok(answer);
                }
                Err(fault) => return Err(fault),
            }
        }
        let mut open = self.connect(endpoint, address, root).await?;
        let answer = self.exchange(&mut open, post).await?;
        self.open = Some(open);
        Ok(answer)
    }

    async fn exchange(&self, open: &mut Open, post: &Post) -> Result<Answer, Fault> {
        let path = format!("{}/operations/{}", open.root, post.operation);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, media_type(post.encoding))
            .header(header::ACCEPT, media_type(post.encoding))
            .body(post.body.clone())
            .map_err(|_| Fault::Http("the API root cannot stand in a request".to_owned()))?;
        let mut times = 1;
        if let Some(deviation) = &self.client.deviation {
            deviation.change_request(post.operation, &mut request);
            times = deviation.times_sent(post.operation);
        }
        let settings = &self.client.settings;
        for _ in 1..times {
            let again = request.clone().map(Full::new);
            open.connection.exchange(settings, again).await?;
        }
        open.connection
            .exchange(settings, request.map(Full::new))
            .await
    }

    /// Connects; a root that is not known yet is discovered.
    async fn connect(
        &mut self,
        endpoint: &Endpoint,
        address: SocketAddr,
        root: Option<String>,
    ) -> Result<Open, Fault> {
        let trust = || match &endpoint.trust {
            EndpointTrust::Anchors(anchors) => ServerTrust::Anchors {
                anchors: anchors.clone(),
                host: endpoint.address.clone(),
                clock: (self.client.clock)(),
            },
            EndpointTrust::Provisional => ServerTrust::Provisional,
        };
        let host = &endpoint.address;
        let begun = Instant::now();
        let mut connection = Connection::open(self.client, address, host, Some(trust())).await?;
        let mut connected = Connected {
            address,
            took: begun.elapsed(),
            discovery_took: None,
        };
        let known = root.or_else(|| self.client.settings.api_root.clone());
        let root = if let Some(root) = known {
            root
        } else {
            let begun = Instant::now();
            let root = self.discover(&mut connection).await?;
            connected.discovery_took = Some(begun.elapsed());
            root
        };
        self.connected.push(connected);
        if !connection.is_usable().await {
            connection = Connection::open(self.client, address, host, Some(trust())).await?;
        }
        Ok(Open {
            endpoint: endpoint.clone(),
            address,
            root,
            connection,
        })
    }

    /// Asks for the API root (RFC 8040 §3.1). A server without discovery, as RFC 8572 alone does
    /// not ask for it, has the usual one.
    async fn discover(&self, connection: &mut Connection) -> Result<String, Fault> {
        let request = Request::builder()
            .uri("/.well-known/host-meta")
            .header(header::ACCEPT, HOST_META_MEDIA_TYPE)
            .body(Full::default())
            .map_err(|_| Fault::Http("the request cannot be made".to_owned()))?;
        match connection.exchange(&self.client.settings, request).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                let root = restconf_root(&answer.body).filter(|root| is_path(root));
                Ok(root.map_or_else(usual_root, |root| root.trim_end_matches('/').to_owned()))
            }
            Err(fault @ (Fault::TimedOut { .. } | Fault::Tls { .. })) => Err(fault),
            Ok(_) | Err(_) => Ok(usual_root()),
        }
    }
}

/// A delay in seconds, or a date where the time is known (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, clock: WallClock) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = clock.time()?;
    let date = http_date(value)?;
    Some(Duration::from_secs(
        u64::try_from(date.secs().saturating_sub(now.secs())).unwrap_or(0),
    ))
}

/// IMF-fixdate (RFC 9110 §5.6.7), the form that is sent.
fn http_date(text: &str) -> Option<UnixTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = rest.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    UnixTime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

fn usual_root() -> String {
    "/restconf".to_owned()
}

/// Whether a root stays on the server that named it.
fn is_path(root: &str) -> bool {
    root.starts_with('/')
        && !root.starts_with("//")
        && root.parse::<http::uri::PathAndQuery>().is_ok()
        && !root.contains(['?', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_server_wants_to_be_left_alone() {
        let asked = |value: &str, clock| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, clock).map(|duration| duration.as_secs())
        };
        // 1994-11-06T08:49:37Z.
        let now = WallClock::Trusted(UnixTime::from_secs(784_111_777));
        assert_eq!(asked("120", WallClock::Unknown), Some(120));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(asked(date, now), Some(60));
        assert_eq!(asked(date, WallClock::Unknown), None);
        assert_eq!(asked("Sun, 06 Nov 1994 07:00:00 GMT", now), Some(0));
        for text in [
            "",
            "-1",
            "soon",
            "Sun, 06 Nov 1994",
            "1.5",
            "Sun, 06 Nox 1994 08:50:37 GMT",
        ] {
            assert_eq!(asked(text, now), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
