//! Progress reports: which are sent, and which must be acknowledged (RFC 8572 §5.6, §7.3).

use super::{Awaiting, Device, FailureKind, Input, Output, REPORT_PROGRESS, Step};
use crate::rpc::{ProgressReport, ProgressType};

impl Device {
    /// A progress report, if the current server may have it and wants it.
    ///
    /// A server that is not authenticated gets none, whatever it gave (RFC 8572 §5.6).
    pub(super) fn report(
        &self,
        progress_type: ProgressType,
        message: Option<String>,
    ) -> Option<Step> {
        if !self.server_is_authenticated() {
            return None;
        }
        let wanted = self.contact.as_ref().is_some_and(|c| c.verbose)
            || progress_type.is_error()
            || progress_type.is_warning()
            || ALWAYS_REPORTED.contains(&progress_type);
        wanted.then(|| Step::Report {
            report: ProgressReport::new(progress_type, message.map(bounded)),
            needed: false,
        })
    }

    /// The same for a report without whose acknowledgement the attempt fails.
    pub(super) fn needed_report(&self, progress_type: ProgressType) -> Option<Step> {
        let mut step = self.report(progress_type, None);
        if let Some(Step::Report { report, needed }) = &mut step {
            *needed = true;
            if progress_type == ProgressType::BootstrapComplete {
                report.ssh_host_keys.clone_from(&self.config.ssh_host_keys);
                report
                    .trust_anchor_certs
                    .clone_from(&self.config.trust_anchor_certs);
            }
        }
        step
    }

    pub(super) fn post_report(&mut self, report: &ProgressReport, needed: bool) -> Option<Output> {
        let contact = self.contact.as_ref()?;
        let output = Output::Post {
            server: contact.origin.server()?.clone(),
            operation: REPORT_PROGRESS,
            encoding: contact.encoding,
            body: report.encode(contact.encoding),
            progress: Some(report.progress_type),
        };
        let progress_type = report.progress_type;
        let awaiting = Awaiting::Report {
            progress_type,
            needed,
        };
        self.wait_for(awaiting, output)
    }

    /// Only 204 acknowledges (RFC 8572 §5.6).
    pub(super) fn take_acknowledgement(&mut self, report: ProgressType, input: &Input) {
        let reason = match input {
            Input::Response { status: 204, .. } => return,
            Input::Response { status, .. } => format!("status {status} instead of 204"),
            Input::Failed { reason } => reason.clone(),
            Input::Unreachable(why) => why.reason.clone(),
            _ => "the report was not made".to_owned(),
        };
        self.give_up(
            ProgressType::BootstrapError,
            FailureKind::NotAcknowledged { report, reason },
        );
    }

    pub(super) fn server_is_authenticated(&self) -> bool {
        self.contact
            .as_ref()
            .is_some_and(|contact| contact.origin.is_authenticated())
    }
}

/// The beginning and the end of a long text, such as what a script has printed.
fn bounded(text: String) -> String {
    if text.len() <= MAX_MESSAGE {
        return text;
    }
    let head = text.floor_char_boundary(MAX_MESSAGE / 2);
    let tail = text.ceil_char_boundary(text.len() - MAX_MESSAGE / 2);
    format!("{} [...] {}", &text[..head], &text[tail..])
}

/// Octets of a message that are sent.
const MAX_MESSAGE: usize = 4096;

/// Sent at every reporting level, with all warnings and errors (RFC 8572 §5.6, §7.3).
const ALWAYS_REPORTED: [ProgressType; 4] = [
    ProgressType::BootstrapInitiated,
    ProgressType::BootImageMismatch,
    ProgressType::BootImageInstalledRebooting,
    ProgressType::BootstrapComplete,
];
