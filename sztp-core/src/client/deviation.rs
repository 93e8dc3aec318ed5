//! How a device may differ on the wire from RFC 8572 and RFC 8040.
//!
//! Real devices do, and a server has to be tried with what they send. The machine stays the same;
//! its requests are changed on their way out, and what comes back before it is told.

use std::fmt;

use bytes::Bytes;
use http::Request;

use crate::device::Input;

/// What a client does otherwise than the RFCs have it. All that is not overridden stays as it is.
pub trait Deviation: fmt::Debug + Send + Sync {
    /// Changes a call of `operation` before it is sent. The Host header is set afterwards.
    fn change_request(&self, operation: &'static str, request: &mut Request<Bytes>) {
        let _ = (operation, request);
    }

    /// How often a call of `operation` is sent; the last answer counts.
    fn times_sent(&self, operation: &'static str) -> usize {
        let _ = operation;
        1
    }

    /// Changes what came of a call: an [`Input::Response`] or [`Input::Unreachable`].
    fn change_answer(&self, operation: &'static str, answer: &mut Input) {
        let _ = (operation, answer);
    }
}
