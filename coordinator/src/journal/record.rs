//! One fact in the journal, and how it is written.

use paceline_common::ids::{JobId, StageIdx};
use paceline_common::job::JobRecord;
use paceline_common::message::PartBody;
use paceline_common::range::ItemRange;
use paceline_common::view::JobDetail;
use paceline_wire::codec;
use rusqlite::{Transaction, params};

/// One fact.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// A job was taken on.
    Submitted(Box<JobRecord>),
    /// A stage has this many items.
    StageSized { job: JobId, stage: StageIdx, n_items: u64 },
    /// These items of a stage are done; the part holds `part_items`.
    Committed { job: JobId, stage: StageIdx, items: ItemRange, part_items: ItemRange, body: PartBody },
    /// An item was set aside.
    Quarantined { job: JobId, stage: StageIdx, item: u64, cause: String },
    /// A job is over. Commits of a job that cannot be retried are of no more use and are forgotten.
    Ended { detail: Box<JobDetail>, forget_commits: bool },
    /// A job that was over goes on, and the set-aside items of this stage are tried again.
    Reopened { job: JobId, stage: StageIdx },
}

impl Record {
    /// Whether what follows from it must wait until it is on the disk. The size of a stage is found again from the same inputs,
    /// so it may travel with the next record that counts.
    pub(crate) fn needs_sync(&self) -> bool {
        !matches!(self, Self::StageSized { .. })
    }

    pub(super) fn insert(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values).map(drop);
        match self {
            Self::Submitted(record) => run("INSERT INTO jobs VALUES (?1, ?2)", params![record.job.0, json(record)?]),
            Self::StageSized { job, stage, n_items } => {
                run("INSERT OR REPLACE INTO stages VALUES (?1, ?2, ?3)", params![job.0, stage.0, n_items])
            }
            Self::Committed { job, stage, items, part_items, body } => run(
                // Without `OR REPLACE`: a second commit of an item must never pass in silence.
                "INSERT INTO commits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![job.0, stage.0, items.start, items.end, part_items.start, part_items.end, blob(body)?],
            ),
            Self::Quarantined { job, stage, item, cause } => {
                run("INSERT OR REPLACE INTO quarantines VALUES (?1, ?2, ?3, ?4)", params![job.0, stage.0, item, cause])
            }
            Self::Ended { detail, forget_commits } => {
                let job = detail.job.job;
                run("INSERT OR REPLACE INTO ends VALUES (?1, ?2)", params![job.0, json(detail)?])?;
                if *forget_commits { run("DELETE FROM commits WHERE job = ?1", params![job.0]) } else { Ok(()) }
            }
            Self::Reopened { job, stage } => {
                run("DELETE FROM ends WHERE job = ?1", params![job.0])?;
                run("DELETE FROM quarantines WHERE job = ?1 AND stage = ?2", params![job.0, stage.0])
            }
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

fn blob(body: &PartBody) -> rusqlite::Result<Vec<u8>> {
    codec::encode(body).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}
