//! Why the server does not start, and why a request to it is refused.

mod access;
mod delivery;
mod inventory;
mod ldevid;
mod on_demand;
mod trust;

use std::net::SocketAddr;
use std::path::PathBuf;

use sztp_cms::{CertificateError, CmsError, KeyError, PathError, Rule};
use sztp_core::artifacts::ArtifactError;
use sztp_core::conveyed_info::ConveyedInfoError;
use sztp_core::lifecycle::Refusal;
use thiserror::Error;

use crate::config::ConfigError;
use crate::lab::LabError;
use crate::masa::SalesListError;

pub use access::AccessError;
pub use delivery::DeliveryError;
pub use inventory::InventoryError;
pub(crate) use ldevid::Fault;
pub use ldevid::LdevidError;
pub use on_demand::VoucherOnDemandError;
pub use trust::TrustError;

/// Why a server does not start, or goes on with what it had when it was to reload.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or directory that the server needs.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A certificate file.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: CertificateError,
    },
    /// A private key file.
    #[error("{}: {error}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: KeyError,
    },
    /// A private key that is not the certificate's.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    KeyMismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// A private key in a token (PKCS#11).
    #[error("{name}.key: {reason}")]
    Token {
        /// The table of the configuration.
        name: &'static str,
        /// What is in the way.
        reason: String,
    },
    /// The owner certificate or its chain makes no artifact.
    #[error("owner certificate: {0}")]
    Owner(#[source] CmsError),
    /// The TLS library refuses the certificate or its key.
    #[error("TLS: {reason}")]
    Tls {
        /// What it says.
        reason: String,
    },
    /// What is only for SQLite.
    #[error("the database is not a file of this server's")]
    NotSqlite,
    /// Another server runs on the same data directory.
    #[error("another server is using {}", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// What a process needs of the operating system: threads, signals.
    #[error("the operating system refuses: {reason}")]
    Process {
        /// What it says.
        reason: String,
    },
    /// The lab PKI.
    #[error("lab PKI: {0}")]
    Lab(#[from] LabError),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// A MASA's sales list.
    #[error("{}: {error}", path.display())]
    SalesList {
        /// The list.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: SalesListError,
    },
    /// An address to listen on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        reason: String,
    },
}

impl ServerError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(inner) => inner.code(),
            Self::File { .. } => "server.file",
            Self::Certificate { error, .. } => error.code(),
            Self::Key { error, .. } => error.code(),
            Self::KeyMismatch { .. } => "server.key-mismatch",
            Self::Token { .. } => "server.token",
            Self::Owner(inner) => inner.code(),
            Self::Tls { .. } => "server.tls",
            Self::NotSqlite => "server.not-sqlite",
            Self::InUse { .. } => "server.in-use",
            Self::Process { .. } => "server.process",
            Self::Lab(inner) => inner.code(),
            Self::Store(inner) => inner.code(),
            Self::SalesList { error, .. } => error.code(),
            Self::Listen { .. } => "server.listen",
        }
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::KeyMismatch { .. } => Some("give the key that the certificate was made for"),
            Self::Listen { .. } => {
                Some("another program may be using it; set device_listen or admin_listen")
            }
            Self::NotSqlite => Some("use pg_dump and pg_restore"),
            Self::InUse { .. } => Some("stop it, or set data_dir to another directory"),
            Self::Store(StoreError::NewerSchema { .. }) => {
                Some("run the version of sztp-server that wrote the database, or a later one")
            }
            Self::Key {
                error: KeyError::Encrypted,
                ..
            } => Some("set key_passphrase_file beside the key, or its environment variable"),
            _ => None,
        }
    }
}

/// Why the database cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What the database says.
    #[error("{reason}")]
    Database {
        /// In its words.
        reason: String,
    },
    /// A later version of the server wrote it.
    #[error("schema version {found} is later than {known}, the last one known here")]
    NewerSchema {
        /// The database's.
        found: i64,
        /// The latest known.
        known: i64,
    },
    /// A row that this server would not have written.
    #[error("damaged: {what}")]
    Damaged {
        /// Which part of it.
        what: &'static str,
    },
    /// Another writer was in the way, or the database gave up on the transaction: nothing was
    /// written.
    #[error("the transaction was broken off: {reason}")]
    BrokenOff {
        /// In the database's words.
        reason: String,
    },
    /// The database cannot be reached, or not as fast as it must be: nothing was written.
    #[error("not available: {reason}")]
    Unavailable {
        /// What is in the way.
        reason: String,
    },
    /// The connection was lost in the moment of a commit: it may have been written, or not.
    #[error("lost while it was to commit: {reason}")]
    InDoubt {
        /// What was in the way.
        reason: String,
    },
    /// What database.url says.
    #[error("database.url: {problem}")]
    Address {
        /// What is wrong with it.
        problem: String,
    },
    /// A file that belongs to a row, such as an image.
    #[error("a file: {reason}")]
    File {
        /// What the operating system says.
        reason: String,
    },
    /// The database was closed, as the server is stopping.
    #[error("closed")]
    Closed,
}

impl StoreError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Database { .. } => "store.database",
            Self::NewerSchema { .. } => "store.newer-schema",
            Self::Damaged { .. } => "store.damaged",
            Self::BrokenOff { .. } => "store.broken-off",
            Self::Unavailable { .. } => "store.unavailable",
            Self::InDoubt { .. } => "store.in-doubt",
            Self::Address { .. } => "store.address",
            Self::File { .. } => "store.file",
            Self::Closed => "store.closed",
        }
    }

    /// Whether it goes by: whoever asked does well to come again.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::BrokenOff { .. } | Self::Unavailable { .. } | Self::InDoubt { .. }
        )
    }

    /// Whether the transaction in which it came up cannot go on, and can be begun anew.
    pub(crate) fn ends_transaction(&self) -> bool {
        matches!(self, Self::BrokenOff { .. } | Self::Unavailable { .. })
    }
}

/// Why the server does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The client showed no certificate.
    #[error("a client certificate is needed")]
    CertificateMissing,
    /// The client's certificate leads to none of the IDevID anchors.
    #[error("the client certificate is not accepted: {0}")]
    CertificateRefused(#[source] PathError),
    /// The client's certificate does not say which device it is.
    #[error("the client certificate's subject has no serialNumber attribute")]
    SerialNumberMissing,
    /// The client says that it is another device than its certificate says.
    #[error("the HTTP user name is not the serial number of the client certificate")]
    OtherDevice,
    /// The device is not known here, or is another owner's.
    #[error("this device is not known here")]
    DeviceUnknown,
    /// The operator named a device that is not there.
    #[error("there is no device {serial_number:?}")]
    DeviceMissing {
        /// As asked for.
        serial_number: String,
    },
    /// The device is there already.
    #[error("there is already a device {serial_number:?}")]
    DeviceExists {
        /// As given.
        serial_number: String,
    },
    /// Not a serial number that a certificate can carry.
    #[error("{serial_number:?} is not a serial number of 1 to 64 printable characters")]
    SerialNumber {
        /// As given, shortened.
        serial_number: String,
    },
    /// There is nothing to give to the device yet.
    #[error("there is no bootstrapping data for this device")]
    NothingToGive,
    /// The device wants signed data (RFC 8572 §7.3 signed-data-preferred) and there is none.
    #[error("signed data is wanted, and there is no ownership voucher to go with it")]
    NothingSigned,
    /// Only unsigned data could be given, and the policy is not to.
    #[error("there is no ownership voucher, and answers.allow_unsigned is off")]
    UnsignedForbidden,
    /// The device's state does not allow it.
    #[error(transparent)]
    Lifecycle(#[from] Refusal),
    /// The artifacts would not be accepted by the device.
    #[error(transparent)]
    Artifacts(ArtifactError),
    /// Artifacts that do not go together (RFC 8572 §3.5).
    #[error("{0}")]
    ArtifactGrouping(&'static str),
    /// What the operator set makes no conveyed information.
    #[error(transparent)]
    Content(#[from] ConveyedInfoError),
    /// A trust anchor, hash or address in what the operator set.
    #[error("{key}: {problem}")]
    Spec {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        problem: String,
    },
    /// A name that no image has.
    #[error("there is no image {name:?}")]
    ImageMissing {
        /// As given.
        name: String,
    },
    /// The name is taken by an image with other content.
    #[error("there is already another image {name:?}")]
    ImageExists {
        /// As given.
        name: String,
    },
    /// A device needs the image.
    #[error("the image {name:?} is in use by device {serial_number:?}")]
    ImageInUse {
        /// The image.
        name: String,
        /// One of the devices.
        serial_number: String,
    },
    /// Not a name for a file.
    #[error("{name:?} is not a name of 1 to 128 letters, digits and `.`, `_`, `-`, `+`")]
    ImageName {
        /// As given, shortened.
        name: String,
    },
    /// Larger than limits.max_image_bytes.
    #[error("the image is larger than {limit} bytes")]
    ImageTooLarge {
        /// The limit.
        limit: u64,
    },
    /// The upload ended early.
    #[error("the upload broke off: {reason}")]
    Upload {
        /// How.
        reason: String,
    },
    /// Signing failed.
    #[error("signing: {0}")]
    Signing(#[source] CmsError),
    /// The file system refused.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// The database.
    #[error("database: {0}")]
    Store(#[from] StoreError),
    /// Profiles, configurations, kept vouchers, and devices in numbers.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// Who asks, or a token.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Anchors, revocation lists, unknown devices, activation codes.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// Deliveries and onboarding targets.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// No voucher could be had at present (RFC 8995 §5.5).
    #[error("no ownership voucher can be had at present: {cause}")]
    VoucherUnavailable {
        /// Why not.
        #[source]
        cause: VoucherOnDemandError,
        /// When to come again.
        retry_after_secs: u64,
    },
    /// No LDevID, or the question for a signing request (RFC 9646).
    #[error("LDevID: {cause}")]
    Ldevid {
        /// Why not.
        #[source]
        cause: LdevidError,
        /// When to come again, if that may help.
        retry_after_secs: u64,
    },
    /// Whoever makes vouchers makes none for this device.
    #[error("no ownership voucher is made for this device: {0}")]
    VoucherRefused(#[source] VoucherOnDemandError),
    /// As much is under way as limits allow.
    #[error("the server has enough to do; come again in {retry_after_secs} s")]
    Overloaded {
        /// When.
        retry_after_secs: u64,
    },
    /// One device reports more than limits.reports_per_minute.
    #[error("the device reports too often; come again in {retry_after_secs} s")]
    TooManyReports {
        /// When.
        retry_after_secs: u64,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl ServiceError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CertificateMissing => "device.certificate-missing",
            Self::CertificateRefused(inner) => inner.code(),
            Self::SerialNumberMissing => "device.serial-number-missing",
            Self::OtherDevice => "device.other-device",
            Self::DeviceUnknown => "device.unknown",
            Self::DeviceMissing { .. } => "device.missing",
            Self::DeviceExists { .. } => "device.exists",
            Self::SerialNumber { .. } => "device.serial-number",
            Self::NothingToGive => "answer.nothing",
            Self::NothingSigned => "answer.nothing-signed",
            Self::UnsignedForbidden => "answer.unsigned-forbidden",
            Self::Lifecycle(inner) => inner.code(),
            Self::Artifacts(inner) => inner.code(),
            Self::ArtifactGrouping(_) => "answer.artifact-grouping",
            Self::Content(inner) => inner.code(),
            Self::Spec { .. } => "answer.value",
            Self::ImageMissing { .. } => "image.missing",
            Self::ImageExists { .. } => "image.exists",
            Self::ImageInUse { .. } => "image.in-use",
            Self::ImageName { .. } => "image.name",
            Self::ImageTooLarge { .. } => "image.too-large",
            Self::Upload { .. } => "image.upload",
            Self::Signing(inner) => inner.code(),
            Self::File { .. } => "server.file",
            Self::Store(inner) => inner.code(),
            Self::Inventory(inner) => inner.code(),
            Self::Access(inner) => inner.code(),
            Self::Trust(inner) => inner.code(),
            Self::Delivery(inner) => inner.code(),
            Self::VoucherUnavailable { cause, .. } | Self::VoucherRefused(cause) => cause.code(),
            Self::Ldevid { cause, .. } => cause.code(),
            Self::Overloaded { .. } => "server.overloaded",
            Self::TooManyReports { .. } => "device.too-many-reports",
            Self::Stopping => "server.stopping",
        }
    }

    /// The clause that was broken, where there is one.
    pub fn rule(&self) -> Option<Rule> {
        Some(match self {
            Self::CertificateMissing | Self::SerialNumberMissing => {
                Rule::new(8040, "2.5", "client authentication")
            }
            Self::CertificateRefused(inner) => inner.rule(),
            Self::OtherDevice => Rule::new(8572, "5.3", "one serial number"),
            Self::NothingToGive => Rule::new(8572, "7.3", "conveyed-information"),
            Self::NothingSigned => Rule::new(8572, "7.3", "signed-data-preferred"),
            Self::Lifecycle(inner) => inner.rule(),
            Self::Artifacts(inner) => inner.rule(),
            Self::ArtifactGrouping(_) => Rule::new(8572, "3.5", "artifact groupings"),
            Self::Content(inner) => inner.rule(),
            Self::Ldevid { cause, .. } => return cause.rule(),
            _ => return None,
        })
    }

    /// What to do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::DeviceExists { .. } => "replace it with PUT",
            Self::Lifecycle(_) => "reset the device, or set its `reprovision`",
            Self::NothingSigned => "give the device a `voucher`",
            Self::ImageMissing { .. } => "upload it first with POST /api/v1/images?name=NAME",
            Self::ImageExists { .. } => "give the new image another name; versions do well",
            Self::Inventory(inner) => return inner.hint(),
            Self::Access(inner) => return inner.hint(),
            Self::Trust(inner) => return inner.hint(),
            Self::Delivery(inner) => return inner.hint(),
            Self::ImageInUse { .. } => "change what the device is answered, then delete the image",
            Self::Artifacts(ArtifactError::NotUnderPinnedDomainCert(_)) => {
                "the voucher must pin the authority of the owner certificate in use"
            }
            _ => return None,
        })
    }
}
