//! The boot image: whether the right one runs, else download, verify, install, reboot
//! (RFC 8572 §5.6).

use super::{Awaiting, Device, Outcome, Output, Stage, Step};
use crate::rpc::ProgressType;

impl Device {
    pub(super) fn plan_image(&mut self) {
        let Some(image) = &self.info.boot_image else {
            return;
        };
        let running = &self.config.running;
        let fits =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        let named = image.os_name.is_some() || image.os_version.is_some();
        let hash = self.expected_hash();
        let runs = (hash.is_some() && hash == running.sha256)
            || (named
                && fits(&image.os_name, &running.os_name)
                && fits(&image.os_version, &running.os_version));
        let problem = match hash {
            _ if runs => None,
            _ if image.download_uris.is_empty() => {
                Some("another image is required and none can be downloaded")
            }
            None => Some("the image has no SHA-256 to verify it by"),
            Some(hash) if self.config.installed_images.contains(&hash) => {
                Some("this image was installed before, and it is not what runs")
            }
            Some(_) if self.config.installed_images.len() >= MAX_IMAGES => {
                Some("too many images were installed one after the other")
            }
            Some(_) => None,
        };
        let initiated = self.report(ProgressType::BootImageInitiated, None);
        if let Some(problem) = problem {
            self.fail_stage(ProgressType::BootImageError, problem.to_owned());
            self.plan_first([initiated]);
        } else if runs {
            let complete = self.report(ProgressType::BootImageComplete, None);
            self.plan_first([initiated, complete]);
        } else {
            let mismatch = self.report(ProgressType::BootImageMismatch, None);
            self.plan_first([initiated, mismatch, Some(Step::Fetch { uri: 0 })]);
        }
    }

    pub(super) fn fetch(&mut self, index: usize) -> Option<Output> {
        let image = self.info.boot_image.as_ref();
        let Some(uri) = image.and_then(|image| image.download_uris.get(index).cloned()) else {
            let reason = "the image cannot be downloaded".to_owned();
            self.fail_stage(ProgressType::BootImageError, reason);
            return None;
        };
        self.wait_for(Awaiting::Image { uri: index }, Output::Fetch { uri })
    }

    /// Nothing is installed before it is verified.
    pub(super) fn take_image(&mut self, uri: usize, sha256: [u8; 32]) {
        if self.expected_hash() == Some(sha256) {
            self.plan_first([Some(Step::Install)]);
        } else {
            self.try_next_uri(uri, "its SHA-256 is not the one that was announced");
        }
    }

    pub(super) fn try_next_uri(&mut self, index: usize, reason: &str) {
        let uris = self
            .info
            .boot_image
            .as_ref()
            .map_or(&[][..], |image| image.download_uris.as_slice());
        let reason = format!("{}: {reason}", uris.get(index).map_or("", String::as_str));
        if index + 1 < uris.len() {
            let warning = self.report(ProgressType::BootImageWarning, Some(reason));
            self.plan_first([warning, Some(Step::Fetch { uri: index + 1 })]);
        } else {
            self.fail_stage(ProgressType::BootImageError, reason);
        }
    }

    pub(super) fn take_installed(&mut self) {
        self.config.installed_images.extend(self.expected_hash());
        self.stage = Stage::Rebooting;
        self.plan.clear();
        let report = self.report(ProgressType::BootImageInstalledRebooting, None);
        self.plan_first([report, Some(Step::Reboot)]);
    }

    /// The process ends here and bootstrapping begins anew after the reboot.
    pub(super) fn take_rebooting(&mut self) {
        self.plan.clear();
        if let Some(contact) = &self.contact {
            let origin = contact.origin.clone();
            self.plan_first([Some(Step::End(Outcome::Rebooting { origin }))]);
        }
    }

    fn expected_hash(&self) -> Option<[u8; 32]> {
        let image = self.info.boot_image.as_ref()?;
        let verification = image
            .image_verification
            .iter()
            .find(|one| one.is_sha256())?;
        verification.hash_value.as_slice().try_into().ok()
    }
}

/// Images installed in one bootstrap: enough for a way over intermediate releases.
const MAX_IMAGES: usize = 8;
