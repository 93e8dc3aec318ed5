//! A whole bootstrap: image, reboot, scripts, configuration.

use std::net::{Ipv6Addr, SocketAddr};

use sztp_server::model::Answer;

use crate::namespaces::Network;
use crate::site::{DEVICE, IMAGE, Site, everything};
use crate::workbench::Ran;

/// A bootstrap server that is to be found at this host, and gives a device everything.
pub(crate) fn site(host: &str) -> Site {
    site_answering(host, Answer::Onboarding(everything("true")))
}

pub(crate) fn site_answering(host: &str, answer: Answer) -> Site {
    let name = host.trim_matches(['[', ']']);
    let site = Site::known_as(name, answer, |config| {
        config.device_listen = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
        config.public_url = Some(format!("https://{host}:{PORT}"));
        config.answers.reprovision = true;
    });
    for name in ["image-hook", "script-hook", "config-hook", "reboot-hook"] {
        site.hook(name, 0);
    }
    site
}

/// The agent as a process on the device.
pub(crate) fn run(network: &Network, site: &Site, sources: &str) -> Ran {
    let arguments = format!("agent run {DEVICE} {sources}");
    site.bench.run_by(network.device(), &arguments)
}

/// The device as it left the factory.
pub(crate) fn forget(site: &Site) {
    for name in ["state", "log"] {
        let path = site.bench.path(name);
        if path.is_dir() {
            std::fs::remove_dir_all(path).expect("removed");
        } else if path.exists() {
            std::fs::remove_file(path).expect("removed");
        }
    }
}

/// From the factory to being provisioned, with the sources that the options name; gives what the
/// two processes have told.
// LEDGER: 8572-5.6-01
pub(crate) fn bootstraps(network: &Network, site: &Site, sources: &str) -> [Ran; 2] {
    forget(site);
    let hooks = "--image-hook ./image-hook --script-hook ./script-hook --config-hook ./config-hook \
        --reboot-hook ./reboot-hook";
    let before = run(network, site, &format!("{sources} {hooks} --boot-id 1"));
    let before = before.refused("agent.rebooting");
    // What the hook got is what the owner signed the hash of.
    let image = String::from_utf8_lossy(IMAGE);
    let installed = format!("install-image \n{image}reboot \n");
    assert_eq!(site.text("log"), installed, "{before:?}");

    let after = run(network, site, &format!("{sources} {hooks} --boot-id 2")).ok();
    let log = site.text("log");
    let events: Vec<&str> = log[installed.len()..]
        .lines()
        .filter(|line| !line.starts_with('#') && *line != "true")
        .collect();
    let expected = [
        "run-script pre",
        "commit-configuration replace",
        "hostname edge-42",
        "run-script post",
    ];
    assert_eq!(events, expected, "{after:?}");
    assert!(after.err.contains("told: bootstrap-complete"), "{after:?}");
    assert_eq!(site.device_state(), "Provisioned");
    [before, after]
}

pub(crate) const PORT: u16 = 8443;
