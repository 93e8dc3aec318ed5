//! The device's network interfaces, and sockets that hear and speak on one of them only.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// A network interface that is up and no loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    /// What the system calls it in the scope of link-local addresses.
    pub(super) index: u32,
    pub(super) hardware: Option<Hardware>,
    /// Its first IPv4 address.
    pub(super) v4: Option<Ipv4Addr>,
    /// Its first link-local IPv6 address.
    pub(super) link_local: Option<Ipv6Addr>,
}

/// A link-layer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hardware {
    /// As IANA numbers the kinds of hardware for ARP; 1 is Ethernet.
    pub(super) kind: u16,
    pub(super) address: [u8; 6],
}

impl Interface {
    /// All that there are, by name.
    pub(super) fn all() -> io::Result<Vec<Self>> {
        let mut found: BTreeMap<String, Self> = BTreeMap::new();
        for one in getifaddrs()? {
            if !one.flags.contains(InterfaceFlags::IFF_UP)
                || one.flags.contains(InterfaceFlags::IFF_LOOPBACK)
            {
                continue;
            }
            let interface = match found.entry(one.interface_name) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    // It may have gone meanwhile.
                    let Ok(index) = if_nametoindex(place.key().as_str()) else {
                        continue;
                    };
                    let name = place.key().clone();
                    place.insert(Self {
                        name,
                        index,
                        hardware: None,
                        v4: None,
                        link_local: None,
                    })
                }
            };
            let Some(address) = one.address else {
                continue;
            };
            if let Some(link) = address.as_link_addr() {
                interface.hardware = link.addr().map(|address| Hardware {
                    kind: link.hatype(),
                    address,
                });
            } else if let Some(v4) = address.as_sockaddr_in() {
                interface.v4.get_or_insert(v4.ip());
            } else if let Some(v6) = address.as_sockaddr_in6()
                && v6.ip().is_unicast_link_local()
            {
                interface.link_local.get_or_insert(v6.ip());
            }
        }
        Ok(found.into_values().collect())
    }

    /// A UDP socket on this interface only, beside others that have the same port.
    pub(super) fn socket(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_reuse_address(true)?;
        if address.is_ipv4() {
            socket.set_broadcast(true)?;
        } else {
            socket.set_only_v6(true)?;
        }
        self.tie(&socket)?;
        socket.bind(&address.into())?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    }

    #[cfg(target_os = "linux")]
    fn tie(&self, socket: &Socket) -> io::Result<()> {
        socket.bind_device(Some(self.name.as_bytes()))
    }

    #[cfg(not(target_os = "linux"))]
    fn tie(&self, _socket: &Socket) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}
