//! How devices in the field speak RFC 8572: one table, and what puts it on the wire.
//!
//! What a real device of a dialect would not put up with is noted, and fails only with `--strict`:
//! a fleet is to get through to the end even where one answer is not to its taste.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderValue, Request, header};
use serde_json::{Value, json};
use sztp_cms::TlsVersions;
use sztp_core::client::Deviation;
use sztp_core::device::{GET_BOOTSTRAPPING_DATA, Input, REPORT_PROGRESS};
use sztp_core::restconf::encoding_of;
use sztp_core::rpc::{GetBootstrappingDataInput, GetBootstrappingDataOutput, ProgressType};
use sztp_voucher::yang::Encoding;

use super::misbehaviour::Misbehaviour;

/// The dialects by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DialectName {
    /// As RFC 8572 and RFC 8040 have it
    Generic,
    /// Cisco Catalyst: XML, TLS 1.2, always signed data, API root from host-meta
    IosXe,
    /// Cisco IOS-XR: the RPC called get-bootstrap-data at the usual root
    IosXr,
    /// Huawei: XML as application/yang.data+xml
    Huawei,
    /// Arista: XML as application/yang.data+xml, always signed data
    Arista,
    /// OPI sztp-agent: JSON, HTTP Basic, empty nonce and containers, wants 200 and unsigned data
    Opi,
}

/// What distinguishes a dialect.
#[derive(Debug)]
pub(super) struct Dialect {
    pub(super) name: DialectName,
    /// The product in the IDevID's subject, whose serial number is then `PID:product SN:number`.
    pub(super) product: Option<&'static str>,
    pub(super) encoding: Encoding,
    /// In place of application/yang-data+json or +xml.
    media_type: Option<&'static str>,
    /// Whether requests have an Accept header.
    accept: bool,
    /// In place of get-bootstrapping-data.
    operation: Option<&'static str>,
    /// None: from /.well-known/host-meta.
    pub(super) api_root: Option<&'static str>,
    pub(super) tls_versions: TlsVersions,
    /// Signed data is preferred whether or not the server is trusted.
    signed_data_preferred: bool,
    /// Serial number and a password, beside the certificate.
    basic_auth: bool,
    empty_nonce: bool,
    /// Empty ssh-host-keys and trust-anchor-certs, and in the end an anchor that is no CMS.
    empty_containers: bool,
    /// The status that acknowledges a report.
    acknowledgement: u16,
    accepts: Accepts,
}

/// The bootstrapping data that a real device of a dialect accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepts {
    Anything,
    /// Only with voucher and owner certificate.
    Signed,
    /// Only unsigned conveyed information, and nothing beside it.
    Bare,
}

/// Where dialects differ from this, they say so.
const GENERIC: Dialect = Dialect {
    name: DialectName::Generic,
    product: None,
    encoding: Encoding::Json,
    media_type: None,
    accept: true,
    operation: None,
    api_root: None,
    tls_versions: TlsVersions::All,
    signed_data_preferred: false,
    basic_auth: false,
    empty_nonce: false,
    empty_containers: false,
    acknowledgement: 204,
    accepts: Accepts::Anything,
};

/// All dialects.
static DIALECTS: [Dialect; 6] = [
    GENERIC,
    Dialect {
        name: DialectName::IosXe,
        product: Some("C9300-24T"),
        encoding: Encoding::Xml,
        tls_versions: TlsVersions::UpTo12,
        signed_data_preferred: true,
        accepts: Accepts::Signed,
        ..GENERIC
    },
    Dialect {
        name: DialectName::IosXr,
        operation: Some("ietf-sztp-bootstrap-server:get-bootstrap-data"),
        api_root: Some("/restconf"),
        ..GENERIC
    },
    Dialect {
        name: DialectName::Huawei,
        encoding: Encoding::Xml,
        media_type: Some("application/yang.data+xml"),
        api_root: Some("/restconf"),
        ..GENERIC
    },
    Dialect {
        name: DialectName::Arista,
        encoding: Encoding::Xml,
        media_type: Some("application/yang.data+xml"),
        api_root: Some("/restconf"),
        signed_data_preferred: true,
        ..GENERIC
    },
    Dialect {
        name: DialectName::Opi,
        accept: false,
        api_root: Some("/restconf"),
        basic_auth: true,
        empty_nonce: true,
        empty_containers: true,
        acknowledgement: 200,
        accepts: Accepts::Bare,
        ..GENERIC
    },
];

impl DialectName {
    pub(super) fn dialect(self) -> &'static Dialect {
        DIALECTS
            .iter()
            .find(|dialect| dialect.name == self)
            .unwrap_or(&DIALECTS[0])
    }
}

impl Dialect {
    /// As on the command line.
    pub(super) fn name(&self) -> String {
        self.name
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What one simulated device does otherwise than the RFCs have it: its dialect, and how it
/// misbehaves.
#[derive(Debug)]
pub(super) struct Conduct {
    dialect: &'static Dialect,
    misbehaviour: Option<Misbehaviour>,
    serial_number: String,
    /// Whether what the dialect does not put up with fails.
    strict: bool,
    remarks: Mutex<Vec<&'static str>>,
}

impl Conduct {
    pub(super) fn new(
        dialect: &'static Dialect,
        misbehaviour: Option<Misbehaviour>,
        serial_number: &str,
        strict: bool,
    ) -> Self {
        Self {
            dialect,
            misbehaviour,
            serial_number: serial_number.to_owned(),
            strict,
            remarks: Mutex::default(),
        }
    }

    /// What a real device of the dialect would not have put up with.
    pub(super) fn remarks(&self) -> Vec<&'static str> {
        self.remarks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change_headers(&self, request: &mut Request<Bytes>) {
        let headers = request.headers_mut();
        if let Some(media_type) = self.dialect.media_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            headers.insert(header::ACCEPT, HeaderValue::from_static(media_type));
        }
        if !self.dialect.accept {
            headers.remove(header::ACCEPT);
        }
        if self.dialect.basic_auth {
            let credentials = STANDARD.encode(format!("{}:{PASSWORD}", self.serial_number));
            if let Ok(value) = HeaderValue::try_from(format!("Basic {credentials}")) {
                headers.insert(header::AUTHORIZATION, value);
            }
        }
    }

    fn change_question(&self, request: &mut Request<Bytes>) {
        if let Some(operation) = self.dialect.operation {
            let path = request.uri().path();
            if let Ok(path) = path.replace(GET_BOOTSTRAPPING_DATA, operation).parse() {
                *request.uri_mut() = path;
            }
        }
        if !self.dialect.signed_data_preferred && !self.dialect.empty_nonce {
            return;
        }
        let Some(encoding) = encoding_in(request) else {
            return;
        };
        if let Ok(mut input) = GetBootstrappingDataInput::decode(request.body(), encoding) {
            input.signed_data_preferred |= self.dialect.signed_data_preferred;
            if self.dialect.empty_nonce {
                input.nonce = Some(Vec::new());
            }
            *request.body_mut() = input.encode(encoding).into();
        }
    }

    fn change_report(&self, request: &mut Request<Bytes>) {
        if !self.dialect.empty_containers {
            return;
        }
        let Ok(mut document) = serde_json::from_slice::<Value>(request.body()) else {
            return;
        };
        let input = &mut document[INPUT];
        if input["progress-type"] == ProgressType::BootstrapComplete.as_str() {
            input["trust-anchor-certs"] = json!({
                "trust-anchor-cert": [STANDARD.encode("not a CMS message")]
            });
        } else {
            input["trust-anchor-certs"] = json!({});
        }
        input["ssh-host-keys"] = json!({});
        *request.body_mut() = document.to_string().into();
    }

    /// What a real device does not put up with in an answer.
    fn objection(&self, operation: &str, answer: &Input) -> Option<&'static str> {
        let Input::Response {
            status,
            content_type,
            body,
            ..
        } = answer
        else {
            return None;
        };
        if operation == REPORT_PROGRESS {
            return (*status == 204 && self.dialect.acknowledgement != 204)
                .then_some("a report was acknowledged with 204, and the device waits for 200");
        }
        if *status != 200 {
            return None;
        }
        let encoding = content_type.as_deref().and_then(encoding_of)?;
        if encoding != self.dialect.encoding {
            return Some("the answer is in an encoding that the device does not know");
        }
        let output = GetBootstrappingDataOutput::decode(body, encoding).ok()?;
        let signed = output.owner_certificate.is_some();
        match self.dialect.accepts {
            Accepts::Signed if !signed => {
                Some("the answer has no voucher and owner certificate, and the device wants them")
            }
            Accepts::Bare if signed => Some("the answer is signed, and the device cannot read it"),
            Accepts::Bare if output.reporting_level.is_some() => {
                Some("the answer has a reporting-level, and the device cannot read it")
            }
            _ => None,
        }
    }
}

impl Deviation for Conduct {
    fn change_request(&self, operation: &'static str, request: &mut Request<Bytes>) {
        self.change_headers(request);
        if operation == GET_BOOTSTRAPPING_DATA {
            self.change_question(request);
        } else {
            self.change_report(request);
        }
        if let Some(misbehaviour) = self.misbehaviour {
            misbehaviour.change_request(operation, request);
        }
    }

    fn times_sent(&self, _operation: &'static str) -> usize {
        match self.misbehaviour {
            Some(Misbehaviour::Repeat) => 2,
            _ => 1,
        }
    }

    fn change_answer(&self, operation: &'static str, answer: &mut Input) {
        if let Some(objection) = self.objection(operation, answer) {
            let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
            if !remarks.contains(&objection) {
                remarks.push(objection);
            }
            if self.strict {
                *answer = Input::Failed {
                    reason: objection.to_owned(),
                };
            }
        }
        if let Input::Response { status, .. } = answer
            && operation == REPORT_PROGRESS
            && *status == self.dialect.acknowledgement
        {
            *status = 204;
        }
    }
}

/// The encoding of a request's body.
pub(super) fn encoding_in(request: &Request<Bytes>) -> Option<Encoding> {
    let content_type = request.headers().get(header::CONTENT_TYPE)?;
    encoding_of(content_type.to_str().ok()?)
}

const INPUT: &str = "ietf-sztp-bootstrap-server:input";
/// It is nobody's.
const PASSWORD: &str = "simulated";

#[cfg(test)]
mod tests {
    use sztp_core::restconf::media_type;

    use super::*;

    fn question(name: DialectName) -> Request<Bytes> {
        let dialect = name.dialect();
        let input = GetBootstrappingDataInput::default().encode(dialect.encoding);
        let mut request = Request::builder()
            .uri(format!("/restconf/operations/{GET_BOOTSTRAPPING_DATA}"))
            .header(header::CONTENT_TYPE, media_type(dialect.encoding))
            .header(header::ACCEPT, media_type(dialect.encoding))
            .body(Bytes::from(input))
            .unwrap();
        Conduct::new(dialect, None, "SIM-1", false)
            .change_request(GET_BOOTSTRAPPING_DATA, &mut request);
        request
    }

    #[test]
    fn every_name_has_its_row() {
        for name in DialectName::value_variants() {
            assert_eq!(name.dialect().name, *name);
        }
    }

    #[test]
    fn questions_as_the_devices_ask_them() {
        let generic = question(DialectName::Generic);
        assert!(generic.uri().path().ends_with(":get-bootstrapping-data"));
        assert_eq!(
            generic.headers()[header::ACCEPT],
            "application/yang-data+json"
        );

        let xr = question(DialectName::IosXr);
        assert!(xr.uri().path().ends_with(":get-bootstrap-data"));

        let huawei = question(DialectName::Huawei);
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            assert_eq!(huawei.headers()[name], "application/yang.data+xml");
        }

        let xe = question(DialectName::IosXe);
        let asked = GetBootstrappingDataInput::decode(xe.body(), Encoding::Xml).unwrap();
        assert!(asked.signed_data_preferred);

        let opi = question(DialectName::Opi);
        assert!(!opi.headers().contains_key(header::ACCEPT));
        assert_eq!(
            opi.headers()[header::AUTHORIZATION],
            "Basic U0lNLTE6c2ltdWxhdGVk"
        );
        let document: Value = serde_json::from_slice(opi.body()).unwrap();
        assert_eq!(document[INPUT]["nonce"], "");
    }

    #[test]
    fn what_a_device_waits_for_is_what_the_machine_is_told() {
        let answer = |status| Input::Response {
            status,
            content_type: None,
            retry_after: None,
            body: Vec::new(),
        };
        let told = |name: DialectName, strict, status| {
            let conduct = Conduct::new(name.dialect(), None, "SIM-1", strict);
            let mut input = answer(status);
            conduct.change_answer(REPORT_PROGRESS, &mut input);
            let status = match input {
                Input::Response { status, .. } => Some(status),
                _ => None,
            };
            (status, conduct.remarks().len())
        };
        assert_eq!(told(DialectName::Generic, true, 204), (Some(204), 0));
        assert_eq!(told(DialectName::Generic, true, 200), (Some(200), 0));
        assert_eq!(told(DialectName::Opi, true, 200), (Some(204), 0));
        assert_eq!(told(DialectName::Opi, false, 204), (Some(204), 1));
        assert_eq!(told(DialectName::Opi, true, 204), (None, 1));
    }
}
