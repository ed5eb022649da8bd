//! Stages and barriers, ends, retries, restarts.

use super::scenario::{Scenario, grants, range, terms};
use crate::action::{Action, Outcome};
use crate::event::{Event, HeldLease, JobTerms, Time};
use crate::explain::Reason;
use paceline_common::failure::{Failure, FailureKind};
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};

fn starts(actions: &[Action]) -> Vec<u32> {
    actions.iter().filter_map(|a| if let Action::StartStage { stage, .. } = a { Some(stage.0) } else { None }).collect()
}

#[test]
fn a_stage_begins_when_the_one_before_is_done() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    assert_eq!(starts(&s.tell(Event::JobSubmitted { job: JobId(1), terms: terms(3) })), [0]);
    let granted = s.stage(1, 0, 3);
    assert_eq!(starts(&s.finish(granted[0])), [] as [u32; 0]);
    let last = s.leases()[0];
    assert_eq!(starts(&s.finish(last)), [1]);
    // A stage without items is over at once.
    let actions = s.tell(Event::StageSized { job: JobId(1), stage: StageIdx(1), n_items: 0 });
    assert_eq!(starts(&actions), [2]);
    s.stage(1, 2, 1);
    s.finish_all(1, 5);
    assert_eq!(s.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(s.scheduler.committed(JobId(1), StageIdx(0)), [range(0, 3)]);
    let stages = s.scheduler.job(JobId(1), Time(s.now_ns)).unwrap().stages;
    assert_eq!(stages.iter().map(|stage| stage.n_committed).collect::<Vec<_>>(), [3, 0, 1]);
}

#[test]
fn cancelling_revokes_every_lease_and_comes_last() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    let granted = s.job(1, 100);
    let actions = s.tell(Event::CancelAsked { job: JobId(1) });
    let revoked = actions.iter().filter(|a| matches!(a, Action::Revoke { .. })).count();
    assert_eq!(revoked, granted.len());
    assert_eq!(actions.last(), Some(&Action::EndJob { job: JobId(1), outcome: Outcome::Cancelled }));
    assert!(s.finish(granted[0]).is_empty());
    assert!(s.tell(Event::RetryAsked { job: JobId(1) }).is_empty());
    assert!(s.scheduler.forget_job(JobId(1)));
    assert!(!s.scheduler.forget_job(JobId(1)));
}

#[test]
fn a_full_disk_pauses_and_a_retry_resumes() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    let granted = s.job(1, 5);
    let actions = s.fail(granted[0], None, FailureKind::NoSpace);
    assert!(matches!(actions.as_slice(), [Action::PauseJob { .. }]));
    assert!(matches!(s.scheduler.explain(JobId(1), Time(s.now_ns))[..], [Reason::Paused { .. }]));
    let actions = s.tell(Event::RetryAsked { job: JobId(1) });
    assert_eq!(actions[0], Action::ResumeJob { job: JobId(1) });
    assert!(!grants(&actions).is_empty());
    let granted = s.leases()[0];
    s.fail(granted, None, FailureKind::NoSpace);
    let later = s.live(61_000, &[1]);
    assert!(later.contains(&Action::ResumeJob { job: JobId(1) }), "it goes on by itself");
    s.finish_all(1, 50);
    assert_eq!(s.outcome(1), Some(Outcome::Succeeded));
}

#[test]
fn a_stage_that_cannot_be_sized_for_want_of_room_is_started_again() {
    let mut s = Scenario::new();
    s.tell(Event::JobSubmitted { job: JobId(1), terms: terms(1) });
    let failure = Failure { kind: FailureKind::NoSpace, message: "full".to_owned() };
    s.tell(Event::JobBroken { job: JobId(1), failure });
    let actions = s.tell(Event::RetryAsked { job: JobId(1) });
    assert_eq!(actions, [Action::ResumeJob { job: JobId(1) }, Action::StartStage { job: JobId(1), stage: StageIdx(0) }]);
}

#[test]
fn bad_input_ends_the_job_at_once() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    let granted = s.job(1, 50);
    let actions = s.fail(granted[0], Some(0), FailureKind::BadInput);
    assert!(matches!(actions.last(), Some(Action::EndJob { outcome: Outcome::BadInput { .. }, .. })));
    assert!(s.leases().is_empty());
}

#[test]
fn what_was_committed_before_a_restart_is_not_leased_again() {
    for restored_first in [true, false] {
        let mut s = Scenario::of_epoch(2);
        s.tell(Event::JobSubmitted { job: JobId(1), terms: JobTerms { tolerates_missing_items: vec![true, true], ..terms(2) } });
        let sized = Event::StageSized { job: JobId(1), stage: StageIdx(0), n_items: 10 };
        let restored = Event::Restored { job: JobId(1), stage: StageIdx(0), items: range(0, 6) };
        let set_aside = Event::RestoredQuarantine { job: JobId(1), stage: StageIdx(0), item: 7 };
        let events = if restored_first { [restored, set_aside, sized] } else { [sized, restored, set_aside] };
        events.into_iter().for_each(|event| drop(s.tell(event)));
        s.agent(1, 1);
        s.live(2_000, &[1]);
        s.finish_all_of_stage();
        let leased: Vec<_> = grants(&s.actions).iter().map(|g| g.range).collect();
        assert!(leased.iter().all(|r| r.intersect(range(0, 6)).is_empty() && !r.contains(7)), "{leased:?}");
        assert_eq!(starts(&s.actions), [0, 1]);
    }
}

impl Scenario {
    fn finish_all_of_stage(&mut self) {
        while let Some(granted) = self.leases().first().copied() {
            self.wait(1);
            self.finish(granted);
        }
    }
}

#[test]
fn agents_that_come_back_after_a_restart_keep_what_they_hold() {
    let mut s = Scenario::of_epoch(2);
    s.job(1, 100);
    let held =
        |lease: u64, start, end| HeldLease { lease: LeaseId(lease), job: JobId(1), stage: StageIdx(0), range: range(start, end), cores: 2 };
    s.tell(Event::Restored { job: JobId(1), stage: StageIdx(0), items: range(0, 10) });
    assert!(grants(&s.returning(1, 2, vec![])).is_empty(), "the others are given time to come back");
    let settled = held(5, 0, 10);
    let actions = s.returning(2, 2, vec![held(6, 10, 40), settled]);
    assert_eq!(actions, [Action::Revoke { agent: AgentId(2), lease: LeaseId(5) }]);
    // The same items under another number belong to the first who brought them.
    let actions = s.returning(3, 2, vec![held(7, 35, 38)]);
    assert_eq!(actions, [Action::Revoke { agent: AgentId(3), lease: LeaseId(7) }]);
    let granted = grants(&s.live(2_000, &[1, 2, 3]));
    assert!(!granted.is_empty() && granted.iter().all(|g| g.range.start >= 40), "{granted:?}");
    let end = s.tell(Event::RangeFinished { agent: AgentId(2), lease: LeaseId(6), end: 40 });
    assert_eq!(super::scenario::accepted(&end), [range(10, 40)]);
}

#[test]
fn a_reconnected_agent_takes_its_leases_to_its_new_number() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    let granted = s.job(1, 1)[0];
    let held = HeldLease { lease: granted.lease, job: JobId(1), stage: StageIdx(0), range: granted.range, cores: 1 };
    assert!(!s.returning(2, 1, vec![held]).iter().any(|a| matches!(a, Action::Revoke { .. } | Action::Grant { .. })));
    assert_eq!(s.leases().iter().map(|g| (g.agent, g.lease)).collect::<Vec<_>>(), [(2, granted.lease)]);
}

#[test]
fn every_state_is_explained() {
    let mut s = Scenario::new();
    let explain = |s: &Scenario| s.scheduler.explain(JobId(1), Time(s.now_ns));
    assert!(explain(&s).is_empty());
    s.tell(Event::JobSubmitted { job: JobId(1), terms: JobTerms { max_cores: Some(1), ..terms(1) } });
    assert!(matches!(explain(&s)[..], [Reason::Sizing { .. }]));
    s.stage(1, 0, 10);
    assert!(matches!(explain(&s)[..], [Reason::NoAgents]));
    s.agent(1, 4);
    assert!(matches!(explain(&s)[..], [Reason::CapReached { max_cores: 1 }, Reason::AtWork { .. }]));
    s.live(3_000, &[]);
    assert!(matches!(explain(&s)[0], Reason::NoUsableAgents { n_silent: 1, .. }));
    s.tell(Event::CancelAsked { job: JobId(1) });
    assert!(matches!(explain(&s)[..], [Reason::Over { .. }]));
    assert!(explain(&s)[0].to_string().contains("cancelled"));
}
