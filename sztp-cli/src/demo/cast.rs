//! Who boots in the demo, and what has to become of each.

use sztp_cms::KeyType;
use sztp_core::lifecycle::State;
use sztp_server::model::{Answer, Blob, BootImageSpec, DeviceSpec, Handling, OnboardingSpec};

/// A device of the demo.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) serial_number: String,
    pub(super) part: Part,
}

/// What a device is there to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// ECDSA IDevID: image, reboot, scripts and configuration from a server that it trusts.
    Ecdsa,
    /// RSA IDevID: configuration and script from a server that it trusts, signed all the same.
    Rsa,
    /// Knows the vendor's redirect server only. That sends it to the owner's, which it has no
    /// reason to trust until signed data says so.
    Redirected,
    /// Is given a voucher that was issued for another device.
    ForeignVoucher,
    /// Is told a hash that the image does not have.
    DamagedImage,
}

impl Part {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Ecdsa => "ECDSA IDevID; image, reboot, scripts, configuration",
            Self::Rsa => "RSA IDevID; signed configuration and script",
            Self::Redirected => "redirected, then signed data over an untrusted connection",
            Self::ForeignVoucher => "must fail: a voucher for another serial number",
            Self::DamagedImage => "must fail: an image with another hash than announced",
        }
    }

    pub(super) fn key_type(self) -> KeyType {
        match self {
            Self::Rsa => KeyType::Rsa2048,
            _ => KeyType::EcP256,
        }
    }
}

impl Member {
    pub(super) fn expected_state(&self) -> State {
        match self.part {
            Part::Ecdsa | Part::Rsa | Part::Redirected => State::Provisioned,
            Part::ForeignVoucher => State::ProvisioningError,
            Part::DamagedImage => State::ZtpError,
        }
    }

    /// The serial number that its voucher names.
    pub(super) fn voucher_serial_number(&self) -> String {
        match self.part {
            Part::ForeignVoucher => format!("{}-OTHER", self.serial_number),
            _ => self.serial_number.clone(),
        }
    }

    /// What the owner wants for it.
    pub(super) fn spec(&self, voucher: Vec<u8>) -> DeviceSpec {
        let configuration = format!("hostname {}\n", self.serial_number.to_lowercase());
        let image = |sha256| {
            Some(BootImageSpec {
                image: Some(IMAGE_NAME.to_owned()),
                sha256,
                os_name: Some(OS_NAME.to_owned()),
                os_version: Some(NEW_VERSION.to_owned()),
                ..BootImageSpec::default()
            })
        };
        let onboarding = OnboardingSpec {
            boot_image: match self.part {
                Part::Ecdsa => image(None),
                Part::DamagedImage => image(Some("00".repeat(32))),
                _ => None,
            },
            configuration_handling: Some(match self.part {
                Part::Rsa => Handling::Merge,
                _ => Handling::Replace,
            }),
            pre_configuration_script: (self.part == Part::Ecdsa)
                .then(|| Blob(PRE_SCRIPT.as_bytes().to_vec())),
            configuration: Some(Blob(configuration.into_bytes())),
            post_configuration_script: Some(Blob(POST_SCRIPT.as_bytes().to_vec())),
        };
        DeviceSpec {
            answer: Answer::Onboarding(onboarding),
            voucher: Some(Blob(voucher)),
            ..DeviceSpec::default()
        }
    }
}

/// The five that the demo is about, and more of the first two kinds.
pub(super) fn cast(devices: u16) -> Vec<Member> {
    let main = [
        Part::Ecdsa,
        Part::Rsa,
        Part::Redirected,
        Part::ForeignVoucher,
        Part::DamagedImage,
    ];
    let more = [Part::Ecdsa, Part::Rsa].into_iter().cycle();
    main.into_iter()
        .chain(more)
        .zip(1..=devices)
        .map(|(part, number)| Member {
            serial_number: format!("DEMO-{number:05}"),
            part,
        })
        .collect()
}

pub(super) const OS_NAME: &str = "DemoOS";
pub(super) const OLD_VERSION: &str = "1.0";
pub(super) const NEW_VERSION: &str = "2.0";
pub(super) const IMAGE_NAME: &str = "demo-os-2.0.bin";

const PRE_SCRIPT: &str = "#!/bin/sh\necho ready for a configuration > prepared\n";
const POST_SCRIPT: &str = "#!/bin/sh\ntest -s configuration && echo configured\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_succeed_and_two_fail_however_many_there_are() {
        for devices in [5, 6, 40] {
            let members = cast(devices);
            assert_eq!(members.len(), usize::from(devices));
            let failing = members
                .iter()
                .filter(|member| member.expected_state() != State::Provisioned);
            assert_eq!(failing.count(), 2);
        }
    }
}
