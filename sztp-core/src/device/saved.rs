//! What survives the end of the process: enough to go on where going on is right, and to begin anew
//! without repeating what must not be repeated.
//!
//! The state is to be stored before an output is carried out ([`Device::save`]). Whenever the process
//! ends, by a reboot or by accident, the next one then knows that
//! - a script was run or a configuration committed by an attempt that has not ended: it is undone
//!   before anything else is done (RFC 8572 §5.6: nothing of it may stay active);
//! - everything was applied and only bootstrap-complete was not acknowledged yet: it is sent again, as
//!   a server that had it already may refuse to hand out data once more;
//! - an image was installed: it is not installed again if it turns out not to run, and the reboot into
//!   it is made up for if it has not happened;
//! - a key was made for a certificate that did not come: it is used again if a server asks for the
//!   request once more or gives data at once, and deleted when nothing comes of it (RFC 9646 §2.3);
//! - bootstrapping has succeeded: nothing is done any more.

use serde::{Deserialize, Serialize};
use sztp_cms::{Certificate, TrustAnchors, UnixTime};
use sztp_voucher::yang::Encoding;

use super::servers::Contact;
use super::{Device, DeviceConfig, Endpoint, EndpointTrust, Origin, Outcome, Source, Step};
use crate::dns::{DomainName, Transport};

/// The state of a [`Device`] as plain data, to be stored as the device likes: it serialises. It holds
/// no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SavedState {
    installed_images: Vec<[u8; 32]>,
    clock_floor: Option<i64>,
    nonce: Option<Vec<u8>>,
    failed_rounds: u32,
    /// Whether something of an attempt may be active.
    changed: bool,
    /// Whether there is a key whose certificate has not come.
    key_made: bool,
    /// Who asked for it.
    key_server: Option<String>,
    stage: SavedStage,
}

impl SavedState {
    /// Whether bootstrapping has succeeded.
    pub fn is_bootstrapped(&self) -> bool {
        matches!(self.stage, SavedStage::Bootstrapped { .. })
    }

    /// Whether everything was applied, and only the server's acknowledgement is missing: what was
    /// applied is to be kept then.
    pub fn is_completing(&self) -> bool {
        matches!(self.stage, SavedStage::Completing { .. })
    }

    /// Whether a reboot into an installed image was about to happen.
    pub fn is_rebooting(&self) -> bool {
        matches!(self.stage, SavedStage::Rebooting { .. })
    }
}

/// How far a machine has come, as far as another process must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Looking for data, or applying it.
    Searching,
    /// An image is installed.
    Rebooting,
    /// Everything is applied.
    Completing,
    /// All is done.
    Bootstrapped,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
enum SavedStage {
    #[default]
    Searching,
    Rebooting {
        /// The boot that is to end.
        boot_id: Option<String>,
        origin: SavedOrigin,
    },
    Completing {
        origin: SavedOrigin,
        signed: bool,
        xml: bool,
    },
    Bootstrapped {
        origin: SavedOrigin,
        signed: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SavedOrigin {
    Server {
        address: String,
        port: u16,
        /// DER; none: it was not authenticated.
        anchors: Option<Vec<Vec<u8>>>,
    },
    RemovableStorage {
        directory: String,
    },
    Dns {
        labels: Vec<Vec<u8>>,
        multicast: bool,
    },
    Source {
        name: String,
    },
}

impl Device {
    /// A machine that goes on where another one with the same configuration was when it gave this
    /// state.
    ///
    /// What the state says of images, the nonce and the clock replaces what the configuration says.
    pub fn restore(config: DeviceConfig, state: SavedState) -> Self {
        let floor = state.clock_floor.map(UnixTime::from_secs);
        let mut config = DeviceConfig {
            clock_floor: config.clock_floor.max(floor),
            nonce: state.nonce.or(config.nonce),
            ..config
        };
        if !state.installed_images.is_empty() {
            config.installed_images = state.installed_images;
        }
        let mut device = Self::new(config);
        device.failed_rounds = state.failed_rounds;
        device.changed = state.changed;
        device.key_made = state.key_made;
        device.key_server = state.key_server;
        device.start_round();
        match state.stage {
            SavedStage::Searching => {}
            SavedStage::Rebooting { boot_id, origin } => {
                if boot_id.is_some() && boot_id == device.config.boot_id {
                    device.stage = Stage::Rebooting;
                    device.contact = Some(device.contact_with(origin.into()));
                    device.plan_first([Some(Step::Reboot)]);
                }
            }
            SavedStage::Completing {
                origin,
                signed,
                xml,
            } => {
                device.contact = Some(Contact {
                    signed,
                    encoding: if xml { Encoding::Xml } else { Encoding::Json },
                    ..device.contact_with(origin.into())
                });
                device.plan.clear();
                device.plan_completion();
            }
            SavedStage::Bootstrapped { origin, signed } => {
                device.stage = Stage::Bootstrapped;
                device.contact = Some(device.contact_with(origin.clone().into()));
                device.plan.clear();
                let outcome = Outcome::Bootstrapped {
                    origin: origin.into(),
                    signed,
                };
                device.plan_first([Some(Step::End(outcome))]);
            }
        }
        device
    }

    /// The state to be stored before the last output is carried out, and once the machine has ended.
    ///
    /// A reboot of the device and the end of the process are the same to it.
    pub fn save(&self) -> SavedState {
        let contact = self.contact.as_ref();
        let stage = match (self.stage, contact) {
            (Stage::Rebooting, Some(contact)) => SavedStage::Rebooting {
                boot_id: self.config.boot_id.clone(),
                origin: (&contact.origin).into(),
            },
            (Stage::Completing, Some(contact)) => SavedStage::Completing {
                origin: (&contact.origin).into(),
                signed: contact.signed,
                xml: contact.encoding == Encoding::Xml,
            },
            (Stage::Bootstrapped, Some(contact)) => SavedStage::Bootstrapped {
                origin: (&contact.origin).into(),
                signed: contact.signed,
            },
            _ => SavedStage::Searching,
        };
        SavedState {
            installed_images: self.config.installed_images.clone(),
            clock_floor: self.config.clock_floor.map(UnixTime::secs),
            nonce: self.config.nonce.clone(),
            failed_rounds: self.failed_rounds,
            changed: self.changed && self.stage != Stage::Bootstrapped,
            key_made: self.key_made && self.stage != Stage::Bootstrapped,
            key_server: self.key_server.clone().filter(|_| self.key_made),
            stage,
        }
    }
}

impl From<&Origin> for SavedOrigin {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::Server(endpoint) => Self::Server {
                address: endpoint.address.clone(),
                port: endpoint.port,
                anchors: match &endpoint.trust {
                    EndpointTrust::Provisional => None,
                    EndpointTrust::Anchors(anchors) => {
                        Some(anchors.iter().map(|one| one.as_der().to_vec()).collect())
                    }
                },
            },
            Origin::RemovableStorage { directory } => Self::RemovableStorage {
                directory: directory.clone(),
            },
            Origin::Dns { name, transport } => Self::Dns {
                labels: name.labels().to_vec(),
                multicast: *transport == Transport::Multicast,
            },
            Origin::Source(source) => Self::Source {
                name: source.as_str().to_owned(),
            },
        }
    }
}

impl From<SavedOrigin> for Origin {
    /// What cannot be read any more is trusted less, never more.
    fn from(saved: SavedOrigin) -> Self {
        match saved {
            SavedOrigin::Server {
                address,
                port,
                anchors,
            } => {
                let anchors = anchors.map(|list| {
                    let read = list.iter().map(|der| Certificate::from_der(der));
                    read.collect::<Result<Vec<_>, _>>()
                });
                Self::Server(Endpoint {
                    address,
                    port,
                    trust: match anchors {
                        Some(Ok(list)) => EndpointTrust::Anchors(TrustAnchors::new(list)),
                        Some(Err(_)) | None => EndpointTrust::Provisional,
                    },
                })
            }
            SavedOrigin::RemovableStorage { directory } => Self::RemovableStorage { directory },
            SavedOrigin::Dns { labels, multicast } => match DomainName::from_labels(labels) {
                Ok(name) if multicast => Self::Dns {
                    name,
                    transport: Transport::Multicast,
                },
                Ok(name) => Self::Dns {
                    name,
                    transport: Transport::Unicast,
                },
                Err(_) => Self::Source(Source::Dns),
            },
            SavedOrigin::Source { name } => {
                Self::Source(Source::from_name(&name).unwrap_or(Source::BootstrapServers))
            }
        }
    }
}
