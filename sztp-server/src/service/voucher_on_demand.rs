//! Vouchers that are fetched when a device asks: from a MASA by a registrar's voucher-request
//! (RFC 8995 §5.5), or from a program of the operator.
//!
//! What comes is judged as what is uploaded, and against the nonce that was sent. Without a nonce it
//! is kept as an uploaded one; with one it is given to this device, this once.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sztp_cms::{Certificate, SigningKey};
use sztp_voucher::request::{VoucherRequest, sign};
use sztp_voucher::{
    IssueOptions, MEDIA_TYPE, NonceExpectation, Profile, SignedVoucher, unwrap_text,
};

use super::answer::Plan;
use super::check::{VoucherJudge, check_expiry};
use super::images::hex;
use super::{DeviceIdentity, Service, now};
use crate::config::VouchersOnDemandConfig;
use crate::materials::Materials;
use crate::metrics::AskedResult;
use crate::model::{Blob, NewVoucher, VouchersOnDemand};
use crate::outside::{Gate, HttpsPeer, Outgoing, Program, shortened};
use crate::{OutsideError, ServiceError, VoucherOnDemandError, masa};

/// Whom to ask, and how much at a time.
pub(super) struct Vouchers {
    config: VouchersOnDemandConfig,
    gate: Gate,
    program: Option<Program>,
}

/// A MASA, and who asks it.
#[derive(Clone)]
pub(crate) struct MasaAccess {
    pub(crate) peer: HttpsPeer,
    /// The registrar's certificate, then those up to the domain's authority.
    pub(crate) chain: Vec<Certificate>,
    pub(crate) key: SigningKey,
}

impl Vouchers {
    pub(super) fn new(config: &VouchersOnDemandConfig) -> Self {
        Self {
            gate: Gate::new(config.max_parallel, config.timeout_secs),
            program: Program::of(&config.program),
            config: config.clone(),
        }
    }
}

/// What the device is, for whoever makes the voucher.
struct Wanted<'a> {
    serial_number: &'a str,
    idevid: Option<&'a Certificate>,
    nonce: Option<&'a [u8]>,
}

impl Service {
    /// The voucher to be given to a device, and what is to be noted of it. `is_used` says whether
    /// it would be given if there were one.
    pub(super) async fn voucher_for(
        &self,
        plan: &Plan,
        device: &DeviceIdentity,
        nonce: Option<&[u8]>,
        is_used: bool,
    ) -> Result<(Option<Blob>, String), ServiceError> {
        if !is_used {
            return Ok((None, String::new()));
        }
        let vouchers = &self.0.vouchers;
        let of_profile = plan.choice.profile.as_ref();
        let when = of_profile
            .and_then(|profile| profile.spec.vouchers_on_demand)
            .unwrap_or(vouchers.config.when);
        let materials = self.materials();
        let stored = match &plan.spec.voucher {
            None => None,
            Some(voucher) => {
                match check_expiry(&materials, &plan.presented, &voucher.0, now()) {
                    Ok(()) => Some(voucher),
                    // Another may be had.
                    Err(_) if when != VouchersOnDemand::Never => None,
                    Err(error) => return Err(error),
                }
            }
        };
        let is_wanted = match when {
            VouchersOnDemand::Never => false,
            VouchersOnDemand::IfMissing => stored.is_none(),
            VouchersOnDemand::IfNonce | VouchersOnDemand::NonceRequired => {
                stored.is_none() || nonce.is_some()
            }
        };
        if !is_wanted {
            return Ok((stored.cloned(), String::new()));
        }
        let wanted = Wanted {
            serial_number: &plan.presented,
            idevid: device.certificate(),
            nonce,
        };
        let begun = Instant::now();
        // What few devices need shall not make every request's future larger.
        let fetched = Box::pin(self.fetch(&materials, &wanted)).await;
        let result = fetched.as_ref().err().map_or(AskedResult::Got, result_of);
        let seconds = begun.elapsed().as_secs_f64();
        self.0.metrics.vouchers.count(result, seconds);
        let error = match fetched {
            Ok(fetched) => {
                let note = format!("; voucher {} fetched", fetched.described());
                if nonce.is_none() {
                    self.keep_fetched(&wanted, &fetched).await?;
                }
                return Ok((Some(Blob(fetched.octets)), note));
            }
            Err(error) => error,
        };
        let (code, serial_number) = (error.code(), wanted.serial_number);
        tracing::warn!(serial_number, code, %error, "no voucher on demand");
        match stored {
            Some(stored) if when != VouchersOnDemand::NonceRequired => {
                let note =
                    format!("; the voucher that was there, as none was fetched: {code}: {error}");
                Ok((Some(stored.clone()), note))
            }
            _ if error.is_final() => Err(ServiceError::VoucherRefused(error)),
            _ => Err(ServiceError::VoucherUnavailable {
                cause: error,
                retry_after_secs: vouchers.config.retry_after_secs,
            }),
        }
    }

    async fn fetch(
        &self,
        materials: &std::sync::Arc<Materials>,
        wanted: &Wanted<'_>,
    ) -> Result<Fetched, VoucherOnDemandError> {
        if materials.voucher_anchors.is_none() {
            return Err(VoucherOnDemandError::NoAnchors);
        }
        let vouchers = &self.0.vouchers;
        let octets = match (&materials.masa, &vouchers.program) {
            (Some(masa), _) => {
                let request = masa.request(wanted).await?;
                vouchers.gate.pass(masa.ask(request)).await?
            }
            (None, Some(program)) => {
                let document = document(materials, wanted);
                vouchers
                    .gate
                    .pass(program.run(&document, MAX_VOUCHER))
                    .await?
            }
            (None, None) => return Err(VoucherOnDemandError::NobodyToAsk),
        };
        let (materials, serial_number) = (materials.clone(), wanted.serial_number.to_owned());
        let idevid = wanted.idevid.cloned();
        let nonce = wanted.nonce.map(<[u8]>::to_vec);
        // Signatures.
        let judge = move || {
            Fetched::judged(
                &materials,
                &serial_number,
                idevid.as_ref(),
                nonce.as_deref(),
                &octets,
            )
        };
        tokio::task::spawn_blocking(judge)
            .await
            .map_err(|_| OutsideError::Busy)?
    }

    /// As an uploaded one, for the next time.
    async fn keep_fetched(
        &self,
        wanted: &Wanted<'_>,
        fetched: &Fetched,
    ) -> Result<(), ServiceError> {
        let voucher = NewVoucher {
            serial_number: wanted.serial_number.to_owned(),
            sha256: hex(&Sha256::digest(&fetched.octets)),
            voucher: fetched.octets.clone(),
            verified: true,
            expires_on: fetched.signed.unverified().expires_on,
            notes: Some("fetched on demand".to_owned()),
            time: now(),
        };
        self.0.store.keep_vouchers(vec![voucher]).await?;
        Ok(())
    }
}

/// A voucher that holds for the device.
struct Fetched {
    octets: Vec<u8>,
    signed: SignedVoucher,
}

impl Fetched {
    fn judged(
        materials: &Materials,
        serial_number: &str,
        idevid: Option<&Certificate>,
        nonce: Option<&[u8]>,
        octets: &[u8],
    ) -> Result<Self, VoucherOnDemandError> {
        let octets = unwrap_text(octets)
            .map_err(VoucherOnDemandError::Voucher)?
            .0
            .into_owned();
        let signed = SignedVoucher::parse(&octets, Profile::Rfc8366bis)
            .map_err(VoucherOnDemandError::Voucher)?;
        let expected = match nonce {
            Some(nonce) => NonceExpectation::Exact(nonce),
            None => NonceExpectation::None,
        };
        let judge = VoucherJudge::new(materials).map_err(artifacts)?;
        judge
            .judge_for(
                serial_number,
                idevid,
                expected,
                &octets,
                now(),
                &mut Vec::new(),
            )
            .map_err(artifacts)?;
        Ok(Self { octets, signed })
    }

    fn described(&self) -> String {
        let said = self.signed.unverified();
        let bound = match (&said.nonce, said.expires_on) {
            (Some(_), _) => "for this exchange only".to_owned(),
            (None, Some(end)) => format!("until {end}"),
            (None, None) => "without end".to_owned(),
        };
        format!("({}, {bound})", said.assertion)
    }
}

fn artifacts(error: ServiceError) -> VoucherOnDemandError {
    match error {
        ServiceError::Artifacts(error) => VoucherOnDemandError::Artifacts(error),
        _ => VoucherOnDemandError::NoAnchors,
    }
}

impl MasaAccess {
    /// The registrar's request. SZTP devices make none themselves that could be inside.
    async fn request(&self, wanted: &Wanted<'_>) -> Result<Vec<u8>, VoucherOnDemandError> {
        let issuer = wanted
            .idevid
            .and_then(Certificate::authority_key_identifier);
        let request = VoucherRequest {
            created_on: Some(now()),
            idevid_issuer: issuer.map(<[u8]>::to_vec),
            nonce: wanted.nonce.map(<[u8]>::to_vec),
            ..VoucherRequest::new(wanted.serial_number)
        };
        let this = self.clone();
        // An RSA signature takes milliseconds.
        let signing = move || {
            let (registrar, chain) = (&this.chain[0], &this.chain[1..]);
            sign(
                &request,
                &this.key,
                registrar,
                chain,
                &IssueOptions::default(),
            )
        };
        tokio::task::spawn_blocking(signing)
            .await
            .map_err(|_| OutsideError::Busy)?
            .map_err(VoucherOnDemandError::Request)
    }

    async fn ask(&self, request: Vec<u8>) -> Result<Vec<u8>, VoucherOnDemandError> {
        let cms = HeaderValue::from_static(MEDIA_TYPE);
        let reply = self
            .peer
            .send(Outgoing {
                path: format!("{}{}", self.peer.url.path(), masa::PATH),
                headers: vec![(header::CONTENT_TYPE, cms.clone()), (header::ACCEPT, cms)],
                body: Some(request),
                max_answer: MAX_VOUCHER,
            })
            .await?;
        let peer = self.peer.url.to_string();
        if reply.status != StatusCode::OK {
            return Err(OutsideError::Status {
                peer,
                status: reply.status.as_u16(),
                reason: shortened(&reply.body),
            }
            .into());
        }
        let media_type = reply.media_type();
        if media_type != MEDIA_TYPE {
            let problem = format!("answered with {media_type:?} instead of {MEDIA_TYPE}");
            return Err(OutsideError::Answer { peer, problem }.into());
        }
        Ok(reply.body)
    }
}

/// What a program gets to know.
fn document(materials: &Materials, wanted: &Wanted<'_>) -> serde_json::Value {
    let octets = |octets: Option<&[u8]>| octets.map(|octets| STANDARD.encode(octets));
    let issuer = wanted
        .idevid
        .and_then(Certificate::authority_key_identifier);
    json!({
        "serial-number": wanted.serial_number,
        "nonce": octets(wanted.nonce),
        "idevid-issuer": octets(issuer),
        "idevid-certificate": octets(wanted.idevid.map(Certificate::as_der)),
        "pinned-domain-cert": STANDARD.encode(materials.pinned_domain_cert.as_der()),
    })
}

fn result_of(error: &VoucherOnDemandError) -> AskedResult {
    match error {
        VoucherOnDemandError::Outside(OutsideError::Busy) => AskedResult::Busy,
        VoucherOnDemandError::Outside(OutsideError::Answer { .. })
        | VoucherOnDemandError::Voucher(_)
        | VoucherOnDemandError::Artifacts(_) => AskedResult::Bad,
        error if error.is_final() => AskedResult::Refused,
        _ => AskedResult::Failed,
    }
}

/// A voucher holds one certificate, its message a chain.
const MAX_VOUCHER: usize = 256 * 1024;
