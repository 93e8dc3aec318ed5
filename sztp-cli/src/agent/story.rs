//! The story of a bootstrap, a line for each thing that is done.

use sztp_core::client::{Activity, Event};
use sztp_core::device::{EndpointTrust, Outcome, ScriptStage};

use crate::report::printable;

/// Tells what is happening, on stderr.
pub(super) fn tell(event: &Event<'_>) {
    if let Some(line) = line(event) {
        anstream::eprintln!("{}", printable(&line));
    }
}

fn line(event: &Event<'_>) -> Option<String> {
    let server = event
        .server
        .map_or_else(|| "device".to_owned(), ToString::to_string);
    let text = match event.activity {
        Activity::Asking => match event.server.map(|server| &server.trust) {
            Some(EndpointTrust::Anchors(_)) => {
                "asking for bootstrapping data (the server must authenticate)".to_owned()
            }
            _ => "asking for bootstrapping data (server not trusted: signed data only)".to_owned(),
        },
        Activity::Reported(progress_type) => format!("told: {progress_type}"),
        Activity::Answered {
            status,
            progress: None,
        } => format!("answered with status {status}"),
        Activity::Answered {
            status,
            progress: Some(progress_type),
        } => {
            format!("report {progress_type} got status {status}")
        }
        Activity::Unreachable { reason, .. } => format!("no answer: {reason}"),
        Activity::Downloading { uri, octets: 0, .. } => format!("downloading {uri}"),
        Activity::Downloading {
            octets,
            total: Some(total),
            ..
        } if octets == total => {
            format!("downloaded {octets} octets")
        }
        Activity::Installing => "image verified; installing it".to_owned(),
        Activity::Rebooting => "rebooting".to_owned(),
        Activity::RunningScript(ScriptStage::Pre) => "pre-configuration script".to_owned(),
        Activity::RunningScript(ScriptStage::Post) => "post-configuration script".to_owned(),
        Activity::Committing => "committing the configuration".to_owned(),
        Activity::RollingBack => "rolling back".to_owned(),
        Activity::Ended(Outcome::Bootstrapped { .. }) => "bootstrapped".to_owned(),
        Activity::Ended(Outcome::Failed(_)) => "no server had anything that worked".to_owned(),
        _ => return None,
    };
    Some(format!("[{server}] {text}"))
}
