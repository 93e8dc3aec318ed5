//! A request that comes octet by octet and never ends: a server has to cut it off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use sztp_cms::{ServerTrust, ServerVerifier, TlsVersions, client_config_with_key};
use sztp_core::client::Identity;
use sztp_core::device::GET_BOOTSTRAPPING_DATA;
use sztp_core::restconf::media_type;
use sztp_voucher::yang::Encoding;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::watch::{Stage, Watch};

/// Drips until the server has had enough, which `watch` is told.
pub(super) async fn drip(
    address: SocketAddr,
    host: &str,
    trust: ServerTrust,
    versions: TlsVersions,
    identity: &Identity,
    watch: &mut Watch,
) {
    let begun = Instant::now();
    let shown = Some((identity.chain.as_slice(), &identity.key));
    let connecting = async {
        let config = client_config_with_key(versions, ServerVerifier::new(trust), shown)
            .map_err(std::io::Error::other)?;
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned())
            .unwrap_or_else(|_| ServerName::IpAddress(address.ip().into()));
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    };
    let stream = match connecting.await {
        Ok(stream) => stream,
        Err(error) => return watch.set_cut_off(Err(format!("no connection: {error}"))),
    };
    watch.add(Stage::Connect, begun.elapsed());
    let head = format!(
        "POST /restconf/operations/{GET_BOOTSTRAPPING_DATA} HTTP/1.1\r\nHost: {host}\r\n\
         Content-Type: {}\r\nContent-Length: {ANNOUNCED}\r\n\r\n",
        media_type(Encoding::Json)
    );
    let (mut reader, mut writer) = tokio::io::split(stream);
    let writing = async {
        writer.write_all(head.as_bytes()).await?;
        loop {
            writer.write_all(b" ").await?;
            writer.flush().await?;
            tokio::time::sleep(BETWEEN).await;
        }
        #[expect(unreachable_code, reason = "says what the block answers")]
        Ok::<(), std::io::Error>(())
    };
    let mut answer = [0; 12];
    tokio::select! {
        read = reader.read_exact(&mut answer) => {
            // `HTTP/1.1 408`, or the end.
            if read.is_ok() {
                let status = std::str::from_utf8(&answer[9..]).ok();
                if let Some(status) = status.and_then(|text| text.parse().ok()) {
                    watch.set_status(status);
                }
            }
        }
        _ = writing => {}
    }
    watch.set_cut_off(Ok(()));
}

/// Octets that are promised.
const ANNOUNCED: usize = 16 * 1024;
/// Between one octet and the next.
const BETWEEN: Duration = Duration::from_millis(500);
