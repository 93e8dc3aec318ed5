//! The driver as a device that differs from the RFCs on the wire, and what it says of connecting.

#![cfg(feature = "client")]

mod pair;
mod tls;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use pair::{onboarding, trusting, unsigned};
use sztp_core::client::{Activity, Deviation, Event};
use sztp_core::conveyed_info::ConveyedInfo;
use sztp_core::device::{Device, GET_BOOTSTRAPPING_DATA, Input, Outcome, REPORT_PROGRESS};
use sztp_core::rpc::ReportingLevel;
use tls::{Answer, HOST, Recorder, Server, at_port, bootstrap_server, client};

/// Says who it is, asks twice, and waits for 200 where RFC 8572 has 204.
#[derive(Debug)]
struct Odd;

impl Deviation for Odd {
    fn change_request(&self, _operation: &'static str, request: &mut Request<Bytes>) {
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(OLD_TYPE));
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_static("Basic eDp5"),
        );
    }

    fn times_sent(&self, operation: &'static str) -> usize {
        if operation == GET_BOOTSTRAPPING_DATA {
            2
        } else {
            1
        }
    }

    fn change_answer(&self, operation: &'static str, answer: &mut Input) {
        if let Input::Response { status, .. } = answer
            && operation == REPORT_PROGRESS
            && *status == 200
        {
            *status = 204;
        }
    }
}

#[tokio::test]
async fn requests_and_answers_are_changed_on_their_way() {
    let data = unsigned(
        &ConveyedInfo::Onboarding(onboarding()),
        ReportingLevel::Minimal,
    );
    let answer = bootstrap_server(move |_| data.clone());
    let server = Server::of(HOST, move |seen| match seen.report() {
        Some(_) => Answer::status(200),
        None => answer(seen),
    })
    .await;
    let config = at_port(trusting(HOST), server.address.port());
    let client = client(|_| {});
    for (deviating, bootstraps) in [(false, false), (true, true)] {
        let client = if deviating {
            client.clone().deviating(Arc::new(Odd))
        } else {
            client.clone()
        };
        let before = server.seen().len();
        let mut told = Vec::new();
        let observe = |event: &Event<'_>| match event.activity {
            Activity::Connected { address, .. } => told.push(address),
            Activity::Discovered { .. } => told.push(([0, 0, 0, 0], 0).into()),
            _ => {}
        };
        let mut device = Device::new(config.clone());
        let outcome = client
            .run(&mut device, &mut Recorder::default(), observe)
            .await;
        let bootstrapped = matches!(outcome, Outcome::Bootstrapped { .. });
        assert_eq!(bootstrapped, bootstraps, "{outcome:?}");
        let discovered = ([0, 0, 0, 0], 0).into();
        assert_eq!(
            told,
            [server.address, discovered],
            "one connection, one root"
        );
        let seen = server.seen();
        let asked = seen[before..].iter().filter(|one| one.question().is_some());
        assert_eq!(asked.count(), if deviating { 2 } else { 1 });
        for request in seen[before..].iter().skip(1) {
            let named = request.headers.contains_key(header::AUTHORIZATION);
            assert_eq!(named, deviating);
            assert_eq!(request.header(header::ACCEPT) == OLD_TYPE, deviating);
        }
    }
}

const OLD_TYPE: &str = "application/yang.data+json";
