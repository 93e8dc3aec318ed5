//! The driver with sources beside bootstrap servers, and with a store for the machine's state.

#![cfg(feature = "client")]

mod pair;
mod tls;

use std::path::Path;
use std::time::Duration;

use pair::{SERIAL, onboarding, trusting, unsigned, world};
use sztp_core::artifacts::BootstrappingData;
use sztp_core::client::{Platform, Reboot, Records, RemovableStorage, Sources};
use sztp_core::conveyed_info::{ConfigurationHandling, ConveyedInfo};
use sztp_core::device::{
    Backoff, Device, DeviceConfig, Ended, Origin, Outcome, SavedState, ScriptStage,
};
use sztp_core::dhcp::BootstrapServerList;
use sztp_core::dns::{DomainName, Query, RecordType, SrvRecord};
use sztp_core::removable_storage::{FileSet, Layout, StoredFile};
use sztp_core::rpc::ReportingLevel;
use tls::{Answer, HOST, Recorder, Server, at_port, client};

fn info() -> ConveyedInfo {
    ConveyedInfo::Onboarding(onboarding())
}

/// What a device has beside servers.
#[derive(Default)]
struct Surroundings {
    storage: RemovableStorage,
    dhcp: Vec<Vec<u8>>,
    services: Vec<SrvRecord>,
    asked: Vec<String>,
}

impl Sources for Surroundings {
    async fn list_media(&mut self) -> Result<Vec<Vec<String>>, String> {
        Ok(self.storage.list())
    }

    async fn read_medium(
        &mut self,
        medium: usize,
        files: &FileSet,
    ) -> Result<BootstrappingData, String> {
        let read = self.storage.read(medium, files);
        read.map_err(|error| error.to_string())
    }

    async fn dhcp_options(&mut self) -> Result<Vec<Vec<u8>>, String> {
        Ok(self.dhcp.clone())
    }

    async fn domains(&mut self) -> Result<Vec<DomainName>, String> {
        Err("no lease".to_owned())
    }

    async fn resolve(&mut self, query: &Query) -> Result<Records, String> {
        self.asked.push(query.name.to_string());
        Ok(match query.record_type {
            RecordType::Srv => Records::Services(self.services.clone()),
            RecordType::Txt => Records::None,
        })
    }
}

fn origin(outcome: &Outcome) -> &Origin {
    match outcome {
        Outcome::Bootstrapped { origin, .. } => origin,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stick() {
    let stick = tempfile::tempdir().expect("a temporary directory");
    let data = world().signed(&info());
    let files = [
        (
            StoredFile::ConveyedInformation,
            Some(data.conveyed_information),
        ),
        (StoredFile::OwnerCertificate, data.owner_certificate),
        (StoredFile::OwnershipVoucher, data.ownership_voucher),
    ];
    for (file, octets) in files {
        let path = stick.path().join(Layout::Rfc8572.path(SERIAL, file));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, octets.expect("all three")).expect("written");
    }
    // LEDGER: 8572-5.1-02: nothing was said of whether bootstrapping is enabled.
    let mut device = Device::new(DeviceConfig::new(SERIAL, world().voucher_anchors()));
    let mut platform = Recorder::default();
    let mut sources = Surroundings {
        storage: RemovableStorage::new([stick.path()]),
        ..Surroundings::default()
    };
    let outcome = client(|_| {})
        .run_with(&mut device, &mut platform, &mut sources, |_| {})
        .await;
    assert!(matches!(origin(&outcome), Origin::RemovableStorage { .. }));
    assert_eq!(
        platform.trace,
        ["Pre script before", "merge hostname x", "Post script after"]
    );
    assert!(sources.asked.is_empty());
}

#[tokio::test]
async fn a_server_that_dhcp_or_dns_names() {
    let data = world().signed(&info());
    let server = Server::of(HOST, tls::bootstrap_server(move |_| data.clone())).await;
    let port = server.address.port();
    let uri = format!("https://{HOST}:{port}").parse().expect("a URI");
    let list = BootstrapServerList::new(vec![uri]).expect("a list");
    let by_dhcp = Surroundings {
        dhcp: vec![list.encode()],
        ..Surroundings::default()
    };
    let by_dns = Surroundings {
        services: vec![SrvRecord::for_host(HOST, port).expect("a host")],
        ..Surroundings::default()
    };
    for mut sources in [by_dhcp, by_dns] {
        let mut device = Device::new(DeviceConfig::new(SERIAL, world().voucher_anchors()));
        let mut platform = Recorder::default();
        let outcome = client(|_| {})
            .run_with(&mut device, &mut platform, &mut sources, |_| {})
            .await;
        let Origin::Server(endpoint) = origin(&outcome) else {
            panic!("{outcome:?}");
        };
        assert!(endpoint.address == HOST && !endpoint.trust.authenticates());
    }
    assert!(server.seen().iter().all(|seen| seen.report().is_none()));
}

/// A platform with a store, which may be full, and with little patience.
#[derive(Default)]
struct Keeper {
    recorder: Recorder,
    full: bool,
    stored: Vec<SavedState>,
    waited: Vec<Duration>,
}

impl Platform for Keeper {
    async fn is_enabled(&mut self) -> bool {
        self.waited.len() < 2
    }

    async fn store(&mut self, state: &SavedState) -> Result<(), String> {
        if self.full {
            return Err("no space".to_owned());
        }
        self.stored.push(state.clone());
        Ok(())
    }

    async fn wait(&mut self, duration: Duration) {
        self.waited.push(duration);
    }

    async fn install_image(&mut self, image: &Path) -> Result<(), String> {
        self.recorder.install_image(image).await
    }

    async fn reboot(&mut self, device: &Device) -> Result<Reboot, String> {
        self.recorder.reboot(device).await
    }

    async fn run_script(&mut self, stage: ScriptStage, script: &[u8]) -> Ended {
        self.recorder.run_script(stage, script).await
    }

    async fn commit_configuration(
        &mut self,
        handling: ConfigurationHandling,
        configuration: &[u8],
    ) -> Ended {
        self.recorder
            .commit_configuration(handling, configuration)
            .await
    }

    async fn roll_back(&mut self) -> Ended {
        self.recorder.roll_back().await
    }
}

#[tokio::test]
async fn nothing_is_done_that_the_next_process_would_not_know_of() {
    let data = unsigned(&info(), ReportingLevel::Minimal);
    let server = Server::of(HOST, tls::bootstrap_server(move |_| data.clone())).await;
    let config = at_port(trusting(HOST), server.address.port());
    let mut keeper = Keeper::default();
    let mut device = Device::new(config.clone());
    let outcome = client(|_| {}).run(&mut device, &mut keeper, |_| {}).await;
    assert!(matches!(outcome, Outcome::Bootstrapped { .. }));
    assert!(
        keeper
            .stored
            .last()
            .is_some_and(SavedState::is_bootstrapped)
    );

    let mut keeper = Keeper {
        full: true,
        ..Keeper::default()
    };
    let mut device = Device::new(config);
    let outcome = client(|_| {}).run(&mut device, &mut keeper, |_| {}).await;
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert_eq!(keeper.recorder.trace, ["rollback"]);
}

#[tokio::test]
async fn retry_after_is_read_and_kept_to() {
    let server = Server::of(HOST, |seen| {
        if seen.question().is_none() {
            return Answer::status(404);
        }
        Answer::status(503).header(http::header::RETRY_AFTER, "90")
    })
    .await;
    let mut device = Device::new(DeviceConfig {
        retry: Some(Backoff::default()),
        ..at_port(trusting(HOST), server.address.port())
    });
    let mut keeper = Keeper::default();
    let outcome = client(|_| {}).run(&mut device, &mut keeper, |_| {}).await;
    assert!(matches!(outcome, Outcome::Disabled));
    assert_eq!(keeper.waited.len(), 2);
    let within = |waited: &Duration| (90..=102).contains(&waited.as_secs());
    assert!(keeper.waited.iter().all(within), "{:?}", keeper.waited);
}
