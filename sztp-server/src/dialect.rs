//! How platforms in the field differ from RFC 8572: one table of dialects, which the
//! configuration can extend.
//!
//! A dialect is data. What it says holds where neither the device nor its profile says otherwise;
//! the places that put an answer together ask it and know no platform by name. Which dialect a
//! device speaks is set for it, or recognised from its request ([`Signs`]).

mod built_in;
mod content;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sztp_voucher::yang::Encoding;

use crate::ConfigError;
use crate::model::{ContentTypeChoice, ConveyedEncoding, DeviceSpec};

pub(crate) use content::plainly;

/// The dialect of which nothing is known but RFC 8572.
pub(crate) const GENERIC: &str = "generic";

/// Recognise the dialect from the request.
pub(crate) const AUTO: &str = "auto";

/// How one platform wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) name: String,
    /// Any of these makes it known.
    recognised_by: Vec<Signs>,
    quirks: Quirks,
}

/// Where a platform differs; what is absent is as RFC 8572 has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quirks {
    /// Encoding inside the conveyed information, whatever the RPC's encoding is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conveyed_encoding: Option<ConveyedEncoding>,
    /// eContentType of generated CMS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentTypeChoice>,
    /// The media type of answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaTypeForm>,
    /// `true`: only signed data will do; `false`: conveyed information that is unsigned and alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign: Option<bool>,
    /// Whether the device can be sent back here with the server's trust anchor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<bool>,
    /// Whether an answer may have the leaf reporting-level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_level: Option<bool>,
    /// The status that acknowledges a report: 204, or 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_status: Option<u16>,
    /// A `conveyed-information` element around redirect and onboarding information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<bool>,
    /// Whether octets of a hash-value are separated by colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_colons: Option<bool>,
    /// One image-verification for each download-uri, all of the same hash algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_per_uri: Option<bool>,
}

/// What in a request makes a dialect known; all that is set must be there, and something must be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signs {
    /// Part of the organization in the device's certificate; case does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Part of the os-name; case does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os_name: Option<String>,
    /// Whether the request is in XML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xml: Option<bool>,
    /// Whether it has an Accept header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<bool>,
    /// Whether it has HTTP Basic credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<bool>,
    /// Whether the media type is written `application/yang.data+..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dotted_media_type: Option<bool>,
    /// Whether the operation is called get-bootstrap-data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_operation: Option<bool>,
    /// Whether the certificate's serial number is written `PID:.. SN:..`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_and_serial: Option<bool>,
}

/// How a media type is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaTypeForm {
    /// `application/yang-data+..` (RFC 8040 §5.2).
    #[serde(rename = "yang-data")]
    YangData,
    /// `application/yang.data+..`, from a draft of it.
    #[serde(rename = "yang.data")]
    Dotted,
}

/// A dialect of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialectConfig {
    /// By which devices and profiles name it; that of a built-in dialect changes that one.
    pub name: String,
    /// The dialect from which all is taken that is not said here; none: the built-in one of the
    /// same name, or `generic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// What makes it known with `auto`; none: as the one it is like if that has the same name, or
    /// else nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recognised_by: Vec<Signs>,
    /// Where it differs.
    #[serde(skip_serializing_if = "Quirks::is_empty")]
    pub quirks: Quirks,
}

/// What a request shows of the platform that made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) vendor: Option<String>,
    pub(crate) os_name: Option<String>,
    pub(crate) xml: bool,
    pub(crate) accept: bool,
    pub(crate) basic: bool,
    pub(crate) dotted_media_type: bool,
    pub(crate) short_operation: bool,
    pub(crate) product_and_serial: bool,
}

/// All dialects: those of the configuration before the built-in ones.
#[derive(Debug, Clone)]
pub(crate) struct Dialects(Vec<Arc<Dialect>>);

impl Dialects {
    pub(crate) fn new(configured: &[DialectConfig]) -> Result<Self, ConfigError> {
        let built_in: Vec<Arc<Dialect>> = built_in::dialects().into_iter().map(Arc::new).collect();
        let mut all: Vec<Arc<Dialect>> = Vec::new();
        for one in configured {
            let refused = |problem: String| ConfigError::Value {
                key: "dialects",
                problem: format!("{:?}: {problem}", one.name),
            };
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if one.name.is_empty() || one.name.len() > 64 || !one.name.chars().all(is_name) {
                return Err(refused("is no name".to_owned()));
            }
            if one.name == AUTO || all.iter().any(|known| known.name == one.name) {
                return Err(refused("the name is taken".to_owned()));
            }
            if !matches!(one.quirks.report_status, None | Some(200 | 204)) {
                return Err(refused("report_status is 200 or 204".to_owned()));
            }
            if one.recognised_by.contains(&Signs::default()) {
                return Err(refused("recognised_by has an empty entry".to_owned()));
            }
            let find = |name: &str| built_in.iter().chain(&all).find(|known| known.name == name);
            let base = match &one.like {
                Some(name) => find(name).ok_or_else(|| refused(format!("no dialect {name:?}")))?,
                None => find(&one.name)
                    .or_else(|| find(GENERIC))
                    .ok_or_else(|| refused(format!("no dialect {GENERIC:?}")))?,
            };
            let inherits = base.name == one.name && one.recognised_by.is_empty();
            all.push(Arc::new(Dialect {
                name: one.name.clone(),
                recognised_by: if inherits {
                    base.recognised_by.clone()
                } else {
                    one.recognised_by.clone()
                },
                quirks: one.quirks.over(&base.quirks),
            }));
        }
        for dialect in built_in {
            if !all.iter().any(|known| known.name == dialect.name) {
                all.push(dialect);
            }
        }
        Ok(Self(all))
    }

    /// `auto` is none of them.
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Dialect>> {
        self.0.iter().find(|dialect| dialect.name == name)
    }

    /// The first that the request shows, or else the generic one.
    pub(crate) fn recognise(&self, observed: &Observed) -> Arc<Dialect> {
        let shown = |dialect: &&Arc<Dialect>| {
            let mut signs = dialect.recognised_by.iter();
            signs.any(|signs| signs.are_in(observed))
        };
        self.0
            .iter()
            .find(shown)
            .or_else(|| self.named(GENERIC))
            .cloned()
            .unwrap_or_else(|| Arc::new(built_in::generic()))
    }

    /// What is set, or recognised with `auto`.
    pub(crate) fn choose(&self, set: &str, observed: &Observed) -> Arc<Dialect> {
        match self.named(set) {
            Some(dialect) => dialect.clone(),
            None => self.recognise(observed),
        }
    }

    /// Whether a device or profile may be set to this.
    pub(crate) fn check(&self, name: &str) -> Result<(), String> {
        if name == AUTO || self.named(name).is_some() {
            return Ok(());
        }
        let known: Vec<&str> = self.0.iter().map(|dialect| dialect.name.as_str()).collect();
        let name: String = name.chars().take(64).collect();
        Err(format!(
            "there is no dialect {name:?}, only auto, {}",
            known.join(", ")
        ))
    }
}

impl Dialect {
    /// What is set for a device and its profile, and where nothing is, what the dialect says.
    pub(crate) fn complete(&self, spec: DeviceSpec) -> DeviceSpec {
        let quirks = &self.quirks;
        DeviceSpec {
            conveyed_encoding: spec.conveyed_encoding.or(quirks.conveyed_encoding),
            content_type: spec.content_type.or(quirks.content_type),
            sign: spec.sign.or(quirks.sign),
            promote: spec.promote.or(quirks.promote),
            ..spec
        }
    }

    /// For the history, beside what was given.
    #[expect(clippy::ref_option, reason = "a member of what is set")]
    pub(crate) fn note(&self, set: &Option<String>) -> String {
        match set.as_deref() {
            Some(set) if set != AUTO => format!("; dialect {}", self.name),
            _ if self.name == GENERIC => String::new(),
            _ => format!("; dialect {}, as recognised or configured", self.name),
        }
    }

    pub(crate) fn takes_reporting_level(&self) -> bool {
        self.quirks.reporting_level != Some(false)
    }

    pub(crate) fn report_status(&self) -> u16 {
        self.quirks.report_status.unwrap_or(204)
    }

    /// The media type of an answer; one that nothing is known of gets the form that it uses.
    pub(crate) fn media_type(&self, encoding: Encoding, observed: &Observed) -> &'static str {
        let dotted = match self.quirks.media_type {
            Some(form) => form == MediaTypeForm::Dotted,
            None => observed.dotted_media_type,
        };
        match (encoding, dotted) {
            (Encoding::Json, true) => "application/yang.data+json",
            (Encoding::Xml, true) => "application/yang.data+xml",
            (encoding, false) => sztp_core::restconf::media_type(encoding),
        }
    }
}

impl Quirks {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn over(&self, base: &Self) -> Self {
        Self {
            conveyed_encoding: self.conveyed_encoding.or(base.conveyed_encoding),
            content_type: self.content_type.or(base.content_type),
            media_type: self.media_type.or(base.media_type),
            sign: self.sign.or(base.sign),
            promote: self.promote.or(base.promote),
            reporting_level: self.reporting_level.or(base.reporting_level),
            report_status: self.report_status.or(base.report_status),
            wrapper: self.wrapper.or(base.wrapper),
            hash_colons: self.hash_colons.or(base.hash_colons),
            verification_per_uri: self.verification_per_uri.or(base.verification_per_uri),
        }
    }
}

impl Signs {
    fn are_in(&self, observed: &Observed) -> bool {
        let part = |sign: &Option<String>, found: &Option<String>| {
            let Some(sign) = sign else { return true };
            let found = found.as_deref().unwrap_or_default().to_lowercase();
            found.contains(&sign.to_lowercase())
        };
        let flag = |sign: Option<bool>, found: bool| sign.is_none_or(|sign| sign == found);
        part(&self.vendor, &observed.vendor)
            && part(&self.os_name, &observed.os_name)
            && flag(self.xml, observed.xml)
            && flag(self.accept, observed.accept)
            && flag(self.basic, observed.basic)
            && flag(self.dotted_media_type, observed.dotted_media_type)
            && flag(self.short_operation, observed.short_operation)
            && flag(self.product_and_serial, observed.product_and_serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(observed: &Observed) -> String {
        let dialects = Dialects::new(&[]).unwrap();
        dialects.recognise(observed).name.clone()
    }

    #[test]
    fn what_a_request_shows() {
        let plain = Observed {
            accept: true,
            ..Observed::default()
        };
        assert_eq!(recognised(&plain), "generic");
        let catalyst = Observed {
            xml: true,
            product_and_serial: true,
            ..plain.clone()
        };
        assert_eq!(recognised(&catalyst), "ios-xe");
        let agent = Observed {
            basic: true,
            ..Observed::default()
        };
        assert_eq!(recognised(&agent), "opi");
        for (vendor, dialect) in [
            ("Huawei Technologies Co., Ltd.", "huawei"),
            ("Arista Networks, Inc.", "arista"),
            ("Juniper Networks, Inc.", "junos"),
        ] {
            let vendor = Observed {
                vendor: Some(vendor.to_owned()),
                ..plain.clone()
            };
            assert_eq!(recognised(&vendor), dialect);
        }
        for (os_name, dialect) in [("Cisco IOSXR", "ios-xr"), ("Cisco IOS-XE", "ios-xe")] {
            let system = Observed {
                os_name: Some(os_name.to_owned()),
                ..plain.clone()
            };
            assert_eq!(recognised(&system), dialect);
        }
    }

    #[test]
    fn a_configuration_adds_and_changes() {
        let configured: Vec<DialectConfig> = toml::from_str::<toml::Table>(
            "[[d]]\nname = \"opi\"\nquirks.report_status = 204\n\
             [[d]]\nname = \"acme\"\nlike = \"huawei\"\nquirks.wrapper = false\n\
             recognised_by = [{vendor = \"acme\"}]\n",
        )
        .unwrap()["d"]
            .clone()
            .try_into()
            .unwrap();
        let dialects = Dialects::new(&configured).unwrap();
        let opi = dialects.named("opi").unwrap();
        assert_eq!(opi.report_status(), 204);
        assert!(!opi.takes_reporting_level(), "the rest is as it was");
        let acme = Observed {
            vendor: Some("ACME".to_owned()),
            ..Observed::default()
        };
        let acme = dialects.recognise(&acme);
        assert_eq!(acme.name, "acme");
        assert_eq!(acme.quirks.wrapper, Some(false));
        assert_eq!(acme.quirks.hash_colons, Some(false));
        assert!(dialects.check("auto").is_ok());
        assert!(dialects.check("acme").is_ok());
        assert!(dialects.check("nobody").is_err());
    }

    #[test]
    fn a_configuration_that_cannot_be() {
        let refused = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            Dialects::new(&[table["d"].clone().try_into().unwrap()]).is_err()
        };
        assert!(refused("d = {name = \"\"}"));
        assert!(refused("d = {name = \"auto\"}"));
        assert!(refused("d = {name = \"a\", like = \"b\"}"));
        assert!(refused(
            "d = {name = \"a\", quirks = {report_status = 500}}"
        ));
        assert!(refused("d = {name = \"a\", recognised_by = [{}]}"));
        assert!(!refused("d = {name = \"a\"}"));
    }
}
