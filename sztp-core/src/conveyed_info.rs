//! Conveyed information (RFC 8572 §6): redirect information or onboarding information.
//!
//! What is decoded here is only well-formed; whether it may be believed is decided in
//! [`crate::artifacts`].

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use sztp_cms::Rule;
use sztp_voucher::yang::{self, Encoding, Fields, Options, YangError, encode_binary};

use crate::schema;

/// The two kinds of conveyed information (RFC 8572 §2.1, §2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConveyedInfo {
    /// Sends the device to other bootstrap servers.
    Redirect(RedirectInformation),
    /// Everything the device needs to bootstrap itself.
    Onboarding(OnboardingInformation),
}

/// Redirect information (RFC 8572 §6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectInformation {
    /// The servers, at least one, no address twice.
    pub bootstrap_servers: Vec<BootstrapServer>,
}

/// One bootstrap server of redirect information (RFC 8572 §6.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BootstrapServer {
    /// Host name or IP address; an IPv6 address stands without brackets.
    pub address: String,
    /// Port; 443 when absent.
    pub port: Option<u16>,
    /// Certs-only CMS with the chain that authenticates the server.
    pub trust_anchor: Option<Vec<u8>>,
}

/// Onboarding information (RFC 8572 §6.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnboardingInformation {
    /// The boot image that the device must be running.
    pub boot_image: Option<BootImage>,
    /// How the configuration is to be applied; there exactly when the configuration is.
    pub configuration_handling: Option<ConfigurationHandling>,
    /// Script to be run before the configuration is applied.
    pub pre_configuration_script: Option<Vec<u8>>,
    /// The configuration, in the vendor's own format.
    pub configuration: Option<Vec<u8>>,
    /// Script to be run after the configuration has been applied.
    pub post_configuration_script: Option<Vec<u8>>,
}

/// `configuration-handling` (RFC 8572 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationHandling {
    /// Merge into the running datastore.
    Merge,
    /// Replace the running datastore.
    Replace,
}

/// `boot-image` (RFC 8572 §6.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootImage {
    /// Name of the operating system that the device must be running.
    pub os_name: Option<String>,
    /// Its version.
    pub os_version: Option<String>,
    /// Where the one image file may be had, in order of preference.
    pub download_uris: Vec<String>,
    /// Hashes of the image file, one per algorithm.
    pub image_verification: Vec<ImageVerification>,
}

/// `image-verification` (RFC 8572 §6.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageVerification {
    /// The identity with its module name, as in `ietf-sztp-conveyed-info:sha-256`.
    pub hash_algorithm: String,
    /// The octets of the hash.
    pub hash_value: Vec<u8>,
}

/// Why conveyed information was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConveyedInfoError {
    /// The document does not follow the schema.
    #[error(transparent)]
    Yang(#[from] YangError),
    /// Neither redirect information nor onboarding information.
    #[error("neither redirect-information nor onboarding-information")]
    NeitherKind,
    /// Redirect information and onboarding information in one document.
    #[error("both redirect-information and onboarding-information")]
    BothKinds,
    /// A server's address is no host name and no IP address.
    #[error("{address:?} is not a host name or IP address")]
    Address {
        /// The address found.
        address: String,
    },
    /// A hash to verify an image with, but nowhere to get the image.
    #[error("image-verification without download-uri")]
    VerificationWithoutUri,
    /// A hash of a wrong length for its algorithm.
    #[error("hash-value for {algorithm} has {found} octets instead of {expected}")]
    HashLength {
        /// The algorithm.
        algorithm: String,
        /// Octets that the algorithm gives.
        expected: usize,
        /// Octets found.
        found: usize,
    },
    /// `configuration` without `configuration-handling`.
    #[error("configuration without configuration-handling")]
    ConfigurationWithoutHandling,
    /// `configuration-handling` without `configuration`.
    #[error("configuration-handling without configuration")]
    HandlingWithoutConfiguration,
}

impl ConveyedInfoError {
    /// A stable code for the command line and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Yang(inner) => inner.code(),
            Self::NeitherKind => "conveyed-information.neither-kind",
            Self::BothKinds => "conveyed-information.both-kinds",
            Self::Address { .. } => "conveyed-information.address",
            Self::VerificationWithoutUri => "conveyed-information.verification-without-uri",
            Self::HashLength { .. } => "conveyed-information.hash-length",
            Self::ConfigurationWithoutHandling => {
                "conveyed-information.configuration-without-handling"
            }
            Self::HandlingWithoutConfiguration => {
                "conveyed-information.handling-without-configuration"
            }
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Yang(inner) => inner.rule(),
            Self::NeitherKind | Self::BothKinds => Rule::new(8572, "6.3", "information-type"),
            Self::Address { .. } => Rule::new(8572, "6.3", "address"),
            Self::VerificationWithoutUri => Rule::new(8572, "6.3", "image-verification"),
            Self::HashLength { .. } => Rule::new(8572, "6.3", "hash-value"),
            Self::ConfigurationWithoutHandling | Self::HandlingWithoutConfiguration => {
                Rule::new(8572, "6.3", "configuration-handling")
            }
        }
    }
}

impl ConveyedInfo {
    /// Decodes conveyed information and checks all that the schema demands.
    pub fn decode(bytes: &[u8], encoding: Encoding) -> Result<Self, ConveyedInfoError> {
        let options = Options::default();
        let mut document = yang::decode(bytes, encoding, schema::CONVEYED_INFORMATION, &options)?;
        let redirect = Fields::top(&mut document, REDIRECT);
        let onboarding = Fields::top(&mut document, ONBOARDING);
        match (redirect, onboarding) {
            (Some(fields), None) => RedirectInformation::from_fields(fields).map(Self::Redirect),
            (None, Some(fields)) => {
                OnboardingInformation::from_fields(fields).map(Self::Onboarding)
            }
            (None, None) => Err(ConveyedInfoError::NeitherKind),
            (Some(_), Some(_)) => Err(ConveyedInfoError::BothKinds),
        }
    }

    /// Encodes it; what it holds is not checked again ([`Self::check`]).
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let (name, value) = match self {
            Self::Redirect(redirect) => (REDIRECT, redirect.to_value()),
            Self::Onboarding(onboarding) => (ONBOARDING, onboarding.to_value()),
        };
        let document = Value::Object(Map::from_iter([(name.to_owned(), value)]));
        yang::encode_unchecked(&document, encoding, schema::CONVEYED_INFORMATION)
    }

    /// Checks a value that was built rather than decoded against all that the schema demands.
    pub fn check(&self) -> Result<(), ConveyedInfoError> {
        match self {
            Self::Redirect(redirect) => redirect.check(),
            Self::Onboarding(onboarding) => onboarding.check(),
        }
    }
}

impl RedirectInformation {
    /// Checks the constraints of the schema: entries, addresses and their uniqueness.
    pub fn check(&self) -> Result<(), ConveyedInfoError> {
        let path = format!("/{REDIRECT}/bootstrap-server");
        if self.bootstrap_servers.is_empty() {
            return Err(YangError::TooFew { path, min: 1 }.into());
        }
        let mut known = HashSet::new();
        for server in &self.bootstrap_servers {
            if !is_host(&server.address) {
                return Err(ConveyedInfoError::Address {
                    address: server.address.clone(),
                });
            }
            if !known.insert(server.address.as_str()) {
                return Err(YangError::DuplicateKey { path }.into());
            }
        }
        Ok(())
    }

    fn from_fields(mut fields: Fields) -> Result<Self, ConveyedInfoError> {
        let mut bootstrap_servers = Vec::new();
        for mut entry in fields.list("bootstrap-server") {
            bootstrap_servers.push(BootstrapServer {
                address: entry.mandatory_string("address")?,
                port: entry.uint16("port"),
                trust_anchor: entry.binary("trust-anchor"),
            });
        }
        let redirect = Self { bootstrap_servers };
        redirect.check()?;
        Ok(redirect)
    }

    fn to_value(&self) -> Value {
        let servers: Vec<Value> = self
            .bootstrap_servers
            .iter()
            .map(|server| {
                let mut entry = Map::new();
                entry.insert("address".into(), server.address.clone().into());
                if let Some(port) = server.port {
                    entry.insert("port".into(), port.into());
                }
                insert_binary(&mut entry, "trust-anchor", server.trust_anchor.as_deref());
                entry.into()
            })
            .collect();
        json!({ "bootstrap-server": servers })
    }
}

impl OnboardingInformation {
    /// Checks the constraints of the schema between its nodes.
    pub fn check(&self) -> Result<(), ConveyedInfoError> {
        if let Some(image) = &self.boot_image {
            image.check()?;
        }
        match (&self.configuration, self.configuration_handling) {
            (Some(_), None) => Err(ConveyedInfoError::ConfigurationWithoutHandling),
            (None, Some(_)) => Err(ConveyedInfoError::HandlingWithoutConfiguration),
            _ => Ok(()),
        }
    }

    fn from_fields(mut fields: Fields) -> Result<Self, ConveyedInfoError> {
        let boot_image = fields
            .container("boot-image")
            .map(BootImage::from_fields)
            .transpose()?;
        let handling = fields.string("configuration-handling");
        let onboarding = Self {
            boot_image,
            configuration_handling: handling.as_deref().and_then(ConfigurationHandling::parse),
            pre_configuration_script: fields.binary("pre-configuration-script"),
            configuration: fields.binary("configuration"),
            post_configuration_script: fields.binary("post-configuration-script"),
        };
        onboarding.check()?;
        Ok(onboarding)
    }

    fn to_value(&self) -> Value {
        let mut members = Map::new();
        if let Some(image) = &self.boot_image {
            members.insert("boot-image".into(), image.to_value());
        }
        if let Some(handling) = self.configuration_handling {
            members.insert("configuration-handling".into(), handling.as_str().into());
        }
        let pre = self.pre_configuration_script.as_deref();
        insert_binary(&mut members, "pre-configuration-script", pre);
        insert_binary(&mut members, "configuration", self.configuration.as_deref());
        let post = self.post_configuration_script.as_deref();
        insert_binary(&mut members, "post-configuration-script", post);
        members.into()
    }
}

impl BootImage {
    fn check(&self) -> Result<(), ConveyedInfoError> {
        if !self.image_verification.is_empty() && self.download_uris.is_empty() {
            return Err(ConveyedInfoError::VerificationWithoutUri);
        }
        for (index, verification) in self.image_verification.iter().enumerate() {
            verification.check()?;
            let others = &self.image_verification[..index];
            if others
                .iter()
                .any(|other| other.hash_algorithm == verification.hash_algorithm)
            {
                let path = format!("/{ONBOARDING}/boot-image/image-verification");
                return Err(YangError::DuplicateKey { path }.into());
            }
        }
        Ok(())
    }

    fn from_fields(mut fields: Fields) -> Result<Self, ConveyedInfoError> {
        let mut image_verification = Vec::new();
        for mut entry in fields.list("image-verification") {
            let hash_algorithm = entry.mandatory_string("hash-algorithm")?;
            let text = entry.mandatory_string("hash-value")?;
            let hash_value = colon_hex(&text).ok_or_else(|| YangError::InvalidValue {
                path: entry.path_of("hash-value"),
                reason: "not hexadecimal octets separated by colons".to_owned(),
            })?;
            image_verification.push(ImageVerification {
                hash_algorithm,
                hash_value,
            });
        }
        Ok(Self {
            os_name: fields.string("os-name"),
            os_version: fields.string("os-version"),
            download_uris: fields.strings("download-uri"),
            image_verification,
        })
    }

    fn to_value(&self) -> Value {
        let mut members = Map::new();
        if let Some(name) = &self.os_name {
            members.insert("os-name".into(), name.clone().into());
        }
        if let Some(version) = &self.os_version {
            members.insert("os-version".into(), version.clone().into());
        }
        if !self.download_uris.is_empty() {
            members.insert("download-uri".into(), self.download_uris.clone().into());
        }
        if !self.image_verification.is_empty() {
            let entries: Vec<Value> = self
                .image_verification
                .iter()
                .map(ImageVerification::to_value)
                .collect();
            members.insert("image-verification".into(), entries.into());
        }
        members.into()
    }
}

impl ImageVerification {
    /// A SHA-256 hash, the one algorithm that RFC 8572 defines.
    pub fn sha256(hash: [u8; 32]) -> Self {
        Self {
            hash_algorithm: SHA_256.to_owned(),
            hash_value: hash.to_vec(),
        }
    }

    /// Whether the algorithm is SHA-256; identities of other modules are not known here.
    pub fn is_sha256(&self) -> bool {
        self.hash_algorithm == SHA_256
    }

    fn check(&self) -> Result<(), ConveyedInfoError> {
        if self.is_sha256() && self.hash_value.len() != 32 {
            return Err(ConveyedInfoError::HashLength {
                algorithm: self.hash_algorithm.clone(),
                expected: 32,
                found: self.hash_value.len(),
            });
        }
        if !self.is_sha256() {
            let path = format!("/{ONBOARDING}/boot-image/image-verification/hash-algorithm");
            let reason = format!("{:?} is not a known hash algorithm", self.hash_algorithm);
            return Err(YangError::InvalidValue { path, reason }.into());
        }
        Ok(())
    }

    fn to_value(&self) -> Value {
        let octets: Vec<String> = self.hash_value.iter().map(|o| format!("{o:02x}")).collect();
        json!({ "hash-algorithm": self.hash_algorithm, "hash-value": octets.join(":") })
    }
}

impl ConfigurationHandling {
    /// The name in the schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Replace => "replace",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Merge, Self::Replace]
            .into_iter()
            .find(|handling| handling.as_str() == name)
    }
}

fn insert_binary(members: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        members.insert(name.to_owned(), encode_binary(bytes).into());
    }
}

fn colon_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok())
        .collect()
}

/// `inet:host` (RFC 6991 §4): an IP address with an optional zone, or a domain name.
fn is_host(address: &str) -> bool {
    let (bare, zone) = match address.split_once('%') {
        Some((bare, zone)) => (bare, Some(zone)),
        None => (address, None),
    };
    if bare.parse::<std::net::IpAddr>().is_ok() {
        // RFC 6991 §4: letters and digits.
        return zone.is_none_or(|zone| !zone.is_empty() && zone.chars().all(char::is_alphanumeric));
    }
    is_domain_name(address)
}

/// `inet:domain-name` (RFC 6991 §4), without its form for the root.
pub(crate) fn is_domain_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&name.len()) && name.split('.').all(label)
}

const REDIRECT: &str = "ietf-sztp-conveyed-info:redirect-information";
const ONBOARDING: &str = "ietf-sztp-conveyed-info:onboarding-information";
const SHA_256: &str = "ietf-sztp-conveyed-info:sha-256";

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<ConveyedInfo, ConveyedInfoError> {
        ConveyedInfo::decode(text.as_bytes(), Encoding::Json)
    }

    fn onboarding(members: &str) -> Result<ConveyedInfo, ConveyedInfoError> {
        decode(&format!("{{\"{ONBOARDING}\":{{{members}}}}}"))
    }

    fn redirect(servers: &str) -> Result<ConveyedInfo, ConveyedInfoError> {
        decode(&format!(
            "{{\"{REDIRECT}\":{{\"bootstrap-server\":[{servers}]}}}}"
        ))
    }

    fn verification(algorithm: &str, value: &str) -> Result<ConveyedInfo, ConveyedInfoError> {
        onboarding(&format!(
            r#""boot-image":{{"download-uri":["https://x/"],"image-verification":[
               {{"hash-algorithm":"{algorithm}","hash-value":"{value}"}}]}}"#
        ))
    }

    #[test]
    fn exactly_one_kind() {
        // LEDGER: 8572-6.3-01
        assert_eq!(decode("{}"), Err(ConveyedInfoError::NeitherKind));
        let both = format!(
            r#"{{"{REDIRECT}":{{"bootstrap-server":[{{"address":"a"}}]}},"{ONBOARDING}":{{}}}}"#
        );
        assert_eq!(decode(&both), Err(ConveyedInfoError::BothKinds));
        let empty = ConveyedInfo::Onboarding(OnboardingInformation::default());
        assert_eq!(onboarding(""), Ok(empty.clone()));
        for encoding in [Encoding::Json, Encoding::Xml] {
            assert_eq!(
                ConveyedInfo::decode(&empty.encode(encoding), encoding),
                Ok(empty.clone())
            );
        }
    }

    #[test]
    fn servers_are_hosts_and_differ_in_address() {
        // LEDGER: 8572-6.3-02
        assert_eq!(
            redirect("").map_err(|e| e.code()),
            Err("yang.too-few-entries")
        );
        let twice = r#"{"address":"a","port":1},{"address":"a","port":2}"#;
        assert_eq!(
            redirect(twice).map_err(|e| e.code()),
            Err("yang.duplicate-key")
        );
        assert_eq!(
            redirect(r#"{"port":1}"#).map_err(|e| e.code()),
            Err("yang.missing-node")
        );
        // LEDGER: 8572-6.3-03
        for address in [
            "a.example",
            "a.example.",
            "192.0.2.1",
            "2001:db8::1",
            "fe80::1%eth0",
            "x",
        ] {
            assert!(
                redirect(&format!(r#"{{"address":"{address}"}}"#)).is_ok(),
                "{address}"
            );
        }
        for address in [
            "",
            "[2001:db8::1]",
            "https://a.example",
            "a b",
            "a..b",
            "-a",
            "a.example:1",
        ] {
            let refused = redirect(&format!(r#"{{"address":"{address}"}}"#));
            assert_eq!(
                refused,
                Err(ConveyedInfoError::Address {
                    address: address.to_owned()
                })
            );
        }
        // LEDGER: 8572-6.3-04
        assert!(redirect(r#"{"address":"a","port":0}"#).is_ok());
        assert!(redirect(r#"{"address":"a","port":65536}"#).is_err());
    }

    #[test]
    fn the_hash_is_thirty_two_octets_in_colon_hex() {
        let octets = |octet: &str, n| vec![octet; n].join(":");
        // LEDGER: 8572-6.3-11
        for algorithm in ["sha-256", SHA_256] {
            // LEDGER: 8572-6.3-12
            for octet in ["ab", "AB", "aB"] {
                let Ok(ConveyedInfo::Onboarding(info)) =
                    verification(algorithm, &octets(octet, 32))
                else {
                    panic!("refused {algorithm} {octet}");
                };
                let image = info.boot_image.as_ref().expect("boot image");
                assert_eq!(
                    image.image_verification,
                    [ImageVerification::sha256([0xAB; 32])]
                );
            }
        }
        let code = |algorithm: &str, value: &str| {
            verification(algorithm, value)
                .map(|_| ())
                .map_err(|error| error.code())
        };
        assert_eq!(code("sha-256", &"ab".repeat(32)), Err("yang.invalid-value"));
        assert_eq!(
            code("sha-256", &octets("ab", 31)),
            Err("conveyed-information.hash-length")
        );
        assert_eq!(code("sha-256", ""), Err("conveyed-information.hash-length"));
        assert_eq!(code("md5", &octets("ab", 16)), Err("yang.invalid-value"));
        let missing = r#""boot-image":{"download-uri":["https://x/"],"image-verification":[
            {"hash-algorithm":"sha-256"}]}"#;
        assert_eq!(
            onboarding(missing).map_err(|e| e.code()),
            Err("yang.missing-node")
        );
    }

    #[test]
    fn nodes_that_require_each_other() {
        // LEDGER: 8572-6.3-10
        let mut image = BootImage::default();
        image
            .image_verification
            .push(ImageVerification::sha256([0; 32]));
        let info = OnboardingInformation {
            boot_image: Some(image),
            ..Default::default()
        };
        assert_eq!(info.check(), Err(ConveyedInfoError::VerificationWithoutUri));
        // LEDGER: 8572-6.3-13
        let alone = onboarding(r#""configuration":"AA==""#);
        assert_eq!(alone, Err(ConveyedInfoError::ConfigurationWithoutHandling));
        let alone = onboarding(r#""configuration-handling":"merge""#);
        assert_eq!(alone, Err(ConveyedInfoError::HandlingWithoutConfiguration));
        assert!(onboarding(r#""configuration":"","configuration-handling":"replace""#).is_ok());
    }

    #[test]
    fn unknown_nodes_and_single_values_for_lists_are_refused() {
        // LEDGER: 8572-6.3-18
        let unknown = onboarding(r#""license":"x""#);
        assert_eq!(unknown.map_err(|e| e.code()), Err("yang.unknown-node"));
        // LEDGER: 7951-5.3-01
        let single = onboarding(r#""boot-image":{"download-uri":"https://x/"}"#);
        assert_eq!(single.map_err(|e| e.code()), Err("yang.wrong-type"));
    }
}
