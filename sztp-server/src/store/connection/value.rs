//! What statements are given and what rows consist of.

use std::borrow::Cow;
use std::fmt;

use crate::model::Blob;

/// A value in a database: integers have 64 bits, and truth is one of them.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::store) enum Value<'a> {
    /// Nothing.
    Null,
    /// A number, a time in seconds, or truth.
    Integer(i64),
    /// Text.
    Text(Cow<'a, str>),
    /// Octets.
    Blob(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// The same with octets of its own.
    pub(in crate::store) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(integer) => Value::Integer(integer),
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Blob(octets) => Value::Blob(octets.into_owned().into()),
        }
    }
}

/// Without its content: the client library of PostgreSQL logs parameters.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Integer(_) => f.write_str("an integer"),
            Self::Text(text) => write!(f, "text of {}", text.len()),
            Self::Blob(octets) => write!(f, "{} octets", octets.len()),
        }
    }
}

/// What can be a parameter.
pub(in crate::store) trait ToValue {
    /// As a value.
    fn to_value(&self) -> Value<'_>;
}

/// What can be read from a column.
pub(in crate::store) trait FromValue: Sized {
    /// None: it is of another kind.
    fn from_value(value: Value<'_>) -> Option<Self>;
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Integer((*self).into())
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.into())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self.as_str().into())
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self.into())
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self.as_slice().into())
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self.as_slice().into())
    }
}

impl ToValue for Blob {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self.0.as_slice().into())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Option<Self> {
        i64::from_value(value).map(|integer| integer != 0)
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(octets) => Some(octets.into_owned()),
            _ => None,
        }
    }
}

impl<const N: usize> FromValue for [u8; N] {
    fn from_value(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(octets) => octets.as_ref().try_into().ok(),
            _ => None,
        }
    }
}
