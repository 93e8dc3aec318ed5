//! Limits of a driver.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sztp_cms::TlsVersions;

use super::Hosts;

/// How long is waited and how much is read. Everything that comes over the network is bounded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For a TCP connection to one address.
    pub connect_timeout: Duration,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// From a request to the head of its answer.
    pub answer_timeout: Duration,
    /// For the body of an answer.
    pub body_timeout: Duration,
    /// Octets of an answer's body.
    pub max_answer_octets: usize,
    /// For one image from one URI, interruptions included.
    pub image_timeout: Duration,
    /// Without a single octet of an image arriving.
    pub stall_timeout: Duration,
    /// Octets of an image.
    pub max_image_octets: u64,
    /// Interruptions of a download in a row without anything having arrived between them.
    pub max_resumptions: u32,
    /// Where images are put until they are installed.
    pub download_directory: PathBuf,
    /// Whether another process, or a later attempt, goes on with what is left of a download: then there
    /// is no more than one at a time in the directory, which no other client may use. Only what has a
    /// strong entity tag can be gone on with.
    pub keep_partial_images: bool,
    /// Octets after which what has arrived is made sure to be on disk, so that it can be gone on with.
    pub keep_partial_every: u64,
    /// The RESTCONF API root; none: discovered (RFC 8040 §3.1), and `/restconf` where a server has
    /// no discovery, as RFC 8572 does not speak of it.
    pub api_root: Option<String>,
    /// The versions of TLS that are offered.
    pub tls_versions: TlsVersions,
    /// Addresses of host names that are known without DNS.
    pub addresses: HashMap<String, Vec<IpAddr>>,
    /// Who may know the addresses of others before the system is asked.
    pub hosts: Option<Arc<dyn Hosts>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            max_answer_octets: 4 * 1024 * 1024,
            image_timeout: Duration::from_hours(1),
            stall_timeout: Duration::from_secs(30),
            max_image_octets: 8 * 1024 * 1024 * 1024,
            max_resumptions: 5,
            download_directory: std::env::temp_dir(),
            keep_partial_images: false,
            keep_partial_every: 16 * 1024 * 1024,
            api_root: None,
            tls_versions: TlsVersions::All,
            addresses: HashMap::new(),
            hosts: None,
        }
    }
}
