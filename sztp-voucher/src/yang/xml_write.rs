//! Writing XML instance data (RFC 7950): schema order, a namespace declaration where it changes.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::check::{is_yang_char, member_name};
use super::json::canonical;
use super::xml::MAX_NAMESPACE_OCTETS;
use super::{Encoding, Kind, LeafType, Module, Node, YangError};

pub(super) fn encode(value: &Value, top: &[&'static Node]) -> Result<Vec<u8>, YangError> {
    let members = canonical(value, top)?;
    if members.len() != 1 {
        return Err(YangError::Syntax {
            encoding: Encoding::Xml,
            detail: "an XML document has one root element".to_owned(),
        });
    }
    Ok(write(&Value::Object(members), top))
}

/// Writes without checking.
pub(super) fn write(value: &Value, top: &[&'static Node]) -> Vec<u8> {
    let mut out = String::new();
    if let Value::Object(members) = value {
        write_members(&mut out, members, top, None, "");
    }
    out.into_bytes()
}

fn write_members(
    out: &mut String,
    members: &Map<String, Value>,
    nodes: &[&'static Node],
    parent: Option<&Module>,
    namespace: &str,
) {
    // Schema order: RFC 7950 §7.14.4 demands it of RPC input, §7.8.5 of list keys.
    let mut known = Vec::with_capacity(members.len());
    for node in nodes {
        let name = member_name(node, parent);
        if let Some(value) = members.get(&name) {
            write_node(out, node, value, namespace);
            known.push(name);
        }
    }
    for (name, value) in members {
        if !known.contains(name) {
            write_unknown(out, name, value, namespace);
        }
    }
}

fn write_node(out: &mut String, node: &'static Node, value: &Value, namespace: &str) {
    let entries = match (&node.kind, value) {
        (Kind::LeafList { .. } | Kind::List { .. }, Value::Array(entries)) => entries.as_slice(),
        _ => std::slice::from_ref(value),
    };
    for entry in entries {
        let inner = node.module.namespace;
        open(out, node.name, inner, namespace);
        match &node.kind {
            Kind::Leaf(ty) | Kind::LeafList { ty, .. } => write_leaf(out, ty, entry, inner),
            Kind::Container(children) | Kind::List { children, .. } => {
                let children: Vec<_> = children.iter().collect();
                out.push('>');
                if let Value::Object(members) = entry {
                    write_members(out, members, &children, Some(node.module), inner);
                }
            }
            Kind::AnyData(nodes) => {
                let nodes: Vec<_> = nodes.iter().collect();
                out.push('>');
                if let Value::Object(members) = entry {
                    write_members(out, members, &nodes, None, inner);
                }
            }
        }
        close(out, node.name);
    }
}

fn write_leaf(out: &mut String, ty: &LeafType, value: &Value, namespace: &str) {
    if let (
        LeafType::IdentityRef {
            base_module,
            modules,
        },
        Value::String(text),
    ) = (ty, value)
    {
        let (module_name, name) = text.split_once(':').unwrap_or((base_module.name, text));
        let module = std::iter::once(base_module)
            .chain(modules.iter())
            .find(|module| module.name == module_name);
        match module {
            Some(module) if module.namespace != namespace => {
                let _ = write!(out, " xmlns:i=\"{}\">i:", module.namespace);
            }
            _ => out.push('>'),
        }
        escape(out, name);
        return;
    }
    out.push('>');
    write_scalar(out, value);
}

/// A node outside the schema, as the decoder kept it.
fn write_unknown(out: &mut String, name: &str, value: &Value, namespace: &str) {
    let entries = match value {
        Value::Array(entries) if entries.as_slice() != [Value::Null] => entries.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let (inner, local) = match name.rsplit_once(':') {
        // A module of the IETF or a namespace that the XML decoder kept as it was.
        Some((module, local)) if module.contains(':') => (module.to_owned(), local),
        Some((module, local)) => (format!("urn:ietf:params:xml:ns:yang:{module}"), local),
        None => (namespace.to_owned(), name),
    };
    let mut written = String::new();
    escape(&mut written, &inner);
    // What no reader would take is left out.
    if !is_xml_name(local) || written.len() > MAX_NAMESPACE_OCTETS {
        return;
    }
    for entry in entries {
        open(out, local, &inner, namespace);
        out.push('>');
        match entry {
            Value::Object(members) => write_members(out, members, &[], None, &inner),
            scalar => write_scalar(out, scalar),
        }
        close(out, local);
    }
}

fn write_scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => escape(out, text),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        // [null] is the empty leaf; nothing else is a scalar.
        _ => {}
    }
}

fn open(out: &mut String, name: &str, namespace: &str, parent_namespace: &str) {
    out.push('<');
    out.push_str(name);
    if namespace != parent_namespace {
        out.push_str(" xmlns=\"");
        escape(out, namespace);
        out.push('"');
    }
}

fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // A bare CR would be read back as LF (XML 1.0 §2.11).
            '\r' => out.push_str("&#13;"),
            c if is_yang_char(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

fn is_xml_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}
