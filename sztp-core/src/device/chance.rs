//! Chance without a source of randomness: a seed comes in, and the rest is computed.
//!
//! It spreads devices over time and servers. Nothing secret is made of it.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// A sequence of numbers that a seed decides.
#[derive(Debug, Clone)]
pub(super) struct Chance {
    state: u64,
}

impl Chance {
    pub(super) fn new(seed: u64, serial_number: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        hash.update(serial_number);
        let digest: [u8; 32] = hash.finalize().into();
        let mut state = [0; 8];
        state.copy_from_slice(&digest[..8]);
        Self {
            state: u64::from_be_bytes(state),
        }
    }

    /// A number from zero to this one, inclusive.
    pub(super) fn up_to(&mut self, most: u32) -> u32 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half of a 64-bit product is below the multiplier.
        let scaled = (u128::from(mixed) * (u128::from(most) + 1)) >> 64;
        u32::try_from(scaled).unwrap_or(most)
    }

    /// A time from zero to this one.
    pub(super) fn duration_up_to(&mut self, most: Duration) -> Duration {
        let milliseconds = u32::try_from(most.as_millis()).unwrap_or(u32::MAX);
        Duration::from_millis(self.up_to(milliseconds).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_come_up_and_none_beyond() {
        let mut chance = Chance::new(1, "AX7-00042");
        let mut seen = [0; 4];
        for _ in 0..4000 {
            seen[chance.up_to(3) as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(chance.up_to(0), 0);
        let most = Duration::from_secs(3);
        assert!((0..100).all(|_| chance.duration_up_to(most) <= most));
    }

    #[test]
    fn neither_the_same_seed_nor_the_same_number_puts_devices_in_step() {
        let first = |seed, serial_number| Chance::new(seed, serial_number).up_to(u32::MAX);
        assert_eq!(first(1, "A"), first(1, "A"));
        assert_ne!(first(1, "A"), first(1, "B"));
        assert_ne!(first(1, "A"), first(2, "A"));
    }
}
