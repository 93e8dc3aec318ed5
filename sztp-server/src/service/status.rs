//! What a device's own script says of it (Crosswork's `deviceinfo/status`), and the tokens by which
//! it proves whose script it is.
//!
//! What it says follows the rules of the progress report that means the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use sztp_core::lifecycle::{Event, Policy, Refusal, State};
use sztp_core::rpc::ProgressType;

use super::{Service, missing, now};
use crate::ServiceError;
use crate::model::{Contact, Device};
use crate::store::outbox::Outgoing;
use crate::store::{Effect, Occurrence, StoredDevice};

/// Makes and judges tokens; each opens the status of one device and nothing else.
pub(crate) struct StatusTokens {
    key: [u8; 32],
    /// Where scripts report.
    url: String,
}

/// What a script says.
#[derive(Debug, Clone)]
pub(crate) struct StatusReport {
    pub(crate) status: State,
    pub(crate) message: Option<String>,
    pub(crate) contact: Contact,
    /// How it was proved whose script it is.
    pub(crate) proved_by: &'static str,
}

impl StatusTokens {
    pub(crate) fn new(key: [u8; 32], url: String) -> Self {
        Self { key, url }
    }

    fn token(&self, serial_number: &str) -> String {
        // A key of 32 octets is one of any length that HMAC takes.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return String::new();
        };
        mac.update(b"deviceinfo/status\0");
        mac.update(serial_number.as_bytes());
        let octets = mac.finalize().into_bytes();
        format!("sztpd_{}", URL_SAFE_NO_PAD.encode(&octets[..24]))
    }
}

impl core::fmt::Debug for StatusTokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StatusTokens")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// From now on scripts find a token of their device in `crosswork.status_token`.
    pub(crate) fn set_status_tokens(&self, tokens: StatusTokens) {
        // It is set once, when the server starts.
        let _ = self.0.status_tokens.set(tokens);
    }

    /// Where a device's script reports, and its token, among what templates see of it.
    pub(super) fn add_crosswork(
        &self,
        context: &mut Map<String, Value>,
        device: &Device,
        with_token: bool,
    ) {
        if let Some(tokens) = self.0.status_tokens.get() {
            let member = context.entry("crosswork").or_insert_with(|| json!({}));
            if let Some(member) = member.as_object_mut() {
                let token = if with_token {
                    tokens.token(&device.serial_number)
                } else {
                    "(the token of this device)".to_owned()
                };
                member.insert("status_url".to_owned(), json!(tokens.url));
                member.insert("status_token".to_owned(), json!(token));
            }
        }
    }

    /// The token of a device, and where its script reports; none: the calls of Crosswork are not
    /// answered.
    pub async fn status_token(
        &self,
        serial_number: &str,
    ) -> Result<Option<(String, String)>, ServiceError> {
        let device = self.device(serial_number).await?;
        let tokens = self.0.status_tokens.get();
        Ok(tokens.map(|tokens| (tokens.token(&device.serial_number), tokens.url.clone())))
    }

    /// Whether a token is the one of a device.
    pub(crate) fn is_status_token(&self, device: &Device, token: &str) -> bool {
        self.0.status_tokens.get().is_some_and(|tokens| {
            let expected = tokens.token(&device.serial_number);
            bool::from(expected.as_bytes().ct_eq(token.as_bytes()))
        })
    }

    /// Takes what a device's script says. It is on disk when this returns, also when the device's
    /// state does not allow it.
    pub(crate) async fn report_status(
        &self,
        serial_number: &str,
        report: StatusReport,
    ) -> Result<State, ServiceError> {
        let stored = self.0.store.device(serial_number).await?;
        let stored = stored.ok_or_else(|| missing(serial_number))?;
        let event = event(&report, stored.status.state)?;
        self.may_report(serial_number, &event).await?;
        let onboarding = match report.status {
            State::Provisioned => self.onboarding_targets(&stored).await?,
            _ => Vec::new(),
        };
        self.record_status(&stored, report, event, onboarding).await
    }

    async fn record_status(
        &self,
        stored: &StoredDevice,
        report: StatusReport,
        event: Event,
        onboarding: Vec<String>,
    ) -> Result<State, ServiceError> {
        let mut message = format!("status {} ({})", report.status, report.proved_by);
        if let Some(said) = &report.message {
            message.push_str(": ");
            message.push_str(said);
        }
        let progress_type = match &event {
            Event::Progress { progress_type, .. } => Some(progress_type.as_str().to_owned()),
            _ => None,
        };
        let recorded = self
            .record(Occurrence {
                peer: report.contact.peer.clone(),
                progress_type,
                message: Some(message),
                effect: Effect::Lifecycle {
                    event,
                    policy: Policy::default(),
                    default_timeout_secs: self.0.answers.progress_timeout_secs,
                    expects_word: true,
                    promoted_at: None,
                },
                outgoing: Outgoing {
                    onboarding,
                    contact: Some(report.contact),
                    ..Outgoing::default()
                },
                ..Occurrence::new(&stored.device.serial_number, "progress", now())
            })
            .await?;
        let recorded = recorded.ok_or_else(|| missing(&stored.device.serial_number))?;
        match recorded.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(recorded.status.state),
        }
    }
}

/// The event that a status stands for.
fn event(report: &StatusReport, state: State) -> Result<Event, Refusal> {
    let progress = |progress_type| Event::Progress {
        progress_type,
        message: report.message.clone(),
    };
    Ok(match report.status {
        // A script that runs without the RPC before it has been given its data all the same.
        State::InProgress if state == State::InProgress => progress(ProgressType::Informational),
        State::InProgress => Event::Served,
        State::Provisioned => progress(ProgressType::BootstrapComplete),
        State::ProvisioningError => Event::ValidationFailed {
            reason: match &report.message {
                Some(message) => format!("its script: {message}"),
                None => "its script".to_owned(),
            },
        },
        State::ZtpError => progress(ProgressType::PostScriptError),
        // Not a device's to say.
        State::Unprovisioned | State::Onboarded | State::OnboardingError => {
            let event = "such a status";
            return Err(Refusal { state, event });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_has_a_token_of_its_own() {
        let tokens = StatusTokens::new([7; 32], String::new());
        assert_eq!(tokens.token("A"), tokens.token("A"));
        assert_ne!(tokens.token("A"), tokens.token("B"));
        assert_ne!(
            tokens.token("A"),
            StatusTokens::new([8; 32], String::new()).token("A")
        );
        assert_eq!(tokens.token("A").len(), "sztpd_".len() + 32);
    }
}
