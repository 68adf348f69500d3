//! Memory for bodies of requests that are not admitted yet: a bound for all of the process, and a lower one for each
//! tenant, so that no tenant can keep the others out. It counts what is held, decoded or not, and decides nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::config::Sizes;
use crate::ids::TenantName;

/// What bodies take.
#[derive(Debug, Default)]
pub(super) struct BodyMemory(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// Of those tenants that have any.
    of_tenants: BTreeMap<TenantName, usize>,
}

/// Whose bodies have all the memory that they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodiesFull {
    /// The tenant's.
    #[error("too much of this tenant's requests is being read at the moment: try again in a second")]
    Tenant,
    /// Everybody's.
    #[error("too many requests are being read at the moment: try again in a second")]
    Process,
}

impl BodiesFull {
    /// One word for metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Process => "process",
        }
    }
}

/// What one request's body takes. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct BodyShare {
    memory: Arc<BodyMemory>,
    tenant: TenantName,
    bytes: usize,
}

impl BodyShare {
    /// Of a body of which nothing is here yet.
    pub fn new(memory: &Arc<BodyMemory>, tenant: &TenantName) -> Self {
        Self {
            memory: Arc::clone(memory),
            tenant: tenant.clone(),
            bytes: 0,
        }
    }

    /// The body takes so many bytes now.
    ///
    /// # Errors
    /// When there is no room for it. What it took before it still has.
    pub fn resize(&mut self, bytes: usize, sizes: &Sizes) -> Result<(), BodiesFull> {
        let mut held = self.memory.lock();
        let moved = |held: usize| held - self.bytes + bytes;
        let (all, of_tenant) = (moved(held.all), moved(held.of(&self.tenant)));
        if bytes > self.bytes && of_tenant > sizes.tenant_bodies_bytes {
            return Err(BodiesFull::Tenant);
        }
        if bytes > self.bytes && all > sizes.bodies_bytes {
            return Err(BodiesFull::Process);
        }
        held.set(all, &self.tenant, of_tenant);
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        let mut held = self.memory.lock();
        let (all, of_tenant) = (held.all - self.bytes, held.of(&self.tenant) - self.bytes);
        held.set(all, &self.tenant, of_tenant);
    }
}

impl Held {
    fn of(&self, tenant: &TenantName) -> usize {
        self.of_tenants.get(tenant).copied().unwrap_or_default()
    }

    fn set(&mut self, all: usize, tenant: &TenantName, of_tenant: usize) {
        self.all = all;
        if of_tenant == 0 {
            self.of_tenants.remove(tenant);
        } else if let Some(known) = self.of_tenants.get_mut(tenant) {
            *known = of_tenant;
        } else {
            self.of_tenants.insert(tenant.clone(), of_tenant);
        }
    }
}

impl BodyMemory {
    /// What all bodies take, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        request_body_bytes: 40,
        bodies_bytes: 100,
        tenant_bodies_bytes: 60,
        response_body_bytes: 1,
        event_bytes: 1,
        nesting: 8,
    };

    #[test]
    fn a_tenant_has_not_all_of_it_and_what_is_dropped_is_there_again() {
        let memory = Arc::default();
        let share = |tenant: &str| BodyShare::new(&memory, &tenant.into());
        let (mut first, mut second, mut third) = (share("a"), share("a"), share("b"));
        assert_eq!(first.resize(40, &SIZES), Ok(()));
        assert_eq!(second.resize(21, &SIZES), Err(BodiesFull::Tenant));
        assert_eq!(second.resize(20, &SIZES), Ok(()));
        assert_eq!(third.resize(40, &SIZES), Ok(()), "the neighbour has room");
        assert_eq!(third.resize(41, &SIZES), Err(BodiesFull::Process));
        assert_eq!(first.resize(10, &SIZES), Ok(()));
        assert_eq!(third.resize(60, &SIZES), Ok(()));
        drop((first, second, third));
        assert_eq!((memory.held_bytes(), memory.lock().of_tenants.len()), (0, 0));
    }
}
