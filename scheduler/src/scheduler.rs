//! The machine itself: its state, and which part of it answers which event.

use crate::action::Action;
use crate::agent::Agent;
use crate::event::{Event, Time};
use crate::index::Index;
use crate::job::Job;
use crate::lease::{Lease, LeaseCounter};
use crate::policy::Policy;
use paceline_common::ids::{AgentId, Epoch, JobId, LeaseId};
use std::collections::BTreeMap;

/// All jobs, agents and leases. The same events at the same times give the same actions.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) policy: Policy,
    pub(crate) now: Time,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) leases: BTreeMap<LeaseId, Lease>,
    pub(crate) index: Index,
    pub(crate) counter: LeaseCounter,
    /// Virtual time of the job served last: a new job begins there, so that it owes and is owed nothing.
    pub(crate) virtual_time: u64,
    /// Whether there may be agents that hold leases of an earlier life.
    pub(crate) is_restart: bool,
    /// Until when jobs from before a restart wait for agents from before it; `None` before the first agent came.
    pub(crate) reattach_until: Option<Time>,
    pub(crate) n_stale_reports: u64,
    /// Actions of the event at hand.
    pub(crate) actions: Vec<Action>,
}

impl Scheduler {
    /// Without jobs and agents. Leases are numbered from `epoch.first_id() + 1`.
    #[must_use]
    pub fn new(policy: Policy, epoch: Epoch) -> Self {
        Self {
            policy,
            now: Time::default(),
            jobs: BTreeMap::new(),
            agents: BTreeMap::new(),
            leases: BTreeMap::new(),
            index: Index::default(),
            counter: LeaseCounter(epoch.first_id()),
            virtual_time: 0,
            is_restart: epoch > Epoch(1),
            reattach_until: None,
            n_stale_reports: 0,
            actions: Vec::new(),
        }
    }

    /// Takes note of a past fact and answers with what must be done, in order.
    #[must_use]
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.handle_into(now, event, &mut actions);
        actions
    }

    /// The same, with the actions added to the end of `actions`.
    pub fn handle_into(&mut self, now: Time, event: Event, actions: &mut Vec<Action>) {
        // Time never runs backwards here, whatever the driver reads from its clock.
        self.now = self.now.max(now);
        std::mem::swap(&mut self.actions, actions);
        self.take_note(event);
        self.lease_out_open_items();
        self.let_idle_agents_steal();
        self.release_drained_agents();
        std::mem::swap(&mut self.actions, actions);
    }

    fn take_note(&mut self, event: Event) {
        match event {
            Event::JobSubmitted { job, terms } => self.submit_job(job, terms),
            Event::StageSized { job, stage, n_items } => self.size_stage(job, stage, n_items),
            Event::Restored { job, stage, items } => self.restore_committed(job, stage, items),
            Event::RestoredQuarantine { job, stage, item } => self.restore_quarantined(job, stage, item),
            Event::JobBroken { job, failure } => self.break_job(job, failure),
            Event::CancelAsked { job } => self.cancel_job(job),
            Event::RetryAsked { job } => self.retry_job(job),
            Event::AgentJoined { agent, cores, held } => self.join_agent(agent, cores, &held),
            Event::AgentReported { agent, leases } => self.hear_report(agent, &leases),
            Event::AgentLost { agent } => self.lose_agent(agent),
            Event::DrainAsked { agent } => self.drain_agent(agent),
            Event::RangeFinished { agent, lease, end } => self.finish_range(agent, lease, end),
            Event::LeaseShortened { agent, lease, end } => self.shorten_lease(agent, lease, end),
            Event::RangeFailed { agent, lease, item, failure } => self.fail_range(agent, lease, item, &failure),
            Event::RunnerDied { agent, leases, unstarted, death } => self.bury_runner(agent, &leases, &unstarted, &death),
            Event::Tick => self.pass_time(),
        }
    }

    fn pass_time(&mut self) {
        self.find_silent_agents();
        self.resume_paused_jobs();
        self.end_wait_for_old_agents();
        // What could not be stolen a while ago may be worth it now.
        self.index.thieves = self.index.hungry.iter().take_while(|key| key.n_leases == 0).map(|key| key.agent).collect();
        self.lease_out_open_items();
        self.let_idle_agents_steal();
        self.let_idle_agents_speculate();
    }
}
