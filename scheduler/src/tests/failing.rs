//! Poison items, failing items, storage, bad agents.

use super::scenario::{Granted, Scenario, grants, range, terms};
use crate::action::{Action, Outcome};
use crate::event::{Event, JobTerms, Time};
use crate::view::AgentPhase;
use paceline_common::failure::{FailureKind, RunnerDeath};
use paceline_common::ids::{AgentId, JobId, StageIdx};

/// Agents run what they get, and die of `poison`.
fn work_with_poison(s: &mut Scenario, poison: u64) -> u32 {
    let mut n_deaths = 0;
    for _ in 0..500 {
        s.wait(50);
        let Some(first) = s.leases().first().copied() else {
            if s.outcome(1).is_some() {
                return n_deaths;
            }
            s.live(1_000, &[1, 2]);
            continue;
        };
        if first.range.contains(poison) {
            n_deaths += 1;
            s.runner_dies(first.agent, &[first]);
        } else {
            s.finish(first);
        }
    }
    panic!("it does not end: {:?}", s.leases());
}

#[test]
fn a_poison_item_is_found_by_halving_and_the_rest_is_done() {
    let mut s = Scenario::new();
    s.agent(1, 4);
    s.agent(2, 4);
    s.job(1, 1_000);
    let n_deaths = work_with_poison(&mut s, 617);
    assert_eq!(s.outcome(1), Some(Outcome::SucceededInPart { n_quarantined: 1 }));
    assert_eq!(s.scheduler.quarantined(JobId(1), StageIdx(0)), [range(617, 618)]);
    let quarantine = s.actions.iter().find(|a| matches!(a, Action::Quarantine { .. }));
    assert!(matches!(quarantine, Some(Action::Quarantine { item: 617, cause, .. }) if cause.contains("signal 11")), "{quarantine:?}");
    // Ten halvings at most, and three attempts alone.
    assert!(n_deaths <= 13, "{n_deaths} deaths");
}

#[test]
fn suspects_run_alone() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.job(1, 100);
    let held = s.leases();
    let granted = grants(&s.runner_dies(1, &held));
    assert_eq!(granted.iter().map(|g| g.alone).collect::<Vec<_>>(), [true]);
    assert_eq!(s.leases().len(), 1, "nothing beside it");
}

#[test]
fn what_a_dead_runner_had_not_begun_is_not_suspected() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.job(1, 8);
    let held = s.leases();
    assert_eq!(held.len(), 2);
    let (started, unstarted) = (vec![held[0].lease], vec![held[1].lease]);
    s.tell(Event::RunnerDied { agent: AgentId(1), leases: started, unstarted, death: RunnerDeath::OutOfMemory { limit_bytes: None } });
    let alone: Vec<_> = s.leases().iter().filter(|g| g.alone).map(|g| g.range).collect();
    assert!(alone.iter().all(|r| held[0].range.contains(r.start)), "{alone:?}");
}

#[test]
fn too_many_set_aside_end_the_job_and_a_retry_tries_them_afresh() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.job_with(1, 10, JobTerms { max_failures: Some(0), ..terms(1) });
    fail_item(&mut s, 3);
    assert!(matches!(s.outcome(1), Some(Outcome::Failed { .. })), "{:?}", s.outcome(1));
    let actions = s.tell(Event::RetryAsked { job: JobId(1) });
    assert_eq!(actions[0], Action::ResumeJob { job: JobId(1) });
    s.finish_all(10, 100);
    assert_eq!(s.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(s.scheduler.committed(JobId(1), StageIdx(0)), [range(0, 10)]);
}

/// Works until the item is set aside, with every lease that holds it failing by it.
fn fail_item(s: &mut Scenario, item: u64) {
    for _ in 0..100 {
        s.wait(10);
        let Some(first) = s.leases().first().copied() else { return };
        if first.range.contains(item) {
            s.fail(first, Some(item), FailureKind::Item);
        } else {
            s.finish(first);
        }
        if s.actions.iter().any(|a| matches!(a, Action::Quarantine { .. })) {
            return;
        }
    }
}

#[test]
fn a_failing_item_is_set_aside_after_its_attempts_and_clears_the_others() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.job(1, 10);
    fail_item(&mut s, 3);
    let n_failures = |s: &Scenario| grants(&s.actions).iter().filter(|g| g.range.contains(3)).count();
    assert_eq!(n_failures(&s), 3);
    s.finish_all(10, 100);
    assert_eq!(s.outcome(1), Some(Outcome::SucceededInPart { n_quarantined: 1 }));
}

#[test]
fn a_barrier_that_needs_every_item_stops_and_one_that_does_not_goes_on() {
    for tolerates in [false, true] {
        let mut s = Scenario::new();
        s.agent(1, 1);
        s.job_with(1, 2, JobTerms { tolerates_missing_items: vec![tolerates, false], ..terms(2) });
        fail_item(&mut s, 0);
        while let Some(granted) = s.leases().first().copied() {
            s.finish(granted);
        }
        assert_eq!(s.outcome(1).is_some(), !tolerates);
        if tolerates {
            s.stage(1, 1, 1);
            s.finish_all(1, 5);
            assert_eq!(s.outcome(1), Some(Outcome::SucceededInPart { n_quarantined: 1 }));
        } else {
            assert!(matches!(s.outcome(1), Some(Outcome::Failed { reason }) if reason.contains("stage 0")));
        }
    }
}

#[test]
fn storage_is_tried_again_elsewhere_a_bounded_number_of_times() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.agent(2, 1);
    let mut held: Granted = s.job(1, 1)[0];
    let mut holders = vec![held.agent];
    for _ in 0..100 {
        s.fail(held, None, FailureKind::Storage);
        if s.outcome(1).is_some() {
            break;
        }
        assert!(s.leases().is_empty(), "it rests first");
        while s.leases().is_empty() {
            s.live(100, &[1, 2]);
        }
        held = s.leases()[0];
        holders.push(held.agent);
    }
    assert_eq!(holders.len(), 8);
    assert_eq!(holders[..2], [1, 2], "not where it failed");
    assert!(matches!(s.outcome(1), Some(Outcome::Failed { reason }) if reason.contains("8 attempts")));
}

#[test]
fn an_agent_that_only_fails_is_left_out_for_a_growing_time() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.job(1, 1_000_000);
    let mut rests = Vec::new();
    for _ in 0..3 {
        while let Some(held) = s.leases().first().copied() {
            s.wait(1);
            s.fail(held, None, FailureKind::Storage);
        }
        assert_eq!(s.scheduler.agent(AgentId(1), Time(s.now_ns)).unwrap().phase, AgentPhase::Excluded);
        let from = s.now_ns;
        while s.leases().is_empty() {
            s.live(100, &[1]);
        }
        rests.push((s.now_ns - from) / 1_000_000_000);
    }
    assert!(rests[1] > rests[0] && rests[2] > rests[1], "{rests:?}");
}

#[test]
fn a_poison_item_that_is_held_twice_is_still_found() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.agent(2, 1);
    s.job(1, 1);
    for _ in 0..20 {
        // The holder is silent for so long that the other agent repeats the item; then one copy after the other dies.
        let holder = s.leases().first().map_or(1, |g| g.agent);
        s.live(4_000, &[3 - holder]);
        if let Some(copy) = s.leases().last().copied() {
            s.runner_dies(copy.agent, &[copy]);
        }
        if s.outcome(1).is_some() {
            break;
        }
        s.live(200, &[1, 2]);
    }
    assert!(matches!(s.outcome(1), Some(Outcome::Failed { .. })), "{:?}", s.leases());
}
