//! One GET over HTTPS, of bounded size and time, without redirects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sztp_cms::{
    Certificate, ServerTrust, ServerVerifier, TrustAnchors, UnixTime, WallClock, client_config,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What the URL gives; the error is for people.
pub(super) async fn get(url: &str, anchors: &[PathBuf]) -> Result<Vec<u8>, String> {
    match tokio::time::timeout(PATIENCE, fetch(url, anchors)).await {
        Ok(result) => result.map_err(|reason| format!("{url}: {reason}")),
        Err(_) => Err(format!("{url}: no answer in {} s", PATIENCE.as_secs())),
    }
}

async fn fetch(url: &str, anchors: &[PathBuf]) -> Result<Vec<u8>, String> {
    let uri: Uri = url.parse().map_err(text)?;
    let authority = uri.authority().ok_or("no host")?.clone();
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let mut certificates = Vec::new();
    for path in anchors {
        let octets = tokio::fs::read(path)
            .await
            .map_err(|error| format!("{}: {error}", path.display()))?;
        certificates.extend(Certificate::list_from_pem_or_der(&octets).map_err(text)?);
    }
    let trust = ServerTrust::Anchors {
        anchors: TrustAnchors::new(certificates),
        host: host.clone(),
        clock: WallClock::Trusted(UnixTime::from_system_time(SystemTime::now())),
    };
    let config = client_config(ServerVerifier::new(trust), None).map_err(text)?;
    let name = ServerName::try_from(host.clone()).map_err(text)?;
    let port = authority.port_u16().unwrap_or(443);
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(text)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = TokioIo::new(stream.await.map_err(text)?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(text)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(text)?;
    let connection = tokio::spawn(connection);
    let exchange = async {
        let response = sender.send_request(request).await.map_err(text)?;
        if response.status() != StatusCode::OK {
            return Err(format!("answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_OCTETS);
        let collected = body.collect().await.map_err(|error| error.to_string())?;
        Ok(collected.to_bytes().to_vec())
    };
    let result = exchange.await;
    connection.abort();
    result
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

const PATIENCE: Duration = Duration::from_secs(5);
const MAX_OCTETS: usize = 256 * 1024;
