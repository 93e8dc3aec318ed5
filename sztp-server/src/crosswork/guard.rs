//! Before each call of an operator: who asks, whether they may, and the line for the audit log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use http::{Method, Request, Response};

use super::Api;
use super::reply::Reply;
use crate::access::Principal;
use crate::model::{AuditRecord, Role};
use crate::service::{Peer, new_id, now};
use crate::store::audit;
use crate::{AccessError, ServiceError};

/// Lets in who may, and nobody else.
pub(super) async fn admit(
    State(api): State<Api>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    match admitted(&api, request, next).await {
        Ok(response) => response,
        Err(error) => Reply::from(error).into_response(),
    }
}

/// The line for the audit log of what somebody is about to do.
pub(super) fn record(
    principal: &Principal,
    peer: &Peer,
    action: String,
    object: String,
) -> AuditRecord {
    AuditRecord {
        time: now(),
        actor: principal.name.clone(),
        role: principal.role,
        by: principal.by.to_owned(),
        address: peer.address.ip().to_string(),
        request_id: new_id(),
        action,
        object,
        detail: None,
        outcome: "done".to_owned(),
    }
}

async fn admitted(
    api: &Api,
    request: Request<Body>,
    next: Next,
) -> Result<Response<Body>, ServiceError> {
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let peer = peer.ok_or(AccessError::Unauthenticated)?;
    let principal = api
        .access
        .authenticate(&api.service, &peer, request.headers(), now())
        .await?;
    tracing::Span::current().record("actor", principal.name.as_str());
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| path.clone(), |matched| matched.as_str().to_owned());
    // The route, as the path may end in a name that somebody has chosen.
    let is_read_only = request.method() == Method::GET
        || (request.method() == Method::POST
            && ["/query", "/export", "/csvtemplate", "/count", "/config"]
                .iter()
                .any(|end| route.ends_with(end)));
    let record = record(
        &principal,
        &peer,
        format!("{} {route}", request.method()),
        format!("/crosswork{}", path.trim_start_matches("/crosswork")),
    );
    let needed = if is_read_only {
        Role::Viewer
    } else {
        Role::Operator
    };
    if let Err(refusal) = principal.require(needed) {
        let refused = AuditRecord {
            outcome: "refused".to_owned(),
            ..record
        };
        api.service.append_audit(refused).await?;
        return Err(refusal.into());
    }
    if is_read_only {
        return Ok(next.run(request).await);
    }
    // What changes the database takes the line along.
    Ok(audit::Scope::new(record).run(next.run(request)).await)
}
