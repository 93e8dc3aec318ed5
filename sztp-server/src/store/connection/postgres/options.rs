//! How a database server is reached: its URL, a password, TLS.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sztp_cms::{Certificate, TrustAnchors};
use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, NoTls};

use super::super::dialect;
use super::{judged, tls};
use crate::StoreError;
use crate::config::DatabaseConfig;

/// How a database server is reached.
pub(in crate::store) struct Options {
    config: tokio_postgres::Config,
    tls: tls::Security,
    /// When it could last not be reached, and why.
    refused: Mutex<Option<(Instant, StoreError)>>,
}

impl Options {
    /// Reads URL, password and trust anchors.
    pub(in crate::store) fn new(url: &str, database: &DatabaseConfig) -> Result<Self, StoreError> {
        let (url, security) = taken_apart(url)?;
        // In no case with the URL, which may have a password.
        let mut config: tokio_postgres::Config =
            url.parse()
                .map_err(|error: tokio_postgres::Error| StoreError::Address {
                    problem: error.to_string(),
                })?;
        if config.get_password().is_none()
            && let Some(password) = database.password()?
        {
            config.password(password);
        }
        if config.get_application_name().is_none() {
            config.application_name("sztp-server");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECTING);
        }
        config
            .keepalives_idle(SILENCE)
            .keepalives_interval(SILENCE / 4)
            .tcp_user_timeout(SILENCE)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        // Where `hostaddr` is given, that is where it connects to.
        let named = config.get_hosts().len() + config.get_hostaddrs().len();
        let is_local = named > 0
            && config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let tls = match security.mode.as_deref() {
            Some("disable") => tls::Security::None,
            Some("require") => tls::Security::Unverified,
            None if is_local => tls::Security::None,
            None | Some("verify-full") => {
                let anchors = anchors(security.root_certificates.as_deref())?;
                tls::Security::Verified(anchors)
            }
            Some(other) => {
                return Err(StoreError::Address {
                    problem: format!(
                        "sslmode is {other:?}, and not disable, require or verify-full"
                    ),
                });
            }
        };
        config.ssl_mode(match tls {
            tls::Security::None => SslMode::Disable,
            _ => SslMode::Require,
        });
        Ok(Self {
            config,
            tls,
            refused: Mutex::default(),
        })
    }

    /// Connects, unless that was just tried in vain.
    pub(super) fn connect(&self, runtime: &Runtime) -> Result<Client, StoreError> {
        let refused = || self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, error)) = &*refused()
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let connected = runtime.block_on(async {
            tokio::time::timeout(CONNECTING * 2, self.begin())
                .await
                .unwrap_or_else(|_| {
                    Err(StoreError::Unavailable {
                        reason: "connecting takes too long".to_owned(),
                    })
                })
        });
        *refused() = connected
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        connected
    }

    /// A connection for one who does not block, with its messages.
    pub(super) async fn connect_with_messages(
        &self,
    ) -> Result<(Client, tls::Messages), StoreError> {
        let error = |error| judged(&error);
        Ok(if let tls::Security::None = self.tls {
            let (client, connection) = self.config.connect(NoTls).await.map_err(error)?;
            (client, tls::Messages::of(connection))
        } else {
            let connector = tls::Connector::new(self.tls.clone());
            let (client, connection) = self.config.connect(connector).await.map_err(error)?;
            (client, tls::Messages::of(connection))
        })
    }

    async fn begin(&self) -> Result<Client, StoreError> {
        let (client, mut messages) = self.connect_with_messages().await?;
        tokio::spawn(async move { while messages.next().await.is_some() {} });
        let begun = client.batch_execute(dialect::SESSION).await;
        begun.map_err(|error| judged(&error))?;
        Ok(client)
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

/// What the URL says of TLS.
#[derive(Debug, Default, PartialEq, Eq)]
struct UrlSecurity {
    mode: Option<String>,
    root_certificates: Option<String>,
}

/// The URL as the client library takes it, and what it says of TLS.
fn taken_apart(url: &str) -> Result<(String, UrlSecurity), StoreError> {
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if !is_url {
        return Err(StoreError::Address {
            problem: "it does not begin with postgres://".to_owned(),
        });
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut security = UrlSecurity::default();
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => security.mode = Some(mode.to_owned()),
            Some(("sslrootcert", path)) => {
                let path = percent_decoded(path);
                security.root_certificates = Some(path);
            }
            _ => others.push(pair),
        }
    }
    let url = if others.is_empty() {
        address.to_owned()
    } else {
        format!("{address}?{}", others.join("&"))
    };
    Ok((url, security))
}

/// Of a path; what is no escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| others.get(..2))
            .flatten()
            .and_then(|digits| str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        octets.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() {
            &others[2..]
        } else {
            others
        };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// The certificates that the server's must lead to.
fn anchors(path: Option<&str>) -> Result<TrustAnchors, StoreError> {
    let path = match path {
        None | Some("system") => SYSTEM_CERTIFICATES,
        Some(path) => path,
    };
    let problem = |problem: String| StoreError::Address {
        problem: format!("sslrootcert {path}: {problem}"),
    };
    let pem = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    let mut certificates = Vec::new();
    for block in pem.split_inclusive("-----END CERTIFICATE-----") {
        // A bundle may have some that nobody can read any more.
        if let Some(begin) = block.find("-----BEGIN CERTIFICATE-----")
            && let Ok(certificate) = Certificate::from_pem_or_der(&block.as_bytes()[begin..])
        {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(problem("there is no certificate in it".to_owned()));
    }
    Ok(TrustAnchors::new(certificates))
}

/// Where Debian and its kin keep the certificates that everybody trusts.
const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

const CONNECTING: Duration = Duration::from_secs(5);

/// Without a sign of life for so long, a connection is given up.
const SILENCE: Duration = Duration::from_secs(12);

/// Between two attempts to connect: many requests may want to at the same time.
const PAUSE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Result<Options, StoreError> {
        Options::new(url, &DatabaseConfig::default())
    }

    #[test]
    fn what_a_url_says_of_tls_is_ours() {
        assert_eq!(
            taken_apart("postgres://u@h/d?sslmode=require&connect_timeout=3&sslrootcert=%2Fa%20b"),
            Ok((
                "postgres://u@h/d?connect_timeout=3".to_owned(),
                UrlSecurity {
                    mode: Some("require".to_owned()),
                    root_certificates: Some("/a b".to_owned()),
                }
            ))
        );
    }

    #[test]
    fn another_machine_is_verified_unless_the_url_says_otherwise() {
        let security = |url: &str| match options(url).unwrap().tls {
            tls::Security::None => "none",
            tls::Security::Unverified => "unverified",
            tls::Security::Verified(_) => "verified",
        };
        assert_eq!(security("postgres://u@localhost/d"), "none");
        assert_eq!(security("postgres://u@127.0.0.1,[::1]/d"), "none");
        assert_eq!(security("postgres://u@%2Frun%2Fpostgresql/d"), "none");
        assert_eq!(
            security("postgres://u@db.example/d?sslmode=require"),
            "unverified"
        );
        assert_eq!(
            security("postgres://u@db.example/d?sslmode=disable"),
            "none"
        );
        let lab = tempfile::tempdir().unwrap();
        let pki = crate::lab::LabPki::generate(&crate::lab::LabOptions::new(
            sztp_cms::UnixTime::from_secs(1_800_000_000),
        ))
        .unwrap();
        let path = lab.path().join("ca.crt");
        std::fs::write(&path, pki.tls_ca.certificate.to_pem()).unwrap();
        for (host, mode) in [("db.example", ""), ("localhost", "&sslmode=verify-full")] {
            let url = format!("postgres://u@{host}/d?sslrootcert={}{mode}", path.display());
            assert_eq!(security(&url), "verified");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_the_password() {
        for url in [
            "mysql://u:geheim@h/d",
            "postgres://u:geheim@h/d?sslmode=prefer",
            "postgres://u:geheim@h:no-port/d",
            "postgres://u:geheim@h/d?unheard_of=1",
            "postgres://u:geheim@h/d?sslmode=verify-full&sslrootcert=/nonexistent",
        ] {
            let error = options(url).unwrap_err();
            assert_eq!(error.code(), "store.address", "{url}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
        let good = options("postgres://u:geheim@localhost/d").unwrap();
        assert!(!format!("{good:?}").contains("geheim"));
    }
}
