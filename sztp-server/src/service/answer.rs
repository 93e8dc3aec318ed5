//! `get-bootstrapping-data` (RFC 8572 §7.3): what a device is given, put together and signed when
//! it asks.

use std::fmt::Write as _;
use std::sync::Arc;

use der::asn1::ObjectIdentifier;
use sztp_cms::{CmsError, oids};
use sztp_core::artifacts::{content_type, sign_artifact, unsigned_artifact};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::lifecycle::{self, Event, Policy};
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ReportingLevel};
use sztp_voucher::yang::Encoding;

use super::check::{Presigned, check_expiry};
use super::{DeviceIdentity, Service, now, render};
use crate::ServiceError;
use crate::materials::Materials;
use crate::model::{
    Answer, Blob, ContentTypeChoice, ConveyedEncoding, DeviceSpec, Level, PresignedSpec,
};
use crate::store::{Effect, Occurrence, StoredDevice};

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
    ) -> Result<GetBootstrappingDataOutput, ServiceError> {
        let stored = self.0.store.device(device.serial_number()).await?;
        let stored = stored.ok_or(ServiceError::DeviceUnknown)?;
        let spec = &stored.device.spec;
        let served = |promoted_at, expects_word| Effect::Lifecycle {
            event: Event::Served,
            policy: Policy {
                reprovision: spec.reprovision.unwrap_or(self.0.answers.reprovision),
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
        let prepared = match self.prepare(&stored, input).await {
            Ok(prepared) => prepared,
            Err(error) => {
                let reason = format!("{}: {error}", error.code());
                let effect = match error {
                    // The operator is not ready; nothing is wrong with the device.
                    ServiceError::NothingToGive => Effect::Noted,
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
                let occurrence = device.occurrence("refused", &reason);
                self.record(Occurrence {
                    effect,
                    ..occurrence
                })
                .await?;
                return Err(error);
            }
        };
        let message = format!("{}{}", prepared.message, asked(input));
        let occurrence = device.occurrence(prepared.event, &message);
        let effect = served(
            prepared.promoted.then_some(occurrence.time),
            prepared.expects_word,
        );
        let recorded = self
            .record(Occurrence {
                effect,
                ..occurrence
            })
            .await?;
        // Removed, or changed by another request, in the meantime.
        let recorded = recorded.ok_or(ServiceError::DeviceUnknown)?;
        match recorded.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(prepared.output),
        }
    }

    async fn prepare(
        &self,
        stored: &StoredDevice,
        input: &GetBootstrappingDataInput,
    ) -> Result<Prepared, ServiceError> {
        let spec = &stored.device.spec;
        let untrusting = input.signed_data_preferred;
        let info = match &spec.answer {
            Answer::Nothing | Answer::Profile => return Err(ServiceError::NothingToGive),
            Answer::Presigned(presigned) => return as_it_is(presigned, spec, untrusting),
            Answer::Onboarding(onboarding) => self.onboarding(onboarding).await?,
            Answer::Redirect(redirect) => render::redirect(redirect)?,
        };
        let is_onboarding = matches!(info, ConveyedInfo::Onboarding(_));
        let materials = self.materials();
        if let Some(voucher) = &spec.voucher {
            check_expiry(&materials, &stored.device.serial_number, &voucher.0, now())?;
            // LEDGER: 8572-9.6-05, 8572-B-01
            if untrusting
                && is_onboarding
                && spec.promote.unwrap_or(self.0.answers.promote)
                && !was_just_promoted(stored)
                && let Some(anchor) = &materials.tls_anchor
            {
                let redirect = self.redirect_here(anchor.clone());
                let output = signed(materials, redirect, spec, voucher).await?;
                return Ok(Prepared {
                    output,
                    event: "promoted",
                    message: "signed redirect information to this server".to_owned(),
                    promoted: true,
                    expects_word: true,
                });
            }
            let sign = spec.sign.unwrap_or(self.0.answers.sign) || !self.0.answers.allow_unsigned;
            if untrusting || sign {
                let mut output = signed(materials, info, spec, voucher).await?;
                output.reporting_level = reporting_level(spec, untrusting, is_onboarding);
                return Ok(Prepared::served("signed", is_onboarding, output));
            }
        }
        // LEDGER: 8572-7.3-02
        if untrusting && is_onboarding {
            return Err(ServiceError::NothingSigned);
        }
        if is_onboarding && !self.0.answers.allow_unsigned {
            return Err(ServiceError::UnsignedForbidden);
        }
        let output = GetBootstrappingDataOutput {
            reporting_level: reporting_level(spec, untrusting, is_onboarding),
            conveyed_information: unsigned_artifact(&info, encoding(spec)),
            owner_certificate: None,
            ownership_voucher: None,
        };
        Ok(Prepared::served("unsigned", is_onboarding, output))
    }
}

impl Prepared {
    fn served(how: &str, is_onboarding: bool, output: GetBootstrappingDataOutput) -> Self {
        let what = if is_onboarding {
            "onboarding"
        } else {
            "redirect"
        };
        let message = format!("{how} {what} information");
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
    spec: &DeviceSpec,
    untrusting: bool,
) -> Result<Prepared, ServiceError> {
    let look = Presigned::look_at(presigned)?;
    if untrusting && look.is_unsigned() && look.is_onboarding() == Some(true) {
        return Err(ServiceError::NothingSigned);
    }
    let octets = |blob: &Option<Blob>| blob.as_ref().map(|blob| blob.0.clone());
    let output = GetBootstrappingDataOutput {
        // What is encrypted may be either.
        reporting_level: reporting_level(spec, untrusting, look.is_onboarding() != Some(false)),
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
    spec: &DeviceSpec,
    voucher: &Blob,
) -> Result<GetBootstrappingDataOutput, ServiceError> {
    let (encoding, content_type) = (encoding(spec), econtent_type(spec));
    let owner_certificate = Some(materials.owner_artifact.clone());
    // An RSA signature takes milliseconds.
    let conveyed_information =
        tokio::task::spawn_blocking(move || sign(&materials, &info, encoding, content_type))
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
    info: &ConveyedInfo,
    encoding: Encoding,
    content_type: ObjectIdentifier,
) -> Result<Vec<u8>, CmsError> {
    sign_artifact(
        info,
        encoding,
        content_type,
        &materials.owner_key,
        &materials.owner,
    )
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

/// LEDGER: 8572-7.3-06, 8572-7.3-09: only those report who trust this server and onboard here.
fn reporting_level(
    spec: &DeviceSpec,
    untrusting: bool,
    is_onboarding: bool,
) -> Option<ReportingLevel> {
    (!untrusting && is_onboarding).then_some(match spec.reporting_level {
        Some(Level::Minimal) => ReportingLevel::Minimal,
        None | Some(Level::Verbose) => ReportingLevel::Verbose,
    })
}

/// A device that was sent back here and still does not trust this server cannot be promoted (some
/// never believe a server); it gets its data instead of another redirect.
fn was_just_promoted(stored: &StoredDevice) -> bool {
    stored
        .promoted_at
        .is_some_and(|at| now() <= at.plus_secs(PROMOTION_SECS))
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

/// How long a device may take to come back from a redirect to this server.
const PROMOTION_SECS: i64 = 600;
