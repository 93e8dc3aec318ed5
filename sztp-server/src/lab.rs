//! A lab PKI: vendor, owner and bootstrap server in one directory, for trying things out.
//!
//! In production each of these keys has another keeper: the root, the MASA and the IDevID CA are
//! the vendor's, the pinned-domain CA and the owner certificate are the owner's. Here they lie
//! side by side, unencrypted, so that a whole bootstrap can be played through.
//!
//! ```text
//! DIR/vendor/root          signs the two below; the devices' voucher trust anchor
//! DIR/vendor/masa          signs ownership vouchers (RFC 8366 §6)
//! DIR/vendor/idevid-ca     issues IDevID certificates (IEEE 802.1AR)
//! DIR/owner/pinned-domain-ca   what vouchers pin
//! DIR/owner/owner          the owner certificate, signs conveyed information (RFC 8572 §3.2)
//! DIR/owner/registrar      requests vouchers (RFC 8995), if one was made
//! DIR/server/tls-ca        what redirects carry as trust anchor
//! DIR/server/tls           the bootstrap server's TLS certificate
//! DIR/devices/SN/idevid    one device each
//! ```
//!
//! Each name stands for two files, `.crt` and `.key`.

mod files;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, CertificateError, IssueError, KeyError, KeyType, KeyUsage,
    Signer, SigningKey, UnixTime,
};
use thiserror::Error;

use crate::host_name::is_host_name;

/// A certificate and its private key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: Certificate,
    /// The private key of the certificate.
    pub key: SigningKey,
}

/// What a lab PKI is to be like.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// From when all certificates hold.
    pub valid_from: UnixTime,
    /// The kind of all keys.
    pub key_type: KeyType,
    /// Host names and IP addresses of the server beside `localhost`, 127.0.0.1 and ::1.
    pub server_names: Vec<String>,
}

impl LabOptions {
    /// ECDSA P-256, for a server on this machine. Certificates hold from a day before `now`, as
    /// the clocks of the machines in a lab differ.
    pub fn new(now: UnixTime) -> Self {
        Self {
            valid_from: now.plus_secs(-DAY),
            key_type: KeyType::EcP256,
            server_names: Vec::new(),
        }
    }
}

/// The keys of a vendor, an owner and a server.
#[derive(Debug, Clone)]
pub struct LabPki {
    /// The vendor's root; has no end, like the devices that it was built into.
    pub vendor_root: Identity,
    /// The voucher signer, directly under the root.
    pub masa: Identity,
    /// The issuer of IDevIDs, under the root.
    pub idevid_ca: Identity,
    /// The owner's authority, which vouchers pin.
    pub pinned_domain_ca: Identity,
    /// The owner certificate, under the pinned-domain CA.
    pub owner: Identity,
    /// The authority of the server's TLS certificate.
    pub tls_ca: Identity,
    /// The server's TLS certificate.
    pub tls: Identity,
}

impl LabPki {
    /// Makes all keys and certificates.
    pub fn generate(options: &LabOptions) -> Result<Self, LabError> {
        let from = options.valid_from;
        let ten_years = Some(from.plus_secs(3652 * DAY));
        let key = || SigningKey::generate(options.key_type).map_err(LabError::Key);

        let vendor_root = self_signed("CN=Lab Vendor Root CA,O=Lab Vendor", from, None, key()?)?;
        let masa = CertificateBuilder::new("CN=Lab MASA,O=Lab Vendor")
            .validity(from, None)
            .key_usage(KeyUsage::DIGITAL_SIGNATURE);
        let masa = vendor_root.issue(&masa, key()?)?;
        let idevid_ca = CertificateBuilder::new("CN=Lab IDevID CA,O=Lab Vendor")
            .validity(from, None)
            .ca(Some(0));
        let idevid_ca = vendor_root.issue(&idevid_ca, key()?)?;

        let pinned = "CN=Lab Pinned Domain CA,O=Lab Owner";
        let pinned_domain_ca = self_signed(pinned, from, ten_years, key()?)?;
        let owner = CertificateBuilder::new("CN=Lab Owner Certificate,O=Lab Owner")
            .validity(from, ten_years)
            .key_usage(KeyUsage::DIGITAL_SIGNATURE);
        let owner = pinned_domain_ca.issue(&owner, key()?)?;

        let tls_ca = self_signed("CN=Lab TLS CA,O=Lab Owner", from, ten_years, key()?)?;
        let tls = tls_ca.issue(&tls_certificate(options)?, key()?)?;
        Ok(Self {
            vendor_root,
            masa,
            idevid_ca,
            pinned_domain_ca,
            owner,
            tls_ca,
            tls,
        })
    }

    /// Issues the IDevID of a device: its serial number in the subject (RFC 8572 §5.3), no end
    /// (IEEE 802.1AR §8.7), an authority key identifier for a voucher's idevid-issuer.
    pub fn issue_idevid(
        &self,
        serial_number: &str,
        key_type: KeyType,
        valid_from: UnixTime,
    ) -> Result<Identity, LabError> {
        check_serial_number(serial_number)?;
        let subject = format!(
            "serialNumber={},CN=Lab Device,O=Lab Vendor",
            escaped(serial_number)
        );
        let certificate = CertificateBuilder::new(subject)
            .validity(valid_from, None)
            .key_usage(KeyUsage::DIGITAL_SIGNATURE);
        let key = SigningKey::generate(key_type).map_err(LabError::Key)?;
        self.idevid_ca.issue(&certificate, key)
    }

    /// Issues the certificate of a registrar, who requests vouchers for the owner's devices
    /// (RFC 8995 §5.5.4: id-kp-cmcRA), under the pinned-domain CA.
    pub fn issue_registrar(
        &self,
        key_type: KeyType,
        valid_from: UnixTime,
    ) -> Result<Identity, LabError> {
        let certificate = CertificateBuilder::new("CN=Lab Registrar,O=Lab Owner")
            .validity(
                valid_from,
                Some(self.pinned_domain_ca.certificate.not_after()),
            )
            .key_usage(KeyUsage::DIGITAL_SIGNATURE)
            .extension(EXTENDED_KEY_USAGE, false, REGISTRAR_USAGES.to_vec());
        let key = SigningKey::generate(key_type).map_err(LabError::Key)?;
        self.pinned_domain_ca.issue(&certificate, key)
    }

    /// Writes a registrar's certificate, with the pinned-domain CA's after it, and its key below
    /// the lab's directory, and answers their path without extension.
    pub fn write_registrar(
        &self,
        directory: &Path,
        registrar: &Identity,
    ) -> Result<PathBuf, LabError> {
        files::write_registrar(directory, registrar, &self.pinned_domain_ca.certificate)
    }

    /// Writes everything below a directory, which is made if need be. Files that are there
    /// already are never overwritten.
    pub fn write(&self, directory: &Path) -> Result<(), LabError> {
        files::write(self, directory)
    }

    /// Reads what [`write`](Self::write) wrote, and checks that keys and certificates are pairs.
    pub fn load(directory: &Path) -> Result<Self, LabError> {
        files::load(directory)
    }

    /// Writes a device's IDevID below the lab's directory, with the issuing CA's certificate after
    /// its own, and answers the device's directory.
    pub fn write_idevid(
        &self,
        directory: &Path,
        serial_number: &str,
        idevid: &Identity,
    ) -> Result<PathBuf, LabError> {
        check_serial_number(serial_number)?;
        files::write_device(
            directory,
            serial_number,
            idevid,
            &self.idevid_ca.certificate,
        )
    }
}

impl Identity {
    fn issue(&self, builder: &CertificateBuilder, key: SigningKey) -> Result<Self, LabError> {
        let certificate = builder
            .issued_by(key.spki_der(), &self.certificate, &self.key)
            .map_err(LabError::Issue)?;
        Ok(Self { certificate, key })
    }
}

/// Why a lab PKI cannot be made, written or read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LabError {
    /// Keys are never overwritten.
    #[error("{} exists already", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A serial number that no certificate can carry: 1 to 64 characters, none of them a control
    /// character (RFC 5280 appendix A, ub-serial-number).
    #[error("{serial_number:?} is not a serial number of 1 to 64 printable characters")]
    SerialNumber {
        /// As given.
        serial_number: String,
    },
    /// A name that is neither host name nor IP address.
    #[error("{name:?} is not a host name or IP address")]
    ServerName {
        /// As given.
        name: String,
    },
    /// A key could not be made.
    #[error("private key: {0}")]
    Key(#[source] KeyError),
    /// A key file cannot be used.
    #[error("{}: {error}", path.display())]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: KeyError,
    },
    /// A certificate file cannot be used.
    #[error("{}: {error}", path.display())]
    CertificateFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: CertificateError,
    },
    /// The key beside a certificate is another's.
    #[error("the key beside {} does not belong to it", path.display())]
    NotAPair {
        /// The certificate.
        path: PathBuf,
    },
    /// A certificate could not be issued.
    #[error(transparent)]
    Issue(IssueError),
}

impl LabError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "lab.exists",
            Self::File { .. } => "lab.file",
            Self::SerialNumber { .. } => "lab.serial-number",
            Self::ServerName { .. } => "lab.server-name",
            Self::NotAPair { .. } => "lab.not-a-pair",
            Self::Key(error) | Self::KeyFile { error, .. } => error.code(),
            Self::CertificateFile { error, .. } => error.code(),
            Self::Issue(error) => error.code(),
        }
    }
}

fn self_signed(
    subject: &str,
    from: UnixTime,
    until: Option<UnixTime>,
    key: SigningKey,
) -> Result<Identity, LabError> {
    let certificate = CertificateBuilder::new(subject)
        .validity(from, until)
        .ca(None)
        .self_signed(&key)
        .map_err(LabError::Issue)?;
    Ok(Identity { certificate, key })
}

fn tls_certificate(options: &LabOptions) -> Result<CertificateBuilder, LabError> {
    let mut hosts = vec!["localhost".to_owned()];
    let mut addresses: Vec<IpAddr> = vec![
        std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::Ipv6Addr::LOCALHOST.into(),
    ];
    for name in &options.server_names {
        match name.trim_matches(['[', ']']).parse() {
            Ok(address) if addresses.contains(&address) => {}
            Ok(address) => addresses.push(address),
            Err(_) if !is_host_name(name) => {
                return Err(LabError::ServerName { name: name.clone() });
            }
            Err(_) if hosts.contains(name) => {}
            Err(_) => hosts.push(name.clone()),
        }
    }
    Ok(
        CertificateBuilder::new("CN=Lab Bootstrap Server,O=Lab Owner")
            .validity(
                options.valid_from,
                Some(options.valid_from.plus_secs(3652 * DAY)),
            )
            // keyEncipherment for RSA key exchange in TLS 1.2.
            .key_usage(KeyUsage::DIGITAL_SIGNATURE | KeyUsage::KEY_ENCIPHERMENT)
            .extended_key_usage_server_auth()
            .dns_names(hosts)
            .ip_addresses(addresses),
    )
}

/// RFC 5280 §4.2.1.12.
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

/// id-kp-clientAuth, and id-kp-cmcRA (RFC 6402 §2.10).
const REGISTRAR_USAGES: &[u8] = &[
    0x30, 0x14, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 0x1c,
];

fn check_serial_number(serial_number: &str) -> Result<(), LabError> {
    let length = serial_number.chars().count();
    let trimmed = serial_number.trim() == serial_number;
    if (1..=64).contains(&length) && trimmed && !serial_number.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(LabError::SerialNumber {
            serial_number: serial_number.chars().take(80).collect(),
        })
    }
}

/// A value in a distinguished name as text (RFC 4514 §2.4).
fn escaped(value: &str) -> String {
    let mut text = String::new();
    for character in value.chars() {
        if matches!(
            character,
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' | '#'
        ) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// In seconds.
const DAY: i64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use std::fs;

    use sztp_cms::{PathOptions, TrustAnchors, WallClock, certificate_names_host, validate_path};

    use super::*;

    fn lab() -> LabPki {
        LabPki::generate(&LabOptions {
            server_names: vec!["boot.example".to_owned(), "192.0.2.7".to_owned()],
            ..LabOptions::new(NOW)
        })
        .unwrap()
    }

    #[test]
    fn every_certificate_leads_to_its_anchor() {
        let lab = lab();
        let idevid = lab
            .issue_idevid("AX7-00042", KeyType::Rsa2048, NOW)
            .unwrap();
        assert_eq!(
            idevid.certificate.serial_number_attribute().as_deref(),
            Some("AX7-00042")
        );
        assert_eq!(idevid.certificate.not_after(), UnixTime::NO_EXPIRY);
        assert!(idevid.certificate.authority_key_identifier().is_some());
        for (end, anchor) in [
            (&lab.masa, &lab.vendor_root),
            (&idevid, &lab.vendor_root),
            (&lab.owner, &lab.pinned_domain_ca),
            (&lab.tls, &lab.tls_ca),
        ] {
            validate_path(
                &end.certificate,
                std::slice::from_ref(&lab.idevid_ca.certificate),
                &TrustAnchors::new([anchor.certificate.clone()]),
                WallClock::Trusted(NOW),
                &PathOptions {
                    require_digital_signature_usage: true,
                    ..PathOptions::default()
                },
            )
            .unwrap();
        }
        for host in ["localhost", "127.0.0.1", "::1", "boot.example", "192.0.2.7"] {
            assert!(certificate_names_host(&lab.tls.certificate, host), "{host}");
        }
        assert!(!certificate_names_host(
            &lab.tls.certificate,
            "other.example"
        ));
    }

    #[test]
    fn written_and_read_back_but_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let lab = lab();
        lab.write(directory.path()).unwrap();
        let again = LabPki::load(directory.path()).unwrap();
        assert_eq!(again.tls.certificate, lab.tls.certificate);
        assert_eq!(again.owner.key.spki_der(), lab.owner.key.spki_der());
        let error = lab.write(directory.path()).unwrap_err();
        assert_eq!(error.code(), "lab.exists");

        let idevid = lab.issue_idevid("a/../,b", KeyType::EcP384, NOW).unwrap();
        assert_eq!(
            idevid.certificate.serial_number_attribute().as_deref(),
            Some("a/../,b")
        );
        let device = lab
            .write_idevid(directory.path(), "a/../,b", &idevid)
            .unwrap();
        assert_eq!(device, directory.path().join("devices/a%2F..%2F%2Cb"));
        let chain = fs::read(device.join("idevid.crt")).unwrap();
        let chain = Certificate::list_from_pem_or_der(&chain).unwrap();
        assert_eq!(
            chain,
            [
                idevid.certificate.clone(),
                lab.idevid_ca.certificate.clone()
            ]
        );
        let error = lab
            .write_idevid(directory.path(), "a/../,b", &idevid)
            .unwrap_err();
        assert_eq!(error.code(), "lab.exists");

        fs::copy(
            directory.path().join("owner/owner.key"),
            directory.path().join("server/tls.key"),
        )
        .unwrap();
        let error = LabPki::load(directory.path()).unwrap_err();
        assert_eq!(error.code(), "lab.not-a-pair");
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        lab().write(directory.path()).unwrap();
        for (file, mode) in [("vendor/masa.key", 0o600), ("owner/owner.key", 0o600)] {
            let found = fs::metadata(directory.path().join(file))
                .unwrap()
                .permissions();
            assert_eq!(found.mode() & 0o777, mode, "{file}");
        }
    }

    #[test]
    fn serial_numbers_and_names_that_cannot_be() {
        let lab = lab();
        for serial in ["", " ", "a\nb", " a", &"x".repeat(65)] {
            let error = lab.issue_idevid(serial, KeyType::EcP256, NOW).unwrap_err();
            assert_eq!(error.code(), "lab.serial-number", "{serial:?}");
        }
        let options = LabOptions {
            server_names: vec!["not a host".to_owned()],
            ..LabOptions::new(NOW)
        };
        assert_eq!(
            LabPki::generate(&options).unwrap_err().code(),
            "lab.server-name"
        );
    }

    /// 2026-03-02T00:00:00Z.
    const NOW: UnixTime = UnixTime::from_secs(1_772_409_600);
}
