//! Reading the journal back: whole jobs at a restart, the commits of one stage at its barrier, the end of one job for a listing.

use super::{Journal, JournalError, explain};
use paceline_common::ids::{JobId, StageIdx};
use paceline_common::job::JobRecord;
use paceline_common::job_dir::CommittedPart;
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;
use paceline_common::view::{JobDetail, JobView, QuarantinedItem};
use paceline_wire::codec;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// An unfinished job as the journal knows it.
#[derive(Debug)]
pub(crate) struct ActiveJob {
    pub(crate) record: JobRecord,
    /// Items of every stage that was begun.
    pub(crate) stage_sizes: BTreeMap<StageIdx, u64>,
    /// Items committed, by stage.
    pub(crate) committed: BTreeMap<StageIdx, RangeSet>,
    pub(crate) quarantined: Vec<QuarantinedItem>,
}

impl Journal {
    /// Every job that is not over, oldest first.
    pub(crate) fn active_jobs(&self) -> Result<Vec<ActiveJob>, JournalError> {
        let sql = "SELECT record FROM jobs WHERE job NOT IN (SELECT job FROM ends) ORDER BY job";
        let records: Vec<JobRecord> = self.all(sql, [], |row| from_json(row, 0))?;
        records.into_iter().map(|record| self.active_job(record)).collect()
    }

    /// One job with all that is known of its progress, whether it is over or not; `None` where there is no such job.
    pub(crate) fn job(&self, job: JobId) -> Result<Option<ActiveJob>, JournalError> {
        let records: Vec<JobRecord> = self.all("SELECT record FROM jobs WHERE job = ?1", [job.0], |row| from_json(row, 0))?;
        records.into_iter().next().map(|record| self.active_job(record)).transpose()
    }

    fn active_job(&self, record: JobRecord) -> Result<ActiveJob, JournalError> {
        let job = record.job.0;
        let sizes = self.all("SELECT stage, n_items FROM stages WHERE job = ?1", [job], |row| Ok((StageIdx(row.get(0)?), row.get(1)?)))?;
        let ranges: Vec<(u32, ItemRange)> =
            self.all("SELECT stage, start, end FROM commits WHERE job = ?1", [job], |row| Ok((row.get(0)?, range(row, 1)?)))?;
        let mut committed: BTreeMap<StageIdx, RangeSet> = BTreeMap::new();
        for (stage, items) in ranges {
            committed.entry(StageIdx(stage)).or_default().insert(items);
        }
        let quarantined = self.all("SELECT stage, item, cause FROM quarantines WHERE job = ?1 ORDER BY stage, item", [job], |row| {
            Ok(QuarantinedItem { stage: row.get(0)?, item: row.get(1)?, cause: row.get(2)? })
        })?;
        Ok(ActiveJob { record, stage_sizes: sizes.into_iter().collect(), committed, quarantined })
    }

    /// What was committed of a stage, in item order.
    pub(crate) fn stage_commits(&self, job: JobId, stage: StageIdx) -> Result<Vec<CommittedPart>, JournalError> {
        let sql = "SELECT start, end, part_start, part_end, body FROM commits WHERE job = ?1 AND stage = ?2 ORDER BY start";
        self.all(sql, [job.0, stage.0], |row| {
            let body = codec::decode(row.get_ref(4)?.as_blob()?).map_err(|e| broken(4, Type::Blob, e))?;
            Ok(CommittedPart { items: range(row, 0)?, part_items: range(row, 2)?, body })
        })
    }

    /// The newest `limit` jobs that are over, oldest first.
    pub(crate) fn ended_jobs(&self, limit: usize) -> Result<Vec<JobView>, JournalError> {
        let details: Vec<JobDetail> = self.all("SELECT detail FROM ends ORDER BY job DESC LIMIT ?1", [limit], |row| from_json(row, 0))?;
        Ok(details.into_iter().rev().map(|detail| detail.job).collect())
    }

    /// How many jobs are over.
    pub(crate) fn n_ended(&self) -> Result<u32, JournalError> {
        self.connection.query_row("SELECT count(*) FROM ends", [], |row| row.get(0)).map_err(|e| explain(&self.path, &e))
    }

    /// What was known of a job when it ended; `None` where it is not over or there is no such job.
    pub(crate) fn ended_job(&self, job: JobId) -> Result<Option<JobDetail>, JournalError> {
        let query = |sql: &str| self.connection.prepare_cached(sql)?.query_row([job.0], |row| from_json(row, 0)).optional();
        query("SELECT detail FROM ends WHERE job = ?1").map_err(|e| explain(&self.path, &e))
    }

    fn all<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let query = || self.connection.prepare_cached(sql)?.query_map(values, map)?.collect::<rusqlite::Result<_>>();
        query().map_err(|e| explain(&self.path, &e))
    }
}

fn range(row: &Row<'_>, at: usize) -> rusqlite::Result<ItemRange> {
    Ok(ItemRange::new(row.get(at)?, row.get(at + 1)?))
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(at)?.as_str()?).map_err(|e| broken(at, Type::Text, e))
}

fn broken(column: usize, kind: Type, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
