//! A set of sites.

use serde::{Deserialize, Serialize};

/// Of at most 128 sites: a cluster's shared prefixes are known at no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SiteSet(u128);

impl SiteSet {
    /// Adds a site.
    pub fn insert(&mut self, site: usize) {
        self.0 |= bit(site);
    }

    /// Whether a site is in it.
    pub fn contains(self, site: usize) -> bool {
        self.0 & bit(site) != 0
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Those of both.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that both have.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that the other has not.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let site = left.trailing_zeros();
            (left != 0).then(|| {
                left &= left - 1;
                site as usize
            })
        })
    }
}

impl FromIterator<usize> for SiteSet {
    fn from_iter<T: IntoIterator<Item = usize>>(sites: T) -> Self {
        let mut set = Self::default();
        sites.into_iter().for_each(|site| set.insert(site));
        set
    }
}

/// Nothing for a site that is one too many.
fn bit(site: usize) -> u128 {
    u32::try_from(site)
        .ok()
        .and_then(|site| 1_u128.checked_shl(site))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let set: SiteSet = [3, 127, 0, 128, usize::MAX].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 127]);
        assert!(set.contains(127) && !set.contains(4) && !set.contains(128));
        let without = set.without([127].into_iter().collect());
        assert_eq!(without.iter().collect::<Vec<_>>(), [0, 3]);
        assert_eq!(
            serde_json::to_string(&set)
                .and_then(|text| serde_json::from_str(&text))
                .ok(),
            Some(set)
        );
    }
}
