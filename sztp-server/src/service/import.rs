//! Many devices at once, in and out: rows as they arrive, in one write for some hundreds.

mod csv;
mod json;

use std::collections::HashMap;

use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::catalog::Catalog;
use super::identity::check_serial_number;
use super::{Service, now};
use crate::model::{
    Device, DeviceFilter, DeviceSpec, Existing, ImportOptions, ImportReport, ImportResult,
    ImportRow, Reported,
};
use crate::store::{ImportDevice, ImportOutcome, audit, merged};
use crate::{InventoryError, ServiceError};

pub(crate) use csv::{header as csv_header, line as csv_line};

/// How devices are written in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with a header.
    Csv,
    /// An array of objects, or objects one after another.
    Json,
}

/// Members of a device, `serial_number` among them, or why there are none.
type Row = Result<Map<String, Value>, InventoryError>;

/// Takes rows from a document.
enum Rows {
    Csv(Box<csv::CsvRows>),
    Json(json::JsonRows),
}

impl Rows {
    fn push(&mut self, octets: &[u8], rows: &mut Vec<Row>) -> Result<(), InventoryError> {
        match self {
            Self::Csv(csv) => csv.push(octets, rows),
            Self::Json(json) => json.push(octets, rows),
        }
    }
}

impl Service {
    /// Adds and changes many devices. A bad row does not stop the rest, unless it is all or
    /// nothing.
    ///
    /// Rows are read and written as they arrive: when the document breaks off, those before are
    /// written, and the last row of the report says so.
    pub async fn import_devices(
        &self,
        mut document: impl AsyncRead + Send + Unpin,
        format: Format,
        options: ImportOptions,
    ) -> Result<ImportReport, ServiceError> {
        let mut import = Import {
            service: self,
            options,
            catalog: self.newest_catalog().await?,
            report: ImportReport {
                dry_run: options.dry_run,
                ..ImportReport::default()
            },
            seen: HashMap::new(),
            waiting: Vec::new(),
        };
        let mut rows = match format {
            Format::Csv => Rows::Csv(Box::new(csv::CsvRows::new())),
            Format::Json => Rows::Json(json::JsonRows::default()),
        };
        let mut buffer = vec![0; BUFFER];
        let mut read_rows = Vec::new();
        loop {
            let read = document
                .read(&mut buffer)
                .await
                .map_err(|error| ServiceError::Upload {
                    reason: error.to_string(),
                })?;
            let pushed = rows.push(&buffer[..read], &mut read_rows);
            for row in read_rows.drain(..) {
                import.take(row).await?;
            }
            if let Err(error) = pushed {
                // A header is no row: nothing can be made of the document.
                if import.number() == 0 || options.all_or_nothing {
                    return Err(error.into());
                }
                import.refuse(None, &error.into());
                break;
            }
            if read == 0 {
                break;
            }
        }
        import.finish().await
    }

    /// Devices as a whole, a page at a time.
    pub async fn full_devices(
        &self,
        filter: DeviceFilter,
        after: Option<String>,
    ) -> Result<Vec<Device>, ServiceError> {
        let page = self
            .0
            .store
            .full_devices(filter, after, EXPORT_PAGE)
            .await?;
        Ok(page)
    }
}

struct Import<'a> {
    service: &'a Service,
    options: ImportOptions,
    catalog: std::sync::Arc<Catalog>,
    report: ImportReport,
    /// Serial numbers of this document, and their rows.
    seen: HashMap<String, u64>,
    waiting: Vec<Waiting>,
}

/// A row that is to be written with others; its place in the report is known.
struct Waiting {
    place: usize,
    device: ImportDevice,
}

impl Import<'_> {
    /// Rows so far.
    fn number(&self) -> u64 {
        self.report.results.len() as u64
    }

    async fn take(&mut self, row: Row) -> Result<(), ServiceError> {
        if self.number() >= MAX_ROWS {
            let what = "an import of more than 1000000 rows";
            let limit = usize::MAX;
            return Err(InventoryError::TooLarge { what, limit }.into());
        }
        let (serial_number, members) = match row.and_then(serial_number_of) {
            Ok(row) => row,
            Err(error) => {
                self.refuse(None, &error.into());
                return Ok(());
            }
        };
        match self.judge(&serial_number, &members).await {
            Ok(notes) => {
                let message = (!notes.is_empty()).then(|| notes.join("; "));
                self.waiting.push(Waiting {
                    place: self.report.results.len(),
                    device: ImportDevice {
                        serial_number: serial_number.clone(),
                        members,
                        message: message.clone(),
                    },
                });
                self.report.results.push(ImportRow {
                    row: self.number() + 1,
                    serial_number: Some(serial_number),
                    result: ImportResult::NotApplied,
                    code: None,
                    message,
                });
            }
            Err(error @ (ServiceError::Store(_) | ServiceError::Stopping)) => return Err(error),
            Err(error) => self.refuse(Some(serial_number), &error),
        }
        if self.waiting.len() >= BATCH && !self.options.all_or_nothing {
            self.write().await?;
        }
        Ok(())
    }

    /// What can be said of a row without the database.
    async fn judge(
        &mut self,
        serial_number: &str,
        members: &Map<String, Value>,
    ) -> Result<Vec<String>, ServiceError> {
        check_serial_number(serial_number)?;
        // Nulls take away what may be there.
        let alone = merged(None, members, Existing::Replace);
        let spec: DeviceSpec =
            serde_json::from_value(Value::Object(alone)).map_err(|error| InventoryError::Row {
                problem: error.to_string(),
            })?;
        let row = self.number() + 1;
        for name in
            std::iter::once(serial_number).chain(spec.serial_numbers.iter().map(String::as_str))
        {
            if let Some(&earlier) = self.seen.get(name) {
                let serial_number = name.to_owned();
                return Err(InventoryError::Duplicate {
                    serial_number,
                    earlier,
                }
                .into());
            }
        }
        let notes = self.service.check_spec(serial_number, &spec).await?;
        for name in
            std::iter::once(serial_number).chain(spec.serial_numbers.iter().map(String::as_str))
        {
            self.seen.insert(name.to_owned(), row);
        }
        Ok(notes)
    }

    /// Writes what is waiting, in one transaction.
    async fn write(&mut self) -> Result<(), ServiceError> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut waiting = self.with_variables(waiting).await?;
        if self.options.all_or_nothing
            && self
                .report
                .results
                .iter()
                .any(|row| row.result == ImportResult::Refused)
        {
            return Ok(());
        }
        let places: Vec<usize> = waiting.iter().map(|row| row.place).collect();
        let rows = waiting.drain(..).map(|row| row.device).collect();
        let store = &self.service.0.store;
        let import = async { store.import(rows, self.options, now()).await };
        let outcomes = if self.options.dry_run {
            audit::silently(import).await?
        } else {
            import.await?
        };
        let refused = outcomes.iter().any(ImportOutcome::is_refusal);
        let nothing_done = self.options.all_or_nothing && refused;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            let Some(row) = self.report.results.get_mut(place) else {
                continue;
            };
            let (result, entry, error) = match outcome {
                ImportOutcome::Added(entry) => (ImportResult::Added, Some(entry), None),
                ImportOutcome::Updated(entry) => (ImportResult::Updated, Some(entry), None),
                ImportOutcome::Skipped => (ImportResult::Skipped, None, None),
                ImportOutcome::Exists => {
                    let serial_number = row.serial_number.clone().unwrap_or_default();
                    let error = ServiceError::DeviceExists { serial_number };
                    (ImportResult::Refused, None, Some(error))
                }
                ImportOutcome::SerialNumberTaken { alias, device } => {
                    let error = InventoryError::SerialNumberTaken { alias, device };
                    (ImportResult::Refused, None, Some(error.into()))
                }
                ImportOutcome::ProfileMissing { profile } => {
                    let error = InventoryError::ProfileMissing { name: profile };
                    (ImportResult::Refused, None, Some(error.into()))
                }
            };
            if let Some(error) = &error {
                row.code = Some(error.code());
                row.message = Some(error.to_string());
            }
            if nothing_done && error.is_none() {
                continue;
            }
            row.result = result;
            if let (Some(entry), Some(serial_number), false) =
                (entry, &row.serial_number, self.options.dry_run)
            {
                self.service.tell(serial_number, entry);
            }
        }
        Ok(())
    }

    /// Looks at the variables that the rows' templates will need, with what is set already.
    async fn with_variables(
        &mut self,
        mut waiting: Vec<Waiting>,
    ) -> Result<Vec<Waiting>, ServiceError> {
        if self.catalog.profiles.is_empty() {
            return Ok(waiting);
        }
        let serial_numbers = waiting
            .iter()
            .map(|row| row.device.serial_number.clone())
            .collect();
        let there: HashMap<_, _> = self
            .service
            .0
            .store
            .specs(serial_numbers)
            .await?
            .into_iter()
            .collect();
        let mut kept = Vec::with_capacity(waiting.len());
        for mut row in waiting.drain(..) {
            let stored = there.get(&row.device.serial_number);
            let before = stored.and_then(|stored| {
                let spec = serde_json::to_value(&stored.device.spec).ok()?;
                spec.as_object().cloned()
            });
            let members = merged(before, &row.device.members, self.options.existing);
            let spec = serde_json::from_value(Value::Object(members)).unwrap_or_default();
            let device = Device::new(&row.device.serial_number, spec, now());
            let unknown = Reported::default();
            let reported = stored.map_or(&unknown, |stored| &stored.device.reported);
            let names = self
                .service
                .incomplete(&self.catalog, &device, reported)
                .await?;
            if names.is_empty() {
                kept.push(row);
                continue;
            }
            let error = InventoryError::VariablesMissing { names };
            let result = &mut self.report.results[row.place];
            result.message = Some(error.to_string());
            if self.options.require_variables {
                result.result = ImportResult::Refused;
                result.code = Some(error.code());
            } else {
                row.device.message = Some(error.to_string());
                kept.push(row);
            }
        }
        Ok(kept)
    }

    fn refuse(&mut self, serial_number: Option<String>, error: &ServiceError) {
        self.report.results.push(ImportRow {
            row: self.number() + 1,
            serial_number,
            result: ImportResult::Refused,
            code: Some(error.code()),
            message: Some(error.to_string()),
        });
    }

    async fn finish(mut self) -> Result<ImportReport, ServiceError> {
        if !self.waiting.is_empty() {
            self.write().await?;
        }
        let rows = std::mem::take(&mut self.report.results);
        for row in rows {
            self.report.push(row);
        }
        let ImportReport {
            rows,
            added,
            updated,
            refused,
            dry_run,
            ..
        } = self.report;
        tracing::info!(rows, added, updated, refused, dry_run, "devices imported");
        Ok(self.report)
    }
}

/// A row without its serial number.
fn serial_number_of(
    mut members: Map<String, Value>,
) -> Result<(String, Map<String, Value>), InventoryError> {
    for name in READ_ONLY {
        members.remove(name);
    }
    match members.remove("serial_number") {
        Some(Value::String(serial_number)) => Ok((serial_number, members)),
        _ => Err(InventoryError::Row {
            problem: "serial_number is needed, as a string".to_owned(),
        }),
    }
}

/// Members of a device that an operator does not set; an export has them.
pub(crate) const READ_ONLY: [&str; 8] = [
    "state",
    "stage",
    "parsed",
    "reason",
    "reported",
    "served_profile",
    "created_at",
    "updated_at",
];

/// Octets of one row; a voucher may be part of it.
const MAX_ROW: usize = 1024 * 1024;
const MAX_ROWS: u64 = 1_000_000;

/// Rows in one write; others wait for it.
const BATCH: usize = 500;
const BUFFER: usize = 64 * 1024;
const EXPORT_PAGE: u32 = 500;
