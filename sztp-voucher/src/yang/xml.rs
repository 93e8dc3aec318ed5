//! Reading XML instance data (RFC 7950): namespaces resolved, nothing external, bounded depth.
//!
//! The document becomes a small element tree first, then the JSON-shaped value of the schema.

use quick_xml::NsReader;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};
use serde_json::{Map, Value};

use super::check::{check_object, leaf_from_text, member_name, printable};
use super::path::Path;
use super::{
    Encoding, Kind, LeafType, MAX_NODES, Module, Node, Options, UnknownMembers, YangError,
};

pub(super) fn decode(
    text: &str,
    top: &[&'static Node],
    options: &Options,
) -> Result<Value, YangError> {
    let root = parse(text.strip_prefix('\u{FEFF}').unwrap_or(text), options)?;
    let members = convert(vec![root], top, None, "", options)?;
    // Types were judged on the way; this judges what is between the nodes: keys, min-elements.
    check_object(members, top.iter().copied(), None, Path::At(""), options).map(Value::Object)
}

/// A namespace is written once and held by each element: a long one would take a multiple of the
/// document's size.
pub(super) const MAX_NAMESPACE_OCTETS: usize = 256;

const MAX_DETAIL_CHARACTERS: usize = 160;

/// An element with its namespace resolved.
#[derive(Debug, Default)]
struct Element {
    namespace: String,
    name: String,
    text: String,
    children: Vec<Element>,
    /// The namespace that the text's prefix, or the lack of one, stands for if it is a QName.
    text_namespace: Option<String>,
}

fn parse(text: &str, options: &Options) -> Result<Element, YangError> {
    let mut reader = NsReader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut first = true;
    let mut nodes = 0;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| syntax(error.to_string()))?;
        match event {
            Event::Start(start) => {
                nodes += 1;
                check_place(root.is_some(), open.len(), nodes, options)?;
                open.push(element(&reader, &start)?);
            }
            Event::Empty(start) => {
                nodes += 1;
                check_place(root.is_some(), open.len(), nodes, options)?;
                close(element(&reader, &start)?, &mut open, &mut root);
            }
            Event::End(_) => {
                let Some(mut done) = open.pop() else {
                    return Err(syntax("unexpected end tag"));
                };
                done.text_namespace = text_namespace(&reader, done.text.trim());
                close(done, &mut open, &mut root);
            }
            Event::Text(chunk) => append(&mut open, &chunk.xml10_content())?,
            Event::CData(chunk) => {
                if open.is_empty() {
                    return Err(syntax("CDATA outside the root element"));
                }
                append(&mut open, &chunk.xml10_content())?;
            }
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(c)) => c,
                    Ok(None) => predefined(&reference.xml10_content())?,
                    Err(error) => return Err(syntax(error.to_string())),
                };
                if open.is_empty() {
                    return Err(syntax("text outside the root element"));
                }
                append(&mut open, resolved.encode_utf8(&mut [0; 4]))?;
            }
            Event::Comment(_) => {}
            Event::Decl(declaration) if first => check_declaration(&declaration)?,
            Event::Decl(_) => return Err(syntax("XML declaration not at the start")),
            Event::PI(_) => {
                return Err(YangError::ForbiddenXml {
                    what: "processing instruction",
                });
            }
            // LEDGER: 7950-xml-02. Neither expansion bombs nor external entities without a DTD.
            Event::DocType(_) => return Err(YangError::ForbiddenXml { what: "DTD" }),
            Event::Eof => break,
        }
        first = false;
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        Some(_) | None => Err(syntax("document ends before its root element does")),
    }
}

fn check_place(
    after_root: bool,
    depth: usize,
    nodes: usize,
    options: &Options,
) -> Result<(), YangError> {
    if after_root {
        return Err(syntax("more than one root element"));
    }
    if depth >= options.max_depth {
        return Err(YangError::TooDeep {
            limit: options.max_depth,
        });
    }
    if nodes > MAX_NODES {
        return Err(YangError::TooManyNodes { limit: MAX_NODES });
    }
    Ok(())
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, YangError> {
    // Attributes carry nothing in instance data; they only have to be well-formed.
    for attribute in start.attributes() {
        attribute.map_err(|error| syntax(error.to_string()))?;
    }
    let (namespace, local) = reader.resolver().resolve_element(start.name());
    let namespace = match namespace {
        ResolveResult::Bound(namespace) if namespace.as_ref().len() > MAX_NAMESPACE_OCTETS => {
            return Err(syntax(format!(
                "namespace of more than {MAX_NAMESPACE_OCTETS} octets"
            )));
        }
        ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(prefix) => {
            return Err(syntax(format!(
                "undeclared namespace prefix {:?}",
                printable(&prefix)
            )));
        }
    };
    Ok(Element {
        namespace,
        name: local.as_ref().to_owned(),
        ..Element::default()
    })
}

fn text_namespace(reader: &NsReader<&[u8]>, text: &str) -> Option<String> {
    // RFC 7950 §9.10.3: without a prefix it is the default namespace in effect.
    match reader.resolver().resolve_prefix(QName(text).prefix(), true) {
        ResolveResult::Bound(namespace) if namespace.as_ref().len() <= MAX_NAMESPACE_OCTETS => {
            Some(namespace.as_ref().to_owned())
        }
        _ => None,
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None => *root = Some(element),
    }
}

fn append(open: &mut [Element], text: &str) -> Result<(), YangError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(syntax("text outside the root element")),
    }
    Ok(())
}

fn predefined(name: &str) -> Result<char, YangError> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        _ => Err(YangError::ForbiddenXml {
            what: "entity other than the predefined five",
        }),
    }
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), YangError> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name)) if name.eq_ignore_ascii_case("UTF-8") => Ok(()),
        Some(_) => Err(YangError::ForbiddenXml {
            what: "encoding other than UTF-8",
        }),
    }
}

/// Turns sibling elements into the members of an object.
fn convert(
    elements: Vec<Element>,
    nodes: &[&'static Node],
    parent: Option<&Module>,
    path: &str,
    options: &Options,
) -> Result<Map<String, Value>, YangError> {
    let mut members: Map<String, Value> = Map::new();
    for element in elements {
        let found = nodes
            .iter()
            .find(|node| node.name == element.name && node.module.namespace == element.namespace);
        let Some(node) = found else {
            if let Some(node) = nodes.iter().find(|node| node.name == element.name) {
                let expected = format!("{} in namespace {}", node.name, node.module.namespace);
                return Err(YangError::WronglyQualified {
                    path: format!("{path}/{}", printable(&element.name)),
                    expected,
                });
            }
            if options.unknown == UnknownMembers::Refuse {
                return Err(YangError::Unknown {
                    path: format!("{path}/{}", printable(&element.name)),
                });
            }
            insert_unknown(&mut members, element, parent);
            continue;
        };
        let name = member_name(node, parent);
        let here = format!("{path}/{name}");
        let plural = matches!(node.kind, Kind::LeafList { .. } | Kind::List { .. });
        let value = convert_node(node, element, &here, options)?;
        match members.get_mut(&name) {
            Some(Value::Array(entries)) if plural => entries.push(value),
            Some(_) => return Err(YangError::Duplicate { path: here }),
            None if plural => {
                members.insert(name, Value::Array(vec![value]));
            }
            None => {
                members.insert(name, value);
            }
        }
    }
    Ok(members)
}

fn convert_node(
    node: &'static Node,
    element: Element,
    path: &str,
    options: &Options,
) -> Result<Value, YangError> {
    match &node.kind {
        Kind::Leaf(ty) | Kind::LeafList { ty, .. } => convert_leaf(ty, &element, path, options),
        Kind::Container(children) | Kind::List { children, .. } => {
            no_text(&element, path)?;
            let children: Vec<_> = children.iter().collect();
            convert(
                element.children,
                &children,
                Some(node.module),
                path,
                options,
            )
            .map(Value::Object)
        }
        Kind::AnyData(known) => {
            no_text(&element, path)?;
            let known: Vec<_> = known.iter().collect();
            let keep = Options {
                unknown: UnknownMembers::Keep,
                ..*options
            };
            convert(element.children, &known, None, path, &keep).map(Value::Object)
        }
    }
}

fn convert_leaf(
    ty: &LeafType,
    element: &Element,
    path: &str,
    options: &Options,
) -> Result<Value, YangError> {
    if !element.children.is_empty() {
        return Err(YangError::WrongType {
            path: path.to_owned(),
            expected: "text",
        });
    }
    let LeafType::IdentityRef {
        base_module,
        modules,
    } = ty
    else {
        return leaf_from_text(ty, &element.text, Path::At(path), options);
    };
    // LEDGER: 7950-xml-01. The prefix is whatever the document bound to the namespace.
    let text = element.text.trim();
    let name = text.split_once(':').map_or(text, |(_, name)| name);
    let module = std::iter::once(base_module)
        .chain(modules.iter())
        .find(|module| Some(module.namespace) == element.text_namespace.as_deref());
    match module {
        Some(module) => {
            let identity = format!("{}:{name}", module.name);
            leaf_from_text(ty, &identity, Path::At(path), options)
        }
        None => Err(YangError::InvalidValue {
            path: path.to_owned(),
            reason: "the identity's namespace is not known".to_owned(),
        }),
    }
}

fn no_text(element: &Element, path: &str) -> Result<(), YangError> {
    if element.text.trim().is_empty() {
        Ok(())
    } else {
        Err(YangError::WrongType {
            path: path.to_owned(),
            expected: "elements without text",
        })
    }
}

/// Keeps an element that the schema does not know: text or an object, an array when repeated.
fn insert_unknown(members: &mut Map<String, Value>, element: Element, parent: Option<&Module>) {
    let name = unknown_name(&element, parent.map_or("", |module| module.namespace));
    merge(members, name, unknown_value(element));
}

fn unknown_name(element: &Element, parent_namespace: &str) -> String {
    // Plain where the module is its parent's (RFC 7951 §4).
    if element.namespace.is_empty() || element.namespace == parent_namespace {
        element.name.clone()
    } else {
        format!("{}:{}", module_of(&element.namespace), element.name)
    }
}

fn unknown_value(element: Element) -> Value {
    if element.children.is_empty() {
        return Value::String(element.text);
    }
    let mut members = Map::new();
    for child in element.children {
        let name = unknown_name(&child, &element.namespace);
        merge(&mut members, name, unknown_value(child));
    }
    Value::Object(members)
}

fn merge(members: &mut Map<String, Value>, name: String, value: Value) {
    match members.get_mut(&name) {
        Some(Value::Array(entries)) => entries.push(value),
        Some(single) => {
            let first = single.take();
            *single = Value::Array(vec![first, value]);
        }
        None => {
            members.insert(name, value);
        }
    }
}

/// The module name of an IETF namespace; the namespace itself for any other.
fn module_of(namespace: &str) -> &str {
    namespace
        .strip_prefix("urn:ietf:params:xml:ns:yang:")
        .unwrap_or(namespace)
}

fn syntax(detail: impl Into<String>) -> YangError {
    YangError::Syntax {
        encoding: Encoding::Xml,
        // The parser repeats names, however long they are.
        detail: detail.into().chars().take(MAX_DETAIL_CHARACTERS).collect(),
    }
}
