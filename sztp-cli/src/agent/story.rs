//! The story of a bootstrap, a line for each thing that is done: for people, or as JSON for journald
//! and whatever else collects logs.

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};
use sztp_core::client::{Activity, Event};
use sztp_core::device::{EndpointTrust, Outcome, ScriptStage};
use sztp_core::dns::Transport;

use crate::arguments::now;
use crate::failure::Failure;
use crate::report::printable;

/// How the story is told, on stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Log {
    /// A line of text for each thing
    #[default]
    Text,
    /// A JSON object on a line for each thing
    Json,
}

impl Log {
    /// Tells what is happening.
    pub(super) fn tell(self, event: &Event<'_>) {
        let Some(text) = line(event) else {
            return;
        };
        let server = event.server.map(ToString::to_string);
        match self {
            Self::Text => {
                let server = server.as_deref().unwrap_or("device");
                anstream::eprintln!("{}", printable(&format!("[{server}] {text}")));
            }
            Self::Json => print(level(event), &text, &json!({ "server": server })),
        }
    }

    /// Tells what came of looking somewhere.
    pub(super) fn note(self, text: &str) {
        match self {
            Self::Text => anstream::eprintln!("{}", printable(&format!("[device] {text}"))),
            Self::Json => print("info", text, &json!({})),
        }
    }

    /// Tells what went wrong, where that is not said in the end anyway.
    pub(super) fn tell_failure(self, failure: &Failure) {
        if self == Self::Json {
            print("error", &failure.to_string(), &failure.to_json());
        }
    }
}

fn print(level: &str, message: &str, details: &Value) {
    let mut object = json!({
        "time": now().to_string(),
        "level": level,
        "message": message,
    });
    if let (Some(object), Some(details)) = (object.as_object_mut(), details.as_object()) {
        for (key, value) in details {
            if !value.is_null() && key != "message" {
                object.insert(key.clone(), value.clone());
            }
        }
    }
    // JSON has no control characters that a terminal would obey.
    eprintln!("{object}");
}

fn level(event: &Event<'_>) -> &'static str {
    match event.activity {
        Activity::Unreachable { .. }
        | Activity::RollingBack
        | Activity::Ended(Outcome::Failed(_)) => "warn",
        Activity::Answered { status, .. } if status >= 300 => "warn",
        _ => "info",
    }
}

fn line(event: &Event<'_>) -> Option<String> {
    Some(match event.activity {
        Activity::LookingAt(source) => format!("looking at {}", source.as_str()),
        Activity::ReadingStorage { directory } => {
            format!("reading artifacts from removable storage /{directory}")
        }
        Activity::Resolving(query) => {
            let how = match query.transport {
                Transport::Multicast => "by multicast",
                Transport::Unicast => "of the DNS servers",
            };
            format!("asking {how} for {}", query.name)
        }
        Activity::Waiting(duration) => {
            format!(
                "nothing worked; the next round is in {} s",
                duration.as_secs()
            )
        }
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
        Activity::Unreachable { why, .. } => format!("no answer: {why}"),
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
        Activity::Ended(Outcome::Validated { .. }) => "validated".to_owned(),
        Activity::Ended(Outcome::Failed(_)) => "no source had anything that worked".to_owned(),
        _ => return None,
    })
}
