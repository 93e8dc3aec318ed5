//! `/files/<sha256>/<name>`: images, whole or in single ranges (RFC 9110 §14). No certificate is
//! asked for: the hash in trusted conveyed information protects them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use sztp_core::restconf::{ErrorTag, ErrorType};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncSeekExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::reply::{Refused, method_not_allowed, not_found, options};
use super::{DeviceApi, header_text};
use crate::listener::Handler as _;
use crate::metrics::{Entered, add_one};

/// `path` is what follows `/files/`.
pub(super) async fn serve<B>(
    api: &DeviceApi,
    path: &str,
    request: &Request<B>,
) -> Result<Response<Body>, Refused> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(options(ALLOW)),
        _ => return Err(method_not_allowed(ALLOW)),
    }
    let is_head = request.method() == Method::HEAD;
    let (sha256, name) = path.split_once('/').ok_or_else(not_found)?;
    let mut stored = api.service.open_file(sha256, name).await?;
    let etag = format!("\"{sha256}\"");
    let size = stored.size;
    let mut response = Response::builder()
        .header(header::ETAG, &etag)
        .header(header::ACCEPT_RANGES, "bytes")
        // What has this name never changes.
        .header(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
    if header_text(request, &header::IF_NONE_MATCH).is_some_and(|list| matches_etag(list, &etag)) {
        response = response.status(StatusCode::NOT_MODIFIED);
        return Ok(built(response.body(Body::empty())));
    }
    response = response.header(header::CONTENT_TYPE, "application/octet-stream");
    let whole = || Ranged {
        start: 0,
        length: size,
    };
    let ranged = match wanted_range(request, &etag, size) {
        Wanted::Whole => whole(),
        Wanted::Part(part) => {
            let last = part.start + part.length - 1;
            response = response.status(StatusCode::PARTIAL_CONTENT).header(
                header::CONTENT_RANGE,
                format!("bytes {}-{last}/{size}", part.start),
            );
            part
        }
        Wanted::Nowhere => {
            let refused = Refused::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                ErrorType::Protocol,
                ErrorTag::InvalidValue,
                format!("the file has {size} octets"),
            );
            return Err(refused.with_header(header::CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    response = response.header(header::CONTENT_LENGTH, ranged.length);
    if is_head {
        return Ok(built(response.body(Body::empty())));
    }
    let place = api
        .service
        .begin_download()
        .inspect_err(|_| add_one(&api.metrics().overloaded))?;
    if ranged.start > 0 {
        let sought = stored.file.seek(io::SeekFrom::Start(ranged.start)).await;
        sought.map_err(|error| crate::ServiceError::Upload {
            reason: error.to_string(),
        })?;
    }
    let body = FileBody {
        file: stored.file,
        left: ranged.length,
        _place: place,
        _counted: api.service.metrics().downloads.enter(),
    };
    Ok(built(response.body(Body::new(body))))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ranged {
    start: u64,
    /// At least 1 in a part.
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Ranged),
    Nowhere,
}

fn wanted_range<B>(request: &Request<B>, etag: &str, size: u64) -> Wanted {
    // RFC 9110 §14.2: only with GET.
    if request.method() != Method::GET {
        return Wanted::Whole;
    }
    // RFC 9110 §13.1.5: a date or another tag means that the whole is wanted.
    if header_text(request, &header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Wanted::Whole;
    }
    header_text(request, &header::RANGE).map_or(Wanted::Whole, |text| parse_range(text, size))
}

/// One range of octets. Several, other units and what cannot be read are answered with the whole,
/// as RFC 9110 §14.2 allows.
fn parse_range(text: &str, size: u64) -> Wanted {
    let Some((unit, range)) = text.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // More digits than fit are beyond the end of any file.
        plain.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", last) => (None, number(last)),
        (first, "") => (number(first), Some(u64::MAX)),
        (first, last) => (number(first), number(last)),
    };
    let is_suffix = range.trim_start().starts_with('-');
    let (start, end) = match (first, last) {
        _ if !unit.trim().eq_ignore_ascii_case("bytes") => return Wanted::Whole,
        (None, Some(suffix)) if is_suffix => (size - suffix.min(size), size),
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
        _ => return Wanted::Whole,
    };
    if start >= end {
        return Wanted::Nowhere;
    }
    Wanted::Part(Ranged {
        start,
        length: end - start,
    })
}

fn matches_etag(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// So many octets of a file, read as they are taken.
struct FileBody {
    file: File,
    left: u64,
    _place: OwnedSemaphorePermit,
    _counted: Entered,
}

impl hyper::body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK);
        if wanted == 0 {
            return Poll::Ready(None);
        }
        let mut chunk = vec![0; wanted];
        let mut buffer = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.file).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        if read == 0 {
            // Shorter than it was: the client must not take it for complete.
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        self.left -= read as u64;
        chunk.truncate(read);
        Poll::Ready(Some(Ok(Frame::data(chunk.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Only headers of our own making can fail to be built.
fn built(response: Result<Response<Body>, http::Error>) -> Response<Body> {
    response.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer could not be built");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    })
}

const ALLOW: &str = "GET, HEAD, OPTIONS";
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges() {
        let part = |start, length| Wanted::Part(Ranged { start, length });
        for (text, wanted) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-99", part(0, 100)),
            ("bytes=10-", part(10, 90)),
            ("Bytes = 10-19", part(10, 10)),
            ("bytes=90-1000", part(90, 10)),
            ("bytes=-1", part(99, 1)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=99999999999999999999999-", Wanted::Nowhere),
            ("bytes=100-", Wanted::Nowhere),
            ("bytes=-0", Wanted::Nowhere),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=1-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(parse_range(text, 100), wanted, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Nowhere);
    }
}
