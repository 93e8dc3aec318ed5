//! `/events`: what happens to devices, as server-sent events.
//!
//! The lines come from the histories in the database, in their order and each once; that something
//! was written only wakes the stream. A client may thus be as slow as it likes, fall back to where
//! it was with `Last-Event-ID`, and costs no more than one page of lines.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use sztp_core::lifecycle::State as LifecycleState;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};

use super::Api;
use super::error::ApiError;
use super::routes::Routes;
use crate::metrics::Entered;
use crate::model::{DeviceEvent, EventFilter, HistoryEntry, Role};
use crate::{Service, ServiceError, StoreError};

pub(super) fn routes() -> Routes {
    Routes::new("events")
        .get(
            "/events",
            Role::Viewer,
            "What happens to devices, as server-sent events",
            events,
        )
        .query::<EventsQuery>()
        .answers("text/event-stream")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    serial: Option<String>,
    state: Option<String>,
    /// Like `Last-Event-ID`, for clients that cannot set it.
    after: Option<i64>,
}

async fn events(
    State(api): State<Api>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let Query(query) = query?;
    if let Some(state) = &query.state
        && state.parse::<LifecycleState>().is_err()
    {
        return Err(ApiError::bad_request(
            "state is not the exact name of a lifecycle state",
        ));
    }
    let last = match headers.get("last-event-id") {
        None => query.after,
        Some(value) => match value.to_str().ok().and_then(|text| text.parse().ok()) {
            Some(id) => Some(id),
            None => return Err(ApiError::bad_request("Last-Event-ID is not one of ours")),
        },
    };
    let place = api.service.begin_event_stream()?;
    // Before looking for the newest: what is written meanwhile must wake.
    let wake = api.service.events();
    let after = match last {
        Some(id) => id,
        None => api.service.last_event().await.map_err(ServiceError::from)?,
    };
    // Well before the connection counts as stalled.
    let quiet = Duration::from_secs(api.limits.stall_timeout_secs)
        .mul_f64(0.25)
        .min(LONGEST_QUIET);
    let follower = Follower {
        service: api.service.clone(),
        filter: EventFilter {
            serial_number: query.serial,
            state: query.state,
        },
        after,
        wake,
        stopping: api.stopping.clone(),
        quiet,
        _place: place,
        _counted: api.service.metrics().event_streams.enter(),
    };
    let mut response = Response::new(Body::new(EventBody {
        ready: VecDeque::from([Bytes::from_static(b"retry: 2000\n\n")]),
        next: Box::pin(follower.next()),
    }));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Where a client is, and what it wants.
struct Follower {
    service: Service,
    filter: EventFilter,
    after: i64,
    wake: broadcast::Receiver<DeviceEvent>,
    stopping: watch::Receiver<bool>,
    quiet: Duration,
    _place: OwnedSemaphorePermit,
    _counted: Entered,
}

impl Follower {
    /// Waits for events; none at the end.
    async fn next(mut self) -> Option<(Vec<Bytes>, Self)> {
        let mut stopping = self.stopping.clone();
        loop {
            if *stopping.borrow() {
                return None;
            }
            match self.look().await {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return Some((found, self)),
                Err(error) => {
                    tracing::warn!(%error, "an event stream ends");
                    return None;
                }
            }
            let quiet = self.quiet;
            let woken = tokio::select! {
                // To have missed some is as good.
                woken = self.wake.recv() => match woken {
                    Err(broadcast::error::RecvError::Closed) => return None,
                    _ => true,
                },
                _ = stopping.wait_for(|stop| *stop) => return None,
                () = tokio::time::sleep(quiet) => false,
            };
            if woken {
                // What comes together is read together.
                tokio::time::sleep(GATHER).await;
                self.wake = self.wake.resubscribe();
            } else {
                // Another instance may have written without waking this one.
                let mut found = self.look().await.ok()?;
                if found.is_empty() {
                    found.push(Bytes::from_static(b": still here\n\n"));
                }
                return Some((found, self));
            }
        }
    }

    async fn look(&mut self) -> Result<Vec<Bytes>, StoreError> {
        loop {
            let newest = self.service.last_event().await?;
            if newest <= self.after {
                return Ok(Vec::new());
            }
            let (events, upto) = self
                .service
                .events_after(self.after, newest, self.filter.clone())
                .await?;
            self.after = upto;
            if !events.is_empty() {
                return Ok(events.iter().map(line).collect());
            }
        }
    }
}

#[derive(Serialize)]
struct Told<'a> {
    serial_number: &'a str,
    #[serde(flatten)]
    entry: &'a HistoryEntry,
}

fn line(event: &DeviceEvent) -> Bytes {
    let told = Told {
        serial_number: &event.serial_number,
        entry: &event.entry,
    };
    // JSON on one line: it has no line breaks of its own.
    let data = serde_json::to_string(&told).unwrap_or_default();
    format!("id: {}\nevent: device\ndata: {data}\n\n", event.entry.id).into()
}

type Next = Pin<Box<dyn Future<Output = Option<(Vec<Bytes>, Follower)>> + Send>>;

/// Asks for more only when what there was has been taken.
struct EventBody {
    ready: VecDeque<Bytes>,
    next: Next,
}

impl hyper::body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(line))));
            }
            match ready!(self.next.as_mut().poll(context)) {
                None => return Poll::Ready(None),
                Some((lines, follower)) => {
                    self.ready.extend(lines);
                    self.next = Box::pin(follower.next());
                }
            }
        }
    }
}

const LONGEST_QUIET: Duration = Duration::from_secs(15);
const GATHER: Duration = Duration::from_millis(50);
