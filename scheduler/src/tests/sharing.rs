//! Several jobs: priorities, caps, promptness.

use super::scenario::{Scenario, terms};
use crate::action::Action;
use crate::event::JobTerms;
use paceline_common::ids::AgentId;
use std::collections::BTreeMap;

/// Items that each job gets done while both have work, with items of equal cost.
fn shares(priorities: [u32; 2]) -> [u64; 2] {
    let mut s = Scenario::new();
    (1..=4).for_each(|agent| drop(s.agent(agent, 2)));
    for (idx, priority) in priorities.into_iter().enumerate() {
        s.job_with(idx as u32 + 1, 1 << 40, JobTerms { priority, ..terms(1) });
    }
    let mut done = BTreeMap::from([(1, 0), (2, 0)]);
    for _ in 0..2_000 {
        // The oldest lease of each agent ends when its items have had their time: 1 ms an item and core.
        let first = s.leases().into_iter().fold(BTreeMap::new(), |mut by_agent, g| {
            by_agent.entry(g.agent).or_insert(g);
            by_agent
        });
        let next = first.values().min_by_key(|g| g.range.len()).copied().unwrap();
        s.now_ns += next.range.len() * 1_000_000 / 8;
        *done.get_mut(&next.job).unwrap() += next.range.len();
        s.finish(next);
    }
    [done[&1], done[&2]]
}

#[test]
fn equal_priorities_share_equally() {
    let [one, other] = shares([100, 100]);
    let ratio = one as f64 / other as f64;
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}

#[test]
fn thrice_the_priority_gets_thrice_the_cores() {
    let [one, other] = shares([300, 100]);
    let ratio = one as f64 / other as f64;
    assert!((2.4..3.75).contains(&ratio), "{ratio}");
}

#[test]
fn a_cap_is_never_exceeded_and_leaves_the_rest_to_others() {
    let mut s = Scenario::new();
    (1..=3).for_each(|agent| drop(s.agent(agent, 4)));
    s.job_with(1, 10_000, JobTerms { max_cores: Some(6), ..terms(1) });
    let booked = |s: &Scenario, job: u32| -> u32 { s.leases().iter().filter(|g| g.job == job).map(|g| g.cores).sum() };
    // Four cores of one agent (with a second lease behind), two of another.
    let by_agent = s.leases().iter().fold(BTreeMap::new(), |mut by_agent: BTreeMap<u64, u32>, g| {
        *by_agent.entry(g.agent).or_default() += g.cores;
        by_agent
    });
    assert!(by_agent.values().map(|cores| (*cores).min(4)).sum::<u32>() <= 6, "{by_agent:?}");
    s.job(2, 10_000);
    assert!(booked(&s, 2) >= 6, "{:?}", s.leases());
    for _ in 0..50 {
        s.wait(10);
        let leases = s.leases();
        if let Some(granted) = leases.get(leases.len() / 2) {
            s.finish(*granted);
        }
    }
}

#[test]
fn a_cap_below_one_agent_holds_there_too() {
    let mut s = Scenario::new();
    s.agent(1, 8);
    s.job_with(1, 100, JobTerms { max_cores: Some(3), ..terms(1) });
    assert_eq!(s.leases().iter().map(|g| g.cores).sum::<u32>(), 3);
    s.finish_all(10, 1_000);
}

#[test]
fn a_new_job_is_served_before_an_old_one_goes_on() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.job(1, 1 << 40);
    for _ in 0..20 {
        s.wait(100);
        let first = s.leases()[0];
        s.finish(first);
    }
    s.job(2, 1);
    let first = s.leases()[0];
    s.wait(100);
    let granted = super::scenario::grants(&s.finish(first));
    assert_eq!(granted[0].job, 2);
}

#[test]
fn a_new_job_takes_the_place_of_a_lease_that_only_waits() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.job(1, 1_000);
    let held = s.leases();
    assert_eq!(held.len(), 2);
    s.report(1, &[(held[0].lease, held[0].range.end, 0), (held[1].lease, held[1].range.start, 0)]);
    s.job(2, 1);
    let asked = s.actions.last().cloned();
    assert_eq!(asked, Some(Action::Shorten { agent: AgentId(1), lease: held[1].lease, end: held[1].range.start }));
    let granted = super::scenario::grants(&s.shortened(held[1], held[1].range.start));
    assert_eq!(granted[0].job, 2);
}
