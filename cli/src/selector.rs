//! How people name jobs: `last`, `all`, `3`, `1-3,5`. It must not know which jobs there are.

use paceline_common::ids::JobId;
use std::str::FromStr;

/// Most jobs that numbers may name at once: each costs a call, and a mistyped range should not cost a million.
pub const MAX_SELECTED: usize = 1000;

/// Which jobs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The newest.
    Last,
    /// All that the command makes sense for.
    All,
    /// Exactly these, each once, in the order named.
    Numbers(Vec<JobId>),
}

impl Selector {
    /// Whether it can only ever mean one job, so that the answer is one thing and not a list.
    #[must_use]
    pub fn is_single(&self) -> bool {
        match self {
            Self::Last => true,
            Self::All => false,
            Self::Numbers(jobs) => jobs.len() == 1,
        }
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "last" => return Ok(Self::Last),
            "all" => return Ok(Self::All),
            _ => {}
        }
        let mut jobs = Vec::new();
        for piece in text.split(',') {
            let (first, last) = bounds(piece).ok_or_else(|| format!("`{text}` names no jobs; write 3, 1-3,5, last or all"))?;
            if jobs.len() + (last - first) as usize >= MAX_SELECTED {
                return Err(format!("`{text}` names more than {MAX_SELECTED} jobs; name fewer at once, or say all"));
            }
            for job in (first..=last).map(JobId) {
                if !jobs.contains(&job) {
                    jobs.push(job);
                }
            }
        }
        Ok(Self::Numbers(jobs))
    }
}

/// First and last number of `3` or `1-3`; jobs are counted from 1.
fn bounds(piece: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|&n| n > 0);
    let (first, last) = match piece.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(piece)?, number(piece)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    fn numbers(text: &str) -> Vec<u32> {
        match text.parse() {
            Ok(Selector::Numbers(jobs)) => jobs.into_iter().map(|job| job.0).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn numbers_ranges_and_lists_name_jobs_once() {
        assert_eq!(numbers("3"), [3]);
        assert_eq!(numbers("1-3,5"), [1, 2, 3, 5]);
        assert_eq!(numbers("5, 1 - 3"), [5, 1, 2, 3]);
        assert_eq!(numbers("2,1-3,2"), [2, 1, 3]);
        assert_eq!(numbers("4294967295"), [u32::MAX]);
        assert_eq!("last".parse(), Ok(Selector::Last));
        assert_eq!("all".parse(), Ok(Selector::All));
    }

    #[test]
    fn what_names_no_job_is_refused_with_the_right_forms() {
        for text in ["", "0", "-1", "1-", "3-1", "1,,2", "first", "1-2-3", "4294967296", "1.5", "LAST"] {
            let refusal = text.parse::<Selector>().expect_err(text);
            assert!(refusal.contains("1-3,5"), "{refusal}");
        }
    }

    #[test]
    fn a_mistyped_range_costs_nothing() {
        assert_eq!(numbers("1-1000").len(), MAX_SELECTED);
        for text in ["1-1001", "1-4294967295", "1-600,2001-2600"] {
            assert!(text.parse::<Selector>().is_err_and(|refusal| refusal.contains("more than 1000")), "{text}");
        }
    }

    #[test]
    fn one_job_is_one_thing_and_several_are_a_list() {
        assert!(Selector::Last.is_single());
        assert!("7".parse::<Selector>().is_ok_and(|s| s.is_single()));
        assert!(!Selector::All.is_single());
        assert!("7-8".parse::<Selector>().is_ok_and(|s| !s.is_single()));
    }
}
