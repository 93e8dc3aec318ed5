//! Everything the server can do, without HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use sztp_cms::Certificate;
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressReport};
use tokio::io::AsyncRead;
use tokio::sync::broadcast;

use crate::ServiceError;
use crate::model::{
    Device, DeviceEvent, DeviceFilter, DeviceSpec, DeviceSummary, HistoryEntry, Image, Listed, Page,
};

/// The server's abilities; cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<()>);

impl core::fmt::Debug for Service {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// Who is at the other end of a connection, as TLS says; nothing of it is believed yet.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificates it showed, its own first; it has proved that it holds that one's key.
    pub certificates: Vec<Certificate>,
}

/// A device whose IDevID certificate was validated; only [`Service::identify`] makes one.
#[derive(Debug, Clone)]
pub struct DeviceIdentity {
    serial_number: String,
    address: SocketAddr,
}

#[allow(unused_variables, clippy::unused_async)]
impl Service {
    /// Adds a device. Its voucher is judged as the device will judge it.
    pub async fn add_device(
        &self,
        serial_number: &str,
        spec: DeviceSpec,
    ) -> Result<Device, ServiceError> {
        todo!()
    }

    /// Sets what a device is answered, adding the device if need be (then the answer is `true`).
    pub async fn put_device(
        &self,
        serial_number: &str,
        spec: DeviceSpec,
    ) -> Result<(Device, bool), ServiceError> {
        todo!()
    }

    /// One device.
    pub async fn device(&self, serial_number: &str) -> Result<Device, ServiceError> {
        todo!()
    }

    /// Devices in the order of their serial numbers.
    pub async fn devices(
        &self,
        filter: DeviceFilter,
        page: Page,
    ) -> Result<Listed<DeviceSummary>, ServiceError> {
        todo!()
    }

    /// Forgets a device; its history stays.
    pub async fn delete_device(&self, serial_number: &str) -> Result<(), ServiceError> {
        todo!()
    }

    /// Starts a device over, whatever state it is in.
    pub async fn reset_device(&self, serial_number: &str) -> Result<Device, ServiceError> {
        todo!()
    }

    /// What happened to a device, oldest first.
    pub async fn history(
        &self,
        serial_number: &str,
        page: Page,
    ) -> Result<Listed<HistoryEntry>, ServiceError> {
        todo!()
    }

    /// Every event of every device from now on.
    pub fn events(&self) -> broadcast::Receiver<DeviceEvent> {
        todo!()
    }

    /// Stores an image under a name.
    pub async fn add_image(
        &self,
        name: &str,
        content: impl AsyncRead + Send + Unpin,
    ) -> Result<Image, ServiceError> {
        todo!()
    }

    /// Images in the order of their names.
    pub async fn images(&self, page: Page) -> Result<Listed<Image>, ServiceError> {
        todo!()
    }

    /// Deletes an image that no device needs.
    pub async fn delete_image(&self, name: &str) -> Result<(), ServiceError> {
        todo!()
    }

    /// Judges who a peer is (RFC 8572 §5.3: the serial number in its certificate's subject).
    pub async fn identify(&self, peer: &Peer) -> Result<DeviceIdentity, ServiceError> {
        todo!()
    }

    /// `get-bootstrapping-data` (RFC 8572 §7.3).
    pub async fn answer(
        &self,
        device: &DeviceIdentity,
        input: &GetBootstrappingDataInput,
    ) -> Result<GetBootstrappingDataOutput, ServiceError> {
        todo!()
    }

    /// `report-progress` (RFC 8572 §7.3).
    pub async fn report_progress(
        &self,
        device: &DeviceIdentity,
        report: &ProgressReport,
    ) -> Result<(), ServiceError> {
        todo!()
    }
}
