//! The clause that a rejection stands on, so that logs, reports and tests can name it.

use core::fmt;

/// A clause of an RFC: what an error says was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// RFC number.
    pub rfc: u16,
    /// Section, without the section sign.
    pub section: &'static str,
    /// What the clause is about, in a few words.
    pub topic: &'static str,
}

impl Rule {
    /// Names a clause.
    pub const fn new(rfc: u16, section: &'static str, topic: &'static str) -> Self {
        Self {
            rfc,
            section,
            topic,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RFC {} §{} {}", self.rfc, self.section, self.topic)
    }
}
