//! The server as a whole: from a configuration to two listeners, and down again.

use std::net::SocketAddr;

use crate::{Config, ServerError, Service};

/// A running server; it stops when it is shut down, not when it is dropped.
#[derive(Debug)]
pub struct Server {
    device_addr: SocketAddr,
    admin_addr: SocketAddr,
    public_url: String,
    service: Service,
    notices: Vec<Notice>,
}

/// Something the operator should know about a server that has started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Made at this start.
    Made(String),
    /// Not fit for production.
    NotForProduction(String),
    /// A command to type next.
    Next(String),
}

impl Server {
    /// Starts a server; without anything configured it makes a lab PKI in its data directory.
    pub async fn start(_config: Config) -> Result<Self, ServerError> {
        todo!()
    }

    /// Where devices connect.
    pub fn device_addr(&self) -> SocketAddr {
        self.device_addr
    }

    /// Where operators connect.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// What devices call this server, `https://host:port`.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// All that the server can do, in this process.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// What was made, what is not fit for production, and what to type next.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Reads certificates, keys and anchors again; connections stay open.
    pub async fn reload(&self) -> Result<(), ServerError> {
        todo!()
    }

    /// Lets open requests end, for at most limits.drain_secs, and closes the database.
    pub async fn shutdown(self) {
        todo!()
    }
}
