//! What the server remembers: devices, their history, images and tokens.
//!
//! A status is read, changed and written inside the store, together with the line in the history
//! that says so, so that no two requests can both see the state before. What a call has answered
//! is on disk: it survives the end of the process and of the machine.

mod access;
pub mod audit;
mod catalog;
mod changes;
mod commits;
mod connection;
mod database;
mod devices;
mod history;
mod import;
mod inventory;
mod ldevid;
pub mod outbox;
mod readers;
mod schema;
mod trust;
mod vouchers;
mod writer;

use std::future::Future;
use std::pin::Pin;

use sztp_cms::UnixTime;
use sztp_core::lifecycle::{Event, Policy, Refusal, Status};

use crate::StoreError;
use crate::model::{
    Blob, Device, DeviceFilter, DeviceSpec, DeviceSummary, HistoryEntry, Image, Listed, Page,
    Reported,
};

pub use access::AccessStore;
pub use catalog::{CatalogStore, DeletedProfile, DeletedTemplate, PutProfiles, StoredCatalog};
pub use changes::ChangeStore;
pub use commits::Commits;
pub use database::Database;
pub use history::HistoryStore;
pub(crate) use import::merged;
pub use import::{DeviceStore, ImportDevice, ImportOutcome};
pub use ldevid::{LdevidStore, NewLdevid};
pub use outbox::OutboxStore;
pub use trust::{StoredTrust, TrustStore};
pub use vouchers::{KeptVoucher, VoucherStore};

/// What a store answers, in time.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What is done to a file in the middle of a change, by whichever instance makes one.
pub type FileWork = Box<dyn Fn() -> std::io::Result<()> + Send>;

/// A database.
pub trait Store:
    AccessStore
    + CatalogStore
    + ChangeStore
    + DeviceStore
    + HistoryStore
    + LdevidStore
    + OutboxStore
    + TrustStore
    + VoucherStore
    + Send
    + Sync
    + 'static
{
    /// Adds a device or replaces what is set for one.
    fn put_device(&self, put: PutDevice) -> StoreFuture<'_, PutOutcome>;

    /// One device, by any of its serial numbers.
    fn device(&self, serial_number: &str) -> StoreFuture<'_, Option<StoredDevice>>;

    /// Devices in the order of their serial numbers.
    fn devices(&self, filter: DeviceFilter, page: Page) -> StoreFuture<'_, Listed<DeviceSummary>>;

    /// Removes a device and answers its last line of history; none: there is no such device.
    fn delete_device(
        &self,
        serial_number: &str,
        time: UnixTime,
    ) -> StoreFuture<'_, Option<HistoryEntry>>;

    /// Applies and records what happened to a device; none: there is no such device.
    fn record(&self, occurrence: Occurrence) -> StoreFuture<'_, Option<Recorded>>;

    /// Devices whose deadline has passed, at most a hundred.
    fn overdue(&self, time: UnixTime) -> StoreFuture<'_, Vec<String>>;

    /// What happened to a device, oldest first; also of a device that was removed.
    fn history(&self, serial_number: &str, page: Page) -> StoreFuture<'_, Listed<HistoryEntry>>;

    /// Adds an image, unless the name is taken by another; the answer is the image of that name.
    /// `place` puts its file where it belongs, at a time when nobody takes one away; it may be
    /// called again.
    fn add_image(&self, image: Image, place: FileWork) -> StoreFuture<'_, Image>;

    /// The image of a name.
    fn image(&self, name: &str) -> StoreFuture<'_, Option<Image>>;

    /// Images in the order of their names.
    fn images(&self, page: Page) -> StoreFuture<'_, Listed<Image>>;

    /// Removes an image that no device needs.
    fn delete_image(&self, name: &str) -> StoreFuture<'_, DeletedImage>;

    /// Has a file taken away unless an image has this content, at a time when nobody puts it there.
    fn drop_content(&self, sha256: &str, remove: FileWork) -> StoreFuture<'_, ()>;

    /// Finishes what was begun and closes the database.
    fn close(&self) -> StoreFuture<'_, ()>;
}

/// A device to write.
#[derive(Debug, Clone)]
pub struct PutDevice {
    /// Which one.
    pub serial_number: String,
    /// What is set for it.
    pub spec: DeviceSpec,
    /// When.
    pub time: UnixTime,
    /// Details for the history.
    pub message: Option<String>,
    /// Whether it may be there already.
    pub write: PutMode,
}

/// Whether a device may be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// It must not.
    Add,
    /// It may.
    AddOrReplace,
}

/// What came of writing a device.
#[derive(Debug, Clone)]
pub enum PutOutcome {
    /// It is written.
    Put(Box<Put>),
    /// It is there, and must not be.
    Exists,
    /// One of its serial numbers leads to another device.
    SerialNumberTaken {
        /// The serial number.
        alias: String,
        /// The other device.
        device: String,
    },
    /// The profile that it is assigned to is not there.
    ProfileMissing {
        /// Its name.
        profile: String,
    },
}

/// A device that was written.
#[derive(Debug, Clone)]
pub struct Put {
    /// As it is now.
    pub device: Device,
    /// Whether it is new.
    pub added: bool,
    /// The line in its history.
    pub entry: HistoryEntry,
}

/// A device with what only the server needs to know.
#[derive(Debug, Clone)]
pub struct StoredDevice {
    /// What operators see.
    pub device: Device,
    /// Its place in the lifecycle.
    pub status: Status,
    /// When it was last sent back here with the server's trust anchor, since it was last served.
    pub promoted_at: Option<UnixTime>,
    /// Seconds until the next word from it by the profile that it was last given.
    pub served_timeout: Option<u64>,
    /// The dialect in which it was last given its data.
    pub served_dialect: Option<String>,
    /// The voucher for the serial number that was asked for.
    pub voucher: Option<Blob>,
    /// Of the catalog ([`CatalogStore::catalog`]), which is out of date if it has another.
    pub generation: i64,
}

/// Something that happened to a device.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// Which device.
    pub serial_number: String,
    /// When.
    pub time: UnixTime,
    /// Where the device is; none for what the operator did.
    pub peer: Option<String>,
    /// In a word.
    pub event: &'static str,
    /// Of a progress report.
    pub progress_type: Option<String>,
    /// Details for people.
    pub message: Option<String>,
    /// What it does to the device.
    pub effect: Effect,
    /// What is to be remembered with the device, if that changes.
    pub served: Option<Served>,
    /// What other systems are told of it.
    pub outgoing: outbox::Outgoing,
}

/// What a device says of itself when it is given its data, and by which profile that is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// None: the answer is the device's own.
    pub profile: Option<String>,
    /// Of the profile.
    pub progress_timeout_secs: Option<u64>,
    /// What it says of itself.
    pub reported: Reported,
    /// The dialect in which it was answered.
    pub dialect: Option<String>,
}

/// What an occurrence does to a device.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Nothing: it is only recorded.
    Noted,
    /// It moves the device through its lifecycle.
    Lifecycle {
        /// How.
        event: Event,
        /// By which rules.
        policy: Policy,
        /// Seconds until the next word from it, if it is now in progress, where nothing is set for
        /// the device; 0: any number.
        default_timeout_secs: u64,
        /// Whether a word from it is to be expected here.
        expects_word: bool,
        /// What becomes of [`StoredDevice::promoted_at`].
        promoted_at: Option<UnixTime>,
    },
    /// It failed to prove who it is, so whoever it was must not disturb a bootstrap under way:
    /// only a device that is still waiting for its first is moved.
    NotAuthenticated {
        /// Why.
        reason: String,
    },
    /// The time is up, unless the device was heard in the meantime.
    TimedOut,
}

/// An occurrence that is on disk.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Of the device, whichever of its serial numbers was used.
    pub serial_number: String,
    /// The line in the history; none where there was nothing to do after all.
    pub entry: Option<HistoryEntry>,
    /// The device's status after it.
    pub status: Status,
    /// Why the lifecycle did not allow it.
    pub refusal: Option<Refusal>,
    /// Of the bootstrap that it belongs to: the id of the line with which that began.
    pub bootstrap: Option<i64>,
    /// The dialect in which the device was last given its data.
    pub dialect: Option<String>,
    /// Whether other systems are to be told of it.
    pub is_outgoing: bool,
}

/// What came of deleting an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletedImage {
    /// There is none of that name.
    Missing,
    /// A device needs it.
    InUse {
        /// One such device.
        serial_number: String,
    },
    /// A profile needs it.
    InUseByProfile {
        /// One such profile.
        profile: String,
    },
    /// Its row is gone.
    Deleted {
        /// Of its content, which other names may have too.
        sha256: String,
    },
}
