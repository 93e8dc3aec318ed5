//! Who asks for too much, sends too slowly or reads too slowly holds up nobody else.

mod harness;

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{GET_DATA, JSON, Rig, TRUSTING, small_device};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sztp_cms::KeyType;
use sztp_server::lab::LabPki;
use sztp_server::model::DeviceSpec;

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A device's TLS configuration.
fn client(lab: &LabPki, serial: &str) -> Arc<ClientConfig> {
    let idevid = lab
        .issue_idevid(serial, KeyType::EcP256, harness::now())
        .expect("an IDevID");
    let der =
        |certificate: &sztp_cms::Certificate| CertificateDer::from(certificate.as_der().to_vec());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der(&lab.tls_ca.certificate)).expect("an anchor");
    let key = idevid.key.to_pkcs8_der().expect("DER").as_slice().to_vec();
    let chain = vec![der(&idevid.certificate), der(&lab.idevid_ca.certificate)];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
        .expect("an identity");
    Arc::new(config)
}

/// A connection whose handshake is done.
fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> std::io::Result<Connection> {
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(config.clone(), name).expect("a session");
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut connection = StreamOwned::new(session, socket);
    while connection.conn.is_handshaking() {
        connection.conn.complete_io(&mut connection.sock)?;
    }
    Ok(connection)
}

/// Sends a request on a kept connection; the status, Retry-After and the body.
fn ask(connection: &mut Connection, head: &str, body: &str) -> (u16, Option<u64>, Vec<u8>) {
    let request = format!(
        "{head}\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).expect("sent");
    let mut reader = BufReader::new(connection);
    let mut status = 0;
    let (mut length, mut retry) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().expect("a status");
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a length");
        }
        if let Some(value) = line.strip_prefix("retry-after: ") {
            retry = value.parse().ok();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    (status, retry, body)
}

fn post() -> String {
    format!("POST /restconf/operations/{GET_DATA} HTTP/1.1\r\nContent-Type: {JSON}")
}

/// Whether the other side has ended the connection within this time.
fn ends_within(connection: &mut Connection, time: Duration) -> bool {
    connection
        .sock
        .set_read_timeout(Some(time))
        .expect("a timeout");
    match connection.read(&mut [0; 1024]) {
        Ok(0) => true,
        Ok(_) => ends_within(connection, time),
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

fn metric(rig: &Rig, sample: &str) -> f64 {
    let text = rig.admin().send("/metrics").text();
    text.lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
        .unwrap_or_else(|| panic!("{sample} is not in {text}"))
}

#[test]
fn one_address_has_its_number_of_connections() {
    let rig = Rig::start_with(|config| {
        config.limits.max_connections_per_address = 2;
        config.limits.handshake_timeout_secs = 2;
    });
    let config = client(&rig.lab, "A");
    let address = rig.server().device_addr();
    let first = connect(&config, address).expect("a connection");
    let _second = connect(&config, address).expect("a connection");
    // The third waits for as long as a handshake may take, and no longer.
    let begun = Instant::now();
    assert!(connect(&config, address).is_err());
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(10)).contains(&waited),
        "{waited:?}"
    );
    assert!(
        metric(
            &rig,
            "sztp_connections_turned_away_total{listener=\"device\"}"
        ) >= 1.0
    );
    // Or until one of the others goes.
    let leaving = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(first);
    });
    let third = connect(&config, address).expect("a connection");
    leaving.join().expect("it has left");
    drop(third);
    // The listener for operators counts for itself.
    assert_eq!(rig.admin().send("/api/v1/devices").status, 200);
}

#[test]
fn all_places_taken_by_silence_come_back() {
    let rig = Rig::start_with(|config| {
        config.limits.max_connections = 3;
        config.limits.header_timeout_secs = 2;
    });
    rig.add(&small_device("A"));
    let config = client(&rig.lab, "A");
    let mut silent: Vec<Connection> = (0..3)
        .map(|_| connect(&config, rig.server().device_addr()).expect("a connection"))
        .collect();
    let begun = Instant::now();
    let answer = rig.device("A").rpc(GET_DATA, JSON, TRUSTING);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        begun.elapsed() > Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
    for connection in &mut silent {
        assert!(ends_within(connection, Duration::from_secs(5)));
    }
}

#[test]
fn a_header_that_comes_in_drops_is_not_waited_for() {
    let rig = Rig::start_with(|config| config.limits.header_timeout_secs = 2);
    let config = client(&rig.lab, "A");
    let mut slow = connect(&config, rig.server().device_addr()).expect("a connection");
    slow.write_all(b"GET /restconf HTTP/1.1\r\nHost: localhost\r\n")
        .expect("sent");
    let begun = Instant::now();
    let mut ended = false;
    while begun.elapsed() < Duration::from_secs(8) && !ended {
        // Each drop comes well within any idle time.
        ended = slow.write_all(b"X-Drop: 1\r\n").is_err()
            || ends_within(&mut slow, Duration::from_millis(200));
    }
    assert!(ended, "still open after {:?}", begun.elapsed());
    assert!(
        begun.elapsed() > Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn more_downloads_than_places_come_again() {
    let rig = Rig::start_with(|config| {
        config.limits.max_downloads = 1;
        config.limits.stall_timeout_secs = 3;
    });
    let image = vec![7_u8; 32 * 1024 * 1024];
    let answer = rig.admin().data(image).send("/api/v1/images?name=os.bin");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let path = format!(
        "/files/{}/os.bin",
        answer.json()["sha256"].as_str().expect("a hash")
    );
    let config = client(&rig.lab, "A");
    let mut slow = connect(&config, rig.server().device_addr()).expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    slow.write_all(request.as_bytes()).expect("sent");
    slow.read_exact(&mut [0; 100]).expect("it begins");
    assert!((metric(&rig, "sztp_downloads") - 1.0).abs() < f64::EPSILON);
    let refused = rig.anonymous().send(&path);
    assert_eq!(refused.status, 503);
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(refused.error_tag(), "resource-denied");
    // What is no download goes on.
    assert_eq!(rig.anonymous().argument("--head").send(&path).status, 200);
    assert_eq!(rig.anonymous().send("/.well-known/host-meta").status, 200);
    // Who takes nothing for too long loses the place.
    let begun = Instant::now();
    while rig
        .anonymous()
        .header("Range: bytes=0-9")
        .send(&path)
        .status
        == 503
    {
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "the place is not given back"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(slow);
}

#[test]
fn more_requests_than_places_come_again() {
    let rig = Rig::start_with(|config| config.limits.max_requests = 1);
    rig.add(&small_device("A"));
    let config = client(&rig.lab, "A");
    let address = rig.server().device_addr();
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut connection = connect(&config, address).expect("a connection");
                for _ in 0..30 {
                    let (status, retry, body) = ask(&mut connection, &post(), TRUSTING);
                    match status {
                        200 => {
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                        503 => {
                            assert!(
                                retry.is_some_and(|secs| (1..=30).contains(&secs)),
                                "{retry:?}"
                            );
                            assert!(String::from_utf8_lossy(&body).contains("resource-denied"));
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other}: {}", String::from_utf8_lossy(&body)),
                    }
                }
            });
        }
    });
    let (served, refused) = (served.into_inner(), refused.into_inner());
    assert_eq!(served + refused, 240);
    assert!(
        served > 0 && refused > 0,
        "{served} served, {refused} refused"
    );
    #[expect(clippy::cast_precision_loss, reason = "at most 240")]
    let expected = refused as f64;
    let counted = metric(&rig, "sztp_overload_total{listener=\"device\"}");
    assert!(
        (counted - expected).abs() < f64::EPSILON,
        "{counted} counted, {expected} seen"
    );
    // A body that does not come takes no place.
    let mut slow = connect(&config, address).expect("a connection");
    let begun = format!(
        "{}\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{",
        post()
    );
    slow.write_all(begun.as_bytes()).expect("sent");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(rig.device("A").rpc(GET_DATA, JSON, TRUSTING).status, 200);
}

#[test]
fn an_event_stream_that_is_not_read_ends() {
    let rig = Rig::start_with(|config| config.limits.stall_timeout_secs = 2);
    let token = fs::read_to_string(rig.path("data/admin-token")).expect("the token");
    let config = client(&rig.lab, "A");
    // A small window, so that little is on the way.
    let socket = rig.runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let stream = socket
            .connect(rig.server().admin_addr())
            .await?
            .into_std()?;
        stream.set_nonblocking(false)?;
        std::io::Result::Ok(stream)
    });
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(config, name).expect("a session");
    let mut stuck = StreamOwned::new(session, socket.expect("a connection"));
    let request = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        token.trim()
    );
    stuck.write_all(request.as_bytes()).expect("sent");
    stuck.read_exact(&mut [0; 64]).expect("it begins");
    assert!((metric(&rig, "sztp_event_streams") - 1.0).abs() < f64::EPSILON);

    let service = rig.server().service().clone();
    rig.runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..20_000 {
            let service = service.clone();
            tasks.spawn(async move {
                service
                    .add_device(&format!("N{n:05}"), DeviceSpec::default())
                    .await
            });
        }
        while let Some(added) = tasks.join_next().await {
            added.expect("it ends").expect("it is added");
        }
    });
    let begun = Instant::now();
    while metric(&rig, "sztp_event_streams") > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(15), "still there");
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(stuck);
}

/// The resident memory of a process, in KiB.
fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("VmRSS");
    line.split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("a number")
}

#[test]
fn idle_connections_are_cheap() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    let config = format!(
        "data_dir = {:?}\ndevice_listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         [limits]\nheader_timeout_secs = 120\nmax_connections_per_address = 0\n",
        path("data")
    );
    fs::write(path("config.toml"), config).expect("written");
    let mut server = Command::new(env!("CARGO_BIN_EXE_sztp-server"))
        .arg("--config")
        .arg(path("config.toml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line
        .split_whitespace()
        .find_map(|word| word.parse::<SocketAddr>().ok())
        .expect("an address");
    let lab = LabPki::load(&path("data/lab")).expect("the lab");
    let config = client(&lab, "A");
    let ask_one = || {
        let mut connection = connect(&config, address).expect("a connection");
        let head = "GET /.well-known/host-meta HTTP/1.1";
        assert_eq!(ask(&mut connection, head, "").0, 200);
        connection
    };
    // What the first ones cost is spent once.
    let mut open: Vec<Connection> = (0..50).map(|_| ask_one()).collect();
    let before = resident_kib(server.id());
    let number = 400;
    open.extend((0..number).map(|_| ask_one()));
    let after = resident_kib(server.id());
    let each = after.saturating_sub(before) / number;
    eprintln!("{before} KiB, then {after} KiB: {each} KiB for each of {number} idle connections");
    drop(open);
    server.kill().expect("it ends");
    server.wait().expect("it has ended");
    assert!(each < 50, "{each} KiB for each idle connection");
}
