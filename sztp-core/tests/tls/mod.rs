//! A small real server (hyper over rustls, or over nothing), and a platform that writes down what
//! it is told to do.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sztp_cms::{AnyClientCertificate, Certificate, SigningKey, TrustAnchors, WallClock};
use sztp_core::client::{Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, RunningImage, ScriptStage,
};
use sztp_core::restconf::{encoding_of, media_type};
use sztp_core::rpc::{
    GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport, ProgressType,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::pair::{NOW, world};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The certificate that the client showed.
    pub client: Option<Certificate>,
    /// Counts connections from zero.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: header::HeaderName) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The report, if it is one.
    pub fn report(&self) -> Option<ProgressType> {
        if !self.path.ends_with(":report-progress") {
            return None;
        }
        let encoding = encoding_of(self.header(header::CONTENT_TYPE)).expect("one of ours");
        let report = ProgressReport::decode(&self.body, encoding).expect("a legal report");
        Some(report.progress_type)
    }

    /// The question for data, if it is one.
    pub fn question(&self) -> Option<GetBootstrappingDataInput> {
        if !self.path.ends_with(":get-bootstrapping-data") {
            return None;
        }
        let encoding = encoding_of(self.header(header::CONTENT_TYPE)).expect("one of ours");
        Some(GetBootstrappingDataInput::decode(&self.body, encoding).expect("legal"))
    }
}

type Handler = dyn Fn(&Seen) -> Answer + Send + Sync;

/// What the server answers, and how badly.
pub struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(header::HeaderName, String)>,
    pub body: Bytes,
    /// After so many octets of the body the connection breaks.
    pub breaks_after: Option<usize>,
    /// After so many octets of the body nothing more comes.
    pub stalls_after: Option<usize>,
    /// The head comes this late.
    pub delay: Duration,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: Vec::new(),
            body: Bytes::new(),
            breaks_after: None,
            stalls_after: None,
            delay: Duration::ZERO,
        }
    }

    pub fn with(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self::status(status).header(header::CONTENT_TYPE, content_type);
        answer.body = body.into();
        answer
    }

    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Over TLS, with this certificate.
    pub async fn tls(
        chain: &[Certificate],
        key: &SigningKey,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::tls_at(LOCALHOST, chain, key, handler).await
    }

    pub async fn tls_at(
        address: SocketAddr,
        chain: &[Certificate],
        key: &SigningKey,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let verifier = AnyClientCertificate::new(&TrustAnchors::default());
        let config = sztp_cms::server_config(chain, key, verifier).expect("a key that fits");
        Self::start(address, Some(TlsAcceptor::from(Arc::new(config))), handler).await
    }

    /// Over TLS as somebody else has configured it.
    pub async fn speaking(
        config: rustls::ServerConfig,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Self::start(LOCALHOST, Some(acceptor), handler).await
    }

    /// Over TLS, as the operator's server of this name.
    pub async fn of(host: &str, handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::tls(&world().server_chain(host), &world().server_key, handler).await
    }

    /// Without TLS.
    pub async fn plain(handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(LOCALHOST, None, handler).await
    }

    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().expect("no test thread panicked")
    }

    pub fn told(&self) -> Vec<ProgressType> {
        self.seen().iter().filter_map(Seen::report).collect()
    }

    async fn start(
        address: SocketAddr,
        acceptor: Option<TlsAcceptor>,
        handler: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler: Arc<Handler> = Arc::new(handler);
        let all = seen.clone();
        let task = tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((tcp, _)) = listener.accept().await {
                let (seen, handler, acceptor) = (all.clone(), handler.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(tcp, None, connection, seen, handler).await,
                        Some(acceptor) => {
                            if let Ok(tls) = acceptor.accept(tcp).await {
                                let client = tls.get_ref().1.peer_certificates();
                                let client = client.and_then(|chain| chain.first().cloned());
                                let client = client
                                    .map(|der| Certificate::from_der(&der).expect("readable"));
                                serve(tls, client, connection, seen, handler).await;
                            }
                        }
                    }
                });
                connection += 1;
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Option<Certificate>,
    connection: usize,
    all: Arc<Mutex<Vec<Seen>>>,
    handler: Arc<Handler>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (client, all, handler) = (client.clone(), all.clone(), handler.clone());
        async move {
            let (head, body) = request.into_parts();
            let seen = Seen {
                method: head.method,
                path: head.uri.to_string(),
                headers: head.headers,
                body: body.collect().await.expect("a whole request").to_bytes(),
                client,
                connection,
            };
            let answer = handler(&seen);
            all.lock().expect("no test thread panicked").push(seen);
            tokio::time::sleep(answer.delay).await;
            let mut response = Response::builder()
                .status(answer.status)
                .header(header::CONTENT_LENGTH, answer.body.len());
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            let stops = answer.breaks_after.or(answer.stalls_after);
            let body = BadBody {
                data: answer.body.slice(..stops.unwrap_or(answer.body.len())),
                breaks: answer.breaks_after.is_some(),
                broken: false,
                stalls: answer.stalls_after.is_some(),
            };
            Ok::<_, Infallible>(response.body(body).expect("legal headers"))
        }
    });
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

struct BadBody {
    data: Bytes,
    breaks: bool,
    broken: bool,
    stalls: bool,
}

impl Body for BadBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if !self.data.is_empty() {
            let length = self.data.len().min(1000);
            let part = self.data.split_to(length);
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if self.stalls {
            return Poll::Pending;
        }
        if self.breaks {
            // Not at once: what was given is to be written before the connection breaks.
            self.breaks = false;
            self.broken = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.broken {
            return Poll::Ready(Some(Err(std::io::Error::other("broken on purpose"))));
        }
        Poll::Ready(None)
    }
}

/// The answers of a bootstrap server that gives this.
pub fn bootstrap_server(
    output: impl Fn(&GetBootstrappingDataInput) -> GetBootstrappingDataOutput,
) -> impl Fn(&Seen) -> Answer {
    move |seen| {
        if let Some(question) = seen.question() {
            let encoding = encoding_of(seen.header(header::ACCEPT)).expect("one of ours");
            let body = output(&question).encode(encoding);
            return Answer::with(200, media_type(encoding), body);
        }
        Answer::status(if seen.report().is_some() { 204 } else { 404 })
    }
}

/// A client with the device's IDevID and little patience; all names lead to this machine.
pub fn client(edit: impl FnOnce(&mut Settings)) -> Client {
    let localhost = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    let names = [HOST, OTHER].map(|name| (name.to_owned(), localhost.clone()));
    let mut settings = Settings {
        connect_timeout: Duration::from_millis(500),
        handshake_timeout: Duration::from_millis(500),
        answer_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        stall_timeout: Duration::from_millis(300),
        addresses: HashMap::from(names),
        ..Settings::default()
    };
    edit(&mut settings);
    let identity = Identity {
        chain: vec![world().idevid.clone()],
        key: world().idevid_key.clone().into(),
    };
    Client::new(Some(identity), settings, || WallClock::Trusted(NOW))
}

/// The configuration with its server at another port.
pub fn at_port(mut config: DeviceConfig, port: u16) -> DeviceConfig {
    for server in &mut config.servers {
        server.port = port;
    }
    config
}

pub fn endpoint(host: &str, port: u16, trust: EndpointTrust) -> Endpoint {
    Endpoint {
        address: host.to_owned(),
        port,
        trust,
    }
}

/// Writes down what it is told to do.
#[derive(Debug, Default)]
pub struct Recorder {
    pub trace: Vec<String>,
    /// What the image file held when it was to be installed.
    pub installed: Option<Vec<u8>>,
    /// Where it was.
    pub path: Option<std::path::PathBuf>,
    /// Its permissions.
    pub mode: u32,
    pub after_reboot: Option<RunningImage>,
    pub script_fails: bool,
}

impl Platform for Recorder {
    async fn install_image(&mut self, image: &Path) -> Result<(), String> {
        self.trace.push("install".to_owned());
        self.installed = Some(std::fs::read(image).map_err(|error| error.to_string())?);
        self.path = Some(image.to_owned());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let metadata = std::fs::metadata(image).map_err(|error| error.to_string())?;
            self.mode = metadata.permissions().mode() & 0o777;
        }
        Ok(())
    }

    async fn reboot(&mut self, device: &Device) -> Result<Reboot, String> {
        let count = device.installed_images().len();
        self.trace.push(format!("reboot with {count} installed"));
        Ok(match self.after_reboot.clone() {
            Some(running) => Reboot::Done(running),
            None => Reboot::Pending,
        })
    }

    async fn run_script(&mut self, stage: ScriptStage, script: &[u8]) -> Ended {
        let script = String::from_utf8_lossy(script);
        self.trace.push(format!("{stage:?} script {script}"));
        if self.script_fails {
            return Ended::Error("exit 1".to_owned());
        }
        Ended::Well
    }

    async fn commit_configuration(
        &mut self,
        handling: ConfigurationHandling,
        configuration: &[u8],
    ) -> Ended {
        let configuration = String::from_utf8_lossy(configuration);
        self.trace
            .push(format!("{} {configuration}", handling.as_str()));
        Ended::Well
    }

    async fn roll_back(&mut self) -> Ended {
        self.trace.push("rollback".to_owned());
        Ended::Well
    }
}

pub const HOST: &str = "boot.example";
pub const OTHER: &str = "other.example";
const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
