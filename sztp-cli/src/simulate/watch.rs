//! What one simulated device does and how long it takes, as the driver tells.

use std::time::{Duration, Instant};

use sztp_core::client::{Activity, Event};
use sztp_core::device::Obstacle;
use sztp_core::rpc::ProgressType;

/// A stage of a bootstrap, as it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waiting for one of the devices that may run at a time.
    Queued,
    /// TCP and TLS.
    Connect,
    /// The question for the API root.
    Discovery,
    /// The question for the data.
    Data,
    /// The image.
    Image,
    /// One report.
    Report(ProgressType),
    /// From first to last, without the waiting before.
    Whole,
}

impl Stage {
    pub(super) fn name(self) -> String {
        match self {
            Self::Queued => "queued".to_owned(),
            Self::Connect => "connect".to_owned(),
            Self::Discovery => "host-meta".to_owned(),
            Self::Data => "get-bootstrapping-data".to_owned(),
            Self::Image => "image".to_owned(),
            Self::Report(progress_type) => format!("report {progress_type}"),
            Self::Whole => "bootstrap".to_owned(),
        }
    }

    /// The order in which stages are printed.
    pub(super) fn rank(self) -> usize {
        match self {
            Self::Queued => 0,
            Self::Connect => 1,
            Self::Discovery => 2,
            Self::Data => 3,
            Self::Report(progress_type) => {
                4 + ProgressType::ALL
                    .iter()
                    .position(|known| *known == progress_type)
                    .unwrap_or_default()
            }
            Self::Image => 1000,
            Self::Whole => 1001,
        }
    }
}

/// What was seen of one device.
#[derive(Debug)]
pub(super) struct Watch {
    took: Vec<(Stage, Duration)>,
    /// Requests that came to nothing, although bootstrapping may have gone on.
    lost: Vec<(Stage, String)>,
    /// What is going on.
    stage: Stage,
    since: Instant,
    /// How much of it connecting took, which is measured by itself.
    connecting: Duration,
    connected: bool,
    has_data: bool,
    worst_status: u16,
    refused_by_tls: bool,
    cut_off: Option<Result<(), String>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            took: Vec::new(),
            lost: Vec::new(),
            stage: Stage::Connect,
            since: Instant::now(),
            connecting: Duration::ZERO,
            connected: false,
            has_data: false,
            worst_status: 0,
            refused_by_tls: false,
            cut_off: None,
        }
    }

    pub(super) fn hear(&mut self, event: &Event<'_>) {
        match event.activity {
            Activity::Asking => self.begin(Stage::Data),
            Activity::Reporting(progress_type) => self.begin(Stage::Report(progress_type)),
            Activity::Downloading { octets: 0, .. } if self.stage != Stage::Image => {
                self.begin(Stage::Image);
            }
            Activity::Connected { took, .. } => self.connected(Stage::Connect, took),
            Activity::Discovered { took } => self.connected(Stage::Discovery, took),
            Activity::Reported(_) | Activity::Installing => self.end(),
            Activity::Answered { status, .. } => {
                self.worst_status = self.worst_status.max(status);
                if status == 200 && self.stage == Stage::Data {
                    self.has_data = true;
                    self.end();
                } else {
                    self.lost.push((self.stage, format!("status {status}")));
                }
            }
            Activity::Unreachable { why, .. } => {
                self.refused_by_tls |=
                    matches!(why.obstacle, Obstacle::Alert | Obstacle::DeviceRefused);
                if !self.connected && self.stage == Stage::Data {
                    self.stage = Stage::Connect;
                }
                self.lost.push((self.stage, why.reason.clone()));
            }
            _ => {}
        }
    }

    /// A duration that was measured elsewhere.
    pub(super) fn add(&mut self, stage: Stage, took: Duration) {
        self.took.push((stage, took));
    }

    /// How a request ended that had no end of its own.
    pub(super) fn set_cut_off(&mut self, outcome: Result<(), String>) {
        self.cut_off = Some(outcome);
    }

    /// A status that the driver did not see.
    pub(super) fn set_status(&mut self, status: u16) {
        self.worst_status = self.worst_status.max(status);
    }

    pub(super) fn took(&self) -> &[(Stage, Duration)] {
        &self.took
    }

    pub(super) fn lost(&self) -> &[(Stage, String)] {
        &self.lost
    }

    /// Where it was last.
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn has_data(&self) -> bool {
        self.has_data
    }

    /// The highest HTTP status; 0 if there was none.
    pub(super) fn worst_status(&self) -> u16 {
        self.worst_status
    }

    pub(super) fn was_refused_by_tls(&self) -> bool {
        self.refused_by_tls
    }

    pub(super) fn cut_off(&self) -> Option<&Result<(), String>> {
        self.cut_off.as_ref()
    }

    fn begin(&mut self, stage: Stage) {
        self.stage = stage;
        self.since = Instant::now();
        self.connecting = Duration::ZERO;
        self.connected = self.connected && stage != Stage::Data;
    }

    fn connected(&mut self, stage: Stage, took: Duration) {
        self.connected = true;
        self.connecting += took;
        self.took.push((stage, took));
    }

    fn end(&mut self) {
        let took = self.since.elapsed().saturating_sub(self.connecting);
        self.took.push((self.stage, took));
    }
}
