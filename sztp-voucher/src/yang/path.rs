//! Where in a document something is.

use std::fmt;

use super::check::printable;

/// The way to a node from the top of its document; only an error puts it into words.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// A place that was put into words before; empty at the top.
    At(&'a str),
    /// A member, by a name from outside.
    Member(&'a Path<'a>, &'a str),
    /// An entry of a list or leaf-list, counted from nought.
    Entry(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(text) => f.write_str(text),
            Self::Member(of, name) => write!(f, "{of}/{}", printable(name)),
            Self::Entry(of, index) => write!(f, "{of}[{}]", index + 1),
        }
    }
}
