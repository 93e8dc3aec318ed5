//! Certificate signing requests on the way (RFC 9646): the server asks, the device makes one and
//! asks for its data once more. The certificate comes within the configuration.
//!
//! The question stands in an error, which nobody can sign: only an authenticated server is listened
//! to.

use super::onboarding::reason_of;
use super::{Awaiting, Device, FailureKind, Input, Output, Step};
use crate::csr::{CMC_CSR, CMP_CSR, CsrError, CsrRequest};
use crate::restconf::{Errors, RestconfError};
use crate::rpc::{Csr, ProgressType};

impl Device {
    /// Whether the errors hold a question for a signing request.
    pub(super) fn take_csr_request(&mut self, errors: Option<&Errors>) -> bool {
        let Some(support) = self.config.csr_support.clone() else {
            return false;
        };
        if !self.server_is_authenticated() {
            return false;
        }
        let mut errors = errors.iter().flat_map(|errors| &errors.errors);
        let Some(asked) = errors.find_map(RestconfError::requested_csr) else {
            return false;
        };
        let request = match asked {
            Ok(request) => request,
            Err(error) => {
                self.refuse_csr(error.into());
                return true;
            }
        };
        if let Some(contact) = &mut self.contact {
            contact.csr = None;
            contact.csr_requests += 1;
            if contact.csr_requests > MAX_REQUESTS {
                self.refuse_csr(CsrError::TooManyRequests.into());
                return true;
            }
        }
        if let Err(error) = request.check(&support) {
            self.refuse_csr(error.into());
            return true;
        }
        // The key of the request before is of no use any more (RFC 9646 §2.3), unless that request
        // is the one that this process or this boot goes on with, and the same server asks.
        let goes_on = self.key_kept
            && request.algorithm_identifier.is_some()
            && self.key_server == self.asking_server();
        let useless = self.key_made && !goes_on;
        self.plan_first([
            useless.then_some(Step::DiscardKey),
            Some(Step::MakeCsr(request)),
        ]);
        true
    }

    pub(super) fn make_csr(&mut self, request: CsrRequest) -> Option<Output> {
        self.key_made = request.algorithm_identifier.is_some();
        self.key_kept = false;
        self.key_server = self.asking_server();
        let awaiting = Awaiting::Csr {
            format: request.format.clone(),
        };
        self.wait_for(awaiting, Output::MakeCsr(request))
    }

    fn asking_server(&self) -> Option<String> {
        let contact = self.contact.as_ref()?;
        contact.origin.server().map(ToString::to_string)
    }

    pub(super) fn take_csr(&mut self, format: &str, input: Input) {
        match input {
            Input::Csr(der) => {
                if let Some(contact) = &mut self.contact {
                    contact.csr = Some(match format {
                        CMC_CSR => Csr::Cmc(der),
                        CMP_CSR => Csr::Cmp(der),
                        _ => Csr::P10(der),
                    });
                }
                self.plan_first([Some(Step::Ask)]);
            }
            other => {
                let reason = reason_of(other);
                self.refuse_csr(CsrError::NotMade { reason }.into());
            }
        }
    }

    /// A key that cannot be deleted is not used by anything; there is nothing to be done about it.
    pub(super) fn take_key_discarded(&mut self, input: Input) {
        self.key_made = false;
        if let Input::Failed { reason } = input {
            self.note_failure(CsrError::KeyNotDiscarded { reason }.into());
        }
    }

    fn refuse_csr(&mut self, kind: FailureKind) {
        let reports = [
            self.report(ProgressType::BootstrapInitiated, None),
            self.report(ProgressType::BootstrapError, Some(kind.to_string())),
        ];
        self.plan_first(reports);
        self.note_failure(kind);
    }
}

/// Signing requests that one server gets: it may want another than the first.
const MAX_REQUESTS: usize = 3;
