//! How many connections come from one address, where that is bounded.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open connections by address, over all threads.
#[derive(Debug)]
pub struct Addresses {
    most: NonZeroUsize,
    open: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection in the count of its address.
#[derive(Debug)]
pub struct Counted {
    addresses: Arc<Addresses>,
    from: IpAddr,
}

impl Addresses {
    /// Nobody yet; each may have `most` connections.
    pub fn new(most: NonZeroUsize) -> Self {
        let open = Mutex::default();
        Self { most, open }
    }

    /// Counts a connection from there; `None` where that address has its number.
    pub fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Counted> {
        let from = counted_as(from);
        let mut open = self.lock();
        let count = open.entry(from).or_default();
        if *count >= self.most.get() {
            return None;
        }
        *count += 1;
        let addresses = Arc::clone(self);
        Some(Counted { addresses, from })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.addresses.lock();
        if let Some(count) = open.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.from);
            }
        }
    }
}

/// Whom an address stands for: in IPv6 each customer has a network of 64 bits to choose from (RFC 6177).
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_number_and_networks_of_ipv6_count_as_one() {
        let addresses = Arc::new(Addresses::new(NonZeroUsize::new(2).expect("not zero")));
        let enter = |address: &str| addresses.enter(address.parse().expect("an address"));
        let held = ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "2001:db8::2:1"].map(enter);
        assert!(held.iter().all(Option::is_some));
        assert!(enter("10.0.0.1").is_none());
        assert!(enter("2001:db8::3").is_none());
        assert!(enter("10.0.0.2").is_some());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop(held);
        assert!(enter("10.0.0.1").is_some());
        assert!(addresses.lock().is_empty(), "nobody is remembered");
    }
}
