//! The SZTP bootstrap server (RFC 8572 §7): RESTCONF over mutual TLS for devices, a JSON API for
//! operators, SQLite or PostgreSQL underneath.
//!
//! ```no_run
//! use sztp_server::model::{Answer, DeviceFilter, DeviceSpec, Page};
//! use sztp_server::{Config, Server};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(Config::loopback("./sztp-data")).await?;
//! let spec = DeviceSpec { answer: Answer::Onboarding(Default::default()), ..Default::default() };
//! server.service().add_device("AX7-00042", spec).await?;
//! println!("devices connect to {}", server.device_addr());
//! let devices = server.service().devices(DeviceFilter::default(), Page::default()).await?;
//! println!("{} of them", devices.items.len());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Service`] is everything that the server can do, without HTTP; the listeners translate
//! requests to it and know no policy. Whether vouchers, certificates and CMS messages hold is
//! decided by `sztp-core` and the crates below it, never here.

#![forbid(unsafe_code)]

mod access;
mod admin_api;
pub mod config;
mod crosswork;
mod device_api;
mod dialect;
mod error;
mod est;
mod host_name;
pub mod lab;
mod listener;
pub mod masa;
mod materials;
mod metrics;
pub mod model;
mod onboarding;
mod outside;
mod server;
mod service;
pub mod store;

pub use access::BearerError;
pub use config::{Config, ConfigError};
pub use error::{
    AccessError, DeliveryError, InventoryError, LdevidError, ServerError, ServiceError, StoreError,
    TrustError, VoucherOnDemandError,
};
pub use outside::OutsideError;
pub use server::{Notice, Server};
pub use service::{Answered, DeviceIdentity, ImportFormat, Peer, Service};
