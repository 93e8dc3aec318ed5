//! The device's sources beside bootstrap servers (RFC 8572 §4): what is mounted, leased and resolved
//! here, and artifacts given as files.

use std::path::{Path, PathBuf};

use sztp_core::artifacts::BootstrappingData;
use sztp_core::client::{Records, RemovableStorage, Sources};
use sztp_core::device::Source;
use sztp_core::dns::{DomainName, Query};
use sztp_core::removable_storage::{FileSet, StoredFile};

use super::dns::Dns;
use super::leases;
use crate::files;

/// What the machine may ask for.
#[derive(Debug)]
pub(super) struct DeviceSources {
    /// Artifacts given one by one.
    pub(super) artifacts: Option<Artifacts>,
    /// Where media are mounted; none: the usual places.
    pub(super) removable: Vec<PathBuf>,
    /// Lease files; none: the usual ones.
    pub(super) leases: Vec<PathBuf>,
    pub(super) dns: Dns,
    /// The media that were listed last.
    media: RemovableStorage,
}

/// The artifacts of one device as files.
#[derive(Debug, Clone)]
pub(super) struct Artifacts {
    pub(super) conveyed_information: PathBuf,
    pub(super) owner_certificate: Option<PathBuf>,
    pub(super) voucher: Option<PathBuf>,
}

impl Artifacts {
    /// As if it were a stick with these files at its top.
    fn listing(&self) -> Vec<String> {
        let owner = self.owner_certificate.as_ref();
        let voucher = self.voucher.as_ref();
        let files = [
            Some(StoredFile::ConveyedInformation),
            owner.map(|_| StoredFile::OwnerCertificate),
            voucher.map(|_| StoredFile::OwnershipVoucher),
        ];
        let files = files.into_iter().flatten();
        files.map(|file| file.names()[0].to_owned()).collect()
    }

    fn read(&self) -> Result<BootstrappingData, String> {
        let read = |path: &PathBuf| files::read_cms(path).map_err(|failure| failure.to_string());
        Ok(BootstrappingData {
            conveyed_information: read(&self.conveyed_information)?,
            owner_certificate: self.owner_certificate.as_ref().map(read).transpose()?,
            ownership_voucher: self.voucher.as_ref().map(read).transpose()?,
        })
    }
}

impl DeviceSources {
    pub(super) fn new(
        artifacts: Option<Artifacts>,
        removable: Vec<PathBuf>,
        leases: Vec<PathBuf>,
        dns: Dns,
    ) -> Self {
        Self {
            artifacts,
            removable,
            leases,
            dns,
            media: RemovableStorage::default(),
        }
    }
}

impl Sources for DeviceSources {
    async fn list_media(&mut self) -> Result<Vec<Vec<String>>, String> {
        // Each time, as sticks come and go.
        self.media = RemovableStorage::new(if self.removable.is_empty() {
            mounted()
        } else {
            self.removable.clone()
        });
        let mut media: Vec<Vec<String>> = self.artifacts.iter().map(Artifacts::listing).collect();
        media.extend(self.media.list());
        Ok(media)
    }

    async fn read_medium(
        &mut self,
        medium: usize,
        files: &FileSet,
    ) -> Result<BootstrappingData, String> {
        let medium = match (&self.artifacts, medium) {
            (Some(artifacts), 0) => return artifacts.read(),
            (Some(_), medium) => medium - 1,
            (None, medium) => medium,
        };
        let read = self.media.read(medium, files);
        read.map_err(|error| error.to_string())
    }

    async fn dhcp_options(&mut self) -> Result<Vec<Vec<u8>>, String> {
        leases::read_all(&self.leases)
    }

    async fn domains(&mut self) -> Result<Vec<DomainName>, String> {
        self.dns.domains()
    }

    async fn resolve(&mut self, query: &Query) -> Result<Records, String> {
        self.dns.resolve(query).await
    }
}

/// The directories below those where media are mounted.
fn mounted() -> Vec<PathBuf> {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Vec::new();
        };
        let directories = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        directories.map(|entry| entry.path()).collect()
    };
    let mut found = below(Path::new("/media"));
    for user in below(Path::new("/run/media")) {
        found.extend(below(&user));
    }
    found.sort();
    found
}

/// The sources that options speak of, in the usual order.
pub(super) fn spoken_of(sources: &DeviceSources, servers: bool) -> Vec<Source> {
    let spoken = |source: &Source| match source {
        Source::RemovableStorage => sources.artifacts.is_some() || !sources.removable.is_empty(),
        Source::Dhcp => !sources.leases.is_empty(),
        Source::Dns => !sources.dns.servers.is_empty() || !sources.dns.domains.is_empty(),
        Source::BootstrapServers => servers,
        _ => false,
    };
    Source::LOCAL_FIRST.into_iter().filter(spoken).collect()
}
