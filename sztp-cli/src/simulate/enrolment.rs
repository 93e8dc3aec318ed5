//! Makes a fleet known to its server: each device with a voucher of the lab's MASA and with what it
//! is to become.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};
use sztp_server::lab::LabPki;
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};
use tokio::task::JoinSet;

use super::fleet::Member;
use crate::admin::{AdminApi, Session};
use crate::arguments::now;
use crate::failure::Failure;

/// What is told to the server of each device.
pub(super) struct Enrolment {
    pub(super) api: AdminApi,
    pub(super) lab: LabPki,
    /// The members of a device as the admin API has them, without its voucher; none: a small
    /// configuration with its name.
    pub(super) template: Option<Map<String, Value>>,
}

impl Enrolment {
    /// Adds all members, over several connections at a time; `done` counts along.
    pub(super) async fn enrol(
        self,
        members: Arc<[Member]>,
        done: Arc<AtomicUsize>,
    ) -> Result<(), Failure> {
        let (this, next) = (Arc::new(self), Arc::new(AtomicUsize::new(0)));
        let mut lanes = JoinSet::new();
        for _ in 0..LANES {
            let (this, members) = (this.clone(), members.clone());
            let (next, done) = (next.clone(), done.clone());
            lanes.spawn(async move {
                let mut session = this.api.connect().await?;
                while let Some(member) = members.get(next.fetch_add(1, Ordering::Relaxed)) {
                    this.put(&mut session, member).await?;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<(), Failure>(())
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane.map_err(|error| Failure::new("simulate.device", error))??;
        }
        Ok(())
    }

    async fn put(&self, session: &mut Session<'_>, member: &Member) -> Result<(), Failure> {
        let path = format!("/devices/{}", member.serial_number);
        let document = self.document(member)?;
        let device = session.call(Method::PUT, &path, Some(&document)).await?;
        // Left by an earlier run.
        if device["state"] != "Unprovisioned" {
            let path = format!("{path}/reset");
            session.call(Method::POST, &path, None).await?;
        }
        Ok(())
    }

    fn document(&self, member: &Member) -> Result<Value, Failure> {
        let voucher = Voucher::new(
            &member.serial_number,
            Assertion::Verified,
            self.lab.pinned_domain_ca.certificate.as_der(),
            now(),
        );
        let voucher = issue(
            &voucher,
            &self.lab.masa.key,
            &self.lab.masa.certificate,
            &[],
            &IssueOptions::default(),
        )?;
        let mut device = match &self.template {
            Some(template) => template.clone(),
            None => small(&member.serial_number),
        };
        device.insert("voucher".to_owned(), STANDARD.encode(voucher).into());
        Ok(Value::Object(device))
    }
}

fn small(serial_number: &str) -> Map<String, Value> {
    let answer = json!({
        "kind": "onboarding",
        "configuration_handling": "merge",
        "configuration": { "text": format!("hostname {}\n", serial_number.to_lowercase()) },
    });
    Map::from_iter([("answer".to_owned(), answer)])
}

/// Connections at a time: the server writes what comes together in one go.
const LANES: usize = 16;
