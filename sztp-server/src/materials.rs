//! Keys, certificates and trust anchors: read from the files of the configuration, or from the lab
//! PKI where nothing is configured.

pub(crate) mod keys;
mod ldevid;
mod on_demand;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use sztp_cms::{
    AnyClientCertificate, Certificate, CertificateRevocationList, Signer, SigningKey, TrustAnchors,
    UnixTime, certificate_names_host, certs_only, server_config_with_identities,
};
use sztp_core::artifacts::owner_certificate_artifact;

use self::trust::FileTrust;
use crate::config::split_public_url;
use crate::est::EstClient;
use crate::lab::{Identity, LabOptions, LabPki};
use crate::model::Expiry;
use crate::server::Notice;
use crate::service::{BuiltInCa, MasaAccess, token_hash};
use crate::store::StoredTrust;
use crate::{Config, ServerError};

pub(crate) use trust::{WARNING_SECS, describe};

/// What is read again when the server is told to reload.
#[derive(Clone)]
pub(crate) struct Materials {
    /// For devices: asks for a client certificate.
    pub(crate) device_tls: Arc<ServerConfig>,
    /// For operators: asks for one only if there is something to judge it by.
    pub(crate) admin_tls: Arc<ServerConfig>,
    /// What redirects to this server carry (RFC 8572 §2.1); none: it cannot promote.
    pub(crate) tls_anchor: Option<Vec<u8>>,
    /// What IDevID certificates must lead to.
    pub(crate) idevid_anchors: TrustAnchors,
    /// Which of these certificates are revoked, as far as is known.
    pub(crate) idevid_lists: Arc<[CertificateRevocationList]>,
    /// What operators' client certificates must lead to; none: there are none.
    pub(crate) operator_anchors: Option<TrustAnchors>,
    /// What voucher signers must lead to; none: vouchers are not checked on arrival.
    pub(crate) voucher_anchors: Option<TrustAnchors>,
    /// SHA-256 of the token that opens /metrics.
    pub(crate) metrics_token: Option<[u8; 32]>,
    /// The owner certificate.
    pub(crate) owner: Certificate,
    /// What vouchers for this owner pin (RFC 8366 §5.3): the end of the owner certificate's chain.
    pub(crate) pinned_domain_cert: Certificate,
    /// Its key.
    pub(crate) owner_key: Arc<dyn Signer>,
    /// The owner certificate artifact (RFC 8572 §3.2).
    pub(crate) owner_artifact: Vec<u8>,
    /// Who is asked for vouchers that are not there.
    pub(crate) masa: Option<MasaAccess>,
    /// The built-in CA for LDevIDs.
    pub(crate) ldevid_ca: Option<BuiltInCa>,
    /// Who else issues LDevIDs.
    pub(crate) est: Option<EstClient>,
    /// Certificates and keys of both listeners, the preferred first.
    identities: Vec<TlsIdentity>,
    files: FileTrust,
    stored: Arc<StoredTrust>,
}

/// End-entity certificate with its chain, and key.
type TlsIdentity = (Vec<Certificate>, SigningKey);

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
        let (identities, tls_anchors) = tls(config, &mut lab, &mut notices)?;
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
            Some(read_all(&config.voucher_anchors)?)
        } else if config.idevid_anchors.is_empty() {
            let root = lab.pki(&mut notices)?.vendor_root.certificate.clone();
            Some(vec![root])
        } else {
            notices.push(Notice::NotForProduction(
                "vouchers are not checked on arrival; set voucher_anchors".to_owned(),
            ));
            None
        };
        let sha1 = read_all(&config.idevid_sha1_anchors)?;
        let files = FileTrust {
            idevid: [idevid_anchors, sha1.clone()].concat(),
            sha1,
            voucher: voucher_anchors,
        };
        if identities
            .iter()
            .any(|(chain, _)| !certificate_names_host(&chain[0], &host))
        {
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
        let metrics_token = match &config.access.metrics_token_file {
            None => None,
            Some(path) => Some(read_token(path)?),
        };
        let operator_anchors = match config.access.client_anchors.as_slice() {
            [] => None,
            paths => Some(TrustAnchors::new(read_all(paths)?)),
        };
        let idevid_anchors = TrustAnchors::default();
        let verifier = AnyClientCertificate::new(&idevid_anchors);
        let device_tls = tls_for_devices(&identities, verifier)?;
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
            idevid_lists: Arc::default(),
            operator_anchors,
            metrics_token,
            voucher_anchors: None,
            pinned_domain_cert: owner_chain[owner_chain.len() - 1].clone(),
            owner: owner_chain[0].clone(),
            owner_key,
            owner_artifact,
            masa: on_demand::masa(&config.vouchers_on_demand)?,
            ldevid_ca: ldevid::built_in(&config.ldevid.ca)?,
            est: ldevid::est(&config.ldevid.est)?,
            identities,
            files,
            stored: Arc::default(),
        };
        let materials = materials.with_stored(StoredTrust::default())?;
        notices.extend(materials.warnings(now));
        Ok((materials, notices))
    }

    /// What ends soon, or has ended.
    pub(crate) fn warnings(&self, now: UnixTime) -> impl Iterator<Item = Notice> {
        let expiries = self.expiries(now.plus_secs(WARNING_SECS));
        expiries.into_iter().map(move |Expiry { what, not_after }| {
            let verb = if not_after < now {
                "expired"
            } else {
                "expires"
            };
            Notice::NotForProduction(format!("the {what} {verb} at {not_after}"))
        })
    }
}

fn tls_for_devices(
    identities: &[TlsIdentity],
    verifier: AnyClientCertificate,
) -> Result<ServerConfig, ServerError> {
    let mut config = server_config_with_identities(identities, verifier).map_err(tls_error)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Materials {
    /// Certificates that something stops working with, and what for.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = (&'static str, &Certificate)> {
        let anchors = [
            ("idevid-anchor", Some(&self.idevid_anchors)),
            ("operator-anchor", self.operator_anchors.as_ref()),
            ("voucher-anchor", self.voucher_anchors.as_ref()),
        ];
        let anchors = anchors.into_iter().flat_map(|(usage, anchors)| {
            let anchors = anchors.into_iter().flat_map(TrustAnchors::iter);
            anchors.map(move |anchor| (usage, anchor))
        });
        let own = self
            .identities
            .iter()
            .filter_map(|(chain, _)| chain.first());
        own.map(|certificate| ("tls", certificate))
            .chain(self.ldevid_ca.iter().map(|ca| ("ldevid-ca", &ca.chain[0])))
            .chain([
                ("owner", &self.owner),
                ("pinned-domain-cert", &self.pinned_domain_cert),
            ])
            .chain(anchors)
    }
}

/// The chain, the key, and what clients need in order to trust them.
fn tls(
    config: &Config,
    lab: &mut LabSource,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<TlsIdentity>, Vec<Certificate>), ServerError> {
    let more: Vec<TlsIdentity> = config
        .tls
        .additional
        .iter()
        .map(|pair| keys::read_pair(&pair.certificate, &pair.key, None))
        .collect::<Result<_, _>>()?;
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
        let mut identities = vec![(vec![certificate], key)];
        identities.extend(more);
        return Ok((identities, anchors));
    };
    let passphrase = keys::passphrase(config.tls.key_passphrase_file.as_deref(), TLS_PASSPHRASE)?;
    let mut identities = vec![keys::read_pair(certificate, key, passphrase.as_deref())?];
    identities.extend(more);
    // A chain that ends in its own root says itself what to trust.
    let roots = identities
        .iter()
        .filter_map(|(chain, _)| chain.last().filter(|last| last.is_self_issued()).cloned());
    let anchors = configured.unwrap_or_else(|| roots.collect());
    Ok((identities, anchors))
}

fn owner(
    config: &Config,
    lab: &mut LabSource,
    notices: &mut Vec<Notice>,
) -> Result<(Vec<Certificate>, Arc<dyn Signer>), ServerError> {
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
            Arc::new(key),
        ));
    };
    let (mut chain, key) = keys::read_owner(&config.owner, certificate, key)?;
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

/// The hash of a file with a token.
fn read_token(path: &Path) -> Result<[u8; 32], ServerError> {
    let octets = read(path)?;
    let token = std::str::from_utf8(&octets).unwrap_or_default().trim();
    if token.len() < SHORTEST_TOKEN {
        return Err(ServerError::File {
            path: path.to_owned(),
            reason: format!("a token has at least {SHORTEST_TOKEN} characters"),
        });
    }
    Ok(token_hash(token))
}

pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Vec<Certificate>, ServerError> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read_certificates(path)?);
    }
    Ok(all)
}

/// At least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<Certificate>, ServerError> {
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
pub(crate) fn tls_error(error: rustls::Error) -> ServerError {
    ServerError::Tls {
        reason: error.to_string(),
    }
}

/// Environment variables with what private keys are encrypted with.
pub(crate) const TLS_PASSPHRASE: &str = "SZTP_TLS_KEY_PASSPHRASE";

const SHORTEST_TOKEN: usize = 16;
