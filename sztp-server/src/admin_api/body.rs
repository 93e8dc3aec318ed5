//! Request bodies: whole as JSON, or streamed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};

use super::error::ApiError;

/// A JSON object of a bounded size.
pub(super) async fn receive_json(request: Request<Body>, limit: usize) -> Result<Value, ApiError> {
    let collected = Limited::new(request.into_body(), limit).collect().await;
    let octets = collected
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::too_large(limit)
            } else {
                ApiError::bad_request("the body broke off")
            }
        })?
        .to_bytes();
    let document: Value = serde_json::from_slice(&octets)
        .map_err(|error| ApiError::bad_request(&format!("not JSON: {error}")))?;
    if document.is_object() {
        Ok(document)
    } else {
        Err(ApiError::bad_request("not a JSON object"))
    }
}

/// A body as a stream of octets.
pub(super) struct BodyReader {
    body: Body,
    chunk: Bytes,
}

impl BodyReader {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            chunk: Bytes::new(),
        }
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.chunk.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(frame)) => self.chunk = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let taken = self.chunk.len().min(buffer.remaining());
        buffer.put_slice(&self.chunk[..taken]);
        self.chunk.advance(taken);
        Poll::Ready(Ok(()))
    }
}
