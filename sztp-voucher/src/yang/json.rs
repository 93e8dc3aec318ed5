//! JSON (RFC 7951), read as I-JSON: no member occurs twice (RFC 7493 §2.3).

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::check::check_object;
use super::path::Path;
use super::{Encoding, MAX_NODES, Node, Options, UnknownMembers, YangError};

pub(super) fn decode(
    text: &str,
    top: &[&'static Node],
    options: &Options,
) -> Result<Value, YangError> {
    let document = parse(
        text.strip_prefix('\u{FEFF}').unwrap_or(text),
        options.max_depth,
    )?;
    let Value::Object(members) = document else {
        return Err(YangError::WrongType {
            path: "/".to_owned(),
            expected: "an object",
        });
    };
    check_object(members, top.iter().copied(), None, Path::At(""), options).map(Value::Object)
}

pub(super) fn encode(value: &Value, top: &[&'static Node]) -> Result<Vec<u8>, YangError> {
    let checked = canonical(value, top)?;
    Ok(Value::Object(checked).to_string().into_bytes())
}

/// The value checked before it is written; unknown nodes pass, as they came from a decoder that
/// was told to keep them.
pub(super) fn canonical(
    value: &Value,
    top: &[&'static Node],
) -> Result<Map<String, Value>, YangError> {
    let Value::Object(members) = value else {
        return Err(YangError::WrongType {
            path: "/".to_owned(),
            expected: "an object",
        });
    };
    let options = Options {
        unknown: UnknownMembers::Keep,
        ..Options::default()
    };
    check_object(
        members.clone(),
        top.iter().copied(),
        None,
        Path::At(""),
        &options,
    )
}

/// Parses JSON text, refusing duplicate members and more than `max_depth` levels.
fn parse(text: &str, max_depth: usize) -> Result<Value, YangError> {
    let mut refusal = None;
    let mut nodes = 0;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Strict {
        refusal: &mut refusal,
        path: Path::At(""),
        nodes: &mut nodes,
        left: max_depth,
        limit: max_depth,
    };
    let parsed = seed.deserialize(&mut deserializer);
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    parsed
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| YangError::Syntax {
            encoding: Encoding::Json,
            detail: error.to_string(),
        })
}

/// Builds a [`Value`]; what is wrong beyond syntax is left in `refusal`.
struct Strict<'a> {
    refusal: &'a mut Option<YangError>,
    path: Path<'a>,
    nodes: &'a mut usize,
    left: usize,
    limit: usize,
}

impl Strict<'_> {
    fn inner<'i>(&'i mut self, path: Path<'i>) -> Option<Strict<'i>> {
        *self.nodes += 1;
        if *self.nodes > MAX_NODES {
            *self.refusal = Some(YangError::TooManyNodes { limit: MAX_NODES });
            return None;
        }
        let Some(left) = self.left.checked_sub(1) else {
            *self.refusal = Some(YangError::TooDeep { limit: self.limit });
            return None;
        };
        Some(Strict {
            refusal: self.refusal,
            path,
            nodes: self.nodes,
            left,
            limit: self.limit,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        loop {
            let path = self.path;
            let Some(inner) = self.inner(path) else {
                return Err(A::Error::custom("limit exceeded"));
            };
            match entries.next_element_seed(inner)? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let outer = self.path;
            let here = Path::Member(&outer, &name);
            if members.contains_key(&name) {
                *self.refusal = Some(YangError::Duplicate {
                    path: here.to_string(),
                });
                return Err(A::Error::custom("duplicate member"));
            }
            let Some(inner) = self.inner(here) else {
                return Err(A::Error::custom("limit exceeded"));
            };
            let value = entries.next_value_seed(inner)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}
