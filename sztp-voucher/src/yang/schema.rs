//! The static tables that describe a YANG data tree.

/// A YANG module: what qualifies names in JSON and in XML.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// Module name, the qualifier in JSON (RFC 7951 §4).
    pub name: &'static str,
    /// XML namespace (RFC 7950 §7.1.3).
    pub namespace: &'static str,
}

/// A data node. Tables of these are constants.
#[derive(Debug)]
pub struct Node {
    /// Local name.
    pub name: &'static str,
    /// The module that defines it.
    pub module: &'static Module,
    /// What it is.
    pub kind: Kind,
}

/// What a data node is.
#[derive(Debug)]
pub enum Kind {
    /// A leaf (RFC 7950 §7.6).
    Leaf(LeafType),
    /// A leaf-list (§7.7) and its min-elements.
    LeafList {
        /// Type of each entry.
        ty: LeafType,
        /// min-elements.
        min: usize,
    },
    /// A container (§7.5).
    Container(&'static [Node]),
    /// A list (§7.8).
    List {
        /// Names of the key leaves; empty for a list without keys.
        keys: &'static [&'static str],
        /// min-elements.
        min: usize,
        /// Nodes of an entry.
        children: &'static [Node],
    },
    /// An anydata node (§7.10) and the nodes in it that are known; others are carried unchecked.
    AnyData(&'static [Node]),
}

/// The type of a leaf.
#[derive(Debug)]
pub enum LeafType {
    /// `string`
    String,
    /// `binary`, base64 with padding (RFC 4648 §4)
    Binary,
    /// `uint16`
    Uint16,
    /// `boolean`
    Boolean,
    /// `enumeration` and its names
    Enumeration(&'static [&'static str]),
    /// `identityref`
    IdentityRef {
        /// The module in which the leaf is defined: its identities need no prefix in JSON.
        base_module: &'static Module,
        /// All modules that an identity may come from.
        modules: &'static [&'static Module],
    },
    /// `empty`
    Empty,
    /// `yang:date-and-time` (RFC 6991)
    DateTime,
    /// `yang:hex-string` (RFC 6991)
    HexString,
}
