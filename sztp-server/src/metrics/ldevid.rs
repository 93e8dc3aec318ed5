//! LDevIDs that were issued.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{add_one, describe, sample};
use crate::model::LdevidIssuer;

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Ldevids {
    issued: [AtomicU64; LdevidIssuer::ALL.len()],
    repeated: AtomicU64,
    requested: AtomicU64,
    refused: AtomicU64,
}

impl Ldevids {
    pub(crate) fn issued(&self, issuer: LdevidIssuer) {
        for (count, known) in self.issued.iter().zip(LdevidIssuer::ALL) {
            if known == issuer {
                add_one(count);
            }
        }
    }

    /// The same request came again.
    pub(crate) fn repeated(&self) {
        add_one(&self.repeated);
    }

    /// A device was asked for a request.
    pub(crate) fn requested(&self) {
        add_one(&self.requested);
    }

    /// None was issued, whoever is at fault.
    pub(crate) fn refused(&self) {
        add_one(&self.refused);
    }

    pub(super) fn write(&self, out: &mut String) {
        let name = "sztp_ldevids_issued_total";
        describe(out, name, "counter", "LDevIDs issued");
        for (count, issuer) in self.issued.iter().zip(LdevidIssuer::ALL) {
            let count = count.load(Ordering::Relaxed);
            sample(out, name, &[("issuer", issuer.as_str())], count);
        }
        for (name, help, count) in [
            (
                "sztp_ldevids_repeated_total",
                "LDevIDs given once more",
                &self.repeated,
            ),
            (
                "sztp_csr_requests_total",
                "Devices asked for a signing request",
                &self.requested,
            ),
            (
                "sztp_ldevids_refused_total",
                "LDevIDs not issued",
                &self.refused,
            ),
        ] {
            describe(out, name, "counter", help);
            sample(out, name, &[], count.load(Ordering::Relaxed));
        }
    }
}
