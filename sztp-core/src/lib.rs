//! Secure Zero Touch Provisioning (RFC 8572, RFC 9646) without I/O.
//!
//! The messages ([`conveyed_info`], [`rpc`], [`csr`], [`restconf`]), the validation of the three
//! bootstrapping artifacts as one unit ([`artifacts`]), the server-side [`lifecycle`] and the
//! [`device`] bootstrap machine. Sockets, files and clocks stay outside; the feature `client` adds
//! a tokio driver for the device machine.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod artifacts;
#[cfg(feature = "client")]
pub mod client;
pub mod conveyed_info;
pub mod csr;
pub mod device;
pub mod dhcp;
pub mod dns;
pub mod lifecycle;
pub mod removable_storage;
pub mod restconf;
pub mod rpc;
mod schema;
