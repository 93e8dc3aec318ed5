//! Bounds on what is read: everything received is hostile until verified.

/// How large and how deep a CMS message may be before it is refused unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole message.
    pub max_bytes: usize,
    /// Levels of nested ASN.1 values.
    pub max_depth: usize,
    /// Certificates in one message.
    pub max_certificates: usize,
    /// Certificate revocation lists in one message.
    pub max_crls: usize,
    /// SignerInfos in one message.
    pub max_signers: usize,
    /// Recipients of one encrypted message.
    pub max_recipients: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 4 * 1024 * 1024,
            max_depth: 32,
            max_certificates: 32,
            max_crls: 16,
            max_signers: 8,
            max_recipients: 64,
        }
    }
}
