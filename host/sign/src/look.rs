//! What is looked at anew before the EA key is used, and each time somebody asks whether the
//! process is ready: disk, clock, database, and the EA key's uses against the ledger.

use countersign_ledger::{self as ledger, Kind, LedgerError};
use countersign_store::Store;

use crate::book::BookError;
use crate::process::Process;
use crate::readiness::Trouble;

impl Process {
    /// Before a signature: in the way of each request, so only what costs next to nothing, and a
    /// write only where the last one failed.
    pub(crate) async fn look_before_signing(&self) {
        self.look_at_room();
        self.look_at_clock(0);
        if self.readiness.has(Trouble::Store) {
            self.look_at_store().await;
        }
    }

    /// Everything: what a timer does, and who asks for the readiness.
    pub(crate) async fn look(&self) {
        self.look_at_room();
        match self.last_entry_time().await {
            Ok(last) => self.look_at_clock(last),
            Err(error) => self.notice(&error.into()),
        }
        self.look_at_store().await;
        self.look_for_drift().await;
    }

    fn look_at_room(&self) {
        match self.room.too_little(self.book.store()) {
            Some(detail) => self.readiness.set(Trouble::Room, detail),
            None => self.readiness.clear(Trouble::Room),
        }
    }

    /// The highest time is in the ledger and in its checkpoints, so it survives a restart.
    fn look_at_clock(&self, last_entry: u64) {
        let last_checkpoint = self.ledger.last_checkpoint().map_or(0, |checkpoint| checkpoint.time);
        match self.clock.went_back(last_entry.max(last_checkpoint)) {
            Some(back) => {
                let error = LedgerError::ClockBackwards { last: back.last, now: back.now };
                self.readiness.set(Trouble::Clock, error.to_string());
            }
            None => self.readiness.clear(Trouble::Clock),
        }
    }

    /// Whether the database answers; where it was in trouble, whether it commits again. Only an
    /// entry shows that: an empty transaction needs no room.
    async fn look_at_store(&self) {
        if let Err(error) = self.book.answers().await {
            self.notice(&error);
        } else if self.readiness.has(Trouble::Store) {
            let resumed = self.note("store-well-again", "the database commits again".to_owned());
            match self.record(vec![resumed]).await {
                Ok(()) => self.readiness.clear(Trouble::Store),
                Err(error) => self.notice(&error),
            }
        }
    }

    /// Row 4, I2.
    pub(crate) async fn look_for_drift(&self) {
        let before = self.reconciliation.before();
        let counted = match count_signed(self.book.store(), before.0.next).await {
            Ok(counted) => counted,
            Err(error) => return self.notice(&error),
        };
        if let Err(drift) = self.reconciliation.judge(before, counted.0, counted.1) {
            let finding = drift.finding();
            if self.readiness.find(finding.clone()) {
                self.alarm(finding.id, &finding.message).await;
            }
        }
    }

    async fn last_entry_time(&self) -> Result<u64, LedgerError> {
        let Some(from) = self.ledger.size().await?.checked_sub(1) else { return Ok(0) };
        let filter = ledger::Filter { from, limit: 1, ..ledger::Filter::default() };
        Ok(self.ledger.entries(filter).await?.first().map_or(0, |entry| entry.time))
    }
}

/// Index after the last entry, and how many `signed` entries there are from `next` on.
async fn count_signed(store: &Store, next: u64) -> Result<(u64, u64), BookError> {
    store
        .try_read(move |connection| {
            let size = ledger::size(connection)?;
            Ok(if size <= next {
                (next, 0)
            } else {
                (size, ledger::count(connection, Kind::Signed, next, size)?)
            })
        })
        .await
}
