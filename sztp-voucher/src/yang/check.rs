//! Judges a JSON value tree against the schema and brings it into canonical form.
//!
//! Both decoders and both encoders pass through here, so that a document means the same in either
//! encoding.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

use super::base64ish::is_binary;
use super::path::Path;
use super::{Kind, LeafType, Module, Node, Options, UnknownMembers, YangError};
use super::{decode_binary, encode_binary};

/// Checks the members of an object against `nodes`; `parent` is the module in effect (RFC 7951 §4),
/// `None` at the top.
pub(super) fn check_object<'n>(
    mut members: Map<String, Value>,
    nodes: impl Iterator<Item = &'n Node> + Clone,
    parent: Option<&Module>,
    path: Path<'_>,
    options: &Options,
) -> Result<Map<String, Value>, YangError> {
    for (name, value) in &mut members {
        let here = Path::Member(&path, name);
        let Some(node) = nodes.clone().find(|node| is_named(node, parent, name)) else {
            if let Some(node) = misnamed(name, nodes.clone()) {
                return Err(YangError::WronglyQualified {
                    path: here.to_string(),
                    expected: member_name(node, parent),
                });
            }
            match options.unknown {
                UnknownMembers::Refuse => {
                    return Err(YangError::Unknown {
                        path: here.to_string(),
                    });
                }
                UnknownMembers::Keep => continue,
            }
        };
        *value = check_node(node, value.take(), here, options)?;
    }
    if parent.is_some() {
        check_minimum(&members, nodes, parent, path)?;
    }
    Ok(members)
}

/// The member name of `node` under a node of module `parent` (RFC 7951 §4).
pub(super) fn member_name(node: &Node, parent: Option<&Module>) -> String {
    if parent.is_some_and(|module| module.name == node.module.name) {
        node.name.to_owned()
    } else {
        format!("{}:{}", node.module.name, node.name)
    }
}

/// Whether `name` is the [`member_name`] of `node`.
fn is_named(node: &Node, parent: Option<&Module>, name: &str) -> bool {
    if parent.is_some_and(|module| module.name == node.module.name) {
        return name == node.name;
    }
    name.split_once(':') == Some((node.module.name, node.name))
}

/// The canonical value of a leaf given as text, as XML has it. `identity` is the qualified identity
/// that the text names, where it has been resolved already.
pub(super) fn leaf_from_text(
    ty: &LeafType,
    text: &str,
    path: Path<'_>,
    options: &Options,
) -> Result<Value, YangError> {
    let value = match ty {
        LeafType::String => Value::from(text),
        LeafType::Uint16 => {
            // RFC 7950 §9.2.1: a sign and leading zeros are allowed in the lexical form, but 0x
            // and octal forms only in default statements.
            let number = text.trim().parse::<u16>();
            return number
                .map(Value::from)
                .map_err(|_| wrong(path, "an integer in 0..65535"));
        }
        LeafType::Boolean => match text.trim() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(wrong(path, "true or false")),
        },
        LeafType::Empty if text.trim().is_empty() => Value::Array(vec![Value::Null]),
        LeafType::Empty => return Err(wrong(path, "empty")),
        _ => Value::from(text.trim()),
    };
    check_leaf(ty, value, path, options)
}

fn check_node(
    node: &Node,
    value: Value,
    path: Path<'_>,
    options: &Options,
) -> Result<Value, YangError> {
    match (&node.kind, value) {
        (Kind::Leaf(ty), value) => check_leaf(ty, value, path, options),
        (Kind::LeafList { ty, min }, Value::Array(entries)) => {
            if entries.len() < *min {
                return Err(YangError::TooFew {
                    path: path.to_string(),
                    min: *min,
                });
            }
            entries
                .into_iter()
                .enumerate()
                .map(|(index, entry)| check_leaf(ty, entry, Path::Entry(&path, index), options))
                .collect()
        }
        (Kind::Container(children), Value::Object(members)) => {
            let module = Some(node.module);
            check_object(members, children.iter(), module, path, options).map(Value::Object)
        }
        (
            Kind::List {
                keys,
                min,
                children,
            },
            Value::Array(entries),
        ) => {
            if entries.len() < *min {
                return Err(YangError::TooFew {
                    path: path.to_string(),
                    min: *min,
                });
            }
            check_list(node, keys, children, entries, path, options)
        }
        (Kind::AnyData(known), Value::Object(members)) => {
            let keep = Options {
                unknown: UnknownMembers::Keep,
                ..*options
            };
            check_object(members, known.iter(), None, path, &keep).map(Value::Object)
        }
        (Kind::LeafList { .. } | Kind::List { .. }, _) => Err(wrong(path, "an array")),
        (Kind::Container(_) | Kind::AnyData(_), _) => Err(wrong(path, "an object")),
    }
}

fn check_list(
    node: &Node,
    keys: &[&str],
    children: &'static [Node],
    entries: Vec<Value>,
    path: Path<'_>,
    options: &Options,
) -> Result<Value, YangError> {
    let mut seen = HashSet::new();
    let mut checked = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let here = Path::Entry(&path, index);
        let Value::Object(members) = entry else {
            return Err(wrong(here, "an object"));
        };
        let members = check_object(members, children.iter(), Some(node.module), here, options)?;
        let mut key = Vec::with_capacity(keys.len());
        for name in keys {
            match members.get(*name) {
                Some(value) => key.push(value.to_string()),
                None => {
                    return Err(YangError::Missing {
                        path: format!("{here}/{name}"),
                    });
                }
            }
        }
        if !keys.is_empty() && !seen.insert(key) {
            return Err(YangError::DuplicateKey {
                path: path.to_string(),
            });
        }
        checked.push(Value::Object(members));
    }
    Ok(Value::Array(checked))
}

fn check_minimum<'n>(
    members: &Map<String, Value>,
    nodes: impl Iterator<Item = &'n Node>,
    parent: Option<&Module>,
    path: Path<'_>,
) -> Result<(), YangError> {
    for node in nodes {
        if let Kind::LeafList { min, .. } | Kind::List { min, .. } = &node.kind {
            let name = member_name(node, parent);
            if *min > 0 && !members.contains_key(&name) {
                return Err(YangError::TooFew {
                    path: format!("{path}/{name}"),
                    min: *min,
                });
            }
        }
    }
    Ok(())
}

fn check_leaf(
    ty: &LeafType,
    value: Value,
    path: Path<'_>,
    options: &Options,
) -> Result<Value, YangError> {
    match ty {
        LeafType::Uint16 => match value.as_u64() {
            Some(number) if u16::try_from(number).is_ok() => Ok(value),
            _ => Err(wrong(path, "an integer in 0..65535")),
        },
        LeafType::Boolean if value.is_boolean() => Ok(value),
        LeafType::Boolean => Err(wrong(path, "true or false")),
        LeafType::Empty if value == Value::Array(vec![Value::Null]) => Ok(value),
        LeafType::Empty => Err(wrong(path, "[null]")),
        _ => match value {
            Value::String(text) => check_text(ty, text, path, options).map(Value::String),
            _ => Err(wrong(path, "a string")),
        },
    }
}

fn check_text(
    ty: &LeafType,
    text: String,
    path: Path<'_>,
    options: &Options,
) -> Result<String, YangError> {
    let invalid = |reason: &str| {
        Err(YangError::InvalidValue {
            path: path.to_string(),
            reason: reason.to_owned(),
        })
    };
    match ty {
        // Without white space there is one way to write it.
        LeafType::Binary if is_binary(&text) => Ok(text),
        LeafType::Binary => match decode_binary(&text, options.base64_line_breaks) {
            Some(bytes) => Ok(encode_binary(&bytes)),
            None => invalid("not base64 in the standard alphabet with padding"),
        },
        LeafType::Enumeration(names) if !names.contains(&text.as_str()) => invalid(&format!(
            "{} is not one of {}",
            shortened(&text),
            names.join(", ")
        )),
        LeafType::DateTime if !is_date_and_time(&text) => invalid("not a date-and-time"),
        LeafType::HexString if !is_hex_string(&text) => {
            invalid("not hexadecimal octets separated by colons")
        }
        LeafType::String if !text.chars().all(is_yang_char) => {
            invalid("contains a character that YANG strings cannot hold")
        }
        LeafType::IdentityRef {
            base_module,
            modules,
        } => {
            let (module, name) = text.split_once(':').unwrap_or((base_module.name, &text));
            let known = module == base_module.name || modules.iter().any(|m| m.name == module);
            if known && is_identifier(name) {
                Ok(format!("{module}:{name}"))
            } else {
                invalid(&format!("{} is not a known identity", shortened(&text)))
            }
        }
        _ => Ok(text),
    }
}

/// Whether a YANG string can hold the character (RFC 7950 §9.4).
pub(super) fn is_yang_char(c: char) -> bool {
    let code = u32::from(c);
    matches!(c, '\t' | '\n' | '\r')
        || (code >= 0x20 && code & 0xFFFE != 0xFFFE && !(0xFDD0..=0xFDEF).contains(&code))
}

/// The known node that a wrongly qualified name seems to mean.
fn misnamed<'n>(name: &str, mut nodes: impl Iterator<Item = &'n Node>) -> Option<&'n Node> {
    let local = name.rsplit(':').next()?;
    nodes.find(|node| node.name == local)
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// RFC 6991 `hex-string`: `([0-9a-fA-F]{2}(:[0-9a-fA-F]{2})*)?`.
fn is_hex_string(text: &str) -> bool {
    text.is_empty()
        || text
            .split(':')
            .all(|o| o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// RFC 6991 `date-and-time`: the pattern and the ranges of RFC 3339 §5.6.
fn is_date_and_time(text: &str) -> bool {
    fn within(bytes: &[u8], range: std::ops::RangeInclusive<u8>) -> bool {
        matches!(bytes, [tens @ b'0'..=b'9', ones @ b'0'..=b'9']
            if range.contains(&((tens - b'0') * 10 + (ones - b'0'))))
    }
    let bytes = text.as_bytes();
    let Some((date_time, rest)) = bytes.split_at_checked(19) else {
        return false;
    };
    let punctuated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
        .iter()
        .all(|&(at, mark)| date_time[at] == mark);
    let in_range = date_time[..4].iter().all(u8::is_ascii_digit)
        && within(&date_time[5..7], 1..=12)
        && within(&date_time[8..10], 1..=31)
        && within(&date_time[11..13], 0..=23)
        && within(&date_time[14..16], 0..=59)
        && within(&date_time[17..19], 0..=60);
    let digits = match rest.strip_prefix(b".") {
        Some(fraction) => fraction.iter().take_while(|b| b.is_ascii_digit()).count() + 1,
        None => 0,
    };
    let zone = match &rest[digits..] {
        b"Z" => true,
        [b'+' | b'-', hours @ .., b':', _, _] => {
            within(hours, 0..=23) && within(&rest[rest.len() - 2..], 0..=59)
        }
        _ => false,
    };
    punctuated && in_range && digits != 1 && zone
}

fn wrong(path: Path<'_>, expected: &'static str) -> YangError {
    YangError::WrongType {
        path: path.to_string(),
        expected,
    }
}

/// A name from outside as it may stand in an error: short and without control characters.
pub(super) fn printable(name: &str) -> Cow<'_, str> {
    if name.len() <= 80 && !name.chars().any(char::is_control) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(shortened(name))
    }
}

/// Outside text quoted in an error: short and without control characters.
fn shortened(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// `text` with every character that a YANG string cannot hold (RFC 7950 §9.4) replaced, as for
/// the output of a script in a progress report.
pub fn clean_text(text: &str) -> String {
    text.chars()
        .map(|c| {
            if is_yang_char(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}
