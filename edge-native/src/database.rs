//! The store's open database (redb). Once the disk has refused it something it takes and tells nothing more until it is
//! opened anew, also when there is space again: that is done here, before a write is tried once more. What is read and
//! written is not known here.

use std::fmt;
use std::sync::{PoisonError, RwLock, TryLockError};

use redb::{Database, DatabaseError};

/// A database that is opened again when it has to be.
pub struct Reopened {
    open: Box<Open>,
    current: RwLock<Current>,
}

/// Opens the database. Never called while it is open.
pub type Open = dyn Fn() -> Result<Database, DatabaseError> + Send + Sync;

struct Current {
    /// `None` where it could not be opened again.
    database: Option<Database>,
    /// How often it was opened.
    opened: u64,
}

impl Reopened {
    /// Opens it for the first time.
    ///
    /// # Errors
    /// As `open` says.
    pub fn new(open: Box<Open>) -> Result<Self, DatabaseError> {
        let database = Some(open()?);
        let current = RwLock::new(Current { database, opened: 1 });
        Ok(Self { open, current })
    }

    /// Reads. Never waits: while it is opened again, which takes as long as the disk takes, nothing is read.
    ///
    /// # Errors
    /// What `work` says, or that the database is not open.
    pub fn read<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let current = match self.current.try_read() {
            Ok(current) => current,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(redb::Error::PreviousIo),
        };
        work(current.database.as_ref().ok_or(redb::Error::PreviousIo)?)
    }

    /// Writes; where the disk refuses, or has refused before, once more with the database opened anew. Blocks.
    ///
    /// # Errors
    /// What `work` said the last time, or why the database could not be opened.
    pub fn write<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let (opened, done) = self.try_write(&work);
        match done {
            Err(redb::Error::Io(_) | redb::Error::PreviousIo) => {
                self.reopen(opened)?;
                self.try_write(&work).1
            }
            done => done,
        }
    }

    /// Writes, and tells with what opening.
    fn try_write<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> (u64, Result<T, redb::Error>) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let done = match &current.database {
            Some(database) => work(database),
            None => Err(redb::Error::PreviousIo),
        };
        (current.opened, done)
    }

    /// Opens the database anew, unless another has since the opening that is known to be of no use.
    fn reopen(&self, useless: u64) -> Result<(), DatabaseError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.opened != useless {
            return Ok(());
        }
        // The file's lock goes with it.
        current.database = None;
        current.database = Some((self.open)()?);
        current.opened += 1;
        Ok(())
    }
}

impl fmt::Debug for Reopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reopened").finish_non_exhaustive()
    }
}
