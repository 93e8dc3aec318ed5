//! Before each operation: who asks, whether they may, and the line that the audit log gets.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::middleware::Next;
use http::{HeaderMap, Method, Request, Response};

use super::error::ApiError;
use super::{Api, PREFIX};
use crate::ServiceError;
use crate::access::Principal;
use crate::model::{AuditRecord, Role};
use crate::service::{Peer, new_id, now};
use crate::store::audit;

/// Of a request, for the log, the audit log and whoever asks.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

impl RequestId {
    /// The one that the client gave, or a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get("x-request-id")
            .and_then(|value| value.to_str().ok())
            .filter(|text| (1..=64).contains(&text.len()))
            .filter(|text| {
                text.bytes()
                    .all(|octet| octet.is_ascii_alphanumeric() || b"._-".contains(&octet))
            });
        Self(given.map_or_else(new_id, str::to_owned))
    }
}

/// Lets in who may, and nobody else.
pub(super) async fn admit(
    State(api): State<Api>,
    mut request: Request<Body>,
    next: Next,
) -> Result<Response<Body>, ApiError> {
    let Some(peer) = request.extensions().get::<Arc<Peer>>().cloned() else {
        return Err(ApiError::unauthorized());
    };
    let principal = api
        .access
        .authenticate(&api.service, &peer, request.headers(), now())
        .await?;
    tracing::Span::current().record("actor", principal.name.as_str());
    let matched = request.extensions().get::<MatchedPath>();
    let Some(route) = matched.map(|path| path.as_str().to_owned()) else {
        // There is no such resource, which only those learn who may look.
        return Ok(next.run(request).await);
    };
    let needs = Needs::of(&api, request.method(), &route);
    let record = record(&peer, &principal, &route, &request);
    if let Err(refusal) = principal.require(needs.role) {
        let refused = AuditRecord {
            outcome: "refused".to_owned(),
            ..record
        };
        api.service.append_audit(refused).await?;
        return Err(ServiceError::from(refusal).into());
    }
    request.extensions_mut().insert(principal);
    if needs.is_read_only {
        return Ok(next.run(request).await);
    }
    let is_dry_run = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|part| part == "dry_run=true"));
    let scope = audit::Scope::new(record);
    let response = scope.run(next.run(request)).await;
    // What changed something else than the database.
    if let Some(pending) = scope.pending()
        && response.status().is_success()
        && !is_dry_run
    {
        api.service.append_audit(pending).await?;
    }
    Ok(response)
}

/// What an operation takes.
struct Needs {
    role: Role,
    is_read_only: bool,
}

impl Needs {
    fn of(api: &Api, method: &Method, route: &str) -> Self {
        let path = route.strip_prefix(PREFIX).unwrap_or(route);
        if let Some(operation) = api.table.find(method, path) {
            return Self {
                role: operation.role,
                is_read_only: operation.is_read_only,
            };
        }
        let is_read_only = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        Self {
            role: if is_read_only {
                Role::Viewer
            } else {
                Role::Admin
            },
            is_read_only,
        }
    }
}

fn record(peer: &Peer, principal: &Principal, route: &str, request: &Request<Body>) -> AuditRecord {
    let id = request.extensions().get::<RequestId>();
    // The part before is taken off where the routers are nested.
    let object = request.uri().path().chars().take(MAX_TEXT);
    let object = PREFIX.chars().chain(object).collect();
    let query = request.uri().query();
    AuditRecord {
        time: now(),
        actor: principal.name.clone(),
        role: principal.role,
        by: principal.by.to_owned(),
        address: peer.address.ip().to_string(),
        request_id: id.map(|id| id.0.clone()).unwrap_or_default(),
        action: format!("{} {route}", request.method()),
        object,
        detail: query.map(|query| query.chars().take(MAX_TEXT).collect()),
        outcome: "done".to_owned(),
    }
}

const MAX_TEXT: usize = 500;
