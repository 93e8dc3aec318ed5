//! `deviceinfo/status`: what a device's own script says when it is done, or cannot go on.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Request, header};
use serde_json::Value;
use sztp_core::lifecycle::State as LifecycleState;

use super::plain::Plain;
use super::reply::{Reply, receive_json, text};
use super::{Api, guard};
use crate::access::Principal;
use crate::model::{Connectivity, Contact, Device, Role};
use crate::service::{Peer, StatusReport, now};
use crate::store::audit;
use crate::{AccessError, ServiceError};

/// Takes a status. Crosswork's is a PATCH; scripts in the field POST it, too.
pub(super) async fn report(
    State(api): State<Api>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request<Body>,
) -> Reply {
    match take(&api, &peer, request).await {
        Ok(reply) | Err(reply) => reply.in_http(),
    }
}

async fn take(api: &Api, peer: &Peer, request: Request<Body>) -> Result<Reply, Reply> {
    if ![Method::PATCH, Method::POST, Method::PUT].contains(request.method()) {
        return Err(Reply::refused(405, "deviceinfo/status takes PATCH"));
    }
    let headers = request.headers().clone();
    let is_plain = request.extensions().get::<Plain>().is_some();
    let document = receive_json(request, api.limits.max_body_bytes).await?;
    let serial_number = text(&document["serialNumber"]);
    let serial_number =
        serial_number.ok_or_else(|| Reply::refused(400, "serialNumber is needed"))?;
    let status = text(&document["status"]).unwrap_or_default();
    let status: LifecycleState = status.parse().map_err(|_| {
        let short: String = status.chars().take(40).collect();
        Reply::refused(400, &format!("status {short:?} is none"))
    })?;
    let device = api.service.device(&serial_number).await;
    let device = match device {
        Ok(device) => Some(device),
        Err(ServiceError::DeviceMissing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let proof = proof(api, (peer, is_plain), &headers, device.as_ref()).await?;
    let Some(device) = device else {
        return Err(Reply::refused(
            404,
            "there is no device of this serial number",
        ));
    };
    let report = StatusReport {
        status,
        message: text(&document["message"]).map(|text| text.chars().take(MAX_MESSAGE).collect()),
        contact: match &proof {
            Proof::Device(_) => Contact {
                peer: Some(peer.address.ip().to_string()),
                ..contact(&document)
            },
            Proof::Operator(_) => contact(&document),
            // Where a device is managed is not for anybody to say.
            Proof::Nobody => Contact::default(),
        },
        proved_by: proof.words(),
    };
    let reported = api.service.report_status(&device.serial_number, report);
    let state = match &proof {
        Proof::Operator(principal) => {
            let record = guard::record(
                principal,
                peer,
                format!("report-status {status}"),
                format!("device {}", device.serial_number),
            );
            audit::Scope::new(record).run(reported).await?
        }
        Proof::Device(_) | Proof::Nobody => reported.await?,
    };
    Ok(Reply::done(200, &format!("Device status is {state}")))
}

/// Whose word a status is.
enum Proof {
    /// The device's own; how that was proved.
    Device(&'static str),
    Operator(Principal),
    Nobody,
}

impl Proof {
    fn words(&self) -> &'static str {
        match self {
            Self::Device(how) => how,
            Self::Operator(_) => "by an operator",
            Self::Nobody => "by nobody who has proved who they are",
        }
    }
}

/// Whose script it is: by the device's own token or certificate, or an operator stands for it.
/// Who proves nothing does not learn either which devices there are.
async fn proof(
    api: &Api,
    (peer, is_plain): (&Peer, bool),
    headers: &HeaderMap,
    device: Option<&Device>,
) -> Result<Proof, Reply> {
    let unproved = || Reply::from(ServiceError::from(AccessError::Unauthenticated));
    if let Some(token) = given_token(headers) {
        if device.is_some_and(|device| api.service.is_status_token(device, &token)) {
            return Ok(Proof::Device("by the device's token"));
        }
        if !token.starts_with("sztpd_") && !is_plain {
            let principal = api
                .access
                .authenticate(&api.service, peer, headers, now())
                .await?;
            principal
                .require(Role::Operator)
                .map_err(ServiceError::from)?;
            return Ok(Proof::Operator(principal));
        }
        return Err(unproved());
    }
    if !peer.certificates.is_empty() {
        let identity = api.service.identify(peer).await?;
        let same = match device {
            Some(device) => {
                let shown = identity.serial_number();
                shown == device.serial_number
                    || device.spec.serial_numbers.iter().any(|one| one == shown)
            }
            None => false,
        };
        return if same {
            Ok(Proof::Device("by the device's certificate"))
        } else {
            Err(ServiceError::OtherDevice.into())
        };
    }
    if api.status_without_proof {
        return Ok(Proof::Nobody);
    }
    Err(unproved())
}

/// As a bearer token, as the password of HTTP Basic, or in the header that scripts of Crosswork's
/// call `apiKey`.
fn given_token(headers: &HeaderMap) -> Option<String> {
    let value = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(key) = value("apikey") {
        return Some(key.trim().to_owned());
    }
    let (scheme, credentials) = value(header::AUTHORIZATION.as_str())?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (_, password) = decoded.split_once(':')?;
        return Some(password.to_owned());
    }
    None
}

/// How the device says that it is reached.
fn contact(document: &Value) -> Contact {
    let details = document["connectivityDetails"].as_array();
    let connectivity = details.into_iter().flatten().take(MAX_CONNECTIVITY);
    Contact {
        host_name: text(&document["hostName"]).map(|name| name.chars().take(253).collect()),
        address: address(&document["ipAddress"]),
        peer: None,
        ssh_host_keys: Vec::new(),
        connectivity: connectivity
            .filter_map(|one| {
                let addresses = &one["inetAddr"];
                Some(Connectivity {
                    protocol: text(&one["protocol"])?.chars().take(32).collect(),
                    address: address(addresses.get(0).unwrap_or(addresses)),
                    port: text(&one["port"]).and_then(|port| port.parse().ok()),
                    timeout_secs: text(&one["timeout"]).and_then(|secs| secs.parse().ok()),
                })
            })
            .collect(),
    }
}

/// `{"inetAddressFamily": .., "ipaddrs": .., "mask": ..}` as an address with its prefix length.
pub(super) fn address(value: &Value) -> Option<String> {
    let ip: std::net::IpAddr = text(&value["ipaddrs"])?.parse().ok()?;
    let prefix = text(&value["mask"]).and_then(|mask| mask.parse::<u8>().ok());
    Some(match prefix {
        Some(prefix @ 1..=128) => format!("{ip}/{prefix}"),
        _ => ip.to_string(),
    })
}

const MAX_MESSAGE: usize = 4096;
const MAX_CONNECTIVITY: usize = 16;
