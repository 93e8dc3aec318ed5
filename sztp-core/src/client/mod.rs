//! A driver for the device machine on tokio, hyper and rustls (feature `client`).
//!
//! [`Client::run`] does what a [`Device`] asks for: it talks to bootstrap servers over TLS, shows
//! them the device's IDevID, downloads images, and hands to a [`Platform`] what only the device
//! itself can do. It decides nothing about trust beyond the TLS certificate of a server, for which
//! the machine says how it is to be judged.
//!
//! Nothing is followed at the HTTP level: a redirect of RFC 8572 is signed or comes from a trusted
//! server, an HTTP redirect is neither.

mod connection;
mod deviation;
mod download;
mod event;
mod fault;
mod hosts;
mod image_file;
mod platform;
mod server;
mod settings;
mod sources;
mod storage;
mod tls_fault;

use std::fmt;
use std::sync::Arc;

use sztp_cms::{Certificate, TlsKey, WallClock};

pub use self::deviation::Deviation;
use self::download::{Downloaded, download};
pub use self::event::{Activity, Event};
pub use self::hosts::Hosts;
pub use self::image_file::DOWNLOAD_PREFIX;
pub use self::platform::{Platform, Reboot};
use self::server::Servers;
pub use self::settings::Settings;
pub use self::sources::{NoSources, Records, Sources};
pub use self::storage::RemovableStorage;
use crate::device::{Device, Ended, Endpoint, Input, Outcome, Output, SavedState};
use crate::rpc::ProgressType;

/// What the device shows to servers: its IDevID (RFC 8572 §5.1).
#[derive(Clone)]
pub struct Identity {
    /// The IDevID certificate, followed by the intermediates up to the manufacturer's anchor.
    pub chain: Vec<Certificate>,
    /// Its private key, in memory or in a token.
    pub key: TlsKey,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.chain.first().map(Certificate::subject);
        f.debug_struct("Identity")
            .field("subject", &subject)
            .finish_non_exhaustive()
    }
}

/// Drives device machines.
#[derive(Clone)]
pub struct Client {
    identity: Option<Identity>,
    settings: Arc<Settings>,
    clock: Arc<dyn Fn() -> WallClock + Send + Sync>,
    deviation: Option<Arc<dyn Deviation>>,
}

impl Client {
    /// A client with an identity, if the device has one, limits, and a clock that is asked whenever
    /// a certificate or a voucher is judged. Clients of many devices can share one [`Settings`].
    pub fn new(
        identity: Option<Identity>,
        settings: impl Into<Arc<Settings>>,
        clock: impl Fn() -> WallClock + Send + Sync + 'static,
    ) -> Self {
        Self {
            identity,
            settings: settings.into(),
            clock: Arc::new(clock),
            deviation: None,
        }
    }

    /// A client that differs from the RFCs on the wire.
    #[must_use]
    pub fn deviating(self, deviation: Arc<dyn Deviation>) -> Self {
        Self {
            deviation: Some(deviation),
            ..self
        }
    }

    /// Runs a machine to its end, with bootstrap servers as its only sources.
    ///
    /// `observe` is told what is being done, for a log or a live table. The future may be dropped
    /// at any time; connections are closed then and a partial download is removed, or
    /// kept as [`Settings::keep_partial_images`] says.
    pub async fn run(
        &self,
        device: &mut Device,
        platform: &mut impl Platform,
        observe: impl FnMut(&Event<'_>) + Send,
    ) -> Outcome {
        self.run_with(device, platform, &mut NoSources, observe)
            .await
    }

    /// Runs a machine to its end, as [`Self::run`], with other sources beside bootstrap servers.
    pub async fn run_with(
        &self,
        device: &mut Device,
        platform: &mut impl Platform,
        sources: &mut impl Sources,
        mut observe: impl FnMut(&Event<'_>) + Send,
    ) -> Outcome {
        let mut servers = Servers::new(self);
        let mut server: Option<Endpoint> = None;
        let mut image: Option<Downloaded> = None;
        let mut stored = SavedState::default();
        while let Some(output) = device.poll_output() {
            match &output {
                Output::Post { server: named, .. } => server = Some(named.clone()),
                Output::CheckEnabled => server = None,
                _ => {}
            }
            let state = device.save();
            if state != stored {
                match platform.store(&state).await {
                    Ok(()) => stored = state,
                    Err(reason) if depends_on_state(&output) => {
                        let reason = format!("the state of bootstrapping is not stored: {reason}");
                        device.handle_input((self.clock)(), refusal(&output, reason));
                        continue;
                    }
                    Err(_) => {}
                }
            }
            let mut tell = |activity: Activity<'_>| {
                observe(&Event {
                    server: server.as_ref(),
                    activity,
                });
            };
            tell(Activity::of(&output));
            let input = match output {
                Output::CheckEnabled => Input::Enabled(platform.is_enabled().await),
                Output::Wait { duration } => {
                    servers.disconnect();
                    platform.wait(duration).await;
                    Input::Waited
                }
                Output::ListRemovableStorage => answer(sources.list_media().await, |media| {
                    if media.is_empty() {
                        Input::Nothing
                    } else {
                        Input::Media(media)
                    }
                }),
                Output::ReadRemovableStorage { medium, files } => {
                    answer(sources.read_medium(medium, &files).await, Input::Artifacts)
                }
                Output::LookUpDhcp => answer(sources.dhcp_options().await, Input::DhcpOptions),
                Output::FindDomains => answer(sources.domains().await, Input::Domains),
                Output::Resolve(query) => {
                    answer(sources.resolve(&query).await, |records| match records {
                        Records::None => Input::Nothing,
                        Records::Text(records) => Input::Text(records),
                        Records::Services(records) => Input::Services(records),
                    })
                }
                Output::MakeCsr(request) => answer(platform.make_csr(&request).await, Input::Csr),
                Output::DiscardKey => {
                    answer(platform.discard_key().await, |()| Input::Ended(Ended::Well))
                }
                Output::Post {
                    server,
                    operation,
                    encoding,
                    body,
                    progress,
                } => {
                    let post = server::Post {
                        operation,
                        encoding,
                        body: body.into(),
                        // RFC 8572 §5.5: the first address that gives data is the one.
                        any_address: progress.is_none(),
                    };
                    let input = servers.post(&server, post).await;
                    for connected in servers.take_connected() {
                        tell(Activity::Connected {
                            address: connected.address,
                            took: connected.took,
                        });
                        if let Some(took) = connected.discovery_took {
                            tell(Activity::Discovered { took });
                        }
                    }
                    if let Some(activity) = Activity::of_answer(&input, progress) {
                        tell(activity);
                    }
                    input
                }
                Output::Fetch { uri } => {
                    image = None;
                    let progress = |octets, total| {
                        tell(Activity::Downloading {
                            uri: &uri,
                            octets,
                            total,
                        });
                    };
                    match download(self, &uri, progress).await {
                        Ok(downloaded) => {
                            let sha256 = downloaded.sha256();
                            image = Some(downloaded);
                            Input::Fetched { sha256 }
                        }
                        Err(fault) => Input::Failed {
                            reason: fault.to_string(),
                        },
                    }
                }
                Output::InstallImage => match image.take() {
                    Some(image) => match platform.install_image(image.path()).await {
                        Ok(()) => Input::Installed,
                        Err(reason) => Input::Failed { reason },
                    },
                    None => Input::Failed {
                        reason: "no image was downloaded".to_owned(),
                    },
                },
                Output::Reboot => match platform.reboot(device).await {
                    Ok(Reboot::Done(running)) => {
                        servers.disconnect();
                        Input::Rebooted { running }
                    }
                    Ok(Reboot::Pending) => Input::Rebooting,
                    Err(reason) => Input::Failed { reason },
                },
                Output::RunScript { stage, script } => {
                    Input::Ended(platform.run_script(stage, &script).await)
                }
                Output::CommitConfiguration {
                    handling,
                    configuration,
                } => {
                    let ended = platform
                        .commit_configuration(handling, &configuration)
                        .await;
                    Input::Ended(ended)
                }
                Output::CheckReady => Input::Ended(platform.check_ready().await),
                Output::Rollback => Input::Ended(platform.roll_back().await),
                Output::Done(outcome) => return outcome,
            };
            device.handle_input((self.clock)(), input);
        }
        Outcome::Failed(device.failures().to_vec())
    }
}

fn answer<T>(answer: Result<T, String>, into: impl FnOnce(T) -> Input) -> Input {
    match answer {
        Ok(answer) => into(answer),
        Err(reason) => Input::Failed { reason },
    }
}

/// Whether something must not be done unless the next process would know of it.
fn depends_on_state(output: &Output) -> bool {
    match output {
        Output::RunScript { .. }
        | Output::CommitConfiguration { .. }
        | Output::Reboot
        | Output::MakeCsr(_) => true,
        Output::Post { progress, .. } => *progress == Some(ProgressType::BootstrapComplete),
        _ => false,
    }
}

fn refusal(output: &Output, reason: String) -> Input {
    match output {
        Output::RunScript { .. } | Output::CommitConfiguration { .. } => {
            Input::Ended(Ended::Error(reason))
        }
        _ => Input::Failed { reason },
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("identity", &self.identity)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
