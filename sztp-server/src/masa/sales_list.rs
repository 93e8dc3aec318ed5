//! Who bought which device: a CSV file from the vendor's records, read as a whole.
//!
//! ```csv
//! serial-number,pinned-domain-cert,registrar-anchor
//! AX7-00042,owners/birch.crt,
//! AX7-00043,owners/oak.crt,owners/oak-registrars.crt
//! ```
//!
//! `pinned-domain-cert` is a file (PEM or DER) with what the voucher pins; `registrar-anchor` one
//! with what the registrar's certificate must lead to, by default the same.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv_core::{ReadRecordResult, ReaderBuilder};
use sztp_cms::{Certificate, CertificateError, TrustAnchors};
use thiserror::Error;

/// All rows.
#[derive(Debug, Clone, Default)]
pub struct SalesList {
    devices: HashMap<Box<str>, Arc<Owner>>,
    /// Of all owners.
    registrar_anchors: TrustAnchors,
}

/// Whose device it is.
#[derive(Debug, Clone)]
pub struct Owner {
    /// What vouchers pin.
    pub pinned_domain_cert: Certificate,
    /// What the certificates of the owner's registrars lead to.
    pub registrar_anchors: TrustAnchors,
}

impl SalesList {
    /// Reads the list and the certificates that it names, relative to its own directory.
    pub fn from_file(path: &Path) -> Result<Self, SalesListError> {
        let file = |error: std::io::Error| SalesListError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let size = std::fs::metadata(path).map_err(file)?.len();
        if size > MAX_OCTETS {
            return Err(SalesListError::TooLarge { limit: MAX_OCTETS });
        }
        let octets = std::fs::read(path).map_err(file)?;
        let directory = path.parent().unwrap_or(Path::new(""));
        Self::parse(&octets, |name| {
            let path = directory.join(name);
            std::fs::read(&path).map_err(|error| SalesListError::File {
                path,
                reason: error.to_string(),
            })
        })
    }

    /// Reads the list; `read` gives the files that it names.
    pub fn parse(
        octets: &[u8],
        read: impl Fn(&str) -> Result<Vec<u8>, SalesListError>,
    ) -> Result<Self, SalesListError> {
        let octets = octets.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(octets);
        let mut list = Self::default();
        let mut owners: HashMap<(String, String), Arc<Owner>> = HashMap::new();
        let mut known: Vec<Certificate> = Vec::new();
        let mut columns: Option<Columns> = None;
        for_each_record(octets, |line, cells| {
            let Some(columns) = &columns else {
                columns = Some(Columns::of(cells)?);
                return Ok(());
            };
            if cells.iter().all(String::is_empty) {
                return Ok(());
            }
            let row = |problem: String| SalesListError::Row { line, problem };
            let (serial_number, pinned, anchor) = columns.row(cells).map_err(row)?;
            let key = (pinned.to_owned(), anchor.to_owned());
            let owner = match owners.entry(key) {
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(place) => {
                    let owner = Owner::read(pinned, anchor, &read)?;
                    for anchor in &owner.registrar_anchors {
                        if !known.contains(anchor) {
                            known.push(anchor.clone());
                        }
                    }
                    place.insert(Arc::new(owner)).clone()
                }
            };
            match list.devices.entry(serial_number.into()) {
                Entry::Occupied(_) => Err(row(format!("{serial_number:?} is there twice"))),
                Entry::Vacant(place) => {
                    place.insert(owner);
                    Ok(())
                }
            }
        })?;
        if columns.is_none() {
            return Err(SalesListError::Row {
                line: 1,
                problem: "there is no header".to_owned(),
            });
        }
        list.registrar_anchors = TrustAnchors::new(known);
        Ok(list)
    }

    /// Whose device it is; none: it is not on the list.
    pub fn owner(&self, serial_number: &str) -> Option<&Arc<Owner>> {
        self.devices.get(serial_number)
    }

    /// What the certificates of all registrars lead to.
    pub fn registrar_anchors(&self) -> &TrustAnchors {
        &self.registrar_anchors
    }

    /// How many devices.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

impl Owner {
    fn read(
        pinned: &str,
        anchor: &str,
        read: &impl Fn(&str) -> Result<Vec<u8>, SalesListError>,
    ) -> Result<Self, SalesListError> {
        let certificates = |name: &str| {
            let certificate = |error| SalesListError::Certificate {
                name: name.to_owned(),
                error,
            };
            let list = Certificate::list_from_pem_or_der(&read(name)?).map_err(certificate)?;
            if list.is_empty() {
                return Err(certificate(CertificateError::NoCertificate));
            }
            Ok(list)
        };
        let mut pinned_domain_cert = certificates(pinned)?;
        let registrar_anchors = match anchor {
            "" => vec![pinned_domain_cert[0].clone()],
            name => certificates(name)?,
        };
        Ok(Self {
            pinned_domain_cert: pinned_domain_cert.swap_remove(0),
            registrar_anchors: TrustAnchors::new(registrar_anchors),
        })
    }
}

/// Why a sales list is not taken; the one before stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SalesListError {
    /// The list, or a file that it names.
    #[error("{}: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// A file that it names holds no certificate.
    #[error("{name}: {error}")]
    Certificate {
        /// As the list names it.
        name: String,
        /// What is wrong with it.
        #[source]
        error: CertificateError,
    },
    /// A row that says nothing sensible.
    #[error("line {line}: {problem}")]
    Row {
        /// From 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// Larger than can be meant.
    #[error("larger than {limit} octets")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
}

impl SalesListError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File { .. } => "sales-list.file",
            Self::Certificate { error, .. } => error.code(),
            Self::Row { .. } => "sales-list.row",
            Self::TooLarge { .. } => "sales-list.too-large",
        }
    }
}

/// Where what is.
struct Columns {
    count: usize,
    serial_number: usize,
    pinned_domain_cert: usize,
    registrar_anchor: Option<usize>,
}

impl Columns {
    fn of(header: &[String]) -> Result<Self, SalesListError> {
        let row = |problem: String| SalesListError::Row { line: 1, problem };
        if let Some(unknown) = header
            .iter()
            .find(|name| !COLUMNS.contains(&name.to_ascii_lowercase().as_str()))
        {
            let known = COLUMNS.join(", ");
            return Err(row(format!(
                "unknown column {unknown:?}; there are {known}"
            )));
        }
        let place = |wanted: &str| {
            header
                .iter()
                .position(|name| name.eq_ignore_ascii_case(wanted))
        };
        let needed =
            |wanted: &str| place(wanted).ok_or_else(|| row(format!("there is no column {wanted}")));
        Ok(Self {
            count: header.len(),
            serial_number: needed(COLUMNS[0])?,
            pinned_domain_cert: needed(COLUMNS[1])?,
            registrar_anchor: place(COLUMNS[2]),
        })
    }

    fn row<'a>(&self, cells: &'a [String]) -> Result<(&'a str, &'a str, &'a str), String> {
        if cells.len() != self.count {
            return Err(format!(
                "{} cells under {} columns",
                cells.len(),
                self.count
            ));
        }
        let serial_number = cells[self.serial_number].as_str();
        let pinned = cells[self.pinned_domain_cert].as_str();
        if !(1..=64).contains(&serial_number.chars().count())
            || serial_number.chars().any(char::is_control)
        {
            return Err("a serial number has 1 to 64 printable characters".to_owned());
        }
        if pinned.is_empty() {
            return Err("pinned-domain-cert is empty".to_owned());
        }
        let anchor = self.registrar_anchor.map_or("", |place| &cells[place]);
        Ok((serial_number, pinned, anchor))
    }
}

/// Calls `take` with the number of the line and the cells of each record.
fn for_each_record(
    mut octets: &[u8],
    mut take: impl FnMut(u64, &[String]) -> Result<(), SalesListError>,
) -> Result<(), SalesListError> {
    let mut reader = ReaderBuilder::new().build();
    let mut fields = vec![0; MAX_RECORD];
    let mut ends = [0; 16];
    let (mut written, mut ended) = (0, 0);
    loop {
        let line = reader.line();
        let (result, read, more, fields_more) =
            reader.read_record(octets, &mut fields[written..], &mut ends[ended..]);
        octets = &octets[read..];
        written += more;
        ended += fields_more;
        let problem = |problem: &str| SalesListError::Row {
            line,
            problem: problem.to_owned(),
        };
        match result {
            // An empty input tells the reader that this is the end.
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => return Err(problem("the row is too long")),
            ReadRecordResult::OutputEndsFull => return Err(problem("the row has too many cells")),
            ReadRecordResult::End => return Ok(()),
            ReadRecordResult::Record => {
                let mut from = 0;
                let cells: Option<Vec<String>> = ends[..ended]
                    .iter()
                    .map(|&to| {
                        let cell = std::str::from_utf8(&fields[from..to]).ok();
                        from = to;
                        Some(cell?.trim().to_owned())
                    })
                    .collect();
                take(line, &cells.ok_or_else(|| problem("not in UTF-8"))?)?;
                (written, ended) = (0, 0);
            }
        }
    }
}

const COLUMNS: [&str; 3] = ["serial-number", "pinned-domain-cert", "registrar-anchor"];

/// Some ten million devices.
const MAX_OCTETS: u64 = 1024 * 1024 * 1024;

/// Octets of a row.
const MAX_RECORD: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use sztp_cms::{CertificateBuilder, KeyType, SigningKey};

    fn parse(text: &str) -> Result<SalesList, SalesListError> {
        SalesList::parse(text.as_bytes(), |name| match name {
            "missing" => Err(SalesListError::File {
                path: name.into(),
                reason: String::new(),
            }),
            "none" => Ok(Vec::new()),
            name => {
                let key = SigningKey::generate(KeyType::EcP256).unwrap();
                let builder = CertificateBuilder::new(format!("CN={name}")).ca(None);
                Ok(builder.self_signed(&key).unwrap().to_pem().into_bytes())
            }
        })
    }

    #[test]
    fn rows_with_and_without_an_anchor_of_their_own() {
        let list = parse(
            "\u{FEFF}Serial-Number,pinned-domain-cert,registrar-anchor\r\n\
             A-1,birch,\r\n\"A,2\",birch,\r\n\r\nA-3,oak,oak-registrars\r\n",
        )
        .unwrap();
        assert_eq!(list.len(), 3);
        assert!(Arc::ptr_eq(
            list.owner("A-1").unwrap(),
            list.owner("A,2").unwrap()
        ));
        let oak = list.owner("A-3").unwrap();
        assert_eq!(oak.pinned_domain_cert.subject(), "CN=oak");
        assert_eq!(
            oak.registrar_anchors.iter().next().unwrap().subject(),
            "CN=oak-registrars"
        );
        assert_eq!(list.registrar_anchors().len(), 2);
        assert!(list.owner("A-4").is_none());
    }

    #[test]
    fn what_is_no_sales_list() {
        let header = "serial-number,pinned-domain-cert\n";
        for (text, code, place) in [
            ("", "sales-list.row", "line 1"),
            ("serial-number\n", "sales-list.row", "pinned-domain-cert"),
            (
                "serial,pinned-domain-cert\n",
                "sales-list.row",
                "\"serial\"",
            ),
            (
                &format!("{header}A-1\n"),
                "sales-list.row",
                "line 2: 1 cells",
            ),
            (&format!("{header}A-1,\n"), "sales-list.row", "empty"),
            (&format!("{header},birch\n"), "sales-list.row", "line 2"),
            (
                &format!("{header}A-1,birch\nA-1,birch\n"),
                "sales-list.row",
                "line 3",
            ),
            (
                &format!("{header}A-1,missing\n"),
                "sales-list.file",
                "missing",
            ),
            (&format!("{header}A-1,none\n"), "certificate.none", "none"),
            (
                &format!("{header}{},birch\n", "x".repeat(5000)),
                "sales-list.row",
                "too long",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(place), "{text}: {error}");
            if code.starts_with("sales-list") {
                assert_eq!(error.code(), code, "{text}");
            }
        }
    }
}
