//! Who takes part: serial numbers, dialects, and how the shares of special devices are spread.

use std::str::FromStr;

use sztp_cms::KeyType;

use super::dialect::Dialect;
use super::misbehaviour::Misbehaviour;

/// One device of the fleet.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) number: usize,
    /// As in its voucher.
    pub(super) serial_number: String,
    pub(super) dialect: &'static Dialect,
    pub(super) misbehaviour: Option<Misbehaviour>,
    /// Whether it was made to trust the server's authority.
    pub(super) trusting: bool,
    pub(super) key_type: KeyType,
}

/// What a fleet is made up of.
#[derive(Debug)]
pub(super) struct Composition<'a> {
    pub(super) prefix: &'a str,
    pub(super) first: usize,
    pub(super) devices: usize,
    /// In turn.
    pub(super) dialects: &'a [&'static Dialect],
    pub(super) misbehaving: Share,
    /// In turn.
    pub(super) misbehaviours: &'a [Misbehaviour],
    pub(super) untrusting: Share,
    pub(super) rsa: Share,
}

impl Composition<'_> {
    pub(super) fn members(&self) -> Vec<Member> {
        let mut misbehaviours = self.misbehaviours.iter().copied().cycle();
        (0..self.devices)
            .map(|index| {
                let number = self.first + index;
                let is_in = |share: Share, stride| share.takes(index, self.devices, stride);
                Member {
                    number,
                    serial_number: format!("{}{number:06}", self.prefix),
                    dialect: self.dialects[index % self.dialects.len()],
                    misbehaviour: if is_in(self.misbehaving, 7919) {
                        misbehaviours.next()
                    } else {
                        None
                    },
                    trusting: !is_in(self.untrusting, 104_729),
                    key_type: if is_in(self.rsa, 1_299_709) {
                        KeyType::Rsa2048
                    } else {
                        KeyType::EcP256
                    },
                }
            })
            .collect()
    }
}

impl Member {
    /// As in the subject of its IDevID certificate.
    pub(super) fn subject_serial_number(&self) -> String {
        match self.dialect.product {
            Some(product) => format!("PID:{product} SN:{}", self.serial_number),
            None => self.serial_number.clone(),
        }
    }
}

/// A share of the devices, in thousandths of a percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share(u32);

impl Share {
    /// How many of `devices` that are, rounded.
    pub(super) fn of(self, devices: usize) -> usize {
        let parts = devices as u128 * u128::from(self.0);
        usize::try_from((parts + 50_000) / 100_000).unwrap_or(devices)
    }

    /// Whether this device is in the share: exactly [`Self::of`] are, spread evenly. Shares with
    /// different strides (primes) have little to do with each other.
    fn takes(self, index: usize, devices: usize, stride: usize) -> bool {
        // A stride that has a divisor with the number in common would meet some twice.
        let stride = if devices.is_multiple_of(stride) {
            1
        } else {
            stride
        };
        (index * stride) % devices < self.of(devices)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').unwrap_or(text);
        let problem = || format!("{text:?} is not a percentage from 0% to 100%");
        let percent: f64 = number.trim().parse().map_err(|_| problem())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(problem());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 100000"
        )]
        Ok(Self((percent * 1000.0).round() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        for (text, devices, of) in [
            ("5%", 30, 2),
            ("5", 2000, 100),
            ("0.1%", 2000, 2),
            ("100%", 7, 7),
            ("0", 7, 0),
        ] {
            assert_eq!(text.parse::<Share>().unwrap().of(devices), of, "{text}");
        }
        for text in ["", "%", "101%", "-1%", "NaN", "five"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn exactly_the_share_is_taken_whatever_the_number() {
        for devices in [1, 2, 30, 1000, 7919, 15_838] {
            for text in ["0%", "5%", "33.3%", "100%"] {
                let share: Share = text.parse().unwrap();
                for stride in [7919, 104_729] {
                    let taken = (0..devices).filter(|index| share.takes(*index, devices, stride));
                    assert_eq!(taken.count(), share.of(devices), "{text} of {devices}");
                }
            }
        }
    }
}
