//! Requests for vouchers over HTTP (RFC 8995 §5.5, §5.6).

use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use rustls::ServerConfig;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sztp_cms::Certificate;
use sztp_voucher::{IssueOptions, MEDIA_TYPE, issue};
use tokio::sync::Semaphore;

use super::audit::{Line, Named};
use super::policy::{Granted, Judge};
use super::{MasaError, PATH, Shared};
use crate::listener::Handler;
use crate::metrics::ListenerMetrics;
use crate::service::{Peer, StrangerBudget, hex, new_id, now};

/// Where requests are handed in.
#[derive(Clone)]
pub(super) struct Desk(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    metrics: ListenerMetrics,
    places: Semaphore,
    /// How many refusals are written down.
    refusals: StrangerBudget,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Inner {
            metrics: ListenerMetrics::default(),
            places: Semaphore::new(shared.config.limits.max_requests),
            refusals: StrangerBudget::default(),
            shared,
        }))
    }

    async fn answer(
        &self,
        peer: &Peer,
        id: &str,
        request: Request<Incoming>,
    ) -> Result<Vec<u8>, MasaError> {
        let path = request.uri().path();
        if path.strip_suffix('/').unwrap_or(path) != PATH {
            return Err(MasaError::NoSuchResource);
        }
        if request.method() != Method::POST {
            return Err(MasaError::Method);
        }
        if peer.certificates.is_empty() {
            return Err(MasaError::CertificateMissing);
        }
        check_media_types(request.headers())?;
        let body = self.receive(request).await?;
        // Not before: who sends slowly shall not have a place meanwhile.
        let _place = self
            .0
            .places
            .try_acquire()
            .map_err(|_| MasaError::Overloaded)?;
        let (shared, shown) = (self.0.shared.clone(), peer.certificates.clone());
        let (id, address) = (id.to_owned(), peer.address.ip().to_string());
        let this = self.clone();
        // Signatures, and a file that is waited for.
        let work = move || this.decide(&shared, &shown, &id, &address, &body);
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(_) => Err(MasaError::Overloaded),
        }
    }

    /// Judges, signs and writes down.
    fn decide(
        &self,
        shared: &Shared,
        shown: &[Certificate],
        id: &str,
        address: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, MasaError> {
        let (materials, sales) = (shared.materials(), shared.sales());
        let judge = Judge {
            policy: &shared.config.policy,
            idevid_anchors: &materials.idevid_anchors,
            sales: &sales.list,
            now: now(),
        };
        let request = Judge::read(body);
        let serial_number = match &request {
            Ok(request) => Some(request.unverified().serial_number.clone()),
            Err(_) => None,
        };
        let decided = request
            .and_then(|request| judge.decide(&request, shown))
            .and_then(|granted| {
                let signed = issue(
                    &granted.voucher,
                    materials.signer.as_ref(),
                    &materials.chain[0],
                    &materials.chain[1..],
                    &IssueOptions::default(),
                );
                Ok((signed.map_err(MasaError::Issue)?, granted))
            });
        let line = Line {
            serial_number: serial_number.map(|text| text.chars().take(MAX_TEXT).collect()),
            ..match &decided {
                Ok((voucher, granted)) => granted_line(judge.now, id, address, voucher, granted),
                Err(error) => Line {
                    message: Some(error.to_string().chars().take(MAX_TEXT).collect()),
                    registrar: shown.first().map(named),
                    ..Line::new(judge.now, id, address, error.code())
                },
            }
        };
        // Whoever is refused cannot fill the disk.
        if decided.is_ok() || self.0.refusals.take(judge.now) {
            shared.audit.append(&line).map_err(|error| {
                tracing::error!(%error, "the audit log cannot be written");
                MasaError::Audit
            })?;
        }
        decided.map(|(voucher, _)| voucher)
    }

    async fn receive(&self, request: Request<Incoming>) -> Result<Vec<u8>, MasaError> {
        let limits = &self.0.shared.config.limits;
        let limit = limits.max_body_bytes;
        if request.body().size_hint().lower() > limit as u64 {
            return Err(MasaError::TooLarge { limit });
        }
        let body = Limited::new(request.into_body(), limit).collect();
        let patience = Duration::from_secs(limits.timeout_secs);
        match tokio::time::timeout(patience, body).await {
            Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(MasaError::TooLarge { limit }),
            Ok(Err(_)) | Err(_) => Err(MasaError::Incomplete),
        }
    }
}

impl Handler for Desk {
    fn tls(&self) -> Arc<ServerConfig> {
        self.0.shared.materials().tls.clone()
    }

    fn metrics(&self) -> &ListenerMetrics {
        &self.0.metrics
    }

    async fn handle(&self, peer: Arc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let id = new_id();
        let answered = self.answer(&peer, &id, request).await;
        match &answered {
            Ok(_) => tracing::info!(request = id, peer = %peer.address, "voucher issued"),
            Err(error) => {
                let code = error.code();
                tracing::info!(request = id, peer = %peer.address, code, %error, "refused");
            }
        }
        match answered {
            Ok(voucher) => with_body(StatusCode::OK, MEDIA_TYPE, voucher),
            Err(error) => refusal(&error, &id),
        }
    }
}

/// What went wrong, for people and programs.
fn refusal(error: &MasaError, id: &str) -> Response<Body> {
    let document = json!({
        "code": error.code(),
        "message": error.message(),
        "rule": error.rule().map(|rule| rule.to_string()),
        "request-id": id,
    });
    let body = document.to_string().into_bytes();
    let mut response = with_body(error.status(), "application/json", body);
    let headers = response.headers_mut();
    match error {
        MasaError::Method => {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        MasaError::Overloaded => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        // The rest of the request is not going to be read.
        MasaError::TooLarge { .. } | MasaError::Incomplete => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

fn with_body(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// RFC 8995 §5.6: 415 for what is not understood, 406 for what cannot be given.
fn check_media_types(headers: &HeaderMap) -> Result<(), MasaError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let essence = |text: &str| {
        let media = text.split(';').next().unwrap_or_default();
        media.trim().to_ascii_lowercase()
    };
    if text(header::CONTENT_TYPE).map(essence).as_deref() != Some(MEDIA_TYPE) {
        return Err(MasaError::MediaType);
    }
    let Some(accept) = text(header::ACCEPT) else {
        return Ok(());
    };
    let mut ranges = accept.split(',').filter(|range| !is_excluded(range));
    if ranges.any(|range| ["*/*", "application/*", MEDIA_TYPE].contains(&essence(range).as_str())) {
        Ok(())
    } else {
        Err(MasaError::NotAcceptable)
    }
}

/// A quality of zero (RFC 9110 §12.4.2).
fn is_excluded(range: &str) -> bool {
    range.split(';').skip(1).any(|parameter| {
        let parameter: String = parameter.split_whitespace().collect();
        let value = parameter
            .strip_prefix("q=")
            .or(parameter.strip_prefix("Q="));
        value.is_some_and(|value| value.parse().is_ok_and(|quality: f32| quality <= 0.0))
    })
}

fn granted_line(
    time: sztp_cms::UnixTime,
    id: &str,
    address: &str,
    voucher: &[u8],
    granted: &Granted,
) -> Line {
    let said = &granted.voucher;
    let notes = &granted.notes;
    Line {
        registrar: Some(named(&granted.registrar)),
        domain: Some(named(&granted.domain_ca)),
        pinned_sha256: Some(hex(&Sha256::digest(&said.pinned_domain_cert))),
        assertion: Some(said.assertion.as_str()),
        has_nonce: Some(said.nonce.is_some()),
        has_pledge_request: Some(granted.has_pledge_request),
        expires_on: said.expires_on.map(|time| time.to_string()),
        voucher_sha256: Some(hex(&Sha256::digest(voucher))),
        message: (!notes.is_empty()).then(|| notes.join("; ").chars().take(MAX_TEXT).collect()),
        ..Line::new(time, id, address, "granted")
    }
}

fn named(certificate: &Certificate) -> Named {
    Named {
        subject: certificate.subject().chars().take(MAX_TEXT).collect(),
        sha256: certificate.sha256_fingerprint(),
    }
}

/// Characters of what others say that are written down.
const MAX_TEXT: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(content_type: Option<&str>, accept: Option<&str>) -> Result<(), MasaError> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_TYPE, content_type),
            (header::ACCEPT, accept),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        check_media_types(&headers)
    }

    #[test]
    fn media_types() {
        let cms = Some(MEDIA_TYPE);
        for accept in [
            None,
            cms,
            Some("*/*"),
            Some("text/plain, application/*;q=0.1"),
            Some("application/voucher-jws+json, Application/Voucher-CMS+JSON"),
        ] {
            assert_eq!(checked(cms, accept), Ok(()), "{accept:?}");
        }
        for accept in ["text/plain", "application/voucher-cms+json; q=0", ""] {
            let error = checked(cms, Some(accept));
            assert_eq!(error, Err(MasaError::NotAcceptable), "{accept}");
        }
        for sent in [
            None,
            Some("application/json"),
            Some("application/voucher-jws+json"),
        ] {
            assert_eq!(checked(sent, None), Err(MasaError::MediaType), "{sent:?}");
        }
    }
}
