//! When an agent leaves by itself: idle for too long, or near the end of its time. Pure.
//! This file must not know how leaving is done.

use std::collections::VecDeque;
use std::time::Duration;

/// The least time before the end at which draining begins: enough to sync the last parts to a slow network filesystem.
pub const MIN_MARGIN: Duration = Duration::from_secs(10);
/// How many leases the estimate of their duration looks back on.
const N_REMEMBERED: usize = 64;

/// When to leave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// After so long without a lease.
    pub idle_timeout: Option<Duration>,
    /// After so long at all.
    pub time_limit: Option<Duration>,
}

/// How long the latest leases took from their begin to their end.
#[derive(Debug, Default)]
pub struct LeaseDurations {
    recent: VecDeque<Duration>,
}

impl LeaseDurations {
    /// Notes one.
    pub fn add(&mut self, duration: Duration) {
        self.recent.push_back(duration);
        if self.recent.len() > N_REMEMBERED {
            self.recent.pop_front();
        }
    }

    /// What 95 of 100 do not exceed.
    pub fn p95(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * 95).div_ceil(100).checked_sub(1)?;
        sorted.get(rank).copied()
    }
}

/// Why the agent should drain now, if it should. `idle_for` is `None` while it has a lease.
pub fn reason_to_drain(limits: Limits, uptime: Duration, idle_for: Option<Duration>, p95: Option<Duration>) -> Option<String> {
    if let Some(limit) = limits.time_limit {
        let left = limit.saturating_sub(uptime);
        if left <= margin(limit, p95) {
            let leases = p95.map_or(String::new(), |p95| format!(", p95 lease {:.1} s", p95.as_secs_f64()));
            return Some(format!("{:.0} s of its time are left{leases}", left.as_secs_f64()));
        }
    }
    match (limits.idle_timeout, idle_for) {
        (Some(timeout), Some(idle)) if idle >= timeout => Some(format!("idle for {:.0} s", idle.as_secs_f64())),
        _ => None,
    }
}

/// How long before the end draining begins: twice what a lease takes, because one may just have begun and its part must be stored;
/// but at most half of a short limit, or nothing would be done at all.
fn margin(limit: Duration, p95: Option<Duration>) -> Duration {
    (2 * p95.unwrap_or_default()).max(MIN_MARGIN).min(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_percentile_is_taken_over_the_latest_leases() {
        let mut durations = LeaseDurations::default();
        assert_eq!(durations.p95(), None);
        (1..=1000).for_each(|_| durations.add(s(500)));
        (1..=64).for_each(|i| durations.add(s(i)));
        assert_eq!(durations.p95(), Some(s(61)));
    }

    #[test]
    fn the_end_of_time_is_met_with_a_margin_of_two_leases() {
        let limits = Limits { idle_timeout: None, time_limit: Some(s(3600)) };
        assert_eq!(reason_to_drain(limits, s(3500), None, Some(s(8))), None);
        assert_eq!(reason_to_drain(limits, s(3585), None, Some(s(8))), Some("15 s of its time are left, p95 lease 8.0 s".to_owned()));
        assert_eq!(reason_to_drain(limits, s(3589), None, None), None);
        assert!(reason_to_drain(limits, s(3590), None, None).is_some());
        assert!(reason_to_drain(limits, s(9999), None, None).is_some());
        let short = Limits { time_limit: Some(s(8)), ..limits };
        assert_eq!(reason_to_drain(short, s(3), None, Some(s(60))), None);
        assert!(reason_to_drain(short, s(4), None, Some(s(60))).is_some());
    }

    #[test]
    fn idling_ends_an_agent_only_where_that_is_asked() {
        let limits = Limits { idle_timeout: Some(s(60)), time_limit: None };
        assert_eq!(reason_to_drain(Limits::default(), s(9999), Some(s(9999)), None), None);
        assert_eq!(reason_to_drain(limits, s(100), Some(s(59)), None), None);
        assert_eq!(reason_to_drain(limits, s(100), Some(s(60)), None), Some("idle for 60 s".to_owned()));
        assert_eq!(reason_to_drain(limits, s(100), None, None), None);
    }
}
