//! The listing of jobs, in squeue's columns. It must not decide which jobs are listed.

use super::progress_line::{done_of_total, shown_state};
use super::table::{Columns, cell, coloured};
use comfy_table::Color;
use paceline_common::units::{display_count, display_eta, display_rate};
use paceline_common::view::{JobState, JobView};

/// One line a job.
#[must_use]
pub fn table(jobs: &[JobView], has_colours: bool) -> String {
    let mut columns = Columns::new(&[">ID", "NAME", "STATE", "STAGE", ">DONE/TOTAL", ">RATE", ">ETA", ">AGENTS", ">FAILED"], has_colours);
    for job in jobs {
        let is_over = job.state.is_over();
        columns.row([
            cell(job.job.to_string()),
            cell(&job.name),
            coloured(shown_state(job), colour_of(job.state)),
            cell(&job.stage),
            cell(done_of_total(job.n_committed, job.n_items)),
            cell(if is_over { "-".to_owned() } else { display_rate(job.items_per_second) }),
            cell(if is_over { "-".to_owned() } else { display_eta(job.eta_seconds) }),
            cell(job.n_agents.to_string()),
            cell(display_count(job.n_quarantined)),
        ]);
    }
    columns.text()
}

/// What is said of jobs that a listing leaves out.
#[must_use]
pub fn hint(n_listed: usize, n_hidden: usize) -> Option<String> {
    match (n_listed, n_hidden) {
        (0, 0) => Some("no jobs yet; submit one with `paceline submit`".to_owned()),
        (_, 0) => None,
        (_, 1) => Some("1 job that is over is not listed; see it with `paceline jobs --all`".to_owned()),
        (_, n) => Some(format!("{n} jobs that are over are not listed; see them with `paceline jobs --all`")),
    }
}

/// Red for what went wrong, green for what went well, yellow for what needs a hand.
#[must_use]
pub fn colour_of(state: JobState) -> Option<Color> {
    match state {
        JobState::Running => None,
        JobState::Paused | JobState::Cancelled => Some(Color::Yellow),
        JobState::Succeeded => Some(Color::Green),
        JobState::Failed | JobState::BadInput => Some(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::super::progress_line::tests::running;
    use super::*;

    #[test]
    fn the_columns_are_those_of_squeue() {
        let over = JobView { state: JobState::Failed, n_agents: 0, n_quarantined: 7, ..running() };
        let text = table(&[running(), over], false);
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["ID", "NAME", "STATE", "STAGE", "DONE/TOTAL", "RATE", "ETA", "AGENTS", "FAILED"]);
        assert_eq!(lines[1], ["3", "forest-train", "running", "trees", "1,234/5,000", "123/s", "31s", "2", "0"]);
        assert_eq!(lines[2], ["3", "forest-train", "failed", "trees", "1,234/5,000", "-", "-", "0", "7"]);
    }

    #[test]
    fn hidden_jobs_are_hinted_at() {
        assert_eq!(hint(2, 0), None);
        assert!(hint(0, 0).is_some_and(|h| h.contains("paceline submit")));
        assert!(hint(0, 3).is_some_and(|h| h.starts_with("3 jobs") && h.contains("--all")));
    }
}
