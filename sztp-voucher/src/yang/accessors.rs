//! Reading the leaves of a decoded container.

use serde_json::{Map, Value};

use super::{YangError, decode_binary};

/// The members of one decoded container, taken one by one.
///
/// The value has been through [`super::decode`], so that types are as in the schema; what this
/// adds is the mandatory check and the conversion.
#[derive(Debug)]
pub struct Fields {
    members: Map<String, Value>,
    path: String,
}

impl Fields {
    /// Takes the top-level node `name` out of a decoded document.
    pub fn top(document: &mut Value, name: &str) -> Option<Self> {
        match document.as_object_mut()?.remove(name)? {
            Value::Object(members) => Some(Self {
                members,
                path: format!("/{name}"),
            }),
            _ => None,
        }
    }

    /// The path of this container.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a member.
    pub fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Whether the member is there.
    pub fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// A string, enumeration, identity or date.
    pub fn string(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// A mandatory string.
    pub fn mandatory_string(&mut self, name: &str) -> Result<String, YangError> {
        self.string(name).ok_or_else(|| self.missing(name))
    }

    /// A binary leaf.
    pub fn binary(&mut self, name: &str) -> Option<Vec<u8>> {
        decode_binary(&self.string(name)?, true)
    }

    /// A mandatory binary leaf.
    pub fn mandatory_binary(&mut self, name: &str) -> Result<Vec<u8>, YangError> {
        self.binary(name).ok_or_else(|| self.missing(name))
    }

    /// A boolean leaf.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        self.members.remove(name)?.as_bool()
    }

    /// A uint16 leaf.
    pub fn uint16(&mut self, name: &str) -> Option<u16> {
        self.members.remove(name)?.as_u64()?.try_into().ok()
    }

    /// Whether an empty leaf is there.
    pub fn empty(&mut self, name: &str) -> bool {
        self.members.remove(name).is_some()
    }

    /// A container.
    pub fn container(&mut self, name: &str) -> Option<Self> {
        let path = self.path_of(name);
        match self.members.remove(name)? {
            Value::Object(members) => Some(Self { members, path }),
            _ => None,
        }
    }

    /// The entries of a list.
    pub fn list(&mut self, name: &str) -> Vec<Self> {
        let path = self.path_of(name);
        let Some(Value::Array(entries)) = self.members.remove(name) else {
            return Vec::new();
        };
        entries
            .into_iter()
            .enumerate()
            .filter_map(|(index, entry)| match entry {
                Value::Object(members) => Some(Self {
                    members,
                    path: format!("{path}[{}]", index + 1),
                }),
                _ => None,
            })
            .collect()
    }

    /// The entries of a leaf-list of strings, enumerations or identities.
    pub fn strings(&mut self, name: &str) -> Vec<String> {
        take_string_list(self.members.remove(name))
    }

    /// The entries of a leaf-list of binaries.
    pub fn binaries(&mut self, name: &str) -> Vec<Vec<u8>> {
        self.strings(name)
            .iter()
            .filter_map(|text| decode_binary(text, true))
            .collect()
    }

    /// An anydata node.
    pub fn anydata(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name)
    }

    /// The error for a mandatory member that is absent.
    pub fn missing(&self, name: &str) -> YangError {
        YangError::Missing {
            path: self.path_of(name),
        }
    }

    /// What has not been taken: only nodes unknown to the schema, when these are kept.
    pub fn into_rest(self) -> Map<String, Value> {
        self.members
    }
}

/// The strings of a decoded leaf-list.
fn take_string_list(value: Option<Value>) -> Vec<String> {
    let Some(Value::Array(entries)) = value else {
        return Vec::new();
    };
    entries
        .into_iter()
        .filter_map(|entry| match entry {
            Value::String(text) => Some(text),
            _ => None,
        })
        .collect()
}
