//! What is tried next, and where redirects lead (RFC 8572 §5.3, §5.5).

use sztp_cms::{Certificate, Limits, TrustAnchors, parse_certs_only};
use sztp_voucher::yang::Encoding;

use super::{
    Awaiting, Device, Endpoint, EndpointTrust, FailureKind, GET_BOOTSTRAPPING_DATA, Origin, Output,
    Source, Step,
};
use crate::conveyed_info::RedirectInformation;
use crate::dns::Query;
use crate::removable_storage::FileSet;
use crate::rpc::{Csr, GetBootstrappingDataInput, ProgressType};

/// Something to try.
#[derive(Debug, Clone)]
pub(super) enum Candidate {
    Source(Source),
    Storage {
        medium: usize,
        files: FileSet,
    },
    Query(Query),
    Server {
        endpoint: Endpoint,
        /// Redirects that led to it.
        depth: usize,
        /// Servers that may be contacted because of it, itself included.
        budget: usize,
    },
}

/// A server that was tried.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    endpoint: Endpoint,
    depth: usize,
    budget: usize,
}

/// The source that is being dealt with.
#[derive(Debug, Clone)]
pub(super) struct Contact {
    pub(super) origin: Origin,
    pub(super) depth: usize,
    /// Servers that may still be contacted because of it.
    pub(super) budget: usize,
    pub(super) encoding: Encoding,
    /// Whether it was asked in the other encoding already.
    pub(super) asked_again: bool,
    /// What it asked to be told.
    pub(super) verbose: bool,
    /// Whether the owner signed what it gave.
    pub(super) signed: bool,
    /// What is sent with the next question.
    pub(super) csr: Option<Csr>,
    /// How often it asked for one.
    pub(super) csr_requests: usize,
}

impl Device {
    /// Goes to what was not tried yet.
    pub(super) fn next_candidate(&mut self) -> Option<Output> {
        if self.key_made && !self.key_kept {
            self.plan_first([Some(Step::DiscardKey)]);
            return None;
        }
        let Some(candidate) = self.candidates.pop() else {
            return self.end_round();
        };
        match candidate {
            Candidate::Source(source) => self.open_source(source),
            Candidate::Storage { medium, files } => self.read_storage(medium, files),
            Candidate::Query(query) => self.resolve(query),
            Candidate::Server {
                endpoint,
                depth,
                budget,
            } => {
                self.visit(Visit {
                    endpoint,
                    depth,
                    budget,
                });
                None
            }
        }
    }

    /// Turns to a server, unless what it had led to nothing with no less leave to be followed.
    fn visit(&mut self, visit: Visit) {
        let tried = self.visited.iter().any(|other| {
            other.endpoint.is_same(&visit.endpoint)
                && other.depth <= visit.depth
                && other.budget >= visit.budget
        });
        self.contact = Some(Contact {
            depth: visit.depth,
            budget: visit.budget.saturating_sub(1),
            ..self.contact_with(Origin::Server(visit.endpoint.clone()))
        });
        if tried {
            self.note_failure(FailureKind::Redirect("this server was tried before"));
        } else {
            self.visited.push(visit);
            self.plan_first([Some(Step::Ask)]);
        }
    }

    /// Asks the current server for its data.
    pub(super) fn ask(&mut self) -> Option<Output> {
        let contact = self.contact.as_ref()?;
        let encoding = contact.encoding;
        let server = contact.origin.server()?.clone();
        let csr = contact.csr.clone();
        let nonce = self.config.nonce.clone();
        // An untrusted server is told as little as possible (RFC 8572 §9.6).
        let input = if server.trust.authenticates() {
            GetBootstrappingDataInput {
                hw_model: self.config.hw_model.clone(),
                os_name: self.config.running.os_name.clone(),
                os_version: self.config.running.os_version.clone(),
                nonce,
                // One or the other (RFC 9646 §3.2).
                csr_support: self.config.csr_support.clone().filter(|_| csr.is_none()),
                csr,
                signed_data_preferred: false,
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

    /// Puts the servers of a redirect before all others, in their order (RFC 8572 §5.5). They share
    /// what may be contacted, so that none of them can use up what belongs to the next.
    pub(super) fn follow(&mut self, redirect: RedirectInformation, trusted: bool) {
        let contact = self.contact.as_ref();
        let depth = contact.map_or(0, |contact| contact.depth) + 1;
        let budget = contact.map_or(0, |contact| contact.budget);
        if depth > self.config.max_redirect_depth {
            self.note_failure(FailureKind::Redirect("redirected too often"));
            return;
        }
        let mut servers = redirect.bootstrap_servers;
        if servers.len() > budget {
            servers.truncate(budget);
            self.note_failure(FailureKind::Redirect("too many servers to be contacted"));
        }
        let mut found = Vec::new();
        let mut faults = Vec::new();
        for server in servers {
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
            found.push(endpoint);
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
        let (share, rest) = (budget / found.len().max(1), budget % found.len().max(1));
        let found = found.into_iter().enumerate().rev();
        self.candidates
            .extend(found.map(|(index, endpoint)| Candidate::Server {
                endpoint,
                depth,
                // What cannot be divided goes to the first ones.
                budget: share + usize::from(index < rest),
            }));
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
