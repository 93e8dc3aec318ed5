//! Whom devices and vouchers must lead to: the files of the configuration and what was uploaded,
//! together.

use std::sync::Arc;

use sztp_cms::{AnyClientCertificate, Certificate, TrustAnchors, UnixTime};

use super::{Materials, tls_for_devices};
use crate::ServerError;
use crate::model::{AnchorPurpose, Expiry, SerialNumberFrom, TrustAnchor};
use crate::store::StoredTrust;

/// What the files say.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileTrust {
    pub(super) idevid: Vec<Certificate>,
    /// Those of `idevid` beneath which SHA-1 is allowed.
    pub(super) sha1: Vec<Certificate>,
    /// None: vouchers are not checked, unless anchors for them were uploaded.
    pub(super) voucher: Option<Vec<Certificate>>,
}

impl Materials {
    /// The same with what was uploaded, in the place of what was before.
    pub(crate) fn with_stored(&self, stored: StoredTrust) -> Result<Self, ServerError> {
        let files = &self.files;
        let uploaded = |purpose| {
            stored
                .anchors
                .iter()
                .filter(move |(anchor, _)| anchor.purpose == purpose)
        };
        let certificates = |purpose| uploaded(purpose).map(|(_, certificate)| certificate.clone());
        let idevid = files.idevid.iter().cloned();
        let allowed = uploaded(AnchorPurpose::Idevid)
            .filter(|(anchor, _)| anchor.allow_sha1)
            .map(|(_, certificate)| certificate.clone());
        let idevid_anchors = TrustAnchors::new(idevid.chain(certificates(AnchorPurpose::Idevid)))
            .with_sha1_below(files.sha1.iter().cloned().chain(allowed));
        let mut voucher = files.voucher.clone();
        for certificate in certificates(AnchorPurpose::Voucher) {
            voucher.get_or_insert_default().push(certificate);
        }
        let verifier = AnyClientCertificate::new(&idevid_anchors);
        let device_tls = tls_for_devices(&self.identities, verifier)?;
        Ok(Self {
            device_tls: Arc::new(device_tls),
            idevid_anchors,
            idevid_lists: stored
                .lists
                .iter()
                .map(|(_, list)| list.clone())
                .collect::<Vec<_>>()
                .into(),
            voucher_anchors: voucher.map(TrustAnchors::new),
            stored: Arc::new(stored),
            ..self.clone()
        })
    }

    /// Where the manufacturer of this anchor writes serial numbers.
    pub(crate) fn serial_number_from(&self, anchor: &Certificate) -> SerialNumberFrom {
        self.stored
            .anchors
            .iter()
            .find(|(known, one)| known.purpose == AnchorPurpose::Idevid && one == anchor)
            .map_or_else(SerialNumberFrom::default, |(known, _)| {
                known.serial_number_from
            })
    }

    /// All anchors, those of files first.
    pub(crate) fn trust_anchors(&self) -> Vec<TrustAnchor> {
        let files = &self.files;
        let of_file = |purpose| {
            move |certificate: &Certificate| TrustAnchor {
                allow_sha1: purpose == AnchorPurpose::Idevid && files.sha1.contains(certificate),
                ..describe(purpose, certificate)
            }
        };
        let uploaded = self.stored.anchors.iter().map(|(anchor, _)| anchor.clone());
        files
            .idevid
            .iter()
            .map(of_file(AnchorPurpose::Idevid))
            .chain(
                files
                    .voucher
                    .iter()
                    .flatten()
                    .map(of_file(AnchorPurpose::Voucher)),
            )
            .chain(uploaded)
            .collect()
    }

    /// What ends before a moment, the first end first.
    pub(crate) fn expiries(&self, before: UnixTime) -> Vec<Expiry> {
        let of = |what: &str, certificate: &Certificate| Expiry {
            what: format!("{what} {}", certificate.subject()),
            not_after: certificate.not_after(),
        };
        let mut all: Vec<Expiry> = Vec::new();
        for (chain, _) in &self.identities {
            all.extend(chain.iter().map(|one| of("TLS certificate", one)));
        }
        all.push(of("owner certificate", &self.owner));
        if self.pinned_domain_cert != self.owner {
            all.push(of("pinned-domain-cert", &self.pinned_domain_cert));
        }
        let ldevid_ca = self.ldevid_ca.iter().flat_map(|ca| &ca.chain);
        all.extend(ldevid_ca.map(|one| of("certificate of the built-in CA", one)));
        let idevid = self.idevid_anchors.iter();
        all.extend(idevid.map(|one| of("IDevID trust anchor", one)));
        let voucher = self.voucher_anchors.iter().flatten();
        all.extend(voucher.map(|one| of("voucher trust anchor", one)));
        all.extend(self.stored.lists.iter().filter_map(|(list, _)| {
            Some(Expiry {
                what: format!("revocation list of {}", list.issuer),
                not_after: list.next_update?,
            })
        }));
        all.retain(|expiry| expiry.not_after < before);
        all.sort_by_key(|expiry| expiry.not_after);
        all
    }
}

/// An anchor of which nothing more is known than the certificate.
pub(crate) fn describe(purpose: AnchorPurpose, certificate: &Certificate) -> TrustAnchor {
    TrustAnchor {
        id: None,
        purpose,
        name: None,
        serial_number_from: SerialNumberFrom::default(),
        allow_sha1: false,
        subject: certificate.subject(),
        sha256: certificate.sha256_fingerprint(),
        not_after: certificate.not_after(),
        created_at: None,
    }
}

/// How long before an end one is warned of it, in seconds.
pub(crate) const WARNING_SECS: i64 = 30 * 24 * 60 * 60;
