//! The device's sources beside bootstrap servers (RFC 8572 §4): what is mounted, leased and resolved
//! here, and artifacts given as files.

use std::path::{Path, PathBuf};

use sztp_core::artifacts::BootstrappingData;
use sztp_core::client::{Records, RemovableStorage, Sources};
use sztp_core::device::Source;
use sztp_core::dhcp::Family;
use sztp_core::dns::{DomainName, Query};
use sztp_core::removable_storage::{FileSet, StoredFile};

use super::dhcp::{Asking, Reply};
use super::dns::Dns;
use super::leases;
use super::story::Log;
use crate::files;

/// What the machine may ask for.
#[derive(Debug)]
pub(super) struct DeviceSources {
    /// Artifacts given one by one.
    pub(super) artifacts: Option<Artifacts>,
    /// Where media are mounted; none: the usual places.
    pub(super) removable: Vec<PathBuf>,
    /// Lease files; none: the usual ones, unless DHCP servers are asked.
    pub(super) leases: Vec<PathBuf>,
    /// Asking DHCP servers, if it is wanted.
    pub(super) asking: Option<Asking>,
    pub(super) dns: Dns,
    /// Where is told what they gave.
    pub(super) log: Log,
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
        asking: Option<Asking>,
        dns: Dns,
        log: Log,
    ) -> Self {
        Self {
            artifacts,
            removable,
            leases,
            asking,
            dns,
            log,
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
        let Some(asking) = &self.asking else {
            return leases::read_all(&self.leases);
        };
        let mut values = Vec::new();
        let mut problems = Vec::new();
        match asking.ask().await {
            Ok(heard) => {
                for reply in heard.replies {
                    self.log.note(&told_by(&reply));
                    values.extend(reply.value);
                }
                problems.extend(heard.problems.iter().map(ToString::to_string));
            }
            Err(error) => problems.push(error.to_string()),
        }
        // What was given out now comes before what was given out some time.
        if !self.leases.is_empty() {
            match leases::read_all(&self.leases) {
                Ok(leased) => values.extend(leased),
                Err(problem) => problems.push(problem),
            }
        }
        if values.is_empty() && !problems.is_empty() {
            return Err(problems.join("; "));
        }
        for problem in problems {
            self.log.note(&problem);
        }
        Ok(values)
    }

    async fn domains(&mut self) -> Result<Vec<DomainName>, String> {
        self.dns.domains()
    }

    async fn resolve(&mut self, query: &Query) -> Result<Records, String> {
        self.dns.resolve(query).await
    }
}

fn told_by(reply: &Reply) -> String {
    let protocol = match reply.family {
        Family::V4 => "DHCPv4",
        Family::V6 => "DHCPv6",
    };
    let what = match reply.value {
        Some(_) => "names bootstrap servers",
        None => "names no bootstrap server",
    };
    let (server, interface) = (reply.server, &reply.interface);
    format!("the {protocol} server {server} on {interface} {what}")
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
        Source::Dhcp => !sources.leases.is_empty() || sources.asking.is_some(),
        Source::Dns => !sources.dns.servers.is_empty() || !sources.dns.domains.is_empty(),
        Source::BootstrapServers => servers,
        _ => false,
    };
    Source::LOCAL_FIRST.into_iter().filter(spoken).collect()
}
