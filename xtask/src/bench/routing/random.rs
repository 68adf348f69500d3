//! Numbers that look random and are the same in every run.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform, at least 0 and less than 1.
    pub fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in the range, its end left out.
    pub fn between(&mut self, range: std::ops::Range<u32>) -> u32 {
        range.start + (self.unit() * f64::from(range.end - range.start)) as u32
    }

    /// With a logarithm that is uniform: as many between 1,000 and 2,000 as between 10,000 and 20,000.
    pub fn log_between(&mut self, range: std::ops::Range<u32>) -> u32 {
        let (start, end) = (f64::from(range.start).ln(), f64::from(range.end).ln());
        (start + self.unit() * (end - start)).exp() as u32
    }

    /// The gap to the next of events that come independently of each other, one per unit of time.
    pub fn gap(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// One of `count` things; seven times in ten one of the first half.
    pub fn popular(&mut self, count: u32) -> u32 {
        let unit = self.unit();
        (unit * unit * f64::from(count)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_as_said() {
        let mut random = Random::new(1);
        let units: f64 = (0..100_000).map(|_| random.unit()).sum();
        assert!((units / 1e5 - 0.5).abs() < 0.005, "{units}");
        let gaps: f64 = (0..10_000).map(|_| random.gap()).sum();
        assert!((gaps / 1e4 - 1.0).abs() < 0.05, "{gaps}");
        let first_half = (0..10_000).filter(|_| random.popular(10) < 5).count();
        assert!((6_800..7_400).contains(&first_half), "{first_half}");
        assert!((0..1_000).all(|_| (3..9).contains(&random.log_between(3..9))));
        assert_eq!(Random::new(5).number(), Random::new(5).number());
    }
}
