//! `sztp dns`: records that give a device its bootstrapping data (RFC 8572 §4.2).

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use sztp_core::dns::{
    DnsError, DomainName, MAX_MULTICAST_OCTETS, RecordData, SrvRecord, ZoneRecord, answer_octets,
    text_records,
};

use crate::failure::Failure;
use crate::local_source::{ArtifactFiles, Content};
use crate::report::{Report, Text};

/// DNS records as a source of bootstrapping data (RFC 8572 section 4.2)
#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Make records for a zone file: bootstrap servers for all, artifacts for one device
    #[command(
        after_help = "Examples:\n  sztp dns records --domain birch.example \\\n    \
        --target boot-a.birch.example --target boot-b.birch.example --port 8443\n  \
        sztp dns records --domain birch.example --serial-number AX7-00042 \\\n    \
        --conveyed-information conveyed-information.cms \\\n    \
        --owner-certificate owner-certificate.cms --ownership-voucher voucher.vcj"
    )]
    Records(Records),
}

impl DnsCommand {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        match self {
            Self::Records(command) => command.run(),
        }
    }
}

/// `sztp dns records`.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The domain that devices are in
    #[arg(long, value_name = "D")]
    domain: String,
    /// A bootstrap server for every device; repeatable, the preferred one first
    #[arg(long, value_name = "HOST", required_unless_present = "serial_number")]
    target: Vec<String>,
    /// The port of these servers
    #[arg(long, value_name = "P", default_value_t = 443)]
    port: u16,
    /// How long the records may be kept, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u32,
    /// The device that the artifacts are for
    #[arg(long, value_name = "SN", requires = "conveyed_information")]
    serial_number: Option<String>,
    /// The conveyed information: signed, or redirect information
    #[arg(long, value_name = "F", requires = "serial_number")]
    conveyed_information: Option<PathBuf>,
    /// The owner certificate artifact
    #[arg(long, value_name = "F", requires = "conveyed_information")]
    owner_certificate: Option<PathBuf>,
    /// The ownership voucher
    #[arg(
        long,
        alias = "voucher",
        value_name = "F",
        requires = "conveyed_information"
    )]
    ownership_voucher: Option<PathBuf>,
}

impl Records {
    fn run(self) -> Result<Report, Failure> {
        let domain = DomainName::parse(&self.domain)
            .map_err(|error| Failure::from(error).within(self.domain.as_str()))?;
        let mut records = Vec::new();
        let mut notes = Vec::new();
        if let (Some(serial_number), Some(conveyed_information)) =
            (&self.serial_number, &self.conveyed_information)
        {
            let files = ArtifactFiles {
                conveyed_information,
                owner_certificate: self.owner_certificate.as_ref(),
                voucher: self.ownership_voucher.as_ref(),
            };
            records.extend(self.of_device(&domain, serial_number, &files, &mut notes)?);
        }
        records.extend(self.of_servers(&domain)?);
        let mut zone = String::new();
        for record in &records {
            let _ = writeln!(zone, "{record}");
        }
        let list: Vec<Value> = records.iter().map(record_json).collect();
        let data = json!({ "records": list, "zone": zone });
        let report = Report::new(Text::verbatim(&zone), data);
        Ok(notes.into_iter().fold(report, Report::note))
    }

    fn of_device(
        &self,
        domain: &DomainName,
        serial_number: &str,
        files: &ArtifactFiles<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<ZoneRecord>, Failure> {
        let name = DomainName::device_specific(serial_number, domain)
            .map_err(|error| Failure::from(error).within(serial_number))?;
        let data = files.read()?;
        if files.check(&data, serial_number)? == Content::UnsignedRedirect
            && (data.owner_certificate.is_some() || data.ownership_voucher.is_some())
        {
            return Err(Failure::new(
                "artifacts.not-signed",
                "the conveyed information is not signed, so owner certificate and voucher have \
                 nothing to say",
            )
            .at(files.conveyed_information)
            .hint("sign it with `sztp conveyed-info sign`, or leave them out"));
        }
        let texts = text_records(&name, &data)?;
        let octets = answer_octets(&name, &texts);
        let mut note = format!("an answer has {octets} octets: DNS over TCP has to work");
        if octets > MAX_MULTICAST_OCTETS {
            note += ", and multicast DNS cannot carry it";
        }
        if octets > UDP_OCTETS {
            notes.push(note);
        }
        let ttl = self.ttl;
        let record = |text| ZoneRecord {
            name: name.clone(),
            ttl,
            data: RecordData::Txt(text),
        };
        Ok(texts.into_iter().map(record).collect())
    }

    fn of_servers(&self, domain: &DomainName) -> Result<Vec<ZoneRecord>, Failure> {
        let name = DomainName::device_independent(domain)?;
        let mut records = Vec::new();
        for (target, priority) in self.target.iter().zip(0..) {
            let host = SrvRecord::for_host(target, self.port)
                .map_err(|error| Failure::from(error).within(target.as_str()))?;
            records.push(ZoneRecord {
                name: name.clone(),
                ttl: self.ttl,
                data: RecordData::Srv(SrvRecord { priority, ..host }),
            });
        }
        Ok(records)
    }
}

fn record_json(record: &ZoneRecord) -> Value {
    let (kind, data) = match &record.data {
        RecordData::Txt(text) => {
            let key = text.artifact().map(|(key, _)| key.as_str());
            let octets = text.rdata_octets();
            ("TXT", json!({ "key": key, "octets": octets }))
        }
        RecordData::Srv(srv) => (
            "SRV",
            json!({
                "priority": srv.priority,
                "weight": srv.weight,
                "port": srv.port,
                "target": srv.target.to_string(),
            }),
        ),
    };
    json!({
        "name": record.name.to_string(),
        "ttl": record.ttl,
        "type": kind,
        "data": data,
    })
}

impl From<DnsError> for Failure {
    fn from(error: DnsError) -> Self {
        let failure = Self::new(error.code(), &error).rule(error.rule());
        match error {
            DnsError::RecordTooLarge { .. } | DnsError::AnswerTooLarge { .. } => failure.hint(
                "give redirect information instead, which leads the device to a bootstrap server",
            ),
            DnsError::Target { .. } => {
                failure.hint("an SRV record holds a host name; addresses go into DHCP options")
            }
            DnsError::LabelLength { .. } => {
                failure.hint("devices with such serial numbers ask for SRV records only")
            }
            _ => failure,
        }
    }
}

/// The size of answers over UDP that name servers are usually set to.
const UDP_OCTETS: usize = 1232;
