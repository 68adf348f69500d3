//! What a budget cell has of one kind, tokens or requests: a bucket, what of it is held by whom in all, and what has
//! become of the rest.

use serde::{Deserialize, Serialize};

use super::account::{LeaseAccount, signed};
use super::bucket::Bucket;
use super::limits::Rate;
use super::message::Totals;
use crate::time::Timestamp;

/// A bucket and the accounts that draw on it. What is left in the bucket and what holders hold are together never more
/// than the burst: that is why leases cannot add to what a window admits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pool {
    /// `None` while there is no limit.
    bucket: Option<Bucket>,
    /// What the accounts of all holders hold.
    held: u64,
    /// What is held by holders whose accounts were lost in a restart, until they report or are taken to have spent it.
    orphaned: u64,
    totals: Totals,
}

impl Pool {
    /// Lets time fill the bucket. A limit that is new begins with a full one.
    pub fn refill(&mut self, now: Timestamp, rate: Option<Rate>) {
        let Some(rate) = rate else {
            self.bucket = None;
            return;
        };
        let most = rate.burst.saturating_sub(self.held + self.orphaned);
        let bucket = self.bucket.get_or_insert_with(|| Bucket::holding(most, now));
        bucket.refill(now, rate, most);
    }

    /// The bucket, where there is a limit.
    pub fn bucket(&self) -> Option<&Bucket> {
        self.bucket.as_ref()
    }

    /// What is left for anybody; as much as there is without a limit.
    pub fn level(&self) -> i64 {
        self.bucket.map_or(i64::MAX, |bucket| bucket.level())
    }

    /// What holders hold.
    pub fn held(&self) -> u64 {
        self.held + self.orphaned
    }

    /// What has become of everything.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Lends an account more.
    pub fn grant(&mut self, account: &mut LeaseAccount, amount: u64) {
        account.granted += amount;
        self.held += amount;
        self.draw(amount);
    }

    /// Of what was just lent so much is spent at once.
    pub fn spend(&mut self, account: &mut LeaseAccount, amount: u64) {
        account.spent += amount;
        self.held -= amount;
        self.totals.spent += amount;
    }

    /// Brings an account that is known up to what its holder tells. Gives how much was drawn on balance: what was spent
    /// beyond what was granted becomes debt; what is given back goes into the bucket, as does what was granted by a reply
    /// that never came, for the holder takes none to a message before its last.
    pub fn on_account(&mut self, account: &mut LeaseAccount, told: &LeaseAccount) -> i64 {
        let held_before = account.held();
        let unheard = account.granted.saturating_sub(told.granted);
        let returned = told.returned.saturating_sub(account.returned);
        self.on_spent(account.spent, told.spent);
        self.totals.returned += returned;
        self.totals.granted -= unheard;
        *account = LeaseAccount {
            granted: account.granted - unheard,
            spent: told.spent,
            returned: account.returned + returned,
        };
        if let Some(bucket) = &mut self.bucket {
            bucket.put(returned + unheard);
        }
        let debt = account.available().min(0).unsigned_abs();
        account.granted += debt;
        self.draw(debt);
        self.held = self.held + account.held() - held_before;
        signed(debt) - signed(returned + unheard)
    }

    /// The account of a holder that is not known, as it tells it. What it holds is taken out of what was orphaned, and
    /// else out of the bucket. Gives it with how much was drawn.
    pub fn adopt(&mut self, told: &LeaseAccount) -> (LeaseAccount, i64) {
        let mut account = *told;
        let debt = account.available().min(0).unsigned_abs();
        account.granted += debt;
        self.totals.spent += debt;
        let of_orphaned = account.held().min(self.orphaned);
        self.orphaned -= of_orphaned;
        self.held += account.held();
        let drawn = account.held() - of_orphaned + debt;
        self.draw(drawn);
        (account, signed(drawn))
    }

    /// The holder was not heard of again: what it holds is taken to be spent.
    pub fn write_off(&mut self, account: &LeaseAccount) {
        self.held -= account.held();
        self.totals.written_off += account.held();
    }

    /// A holder that had been written off was heard of.
    pub fn revive(&mut self, account: &LeaseAccount) {
        self.held += account.held();
        self.totals.written_off -= account.held();
    }

    /// The same without knowing whose is what: what a record is made of.
    pub fn orphaned(&self) -> Self {
        Self {
            bucket: self.bucket,
            held: 0,
            orphaned: self.held(),
            totals: self.totals,
        }
    }

    /// Takes all that is orphaned to be spent.
    pub fn write_off_orphaned(&mut self) {
        self.totals.written_off += std::mem::take(&mut self.orphaned);
    }

    /// What must hold: nothing granted is lost or there twice, and no more is around than the burst.
    ///
    /// # Errors
    /// What is broken.
    pub fn check(&self, held: u64, rate: Option<Rate>) -> Result<(), String> {
        let Totals {
            granted,
            spent,
            returned,
            written_off,
        } = self.totals;
        if held != self.held {
            return Err(format!("accounts hold {held}: {self:?}"));
        }
        if granted != spent + self.held + self.orphaned + returned + written_off {
            return Err(format!("what was granted does not add up: {self:?}"));
        }
        let most = rate.map(|rate| signed(rate.burst));
        match (&self.bucket, most) {
            (Some(bucket), Some(most))
                if bucket.level().max(0) + signed(self.held()) > most.max(signed(self.held())) =>
            {
                Err(format!("more than the burst is around: {self:?}"))
            }
            (Some(_), Some(_)) | (None, _) | (_, None) => Ok(()),
        }
    }

    /// An account has spent that much by now. What it takes back may have been spent before a restart: then it is among
    /// what is orphaned, or nobody has counted it.
    fn on_spent(&mut self, before: u64, now: u64) {
        self.totals.spent += now;
        let uncounted = before.saturating_sub(self.totals.spent);
        self.totals.spent = self.totals.spent.saturating_sub(before);
        let of_orphaned = uncounted.min(self.orphaned);
        self.orphaned -= of_orphaned;
        self.draw(uncounted - of_orphaned);
    }

    fn draw(&mut self, amount: u64) {
        self.totals.granted += amount;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(amount);
        }
    }
}
