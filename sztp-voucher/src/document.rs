//! Voucher and voucher-request documents: their schema, and reading their leaves to the letter or
//! as makers in the field write them.
//!
//! What the leaves mean is in `voucher` and `request`.

use std::fmt;

use serde_json::{Map, Value};
use sztp_cms::UnixTime;

use crate::yang::{
    self, Encoding, Fields, Kind, LeafType, Module, Node, Options, UnknownMembers, YangError,
    decode_binary, encode_binary,
};

/// How strictly a voucher is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// RFC 8366 to the letter.
    #[default]
    Rfc8366,
    /// As its successor's draft and makers in the field write it: base64url, booleans as strings,
    /// leaves of later revisions, nonce and expiry together, idevid-issuer as a bare key
    /// identifier. Each deviation is noted.
    Rfc8366bis,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rfc8366 => "rfc8366",
            Self::Rfc8366bis => "rfc8366bis",
        })
    }
}

/// One of the two documents.
pub(crate) struct Document {
    /// The name of its top-level member in JSON (RFC 7951 §4).
    pub(crate) top: &'static str,
    node: &'static Node,
}

impl Document {
    /// Reads the top-level container; says in `notes` what the lenient profile let pass.
    pub(crate) fn read(
        &self,
        octets: &[u8],
        encoding: Encoding,
        profile: Profile,
        notes: &mut Vec<String>,
    ) -> Result<Fields, YangError> {
        let strict = yang::decode(octets, encoding, &[self.node], &Options::default());
        let mut document = match (strict, profile) {
            (Ok(document), _) => document,
            (Err(error), Profile::Rfc8366) => return Err(error),
            (Err(error), Profile::Rfc8366bis) => self.relaxed(octets, encoding, error, notes)?,
        };
        Fields::top(&mut document, self.top).ok_or_else(|| YangError::Missing {
            path: format!("/{}", self.top),
        })
    }

    /// Writes a document with these leaves.
    pub(crate) fn write(&self, leaves: Leaves, encoding: Encoding) -> Vec<u8> {
        let document = Map::from_iter([(self.top.to_owned(), Value::Object(leaves.0))]);
        yang::encode_unchecked(&Value::Object(document), encoding, &[self.node])
    }

    /// Whether octets that `error` refused as another document are this one.
    pub(crate) fn seems(&self, octets: &[u8], error: &YangError) -> bool {
        let module = self.node.module.name.as_bytes();
        // The other module's name begins with this one's: what follows tells them apart.
        let named = octets.windows(module.len() + 1).any(|window| {
            window.starts_with(module) && matches!(window.last(), Some(b':' | b'"' | b'\''))
        });
        named
            && matches!(
                error,
                YangError::Unknown { .. }
                    | YangError::WronglyQualified { .. }
                    | YangError::Missing { .. }
            )
    }

    /// Reads what strict reading refused with `error`, after mending what is known to differ.
    fn relaxed(
        &self,
        octets: &[u8],
        encoding: Encoding,
        error: YangError,
        notes: &mut Vec<String>,
    ) -> Result<Value, YangError> {
        // A duplicate member, which serde_json would let pass, is refused here with all the rest.
        if !matches!(
            error,
            YangError::WrongType { .. }
                | YangError::InvalidValue { .. }
                | YangError::Unknown { .. }
        ) {
            return Err(error);
        }
        let keep = Options {
            unknown: UnknownMembers::Keep,
            ..Options::default()
        };
        if encoding == Encoding::Xml {
            return yang::decode(octets, encoding, &[self.node], &keep);
        }
        let Ok(mut document) = serde_json::from_slice::<Value>(octets) else {
            return Err(error);
        };
        let Some(leaves) = document.get_mut(self.top).and_then(Value::as_object_mut) else {
            return Err(error);
        };
        if let Kind::Container(nodes) = &self.node.kind {
            for node in *nodes {
                mend(node, leaves, notes);
            }
        }
        let mended = document.to_string();
        yang::decode(mended.as_bytes(), encoding, &[self.node], &keep)
    }
}

/// Brings one leaf into the form of RFC 7951 where its meaning is unambiguous.
fn mend(node: &Node, leaves: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let name = node.name;
    let (Some(value), Kind::Leaf(ty)) = (leaves.get_mut(name), &node.kind) else {
        return;
    };
    match (ty, value.as_str()) {
        (LeafType::Binary, Some(text)) if decode_binary(text, true).is_none() => {
            if let Some(octets) = decode_base64url(text) {
                *value = encode_binary(&octets).into();
                notes.push(format!(
                    "{name} is base64url or unpadded, RFC 7951 §6.6 wants base64"
                ));
            }
        }
        (LeafType::Boolean, Some(text @ ("true" | "false"))) => {
            *value = (text == "true").into();
            notes.push(format!("{name} is a string, not a boolean"));
        }
        _ => {}
    }
}

/// A date and time leaf.
pub(crate) fn time(fields: &mut Fields, name: &str) -> Result<Option<UnixTime>, YangError> {
    let Some(text) = fields.string(name) else {
        return Ok(None);
    };
    let time = UnixTime::parse_rfc3339(&text).map_err(|_| YangError::WrongType {
        path: fields.path_of(name),
        expected: "a date and time that exists",
    })?;
    Ok(Some(time))
}

/// The leaves that the schema does not know, and a note for each.
pub(crate) fn unknown(fields: Fields, notes: &mut Vec<String>) -> Map<String, Value> {
    let extra = fields.into_rest();
    notes.extend(extra.keys().map(|key| {
        let name: String = key.chars().take(64).filter(|c| !c.is_control()).collect();
        format!("leaf {name:?} is unknown to RFC 8366; not looked at")
    }));
    extra
}

/// The leaves of a document to be written.
pub(crate) struct Leaves(Map<String, Value>);

impl Leaves {
    /// Begins with leaves that the schema does not know; known ones take their place.
    pub(crate) fn new(extra: &Map<String, Value>) -> Self {
        Self(extra.clone())
    }

    pub(crate) fn put(&mut self, name: &str, value: Option<impl Into<Value>>) {
        match value {
            Some(value) => self.0.insert(name.to_owned(), value.into()),
            None => self.0.remove(name),
        };
    }

    pub(crate) fn time(&mut self, name: &str, time: Option<UnixTime>) {
        self.put(name, time.map(|time| time.to_string()));
    }

    pub(crate) fn binary(&mut self, name: &str, octets: Option<&[u8]>) {
        self.put(name, octets.map(encode_binary));
    }
}

/// base64url (RFC 4648 §5), or base64 that lacks its padding; white space aside.
fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    let bare: String = text.split_ascii_whitespace().collect();
    let bare = bare.trim_end_matches('=');
    let url_safe = bare.contains(['-', '_']);
    if url_safe && bare.contains(['+', '/']) {
        return None;
    }
    let mut mended = bare.replace('-', "+").replace('_', "/");
    while !mended.len().is_multiple_of(4) {
        mended.push('=');
    }
    decode_binary(&mended, false)
}

/// RFC 8366 §5.3.
pub(crate) static VOUCHER: Document = Document {
    top: "ietf-voucher:voucher",
    node: &Node {
        name: "voucher",
        module: &VOUCHER_MODULE,
        kind: Kind::Container(&[
            leaf(&VOUCHER_MODULE, "created-on", LeafType::DateTime),
            leaf(&VOUCHER_MODULE, "expires-on", LeafType::DateTime),
            leaf(&VOUCHER_MODULE, "assertion", ASSERTION),
            leaf(&VOUCHER_MODULE, "serial-number", LeafType::String),
            leaf(&VOUCHER_MODULE, "idevid-issuer", LeafType::Binary),
            leaf(&VOUCHER_MODULE, "pinned-domain-cert", LeafType::Binary),
            leaf(
                &VOUCHER_MODULE,
                "domain-cert-revocation-checks",
                LeafType::Boolean,
            ),
            leaf(&VOUCHER_MODULE, "nonce", LeafType::Binary),
            leaf(&VOUCHER_MODULE, "last-renewal-date", LeafType::DateTime),
        ]),
    },
};

/// RFC 8995 §3.4: the voucher's grouping in another module, and two leaves more.
pub(crate) static REQUEST: Document = Document {
    top: "ietf-voucher-request:voucher",
    node: &Node {
        name: "voucher",
        module: &REQUEST_MODULE,
        kind: Kind::Container(&[
            leaf(&REQUEST_MODULE, "created-on", LeafType::DateTime),
            leaf(&REQUEST_MODULE, "expires-on", LeafType::DateTime),
            leaf(&REQUEST_MODULE, "assertion", ASSERTION),
            leaf(&REQUEST_MODULE, "serial-number", LeafType::String),
            leaf(&REQUEST_MODULE, "idevid-issuer", LeafType::Binary),
            leaf(&REQUEST_MODULE, "pinned-domain-cert", LeafType::Binary),
            leaf(
                &REQUEST_MODULE,
                "domain-cert-revocation-checks",
                LeafType::Boolean,
            ),
            leaf(&REQUEST_MODULE, "nonce", LeafType::Binary),
            leaf(&REQUEST_MODULE, "last-renewal-date", LeafType::DateTime),
            leaf(
                &REQUEST_MODULE,
                "prior-signed-voucher-request",
                LeafType::Binary,
            ),
            leaf(
                &REQUEST_MODULE,
                "proximity-registrar-cert",
                LeafType::Binary,
            ),
        ]),
    },
};

static VOUCHER_MODULE: Module = Module {
    name: "ietf-voucher",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-voucher",
};

static REQUEST_MODULE: Module = Module {
    name: "ietf-voucher-request",
    namespace: "urn:ietf:params:xml:ns:yang:ietf-voucher-request",
};

const ASSERTION: LeafType = LeafType::Enumeration(&["verified", "logged", "proximity"]);

const fn leaf(module: &'static Module, name: &'static str, ty: LeafType) -> Node {
    Node {
        name,
        module,
        kind: Kind::Leaf(ty),
    }
}
