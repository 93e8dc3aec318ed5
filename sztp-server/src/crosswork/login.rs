//! `/crosswork/sso/v1/tickets`: a name and a password for a ticket, and the ticket for a token, as
//! clients of Crosswork do before all else.
//!
//! The password is a token of this server, and what the ticket is exchanged for is that same token;
//! the name is of no interest. A ticket is known to the instance that gave it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::response::IntoResponse as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use serde::Deserialize;

use super::Api;
use super::reply::{Reply, receive};
use crate::service::{Peer, new_key, now};
use crate::{AccessError, ServiceError};

/// Tickets that were given.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, (String, Instant)>>);

impl core::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Sessions {
    fn begin(&self, token: String) -> String {
        let ticket = format!("TGT-{}", new_key());
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, (_, begun)| begun.elapsed() < LIFETIME);
        if sessions.len() >= MAX_SESSIONS {
            sessions.clear();
        }
        sessions.insert(ticket.clone(), (token, Instant::now()));
        ticket
    }

    fn token(&self, ticket: &str) -> Option<String> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, begun) = sessions.get(ticket)?;
        (begun.elapsed() < LIFETIME).then(|| token.clone())
    }

    fn end(&self, ticket: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(ticket);
    }
}

#[derive(Deserialize)]
struct Credentials {
    password: String,
}

/// A ticket for whoever has a token.
pub(super) async fn ticket(
    State(api): State<Api>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request<Body>,
) -> Result<Response<Body>, Reply> {
    let octets = receive(request, MAX_BODY).await?;
    let token = password(&octets).ok_or_else(|| refused("username and password are needed"))?;
    let mut headers = HeaderMap::new();
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Reply::from(ServiceError::from(AccessError::TokenRefused)))?;
    headers.insert(header::AUTHORIZATION, bearer);
    api.access
        .authenticate(&api.service, &peer, &headers, now())
        .await
        .map_err(Reply::from)?;
    let ticket = api.sessions.begin(token);
    Ok((StatusCode::CREATED, ticket).into_response())
}

/// The token of a ticket.
pub(super) async fn token(
    State(api): State<Api>,
    Path(ticket): Path<String>,
) -> Result<Response<Body>, Reply> {
    let token = api.sessions.token(&ticket);
    let token = token.ok_or_else(|| refused("there is no such ticket"))?;
    Ok(token.into_response())
}

/// Forgets a ticket; the token stays what it is.
pub(super) async fn end(State(api): State<Api>, Path(ticket): Path<String>) -> StatusCode {
    api.sessions.end(&ticket);
    StatusCode::OK
}

/// A form is written as a query is.
fn password(form: &[u8]) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    let uri: Uri = format!("/?{}", form.trim()).parse().ok()?;
    let Query(Credentials { password }) = Query::try_from_uri(&uri).ok()?;
    Some(password)
}

fn refused(message: &str) -> Reply {
    Reply::refused(401, message).in_http()
}

const LIFETIME: Duration = Duration::from_hours(8);
const MAX_SESSIONS: usize = 1000;
const MAX_BODY: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let form = b"username=admin&password=sztp_a%2Bb";
        assert_eq!(password(form).as_deref(), Some("sztp_a+b"));
        assert_eq!(password(b"username=admin"), None);
        assert_eq!(password(b"\xff"), None);
    }

    #[test]
    fn tickets_end() {
        let sessions = Sessions::default();
        let ticket = sessions.begin("token".to_owned());
        assert_eq!(sessions.token(&ticket).as_deref(), Some("token"));
        sessions.end(&ticket);
        assert_eq!(sessions.token(&ticket), None);
        for _ in 0..3 * MAX_SESSIONS {
            sessions.begin(String::new());
        }
        assert!(sessions.0.lock().unwrap().len() <= MAX_SESSIONS);
    }
}
