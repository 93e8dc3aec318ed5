//! The demo's vendor, owner and servers.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sztp_cms::{TrustAnchors, UnixTime};
use sztp_core::client::Identity;
use sztp_core::device::{DeviceConfig, Endpoint, EndpointTrust, RunningImage};
use sztp_server::lab::{LabOptions, LabPki};
use sztp_server::model::{
    Answer, DeviceFilter, DeviceSpec, DeviceSummary, Page, RedirectServer, RedirectSpec,
};
use sztp_server::{Config, Server, ServiceError};
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

use super::cast::{IMAGE_NAME, Member, OLD_VERSION, OS_NAME, Part};
use super::device::DemoDevice;
use crate::failure::Failure;

/// Who is there before the first device is unpacked.
pub(super) struct Network {
    directory: PathBuf,
    pki: LabPki,
    now: UnixTime,
    /// The owner's bootstrap server.
    owner: Server,
    /// The vendor's server, which only knows whom a device was sold to.
    redirect: Server,
}

impl Network {
    /// Makes keys and an image, and starts both servers on free ports.
    pub(super) async fn start(directory: &Path) -> Result<Self, Failure> {
        let now = UnixTime::from_system_time(SystemTime::now());
        let pki = LabPki::generate(&LabOptions::new(now))?;
        let lab = directory.join("lab");
        pki.write(&lab)?;
        let owner = Server::start(config(&lab, directory.join("owner-server"))).await?;
        let redirect = Server::start(config(&lab, directory.join("redirect-server"))).await?;
        let mut image = vec![0; IMAGE_OCTETS];
        getrandom::fill(&mut image).map_err(|error| Failure::new("demo.random", error))?;
        owner
            .service()
            .add_image(IMAGE_NAME, image.as_slice())
            .await?;
        Ok(Self {
            directory: directory.to_owned(),
            pki,
            now,
            owner,
            redirect,
        })
    }

    /// The vendor issues the voucher, the owner says what the device is to become.
    pub(super) async fn enrol(&self, member: &Member) -> Result<(), Failure> {
        let voucher = Voucher::new(
            member.voucher_serial_number(),
            Assertion::Verified,
            self.pki.pinned_domain_ca.certificate.as_der(),
            self.now,
        );
        let voucher = issue(
            &voucher,
            &self.pki.masa.key,
            &self.pki.masa.certificate,
            &[],
            &IssueOptions::default(),
        )?;
        self.owner
            .service()
            .add_device(&member.serial_number, member.spec(voucher))
            .await?;
        if member.part == Part::Redirected {
            // Without a trust anchor: the device has to find out whether it is its owner's.
            let servers = vec![RedirectServer {
                address: HOST.to_owned(),
                port: Some(self.owner.device_addr().port()),
                trust_anchor: None,
            }];
            let spec = DeviceSpec {
                answer: Answer::Redirect(RedirectSpec { servers }),
                ..DeviceSpec::default()
            };
            self.redirect
                .service()
                .add_device(&member.serial_number, spec)
                .await?;
        }
        Ok(())
    }

    /// The device as it leaves the factory: IDevID, voucher anchors, one bootstrap server.
    pub(super) fn device(&self, member: &Member) -> Result<DemoDevice, Failure> {
        let serial_number = &member.serial_number;
        let idevid = self
            .pki
            .issue_idevid(serial_number, member.part.key_type(), self.now)?;
        self.pki
            .write_idevid(&self.directory.join("lab"), serial_number, &idevid)?;
        let server = match member.part {
            Part::Redirected => &self.redirect,
            _ => &self.owner,
        };
        let voucher_anchors = TrustAnchors::new([self.pki.vendor_root.certificate.clone()]);
        let config = DeviceConfig {
            idevid: Some(idevid.certificate.clone()),
            servers: vec![Endpoint {
                address: HOST.to_owned(),
                port: server.device_addr().port(),
                trust: EndpointTrust::Anchors(TrustAnchors::new([self
                    .pki
                    .tls_ca
                    .certificate
                    .clone()])),
            }],
            running: RunningImage {
                os_name: Some(OS_NAME.to_owned()),
                os_version: Some(OLD_VERSION.to_owned()),
                sha256: None,
            },
            ..DeviceConfig::new(serial_number.clone(), voucher_anchors)
        };
        let identity = Identity {
            chain: vec![idevid.certificate, self.pki.idevid_ca.certificate.clone()],
            key: idevid.key.into(),
        };
        let directory = self.directory.join("devices").join(serial_number);
        DemoDevice::unpack(config, identity, directory)
    }

    /// What the servers are called, by their port.
    pub(super) fn names(&self) -> [(u16, &'static str); 2] {
        [
            (self.owner.device_addr().port(), "owner"),
            (self.redirect.device_addr().port(), "vendor"),
        ]
    }

    /// What the owner's server says of each device, in order.
    pub(super) async fn states(&self, members: &[Member]) -> Result<Vec<DeviceSummary>, Failure> {
        let page = Page {
            limit: Page::MAX_LIMIT,
            ..Page::default()
        };
        let listed = self
            .owner
            .service()
            .devices(DeviceFilter::default(), page)
            .await?;
        // Serial numbers were given in their order, which is the server's too.
        debug_assert_eq!(listed.items.len(), members.len());
        Ok(listed.items)
    }

    /// Commands for another terminal.
    pub(super) fn suggestions(&self, first: &Member, directory: &Path) -> String {
        let lab = directory.join("lab");
        let lab = lab.display();
        let admin = self.owner.admin_addr().port();
        let device = self.owner.device_addr().port();
        let token = directory.join("owner-server").join("admin-token");
        let token = token.display();
        let serial = &first.serial_number;
        format!(
            "  # what the owner's server knows, and what happened to a device
  curl -s --cacert {lab}/server/tls-ca.crt -H \"Authorization: Bearer $(cat {token})\" \\
      https://{HOST}:{admin}/api/v1/devices
  curl -s --cacert {lab}/server/tls-ca.crt -H \"Authorization: Bearer $(cat {token})\" \\
      https://{HOST}:{admin}/api/v1/devices/{serial}/history

  # let a device start over, and ask in its place
  curl -s --cacert {lab}/server/tls-ca.crt -H \"Authorization: Bearer $(cat {token})\" \\
      -X POST https://{HOST}:{admin}/api/v1/devices/{serial}/reset
  curl -s --cacert {lab}/server/tls-ca.crt \\
      --cert {lab}/devices/{serial}/idevid.crt --key {lab}/devices/{serial}/idevid.key \\
      -H 'Content-Type: application/yang-data+json' -X POST \\
      https://{HOST}:{device}/restconf/operations/ietf-sztp-bootstrap-server:get-bootstrapping-data
"
        )
    }

    pub(super) async fn shutdown(self) {
        self.owner.shutdown().await;
        self.redirect.shutdown().await;
    }
}

/// A server on free ports with the lab's keys.
///
/// Without voucher anchors it takes vouchers as they come: the demo shows that a device refuses
/// the wrong one, also where its server did not.
fn config(lab: &Path, data_dir: PathBuf) -> Config {
    let mut config = Config::loopback(data_dir);
    config.idevid_anchors = vec![lab.join("vendor/root.crt")];
    config.tls.certificate = Some(lab.join("server/tls.crt"));
    config.tls.key = Some(lab.join("server/tls.key"));
    config.tls.trust_anchor = Some(lab.join("server/tls-ca.crt"));
    config.owner.certificate = Some(lab.join("owner/owner.crt"));
    config.owner.key = Some(lab.join("owner/owner.key"));
    config.owner.chain = vec![lab.join("owner/pinned-domain-ca.crt")];
    config
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Self::new(error.code(), &error)
    }
}

impl From<sztp_server::ServerError> for Failure {
    fn from(error: sztp_server::ServerError) -> Self {
        Self::new(error.code(), &error)
    }
}

/// As in the TLS certificate, and where both servers listen.
const HOST: &str = "localhost";
const IMAGE_OCTETS: usize = 1024 * 1024;
