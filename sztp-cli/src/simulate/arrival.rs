//! When devices are switched on.

use std::time::Duration;

use clap::ValueEnum;

/// How devices arrive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Arrival {
    /// All at once, as after a power cut
    #[default]
    Burst,
    /// At random, independently of each other, with --rate as the mean
    Poisson,
    /// One after the other at the --rate
    Constant,
}

impl Arrival {
    /// When each device is switched on, counted from the beginning; without an end.
    pub(super) fn times(self, per_second: f64, seed: u64) -> impl Iterator<Item = Duration> {
        let mut random = Random(seed);
        let mut at = 0.0;
        std::iter::from_fn(move || {
            let now = Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX);
            at += match self {
                Self::Burst => 0.0,
                Self::Constant => per_second.recip(),
                // Intervals of a Poisson process are exponentially distributed.
                Self::Poisson => -random.fraction().ln() / per_second,
            };
            Some(now)
        })
    }
}

/// SplitMix64: even enough for arrivals, and the same again for the same seed.
struct Random(u64);

impl Random {
    /// Above 0, at most 1.
    fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let (value, range) = (((mixed >> 11) + 1) as f64, (1_u64 << 53) as f64);
        value / range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_at_once_or_one_after_the_other() {
        let times: Vec<_> = Arrival::Burst.times(1.0, 1).take(3).collect();
        assert_eq!(times, [Duration::ZERO; 3]);
        let times: Vec<_> = Arrival::Constant.times(4.0, 1).take(3).collect();
        assert_eq!(times, [0, 250, 500].map(Duration::from_millis));
    }

    #[test]
    fn at_random_with_the_rate_as_the_mean() {
        let times: Vec<_> = Arrival::Poisson.times(50.0, 7).take(10_001).collect();
        assert!(times.is_sorted());
        let mean = times[10_000].as_secs_f64() / 10_000.0;
        assert!((0.019..0.021).contains(&mean), "{mean}");
        // Of exponentially distributed intervals 1/e are longer than the mean.
        let longer = times
            .windows(2)
            .filter(|two| (two[1] - two[0]).as_secs_f64() > 0.02);
        assert!((3500..3860).contains(&longer.count()));
        assert!(Arrival::Poisson.times(50.0, 7).take(10_001).eq(times));
    }
}
