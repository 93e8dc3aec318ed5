//! Why a device gets no LDevID (RFC 9646), and the question for a signing request.

use sztp_cms::{CertificateError, CertificationRequestError, CmsError, IssueError, Rule};
use sztp_core::csr::CsrRequest;
use thiserror::Error;

use crate::OutsideError;

/// What is in the way between a device and its LDevID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LdevidError {
    /// Nothing is wrong: the device is to send a signing request (RFC 9646 §2.3).
    #[error("a certificate signing request is wanted")]
    Wanted(CsrRequest),
    /// Only PKCS#10 is taken.
    #[error("certificate signing requests in {format} are not taken here, only p10-csr")]
    FormatUnsupported {
        /// What the device offers, or sent.
        format: String,
    },
    /// The device can make no key of a kind that is allowed.
    #[error("the device offers no key of a kind that is certified here")]
    NoAlgorithm,
    /// The device cannot make requests, and its profile gives nothing without one.
    #[error("the device makes no certificate signing requests, and its profile requires one")]
    NotSupported,
    /// The device has no IDevID that the request could be bound to.
    #[error("certificates are issued to devices with an IDevID certificate only")]
    IdevidMissing,
    /// No request, or one that proves nothing.
    #[error("{0}")]
    Request(#[source] CertificationRequestError),
    /// It is for another device.
    #[error("the request is for {asked:?}, the device's IDevID for {idevid:?}")]
    OtherDevice {
        /// The request's subject.
        asked: String,
        /// The IDevID's.
        idevid: String,
    },
    /// A name that the device may not have.
    #[error("the request asks for a name that the device may not have")]
    NameNotAllowed,
    /// It asks for a certificate of an authority.
    #[error("the request asks for the certificate of an authority")]
    Authority,
    /// A kind of key that is not certified.
    #[error("keys of this kind are not certified here: {found}")]
    KeyNotAllowed {
        /// Of the request.
        found: String,
    },
    /// The key had to be new.
    #[error("the key is the IDevID's, and a new one is wanted")]
    KeyNotNew,
    /// The key had to be the IDevID's.
    #[error("the key is not the IDevID's")]
    KeyNotIdevids,
    /// A domain name of the profile that is none once it is filled in.
    #[error("ldevid.dns_names: {problem}")]
    Name {
        /// What is wrong.
        problem: String,
    },
    /// Nobody is configured to issue.
    #[error("none of ldevid.ca, ldevid.est and ldevid.program is set")]
    NoIssuer,
    /// The built-in CA could not issue.
    #[error("issuing: {0}")]
    Issue(#[source] IssueError),
    /// The built-in CA's own certificate has ended.
    #[error("the built-in CA's certificate ended at {not_after}")]
    CaEnded {
        /// When.
        not_after: String,
    },
    /// Nothing came from outside.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// What came holds no certificates.
    #[error("what came is no certificate: {0}")]
    Certificates(#[source] CertificateError),
    /// What came is no certs-only CMS message.
    #[error("what came holds no certificates: {0}")]
    Message(#[source] CmsError),
    /// None of the certificates that came is for the key.
    #[error("what came is not for the key of the request")]
    OtherKey,
    /// The certificate that came holds at another time.
    #[error("the certificate that came does not hold now: {not_before} to {not_after}")]
    NotValid {
        /// From when.
        not_before: String,
        /// Until when.
        not_after: String,
    },
}

/// Who is to do what about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody: the device is to answer.
    None,
    /// What the device asks for.
    Device,
    /// It may be better later.
    Passing,
    /// The operator.
    Operator,
}

impl LdevidError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Wanted(_) => "ldevid.wanted",
            Self::FormatUnsupported { .. } => "ldevid.format-unsupported",
            Self::NoAlgorithm => "ldevid.no-algorithm",
            Self::NotSupported => "ldevid.not-supported",
            Self::IdevidMissing => "ldevid.idevid-missing",
            Self::Request(inner) => inner.code(),
            Self::OtherDevice { .. } => "ldevid.other-device",
            Self::NameNotAllowed => "ldevid.name-not-allowed",
            Self::Authority => "ldevid.authority",
            Self::KeyNotAllowed { .. } => "ldevid.key-not-allowed",
            Self::KeyNotNew => "ldevid.key-not-new",
            Self::KeyNotIdevids => "ldevid.key-not-idevids",
            Self::Name { .. } => "ldevid.name",
            Self::NoIssuer => "ldevid.no-issuer",
            Self::Issue(inner) => inner.code(),
            Self::CaEnded { .. } => "ldevid.ca-ended",
            Self::Outside(inner) => inner.code(),
            Self::Certificates(inner) => inner.code(),
            Self::Message(inner) => inner.code(),
            Self::OtherKey => "ldevid.other-key",
            Self::NotValid { .. } => "ldevid.not-valid",
        }
    }

    /// The clause that was broken, where there is one.
    pub fn rule(&self) -> Option<Rule> {
        Some(match self {
            Self::Wanted(_) => Rule::new(9646, "2.3", "csr-request"),
            Self::FormatUnsupported { .. } => Rule::new(9646, "3.2", "selected-format"),
            Self::NoAlgorithm | Self::KeyNotAllowed { .. } => {
                Rule::new(9646, "3.2", "selected-algorithm")
            }
            Self::NotSupported => Rule::new(9646, "3.2", "csr-support"),
            Self::Request(inner) => inner.rule(),
            Self::IdevidMissing
            | Self::OtherDevice { .. }
            | Self::NameNotAllowed
            | Self::Authority
            | Self::KeyNotIdevids => Rule::new(9646, "4.2.2", "proof of origin"),
            Self::KeyNotNew => Rule::new(9646, "4.1.3", "fresh private key"),
            Self::Issue(inner) => inner.rule(),
            _ => return None,
        })
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Wanted(_) => Fault::None,
            Self::FormatUnsupported { .. }
            | Self::NoAlgorithm
            | Self::NotSupported
            | Self::IdevidMissing
            | Self::Request(_)
            | Self::OtherDevice { .. }
            | Self::NameNotAllowed
            | Self::Authority
            | Self::KeyNotAllowed { .. }
            | Self::KeyNotNew
            | Self::KeyNotIdevids => Fault::Device,
            Self::Outside(_)
            | Self::Certificates(_)
            | Self::Message(_)
            | Self::OtherKey
            | Self::NotValid { .. } => Fault::Passing,
            Self::Name { .. } | Self::NoIssuer | Self::Issue(_) | Self::CaEnded { .. } => {
                Fault::Operator
            }
        }
    }
}
