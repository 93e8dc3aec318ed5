//! A device as the systems that are to manage it see it.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::model::{Contact, Device};

/// A device, and how it says that it is reached.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) device: Device,
    pub(super) contact: Contact,
}

/// An address, perhaps with the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) prefix: Option<u8>,
}

impl Subject {
    pub(super) fn new(device: Device, contact: Contact) -> Self {
        Self { device, contact }
    }

    /// What the operator calls it, or else it itself.
    pub(super) fn host_name(&self) -> Option<&str> {
        let set = self.device.spec.host_name.as_deref();
        set.or(self.contact.host_name.as_deref())
    }

    /// Its name in the inventory: the operator's word alone, as a device that names itself could take
    /// another's entry.
    pub(super) fn name(&self) -> &str {
        let set = self.device.spec.host_name.as_deref();
        set.unwrap_or(&self.device.serial_number)
    }

    /// Where it is managed: what the operator says, or else what it says, or else, if that may be,
    /// where it reported from.
    pub(super) fn address(&self, peer_may_stand_in: bool) -> Option<Address> {
        let ssh = self.contact.connectivity.iter().find(|connectivity| {
            let protocol = connectivity.protocol.to_ascii_lowercase();
            protocol.starts_with("ssh") || protocol.starts_with("netconf")
        });
        let peer = self.contact.peer.as_deref().filter(|_| peer_may_stand_in);
        [
            self.device.spec.management_address.as_deref(),
            ssh.and_then(|connectivity| connectivity.address.as_deref()),
            self.contact.address.as_deref(),
            peer,
        ]
        .into_iter()
        .flatten()
        .find_map(Address::parse)
    }

    pub(super) fn vendor(&self) -> Option<&str> {
        let set = self.device.spec.vendor.as_deref();
        set.or(self.device.reported.vendor.as_deref())
    }

    pub(super) fn model(&self) -> Option<&str> {
        let said = self.device.reported.hw_model.as_deref();
        said.or(self.device.spec.model.as_deref())
    }

    pub(super) fn os_name(&self) -> Option<&str> {
        self.device.reported.os_name.as_deref()
    }

    /// One of the attributes that the operator has given it.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.device.spec.attributes.get(name)?.as_str()
    }

    /// For a system that takes any document. Variables are not in it: they fill in configurations,
    /// and passwords are among them.
    pub(super) fn document(&self, peer_may_stand_in: bool) -> Value {
        let spec = &self.device.spec;
        json!({
            "serial_number": self.device.serial_number,
            "serial_numbers": spec.serial_numbers,
            "host_name": self.host_name(),
            "management_address": self.address(peer_may_stand_in).map(Address::text),
            "connectivity": self.contact.connectivity,
            "ssh_host_keys": self.contact.ssh_host_keys,
            "vendor": self.vendor(),
            "model": self.model(),
            "os_name": self.os_name(),
            "os_version": self.device.reported.os_version,
            "profile": self.device.served_profile,
            "location": spec.location,
            "tags": spec.tags,
            "groups": spec.groups,
            "attributes": spec.attributes,
        })
    }
}

impl Address {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix.parse().ok()?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.trim().parse().ok()?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        (prefix.is_none_or(|prefix: u8| prefix <= longest)).then_some(Self { ip, prefix })
    }

    pub(super) fn text(self) -> String {
        match self.prefix {
            Some(prefix) => format!("{}/{prefix}", self.ip),
            None => self.ip.to_string(),
        }
    }

    /// With a prefix in any case.
    pub(super) fn with_prefix(self) -> String {
        let longest = if self.ip.is_ipv4() { 32 } else { 128 };
        format!("{}/{}", self.ip, self.prefix.unwrap_or(longest))
    }
}

#[cfg(test)]
mod tests {
    use sztp_cms::UnixTime;

    use super::*;
    use crate::model::DeviceSpec;

    #[test]
    fn addresses() {
        let text = |text| Address::parse(text).map(Address::with_prefix);
        assert_eq!(text("192.0.2.1").as_deref(), Some("192.0.2.1/32"));
        assert_eq!(text("192.0.2.1/24").as_deref(), Some("192.0.2.1/24"));
        assert_eq!(text("2001:db8::1/64").as_deref(), Some("2001:db8::1/64"));
        assert_eq!(text("192.0.2.1/33"), None);
        assert_eq!(text("edge.example"), None);
    }

    #[test]
    fn the_operator_wins_and_the_peer_comes_last() {
        let device = Device::new("S", DeviceSpec::default(), UnixTime::from_secs(0));
        let contact = Contact {
            peer: Some("198.51.100.1".to_owned()),
            ..Contact::default()
        };
        let mut subject = Subject::new(device, contact);
        let address = |subject: &Subject| subject.address(true).map(Address::text);
        assert_eq!(subject.address(false), None);
        assert_eq!(address(&subject).as_deref(), Some("198.51.100.1"));
        subject.contact.address = Some("192.0.2.2/24".to_owned());
        assert_eq!(address(&subject).as_deref(), Some("192.0.2.2/24"));
        subject.device.spec.management_address = Some("192.0.2.3".to_owned());
        assert_eq!(address(&subject).as_deref(), Some("192.0.2.3"));
        assert_eq!(subject.name(), "S");
    }
}
