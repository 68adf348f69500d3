//! A disk for tests: in memory, it outlives the databases on it, and takes nothing while it is full.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, StorageBackend};

use crate::store::Store;

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_full: Arc<AtomicBool>,
}

impl Disk {
    /// From now on it takes nothing, or everything.
    pub fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Another with what is on this one now.
    pub fn copy(&self) -> Self {
        let bytes = Arc::new(Mutex::new(self.bytes().clone()));
        let is_full = Arc::default();
        Self { bytes, is_full }
    }

    /// A store on it.
    pub fn store(&self) -> Store {
        let disk = self.clone();
        let open = move || Database::builder().create_with_backend(disk.clone());
        Store::with(PathBuf::from("(a test's disk)"), Box::new(open)).expect("a store")
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> io::Result<()> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("small");
        let bytes = self.bytes();
        let found = bytes.get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.bytes().resize(usize::try_from(len).expect("small"), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        let from = usize::try_from(offset).expect("small");
        self.bytes()[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }
}
