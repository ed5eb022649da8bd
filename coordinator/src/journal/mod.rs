//! The journal: what must outlive the coordinator's process. Records are written and synced a round at a time, before anything that
//! follows from them leaves the process.
//!
//! It is an SQLite database in write-ahead mode with an exclusive lock. Ordinary write-ahead mode needs memory shared between
//! processes, which network filesystems do not have; with the exclusive lock SQLite keeps that index in this process alone. A
//! rollback journal would do without it too, but needs three syncs for each transaction where the write-ahead log needs one, and on
//! NFS every sync is a journey to the server. Each frame of the log carries a checksum, so a torn tail ends at the last whole
//! transaction. Only one process ever opens the file: the directory's lock sees to that first, and the database's own lock again.

mod record;
mod rows;

pub(crate) use record::Record;
pub(crate) use rows::ActiveJob;

use paceline_common::ids::{Epoch, JobId};
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Marks the file as ours for anyone who finds it: "pace".
const APPLICATION_ID: i64 = 0x7061_6365;
/// Version of the tables below.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY);
CREATE TABLE jobs (job INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE stages (job INTEGER, stage INTEGER, n_items INTEGER NOT NULL, PRIMARY KEY (job, stage)) WITHOUT ROWID;
CREATE TABLE commits (
    job INTEGER, stage INTEGER, start INTEGER, end INTEGER NOT NULL,
    part_start INTEGER NOT NULL, part_end INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (job, stage, start)) WITHOUT ROWID;
CREATE TABLE quarantines (
    job INTEGER, stage INTEGER, item INTEGER, cause TEXT NOT NULL, PRIMARY KEY (job, stage, item)) WITHOUT ROWID;
CREATE TABLE ends (job INTEGER PRIMARY KEY, detail TEXT NOT NULL);
";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The disk is full or does not answer: the same write may succeed later.
    #[error("{0}")]
    NotNow(String),
    /// Another process has the file.
    #[error("{0}")]
    InUse(String),
    /// The file is damaged, of another version, or contradicts itself: no write will succeed.
    #[error("{0}")]
    Unusable(String),
}

/// The open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    connection: Connection,
    path: PathBuf,
    epoch: Epoch,
}

impl Journal {
    /// Opens or makes the journal at `path` and begins a new epoch in it.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = Connection::open(path).map_err(|e| explain(path, &e))?;
        let mut journal = Self { connection, path: path.to_owned(), epoch: Epoch(0) };
        journal.configure().map_err(|e| explain(path, &e))?;
        journal.check_version()?;
        journal.epoch = journal.begin_epoch().map_err(|e| explain(path, &e))?;
        Ok(journal)
    }

    fn configure(&self) -> rusqlite::Result<()> {
        // Long enough for a process that is just ending; whoever holds the file longer is another coordinator.
        self.connection.busy_timeout(Duration::from_millis(500))?;
        // The exclusive mode comes first: entered before the write-ahead mode, it keeps that from ever using shared memory.
        self.connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        self.connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        self.connection.pragma_update(None, "synchronous", "FULL")
    }

    fn check_version(&self) -> Result<(), JournalError> {
        let version =
            |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|e| explain(&self.path, &e));
        match (version("application_id")?, version("user_version")?) {
            (0, 0) => Ok(()),
            (APPLICATION_ID, SCHEMA_VERSION) => Ok(()),
            (APPLICATION_ID, other) => Err(JournalError::Unusable(format!(
                "{}: was written by another version of paceline (journal version {other}, here {SCHEMA_VERSION}); use that version, or another cluster directory",
                self.path.display()
            ))),
            _ => Err(JournalError::Unusable(format!(
                "{}: is not a journal of paceline; name another cluster directory",
                self.path.display()
            ))),
        }
    }

    fn begin_epoch(&mut self) -> rusqlite::Result<Epoch> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let is_new = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == 0;
        if is_new {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        let last: Option<u32> = transaction.query_row("SELECT max(epoch) FROM epochs", [], |row| row.get(0)).optional()?.flatten();
        let epoch = last.unwrap_or(0) + 1;
        transaction.execute("DELETE FROM epochs", [])?;
        transaction.execute("INSERT INTO epochs VALUES (?1)", [epoch])?;
        transaction.commit()?;
        Ok(Epoch(epoch))
    }

    /// Which start on this directory this is.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The highest job number given out so far; 0 for none.
    pub(crate) fn last_job(&self) -> Result<JobId, JournalError> {
        let last: Option<u32> =
            self.connection.query_row("SELECT max(job) FROM jobs", [], |row| row.get(0)).map_err(|e| explain(&self.path, &e))?;
        Ok(JobId(last.unwrap_or(0)))
    }

    /// Writes all records in one transaction; they are on the disk when this returns, or none of them is.
    pub(crate) fn write(&mut self, records: &[Record]) -> Result<(), JournalError> {
        let write = |connection: &mut Connection| {
            let transaction = connection.transaction()?;
            records.iter().try_for_each(|record| record.insert(&transaction))?;
            transaction.commit()
        };
        write(&mut self.connection).map_err(|e| explain(&self.path, &e))
    }
}

/// Sorts an error of the database by what the driver does next.
fn explain(path: &Path, error: &rusqlite::Error) -> JournalError {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            JournalError::NotNow(format!("{path}: no room is left to write the journal; make room, and work goes on by itself"))
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::OutOfMemory) => {
            JournalError::NotNow(format!("{path}: the journal cannot be written ({error}); work goes on when it can"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => JournalError::InUse(format!(
            "{path}: another process has the journal open; stop the other coordinator of this cluster directory first"
        )),
        _ => JournalError::Unusable(format!(
            "{path}: the journal is damaged or contradicts itself ({error}); move it away to start without the jobs in it"
        )),
    }
}

#[cfg(test)]
mod tests;
