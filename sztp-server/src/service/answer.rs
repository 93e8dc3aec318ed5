//! `get-bootstrapping-data` (RFC 8572 §7.3): what a device is given, put together and signed when
//! it asks.

use std::fmt::Write as _;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use sztp_cms::{CmsError, ContentInfo, SignedDataBuilder, oids};
use sztp_core::artifacts::content_type;
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::lifecycle::{self, Event, Policy};
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ReportingLevel};
use sztp_voucher::yang::Encoding;

use super::catalog::{Catalog, Choice, with_profile};
use super::check::Presigned;
use super::{DeviceIdentity, Service, now, render};
use crate::dialect::{Dialect, Observed};
use crate::error::Fault;
use crate::materials::Materials;
use crate::model::{
    Answer, Blob, ContentTypeChoice, ConveyedEncoding, DeviceSpec, Level, PresignedSpec, Reported,
    Variables,
};
use crate::store::{Effect, Occurrence, Served, StoredDevice};
use crate::{LdevidError, ServiceError};

/// What a device is given, and in which form.
#[derive(Debug)]
pub struct Answered {
    output: GetBootstrappingDataOutput,
    dialect: Arc<Dialect>,
    observed: Observed,
}

impl Answered {
    /// The leaves.
    pub fn output(&self) -> &GetBootstrappingDataOutput {
        &self.output
    }

    /// The media type that the device wants to see.
    pub(crate) fn media_type(&self, encoding: Encoding) -> &'static str {
        self.dialect.media_type(encoding, &self.observed)
    }
}

/// An answer, and how it is remembered.
struct Prepared {
    output: GetBootstrappingDataOutput,
    event: &'static str,
    message: String,
    promoted: bool,
    /// Whether it will report here: not one that is sent elsewhere.
    expects_word: bool,
}

impl Service {
    /// `get-bootstrapping-data` (RFC 8572 §7.3).
    ///
    /// That the device was served is on disk before the answer is given.
    pub async fn answer(
        &self,
        device: &DeviceIdentity,
        input: &GetBootstrappingDataInput,
    ) -> Result<Answered, ServiceError> {
        let stored = self.0.store.device(device.serial_number()).await?;
        let Some(stored) = stored else {
            return Err(self.unknown(device, reported_in(input)).await?);
        };
        let plan = self.plan(stored, device, input).await?;
        let stored = &plan.stored;
        let served = |promoted_at, expects_word| Effect::Lifecycle {
            event: Event::Served,
            policy: Policy {
                reprovision: plan.spec.reprovision.unwrap_or(self.0.answers.reprovision),
            },
            default_timeout_secs: self.0.answers.progress_timeout_secs,
            expects_word,
            promoted_at,
        };
        if let Effect::Lifecycle { event, policy, .. } = &served(None, false)
            && let Err(refusal) = lifecycle::apply(&stored.status, event, *policy)
        {
            let occurrence = device.occurrence("refused", &asked(input));
            self.record(Occurrence {
                effect: served(None, false),
                ..occurrence
            })
            .await?;
            return Err(refusal.into());
        }
        let prepared = match self.prepare(&plan, device, input).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let event = match &error {
                    ServiceError::Ldevid {
                        cause: LdevidError::Wanted(_),
                        ..
                    } => "csr-requested",
                    _ => "refused",
                };
                let reason = format!("{}: {error}", error.code());
                let effect = match error {
                    // The operator, or whoever was asked, is not ready; nothing is wrong with the
                    // device.
                    ServiceError::NothingToGive
                    | ServiceError::VoucherUnavailable { .. }
                    | ServiceError::VoucherRefused(_) => Effect::Noted,
                    ServiceError::Ldevid { ref cause, .. }
                        if matches!(cause.fault(), Fault::None | Fault::Passing) =>
                    {
                        Effect::Noted
                    }
                    _ => Effect::Lifecycle {
                        event: Event::ValidationFailed {
                            reason: reason.clone(),
                        },
                        policy: Policy::default(),
                        default_timeout_secs: 0,
                        expects_word: false,
                        promoted_at: None,
                    },
                };
                let occurrence = device.occurrence(event, &reason);
                self.record(Occurrence {
                    effect,
                    ..occurrence
                })
                .await?;
                return Err(error);
            }
        };
        let message = format!(
            "{}{}{}; serial number from {}",
            prepared.message,
            asked(input),
            plan.dialect.note(&plan.spec.dialect),
            device.origin()
        );
        let occurrence = device.occurrence(prepared.event, &message);
        let effect = served(
            prepared.promoted.then_some(occurrence.time),
            prepared.expects_word,
        );
        let recorded = self
            .record(Occurrence {
                effect,
                served: plan.news(),
                ..occurrence
            })
            .await?;
        // Removed, or changed by another request, in the meantime.
        let recorded = recorded.ok_or(ServiceError::DeviceUnknown)?;
        match recorded.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(Answered {
                output: prepared.output,
                dialect: plan.dialect,
                observed: device.observed().clone(),
            }),
        }
    }

    /// What a device is to be given, before it is put together.
    async fn plan(
        &self,
        mut stored: StoredDevice,
        device: &DeviceIdentity,
        input: &GetBootstrappingDataInput,
    ) -> Result<Plan, ServiceError> {
        let catalog = self.catalog(stored.generation).await?;
        let before = stored.device.reported.clone();
        let known = |new: Option<&str>, old: &Option<String>| {
            let short = |text: &str| text.chars().take(MAX_REPORTED).collect();
            new.map(short).or_else(|| old.clone())
        };
        stored.device.reported = Reported {
            vendor: known(device.vendor(), &before.vendor),
            hw_model: known(input.hw_model.as_deref(), &before.hw_model),
            os_name: known(input.os_name.as_deref(), &before.os_name),
            os_version: known(input.os_version.as_deref(), &before.os_version),
        };
        let choice = catalog.choose(&stored.device, &stored.device.reported);
        let mut spec = with_profile(&stored.device.spec, choice.profile.as_deref());
        spec.voucher = stored.voucher.take();
        let set = spec.dialect.as_deref().unwrap_or(&self.0.answers.dialect);
        let observed = Observed {
            os_name: stored.device.reported.os_name.clone(),
            ..device.observed().clone()
        };
        let dialect = self.0.dialects.choose(set, &observed);
        let spec = dialect.complete(spec);
        Ok(Plan {
            trusting: trusts_this_server(input, &stored),
            dialect,
            presented: device.serial_number().to_owned(),
            spec,
            before,
            catalog,
            choice,
            stored,
        })
    }

    async fn prepare(
        &self,
        plan: &Plan,
        device: &DeviceIdentity,
        input: &GetBootstrappingDataInput,
    ) -> Result<Prepared, ServiceError> {
        let spec = &plan.spec;
        let wants_signed = input.signed_data_preferred;
        let is_onboarding = match (&spec.answer, &plan.choice.profile) {
            (Answer::Nothing | Answer::Profile, Some(profile)) => {
                if !profile.spec.gives_something() {
                    return Err(ServiceError::NothingToGive);
                }
                true
            }
            (Answer::Nothing | Answer::Profile, None) => return Err(ServiceError::NothingToGive),
            (Answer::Presigned(presigned), _) => return as_it_is(presigned, plan, wants_signed),
            (Answer::Onboarding(_), _) => true,
            (Answer::Redirect(_), _) => false,
        };
        // Unsigned redirect information is of use to every device (RFC 8572 §5.5), and to some of
        // more use than signed.
        let leave_unsigned = !is_onboarding && spec.sign == Some(false);
        let promote = !plan.trusting
            && is_onboarding
            && spec.promote.unwrap_or(self.0.answers.promote)
            && self.materials().tls_anchor.is_some();
        let sign = wants_signed
            || spec.sign.unwrap_or(self.0.answers.sign)
            || !self.0.answers.allow_unsigned;
        // Not of a device that does not trust this server: it could not believe the question, and
        // shall not tell more of itself (RFC 9646 §4.1.4).
        // LEDGER: 9646-4.2.3-01
        let (issued, ldevid_note) = if is_onboarding && plan.trusting && !spec.answer.is_own() {
            self.ldevid_for(plan, device, input).await?
        } else {
            <_>::default()
        };
        let is_used = !leave_unsigned && (promote || sign);
        let nonce = input.nonce.as_deref();
        let (voucher, note) = self.voucher_for(plan, device, nonce, is_used).await?;
        let materials = self.materials();
        // LEDGER: 8572-9.6-05, 8572-B-01
        if promote
            && let Some(voucher) = &voucher
            && let Some(anchor) = &materials.tls_anchor
        {
            let redirect = self.redirect_here(anchor.clone());
            let output = signed(materials, redirect, plan, voucher).await?;
            return Ok(Prepared {
                output,
                event: "promoted",
                message: format!("signed redirect information to this server{note}"),
                promoted: true,
                expects_word: true,
            });
        }
        let (info, mut versions) = self.content(plan, &issued).await?;
        versions.push_str(&ldevid_note);
        versions.push_str(&note);
        if let Some(voucher) = voucher.filter(|_| is_used && sign) {
            let mut output = signed(materials, info, plan, &voucher).await?;
            output.reporting_level = plan.reporting_level(is_onboarding);
            return Ok(Prepared::served("signed", is_onboarding, &versions, output));
        }
        // LEDGER: 8572-7.3-02
        if (wants_signed && is_onboarding) || (!is_onboarding && spec.sign == Some(true)) {
            return Err(ServiceError::NothingSigned);
        }
        if is_onboarding && !self.0.answers.allow_unsigned {
            return Err(ServiceError::UnsignedForbidden);
        }
        let output = GetBootstrappingDataOutput {
            reporting_level: plan.reporting_level(is_onboarding),
            conveyed_information: ContentInfo::unsigned(
                content_type(encoding(spec)),
                &plan.dialect.encode(&info, encoding(spec)),
            ),
            owner_certificate: None,
            ownership_voucher: None,
        };
        Ok(Prepared::served(
            "unsigned",
            is_onboarding,
            &versions,
            output,
        ))
    }
}

impl Service {
    /// What is conveyed to a device, and how it is remembered.
    async fn content(
        &self,
        plan: &Plan,
        issued: &Variables,
    ) -> Result<(ConveyedInfo, String), ServiceError> {
        let versions = match &plan.choice.profile {
            Some(profile) => format!("; profile {}", profile.name),
            None => String::new(),
        };
        let info = match (&plan.spec.answer, &plan.choice.profile) {
            (Answer::Onboarding(onboarding), _) => self.onboarding(onboarding).await?,
            (Answer::Redirect(redirect), _) => render::redirect(redirect)?,
            (_, None) => return Err(ServiceError::NothingToGive),
            (_, Some(profile)) => {
                let given = self
                    .by_profile(&plan.catalog, profile, &plan.stored.device, issued)
                    .await?;
                let info = self.onboarding(&given.onboarding).await?;
                return Ok((info, format!("; {}", given.versions)));
            }
        };
        Ok((info, versions))
    }
}

/// What a device is to be given, before it is put together.
pub(super) struct Plan {
    pub(super) stored: StoredDevice,
    /// The serial number of the device's certificate, which need not be the one it is filed under.
    pub(super) presented: String,
    /// What is set for the device, by itself or by its profile.
    pub(super) spec: DeviceSpec,
    /// What it said of itself the last time.
    before: Reported,
    pub(super) catalog: Arc<Catalog>,
    pub(super) choice: Choice,
    dialect: Arc<Dialect>,
    /// Whether the device trusts this server, as far as one can tell.
    pub(super) trusting: bool,
}

impl Plan {
    /// What is to be remembered with the device; mostly it is what is there already.
    fn news(&self) -> Option<Served> {
        let device = &self.stored.device;
        let profile = self.choice.profile.as_deref();
        let served = Served {
            profile: profile.map(|profile| profile.name.clone()),
            progress_timeout_secs: profile.and_then(|profile| profile.spec.progress_timeout_secs),
            reported: device.reported.clone(),
            dialect: Some(self.dialect.name.clone()),
        };
        let same = served.profile == device.served_profile
            && served.progress_timeout_secs == self.stored.served_timeout
            && served.reported == self.before
            && served.dialect == self.stored.served_dialect;
        (!same).then_some(served)
    }
}

impl Plan {
    /// LEDGER: 8572-7.3-06, 8572-7.3-09: only those report who trust this server and onboard here.
    fn reporting_level(&self, is_onboarding: bool) -> Option<ReportingLevel> {
        let wanted = self.trusting && is_onboarding && self.dialect.takes_reporting_level();
        wanted.then_some(match self.spec.reporting_level {
            Some(Level::Minimal) => ReportingLevel::Minimal,
            None | Some(Level::Verbose) => ReportingLevel::Verbose,
        })
    }
}

impl Prepared {
    fn served(
        how: &str,
        is_onboarding: bool,
        versions: &str,
        output: GetBootstrappingDataOutput,
    ) -> Self {
        let what = if is_onboarding {
            "onboarding"
        } else {
            "redirect"
        };
        let message = format!("{how} {what} information{versions}");
        Self {
            output,
            event: "served",
            message,
            promoted: false,
            expects_word: is_onboarding,
        }
    }
}

/// Artifacts that were made elsewhere.
fn as_it_is(
    presigned: &PresignedSpec,
    plan: &Plan,
    wants_signed: bool,
) -> Result<Prepared, ServiceError> {
    let look = Presigned::look_at(presigned)?;
    if wants_signed && look.is_unsigned() && look.is_onboarding() == Some(true) {
        return Err(ServiceError::NothingSigned);
    }
    let octets = |blob: &Option<Blob>| blob.as_ref().map(|blob| blob.0.clone());
    let output = GetBootstrappingDataOutput {
        // What is encrypted may be either.
        reporting_level: plan.reporting_level(look.is_onboarding() != Some(false)),
        conveyed_information: presigned.conveyed_information.0.clone(),
        owner_certificate: octets(&presigned.owner_certificate),
        ownership_voucher: octets(&presigned.ownership_voucher),
    };
    let message = "artifacts as uploaded".to_owned();
    Ok(Prepared {
        output,
        event: "served",
        message,
        promoted: false,
        expects_word: look.is_onboarding() != Some(false),
    })
}

async fn signed(
    materials: Arc<Materials>,
    info: ConveyedInfo,
    plan: &Plan,
    voucher: &Blob,
) -> Result<GetBootstrappingDataOutput, ServiceError> {
    let content_type = econtent_type(&plan.spec);
    let document = plan.dialect.encode(&info, encoding(&plan.spec));
    let owner_certificate = Some(materials.owner_artifact.clone());
    // An RSA signature takes milliseconds.
    let conveyed_information =
        tokio::task::spawn_blocking(move || sign(&materials, document, content_type))
            .await
            .map_err(|_| ServiceError::Stopping)?
            .map_err(ServiceError::Signing)?;
    Ok(GetBootstrappingDataOutput {
        reporting_level: None,
        conveyed_information,
        owner_certificate,
        ownership_voucher: Some(voucher.0.clone()),
    })
}

pub(super) fn sign(
    materials: &Materials,
    document: Vec<u8>,
    content_type: ObjectIdentifier,
) -> Result<Vec<u8>, CmsError> {
    SignedDataBuilder::new(content_type, document)
        .sign(materials.owner_key.as_ref(), &materials.owner)
}

/// The encoding inside, whatever the RPC's is.
fn encoding(spec: &DeviceSpec) -> Encoding {
    match spec.conveyed_encoding {
        None | Some(ConveyedEncoding::Json) => Encoding::Json,
        Some(ConveyedEncoding::Xml) => Encoding::Xml,
    }
}

fn econtent_type(spec: &DeviceSpec) -> ObjectIdentifier {
    match spec.content_type {
        None | Some(ContentTypeChoice::Sztp) => content_type(encoding(spec)),
        Some(ContentTypeChoice::IdData) => oids::ID_DATA,
    }
}

/// Some devices prefer signed data whether they trust the server or not. One that says what it is
/// trusts it (RFC 8572 §5.3), and one that was just sent back here with the server's anchor most
/// likely does; if not, it cannot be promoted, and gets its data instead of another redirect.
fn trusts_this_server(input: &GetBootstrappingDataInput, stored: &StoredDevice) -> bool {
    !input.signed_data_preferred
        || input.hw_model.is_some()
        || input.os_name.is_some()
        || input.os_version.is_some()
        || was_just_promoted(stored)
}

fn was_just_promoted(stored: &StoredDevice) -> bool {
    stored
        .promoted_at
        .is_some_and(|at| now() <= at.plus_secs(PROMOTION_SECS))
}

fn reported_in(input: &GetBootstrappingDataInput) -> Reported {
    let short = |text: &Option<String>| {
        let text = text.as_deref()?;
        Some(text.chars().take(MAX_REPORTED).collect())
    };
    Reported {
        vendor: None,
        hw_model: short(&input.hw_model),
        os_name: short(&input.os_name),
        os_version: short(&input.os_version),
    }
}

/// What the device says of itself, for the history.
fn asked(input: &GetBootstrappingDataInput) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("hw-model", &input.hw_model),
        ("os-name", &input.os_name),
        ("os-version", &input.os_version),
    ] {
        if let Some(value) = value {
            let value: String = value.chars().take(128).collect();
            let _ = write!(text, "; {name} {value}");
        }
    }
    if input.signed_data_preferred {
        text.push_str("; signed-data-preferred");
    }
    text
}

/// Characters of what a device says of itself that are kept.
const MAX_REPORTED: usize = 128;

/// How long a device may take to come back from a redirect to this server.
const PROMOTION_SECS: i64 = 600;
