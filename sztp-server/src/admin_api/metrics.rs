//! `/metrics`, for Prometheus: with the role viewer, or with a token that opens nothing else.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use http::{HeaderMap, HeaderValue, Response, header};
use subtle::ConstantTimeEq as _;

use super::Api;
use super::error::ApiError;
use crate::access::bearer;
use crate::metrics::{describe, sample};
use crate::model::Role;
use crate::service::{Peer, now, token_hash};
use crate::{Service, ServiceError};

pub(super) async fn metrics(
    State(api): State<Api>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let for_metrics = api
        .service
        .materials()
        .metrics_token
        .as_ref()
        .is_some_and(|known| {
            bearer(&headers).is_some_and(|given| bool::from(token_hash(given).ct_eq(known)))
        });
    if !for_metrics {
        let principal = api
            .access
            .authenticate(&api.service, &peer, &headers, now())
            .await?;
        principal
            .require(Role::Viewer)
            .map_err(ServiceError::from)?;
    }
    let mut response = Response::new(Body::from(text(&api.service).await?));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

async fn text(service: &Service) -> Result<String, ServiceError> {
    let mut out = String::with_capacity(16 * 1024);
    describe(
        &mut out,
        "sztp_build_info",
        "gauge",
        "The version that runs",
    );
    let version = env!("CARGO_PKG_VERSION");
    sample(&mut out, "sztp_build_info", &[("version", version)], 1);
    describe(
        &mut out,
        "sztp_devices",
        "gauge",
        "Devices by lifecycle state",
    );
    for (state, count) in service.states().await?.iter() {
        sample(&mut out, "sztp_devices", &[("state", state)], count);
    }
    let name = "sztp_certificate_not_after_seconds";
    describe(
        &mut out,
        name,
        "gauge",
        "When certificates in use expire, in seconds since 1970",
    );
    for (usage, certificate) in service.materials().in_use() {
        let subject = certificate.subject();
        let mut fingerprint = String::new();
        let _ = write!(fingerprint, "{}", certificate.sha256_fingerprint());
        let labels = [
            ("usage", usage),
            ("subject", subject.as_str()),
            ("sha256", fingerprint.as_str()),
        ];
        sample(&mut out, name, &labels, certificate.not_after().secs());
    }
    if let Some(commits) = service.commits() {
        describe(
            &mut out,
            "sztp_store_commit_seconds",
            "histogram",
            "Time of a transaction, until it is on disk",
        );
        commits
            .time
            .write(&mut out, "sztp_store_commit_seconds", "");
        describe(
            &mut out,
            "sztp_store_commit_changes",
            "histogram",
            "Changes in a transaction",
        );
        commits
            .size
            .write(&mut out, "sztp_store_commit_changes", "");
    }
    service.write_delivery_metrics(&mut out).await?;
    service.metrics().write(&mut out);
    Ok(out)
}
