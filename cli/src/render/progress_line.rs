//! How far a job is, in words: pieces shared by the bar, the plain lines and the listings. It must not write anything.

use paceline_common::units::{display_count, display_duration, display_eta, display_rate};
use paceline_common::view::{JobState, JobView};
use std::time::Duration;

/// Committed of all items of the present stage: "1,234/5,000", or "1,234/?" before their number is known.
#[must_use]
pub fn done_of_total(n_committed: u64, n_items: Option<u64>) -> String {
    format!("{}/{}", display_count(n_committed), n_items.map_or("?".to_owned(), display_count))
}

/// The present stage and its place: "trees 2/4".
#[must_use]
pub fn stage(view: &JobView) -> String {
    format!("{} {}/{}", view.stage, view.stage_idx + 1, view.n_stages.max(1))
}

/// A state as people read it.
#[must_use]
pub fn state(state: JobState) -> &'static str {
    match state {
        JobState::Running => "running",
        JobState::Paused => "paused",
        JobState::Succeeded => "succeeded",
        JobState::Failed => "failed",
        JobState::BadInput => "bad-input",
        JobState::Cancelled => "cancelled",
    }
}

/// A state as the listing shows it: a running job at which nobody works is waiting.
#[must_use]
pub fn shown_state(view: &JobView) -> &'static str {
    match view.state {
        JobState::Running if view.n_agents == 0 => "waiting",
        other => state(other),
    }
}

/// Rate, time left, hands and losses: "123/s, 31s left, 2 agents, 1 failed". Without what is not known or zero.
#[must_use]
pub fn pace(view: &JobView) -> String {
    let mut pieces = Vec::new();
    if view.state == JobState::Paused {
        let reason = view.reason.as_deref().unwrap_or("no room is left");
        return format!("paused: {reason}; make room, and it goes on by itself within a minute");
    }
    if view.items_per_second > 0.0 {
        pieces.push(display_rate(view.items_per_second));
    }
    if view.eta_seconds.is_some() && !view.state.is_over() {
        pieces.push(format!("{} left", display_eta(view.eta_seconds)));
    }
    match view.n_agents {
        1 => pieces.push("1 agent".to_owned()),
        n if n > 1 => pieces.push(format!("{n} agents")),
        _ => {}
    }
    if view.n_quarantined > 0 {
        pieces.push(format!("{} failed", display_count(view.n_quarantined)));
    }
    pieces.join(", ")
}

/// One plain line: "job 3, 31.0 s: trees 2/4, 1,234/5,000 committed, 123/s, 31s left, 2 agents".
#[must_use]
pub fn line(view: &JobView, elapsed: Duration) -> String {
    let count = done_of_total(view.n_committed, view.n_items);
    let pace = pace(view);
    let separator = if pace.is_empty() { "" } else { ", " };
    format!("job {}, {}: {}, {count} committed{separator}{pace}", view.job, display_duration(elapsed), stage(view))
}

/// How long a job has run, or ran.
#[must_use]
pub fn run_time(view: &JobView) -> Option<Duration> {
    Some(Duration::from_millis(view.ended_at_ms?.saturating_sub(view.submitted_at_ms)))
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use paceline_common::ids::JobId;

    /// A running job in its second stage of four.
    pub fn running() -> JobView {
        JobView {
            job: JobId(3),
            name: "forest-train".to_owned(),
            workload: "forest-train".to_owned(),
            state: JobState::Running,
            reason: None,
            stage: "trees".to_owned(),
            stage_idx: 1,
            n_stages: 4,
            item_name: "tree".to_owned(),
            n_committed: 1234,
            n_items: Some(5000),
            n_quarantined: 0,
            n_duplicates_dropped: 0,
            items_per_second: 123.4,
            eta_seconds: Some(30.5),
            n_agents: 2,
            n_cores: 4,
            priority: 100,
            submitted_at_ms: 1_000,
            ended_at_ms: None,
            job_dir: "/c/jobs/3".into(),
            output: None,
            summary: None,
        }
    }

    #[test]
    fn a_line_tells_stage_count_and_pace() {
        assert_eq!(line(&running(), Duration::from_secs(31)), "job 3, 31.0 s: trees 2/4, 1,234/5,000 committed, 123/s, 31s left, 2 agents");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let view = JobView { n_items: None, items_per_second: 0.0, eta_seconds: None, n_agents: 0, n_quarantined: 2, ..running() };
        assert_eq!(line(&view, Duration::ZERO), "job 3, 0 ms: trees 2/4, 1,234/? committed, 2 failed");
        assert_eq!(shown_state(&view), "waiting");
    }

    #[test]
    fn a_paused_job_says_why() {
        let view = JobView { state: JobState::Paused, reason: Some("/c: no space left".to_owned()), n_agents: 0, ..running() };
        assert!(line(&view, Duration::ZERO).ends_with("paused: /c: no space left; make room, and it goes on by itself within a minute"));
    }
}
