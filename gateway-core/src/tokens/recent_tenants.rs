//! What is kept of the tenants that were seen last: a bounded number of them, whoever else there is.

use crate::ids::TenantName;

/// Something of each tenant that was seen lately, the latest at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct RecentTenants<T>(Vec<(TenantName, T)>);

impl<T> Default for RecentTenants<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> RecentTenants<T> {
    /// The tenant's, where it is kept.
    pub fn get(&self, tenant: &TenantName) -> Option<&T> {
        self.iter().find_map(|(name, it)| (name == tenant).then_some(it))
    }

    /// All that is kept, the latest at the end.
    pub fn iter(&self) -> impl Iterator<Item = &(TenantName, T)> {
        self.0.iter()
    }

    /// As [`iter`](Self::iter), to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&TenantName, &mut T)> {
        self.0.iter_mut().map(|(name, it)| (&*name, it))
    }
}

impl<T: Default> RecentTenants<T> {
    /// The tenant's, which is the latest now. One that is new takes the place of the one that was not seen for longest.
    pub fn see(&mut self, tenant: &TenantName) -> &mut T {
        match self.0.iter().position(|(name, _)| name == tenant) {
            Some(at) => self.0[at..].rotate_left(1),
            None => {
                if self.0.len() >= MOST_TENANTS {
                    self.0.remove(0);
                }
                self.0.push((tenant.clone(), T::default()));
            }
        }
        let latest = self.0.len() - 1;
        &mut self.0[latest].1
    }
}

/// Tenants that are kept: with a correction for each, some 12 KB, and the same of a cell's record.
const MOST_TENANTS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_seen_for_longest_makes_room() {
        let name = |number: usize| TenantName::from(number.to_string().as_str());
        let mut tenants = RecentTenants::default();
        for number in 0..MOST_TENANTS {
            *tenants.see(&name(number)) = number;
        }
        assert_eq!(*tenants.see(&name(0)), 0, "seen again");
        assert_eq!(*tenants.see(&name(500)), 0, "a new one");
        assert_eq!(tenants.get(&name(1)), None);
        assert_eq!(tenants.get(&name(2)), Some(&2));
        assert_eq!(tenants.iter().count(), MOST_TENANTS);
    }
}
