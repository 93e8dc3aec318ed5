//! Vouchers that come without their device, or before it: each is judged on arrival, kept under the
//! serial number that it names, and found when a device of that serial number asks.

mod archive;

use std::fs::File;

use sha2::{Digest as _, Sha256};
use sztp_voucher::{Profile, SignedVoucher, VoucherError, unwrap_text};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::check::VoucherJudge;
use super::images::hex;
use super::{Service, now};
use crate::model::{
    Blob, Listed, NewVoucher, Page, VoucherResult, VoucherSummary, VoucherUpload, VoucherUploads,
};
use crate::{InventoryError, ServiceError};

use archive::{Content, MAX_VOUCHER};

impl Service {
    /// Takes a voucher, or a tar, gzipped tar or zip of vouchers. A bad one does not stop the
    /// rest; what became of each is said file by file. `name` is what a single file is called.
    pub async fn upload_vouchers(
        &self,
        name: &str,
        upload: impl AsyncRead + Send + Unpin,
    ) -> Result<VoucherUploads, ServiceError> {
        let file = spooled(upload).await?;
        let judge = self.voucher_judge().await?;
        let (found, mut files) = mpsc::channel(4 * BATCH);
        let name: String = name.chars().take(255).collect();
        let unpacking = tokio::task::spawn_blocking(move || unpack(file, &name, &judge, &found));
        let mut uploads = VoucherUploads::default();
        let mut batch = Vec::with_capacity(BATCH);
        while files.recv_many(&mut batch, BATCH).await > 0 {
            self.keep(&mut batch, &mut uploads).await?;
        }
        if let Err(error) = unpacking.await.map_err(|_| ServiceError::Stopping)? {
            // Those before are kept, and the answer says so.
            uploads.push(refused("(archive)".to_owned(), None, &error.into()));
        }
        let VoucherUploads {
            accepted, refused, ..
        } = uploads;
        tracing::info!(accepted, refused, "vouchers uploaded");
        Ok(uploads)
    }

    /// Vouchers that came without their device, in the order of their serial numbers.
    pub async fn vouchers(&self, page: Page) -> Result<Listed<VoucherSummary>, ServiceError> {
        Ok(self.0.store.vouchers(page).await?)
    }

    /// The voucher that is kept for a serial number.
    pub async fn voucher(&self, serial_number: &str) -> Result<Blob, ServiceError> {
        let voucher = self.0.store.voucher(serial_number).await?;
        Ok(voucher.ok_or_else(|| missing(serial_number))?)
    }

    /// Forgets the voucher for a serial number; one that is part of a device's own entry stays.
    pub async fn delete_voucher(&self, serial_number: &str) -> Result<(), ServiceError> {
        if self.0.store.delete_voucher(serial_number).await? {
            Ok(())
        } else {
            Err(missing(serial_number).into())
        }
    }

    /// Serial numbers of devices, for the vendor who is to make vouchers for them; those that have
    /// one only with `all`.
    pub async fn request_list(
        &self,
        all: bool,
        page: Page,
    ) -> Result<Listed<String>, ServiceError> {
        Ok(self.0.store.serial_numbers(!all, page).await?)
    }

    /// The pinned-domain-cert (RFC 8366 §5.3) that vouchers for this owner must name, in DER.
    pub fn pinned_domain_cert(&self) -> Vec<u8> {
        self.materials().pinned_domain_cert.as_der().to_vec()
    }

    async fn keep(
        &self,
        batch: &mut Vec<Judged>,
        uploads: &mut VoucherUploads,
    ) -> Result<(), ServiceError> {
        let good: Vec<_> = batch
            .iter()
            .filter_map(|file| file.voucher.as_ref().ok().cloned())
            .collect();
        let kept = if good.is_empty() {
            Vec::new()
        } else {
            self.0.store.keep_vouchers(good).await?
        };
        let mut kept = kept.into_iter();
        for file in batch.drain(..) {
            let upload = match file.voucher {
                Err(error) => refused(file.name, file.serial_number, &error),
                Ok(voucher) => {
                    let kept = kept.next();
                    VoucherUpload {
                        file: file.name,
                        result: kept
                            .as_ref()
                            .map_or(VoucherResult::Stored, |kept| kept.result),
                        serial_number: Some(voucher.serial_number),
                        device: kept.and_then(|kept| kept.device),
                        code: None,
                        message: voucher.notes,
                    }
                }
            };
            uploads.push(upload);
        }
        Ok(())
    }
}

impl VoucherUploads {
    fn push(&mut self, upload: VoucherUpload) {
        match upload.result {
            VoucherResult::Refused => self.refused += 1,
            VoucherResult::Stored | VoucherResult::Replaced | VoucherResult::Unchanged => {
                self.accepted += 1;
            }
        }
        self.files.push(upload);
    }

    /// Takes in what became of another upload.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.files.append(&mut other.files);
    }
}

/// A file that was looked at.
struct Judged {
    name: String,
    serial_number: Option<String>,
    voucher: Result<NewVoucher, ServiceError>,
}

fn unpack(
    mut file: File,
    name: &str,
    judge: &VoucherJudge,
    found: &mpsc::Sender<Judged>,
) -> Result<(), InventoryError> {
    archive::unpack(&mut file, name, &mut |name, content| {
        let (serial_number, voucher) = match content {
            Content::Octets(octets) => judged(judge, &octets),
            Content::TooLarge => {
                let (what, limit) = ("a voucher", MAX_VOUCHER);
                (None, Err(InventoryError::TooLarge { what, limit }.into()))
            }
        };
        let judged = Judged {
            name: name.chars().take(255).collect(),
            serial_number,
            voucher,
        };
        found.blocking_send(judged).is_ok()
    })
}

/// Which serial number it names, if it can be read, and whether it is good.
fn judged(
    judge: &VoucherJudge,
    octets: &[u8],
) -> (Option<String>, Result<NewVoucher, ServiceError>) {
    let refused = |error: VoucherError| ServiceError::Artifacts(error.into());
    let mut notes = Vec::new();
    let octets = match unwrap_text(octets) {
        Ok((octets, form)) => {
            notes.extend(form.map(|form| form.to_string()));
            octets
        }
        Err(error) => return (None, Err(refused(error))),
    };
    let parsed = match SignedVoucher::parse(&octets, Profile::Rfc8366bis) {
        Ok(parsed) => parsed,
        Err(error) => return (None, Err(refused(error))),
    };
    let serial_number = parsed.unverified().serial_number.clone();
    let expires_on = parsed.unverified().expires_on;
    let judged = judge.judge(&serial_number, &octets, now(), &mut notes);
    let voucher = judged.map(|verified| NewVoucher {
        serial_number: serial_number.clone(),
        sha256: hex(&Sha256::digest(&octets)),
        voucher: octets.into_owned(),
        verified,
        expires_on,
        notes: (!notes.is_empty()).then(|| notes.join("; ")),
        time: now(),
    });
    (Some(serial_number), voucher)
}

fn refused(file: String, serial_number: Option<String>, error: &ServiceError) -> VoucherUpload {
    VoucherUpload {
        file,
        result: VoucherResult::Refused,
        serial_number,
        device: None,
        code: Some(error.code().to_owned()),
        message: Some(error.to_string()),
    }
}

/// An upload as a file without a name: archives are read from their end, or several times.
async fn spooled(mut upload: impl AsyncRead + Send + Unpin) -> Result<File, ServiceError> {
    let broken = |error: std::io::Error| ServiceError::Upload {
        reason: error.to_string(),
    };
    let file = tokio::task::spawn_blocking(tempfile::tempfile)
        .await
        .map_err(|_| ServiceError::Stopping)?
        .map_err(broken)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut limited = (&mut upload).take(MAX_UPLOAD as u64 + 1);
    let copied = tokio::io::copy(&mut limited, &mut file)
        .await
        .map_err(broken)?;
    if copied > MAX_UPLOAD as u64 {
        let (what, limit) = ("an upload of vouchers", MAX_UPLOAD);
        return Err(InventoryError::TooLarge { what, limit }.into());
    }
    file.flush().await.map_err(broken)?;
    Ok(file.into_std().await)
}

fn missing(serial_number: &str) -> InventoryError {
    InventoryError::VoucherMissing {
        serial_number: serial_number.chars().take(80).collect(),
    }
}

/// Vouchers in one write.
const BATCH: usize = 100;

const MAX_UPLOAD: usize = 1024 * 1024 * 1024;
