//! What the journal promises: all of a round or nothing of it, whatever happens to the file's tail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::*;
use paceline_common::ids::StageIdx;
use paceline_common::job::{JobPlan, JobRecord, JobRequest, StagePlan};
use paceline_common::message::PartBody;
use paceline_common::range::ItemRange;

fn submitted(job: u32) -> Record {
    let request = JobRequest {
        workload: "noop".to_owned(),
        settings_json: "{}".to_owned(),
        name: None,
        seed: 0,
        priority: 1,
        max_cores: None,
        max_failures: None,
    };
    let stage = StagePlan { name: "nothing".to_owned(), item_name: "item".to_owned(), tolerates_missing_items: true };
    let plan = JobPlan { stages: vec![stage], inputs: vec![], output: None, notes: vec![] };
    Record::Submitted(Box::new(JobRecord { job: JobId(job), request, plan, submitted_at_ms: 0 }))
}

fn committed(job: u32, start: u64, end: u64) -> Record {
    let items = ItemRange::new(start, end);
    Record::Committed { job: JobId(job), stage: StageIdx(0), items, part_items: items, body: PartBody::Inline(vec![1, 2, 3]) }
}

fn n_committed(journal: &Journal, job: u32) -> u64 {
    journal.job(JobId(job)).unwrap().unwrap().committed.get(&StageIdx(0)).map_or(0, |set| set.len())
}

#[test]
fn what_was_written_is_there_again_and_every_start_is_a_new_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!(journal.epoch(), Epoch(1));
    let quarantined = Record::Quarantined { job: JobId(1), stage: StageIdx(0), item: 7, cause: "why".to_owned() };
    let sized = Record::StageSized { job: JobId(1), stage: StageIdx(0), n_items: 20 };
    journal.write(&[submitted(1), sized, committed(1, 0, 7), committed(1, 8, 10), quarantined]).unwrap();
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.epoch(), Epoch(2));
    let jobs = journal.active_jobs().unwrap();
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].stage_sizes[&StageIdx(0)], 20);
    assert_eq!(jobs[0].committed[&StageIdx(0)].iter().collect::<Vec<_>>(), [ItemRange::new(0, 7), ItemRange::new(8, 10)]);
    assert_eq!(jobs[0].quarantined[0].item, 7);
    let commits = journal.stage_commits(JobId(1), StageIdx(0)).unwrap();
    assert_eq!(commits[1].body, PartBody::Inline(vec![1, 2, 3]));
    assert_eq!(journal.last_job().unwrap(), JobId(1));
}

#[test]
fn a_round_is_written_whole_or_not_at_all_and_no_item_is_committed_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j")).unwrap();
    journal.write(&[submitted(1), committed(1, 0, 5)]).unwrap();
    assert!(matches!(journal.write(&[committed(1, 5, 9), committed(1, 0, 5)]), Err(JournalError::Unusable(_))));
    assert_eq!(n_committed(&journal, 1), 5);
    journal.write(&[committed(1, 5, 9)]).unwrap();
    assert_eq!(n_committed(&journal, 1), 9);
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let _journal = Journal::open(&path).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::InUse(_))));
}

/// A copy of the files as they are at one instant, which is what a kill leaves, with the log cut anywhere.
#[test]
fn a_torn_tail_ends_at_the_last_whole_round() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = Journal::open(&path).unwrap();
    journal.write(&[submitted(1)]).unwrap();
    let wal = |path: &Path| path.with_file_name(format!("{}-wal", path.file_name().unwrap().to_string_lossy()));
    let mut log_len_after = Vec::new();
    for round in 0..20 {
        journal.write(&[committed(1, round * 10, round * 10 + 4), committed(1, round * 10 + 4, round * 10 + 10)]).unwrap();
        log_len_after.push(std::fs::metadata(wal(&path)).unwrap().len());
    }
    let (base, log) = (std::fs::read(&path).unwrap(), std::fs::read(wal(&path)).unwrap());
    let first = log_len_after[0] as usize;
    for cut in (first..=log.len()).step_by(997).chain([log.len()]) {
        let copy = dir.path().join(format!("copy-{cut}"));
        std::fs::write(&copy, &base).unwrap();
        std::fs::write(wal(&copy), &log[..cut]).unwrap();
        let n_whole_rounds = log_len_after.iter().filter(|len| **len <= cut as u64).count() as u64;
        let reopened = Journal::open(&copy).unwrap();
        assert_eq!(n_committed(&reopened, 1), n_whole_rounds * 10, "cut at {cut} of {}", log.len());
    }
    // A changed byte in the middle of the log ends it there, too: never a half round, never an invented one.
    let mut changed = log.clone();
    changed[log.len() / 2] ^= 0x40;
    let copy = dir.path().join("changed");
    std::fs::write(&copy, &base).unwrap();
    std::fs::write(wal(&copy), &changed).unwrap();
    let n = n_committed(&Journal::open(&copy).unwrap(), 1);
    assert!(n.is_multiple_of(10) && n < 200, "{n} items");
}

#[test]
fn a_full_disk_loses_nothing_and_the_same_round_succeeds_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&dir.path().join("j")).unwrap();
    journal.write(&[submitted(1)]).unwrap();
    let n_pages: i64 = journal.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let allow =
        |journal: &Journal, n_pages: i64| journal.connection.pragma_update_and_check(None, "max_page_count", n_pages, |_| Ok(())).unwrap();
    allow(&journal, n_pages);
    let round: Vec<Record> = (0..1000).map(|i| committed(1, i * 2, i * 2 + 2)).collect();
    assert!(matches!(journal.write(&round), Err(JournalError::NotNow(why)) if why.contains("no room")));
    assert_eq!(n_committed(&journal, 1), 0);
    allow(&journal, n_pages + 1000);
    journal.write(&round).unwrap();
    assert_eq!(n_committed(&journal, 1), 2000);
}

#[test]
fn a_file_that_is_no_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    std::fs::write(&path, vec![7; 10_000]).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Unusable(why)) if why.contains("damaged")));
    let other = dir.path().join("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x); PRAGMA user_version = 9;").unwrap();
    assert!(matches!(Journal::open(&other), Err(JournalError::Unusable(why)) if why.contains("not a journal")));
}
