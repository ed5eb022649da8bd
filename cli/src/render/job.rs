//! One job, told whole, and its end in a few lines. It must not ask for anything more than it is given.

use super::facts;
use super::progress_line::{done_of_total, pace, run_time, shown_state, stage, state};
use super::table::{Columns, cell, plain};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use paceline_common::units::{display_count, display_duration};
use paceline_common::view::{JobDetail, JobState, JobView, LeaseView, QuarantinedItem, StageView};
use std::time::Duration;

/// Most failed items in a report for people; all that are known are in the JSON form.
const MAX_FAILED_ITEMS_SHOWN: usize = 20;

/// All there is to know of a job.
#[must_use]
pub fn detail(detail: &JobDetail) -> String {
    let job = &detail.job;
    let mut sections = vec![format!("job {}: {}\n{}", job.job, plain(&job.name), facts::lines("  ", &standing(detail)))];
    sections.push(stages(&detail.stages));
    if let Some(summary) = &job.summary
        && !summary.facts.is_empty()
    {
        sections.push(format!("result\n{}", facts::lines("  ", &summary.facts)));
    }
    if !detail.quarantined.is_empty() {
        sections.push(failed_items(detail));
    }
    if !detail.leases.is_empty() {
        sections.push(leases(&detail.leases));
    }
    sections.join("\n\n")
}

fn standing(detail: &JobDetail) -> Vec<(&'static str, String)> {
    let job = &detail.job;
    let reason = job.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let mut known = vec![("workload", job.workload.clone()), ("state", format!("{}{reason}", shown_state(job)))];
    if !job.state.is_over() {
        known.push(("stage", format!("{}, {} committed", stage(job), done_of_total(job.n_committed, job.n_items))));
        known.push(("pace", Some(pace(job)).filter(|p| !p.is_empty()).unwrap_or_else(|| "-".to_owned())));
        known.push(("cores", job.n_cores.to_string()));
    }
    known.push(("submitted", local_time(job.submitted_at_ms)));
    if let (Some(ended_at_ms), Some(run_time)) = (job.ended_at_ms, run_time(job)) {
        known.push(("ended", format!("{}, after {}", local_time(ended_at_ms), display_duration(run_time))));
    }
    known.push(("priority", job.priority.to_string()));
    known.push(("seed", detail.seed.to_string()));
    known.push(("settings", detail.settings_json.clone()));
    known.extend(output(job));
    known.push(("directory", job.job_dir.display().to_string()));
    known.push(("failed items", display_count(job.n_quarantined)));
    known.push(("results dropped", format!("{} (computed twice, used once)", display_count(job.n_duplicates_dropped))));
    known
}

fn output(job: &JobView) -> Vec<(&'static str, String)> {
    let path = job.output.as_ref().map(|path| ("output", path.display().to_string()));
    let hash = job.summary.as_ref().and_then(|s| s.output_hash.clone()).map(|hash| ("blake3", hash));
    path.into_iter().chain(hash).collect()
}

fn stages(stages: &[StageView]) -> String {
    let mut columns = Columns::new(&["  STAGE", ">DONE/TOTAL", ">TIME"], false);
    for stage in stages {
        let time = stage.duration_ms.map_or("-".to_owned(), |ms| display_duration(Duration::from_millis(ms)));
        columns.row([cell(format!("  {}", stage.name)), cell(done_of_total(stage.n_committed, stage.n_items)), cell(time)]);
    }
    columns.text()
}

fn leases(leases: &[LeaseView]) -> String {
    let mut columns = Columns::new(&["  HOST", ">AGENT", ">LEASE", "ITEMS", ">DONE", ">AGE"], false);
    for lease in leases {
        columns.row([
            cell(format!("  {}", lease.host)),
            cell(short_id(lease.agent.0)),
            cell(short_id(lease.lease)),
            cell(items(lease.start, lease.end)),
            cell(display_count(lease.n_done)),
            cell(display_duration(Duration::from_millis(lease.age_ms))),
        ]);
    }
    columns.text()
}

/// Failed items with their causes, so many as a person reads.
fn failed_items(detail: &JobDetail) -> String {
    let line = |failed: &QuarantinedItem| {
        let stage = detail.stages.get(failed.stage as usize).map_or("?", |s| s.name.as_str());
        format!("  {} item {}: {}", plain(stage), failed.item, plain(&failed.cause))
    };
    let mut lines = vec![format!("failed items ({})", display_count(detail.job.n_quarantined))];
    lines.extend(detail.quarantined.iter().take(MAX_FAILED_ITEMS_SHOWN).map(line));
    let n_shown = detail.quarantined.len().min(MAX_FAILED_ITEMS_SHOWN) as u64;
    if let n_more @ 1.. = detail.job.n_quarantined.saturating_sub(n_shown) {
        lines.push(format!("  and {} more; `--output json` lists up to 1000", display_count(n_more)));
    }
    lines.join("\n")
}

/// The end of a job for whoever waited for it: how it ended, what was committed, what came out.
#[must_use]
pub fn ending(detail: &JobDetail) -> String {
    let job = &detail.job;
    let time = run_time(job).map_or(String::new(), |time| format!(" after {}", display_duration(time)));
    let name =
        if job.name == job.workload { plain(&job.workload).into_owned() } else { format!("{} \"{}\"", job.workload, plain(&job.name)) };
    let mut known: Vec<(String, String)> = vec![("committed".to_owned(), committed(&detail.stages))];
    if job.state == JobState::Succeeded {
        known.extend(job.summary.iter().flat_map(|s| s.facts.clone()));
        known.extend(output(job).into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    format!("job {} ({name}) {}{time}\n{}", job.job, state(job.state).replace('-', " "), facts::lines("  ", &known))
}

/// Why a job did not succeed, for standard error: one sentence, and below it the items that are to blame. `can_be_retried` tells
/// whether there is still a coordinator that could be asked to.
#[must_use]
pub fn complaint(detail: &JobDetail, can_be_retried: bool) -> String {
    let job = &detail.job;
    let hint = if can_be_retried { format!("; `paceline job retry {}` tries them again", job.job) } else { String::new() };
    let sentence = match (job.state, &job.reason) {
        (JobState::Cancelled, _) => format!("job {} was cancelled", job.job),
        (JobState::BadInput, Some(reason)) => format!("job {} has bad input: {reason}", job.job),
        (JobState::Failed, _) if only_items_failed(detail) => {
            let n_items: u64 = detail.stages.iter().filter_map(|s| s.n_items).sum();
            format!("job {} failed: {} of {} items failed{hint}", job.job, display_count(job.n_quarantined), display_count(n_items))
        }
        (other, Some(reason)) => format!("job {} {}: {reason}", job.job, state(other)),
        (other, None) => format!("job {} {}", job.job, state(other)),
    };
    if detail.quarantined.is_empty() { sentence } else { format!("{sentence}\n{}", failed_items(detail)) }
}

/// Whether the job went through to its end, and only lacks items that failed.
fn only_items_failed(detail: &JobDetail) -> bool {
    let n_missing: u64 = detail.stages.iter().map(|s| s.n_items.unwrap_or(0).saturating_sub(s.n_committed)).sum();
    detail.stages.len() == detail.job.n_stages as usize && n_missing == detail.job.n_quarantined && n_missing > 0
}

/// "10/10 bin, 500/500 trees".
fn committed(stages: &[StageView]) -> String {
    let stage = |s: &StageView| format!("{} {}", done_of_total(s.n_committed, s.n_items), s.name);
    stages.iter().map(stage).collect::<Vec<_>>().join(", ")
}

/// Items of a range as people count them, the last one included; a single one alone.
fn items(start: u64, end: u64) -> String {
    if end == start + 1 { start.to_string() } else { format!("{start}-{}", end.saturating_sub(1)) }
}

/// An id of an agent or a lease: its number within the coordinator's life, with the life before it from the second on.
#[must_use]
pub fn short_id(id: u64) -> String {
    // The low 40 bits count within one life of the coordinator (see `Epoch::first_id`).
    let (epoch, number) = (id >> 40, id & ((1 << 40) - 1));
    format!("{epoch}.{number}")
}

/// A moment in the local time zone, to the second.
fn local_time(at_ms: u64) -> String {
    let moment = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(|| "?".to_owned(), |t| t.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::super::progress_line::tests::running;
    use super::*;
    use paceline_common::ids::{AgentId, Epoch};
    use paceline_common::view::JobSummary;

    fn failed(n_quarantined: u64) -> JobDetail {
        let quarantined =
            (0..n_quarantined.min(1000)).map(|item| QuarantinedItem { stage: 0, item, cause: "it crashed".to_owned() }).collect();
        JobDetail {
            job: JobView { state: JobState::Failed, n_stages: 1, n_quarantined, ended_at_ms: Some(13_300), ..running() },
            stages: vec![StageView {
                name: "trees".to_owned(),
                n_committed: 5000 - n_quarantined,
                n_items: Some(5000),
                duration_ms: Some(5),
            }],
            quarantined,
            leases: vec![],
            settings_json: "{}".to_owned(),
            seed: 0,
        }
    }

    #[test]
    fn a_complaint_names_items_and_causes_and_counts_the_rest() {
        let text = complaint(&failed(25), true);
        assert!(text.starts_with("job 3 failed: 25 of 5,000 items failed; `paceline job retry 3` tries them again\n"), "{text}");
        assert!(text.contains("  trees item 0: it crashed\n"), "{text}");
        assert!(text.contains("and 5 more"), "{text}");
        let text = complaint(&failed(2), false);
        assert!(!text.contains("more") && !text.contains("retry"), "{text}");
    }

    #[test]
    fn a_job_that_broke_off_says_why() {
        let mut detail = failed(2);
        detail.stages[0].n_committed = 100;
        detail.job.reason = Some("more than 1 items failed".to_owned());
        assert!(complaint(&detail, true).starts_with("job 3 failed: more than 1 items failed\n"));
        detail.job.state = JobState::Cancelled;
        detail.quarantined.clear();
        assert_eq!(complaint(&detail, true), "job 3 was cancelled");
    }

    #[test]
    fn an_ending_tells_counts_facts_and_output() {
        let mut detail = failed(0);
        detail.job.state = JobState::Succeeded;
        detail.job.output = Some("/data/m.safetensors".into());
        detail.job.summary =
            Some(JobSummary { facts: vec![("oob_score".to_owned(), "0.97".to_owned())], output_hash: Some("abc".to_owned()) });
        let expected = "job 3 (forest-train) succeeded after 12.3 s\n  committed  5,000/5,000 trees\n  oob_score  0.97\n  output     /data/m.safetensors\n  blake3     abc";
        assert_eq!(ending(&detail), expected);
    }

    #[test]
    fn a_whole_job_is_told_with_its_leases() {
        let mut detail = failed(0);
        let lease = LeaseView { lease: 7, host: "n01".to_owned(), agent: AgentId(1), start: 10, end: 20, n_done: 3, age_ms: 1500 };
        detail.leases = vec![LeaseView { start: 20, end: 21, ..lease.clone() }, lease];
        let text = super::detail(&detail);
        assert!(text.contains("10-19") && text.contains(" 20 ") && text.contains("1.5 s"), "{text}");
    }

    #[test]
    fn ids_show_the_coordinators_life_and_a_number() {
        assert_eq!(short_id(Epoch(2).first_id() + 5), "2.5");
    }
}
