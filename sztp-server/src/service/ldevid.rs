//! LDevIDs (RFC 9646): a device is asked for a certificate signing request, and given the certificate
//! within its configuration.
//!
//! Who asks is known by its IDevID in TLS. What it asks for is judged by [`request`], the
//! certificate comes from the built-in CA ([`issue`]), over EST, or from a program. The same request
//! again gets the same certificate, also from another process.

mod issue;
mod request;

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sztp_cms::{Certificate, ProvenRequest, certs_only};
use sztp_core::csr::{CMC_CSR, CMP_CSR};
use sztp_core::rpc::{Csr, GetBootstrappingDataInput};

use super::answer::Plan;
use super::images::hex;
use super::templates::{self, Compiled};
use super::{DeviceIdentity, Service, now};
use crate::config::LdevidConfig;
use crate::host_name::is_host_name;
use crate::materials::Materials;
use crate::metrics::AskedResult;
use crate::model::{
    Ldevid, LdevidFilter, LdevidIssuer, LdevidSpec, Listed, Page, Profile, Variables,
};
use crate::outside::{Gate, Program};
use crate::store::NewLdevid;
use crate::{LdevidError, OutsideError, ServiceError};

pub(crate) use issue::BuiltInCa;

/// What is asked for and who issues.
pub(super) struct Ldevids {
    config: LdevidConfig,
    gate: Gate,
    program: Option<Program>,
}

impl Ldevids {
    pub(super) fn new(config: &LdevidConfig) -> Self {
        Self {
            gate: Gate::new(config.max_parallel, config.timeout_secs),
            program: Program::of(&config.program),
            config: config.clone(),
        }
    }
}

/// What a certificate is to say beside what was asked for.
pub(super) struct Terms<'a> {
    dns_names: Vec<String>,
    validity_days: u32,
    server_auth: bool,
    serial_number: &'a str,
    profile: &'a str,
}

impl Service {
    /// The variables by which templates name a device's certificate, and what is to be noted; an
    /// error asks the device for a signing request, or refuses the one that it sent.
    pub(super) async fn ldevid_for(
        &self,
        plan: &Plan,
        device: &DeviceIdentity,
        input: &GetBootstrappingDataInput,
    ) -> Result<(Variables, String), ServiceError> {
        let Some(profile) = plan.choice.profile.as_deref() else {
            return Ok(<_>::default());
        };
        let spec = profile.spec.ldevid.clone().unwrap_or_default();
        // LEDGER: 9646-2.3-06
        if !self.issues_ldevids(profile) {
            return Ok(<_>::default());
        }
        // What few devices need shall not make every request's future larger.
        let issued = Box::pin(self.issued(plan, device, input, &spec, profile)).await;
        issued.map_err(|cause| {
            let cause = match cause {
                ServiceError::Ldevid { cause, .. } => cause,
                other => return other,
            };
            let metrics = &self.0.metrics.ldevids;
            match &cause {
                LdevidError::Wanted(_) => metrics.requested(),
                _ => metrics.refused(),
            }
            let retry_after_secs = match &cause {
                LdevidError::Outside(OutsideError::Pending {
                    retry_after_secs, ..
                }) => *retry_after_secs,
                _ => self.0.ldevids.config.retry_after_secs,
            };
            ServiceError::Ldevid {
                cause,
                retry_after_secs,
            }
        })
    }

    /// Certificates that were issued, in that order.
    pub async fn ldevids(
        &self,
        filter: LdevidFilter,
        page: Page,
    ) -> Result<Listed<Ldevid>, ServiceError> {
        Ok(self.0.store.ldevids(filter, page).await?)
    }

    /// Whether devices of a profile are asked for signing requests.
    pub(super) fn issues_ldevids(&self, profile: &Profile) -> bool {
        let of_profile = profile.spec.ldevid.as_ref();
        of_profile
            .and_then(|spec| spec.enabled)
            .unwrap_or(self.0.ldevids.config.enabled)
    }

    /// Whether anybody is configured to issue.
    pub(super) fn can_issue_ldevids(&self) -> bool {
        self.0.ldevids.config.issuer().is_some()
    }

    async fn issued(
        &self,
        plan: &Plan,
        device: &DeviceIdentity,
        input: &GetBootstrappingDataInput,
        spec: &LdevidSpec,
        profile: &Profile,
    ) -> Result<(Variables, String), ServiceError> {
        let config = &self.0.ldevids.config;
        let idevid = device.certificate();
        let without = |error: LdevidError| match spec.required {
            Some(true) => Err(error.into()),
            _ => Ok(<_>::default()),
        };
        let csr = match (&input.csr, &input.csr_support) {
            (Some(Csr::P10(csr)), _) => csr,
            (Some(other), _) => {
                let format = match other {
                    Csr::Cmp(_) => CMP_CSR,
                    _ => CMC_CSR,
                };
                let format = format.to_owned();
                return Err(LdevidError::FormatUnsupported { format }.into());
            }
            (None, Some(support)) => {
                let Some(idevid) = idevid else {
                    return without(LdevidError::IdevidMissing);
                };
                return match request::question(config, support, idevid) {
                    // LEDGER: 9646-2.3-02
                    Ok(question) => Err(LdevidError::Wanted(question).into()),
                    Err(error) => without(error),
                };
            }
            (None, None) => return without(LdevidError::NotSupported),
        };
        let idevid = idevid.ok_or(LdevidError::IdevidMissing)?;
        let terms = Terms {
            dns_names: dns_names(plan, spec, profile)?,
            validity_days: spec.validity_days.unwrap_or(config.validity_days),
            server_auth: spec.server_auth == Some(true),
            serial_number: &plan.stored.device.serial_number,
            profile: &profile.name,
        };
        let request = request::judged(csr, config, idevid, &plan.presented, &terms.dns_names)?;
        let (ldevid, is_new) = self.certified(request, idevid, &terms).await?;
        let note = format!(
            "; LDevID {} of {} until {}",
            ldevid.certificate_serial, ldevid.issuer, ldevid.not_after
        );
        if is_new {
            let what = format!(
                "certificate {} for {}, by {}, until {}",
                ldevid.certificate_serial, ldevid.subject, ldevid.issuer, ldevid.not_after
            );
            self.record(device.occurrence("ldevid-issued", &what))
                .await?;
        }
        Ok((variables(&ldevid)?, note))
    }

    /// The certificate for a request: the one that was issued for it, or a new one, which is kept
    /// before anybody gets it.
    async fn certified(
        &self,
        request: ProvenRequest,
        idevid: &Certificate,
        terms: &Terms<'_>,
    ) -> Result<(Ldevid, bool), ServiceError> {
        let csr_sha256 = hex(&Sha256::digest(request.as_der()));
        let time = now();
        let known = self
            .0
            .store
            .ldevid(terms.serial_number, &csr_sha256)
            .await?
            .filter(|known| known.not_after > time);
        let issuer = self
            .0
            .ldevids
            .config
            .issuer()
            .ok_or(LdevidError::NoIssuer)?;
        if let Some(known) = known {
            self.0.metrics.ldevids.repeated();
            return Ok((known, false));
        }
        let begun = Instant::now();
        let issued = self.issue(issuer, request, idevid, terms).await;
        if issuer != LdevidIssuer::BuiltIn {
            let result = issued.as_ref().err().map_or(AskedResult::Got, result_of);
            let seconds = begun.elapsed().as_secs_f64();
            self.0.metrics.enrolments.count(result, seconds);
        }
        let chain = issued?;
        let leaf = &chain[0];
        let new = NewLdevid {
            serial_number: terms.serial_number.to_owned(),
            csr_sha256,
            issuer: issuer.as_str().to_owned(),
            profile: Some(terms.profile.to_owned()),
            subject: leaf.subject(),
            certificate_serial: leaf.serial_hex(),
            not_after: leaf.not_after(),
            created_at: time,
            chain: chain.iter().map(Certificate::to_pem).collect(),
        };
        let serial = new.certificate_serial.clone();
        let kept = self.0.store.keep_ldevid(new).await?;
        // Another request with the same was faster.
        let is_new = kept.certificate_serial == serial;
        if is_new {
            self.0.metrics.ldevids.issued(issuer);
        }
        Ok((kept, is_new))
    }

    /// A chain whose first certificate is for the request's key, and holds now.
    async fn issue(
        &self,
        issuer: LdevidIssuer,
        request: ProvenRequest,
        idevid: &Certificate,
        terms: &Terms<'_>,
    ) -> Result<Vec<Certificate>, LdevidError> {
        let (materials, ldevids) = (self.materials(), &self.0.ldevids);
        let spki = request.spki_der().to_vec();
        let found = match issuer {
            LdevidIssuer::BuiltIn => {
                let ca = materials.ldevid_ca.clone().ok_or(LdevidError::NoIssuer)?;
                let validity = (now(), terms.validity_days);
                let (dns_names, server_auth) = (terms.dns_names.clone(), terms.server_auth);
                // RSA, or a token.
                let work = move || ca.issue(&request, &dns_names, validity, server_auth);
                tokio::task::spawn_blocking(work)
                    .await
                    .map_err(|_| OutsideError::Busy)??
            }
            LdevidIssuer::Est => {
                let est = materials.est.as_ref().ok_or(LdevidError::NoIssuer)?;
                let enrolled = est.simple_enroll(request.as_der());
                ldevids.gate.pass(enrolled).await?
            }
            LdevidIssuer::Program => {
                let program = ldevids.program.as_ref().ok_or(LdevidError::NoIssuer)?;
                let document = document(&materials, &request, idevid, terms);
                let printed = ldevids
                    .gate
                    .pass(program.run(&document, MAX_CHAIN_OCTETS))
                    .await?;
                issue::certificates_in(&printed)?
            }
        };
        issue::ordered(found, &spki, now())
    }
}

/// What the device may be called, filled in.
fn dns_names(
    plan: &Plan,
    spec: &LdevidSpec,
    profile: &Profile,
) -> Result<Vec<String>, LdevidError> {
    if spec.dns_names.is_empty() {
        return Ok(Vec::new());
    }
    let of_profile = Some(&profile.spec.variables);
    let context = templates::context(&plan.stored.device, &plan.catalog.variables, of_profile);
    let context = minijinja::Value::from(minijinja::value::Serde(&context));
    let problem = |problem: String| LdevidError::Name { problem };
    let fill_in = |template: &String| {
        let compiled = Compiled::jinja("ldevid.dns_names", template.clone().into_bytes())
            .map_err(|error| problem(error.to_string()))?;
        let name = compiled
            .render(&context, MAX_NAME)
            .map_err(|error| problem(error.to_string()))?;
        let name = String::from_utf8_lossy(&name).trim().to_ascii_lowercase();
        if is_host_name(&name) {
            Ok(name)
        } else {
            Err(problem(format!("{name:?} is no host name")))
        }
    };
    spec.dns_names.iter().map(fill_in).collect()
}

impl From<LdevidError> for ServiceError {
    fn from(cause: LdevidError) -> Self {
        Self::Ldevid {
            cause,
            retry_after_secs: 0,
        }
    }
}

/// What templates see as `ldevid`.
fn variables(ldevid: &Ldevid) -> Result<Variables, ServiceError> {
    let damaged = |_| LdevidError::OtherKey;
    let chain = Certificate::list_from_pem_or_der(ldevid.chain.as_bytes()).map_err(damaged)?;
    let Some((leaf, rest)) = chain.split_first() else {
        return Err(LdevidError::OtherKey.into());
    };
    let message = certs_only(&chain, &[]).map_err(LdevidError::Message)?;
    let value = json!({
        "certificate": leaf.to_pem(),
        "intermediates": rest.iter().map(Certificate::to_pem).collect::<String>(),
        "chain": ldevid.chain,
        "certificate_base64": STANDARD.encode(leaf.as_der()),
        "certs_only_base64": STANDARD.encode(message),
        "subject": ldevid.subject,
        "serial_number": ldevid.certificate_serial,
        "not_after": ldevid.not_after.to_string(),
    });
    Ok([(VARIABLE.to_owned(), value)].into())
}

/// What stands for a certificate that is yet to be issued.
pub(super) fn stand_in() -> (String, Value) {
    let members = [
        "certificate",
        "intermediates",
        "chain",
        "certificate_base64",
        "certs_only_base64",
        "subject",
        "serial_number",
        "not_after",
    ];
    let value = members.map(|name| (name.to_owned(), Value::from("0")));
    (
        VARIABLE.to_owned(),
        Value::Object(value.into_iter().collect()),
    )
}

/// What a program gets to know.
fn document(
    materials: &Arc<Materials>,
    request: &ProvenRequest,
    idevid: &Certificate,
    terms: &Terms<'_>,
) -> Value {
    json!({
        "serial-number": terms.serial_number,
        "profile": terms.profile,
        "csr": STANDARD.encode(request.as_der()),
        "subject": request.subject(),
        "idevid-certificate": STANDARD.encode(idevid.as_der()),
        "owner-certificate": STANDARD.encode(materials.owner.as_der()),
        "dns-names": terms.dns_names,
        "validity-days": terms.validity_days,
    })
}

fn result_of(error: &LdevidError) -> AskedResult {
    match error {
        LdevidError::Outside(OutsideError::Busy) => AskedResult::Busy,
        LdevidError::Outside(OutsideError::Answer { .. })
        | LdevidError::Certificates(_)
        | LdevidError::Message(_)
        | LdevidError::OtherKey
        | LdevidError::NotValid { .. } => AskedResult::Bad,
        LdevidError::Outside(error) if error.is_final() => AskedResult::Refused,
        _ => AskedResult::Failed,
    }
}

/// By which templates name it.
const VARIABLE: &str = "ldevid";

/// Octets of a name (RFC 1035 §2.3.4), and of space around it.
const MAX_NAME: usize = 512;

const MAX_CHAIN_OCTETS: usize = 256 * 1024;
