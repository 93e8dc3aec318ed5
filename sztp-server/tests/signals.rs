//! SIGHUP and SIGTERM: certificates change and the program ends without anyone being cut off.

mod harness;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::now;
use rustls::pki_types::{CertificateDer, ServerName};
use sztp_server::lab::{LabOptions, LabPki};

struct Program(Child);

impl Program {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.0.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Session = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

fn connect(port: u16, anchor: &LabPki) -> Session {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let anchor = anchor.tls_ca.certificate.as_der().to_vec();
    roots.add(CertificateDer::from(anchor)).expect("an anchor");
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    rustls::StreamOwned::new(session, socket)
}

/// The status line of an answer, which is read whole.
fn ask(session: &mut Session) -> std::io::Result<String> {
    session.write_all(b"GET /.well-known/host-meta HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"</XRD>\n") {
        let mut some = [0; 1024];
        match session.read(&mut some)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(&some[..read]),
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "not after 20 seconds: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn certificates_are_read_again_and_open_requests_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let free = || {
        TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("it")
            .port()
    };
    let (port, admin_port) = (free(), free());
    let config = format!(
        "data_dir = \"data\"\ndevice_listen = \"127.0.0.1:{port}\"\n\
         admin_listen = \"127.0.0.1:{admin_port}\"\n\
         [tls]\ncertificate = \"now/server/tls.crt\"\nkey = \"now/server/tls.key\"\n"
    );
    fs::write(directory.path().join("c.toml"), config).expect("written");
    let lab = |name: &str| {
        let lab = LabPki::generate(&LabOptions::new(now())).expect("a lab");
        lab.write(&directory.path().join(name)).expect("written");
        lab
    };
    let (first, second) = (lab("now"), lab("later"));
    let process = Command::new(env!("CARGO_BIN_EXE_sztp-server"))
        .args(["--config", "c.toml"])
        .env("SZTP_LOG", "error")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server's binary starts");
    let mut program = Program(process);
    wait_until("listening", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let mut old = connect(port, &first);
    assert_eq!(ask(&mut old).expect("an answer"), "HTTP/1.1 200 OK");

    // A certificate without its key changes nothing.
    let copy = |name: &str| {
        fs::copy(
            directory.path().join("later/server").join(name),
            directory.path().join("now/server").join(name),
        )
        .expect("copied");
    };
    copy("tls.crt");
    program.signal("-HUP");
    std::thread::sleep(Duration::from_millis(500));
    assert!(ask(&mut connect(port, &first)).is_ok());
    copy("tls.key");
    program.signal("-HUP");
    wait_until("the new certificate", || {
        ask(&mut connect(port, &second)).is_ok()
    });
    assert!(
        ask(&mut connect(port, &first)).is_err(),
        "the old certificate is gone"
    );
    assert_eq!(
        ask(&mut old).expect("an answer"),
        "HTTP/1.1 200 OK",
        "its connection is not"
    );

    // A request that has begun ends well; what is idle is closed; the program ends with 0.
    let mut begun = connect(port, &second);
    begun
        .write_all(b"GET /.well-known/host-meta HTTP/1.1\r\n")
        .expect("half a request");
    begun.flush().expect("sent");
    std::thread::sleep(Duration::from_millis(200));
    program.signal("-TERM");
    wait_until("no new connections", || {
        TcpStream::connect(("127.0.0.1", port)).is_err()
    });
    begun
        .write_all(b"Host: localhost\r\n\r\n")
        .expect("the other half");
    let mut answer = String::new();
    let _ = begun.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer:?}");
    wait_until("the end", || program.0.try_wait().expect("asked").is_some());
    let ended = program.0.try_wait().expect("asked").expect("ended");
    assert_eq!(ended.code(), Some(0));
}
