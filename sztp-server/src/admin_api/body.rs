//! Request bodies: whole as JSON, or streamed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use http::Request;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Frame};
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use super::error::ApiError;
use crate::ServiceError;

/// Octets of a bounded size.
pub(super) async fn receive(request: Request<Body>, limit: usize) -> Result<Bytes, ApiError> {
    let collected = Limited::new(request.into_body(), limit).collect().await;
    let collected = collected.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ApiError::too_large(limit)
        } else {
            ApiError::bad_request("the body broke off")
        }
    })?;
    Ok(collected.to_bytes())
}

/// A JSON object of a bounded size.
pub(super) async fn receive_json(request: Request<Body>, limit: usize) -> Result<Value, ApiError> {
    let octets = receive(request, limit).await?;
    let document: Value = serde_json::from_slice(&octets)
        .map_err(|error| ApiError::bad_request(&format!("not JSON: {error}")))?;
    if document.is_object() {
        Ok(document)
    } else {
        Err(ApiError::bad_request("not a JSON object"))
    }
}

/// A body that is made while it is sent; an error ends it in the middle.
pub(super) fn streamed(pieces: mpsc::Receiver<Result<Bytes, ServiceError>>) -> Body {
    Body::new(Pieces(pieces))
}

struct Pieces(mpsc::Receiver<Result<Bytes, ServiceError>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = ServiceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServiceError>>> {
        let piece = ready!(self.0.poll_recv(context));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
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
