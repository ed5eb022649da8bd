//! Agents that fall silent, are lost or drain.

use super::scenario::{Scenario, grants, range};
use crate::action::{Action, Outcome};
use crate::event::{Event, Time};
use crate::view::AgentPhase;
use paceline_common::ids::AgentId;

#[test]
fn what_a_lost_agent_held_goes_elsewhere_at_once_and_costs_no_attempt() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.job(1, 2);
    s.agent(2, 2);
    for lost in 1..=5 {
        let granted = grants(&s.tell(Event::AgentLost { agent: AgentId(lost) }));
        assert_eq!(granted.iter().map(|g| (g.agent, g.range, g.alone)).collect::<Vec<_>>(), [(lost + 1, range(0, 2), false)]);
        s.agent(lost + 2, 2);
    }
    s.finish_all(1, 3);
    assert_eq!(s.outcome(1), Some(Outcome::Succeeded));
}

#[test]
fn a_silent_agent_gets_nothing_new_and_is_dropped_in_the_end() {
    let mut s = Scenario::new();
    s.agent(1, 1);
    s.live(3_000, &[]);
    assert_eq!(s.scheduler.agent(AgentId(1), Time(s.now_ns)).unwrap().phase, AgentPhase::Silent);
    assert!(s.job(1, 1).is_empty());
    assert_eq!(grants(&s.report(1, &[])).len(), 1, "it is back");
    s.live(14_000, &[]);
    let held: Vec<_> = s.leases().iter().map(|lease| (lease.lease, lease.range)).collect();
    assert!(!held.is_empty());
    let actions = s.live(2_000, &[]);
    let dropped = actions.iter().find_map(|a| if let Action::DropAgent { agent, leases } = a { Some((agent, leases)) } else { None });
    let (agent, leases) = dropped.unwrap();
    assert_eq!(*agent, AgentId(1));
    assert_eq!(leases.iter().map(|lease| (lease.lease, lease.range)).collect::<Vec<_>>(), held, "what it held is told");
    assert!(s.leases().is_empty() && s.scheduler.agent(AgentId(1), Time(s.now_ns)).is_none());
}

#[test]
fn a_draining_agent_finishes_what_it_has_claimed_and_is_released() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    s.job(1, 100);
    let held = s.leases();
    s.report(1, &[(held[0].lease, held[0].range.start + 1, 0), (held[1].lease, held[1].range.start, 0)]);
    let actions = s.tell(Event::DrainAsked { agent: AgentId(1) });
    let asked: Vec<_> =
        actions.iter().filter_map(|a| if let Action::Shorten { lease, end, .. } = a { Some((*lease, *end)) } else { None }).collect();
    assert_eq!(asked, [(held[0].lease, held[0].range.start + 1), (held[1].lease, held[1].range.start)]);
    assert!(grants(&s.shortened(held[1], held[1].range.start)).is_empty(), "nothing new for it");
    s.shortened(held[0], held[0].range.start + 1);
    let last = s.leases()[0];
    let actions = s.finish(last);
    assert_eq!(actions.last(), Some(&Action::Release { agent: AgentId(1) }));
    s.wait(1_500);
    assert_eq!(s.report(1, &[]), [Action::Release { agent: AgentId(1) }], "it has not heard of it");
}

#[test]
fn an_idle_agent_that_drains_is_released_at_once() {
    let mut s = Scenario::new();
    s.agent(1, 2);
    assert_eq!(s.tell(Event::DrainAsked { agent: AgentId(1) }), [Action::Release { agent: AgentId(1) }]);
}
