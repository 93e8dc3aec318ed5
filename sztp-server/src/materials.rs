//! Keys, certificates and trust anchors: read from the files of the configuration, or from the lab
//! PKI where nothing is configured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use sztp_cms::{
    AnyClientCertificate, Certificate, SigningKey, TrustAnchors, UnixTime, certificate_names_host,
    certs_only, server_config,
};
use sztp_core::artifacts::owner_certificate_artifact;

use crate::config::split_public_url;
use crate::lab::{Identity, LabOptions, LabPki};
use crate::server::Notice;
use crate::{Config, ServerError};

/// What is read again when the server is told to reload.
pub(crate) struct Materials {
    /// For devices: asks for a client certificate.
    pub(crate) device_tls: Arc<ServerConfig>,
    /// For operators: asks for one only if there is something to judge it by.
    pub(crate) admin_tls: Arc<ServerConfig>,
    /// What redirects to this server carry (RFC 8572 §2.1); none: it cannot promote.
    pub(crate) tls_anchor: Option<Vec<u8>>,
    /// What IDevID certificates must lead to.
    pub(crate) idevid_anchors: TrustAnchors,
    /// What operators' client certificates must lead to; none: there are none.
    pub(crate) operator_anchors: Option<TrustAnchors>,
    /// What voucher signers must lead to; none: vouchers are not checked on arrival.
    pub(crate) voucher_anchors: Option<TrustAnchors>,
    /// The owner certificate.
    pub(crate) owner: Certificate,
    /// What vouchers for this owner pin (RFC 8366 §5.3): the end of the owner certificate's chain.
    pub(crate) pinned_domain_cert: Certificate,
    /// Its key.
    pub(crate) owner_key: SigningKey,
    /// The owner certificate artifact (RFC 8572 §3.2).
    pub(crate) owner_artifact: Vec<u8>,
}

/// What to do where the lab PKI is needed and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lab {
    /// Make it and keep it in the data directory.
    Make,
    /// Make it in memory, to see whether all else is well.
    Pretend,
}

impl Materials {
    /// Blocks while it reads and, perhaps, makes keys.
    pub(crate) fn load(
        config: &Config,
        lab: Lab,
        now: UnixTime,
    ) -> Result<(Self, Vec<Notice>), ServerError> {
        let mut notices = Vec::new();
        let host = if let Some(url) = &config.public_url {
            split_public_url(url)?.0
        } else {
            notices.push(Notice::NotForProduction(
                "devices are told to come to `localhost`; set public_url".to_owned(),
            ));
            "localhost".to_owned()
        };
        let mut lab = LabSource {
            directory: config.data_dir.join("lab"),
            lab,
            pki: None,
            host: host.clone(),
            now,
        };
        let (tls_chain, tls_key, tls_anchors) = tls(config, &mut lab, &mut notices)?;
        let (owner_chain, owner_key) = owner(config, &mut lab, &mut notices)?;
        let idevid_anchors = if config.idevid_anchors.is_empty() {
            let pki = lab.pki(&mut notices)?;
            notices.push(Notice::NotForProduction(
                "devices are accepted under the lab vendor; set idevid_anchors".to_owned(),
            ));
            // Also the CA: a device may send its own certificate only.
            vec![
                pki.vendor_root.certificate.clone(),
                pki.idevid_ca.certificate.clone(),
            ]
        } else {
            read_all(&config.idevid_anchors)?
        };
        let voucher_anchors = if !config.voucher_anchors.is_empty() {
            Some(TrustAnchors::new(read_all(&config.voucher_anchors)?))
        } else if config.idevid_anchors.is_empty() {
            let root = lab.pki(&mut notices)?.vendor_root.certificate.clone();
            Some(TrustAnchors::new([root]))
        } else {
            notices.push(Notice::NotForProduction(
                "vouchers are not checked on arrival; set voucher_anchors".to_owned(),
            ));
            None
        };
        let idevid_anchors = TrustAnchors::new(idevid_anchors);
        let tls_end = &tls_chain[0];
        look_at_certificate("TLS certificate", tls_end, now, &mut notices);
        look_at_certificate("owner certificate", &owner_chain[0], now, &mut notices);
        if !certificate_names_host(tls_end, &host) {
            notices.push(Notice::NotForProduction(format!(
                "the TLS certificate does not name `{host}`, by which devices are sent here; \
                 set public_url to a name that it has"
            )));
        }
        let tls_anchor = if tls_anchors.is_empty() {
            notices.push(Notice::NotForProduction(
                "devices that do not trust this server cannot be promoted; set tls.trust_anchor"
                    .to_owned(),
            ));
            None
        } else {
            Some(certs_only(&tls_anchors, &[]).map_err(ServerError::Owner)?)
        };
        let operator_anchors = match config.access.client_anchors.as_slice() {
            [] => None,
            paths => Some(TrustAnchors::new(read_all(paths)?)),
        };
        let verifier = AnyClientCertificate::new(&idevid_anchors);
        let mut device_tls = server_config(&tls_chain, &tls_key, verifier).map_err(tls_error)?;
        device_tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let admin_tls = ServerConfig::builder_with_provider(device_tls.crypto_provider().clone())
            .with_safe_default_protocol_versions()
            .map_err(tls_error)?;
        let mut admin_tls = match &operator_anchors {
            None => admin_tls.with_no_client_auth(),
            Some(anchors) => {
                admin_tls.with_client_cert_verifier(Arc::new(AnyClientCertificate::new(anchors)))
            }
        }
        .with_cert_resolver(device_tls.cert_resolver.clone());
        admin_tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let owner_artifact = owner_certificate_artifact(&owner_chain[0], &owner_chain[1..])
            .map_err(ServerError::Owner)?;
        let materials = Self {
            device_tls: Arc::new(device_tls),
            admin_tls: Arc::new(admin_tls),
            tls_anchor,
            idevid_anchors,
            operator_anchors,
            voucher_anchors,
            pinned_domain_cert: owner_chain[owner_chain.len() - 1].clone(),
            owner: owner_chain[0].clone(),
            owner_key,
            owner_artifact,
        };
        Ok((materials, notices))
    }
}

/// The chain, the key, and what clients need in order to trust them.
fn tls(
    config: &Config,
    lab: &mut LabSource,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Certificate>, SigningKey, Vec<Certificate>), ServerError> {
    let configured = config
        .tls
        .trust_anchor
        .as_deref()
        .map(read_certificates)
        .transpose()?;
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
        let pki = lab.pki(notices)?;
        let Identity { certificate, key } = pki.tls.clone();
        let anchors = configured.unwrap_or_else(|| vec![pki.tls_ca.certificate.clone()]);
        notices.push(Notice::NotForProduction(
            "the TLS certificate is the lab's; set tls.certificate and tls.key".to_owned(),
        ));
        return Ok((vec![certificate], key, anchors));
    };
    let (chain, key) = read_pair(certificate, key)?;
    // A chain that ends in its own root says itself what to trust.
    let root = chain.last().filter(|last| last.is_self_issued()).cloned();
    let anchors = configured.unwrap_or_else(|| root.into_iter().collect());
    Ok((chain, key, anchors))
}

fn owner(
    config: &Config,
    lab: &mut LabSource,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Certificate>, SigningKey), ServerError> {
    let (Some(certificate), Some(key)) = (&config.owner.certificate, &config.owner.key) else {
        let pki = lab.pki(notices)?;
        let Identity { certificate, key } = pki.owner.clone();
        notices.push(Notice::NotForProduction(
            "conveyed information is signed by the lab's owner; set owner.certificate and \
             owner.key"
                .to_owned(),
        ));
        return Ok((
            vec![certificate, pki.pinned_domain_ca.certificate.clone()],
            key,
        ));
    };
    let (mut chain, key) = read_pair(certificate, key)?;
    chain.extend(read_all(&config.owner.chain)?);
    Ok((chain, key))
}

/// The lab PKI, made or read when something first needs it.
struct LabSource {
    directory: PathBuf,
    lab: Lab,
    pki: Option<LabPki>,
    /// What its server certificate names, beside this machine.
    host: String,
    now: UnixTime,
}

impl LabSource {
    fn pki(&mut self, notices: &mut Vec<Notice>) -> Result<LabPki, ServerError> {
        if let Some(pki) = &self.pki {
            return Ok(pki.clone());
        }
        let pki = if self.directory.exists() {
            LabPki::load(&self.directory)?
        } else {
            let options = LabOptions {
                server_names: vec![self.host.clone()],
                ..LabOptions::new(self.now)
            };
            let pki = LabPki::generate(&options)?;
            if self.lab == Lab::Make {
                self.keep(&pki)?;
                notices.push(Notice::Made(format!(
                    "a lab PKI (vendor, owner, server) in {}",
                    self.directory.display()
                )));
            }
            pki
        };
        Ok(self.pki.insert(pki).clone())
    }
}

impl LabSource {
    /// All of it appears at once, or nothing.
    fn keep(&self, pki: &LabPki) -> Result<(), ServerError> {
        let unfinished = self.directory.with_extension("unfinished");
        let failed = |error: std::io::Error| ServerError::File {
            path: unfinished.clone(),
            reason: error.to_string(),
        };
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(failed)?;
        }
        pki.write(&unfinished)?;
        std::fs::rename(&unfinished, &self.directory).map_err(failed)
    }
}

fn look_at_certificate(
    what: &str,
    certificate: &Certificate,
    now: UnixTime,
    notices: &mut Vec<Notice>,
) {
    let not_after = certificate.not_after();
    if not_after < now {
        notices.push(Notice::NotForProduction(format!(
            "the {what} expired at {not_after}"
        )));
    } else if not_after < now.plus_secs(30 * 24 * 60 * 60) {
        notices.push(Notice::NotForProduction(format!(
            "the {what} expires at {not_after}"
        )));
    }
}

fn read_pair(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<Certificate>, SigningKey), ServerError> {
    let chain = read_certificates(certificate)?;
    let secret = SigningKey::from_pem_or_der(&read(key)?).map_err(|error| ServerError::Key {
        path: key.to_owned(),
        error,
    })?;
    if chain[0].spki_der() != secret.public_key().spki_der() {
        return Err(ServerError::KeyMismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        });
    }
    Ok((chain, secret))
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Certificate>, ServerError> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read_certificates(path)?);
    }
    Ok(all)
}

/// At least one.
fn read_certificates(path: &Path) -> Result<Vec<Certificate>, ServerError> {
    let error = |error| ServerError::Certificate {
        path: path.to_owned(),
        error,
    };
    let list = Certificate::list_from_pem_or_der(&read(path)?).map_err(error)?;
    if list.is_empty() {
        return Err(error(sztp_cms::CertificateError::NoCertificate));
    }
    Ok(list)
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    std::fs::read(path).map_err(|error| ServerError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn tls_error(error: rustls::Error) -> ServerError {
    ServerError::Tls {
        reason: error.to_string(),
    }
}
