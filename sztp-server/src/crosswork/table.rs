//! Crosswork's CSV files: a header, whose names are read in any case and with any spaces, and a
//! device entry or serial number in each row after it.

use csv_core::{ReadRecordResult, ReaderBuilder};
use serde_json::{Map, Value, json};

/// Device entries by their members' names. The error is for people.
pub(super) fn entries(octets: &[u8]) -> Result<Vec<Value>, String> {
    let mut records = records(octets)?.into_iter();
    let header = records.next().ok_or("the file is empty")?;
    let columns: Vec<Option<&str>> = header.iter().map(|name| column(name)).collect();
    if !columns.contains(&Some("serialNumber")) {
        return Err("there is no column \"Serial Number\"".to_owned());
    }
    let rows = records.filter(|record| record.iter().any(|cell| !cell.is_empty()));
    rows.map(|record| Ok(entry(&columns, record))).collect()
}

/// The columns of a file that Crosswork and this server read.
pub(super) fn header() -> String {
    COLUMNS.map(|(title, _)| title).join(",") + "\n"
}

/// A device entry as a row.
pub(super) fn row(node: &Value) -> String {
    let cells = COLUMNS.map(|(_, name)| quoted(&cell(node, name)));
    cells.join(",") + "\n"
}

fn entry(columns: &[Option<&str>], record: Vec<String>) -> Value {
    let mut entry = Map::new();
    for (column, cell) in columns.iter().zip(record) {
        let (Some(name), false) = (column, cell.is_empty()) else {
            continue;
        };
        let value = match *name {
            "serialNumber" => {
                let all: Vec<&str> = cell.split([',', ';']).map(str::trim).collect();
                json!(all)
            }
            "ipAddress" => {
                let (ip, mask) = cell.split_once('/').unwrap_or((&cell, ""));
                let family = if ip.contains(':') { "IPV6" } else { "IPV4" };
                json!({"inetAddressFamily": family, "ipaddrs": ip.trim(), "mask": mask.trim()})
            }
            "providerName" => {
                entry.insert("providerInfo".to_owned(), json!({"providerName": cell}));
                continue;
            }
            "configAttributes" => pairs(&cell),
            _ => Value::String(cell.to_lowercase())
                .as_str()
                .filter(|text| ["true", "false"].contains(text))
                .map_or_else(|| json!(cell), |truth| json!(truth)),
        };
        entry.insert((*name).to_owned(), value);
    }
    Value::Object(entry)
}

/// `name=value,name=value`, also with semicolons between.
fn pairs(cell: &str) -> Value {
    let pairs = cell.trim_matches(['{', '}']).split([',', ';']);
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    let pairs: Map<String, Value> = pairs
        .map(|(name, value)| (name.trim().to_owned(), json!(value.trim())))
        .collect();
    Value::Object(pairs)
}

fn cell(node: &Value, name: &str) -> String {
    let value = match name {
        "providerName" => &node["providerInfo"]["providerName"],
        other => &node[other],
    };
    match value {
        Value::Array(values) => {
            let texts: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            texts.join(";")
        }
        Value::Object(members) if name == "ipAddress" => {
            let ip = members.get("ipaddrs").and_then(Value::as_str);
            match (ip, members.get("mask")) {
                (Some(ip), Some(mask)) => format!("{ip}/{mask}"),
                (Some(ip), None) => ip.to_owned(),
                _ => String::new(),
            }
        }
        Value::Object(members) => {
            let pairs: Vec<String> = members
                .iter()
                .map(|(name, value)| match value.as_str() {
                    Some(text) => format!("{name}={text}"),
                    None => format!("{name}={value}"),
                })
                .collect();
            pairs.join(",")
        }
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// RFC 4180; a cell that a spreadsheet would take for a formula begins with an apostrophe.
fn quoted(cell: &str) -> String {
    let cell = if cell.starts_with(['=', '+', '-', '@']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell
    }
}

/// The member that a column is; none: it says nothing here.
fn column(title: &str) -> Option<&'static str> {
    let plain: String = title
        .trim_start_matches('\u{FEFF}')
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase();
    let found = COLUMNS
        .iter()
        .find(|(_, name)| name.to_lowercase() == plain)
        .map(|(_, name)| *name);
    found.or_else(|| {
        ALIASES
            .iter()
            .find(|(alias, _)| *alias == plain)
            .map(|(_, name)| *name)
    })
}

fn records(octets: &[u8]) -> Result<Vec<Vec<String>>, String> {
    let mut reader = ReaderBuilder::new().build();
    let (mut input, mut records) = (octets, Vec::new());
    let mut fields = vec![0; octets.len() + 1];
    let mut ends = vec![0; MAX_COLUMNS];
    loop {
        let (mut written, mut ended) = (0, 0);
        let is_end = loop {
            let (result, read, wrote, stopped) =
                reader.read_record(input, &mut fields[written..], &mut ends[ended..]);
            input = &input[read..];
            written += wrote;
            ended += stopped;
            match result {
                // Only an empty input says that the last record is complete.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break false,
                ReadRecordResult::End => break true,
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(format!("a row has more than {MAX_COLUMNS} columns"));
                }
            }
        };
        if is_end {
            return Ok(records);
        }
        let mut from = 0;
        let mut record = Vec::with_capacity(ended);
        for &to in &ends[..ended] {
            let cell = std::str::from_utf8(&fields[from..to])
                .map_err(|_| format!("row {} is not in UTF-8", records.len() + 1))?;
            record.push(cell.trim().to_owned());
            from = to;
        }
        records.push(record);
        if records.len() > MAX_ROWS {
            return Err(format!("more than {MAX_ROWS} rows"));
        }
    }
}

/// Titles, and the members that they are.
const COLUMNS: [(&str, &str); 23] = [
    ("Serial Number", "serialNumber"),
    ("Host Name", "hostName"),
    ("Credential Profile", "credentialProfile"),
    ("OS Platform", "osPlatform"),
    ("Version", "version"),
    ("Device Family", "deviceFamily"),
    ("Config", "config"),
    ("Profile Name", "profileName"),
    ("Product ID", "productId"),
    ("UUID", "uuid"),
    ("MAC Address", "macAddress"),
    ("IP Address", "ipAddress"),
    ("Config Attributes", "configAttributes"),
    ("Provider Name", "providerName"),
    ("Inventory ID", "inventoryId"),
    ("Is Secure ZTP", "isSecureZtp"),
    ("Image", "image"),
    ("Pre Config", "preConfig"),
    ("Post Config", "postConfig"),
    ("Enable Option82", "enableOption82"),
    ("Remote ID", "remoteId"),
    ("Circuit ID", "circuitId"),
    ("Status", "status"),
];

/// Other titles, without spaces and in lower case.
const ALIASES: [(&str, &str); 9] = [
    ("serialnumbers", "serialNumber"),
    ("serial", "serialNumber"),
    ("hostname", "hostName"),
    ("configfile", "config"),
    ("configurationattributes", "configAttributes"),
    ("softwareimage", "image"),
    ("locationenabled", "enableOption82"),
    ("secureztp", "isSecureZtp"),
    ("provider", "providerName"),
];

const MAX_COLUMNS: usize = 256;
const MAX_ROWS: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_entries_and_rows_again() {
        let csv = "\u{FEFF}serial number,Host Name,Config Attributes,IP Address,Is Secure ZTP,Other\r\n\
                   \"FOC1,FOC2\",edge-1,\"a=1,b=x y\",192.0.2.1/24,TRUE,?\r\n,,,,,\r\nFOC3,=x,,,,";
        let entries = entries(csv.as_bytes()).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0],
            json!({
                "serialNumber": ["FOC1", "FOC2"], "hostName": "edge-1",
                "configAttributes": {"a": "1", "b": "x y"},
                "ipAddress": {"inetAddressFamily": "IPV4", "ipaddrs": "192.0.2.1", "mask": "24"},
                "isSecureZtp": "true",
            })
        );
        let again = super::entries((header() + &row(&entries[0])).as_bytes()).unwrap();
        assert_eq!(again[0]["configAttributes"], entries[0]["configAttributes"]);
        assert_eq!(again[0]["serialNumber"], entries[0]["serialNumber"]);
        assert!(row(&entries[1]).starts_with("FOC3,'=x,"));
    }

    #[test]
    fn files_that_are_none() {
        assert!(entries(b"").is_err());
        assert!(entries(b"Host Name\nx\n").is_err());
        assert!(entries(b"Serial Number\n\xff\n").is_err());
        let wide = "a,".repeat(300) + "Serial Number\n";
        assert!(entries(wide.as_bytes()).is_err());
    }
}
