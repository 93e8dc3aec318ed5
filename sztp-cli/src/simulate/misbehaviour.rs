//! Devices that do what devices ought not to do, and what a server has to make of it.

use bytes::Bytes;
use clap::ValueEnum;
use http::Request;
use sztp_core::device::{GET_BOOTSTRAPPING_DATA, REPORT_PROGRESS};
use sztp_core::rpc::{ProgressReport, ProgressType};

use super::dialect::encoding_in;
use super::watch::Watch;

/// A way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Misbehaviour {
    /// Hang up once the data are there
    Abort,
    /// Show a certificate of another manufacturer
    WrongCertificate,
    /// Send a body that is no YANG data
    Garbage,
    /// Send a request octet by octet, without an end
    SlowDrip,
    /// Send every request twice
    Repeat,
    /// Report the end first and the beginning last
    OutOfOrder,
}

impl Misbehaviour {
    /// As on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(super) fn change_request(self, operation: &str, request: &mut Request<Bytes>) {
        match self {
            Self::Garbage if operation == GET_BOOTSTRAPPING_DATA => {
                *request.body_mut() = Bytes::from_static(GARBAGE);
            }
            Self::OutOfOrder if operation == REPORT_PROGRESS => {
                if let Some(body) = disordered(request) {
                    *request.body_mut() = body.into();
                }
            }
            _ => {}
        }
    }

    /// Whether it went as it has to go, for a device that has `bootstrapped` or not.
    pub(super) fn judge(self, bootstrapped: bool, watch: &Watch) -> Result<(), String> {
        let status = watch.worst_status();
        if status >= 500 {
            return Err(format!("the server answered with status {status}"));
        }
        match self {
            Self::Abort if watch.has_data() => Ok(()),
            Self::Abort => Err("there were no data to hang up on".to_owned()),
            Self::WrongCertificate | Self::Garbage => {
                if watch.has_data() {
                    Err("the server gave its data nevertheless".to_owned())
                } else if (400..500).contains(&status) || watch.was_refused_by_tls() {
                    Ok(())
                } else {
                    Err("the server did not say that it refuses".to_owned())
                }
            }
            Self::Repeat if bootstrapped => Ok(()),
            Self::Repeat => Err("what was sent twice was not taken as sent once".to_owned()),
            Self::OutOfOrder if bootstrapped || (400..500).contains(&status) => Ok(()),
            Self::OutOfOrder => Err("the reports were neither taken nor refused".to_owned()),
            Self::SlowDrip => match watch.cut_off() {
                Some(Ok(())) => Ok(()),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("the request did not come so far".to_owned()),
            },
        }
    }
}

/// A report of the end for one of the beginning, and the other way round.
fn disordered(request: &Request<Bytes>) -> Option<Vec<u8>> {
    let encoding = encoding_in(request)?;
    let mut report = ProgressReport::decode(request.body(), encoding).ok()?;
    report.progress_type = match report.progress_type {
        ProgressType::BootstrapInitiated => ProgressType::BootstrapComplete,
        ProgressType::BootstrapComplete => ProgressType::BootstrapInitiated,
        other => other,
    };
    // Only the end may come with keys.
    report.ssh_host_keys.clear();
    report.trust_anchor_certs.clear();
    Some(report.encode(encoding))
}

/// Neither JSON nor XML nor UTF-8.
const GARBAGE: &[u8] = b"\xff\xfe{\"<ietf-sztp\x00bootstrap-server:input>[[[[";
