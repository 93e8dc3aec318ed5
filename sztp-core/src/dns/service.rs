//! SRV records (RFC 2782), which for SZTP are the same as unsigned redirect information
//! (RFC 8572 §4.2.3).

use super::{DnsError, DomainName};
use crate::conveyed_info::BootstrapServer;

/// An SRV record's data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SrvRecord {
    /// Lower ones come first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// The server's port.
    pub port: u16,
    /// The server's name; the root says that there is no such service.
    pub target: DomainName,
}

impl SrvRecord {
    /// A record that names a bootstrap server; an SRV record cannot name an address.
    pub fn for_host(target: &str, port: u16) -> Result<Self, DnsError> {
        let not_a_host = || DnsError::Target {
            target: target.into(),
        };
        let name = DomainName::parse(target)?;
        let host = name.host().ok_or_else(not_a_host)?;
        if port == 0 || host.parse::<std::net::Ipv4Addr>().is_ok() {
            return Err(not_a_host());
        }
        Ok(Self {
            priority: 0,
            weight: 0,
            port,
            target: name,
        })
    }
}

/// The records in the order in which to contact their servers (RFC 2782, "Usage rules"): by
/// priority, and by weight and chance where that is the same.
///
/// `random` answers with a number between 0 and its argument, inclusive, all equally likely.
pub fn ordered(mut records: Vec<SrvRecord>, mut random: impl FnMut(u32) -> u32) -> Vec<SrvRecord> {
    // Within a priority, those of weight 0 stand first while one is drawn, so that they come up
    // rarely but not never.
    records.sort_by_key(|record| (record.priority, record.weight > 0));
    let mut order = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let group = records
            .iter()
            .take_while(|record| record.priority == priority);
        let total = group.fold(0_u32, |sum, record| {
            sum.saturating_add(record.weight.into())
        });
        let drawn = random(total).min(total);
        let mut running = 0_u32;
        let chosen = records.iter().position(|record| {
            running = running.saturating_add(record.weight.into());
            running >= drawn
        });
        order.push(records.remove(chosen.unwrap_or(0)));
    }
    order
}

/// The records in their order as untrusted redirect information (RFC 8572 §4.2.3). What cannot be
/// contacted is left out, as is a target of `.`, which says that there is no such service.
pub fn servers(records: &[SrvRecord]) -> Vec<BootstrapServer> {
    let mut servers: Vec<BootstrapServer> = Vec::with_capacity(records.len());
    for record in records {
        let Some(address) = record.target.host().filter(|_| record.port != 0) else {
            continue;
        };
        let server = BootstrapServer {
            address,
            port: Some(record.port),
            trust_anchor: None,
        };
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, target: &str) -> SrvRecord {
        SrvRecord {
            priority,
            weight,
            port: 8443,
            target: DomainName::parse(target).unwrap(),
        }
    }

    fn targets(records: &[SrvRecord]) -> Vec<String> {
        servers(records)
            .into_iter()
            .map(|server| server.address)
            .collect()
    }

    #[test]
    fn priority_decides_and_then_weight() {
        // LEDGER: 8572-4.2.3-02
        let records = vec![
            record(2, 1, "c"),
            record(1, 0, "b"),
            record(0, 7, "a"),
            record(2, 3, "d"),
        ];
        let order = |drawn| targets(&ordered(records.clone(), |most| u32::min(drawn, most)));
        assert_eq!(order(0), ["a", "b", "c", "d"]);
        assert_eq!(order(1), ["a", "b", "c", "d"]);
        assert_eq!(order(2), ["a", "b", "d", "c"]);
        assert_eq!(order(4), ["a", "b", "d", "c"]);
        // A source of chance that breaks its word loses nobody.
        let all = ordered(records.clone(), |_| u32::MAX);
        assert_eq!(all.len(), records.len());
    }

    #[test]
    fn weights_are_shares() {
        let records = vec![
            record(0, 1, "one"),
            record(0, 3, "three"),
            record(0, 0, "nil"),
        ];
        let mut state = 1_u64;
        let mut first = std::collections::HashMap::new();
        for _ in 0..10_000 {
            let order = ordered(records.clone(), |most| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                u32::try_from((state >> 33) % (u64::from(most) + 1)).unwrap()
            });
            let mut all = targets(&order);
            *first.entry(all[0].clone()).or_insert(0) += 1;
            all.sort();
            assert_eq!(all, ["nil", "one", "three"]);
        }
        // Of the numbers 0 to 4, zero falls to the one without weight, one to the first.
        for (name, share) in [("nil", 2000), ("one", 2000), ("three", 6000)] {
            assert!(
                (share - 300..share + 300).contains(&first[name]),
                "{first:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_contacted_is_left_out() {
        // LEDGER: 8572-4.2.3-01
        let mut portless = record(0, 0, "portless");
        portless.port = 0;
        let records = [
            record(0, 0, "."),
            portless,
            record(0, 0, "a\\.b"),
            record(0, 0, "boot.example."),
            record(1, 0, "boot.example"),
        ];
        let servers = servers(&records);
        let expected = BootstrapServer {
            address: "boot.example".to_owned(),
            port: Some(8443),
            trust_anchor: None,
        };
        assert_eq!(servers, [expected]);
    }

    #[test]
    fn a_target_is_a_name() {
        assert!(SrvRecord::for_host("boot-a.birch.example", 8443).is_ok());
        for (target, port) in [
            ("192.0.2.7", 8443),
            ("2001:db8::7", 8443),
            (".", 8443),
            ("boot example", 8443),
            ("boot.example", 0),
        ] {
            let refused = SrvRecord::for_host(target, port).map_err(|error| error.code());
            assert_eq!(refused, Err("dns.target"), "{target}");
        }
    }
}
