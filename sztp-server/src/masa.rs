//! A small MASA (RFC 8995 §5.5): voucher-requests of registrars in, vouchers out.
//!
//! Whether a request holds is decided by `sztp-voucher`, whom a device was sold to by the vendor's
//! own list, and both together by rules that know no sockets or files. What was decided is written
//! down before the answer goes out.

mod audit;
mod config;
mod error;
mod http;
mod policy;
mod sales_list;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use sztp_cms::{
    AnyClientCertificate, Certificate, Signer, TrustAnchors, server_config_with_identities,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::audit::AuditLog;
use self::http::Desk;
use crate::ServerError;
use crate::listener::Listener;
use crate::materials::keys::{self, SignerFiles};
use crate::materials::{TLS_PASSPHRASE, read_all, tls_error};

pub use config::{
    AssertionRule, MasaConfig, MasaLimits, MasaPolicy, MasaSignerConfig, MasaTlsConfig,
};
pub use error::MasaError;
pub use sales_list::{Owner, SalesList, SalesListError};

/// Where vouchers are requested (RFC 8995 §5.5).
pub const PATH: &str = "/.well-known/brski/requestvoucher";

/// A running MASA. Dropping it stops it without waiting for open requests; [`Self::shutdown`]
/// waits.
#[derive(Debug)]
pub struct Masa {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What answers need.
#[derive(Debug)]
struct Shared {
    config: MasaConfig,
    materials: RwLock<Arc<Materials>>,
    sales: RwLock<Arc<Sales>>,
    audit: AuditLog,
}

/// Keys and certificates, read again when told to.
struct Materials {
    tls: Arc<ServerConfig>,
    signer: Arc<dyn Signer>,
    /// The signer's certificate, then those between it and the devices' anchor.
    chain: Vec<Certificate>,
    idevid_anchors: TrustAnchors,
}

/// The sales list as it was at some time.
#[derive(Debug, Default)]
struct Sales {
    list: SalesList,
    stamp: Option<Stamp>,
}

/// By which it shows that a file has changed.
type Stamp = (SystemTime, u64, u64);

impl Masa {
    /// Starts a MASA.
    pub async fn start(config: MasaConfig) -> Result<Self, ServerError> {
        config.check()?;
        let limits = config.server_limits();
        let listen = config.listen;
        let prepared = tokio::task::spawn_blocking(move || Shared::prepare(config));
        let shared = Arc::new(prepared.await.map_err(|error| ServerError::Process {
            reason: error.to_string(),
        })??);
        let listener = Listener::bind(listen, &limits).await?;
        let address = listener.address();
        let (stop, stopped) = watch::channel(false);
        let desk = Desk::new(shared.clone());
        let tasks = vec![
            tokio::spawn(listener.run(desk, stopped.clone())),
            tokio::spawn(watch_sales(shared.clone(), stopped)),
        ];
        let devices = shared.sales().list.len();
        tracing::info!(%address, devices, "the MASA has started");
        Ok(Self {
            address,
            shared,
            stop,
            tasks,
        })
    }

    /// Where registrars connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Devices on the sales list.
    pub fn devices(&self) -> usize {
        self.shared.sales().list.len()
    }

    /// Reads keys, certificates and the sales list again; what cannot be read stays as it was.
    pub async fn reload(&self) -> Result<(), ServerError> {
        let shared = self.shared.clone();
        let reload = move || {
            let materials = Materials::load(&shared.config)?;
            *shared
                .materials
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Arc::new(materials);
            shared.read_sales(true)
        };
        let reloaded = tokio::task::spawn_blocking(reload).await;
        reloaded.map_err(|error| ServerError::Process {
            reason: error.to_string(),
        })?
    }

    /// Lets open requests end, for at most limits.drain_secs.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the MASA ended badly");
            }
        }
        tracing::info!("the MASA has stopped");
    }
}

impl Shared {
    fn prepare(config: MasaConfig) -> Result<Self, ServerError> {
        let materials = Materials::load(&config)?;
        let audit = AuditLog::open(&config.audit_log)?;
        let shared = Self {
            materials: RwLock::new(Arc::new(materials)),
            sales: RwLock::default(),
            audit,
            config,
        };
        shared.read_sales(true)?;
        Ok(shared)
    }

    fn materials(&self) -> Arc<Materials> {
        let materials = self.materials.read();
        materials.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sales(&self) -> Arc<Sales> {
        let sales = self.sales.read();
        sales.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the sales list if it has changed, or in any case.
    fn read_sales(&self, in_any_case: bool) -> Result<(), ServerError> {
        let Some(path) = &self.config.sales_list else {
            return Ok(());
        };
        let stamp = stamp(path);
        if !in_any_case && (stamp.is_none() || stamp == self.sales().stamp) {
            return Ok(());
        }
        let list = SalesList::from_file(path).map_err(|error| ServerError::SalesList {
            path: path.clone(),
            error,
        });
        let (list, result) = match list {
            Ok(list) => (list, Ok(())),
            // Not to be tried again until it changes again.
            Err(error) => (self.sales().list.clone(), Err(error)),
        };
        let devices = list.len();
        *self.sales.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::new(Sales { list, stamp });
        if result.is_ok() {
            tracing::info!(devices, "sales list read");
        }
        result
    }
}

impl Materials {
    fn load(config: &MasaConfig) -> Result<Self, ServerError> {
        let tls = config.tls_config();
        let passphrase = keys::passphrase(tls.key_passphrase_file.as_deref(), TLS_PASSPHRASE)?;
        let identity = keys::read_pair(
            &config.tls.certificate,
            &config.tls.key,
            passphrase.as_deref(),
        )?;
        // Owners are many: no hint which certificate to send.
        let any = AnyClientCertificate::new(&TrustAnchors::default());
        let mut tls = server_config_with_identities(&[identity], any).map_err(tls_error)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (chain, signer) = keys::read_signer(&SignerFiles {
            name: "signer",
            certificate: &config.signer.certificate,
            key: &config.signer.key,
            passphrase_file: config.signer.key_passphrase_file.as_deref(),
            passphrase_variable: SIGNER_PASSPHRASE,
            pkcs11_module: config.signer.pkcs11_module.as_deref(),
        })?;
        Ok(Self {
            tls: Arc::new(tls),
            signer,
            chain,
            idevid_anchors: TrustAnchors::new(read_all(&config.policy.idevid_anchors)?),
        })
    }
}

impl std::fmt::Debug for Materials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Materials")
            .field("signer", &self.chain.first().map(Certificate::subject))
            .finish_non_exhaustive()
    }
}

/// Reads the sales list again soon after it has changed.
async fn watch_sales(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(WATCHED_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let reading = shared.clone();
        match tokio::task::spawn_blocking(move || reading.read_sales(false)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(code = error.code(), %error, "the sales list stays as it was");
            }
            Err(error) => tracing::error!(%error, "reading the sales list"),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let file = 0;
    Some((metadata.modified().ok()?, metadata.len(), file))
}

/// The environment variable with what the signer's key is encrypted with.
const SIGNER_PASSPHRASE: &str = "SZTP_MASA_KEY_PASSPHRASE";

const WATCHED_EVERY: Duration = Duration::from_secs(1);
