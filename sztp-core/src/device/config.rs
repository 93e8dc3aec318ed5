//! Who the device is, what it was made to trust, and where it starts (RFC 8572 §5.1).

use std::fmt;

use sztp_cms::{Certificate, Leniency, TrustAnchors, UnixTime};
use sztp_voucher::Assertion;
use sztp_voucher::yang::Encoding;

use crate::rpc::SshHostKey;

/// Who the device is and what it was made to trust.
#[derive(Debug, Clone)]
pub struct DeviceConfig {
    /// As in its vouchers and in the subject of its IDevID certificate.
    pub serial_number: String,
    /// Its IDevID certificate, to compare a voucher's idevid-issuer with; without one, a voucher
    /// that has an idevid-issuer is refused.
    pub idevid: Option<Certificate>,
    /// Where voucher signers must lead to: the manufacturer's.
    pub voucher_anchors: TrustAnchors,
    /// The voucher assertions that are accepted.
    pub assertions: Vec<Assertion>,
    /// Bootstrap servers to try, in order.
    pub servers: Vec<Endpoint>,
    /// Told to authenticated servers only.
    pub hw_model: Option<String>,
    /// What is running; told to authenticated servers only.
    pub running: RunningImage,
    /// 16 to 32 random octets, sent with each request and expected in vouchers that have a nonce.
    pub nonce: Option<Vec<u8>>,
    /// The encoding of requests; the other one is used where a server wants it.
    pub encoding: Encoding,
    /// Deviations of signatures to let pass.
    pub leniency: Leniency,
    /// Reported with bootstrap-complete (RFC 8572 §7.3).
    pub ssh_host_keys: Vec<SshHostKey>,
    /// Redirects within redirects that are followed (RFC 8572 §5.3: at most ten).
    pub max_redirect_depth: usize,
    /// Servers contacted because of one entry of `servers`, itself included: a hostile one cannot
    /// keep the device from the next entry for long.
    pub max_contacts: usize,
    /// SHA-256 of the images that were installed since bootstrapping began. Reboots keep this list
    /// (see [`Device::installed_images`](super::Device::installed_images)): an image that is asked
    /// for again although it was installed and does not run would be installed without end.
    pub installed_images: Vec<[u8; 32]>,
    /// No time before this is believed by a device without a clock: when it was made, or the newest
    /// voucher it has accepted (see [`Device::clock_floor`](super::Device::clock_floor)).
    pub clock_floor: Option<UnixTime>,
}

impl DeviceConfig {
    /// A device with the usual limits that knows no server yet.
    pub fn new(serial_number: impl Into<String>, voucher_anchors: TrustAnchors) -> Self {
        Self {
            serial_number: serial_number.into(),
            idevid: None,
            voucher_anchors,
            assertions: Assertion::ALL.to_vec(),
            servers: Vec::new(),
            hw_model: None,
            running: RunningImage::default(),
            nonce: None,
            encoding: Encoding::Json,
            leniency: Leniency::default(),
            ssh_host_keys: Vec::new(),
            max_redirect_depth: 10,
            max_contacts: 50,
            installed_images: Vec::new(),
            clock_floor: None,
        }
    }
}

/// The boot image that is running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningImage {
    /// The operating system's name.
    pub os_name: Option<String>,
    /// The operating system's version.
    pub os_version: Option<String>,
    /// SHA-256 of the image, if it is known.
    pub sha256: Option<[u8; 32]>,
}

/// A bootstrap server and how it is to be judged; always reached by HTTPS.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Host name or IP address, without brackets.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// How its TLS certificate is judged.
    pub trust: EndpointTrust,
}

impl Endpoint {
    /// Whether both are the same server judged in the same way: a connection to one may then
    /// serve the other, and what one answered, the other will.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        fn name(endpoint: &Endpoint) -> &str {
            endpoint
                .address
                .strip_suffix('.')
                .unwrap_or(&endpoint.address)
        }
        self.port == other.port
            && name(self).eq_ignore_ascii_case(name(other))
            && match (&self.trust, &other.trust) {
                (EndpointTrust::Provisional, EndpointTrust::Provisional) => true,
                (EndpointTrust::Anchors(ours), EndpointTrust::Anchors(theirs)) => {
                    ours.len() == theirs.len() && ours.iter().eq(theirs.iter())
                }
                _ => false,
            }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.contains(':') {
            write!(f, "[{}]:{}", self.address, self.port)
        } else {
            write!(f, "{}:{}", self.address, self.port)
        }
    }
}

/// How a server's TLS certificate is judged.
#[derive(Debug, Clone)]
pub enum EndpointTrust {
    /// It must lead to one of these and name the host; there is no other way in.
    Anchors(TrustAnchors),
    /// Taken blindly (RFC 8572 §5.5): what comes must be signed, or a redirect.
    Provisional,
}

impl EndpointTrust {
    /// Whether a connection that came about is an authenticated one.
    pub const fn authenticates(&self) -> bool {
        matches!(self, Self::Anchors(_))
    }
}
