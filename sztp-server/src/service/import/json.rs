//! Devices in JSON: an array, or one object after another.

use serde_json::{Map, Value};

use super::{MAX_ROW, Row};
use crate::InventoryError;

/// Takes octets as they come, and gives rows: the objects on the first level, however wrong they
/// are inside.
#[derive(Debug, Default)]
pub(super) struct JsonRows {
    object: Vec<u8>,
    /// Braces and brackets that are open in the object.
    depth: usize,
    in_string: bool,
    escaped: bool,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    /// Within an array that holds the objects.
    Array,
    /// After a `]`.
    After,
    /// One object after another, without an array.
    Sequence,
}

impl JsonRows {
    /// Rows that are complete with these octets; none at all: the end.
    pub(super) fn push(
        &mut self,
        octets: &[u8],
        rows: &mut Vec<Row>,
    ) -> Result<(), InventoryError> {
        if octets.is_empty() && (self.depth > 0 || self.place == Place::Array) {
            return Err(format("the document breaks off"));
        }
        for &octet in octets {
            if self.depth > 0 {
                self.inside(octet, rows)?;
            } else {
                self.between(octet)?;
            }
        }
        Ok(())
    }

    fn inside(&mut self, octet: u8, rows: &mut Vec<Row>) -> Result<(), InventoryError> {
        self.object.push(octet);
        if self.object.len() > MAX_ROW {
            return Err(format("an object is too long"));
        }
        if self.in_string {
            match octet {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match octet {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if self.depth == 0 {
            let row = serde_json::from_slice::<Map<String, Value>>(&self.object);
            rows.push(row.map_err(|error| InventoryError::Row {
                problem: format!("not JSON: {error}"),
            }));
            self.object.clear();
        }
        Ok(())
    }

    fn between(&mut self, octet: u8) -> Result<(), InventoryError> {
        match (octet, self.place) {
            (b' ' | b'\t' | b'\r' | b'\n', _) | (b',', Place::Array) => {}
            (b'[', Place::Start) => self.place = Place::Array,
            (b']', Place::Array) => self.place = Place::After,
            (b'{', Place::Start | Place::Sequence) => {
                self.place = Place::Sequence;
                self.begin();
            }
            (b'{', Place::Array) => self.begin(),
            _ => return Err(format("neither an array of objects nor objects")),
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.object.push(b'{');
        self.depth = 1;
    }
}

fn format(problem: &str) -> InventoryError {
    InventoryError::Format {
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, piece: usize) -> Result<Vec<Row>, InventoryError> {
        let mut json = JsonRows::default();
        let mut rows = Vec::new();
        for octets in text.as_bytes().chunks(piece) {
            json.push(octets, &mut rows)?;
        }
        json.push(&[], &mut rows)?;
        Ok(rows)
    }

    #[test]
    fn arrays_and_sequences_however_they_arrive() {
        for text in [
            r#"[{"serial_number": "A}\"]", "variables": {"x": [1, {}]}}, {"serial_number": "B"}]"#,
            "{\"serial_number\": \"A}\\\"]\", \"variables\": {\"x\": [1, {}]}}\n{\"serial_number\": \"B\"}\n",
        ] {
            for piece in [1, 2, 5, 1000] {
                let rows = read(text, piece).unwrap();
                assert_eq!(rows.len(), 2, "{text}");
                assert_eq!(rows[0].as_ref().unwrap()["serial_number"], "A}\"]");
            }
        }
        assert_eq!(read("[]", 1).unwrap(), []);
        assert_eq!(read("", 1).unwrap(), []);
    }

    #[test]
    fn one_bad_object_is_one_bad_row() {
        let rows = read(r#"[{"a" 1}, {"serial_number": "B"}]"#, 3).unwrap();
        assert_eq!(rows[0].as_ref().unwrap_err().code(), "import.row");
        assert!(rows[1].is_ok());
        for bad in ["[", "{", "3", "[1]", "[{}] {}", "{\"a\": \"", "{}]"] {
            assert_eq!(read(bad, 2).unwrap_err().code(), "import.format", "{bad}");
        }
    }
}
