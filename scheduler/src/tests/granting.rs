//! Sizes of leases, prefetching, stealing, speculation.

use super::scenario::{Granted, MS, Scenario, accepted, grants, range};
use crate::action::{Action, Outcome};
use crate::event::{Event, Time};
use paceline_common::ids::{AgentId, JobId};

#[test]
fn one_item_goes_to_one_agent_at_once() {
    let mut s = Scenario::new();
    s.agent(1, 4);
    let granted = s.job(1, 1);
    assert_eq!(granted.len(), 1);
    assert_eq!((granted[0].range, granted[0].cores), (range(0, 1), 1));
    let end = s.finish(granted[0]);
    assert_eq!(accepted(&end), [range(0, 1)]);
    assert!(matches!(end.last(), Some(Action::EndJob { outcome: Outcome::Succeeded, .. })));
}

#[test]
fn lease_ids_begin_after_the_first_of_the_epoch() {
    let mut s = Scenario::of_epoch(3);
    s.agent(1, 1);
    assert_eq!(s.job(1, 1)[0].lease.0, paceline_common::ids::Epoch(3).first_id() + 1);
}

#[test]
fn few_long_items_are_spread_over_idle_agents() {
    let mut s = Scenario::new();
    s.agent(1, 32);
    s.agent(2, 32);
    let granted = s.job(1, 16);
    assert_eq!(granted.iter().map(|g| (g.agent, g.range.len())).collect::<Vec<_>>(), [(1, 8), (2, 8)]);
}

#[test]
fn a_second_lease_waits_behind_the_first_and_no_third() {
    let mut s = Scenario::new();
    s.agent(1, 4);
    let granted = s.job(1, 1_000);
    assert_eq!(granted.iter().map(|g| g.range.len()).collect::<Vec<_>>(), [4, 4]);
}

#[test]
fn ten_million_items_of_nothing_need_few_leases() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.agent(2, 2);
    s.job(1, 10_000_000);
    // 10^7 items a second and agent, and 2 ms there and back.
    for _ in 0..60 {
        let leases = s.leases();
        let Some(longest) = leases.iter().map(|g| g.range.len()).max() else { break };
        s.now_ns += 2 * MS + longest * 100;
        leases.into_iter().for_each(|granted| {
            s.finish(granted);
        });
    }
    assert_eq!(s.outcome(1), Some(Outcome::Succeeded));
    let n_leases = grants(&s.actions).len();
    assert!(n_leases <= 60, "{n_leases} leases");
    assert!(s.now_ns < 1_500 * MS, "{} ms", s.now_ns / MS);
}

#[test]
fn leases_grow_to_about_the_target_and_shrink_towards_the_end() {
    let mut s = Scenario::new();
    s.agent(1, 4);
    s.job(1, 20_000);
    let mut durations = Vec::new();
    // An item takes 10 ms on a core.
    while let Some(first) = s.leases().first().copied() {
        let ms = first.range.len() * 10 / 4 + 1;
        durations.push(ms);
        s.wait(ms);
        s.finish(first);
    }
    let longest = durations.iter().copied().max().unwrap();
    assert!((1_000..=1_500).contains(&longest), "{longest} ms");
    assert!(*durations.last().unwrap() <= 100, "{durations:?}");
    assert!(durations.len() < 80, "{} leases", durations.len());
}

#[test]
fn a_fast_agent_gets_larger_leases() {
    let mut s = Scenario::new();
    s.agent(1, 4);
    s.agent(2, 4);
    s.job(1, 1_000_000);
    for round in 1..=400_u64 {
        s.wait(10);
        for granted in s.leases() {
            // The first agent does 10 items a millisecond, the second 1.
            let speed = if granted.agent == 1 { 10 } else { 1 };
            let is_first = s.leases().iter().find(|g| g.agent == granted.agent) == Some(&granted);
            if is_first && round * 10 * speed % granted.range.len().max(1) < 10 * speed {
                s.finish(granted);
            }
        }
    }
    let of = |agent| s.leases().iter().filter(|g| g.agent == agent).map(|g| g.range.len()).max().unwrap();
    assert!(of(1) > 3 * of(2), "{} and {}", of(1), of(2));
}

/// Agent 1 at work on items of a second each, until nothing is open: one lease at work, one not begun behind it.
fn one_busy_agent() -> (Scenario, Vec<Granted>) {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.job(1, 12);
    while s.scheduler.job(JobId(1), Time(0)).unwrap().n_committed < 10 {
        s.wait(1_000);
        let first = s.leases()[0];
        s.finish(first);
    }
    let held = s.leases();
    assert_eq!(held.iter().map(|g| g.range).collect::<Vec<_>>(), [range(10, 11), range(11, 12)]);
    s.report(1, &[(held[0].lease, 11, 0), (held[1].lease, 11, 0)]);
    (s, held)
}

#[test]
fn an_idle_agent_gets_what_the_one_that_ends_last_has_not_begun() {
    let (mut s, held) = one_busy_agent();
    s.agent(2, 1);
    assert_eq!(s.actions.last(), Some(&Action::Shorten { agent: AgentId(1), lease: held[1].lease, end: 11 }));
    let granted = grants(&s.shortened(held[1], 11));
    assert_eq!(granted.iter().map(|g| (g.agent, g.range)).collect::<Vec<_>>(), [(2, range(11, 12))]);
}

#[test]
fn both_end_together_after_a_steal() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.job(1, 1_000);
    // An item a millisecond, until nothing is open.
    while s.scheduler.job(JobId(1), Time(0)).unwrap().n_committed + s.leases().iter().map(|g| g.range.len()).sum::<u64>() < 1_000 {
        let first = s.leases()[0];
        s.wait(first.range.len());
        s.finish(first);
    }
    let left: u64 = s.leases().iter().map(|g| g.range.len()).sum();
    s.agent(2, 1);
    let Some(Action::Shorten { lease, end, .. }) = s.actions.last().cloned() else { panic!("nobody was asked") };
    let victim = s.leases().into_iter().find(|g| g.lease == lease).unwrap();
    let given = victim.range.end - end;
    assert!(given.abs_diff(left / 2) <= 1 || end == victim.range.start, "{given} of {left}");
}

#[test]
fn the_answer_to_a_shortening_decides_and_one_is_asked_at_a_time() {
    let (mut s, held) = one_busy_agent();
    s.agent(2, 1);
    s.agent(3, 1);
    s.live(500, &[1, 2, 3]);
    let asked = s.actions.iter().filter(|a| matches!(a, Action::Shorten { lease, .. } if *lease == held[1].lease)).count();
    assert_eq!(asked, 1);
    // By now a thread has claimed it: nothing is freed, and nothing is handed out.
    assert!(grants(&s.shortened(held[1], 12)).is_empty());
    assert_eq!(s.leases(), held);
}

#[test]
fn an_agent_that_never_answers_is_asked_again_and_blocks_nobody() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.job(1, 2);
    let held = s.leases();
    assert_eq!(held.len(), 2, "one at work, one behind it");
    s.report(1, &[(held[0].lease, 1, 0), (held[1].lease, 1, 0)]);
    s.agent(2, 1);
    let n_asked = |s: &Scenario| s.actions.iter().filter(|a| matches!(a, Action::Shorten { .. })).count();
    assert_eq!(n_asked(&s), 1);
    s.live(2_500, &[1, 2]);
    assert!(n_asked(&s) >= 2, "asked {} times", n_asked(&s));
}

#[test]
fn what_a_silent_agent_holds_is_repeated_and_the_first_result_wins() {
    let mut s = Scenario::new();
    s.agent(1, 4);
    let first = s.job(1, 4)[0];
    s.agent(2, 4);
    let repeated = grants(&s.live(4_000, &[2]));
    assert_eq!(repeated.iter().map(|g| (g.agent, g.range)).collect::<Vec<_>>(), [(2, range(0, 4))]);
    let end = s.finish(repeated[0]);
    assert_eq!(accepted(&end), [range(0, 4)]);
    assert!(end.iter().any(|a| matches!(a, Action::Revoke { lease, .. } if *lease == first.lease)));
    // The frozen agent comes back with its result: it is dropped and counted.
    let late = s.finish(first);
    assert!(accepted(&late).is_empty());
    assert_eq!(s.scheduler.n_stale_reports(), 1);
}

#[test]
fn overlapping_results_are_accepted_only_where_they_are_new() {
    let mut s = Scenario::new();
    s.agent(1, 8);
    let slow = s.job(1, 8)[0];
    s.agent(2, 2);
    s.agent(3, 2);
    let copies = grants(&s.live(3_100, &[2, 3]));
    assert!(copies.len() >= 2, "{copies:?}");
    s.finish(copies[1]);
    let end = s.finish(slow);
    let accepted = accepted(&end);
    assert_eq!(accepted.iter().map(|r| r.len()).sum::<u64>(), 8 - copies[1].range.len());
    assert!(accepted.iter().all(|r| r.intersect(copies[1].range).is_empty()));
    assert_eq!(s.outcome(1), Some(Outcome::Succeeded));
    let status = s.scheduler.job(JobId(1), Time(s.now_ns)).unwrap();
    assert_eq!(status.n_duplicates_dropped, copies[1].range.len());
}

#[test]
fn a_lost_grant_goes_out_again_under_a_new_number() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    let lost = s.job(1, 1)[0];
    for _ in 0..70 {
        s.wait(100);
        s.report(1, &[]);
    }
    let again = s.leases()[0];
    assert_ne!(again.lease, lost.lease);
    assert_eq!(again.range, lost.range);
    assert!(s.actions.iter().any(|a| matches!(a, Action::Revoke { lease, .. } if *lease == lost.lease)));
}

#[test]
fn a_lease_that_nobody_granted_is_revoked() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    let unknown = paceline_common::ids::LeaseId(77);
    assert_eq!(s.report(1, &[(unknown, 0, 0)]), [Action::Revoke { agent: AgentId(1), lease: unknown }]);
    assert_eq!(s.scheduler.n_stale_reports(), 1);
}

#[test]
fn the_same_events_give_the_same_actions() {
    let run = || {
        let mut s = Scenario::new();
        (1..=20).for_each(|agent| drop(s.agent(agent, 1 + agent as u32 % 3)));
        s.job(1, 5_000);
        s.job(2, 70);
        s.finish_all(40, 1_000);
        s.actions
    };
    assert_eq!(run(), run());
}

#[test]
fn memory_does_not_grow_with_the_number_of_items() {
    let kept = |n_items: u64| {
        let mut s = Scenario::new();
        (1..=10).for_each(|agent| drop(s.agent(agent, 4)));
        s.job(1, n_items);
        (0..50).for_each(|_| {
            s.wait(100);
            s.leases().into_iter().step_by(2).for_each(|g| drop(s.finish(g)));
        });
        s.scheduler.n_kept()
    };
    let (few, many) = (kept(1_000_000), kept(100_000_000_000));
    assert!(many <= few + 50, "{few} and {many} things kept");
}

#[test]
fn events_of_nobody_do_no_harm() {
    let mut s = Scenario::new();
    let (agent, lease, job) = (AgentId(9), paceline_common::ids::LeaseId(9), JobId(9));
    s.tell(Event::RangeFinished { agent, lease, end: 5 });
    s.tell(Event::LeaseShortened { agent, lease, end: 5 });
    s.tell(Event::AgentLost { agent });
    s.tell(Event::DrainAsked { agent });
    s.tell(Event::CancelAsked { job });
    s.tell(Event::RetryAsked { job });
    s.tell(Event::Restored { job, stage: paceline_common::ids::StageIdx(3), items: range(0, 9) });
    assert!(s.actions.is_empty());
}
