//! Which server comes next, and where redirects lead (RFC 8572 §5.3, §5.5).

use sztp_cms::{Certificate, Limits, TrustAnchors, parse_certs_only};
use sztp_voucher::yang::Encoding;

use super::{
    Awaiting, Device, Endpoint, EndpointTrust, FailureKind, GET_BOOTSTRAPPING_DATA, Outcome,
    Output, Step,
};
use crate::conveyed_info::RedirectInformation;
use crate::rpc::{GetBootstrappingDataInput, ProgressType};

/// A server to try.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) endpoint: Endpoint,
    /// Redirects that led to it.
    pub(super) depth: usize,
}

/// The server that is being dealt with.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) endpoint: Endpoint,
    pub(super) depth: usize,
    pub(super) encoding: Encoding,
    /// Whether it was asked in the other encoding already.
    pub(super) asked_again: bool,
    /// What it asked to be told.
    pub(super) verbose: bool,
    /// Whether the owner signed what it gave.
    pub(super) signed: bool,
}

impl Device {
    /// Goes to the next server that was not tried yet.
    pub(super) fn next_server(&mut self) -> Option<Output> {
        let Some(Candidate { endpoint, depth }) = self.candidates.pop() else {
            return Some(Output::Done(Outcome::Failed(self.failures.clone())));
        };
        if depth == 0 {
            self.contacts = 0;
        }
        let tried = self.visited.iter().any(|other| other.is_same(&endpoint));
        self.contact = Some(Contact {
            endpoint: endpoint.clone(),
            depth,
            encoding: self.config.encoding,
            asked_again: false,
            verbose: false,
            signed: false,
        });
        if tried {
            self.note_failure(FailureKind::Redirect("this server was tried before"));
        } else if self.contacts >= self.config.max_contacts {
            self.candidates.retain(|candidate| candidate.depth == 0);
            self.note_failure(FailureKind::Redirect("too many servers were contacted"));
        } else {
            self.visited.push(endpoint);
            self.contacts += 1;
            self.plan_first([Some(Step::Ask)]);
        }
        None
    }

    /// Asks the current server for its data.
    pub(super) fn ask(&mut self) -> Option<Output> {
        let contact = self.contact.as_ref()?;
        let encoding = contact.encoding;
        let server = contact.endpoint.clone();
        let nonce = self.config.nonce.clone();
        // An untrusted server is told as little as possible (RFC 8572 §9.6).
        let input = if server.trust.authenticates() {
            GetBootstrappingDataInput {
                hw_model: self.config.hw_model.clone(),
                os_name: self.config.running.os_name.clone(),
                os_version: self.config.running.os_version.clone(),
                nonce,
                ..GetBootstrappingDataInput::default()
            }
        } else {
            GetBootstrappingDataInput {
                signed_data_preferred: true,
                nonce,
                ..GetBootstrappingDataInput::default()
            }
        };
        let output = Output::Post {
            server,
            operation: GET_BOOTSTRAPPING_DATA,
            encoding,
            body: input.encode(encoding),
            progress: None,
        };
        self.wait_for(Awaiting::Data, output)
    }

    /// Puts the servers of a redirect before all others, in their order (RFC 8572 §5.5).
    pub(super) fn follow(&mut self, redirect: RedirectInformation, trusted: bool) {
        let depth = self.contact.as_ref().map_or(0, |contact| contact.depth) + 1;
        if depth > self.config.max_redirect_depth {
            self.note_failure(FailureKind::Redirect("redirected too often"));
            return;
        }
        // More than may be contacted need not be looked at.
        let allowed = self.config.max_contacts.saturating_sub(self.contacts);
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for server in redirect.bootstrap_servers.into_iter().take(allowed) {
            let trust = match server.trust_anchor {
                Some(anchor) if trusted => match read_anchor(&anchor) {
                    Ok(anchor) => EndpointTrust::Anchors(anchor),
                    // Not followed without: an anchor must authenticate (RFC 8572 §5.5).
                    Err(fault) => {
                        faults.push(format!("{}: {fault}", server.address));
                        self.note_failure(FailureKind::Redirect(fault));
                        continue;
                    }
                },
                _ => EndpointTrust::Provisional,
            };
            let endpoint = Endpoint {
                address: server.address,
                port: server.port.unwrap_or(443),
                trust,
            };
            found.push(Candidate { endpoint, depth });
        }
        if !faults.is_empty() {
            let progress_type = if found.is_empty() {
                ProgressType::ParsingError
            } else {
                ProgressType::ParsingWarning
            };
            let report = self.report(progress_type, Some(faults.join("; ")));
            self.plan_first([report]);
        }
        found.reverse();
        self.candidates.append(&mut found);
    }
}

/// The trust anchor of a redirect: of a chain from a root down, the last authority, as only that
/// one may issue the server's certificate (RFC 8572 §6.3).
fn read_anchor(artifact: &[u8]) -> Result<TrustAnchors, &'static str> {
    let bag = parse_certs_only(artifact, &Limits::default())
        .map_err(|_| "its trust anchor is not a certs-only CMS")?;
    let chain = bag.certificates();
    let issued = |issuer: &Certificate, subject: &Certificate| {
        issuer != subject && subject.issuer_der() == issuer.subject_der()
    };
    let mut last = chain
        .iter()
        .filter(|one| !chain.iter().any(|other| issued(one, other)));
    let (Some(anchor), None) = (last.next(), last.next()) else {
        return Err("its trust anchor is not a single chain of certificates");
    };
    let mut top = anchor;
    for _ in 1..chain.len() {
        match chain.iter().find(|one| issued(one, top)) {
            Some(issuer) => top = issuer,
            None => return Err("its trust anchor is not a single chain of certificates"),
        }
    }
    if !top.is_self_issued() {
        return Err("the chain of its trust anchor does not begin with a root");
    }
    Ok(TrustAnchors::new([anchor.clone()]))
}
