//! Everything the server can do, without HTTP.
//!
//! What an operator sets is judged when it arrives ([`check`]), what a device is given is put
//! together when it asks ([`answer`]). Every event reaches the device's history and [`Service::events`].

mod access;
mod answer;
mod bounds;
mod capacity;
mod catalog;
mod check;
mod follow;
mod identity;
mod images;
mod import;
mod ldevid;
mod observe;
mod outbox;
mod profiles;
mod progress;
mod render;
mod status;
mod templates;
mod trust;
mod voucher_on_demand;
mod vouchers;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use sztp_cms::UnixTime;
use sztp_core::lifecycle::{Event, Policy};
use tokio::sync::broadcast;

use crate::access::attempts::Attempts;
use crate::config::AnswerPolicy;
use crate::dialect::Dialects;
use crate::materials::Materials;
use crate::metrics::Metrics;
use crate::model::{
    Device, DeviceEvent, DeviceFilter, DeviceSpec, DeviceSummary, HistoryEntry, Listed, Page,
};
use crate::onboarding::Outbound;
use crate::store::outbox::Outgoing;
use crate::store::{Effect, Occurrence, PutDevice, PutMode, PutOutcome, Recorded, Store};
use crate::{Config, InventoryError, ServiceError, StoreError};

pub(crate) use access::new_secret;
pub use answer::Answered;
pub(crate) use identity::StrangerBudget;
pub use identity::{DeviceIdentity, Peer};
pub(crate) use images::hex;
pub use import::Format as ImportFormat;
pub(crate) use import::{READ_ONLY, csv_header, csv_line};
pub(crate) use ldevid::BuiltInCa;
pub(crate) use status::{StatusReport, StatusTokens};
pub(crate) use voucher_on_demand::MasaAccess;

/// The server's abilities; cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    store: Box<dyn Store>,
    materials: RwLock<Arc<Materials>>,
    answers: AnswerPolicy,
    vouchers: voucher_on_demand::Vouchers,
    ldevids: ldevid::Ldevids,
    dialects: Dialects,
    public: PublicAddress,
    images: images::ImageFiles,
    strangers: identity::StrangerBudget,
    activations: Attempts,
    /// Held while what is trusted is read from the database and put in place.
    trusting: tokio::sync::Mutex<()>,
    catalog: catalog::CatalogCache,
    max_configuration_bytes: usize,
    events: broadcast::Sender<DeviceEvent>,
    /// Whether events come from the database, with those of other instances.
    is_followed: bool,
    capacity: capacity::Capacity,
    states: observe::States,
    metrics: Metrics,
    outbound: Arc<Outbound>,
    reports: bounds::Reports,
    histories: bounds::Histories,
    status_tokens: std::sync::OnceLock<StatusTokens>,
}

/// How devices reach this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicAddress {
    /// Name or address, an IPv6 address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl PublicAddress {
    pub(crate) fn url(&self) -> String {
        if self.host.contains(':') {
            format!("https://[{}]:{}", self.host, self.port)
        } else {
            format!("https://{}:{}", self.host, self.port)
        }
    }
}

impl core::fmt::Debug for Service {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Service")
            .field("public", &self.0.public)
            .finish_non_exhaustive()
    }
}

impl Service {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is there once, when the server starts"
    )]
    pub(crate) fn new(
        store: Box<dyn Store>,
        materials: Materials,
        dialects: Dialects,
        public: PublicAddress,
        images_dir: PathBuf,
        config: &Config,
        outbound: Arc<Outbound>,
        is_followed: bool,
    ) -> Self {
        let limits = &config.limits;
        Self(Arc::new(Inner {
            store,
            materials: RwLock::new(Arc::new(materials)),
            answers: config.answers.clone(),
            vouchers: voucher_on_demand::Vouchers::new(&config.vouchers_on_demand),
            ldevids: ldevid::Ldevids::new(&config.ldevid),
            dialects,
            public,
            images: images::ImageFiles::new(images_dir, limits.max_image_bytes),
            strangers: identity::StrangerBudget::default(),
            activations: Attempts::new(ACTIVATIONS_PER_MINUTE),
            trusting: tokio::sync::Mutex::default(),
            catalog: catalog::CatalogCache::default(),
            max_configuration_bytes: limits.max_configuration_bytes,
            events: broadcast::channel(EVENTS).0,
            is_followed,
            capacity: capacity::Capacity::new(limits),
            states: observe::States::default(),
            metrics: Metrics::default(),
            outbound,
            reports: bounds::Reports::new(&config.limits),
            histories: bounds::Histories::new(&config.limits),
            status_tokens: std::sync::OnceLock::new(),
        }))
    }

    /// Adds a device. Its voucher is judged as the device will judge it.
    pub async fn add_device(
        &self,
        serial_number: &str,
        spec: DeviceSpec,
    ) -> Result<Device, ServiceError> {
        let exists = || ServiceError::DeviceExists {
            serial_number: serial_number.to_owned(),
        };
        let put = self.put(serial_number, spec, PutMode::Add).await?;
        put.map(|(device, _)| device).ok_or_else(exists)
    }

    /// Sets what a device is answered, adding the device if need be (then the answer is `true`).
    /// Its state stays; see [`Self::reset_device`].
    pub async fn put_device(
        &self,
        serial_number: &str,
        spec: DeviceSpec,
    ) -> Result<(Device, bool), ServiceError> {
        let put = self.put(serial_number, spec, PutMode::AddOrReplace).await?;
        Ok(put.ok_or(StoreError::Damaged { what: "device" })?)
    }

    /// One device.
    pub async fn device(&self, serial_number: &str) -> Result<Device, ServiceError> {
        let stored = self.0.store.device(serial_number).await?;
        stored
            .map(|stored| stored.device)
            .ok_or_else(|| missing(serial_number))
    }

    /// Devices in the order of their serial numbers.
    pub async fn devices(
        &self,
        filter: DeviceFilter,
        page: Page,
    ) -> Result<Listed<DeviceSummary>, ServiceError> {
        Ok(self.0.store.devices(filter, page).await?)
    }

    /// Forgets a device; its history stays.
    pub async fn delete_device(&self, serial_number: &str) -> Result<(), ServiceError> {
        let entry = self.0.store.delete_device(serial_number, now()).await?;
        self.publish(serial_number, entry.ok_or_else(|| missing(serial_number))?);
        Ok(())
    }

    /// Starts a device over, whatever state it is in.
    pub async fn reset_device(&self, serial_number: &str) -> Result<Device, ServiceError> {
        let recorded = self
            .record(Occurrence {
                effect: Effect::Lifecycle {
                    event: Event::Reset,
                    policy: Policy::default(),
                    default_timeout_secs: 0,
                    expects_word: false,
                    promoted_at: None,
                },
                ..Occurrence::new(serial_number, "reset", now())
            })
            .await?;
        recorded.ok_or_else(|| missing(serial_number))?;
        self.device(serial_number).await
    }

    /// What happened to a device, oldest first; also to one that was deleted.
    pub async fn history(
        &self,
        serial_number: &str,
        page: Page,
    ) -> Result<Listed<HistoryEntry>, ServiceError> {
        let first_page = page.after.is_none();
        let listed = self.0.store.history(serial_number, page).await?;
        if listed.items.is_empty() && first_page {
            return Err(missing(serial_number));
        }
        Ok(listed)
    }

    /// Every event of every device from now on. Who reads too slowly misses some.
    pub fn events(&self) -> broadcast::Receiver<DeviceEvent> {
        self.0.events.subscribe()
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<(), ServiceError> {
        self.0.store.last_event().await?;
        Ok(())
    }

    pub(crate) fn materials(&self) -> Arc<Materials> {
        self.0
            .materials
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_materials(&self, materials: Materials) {
        *self
            .0
            .materials
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(materials);
    }

    /// This server at another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        let public = self.0.public.clone();
        PublicAddress { port, ..public }.url()
    }

    pub(crate) async fn close(&self) {
        if let Err(error) = self.0.store.close().await {
            tracing::warn!(%error, "closing the database");
        }
    }

    async fn put(
        &self,
        serial_number: &str,
        spec: DeviceSpec,
        write: PutMode,
    ) -> Result<Option<(Device, bool)>, ServiceError> {
        identity::check_serial_number(serial_number)?;
        let mut notes = self.check_spec(serial_number, &spec).await?;
        if let Some(error) = self.lacking(serial_number, &spec).await? {
            notes.push(error.to_string());
        }
        let put = PutDevice {
            serial_number: serial_number.to_owned(),
            spec,
            time: now(),
            message: (!notes.is_empty()).then(|| notes.join("; ")),
            write,
        };
        let put = match self.0.store.put_device(put).await? {
            PutOutcome::Put(put) => put,
            PutOutcome::Exists => return Ok(None),
            PutOutcome::SerialNumberTaken { alias, device } => {
                return Err(InventoryError::SerialNumberTaken { alias, device }.into());
            }
            PutOutcome::ProfileMissing { profile } => {
                return Err(InventoryError::ProfileMissing { name: profile }.into());
            }
        };
        self.publish(serial_number, put.entry);
        Ok(Some((put.device, put.added)))
    }

    /// The variables that the templates of a device's profile need and that nothing provides.
    async fn lacking(
        &self,
        serial_number: &str,
        spec: &DeviceSpec,
    ) -> Result<Option<InventoryError>, ServiceError> {
        let catalog = self.newest_catalog().await?;
        let before = self.0.store.device(serial_number).await?;
        let reported = before.map(|before| before.device.reported);
        let device = Device::new(serial_number, spec.clone(), now());
        let names = self
            .incomplete(&catalog, &device, &reported.unwrap_or_default())
            .await?;
        Ok((!names.is_empty()).then_some(InventoryError::VariablesMissing { names }))
    }

    async fn record(&self, mut occurrence: Occurrence) -> Result<Option<Recorded>, StoreError> {
        occurrence.outgoing.subscriptions = self.0.outbound.subscriptions();
        let recorded = self.0.store.record(occurrence).await?;
        if let Some(recorded) = &recorded {
            self.told_of(recorded);
        }
        Ok(recorded)
    }

    /// Tells who listens what was recorded.
    fn told_of(&self, recorded: &Recorded) {
        if recorded.is_outgoing {
            self.0.outbound.wake();
        }
        if let Some(entry) = &recorded.entry {
            if let Some(bootstrap) = recorded.bootstrap {
                tracing::Span::current().record("bootstrap", bootstrap);
            }
            self.publish(&recorded.serial_number, entry.clone());
        }
    }

    fn publish(&self, serial_number: &str, entry: HistoryEntry) {
        tracing::info!(
            serial_number,
            event = entry.event,
            progress_type = entry.progress_type,
            state = entry.state,
            "device"
        );
        self.tell(serial_number, entry);
    }

    /// Tells who listens, and not the log.
    fn tell(&self, serial_number: &str, entry: HistoryEntry) {
        self.0.metrics.device_event(serial_number, &entry);
        self.written_to(serial_number);
        if self.0.is_followed {
            return;
        }
        let serial_number = serial_number.to_owned();
        // Nobody need be listening.
        let _ = self.0.events.send(DeviceEvent {
            serial_number,
            entry,
        });
    }
}

impl Occurrence {
    /// Something that is only recorded.
    pub(crate) fn new(serial_number: &str, event: &'static str, time: UnixTime) -> Self {
        Self {
            serial_number: serial_number.to_owned(),
            time,
            peer: None,
            event,
            progress_type: None,
            message: None,
            effect: Effect::Noted,
            served: None,
            outgoing: Outgoing::default(),
        }
    }
}

/// What is stored of a token.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(token.as_bytes()).into()
}

/// Random where there is randomness; it only has to tell requests apart.
pub(crate) fn new_id() -> String {
    let mut octets = [0; 8];
    if getrandom::fill(&mut octets).is_err() {
        octets = now().secs().to_be_bytes();
    }
    octets
        .iter()
        .fold(String::with_capacity(16), |mut text, octet| {
            use std::fmt::Write as _;
            let _ = write!(text, "{octet:02x}");
            text
        })
}

/// What tells one thing from all others, also from those of other instances.
pub(crate) fn new_key() -> String {
    format!("{}{}", new_id(), new_id())
}

pub(crate) fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

fn missing(serial_number: &str) -> ServiceError {
    ServiceError::DeviceMissing {
        serial_number: serial_number.to_owned(),
    }
}

/// Events that a slow listener may lag behind.
const EVENTS: usize = 1024;

/// Wrong activation codes that one address may try.
const ACTIVATIONS_PER_MINUTE: u32 = 10;
