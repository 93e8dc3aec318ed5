//! Sources other than bootstrap servers, as the driver asks for them (RFC 8572 §4).
//!
//! What they give is judged by the machine and is never trusted as such. Reading has to be bounded by
//! whoever does it.

use std::future::Future;

use crate::artifacts::BootstrappingData;
use crate::dns::{DomainName, Query, SrvRecord, TxtRecord};
use crate::removable_storage::FileSet;

/// Removable storage, DHCP and DNS of a device. What is not overridden is not there.
///
/// Reasons are for people: they go into logs.
pub trait Sources: Send {
    /// For each medium, the paths of its files from its top with `/` between directories.
    fn list_media(&mut self) -> impl Future<Output = Result<Vec<Vec<String>>, String>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Reads the files of a medium, the `medium`th of the list that was given last.
    fn read_medium(
        &mut self,
        medium: usize,
        files: &FileSet,
    ) -> impl Future<Output = Result<BootstrappingData, String>> + Send {
        let _ = (medium, files);
        async { Err("there is no removable storage".to_owned()) }
    }

    /// The value of each option 143 (DHCPv4) and 136 (DHCPv6) that the device was given, its
    /// instances joined ([`crate::dhcp::long_option`]).
    fn dhcp_options(&mut self) -> impl Future<Output = Result<Vec<Vec<u8>>, String>> + Send {
        async { Ok(Vec::new()) }
    }

    /// The domains to ask DNS servers about, the most specific first; none where there is no DNS
    /// server.
    fn domains(&mut self) -> impl Future<Output = Result<Vec<DomainName>, String>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Asks DNS by multicast or unicast, as the query says; over TCP if the answer is truncated
    /// (RFC 8572 §4.2.4).
    fn resolve(&mut self, query: &Query) -> impl Future<Output = Result<Records, String>> + Send {
        let _ = query;
        async { Ok(Records::None) }
    }
}

/// An answer of DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// The name has no such record.
    None,
    /// TXT records.
    Text(Vec<TxtRecord>),
    /// SRV records.
    Services(Vec<SrvRecord>),
}

/// A device that has nothing but bootstrap servers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSources;

impl Sources for NoSources {}
