//! The listeners for the calls of Crosswork, where they are wanted.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::data_dir;
use crate::crosswork::{CrossworkApi, run_plain};
use crate::listener::Listener;
use crate::{Config, ServerError, Service};

/// Sockets that are bound, and the key of the tokens.
pub(super) struct Crosswork {
    listener: Listener,
    plain: Option<(TcpListener, SocketAddr)>,
    pub(super) token_key: [u8; 32],
}

impl Crosswork {
    /// None: they are not wanted.
    pub(super) async fn bind(config: &Config) -> Result<Option<Self>, ServerError> {
        let Some(address) = config.crosswork.listen else {
            return Ok(None);
        };
        let listener = Listener::bind(address, &config.limits).await?;
        let plain = match config.crosswork.plain_http_listen {
            Some(address) => {
                let refused = |error: std::io::Error| ServerError::Listen {
                    address,
                    reason: error.to_string(),
                };
                let socket = TcpListener::bind(address).await.map_err(refused)?;
                let address = socket.local_addr().map_err(refused)?;
                Some((socket, address))
            }
            None => None,
        };
        let token_key = match &config.crosswork.token_key_file {
            Some(path) => read_key(path)?,
            None => data_dir::token_key(&config.data_dir)?,
        };
        Ok(Some(Self {
            listener,
            plain,
            token_key,
        }))
    }

    pub(super) fn address(&self) -> (SocketAddr, Option<SocketAddr>) {
        let plain = self.plain.as_ref().map(|(_, address)| *address);
        (self.listener.address(), plain)
    }

    /// Where scripts report.
    pub(super) fn status_url(&self, service: &Service) -> String {
        let base = service.url_at(self.listener.address().port());
        format!("{base}/crosswork/ztp/v1/deviceinfo/status")
    }

    pub(super) fn start(
        self,
        config: &Config,
        service: &Service,
        stopped: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let api = CrossworkApi::new(
            service.clone(),
            config.limits.clone(),
            config.access.clone(),
            config.crosswork.status_without_proof,
        );
        let mut tasks = vec![tokio::spawn(
            self.listener.run(api.clone(), stopped.clone()),
        )];
        if let Some((socket, _)) = self.plain {
            let plain = run_plain(socket, api, config.limits.clone(), stopped.clone());
            tasks.push(tokio::spawn(plain));
        }
        tasks
    }
}

/// Any file of at least 32 octets will do.
pub(super) fn read_key(path: &Path) -> Result<[u8; 32], ServerError> {
    use sha2::{Digest as _, Sha256};
    let refused = |reason: String| ServerError::File {
        path: path.to_owned(),
        reason,
    };
    let octets = fs::read(path).map_err(|error| refused(error.to_string()))?;
    if octets.len() < 32 {
        return Err(refused("a key has at least 32 octets".to_owned()));
    }
    Ok(Sha256::digest(&octets).into())
}
