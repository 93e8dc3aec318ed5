//! Webhooks: a JSON document, signed with HMAC-SHA-256 as Standard Webhooks says.
//!
//! What is signed is `ID.TIMESTAMP.BODY`, with the octets of the secret's file, or what its base64
//! stands for where it begins with `whsec_`. The id is the same at each attempt.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::json;
use sha2::Sha256;

use super::secret::{Secret, SecretFile};
use super::subject::Subject;
use super::system::{Open, Place, Undelivered, must_be_readable};
use crate::ConfigError;
use crate::service::now;
use crate::store::outbox::Claimed;

/// Somebody who takes signed JSON documents.
#[derive(Debug)]
pub(super) struct Webhook {
    place: Place,
    secret: SecretFile,
    peer_address: bool,
}

impl Webhook {
    pub(super) fn of(
        url: (&'static str, &str),
        anchors: &[PathBuf],
        secret_file: &Path,
        timeout_secs: u64,
    ) -> Result<Self, ConfigError> {
        must_be_readable("webhooks.secret_file", secret_file)?;
        Ok(Self {
            place: Place::new(url, anchors, timeout_secs)?,
            secret: SecretFile::new(secret_file),
            peer_address: false,
        })
    }

    pub(super) fn with_peer_address(self, peer_address: bool) -> Self {
        Self {
            peer_address,
            ..self
        }
    }

    pub(super) fn host(&self) -> String {
        self.place.host()
    }

    /// Tells what has happened. Only who is gone (410) is not told again: whatever else is
    /// answered may be a mistake that is mended.
    pub(super) async fn tell(&self, claimed: &Claimed) -> Result<String, Undelivered> {
        let body = &claimed.body;
        self.send(claimed, body.clone())
            .await
            .map_err(|(failure, status)| match failure {
                Undelivered::Refused { reason } if status != Some(StatusCode::GONE) => {
                    Undelivered::later(reason)
                }
                failure => failure,
            })
    }

    /// Hands a device over.
    pub(super) async fn onboard(
        &self,
        claimed: &Claimed,
        subject: &Subject,
    ) -> Result<String, Undelivered> {
        let body = json!({
            "type": "device.onboard",
            "timestamp": claimed.delivery.created_at.to_string(),
            "data": subject.document(self.peer_address),
        });
        let sent = self.send(claimed, body.to_string()).await;
        sent.map_err(|(failure, _)| failure)
    }

    async fn send(
        &self,
        claimed: &Claimed,
        body: String,
    ) -> Result<String, (Undelivered, Option<StatusCode>)> {
        let early = |failure| (failure, None);
        let secret = self.secret.read().await.map_err(early)?;
        let id = &claimed.delivery.idempotency_key;
        let timestamp = now().secs().to_string();
        let signature = sign(&secret, id, &timestamp, &body).map_err(early)?;
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
            ("idempotency-key", id),
        ] {
            // Ours: digits, letters, base64.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        let open: Open<'_> = self.place.open(headers).await.map_err(early)?;
        let target = self.place.target();
        let reply = open
            .send(Method::POST, &target, body, HeaderMap::new())
            .await
            .map_err(early)?;
        if reply.status.is_success() {
            return Ok(format!("answered {}", reply.status.as_u16()));
        }
        let failure = open.not_accepted("POST", &reply);
        let failure = failure.hiding(|text| secret.hidden_in(text));
        Err((failure, Some(reply.status)))
    }
}

fn sign(secret: &Secret, id: &str, timestamp: &str, body: &str) -> Result<String, Undelivered> {
    let key = match secret.expose().strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
            Undelivered::later("what follows whsec_ in the secret's file is no base64")
        })?,
        None => secret.expose().as_bytes().to_vec(),
    };
    if key.len() < MIN_KEY_OCTETS {
        return Err(Undelivered::later(
            "the secret has fewer than 16 octets, so that anybody could guess it",
        ));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)
        .map_err(|_| Undelivered::later("the secret cannot be a key"))?;
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    Ok(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

/// A shorter key can be guessed.
const MIN_KEY_OCTETS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's libraries.
    #[tokio::test]
    async fn signed_as_the_specification_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let secret = SecretFile::new(&path).read().await.unwrap();
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            "{\"test\": 2432232314}",
        );
        assert_eq!(
            signature.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
