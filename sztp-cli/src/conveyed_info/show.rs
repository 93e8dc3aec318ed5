//! Conveyed information as it is shown.

use serde_json::Value;
use sztp_core::conveyed_info::{
    ConfigurationHandling, ConveyedInfo, OnboardingInformation, RedirectInformation,
};
use sztp_voucher::yang::Encoding;

use crate::report::Text;

/// For people.
pub(crate) fn rows(text: &mut Text, info: &ConveyedInfo) {
    match info {
        ConveyedInfo::Redirect(redirect) => redirect_rows(text, redirect),
        ConveyedInfo::Onboarding(onboarding) => onboarding_rows(text, onboarding),
    }
}

/// For programs: the document itself.
pub(crate) fn json(info: &ConveyedInfo) -> Value {
    serde_json::from_slice(&info.encode(Encoding::Json)).unwrap_or_default()
}

fn redirect_rows(text: &mut Text, redirect: &RedirectInformation) {
    text.line("Redirect information:");
    for server in &redirect.bootstrap_servers {
        let port = server.port.unwrap_or(443);
        let anchor = match &server.trust_anchor {
            Some(_) => "with trust anchor",
            None => "without trust anchor",
        };
        text.row(
            "bootstrap-server",
            &format!("{} port {port}, {anchor}", server.address),
        );
    }
}

fn onboarding_rows(text: &mut Text, onboarding: &OnboardingInformation) {
    text.line("Onboarding information:");
    if let Some(image) = &onboarding.boot_image {
        text.optional_row("os-name", image.os_name.as_deref());
        text.optional_row("os-version", image.os_version.as_deref());
        for uri in &image.download_uris {
            text.row("download-uri", uri);
        }
        for verification in &image.image_verification {
            let octets = verification
                .hash_value
                .iter()
                .map(|octet| format!("{octet:02x}"));
            text.row("hash", &octets.collect::<Vec<_>>().join(":"));
        }
    }
    let script = onboarding.pre_configuration_script.as_deref();
    octets_rows(text, "pre-script", script);
    let handling = onboarding
        .configuration_handling
        .map(ConfigurationHandling::as_str);
    text.optional_row("handling", handling);
    octets_rows(text, "configuration", onboarding.configuration.as_deref());
    octets_rows(
        text,
        "post-script",
        onboarding.post_configuration_script.as_deref(),
    );
}

/// The first lines of what is text, the size of what is not.
fn octets_rows(text: &mut Text, name: &str, octets: Option<&[u8]>) {
    let Some(octets) = octets else { return };
    text.row(name, &format!("{} octets", octets.len()));
    if let Ok(content) = core::str::from_utf8(octets) {
        let lines: Vec<&str> = content.lines().collect();
        let shown = lines.len().min(MAX_LINES);
        text.block(&lines[..shown].join("\n"));
        if shown < lines.len() {
            text.block(&format!("({} more lines)", lines.len() - shown));
        }
    }
}

const MAX_LINES: usize = 20;
