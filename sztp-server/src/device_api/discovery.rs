//! The resources by which a RESTCONF server is found and described (RFC 8040 §3.1, §3.3).

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use sztp_core::restconf::{ErrorTag, ErrorType, HOST_META_MEDIA_TYPE, media_type, negotiate};
use sztp_voucher::yang::Encoding;

use super::reply::{Refused, method_not_allowed, not_found, options, with_body};
use super::{ROOT, header_text};

/// LEDGER: 8040-3.1-02
pub(super) fn host_meta(method: &Method) -> Result<Response<Body>, Refused> {
    if method == Method::OPTIONS {
        return Ok(options(ALLOW));
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(method_not_allowed(ALLOW));
    }
    let document = sztp_core::restconf::host_meta(ROOT).into_bytes();
    Ok(with_body(
        StatusCode::OK,
        HOST_META_MEDIA_TYPE,
        document,
        method == Method::HEAD,
    ))
}

/// A resource below the API root that is the same for every device.
pub(super) fn resource<B>(path: &str, request: &Request<B>) -> Result<Response<Body>, Refused> {
    let (json, xml) = match path {
        "" => (API_JSON, API_XML),
        "/operations" => (OPERATIONS_JSON, OPERATIONS_XML),
        "/yang-library-version" => (VERSION_JSON, VERSION_XML),
        _ => return Err(not_found()),
    };
    match *request.method() {
        Method::OPTIONS => return Ok(options(ALLOW)),
        Method::GET | Method::HEAD => {}
        _ => return Err(method_not_allowed(ALLOW)),
    }
    let encoding = negotiate(header_text(request, &header::ACCEPT), Encoding::Json)
        .ok_or_else(not_acceptable)?;
    let document = match encoding {
        Encoding::Json => json,
        Encoding::Xml => xml,
    };
    let is_head = request.method() == Method::HEAD;
    Ok(with_body(
        StatusCode::OK,
        media_type(encoding),
        document.into(),
        is_head,
    ))
}

/// LEDGER: 8040-5.2-02
pub(super) fn not_acceptable() -> Refused {
    Refused::new(
        StatusCode::NOT_ACCEPTABLE,
        ErrorType::Protocol,
        ErrorTag::InvalidValue,
        "only application/yang-data+json and application/yang-data+xml",
    )
}

const ALLOW: &str = "GET, HEAD, OPTIONS";

// LEDGER: 8040-3.3-01
const API_JSON: &str = concat!(
    r#"{"ietf-restconf:restconf":{"data":{},"operations":{},"#,
    r#""yang-library-version":"2016-06-21"}}"#
);
const API_XML: &str = concat!(
    r#"<restconf xmlns="urn:ietf:params:xml:ns:yang:ietf-restconf"><data/><operations/>"#,
    "<yang-library-version>2016-06-21</yang-library-version></restconf>"
);
const OPERATIONS_JSON: &str = concat!(
    r#"{"ietf-restconf:operations":{"#,
    r#""ietf-sztp-bootstrap-server:get-bootstrapping-data":[null],"#,
    r#""ietf-sztp-bootstrap-server:report-progress":[null]}}"#
);
const OPERATIONS_XML: &str = concat!(
    r#"<operations xmlns="urn:ietf:params:xml:ns:yang:ietf-restconf">"#,
    r#"<get-bootstrapping-data xmlns="urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server"/>"#,
    r#"<report-progress xmlns="urn:ietf:params:xml:ns:yang:ietf-sztp-bootstrap-server"/>"#,
    "</operations>"
);
const VERSION_JSON: &str = r#"{"ietf-restconf:yang-library-version":"2016-06-21"}"#;
const VERSION_XML: &str = concat!(
    r#"<yang-library-version xmlns="urn:ietf:params:xml:ns:yang:ietf-restconf">"#,
    "2016-06-21</yang-library-version>"
);
