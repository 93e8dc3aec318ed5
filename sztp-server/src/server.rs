//! The server as a whole: from a configuration to two listeners, and down again.

mod backup;
mod crosswork;
mod data_dir;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::crosswork::Crosswork;
use crate::admin_api::AdminApi;
use crate::config::split_public_url;
use crate::device_api::DeviceApi;
use crate::dialect::Dialects;
use crate::listener::Listener;
use crate::materials::{Lab, Materials};
use crate::onboarding::{self, Outbound};
use crate::service::{PublicAddress, StatusTokens, now};
use crate::store::{ChangeStore as _, Database};
use crate::{Config, ServerError, Service};

/// A running server. Dropping it stops it without waiting for open requests;
/// [`Self::shutdown`] waits.
#[derive(Debug)]
pub struct Server {
    config: Config,
    device_addr: SocketAddr,
    admin_addr: SocketAddr,
    crosswork_addr: Option<(SocketAddr, Option<SocketAddr>)>,
    public_url: String,
    service: Service,
    notices: Vec<Notice>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _lock: data_dir::Lock,
}

/// Something the operator should know about a server that has started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Made at this start.
    Made(String),
    /// The first token of the admin API was made, and is in this file.
    MadeToken(PathBuf),
    /// Not fit for production.
    NotForProduction(String),
    /// A command to type next.
    Next(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(text) => write!(f, "made: {text}"),
            Self::MadeToken(file) => {
                write!(f, "made: a token for the admin API in {}", file.display())
            }
            Self::NotForProduction(text) => write!(f, "not for production: {text}"),
            Self::Next(text) => write!(f, "next: {text}"),
        }
    }
}

impl Server {
    /// Starts a server; without anything configured it makes a lab PKI in its data directory.
    ///
    /// Several can run in one process, each on its own data directory.
    pub async fn start(config: Config) -> Result<Self, ServerError> {
        config.check()?;
        let prepared = config.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&prepared));
        let Prepared {
            materials,
            mut notices,
            store,
            lock,
            outbound,
        } = joined(prepared.await)?;
        let devices = Listener::bind(config.device_listen, &config.limits).await?;
        let operators = Listener::bind(config.admin_listen, &config.limits).await?;
        let (device_addr, admin_addr) = (devices.address(), operators.address());
        let public = match &config.public_url {
            Some(url) => {
                let (host, port) = split_public_url(url)?;
                PublicAddress { host, port }
            }
            None => PublicAddress {
                host: "localhost".to_owned(),
                port: device_addr.port(),
            },
        };
        let crosswork = Crosswork::bind(&config).await?;
        let crosswork_addr = crosswork.as_ref().map(Crosswork::address);
        data_dir::first_token(&config.data_dir, &store, &mut notices).await?;
        let next = data_dir::next_commands(&config.data_dir, admin_addr, &config);
        notices.extend(next.map(Notice::Next));
        let public_url = public.url();
        let changes = store.changes();
        let service = Service::new(
            Box::new(store),
            materials,
            Dialects::new(&config.dialects)?,
            public,
            data_dir::images(&config),
            &config,
            outbound.clone(),
            changes.is_some(),
        );
        service.read_trust().await?;
        add_warnings(&mut notices, &service);
        let (stop, stopped) = watch::channel(false);
        let device_api = DeviceApi::new(service.clone(), config.limits.clone());
        let admin_api = AdminApi::new(
            service.clone(),
            config.limits.clone(),
            config.access.clone(),
            stopped.clone(),
        );
        let mut tasks = vec![
            tokio::spawn(devices.run(device_api, stopped.clone())),
            tokio::spawn(operators.run(admin_api, stopped.clone())),
            tokio::spawn(onboarding::run(
                outbound,
                service.clone(),
                Duration::from_secs(config.limits.drain_secs),
                stopped.clone(),
            )),
            tokio::spawn(expire(service.clone(), stopped.clone())),
        ];
        if let Some(crosswork) = crosswork {
            let key = crosswork.token_key;
            service.set_status_tokens(StatusTokens::new(key, crosswork.status_url(&service)));
            tasks.extend(crosswork.start(&config, &service, &stopped));
        }
        if let Some(changes) = changes {
            tasks.push(tokio::spawn(service.clone().follow(changes, stopped)));
        }
        tracing::info!(%device_addr, %admin_addr, public_url, "started");
        Ok(Self {
            config,
            device_addr,
            admin_addr,
            crosswork_addr,
            public_url,
            service,
            notices,
            stop,
            tasks,
            _lock: lock,
        })
    }

    /// What [`Self::start`] would find: the configuration, its files, that keys and certificates
    /// are pairs. Nothing is made and no port is opened.
    pub async fn check(config: Config) -> Result<Vec<Notice>, ServerError> {
        config.check()?;
        if let Some(url) = &config.database.url {
            Database::check(&url.0, &config.database)?;
        }
        Outbound::new(&config)?;
        let load = move || Materials::load(&config, Lab::Pretend, now());
        Ok(joined(tokio::task::spawn_blocking(load).await)?.1)
    }

    /// Where devices connect.
    pub fn device_addr(&self) -> SocketAddr {
        self.device_addr
    }

    /// Where operators connect.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin_addr
    }

    /// Where the calls of Crosswork are answered, over TLS and in the clear.
    pub fn crosswork_addr(&self) -> Option<(SocketAddr, Option<SocketAddr>)> {
        self.crosswork_addr
    }

    /// What devices call this server, `https://host:port`.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// All that the server can do, in this process.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// What was made, what is not fit for production, and what to type next.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Reads certificates, keys and anchors again, from the files it was started with. Connections
    /// stay open; if anything cannot be read, all stays as it was.
    pub async fn reload(&self) -> Result<Vec<Notice>, ServerError> {
        let config = self.config.clone();
        let load = move || Materials::load(&config, Lab::Make, now());
        let (materials, mut notices) = joined(tokio::task::spawn_blocking(load).await)?;
        self.service.replace_materials(materials).await?;
        add_warnings(&mut notices, &self.service);
        tracing::info!("certificates, keys and anchors were read again");
        Ok(notices)
    }

    /// Lets open requests end, for at most limits.drain_secs, and closes the database.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the server ended badly");
            }
        }
        self.service.close().await;
        tracing::info!("stopped");
    }
}

/// What is there before a port is opened.
struct Prepared {
    materials: Materials,
    notices: Vec<Notice>,
    store: Database,
    lock: data_dir::Lock,
    outbound: Arc<Outbound>,
}

/// What blocks: directories, keys, the database.
fn prepare(config: &Config) -> Result<Prepared, ServerError> {
    let outbound = Arc::new(Outbound::new(config)?);
    let directory = &config.data_dir;
    let mut notices = Vec::new();
    if data_dir::make(config)? {
        let made = format!("the data directory {}", directory.display());
        notices.push(Notice::Made(made));
    }
    let lock = data_dir::lock(directory)?;
    data_dir::clean(config)?;
    let (materials, more) = Materials::load(config, Lab::Make, now())?;
    notices.extend(more);
    let store = match &config.database.url {
        Some(url) => Database::postgres(&url.0, &config.database)?,
        None => Database::sqlite(&data_dir::database(directory)?)?,
    };
    Ok(Prepared {
        materials,
        notices,
        store,
        lock,
        outbound,
    })
}

/// Gives up on devices from which no word comes.
async fn expire(service: Service, mut stop: watch::Receiver<bool>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_away = false;
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        // Said once, however long it lasts.
        let looked = service.expire_overdue().await;
        if let Err(error) = &looked
            && !is_away
        {
            tracing::error!(%error, "looking for overdue devices");
        }
        is_away = looked.is_err();
    }
}

/// What was uploaded ends, too.
fn add_warnings(notices: &mut Vec<Notice>, service: &Service) {
    for warning in service.materials().warnings(now()) {
        if !notices.contains(&warning) {
            notices.push(warning);
        }
    }
}

fn joined<T>(
    result: Result<Result<T, ServerError>, tokio::task::JoinError>,
) -> Result<T, ServerError> {
    result.unwrap_or_else(|error| {
        let reason = error.to_string();
        Err(ServerError::Process { reason })
    })
}
