//! Rows of CSV (RFC 4180): a header, and a device in each record after it.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::{MAX_ROW, Row};
use crate::InventoryError;

/// Takes octets as they come, and gives rows.
pub(super) struct CsvRows {
    reader: Reader,
    fields: Vec<u8>,
    ends: Vec<usize>,
    written: usize,
    ended: usize,
    columns: Option<Vec<Column>>,
}

/// Where a column's cells go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    SerialNumber,
    Text(&'static str),
    /// Several, between semicolons.
    List(&'static str),
    Json(&'static str),
    /// One value of a map.
    Member(&'static str, String),
    /// What an export says and an import does not set.
    Ignored,
}

impl CsvRows {
    pub(super) fn new() -> Self {
        Self {
            reader: ReaderBuilder::new().build(),
            fields: vec![0; 4096],
            ends: vec![0; 64],
            written: 0,
            ended: 0,
            columns: None,
        }
    }

    /// Rows that are complete with these octets; none at all: the end.
    pub(super) fn push(
        &mut self,
        mut octets: &[u8],
        rows: &mut Vec<Row>,
    ) -> Result<(), InventoryError> {
        let at_end = octets.is_empty();
        loop {
            let (result, read, written, ended) = self.reader.read_record(
                octets,
                &mut self.fields[self.written..],
                &mut self.ends[self.ended..],
            );
            octets = &octets[read..];
            self.written += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull if self.fields.len() >= MAX_ROW => {
                    return Err(format(format!("a row is longer than {MAX_ROW} octets")));
                }
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() >= MAX_COLUMNS => {
                    return Err(format(format!("a row has more than {MAX_COLUMNS} columns")));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    let record = self.record();
                    (self.written, self.ended) = (0, 0);
                    self.take(record, rows)?;
                }
            }
            if octets.is_empty() && !at_end {
                return Ok(());
            }
        }
    }

    /// The cells of the record that was read last; none: it is not in UTF-8.
    fn record(&self) -> Option<Vec<String>> {
        let mut from = 0;
        self.ends[..self.ended]
            .iter()
            .map(|&to| {
                let cell = std::str::from_utf8(&self.fields[from..to]).ok();
                from = to;
                cell.map(|cell| cell.trim().to_owned())
            })
            .collect()
    }

    fn take(
        &mut self,
        record: Option<Vec<String>>,
        rows: &mut Vec<Row>,
    ) -> Result<(), InventoryError> {
        let Some(columns) = &self.columns else {
            let header = record.ok_or_else(|| format("the header is not in UTF-8".to_owned()))?;
            let columns: Vec<Column> = header
                .iter()
                // Some programs begin a file with a byte order mark.
                .map(|name| column(name.trim_start_matches('\u{FEFF}').trim()))
                .collect::<Result<_, _>>()?;
            if !columns.contains(&Column::SerialNumber) {
                return Err(format("there is no column serial_number".to_owned()));
            }
            self.columns = Some(columns);
            return Ok(());
        };
        rows.push(match record {
            None => Err(problem("the row is not in UTF-8")),
            Some(record) if record.len() != columns.len() => Err(problem(&format!(
                "{} cells under {} columns",
                record.len(),
                columns.len()
            ))),
            Some(record) => members(columns, record),
        });
        Ok(())
    }
}

/// Empty cells say nothing.
fn members(columns: &[Column], record: Vec<String>) -> Row {
    let mut members = Map::new();
    for (column, cell) in columns.iter().zip(record) {
        if cell.is_empty() {
            continue;
        }
        match column {
            Column::Ignored => {}
            Column::SerialNumber => {
                members.insert("serial_number".to_owned(), Value::String(cell));
            }
            Column::Text(name) => {
                members.insert((*name).to_owned(), Value::String(cell));
            }
            Column::List(name) => {
                let labels = cell
                    .split(';')
                    .map(str::trim)
                    .filter(|text| !text.is_empty());
                members.insert((*name).to_owned(), labels.collect());
            }
            Column::Json(name) => {
                let value = serde_json::from_str(&cell)
                    .map_err(|error| problem(&format!("{name} is not JSON: {error}")))?;
                match (value, members.get_mut(*name)) {
                    (Value::Object(more), Some(Value::Object(there))) => there.extend(more),
                    (value, _) => {
                        members.insert((*name).to_owned(), value);
                    }
                }
            }
            Column::Member(map, name) => {
                let map = members
                    .entry(*map)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Some(map) = map.as_object_mut() {
                    map.insert(name.clone(), Value::String(cell));
                }
            }
        }
    }
    Ok(members)
}

fn column(name: &str) -> Result<Column, InventoryError> {
    let known = TEXTS.iter().find(|known| **known == name);
    if let Some(known) = known {
        return Ok(Column::Text(known));
    }
    if let Some(known) = LISTS.iter().find(|known| **known == name) {
        return Ok(Column::List(known));
    }
    if let Some(known) = JSONS.iter().find(|known| **known == name) {
        return Ok(Column::Json(known));
    }
    if let Some((map, member)) = name.split_once('.')
        && let Some(map) = MAPS.iter().find(|known| **known == map)
        && !member.is_empty()
    {
        return Ok(Column::Member(map, member.to_owned()));
    }
    match name {
        "serial_number" => Ok(Column::SerialNumber),
        name if IGNORED.contains(&name) => Ok(Column::Ignored),
        _ => Err(InventoryError::Column {
            column: name.chars().take(80).collect(),
        }),
    }
}

/// The header of an export, and a good one for an import.
pub(crate) fn header() -> String {
    let mut names = vec!["serial_number"];
    names.extend(TEXTS);
    names.extend(LISTS);
    names.extend(JSONS);
    names.extend(IGNORED);
    names.join(",") + "\r\n"
}

/// One device under [`header`].
pub(crate) fn line(device: &Map<String, Value>) -> String {
    let mut line = String::new();
    let mut cell = |text: &str| {
        if !line.is_empty() {
            line.push(',');
        }
        if text.contains([',', '"', '\n', '\r']) || text.trim() != text {
            line.push('"');
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(text);
        }
    };
    let text = |name: &str| match device.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    cell(&text("serial_number"));
    for name in TEXTS {
        cell(&text(name));
    }
    for name in LISTS {
        let list = device.get(name).and_then(Value::as_array);
        let labels: Vec<&str> = list
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        cell(&labels.join(";"));
    }
    for name in JSONS.into_iter().chain(IGNORED) {
        cell(&text(name));
    }
    line + "\r\n"
}

fn problem(problem: &str) -> InventoryError {
    InventoryError::Row {
        problem: problem.to_owned(),
    }
}

fn format(problem: String) -> InventoryError {
    InventoryError::Format { problem }
}

const TEXTS: [&str; 8] = [
    "host_name",
    "profile",
    "dialect",
    "vendor",
    "model",
    "location",
    "management_address",
    "voucher",
];
const LISTS: [&str; 3] = ["serial_numbers", "tags", "groups"];
const JSONS: [&str; 11] = [
    "variables",
    "attributes",
    "answer",
    "promote",
    "sign",
    "reprovision",
    "progress_timeout_secs",
    "reporting_level",
    "conveyed_encoding",
    "content_type",
    "activation_codes",
];
const MAPS: [&str; 2] = ["variables", "attributes"];
const IGNORED: [&str; 8] = [
    "state",
    "stage",
    "parsed",
    "reason",
    "reported",
    "served_profile",
    "created_at",
    "updated_at",
];
const MAX_COLUMNS: usize = 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// All rows, the text being given in pieces of a length.
    fn read(text: &str, piece: usize) -> Result<Vec<Row>, InventoryError> {
        let mut csv = CsvRows::new();
        let mut rows = Vec::new();
        for octets in text.as_bytes().chunks(piece) {
            csv.push(octets, &mut rows)?;
        }
        csv.push(&[], &mut rows)?;
        Ok(rows)
    }

    #[test]
    fn rows_however_they_arrive() {
        let text = "\u{FEFF}serial_number,tags,variables.vlan,variables,location\r\n\
                    A,a; b,7,\"{\"\"mtu\"\":9000}\",\"Z\u{fc}rich, 3\nroom 2\"\r\n\
                    \r\nB,,,,\nC,x\n";
        for piece in [1, 2, 3, 7, 1000] {
            let rows = read(text, piece).unwrap();
            assert_eq!(rows.len(), 3, "{piece}");
            assert_eq!(
                Value::Object(rows[0].clone().unwrap()),
                json!({"serial_number": "A", "tags": ["a", "b"],
                    "variables": {"vlan": "7", "mtu": 9000}, "location": "Z\u{fc}rich, 3\nroom 2"})
            );
            assert_eq!(
                Value::Object(rows[1].clone().unwrap()),
                json!({"serial_number": "B"})
            );
            assert_eq!(rows[2].clone().unwrap_err().code(), "import.row");
        }
    }

    #[test]
    fn headers_that_cannot_be_meant() {
        assert_eq!(read("a\n", 9).unwrap_err().code(), "import.column");
        assert_eq!(read("tags\n", 9).unwrap_err().code(), "import.format");
        assert_eq!(
            read("serial_number,variables.\n", 99).unwrap_err().code(),
            "import.column"
        );
        assert_eq!(read("", 9).unwrap(), []);
    }

    #[test]
    fn what_is_exported_can_be_imported() {
        let device = json!({"serial_number": "A", "host_name": " x, \"y\"", "tags": ["a", "b"],
            "variables": {"v": [1, "2"]}, "promote": false, "state": "Unprovisioned"});
        let text = header() + &line(device.as_object().unwrap());
        let rows = read(&text, 50).unwrap();
        let mut expected = device.as_object().unwrap().clone();
        expected.remove("state");
        // Cells are trimmed.
        expected.insert("host_name".to_owned(), "x, \"y\"".into());
        assert_eq!(rows[0].clone().unwrap(), expected);
    }
}
