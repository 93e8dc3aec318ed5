//! JSON (RFC 7951), read as I-JSON: no member occurs twice (RFC 7493 §2.3).

use std::fmt;

use serde::Serialize;
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
    Ok(write(&Value::Object(checked)))
}

/// Compact JSON, as `serde_json` writes it.
pub(super) fn write(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(value, &mut out);
    out
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => write_string(text, out),
        Value::Array(entries) => {
            out.push(b'[');
            for (index, entry) in entries.iter().enumerate() {
                separate(index, out);
                write_value(entry, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (index, (name, member)) in members.iter().enumerate() {
                separate(index, out);
                write_string(name, out);
                out.push(b':');
                write_value(member, out);
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => write_by_serde(value, out),
    }
}

/// Most octets of a document are base64: one look tells that none of them is to be escaped.
fn write_string(text: &str, out: &mut Vec<u8>) {
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "no branch for each: several are looked at together"
    )]
    let plain = text.bytes().fold(true, |plain, octet| {
        plain & (octet >= 0x20) & (octet != b'"') & (octet != b'\\')
    });
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_by_serde(text, out);
    }
}

fn write_by_serde<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("memory takes what is written");
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_what_serde_writes() {
        let every_character: String = (0..0x300).filter_map(char::from_u32).collect();
        let value = json!({
            "": null,
            "\"\\\n": [true, false, 0, -1, u64::MAX, i64::MIN, 1.5, 1e300],
            every_character.clone(): every_character,
            "nested": { "empty": {}, "list": [[], [{}], ["QUJD", "\u{7f}", "\u{1F600}"]] },
        });
        assert_eq!(write(&value), serde_json::to_vec(&value).unwrap());
    }
}
