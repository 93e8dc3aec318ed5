//! The option as DHCP servers are configured: ready to be pasted, as far as each can hold it.
//!
//! What each server takes was found by asking it (`kea-dhcp4 -t`, `dhcpd -t`, `dnsmasq --test`).

use std::fmt::Write as _;

use super::{BootstrapServerList, BootstrapUri, DhcpError, Family};

/// A DHCP server, and the way in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    /// ISC dhcpd, the list of RFC 8572 §8.3 as octets.
    IscDhcpd,
    /// ISC dhcpd, one URL as plain text with RESTCONF's path, as Cisco Crosswork's guide hands it
    /// to IOS XR. Not what RFC 8572 §8.3 says.
    IscDhcpdText,
    /// ISC Kea.
    Kea,
    /// dnsmasq.
    Dnsmasq,
    /// A pool of Cisco IOS or IOS XE.
    CiscoIos,
}

/// Text for a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// What to paste, with a line end.
    pub text: String,
    /// What to know before doing so.
    pub remarks: Vec<&'static str>,
}

impl BootstrapServerList {
    /// The option as a DHCP server is configured.
    pub fn snippet(&self, family: Family, server: Server) -> Result<Snippet, DhcpError> {
        let value = self.encode();
        match server {
            Server::IscDhcpd => Ok(isc_dhcpd(&value, family)),
            Server::IscDhcpdText => match self.uris() {
                [uri] => Ok(isc_dhcpd_text(uri, family)),
                uris => Err(DhcpError::SeveralAsText { found: uris.len() }),
            },
            Server::Kea => Ok(kea(&value, family)),
            Server::Dnsmasq => dnsmasq(&value, family),
            Server::CiscoIos => cisco_ios(&value, family),
        }
    }
}

/// dhcpd splits what is too long for one instance.
fn isc_dhcpd(value: &[u8], family: Family) -> Snippet {
    let (name, code) = isc_name(family);
    let octets = hexadecimal(value, ":");
    Snippet {
        text: format!("option {name} code {code} = string;\noption {name} {octets};\n"),
        remarks: Vec::new(),
    }
}

fn isc_dhcpd_text(uri: &BootstrapUri, family: Family) -> Snippet {
    let (name, code) = isc_name(family);
    Snippet {
        text: format!(
            "option {name} code {code} = text;\noption {name} \"{uri}{GET_BOOTSTRAP_DATA}\";\n"
        ),
        remarks: vec![
            "plain text is not the option of RFC 8572 section 8.3: Cisco IOS XR takes it, as in \
             Crosswork's guide; devices that follow the RFC, Cisco IOS XE among them, discard it \
             and want the form for dhcpd that is not text",
        ],
    }
}

fn isc_name(family: Family) -> (&'static str, u16) {
    match family {
        Family::V4 => ("sztp-redirect", family.option_code()),
        Family::V6 => ("dhcp6.sztp-redirect", family.option_code()),
    }
}

/// With code and `csv-format` it works whether this version of Kea knows the option by name or not.
fn kea(value: &[u8], family: Family) -> Snippet {
    let (section, space) = match family {
        Family::V4 => ("Dhcp4", "dhcp4"),
        Family::V6 => ("Dhcp6", "dhcp6"),
    };
    let code = family.option_code();
    let octets = hexadecimal(value, "").to_ascii_uppercase();
    let text = format!(
        "{{\n  \"{section}\": {{\n    \"option-data\": [\n      {{\n        \
         \"code\": {code},\n        \"space\": \"{space}\",\n        \"csv-format\": false,\n        \
         \"data\": \"{octets}\"\n      }}\n    ]\n  }}\n}}\n"
    );
    Snippet {
        text,
        remarks: Vec::new(),
    }
}

/// dnsmasq neither splits an option nor reads a line past 1023 characters.
fn dnsmasq(value: &[u8], family: Family) -> Result<Snippet, DhcpError> {
    let code = family.option_code();
    let (start, by_family) = match family {
        Family::V4 => (format!("dhcp-option={code},"), 255),
        Family::V6 => (format!("dhcp-option=option6:{code},"), usize::MAX),
    };
    // Two digits for each octet, and a colon between them.
    let by_line = (DNSMASQ_LINE - start.len() + 1) / 3;
    let max = by_line.min(by_family);
    if value.len() > max {
        return Err(DhcpError::TooLongFor {
            software: "dnsmasq",
            octets: value.len(),
            max,
        });
    }
    Ok(Snippet {
        text: start + &hexadecimal(value, ":") + "\n",
        remarks: Vec::new(),
    })
}

fn cisco_ios(value: &[u8], family: Family) -> Result<Snippet, DhcpError> {
    let code = family.option_code();
    const SOFTWARE: &str = "a pool of Cisco IOS";
    if family == Family::V6 {
        return Err(DhcpError::NotServedBy {
            software: SOFTWARE,
            code,
        });
    }
    let digits = hexadecimal(value, "");
    let mut groups = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            groups.push('.');
        }
        groups.push(digit);
    }
    let line = format!(" option {code} hex {groups}");
    if line.len() > CISCO_LINE {
        let room = CISCO_LINE - (line.len() - groups.len());
        return Err(DhcpError::TooLongFor {
            software: SOFTWARE,
            octets: value.len(),
            // Two octets take four digits and a dot.
            max: (room + 1) / 5 * 2,
        });
    }
    Ok(Snippet {
        text: format!("ip dhcp pool SZTP\n{line}\n"),
        remarks: vec![
            "put the option line into the pool of the devices' network; where a switch only \
             relays, as with `ip dhcp relay` on NX-OS, the option goes into the server behind it",
        ],
    })
}

fn hexadecimal(octets: &[u8], separator: &str) -> String {
    let mut text = String::with_capacity(octets.len() * (2 + separator.len()));
    for (index, octet) in octets.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// The path in Crosswork's guide, which names the RPC differently from RFC 8572 §7.
const GET_BOOTSTRAP_DATA: &str =
    "/restconf/operations/ietf-sztp-bootstrap-server:get-bootstrap-data";
/// Characters of a line before its end.
const DNSMASQ_LINE: usize = 1023;
/// Characters of a command (Cisco IOS Configuration Fundamentals).
const CISCO_LINE: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize) -> BootstrapServerList {
        let uri = |n| BootstrapUri::parse(&format!("https://b{n}.example")).unwrap();
        BootstrapServerList::new((0..count).map(uri).collect()).unwrap()
    }

    fn text(count: usize, family: Family, server: Server) -> Result<String, DhcpError> {
        list(count)
            .snippet(family, server)
            .map(|snippet| snippet.text)
    }

    #[test]
    fn each_server_in_its_own_words() {
        let octets = "00:12:68:74:74:70:73:3a:2f:2f:62:30:2e:65:78:61:6d:70:6c:65";
        assert_eq!(
            text(1, Family::V4, Server::IscDhcpd).unwrap(),
            format!("option sztp-redirect code 143 = string;\noption sztp-redirect {octets};\n")
        );
        assert!(
            text(1, Family::V6, Server::IscDhcpd)
                .unwrap()
                .starts_with("option dhcp6.sztp-redirect code 136 = string;\n")
        );
        assert_eq!(
            text(1, Family::V4, Server::Dnsmasq).unwrap(),
            format!("dhcp-option=143,{octets}\n")
        );
        assert_eq!(
            text(1, Family::V6, Server::Dnsmasq).unwrap(),
            format!("dhcp-option=option6:136,{octets}\n")
        );
        assert_eq!(
            text(1, Family::V4, Server::CiscoIos).unwrap(),
            "ip dhcp pool SZTP\n option 143 hex \
             0012.6874.7470.733a.2f2f.6230.2e65.7861.6d70.6c65\n"
        );
        let kea: serde_json::Value =
            serde_json::from_str(&text(1, Family::V6, Server::Kea).unwrap()).unwrap();
        let data = &kea["Dhcp6"]["option-data"][0];
        assert_eq!(data["code"], 136);
        assert_eq!(data["csv-format"], false);
        assert_eq!(data["data"], octets.replace(':', "").to_ascii_uppercase());
    }

    #[test]
    fn plain_text_is_one_url_and_comes_with_a_warning() {
        let snippet = list(1).snippet(Family::V4, Server::IscDhcpdText).unwrap();
        assert!(snippet.text.contains(
            "\"https://b0.example/restconf/operations/\
             ietf-sztp-bootstrap-server:get-bootstrap-data\";"
        ));
        assert!(snippet.remarks[0].contains("IOS XE"));
        let several = text(2, Family::V4, Server::IscDhcpdText);
        assert_eq!(several, Err(DhcpError::SeveralAsText { found: 2 }));
    }

    #[test]
    fn what_a_server_cannot_hold_is_refused() {
        let fits = |count, family, server| match text(count, family, server) {
            Ok(_) => true,
            Err(DhcpError::TooLongFor { octets, max, .. }) => {
                assert!(octets > max);
                false
            }
            Err(error) => panic!("{error}"),
        };
        assert!(fits(12, Family::V4, Server::Dnsmasq));
        assert!(!fits(13, Family::V4, Server::Dnsmasq));
        assert!(fits(13, Family::V6, Server::Dnsmasq));
        assert!(!fits(17, Family::V6, Server::Dnsmasq));
        assert!(fits(4, Family::V4, Server::CiscoIos));
        assert!(!fits(5, Family::V4, Server::CiscoIos));
        assert!(fits(60, Family::V4, Server::Kea));
        let v6 = text(1, Family::V6, Server::CiscoIos);
        assert_eq!(v6.map_err(|error| error.code()), Err("dhcp.not-served"));
    }
}
