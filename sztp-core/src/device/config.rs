//! Who the device is, what it was made to trust, and where it starts (RFC 8572 §5.1).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sztp_cms::{Certificate, DecryptionPolicy, Decryptor, Leniency, TrustAnchors, UnixTime};
use sztp_voucher::Assertion;
use sztp_voucher::yang::Encoding;

use super::Source;
use crate::csr::CsrSupport;
use crate::dhcp::DhcpLeniency;
use crate::removable_storage::Layout;
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
    /// Where to look for bootstrapping data, in order (RFC 8572 §5.2).
    pub sources: Vec<Source>,
    /// What is done when no source had anything that worked: begin anew after a while, without end;
    /// none: that is the end.
    pub retry: Option<Backoff>,
    /// A random number: it decides by how much waiting times differ from those of other devices, and
    /// between servers of equal rank. The serial number is mixed in, so that devices which have
    /// nothing better than the same number do not act in step.
    pub seed: u64,
    /// How the files on removable storage are named; each layout is looked for in turn.
    pub storage_layouts: Vec<Layout>,
    /// Deviations of DHCP options to let pass.
    pub dhcp_leniency: DhcpLeniency,
    /// Bootstrap servers known from manufacture, to be tried in order by
    /// [`Source::BootstrapServers`].
    pub servers: Vec<Endpoint>,
    /// Told to authenticated servers only.
    pub hw_model: Option<String>,
    /// What is running; told to authenticated servers only.
    pub running: RunningImage,
    /// 16 to 32 random octets, sent with each request and expected in vouchers that have a nonce.
    pub nonce: Option<Vec<u8>>,
    /// What artifacts may be encrypted to, such as the IDevID (RFC 8572 §3.4).
    pub decryption: Vec<DeviceKey>,
    /// The certificate signing requests that the device can make (RFC 9646 §3.2); none: it does not
    /// speak of it. Told to authenticated servers only.
    pub csr_support: Option<CsrSupport>,
    /// Whether a voucher that expires is refused without a clock to tell by: RFC 8366 §5.3 wants the
    /// expiry checked, RFC 8572 §9.1 lets a device without a clock pass over it.
    pub expiry_needs_clock: bool,
    /// The encoding of requests; the other one is used where a server wants it.
    pub encoding: Encoding,
    /// Deviations of signatures to let pass.
    pub leniency: Leniency,
    /// Reported with bootstrap-complete (RFC 8572 §7.3).
    pub ssh_host_keys: Vec<SshHostKey>,
    /// Reported with bootstrap-complete (RFC 8572 §7.3): certs-only CMS, each with the chain above a
    /// certificate of the device's own, down to the authority that issued it.
    pub trust_anchor_certs: Vec<Vec<u8>>,
    /// Redirects within redirects that are followed (RFC 8572 §5.3: at most ten).
    pub max_redirect_depth: usize,
    /// Servers contacted because of one entry of `servers`, of a DHCP option or of DNS, itself
    /// included. Where a server redirects to several, they share what is left of it in equal parts:
    /// a hostile one cannot keep the device from the next.
    pub max_contacts: usize,
    /// SHA-256 of the images that were installed since bootstrapping began. Reboots keep this list
    /// (see [`Device::installed_images`](super::Device::installed_images)): an image that is asked
    /// for again although it was installed and does not run would be installed without end.
    pub installed_images: Vec<[u8; 32]>,
    /// No time before this is believed by a device without a clock: when it was made, or the newest
    /// voucher it has accepted (see [`Device::clock_floor`](super::Device::clock_floor)).
    pub clock_floor: Option<UnixTime>,
    /// End with [`Outcome::Validated`](super::Outcome::Validated) once there is onboarding information
    /// that may be trusted: nothing of it is applied, and no server is told anything.
    pub validate_only: bool,
    /// Names the current boot, such as Linux' `boot_id`: by it a restored machine knows whether the
    /// reboot that it had asked for has happened. Without one it takes it that it has.
    pub boot_id: Option<String>,
}

impl DeviceConfig {
    /// A device with the usual limits that knows no server yet, looks at every source once, and
    /// does not begin anew.
    pub fn new(serial_number: impl Into<String>, voucher_anchors: TrustAnchors) -> Self {
        Self {
            serial_number: serial_number.into(),
            idevid: None,
            voucher_anchors,
            assertions: Assertion::ALL.to_vec(),
            sources: Source::LOCAL_FIRST.to_vec(),
            retry: None,
            seed: 0,
            storage_layouts: vec![Layout::Rfc8572],
            dhcp_leniency: DhcpLeniency::default(),
            servers: Vec::new(),
            hw_model: None,
            running: RunningImage::default(),
            nonce: None,
            decryption: Vec::new(),
            csr_support: None,
            expiry_needs_clock: false,
            encoding: Encoding::Json,
            leniency: Leniency::default(),
            ssh_host_keys: Vec::new(),
            trust_anchor_certs: Vec::new(),
            max_redirect_depth: 10,
            max_contacts: 50,
            installed_images: Vec::new(),
            clock_floor: None,
            validate_only: false,
            boot_id: None,
        }
    }
}

/// How long the machine waits before it begins anew: twice as long after each round that had no
/// success, of which chance takes away up to a half, so that devices do not act in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first round.
    pub first: Duration,
    /// Never longer than this, whatever a server asks for with Retry-After.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            most: Duration::from_mins(10),
        }
    }
}

/// A certificate that artifacts may be encrypted to, and its private key.
#[derive(Clone)]
pub struct DeviceKey {
    /// The private key.
    pub key: Arc<dyn Decryptor>,
    /// Names the recipient.
    pub certificate: Certificate,
    /// Which ways of encrypting are accepted.
    pub policy: DecryptionPolicy,
}

impl DeviceKey {
    /// With the strict policy.
    pub fn new(key: Arc<dyn Decryptor>, certificate: Certificate) -> Self {
        Self {
            key,
            certificate,
            policy: DecryptionPolicy::default(),
        }
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKey")
            .field("certificate", &self.certificate.subject())
            .finish_non_exhaustive()
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
