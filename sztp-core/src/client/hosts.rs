//! Addresses of hosts that the system's resolver may not know.

use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// Somebody who is asked for the addresses of a host before the system is, as for names of multicast
/// DNS (RFC 6762).
pub trait Hosts: Debug + Send + Sync {
    /// The addresses of a host; their ports do not matter. None if the system is to be asked.
    fn addresses<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = Vec<SocketAddr>> + Send + 'a>>;
}
