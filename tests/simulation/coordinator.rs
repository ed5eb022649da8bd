//! The coordinator of a history: what the real one does around the scheduler, with a journal that survives it.

use super::faults::MS;
use super::world::{Note, World, policy};
use paceline_common::failure::{Failure, FailureKind};
use paceline_common::ids::{AgentId, Epoch, JobId, StageIdx};
use paceline_scheduler::Scheduler;
use paceline_scheduler::action::{Action, Outcome};
use paceline_scheduler::event::{Event, HeldLease, Time};
use paceline_scheduler::view::JobPhase;

impl World {
    /// Gives the scheduler an event, checks everything, and does what it asks for.
    pub(super) fn tell(&mut self, event: Event) -> Result<(), String> {
        self.say(|_| format!("-> {event:?}"));
        self.counts.n_events += 1;
        let actions = self.scheduler.handle(Time(self.now), event);
        self.scheduler.check_invariants()?;
        // A coordinator may die between any two things that it does.
        let n_done = if std::mem::take(&mut self.crashes_soon) { self.random.below(actions.len() as u64 + 1) as usize } else { usize::MAX };
        for action in actions.iter().take(n_done) {
            self.say(|_| format!("   {action:?}"));
            self.note_action(action);
            let Self { truth, loads, sessions, .. } = self;
            truth.apply(action, loads, |agent| sessions.contains_key(&agent))?;
            self.act(action);
        }
        self.truth.check_caps(&self.scheduler, &self.nodes, &self.loads, Time(self.now))?;
        if n_done != usize::MAX {
            self.restart()?;
        }
        Ok(())
    }

    pub(super) fn note_action(&mut self, action: &Action) {
        let text = format!("{action:?}");
        let hash = text.bytes().fold(self.counts.actions_hash, |hash, byte| super::random::mix(hash ^ u64::from(byte)));
        self.counts.actions_hash = hash;
        self.count(match action {
            Action::Grant { alone: true, .. } => "grants alone",
            Action::Grant { .. } => "grants",
            Action::Shorten { .. } => "shortenings asked",
            Action::Revoke { .. } => "revocations",
            Action::Commit { part_items, accepted, .. } if accepted.first() != Some(part_items) => "commits in part",
            Action::Commit { .. } => "commits",
            Action::Quarantine { .. } => "quarantines",
            Action::StartStage { .. } => "stages",
            Action::PauseJob { .. } => "pauses",
            Action::ResumeJob { .. } => "resumptions",
            Action::EndJob { outcome: Outcome::Succeeded, .. } => "jobs succeeded",
            Action::EndJob { outcome: Outcome::SucceededInPart { .. }, .. } => "jobs succeeded in part",
            Action::EndJob { outcome: Outcome::Failed { .. }, .. } => "jobs failed",
            Action::EndJob { outcome: Outcome::BadInput { .. }, .. } => "jobs with bad input",
            Action::EndJob { outcome: Outcome::Cancelled, .. } => "jobs cancelled",
            Action::Release { .. } => "releases",
            Action::DropAgent { .. } => "agents dropped",
        });
        let leases = |agent: AgentId| self.scheduler.leases_of_agent(agent, Time(self.now));
        if let Action::Grant { agent, lease, .. } = action
            && leases(*agent).iter().any(|held| held.lease == *lease && held.speculative)
        {
            self.count("speculative grants");
        }
    }

    pub(super) fn act(&mut self, action: &Action) {
        match action {
            Action::Grant { agent, .. } | Action::Shorten { agent, .. } | Action::Revoke { agent, .. } | Action::Release { agent } => {
                if let Some(&node) = self.sessions.get(agent) {
                    self.send(node, Note::Down { node, session: *agent, order: action.clone() });
                }
            }
            Action::DropAgent { agent, .. } => {
                self.sessions.remove(agent);
            }
            Action::StartStage { job, stage } => {
                let delay = self.random.below(20 * MS);
                self.after(delay, Note::Size { job: *job, stage: *stage });
            }
            Action::Commit { .. }
            | Action::Quarantine { .. }
            | Action::PauseJob { .. }
            | Action::ResumeJob { .. }
            | Action::EndJob { .. } => {}
        }
    }

    pub(super) fn submit(&mut self, job: JobId) -> Result<(), String> {
        let Some(load) = self.loads.iter().find(|load| load.job == job).cloned() else { return Ok(()) };
        if !self.truth.jobs.contains_key(&job) {
            self.truth.submit(&load);
        }
        self.tell(Event::JobSubmitted { job, terms: load.terms })
    }

    /// A stage's size and what the journal knows of it. Stages from before a restart come without delay in one go.
    pub(super) fn size(&mut self, job: JobId, stage: StageIdx) -> Result<(), String> {
        let Some(load) = self.loads.iter().find(|load| load.job == job) else { return Ok(()) };
        let n_items = load.stages[stage.0 as usize].n_items;
        let is_expected = self.scheduler.job(job, Time(self.now)).is_some_and(|s| s.n_items.is_none() && s.stage == stage);
        let truth = self.truth.job(job)?;
        let is_new = truth.n_sized <= stage.0;
        if is_expected && is_new && self.random.chance(self.faults.p_no_space) {
            let failure = Failure { kind: FailureKind::NoSpace, message: "no room for the stage".to_owned() };
            return self.tell(Event::JobBroken { job, failure });
        }
        if is_expected {
            let truth = self.truth.job(job)?;
            truth.n_sized = truth.n_sized.max(stage.0 + 1);
        }
        let truth = self.truth.job(job)?;
        let (committed, quarantined) = (truth.committed[stage.0 as usize].clone(), truth.quarantined[stage.0 as usize].clone());
        let sized = Event::StageSized { job, stage, n_items };
        if is_new {
            return self.tell(sized);
        }
        // The journal may be told before the size or after it, unless agents are there already.
        let mut events: Vec<Event> = committed.iter().map(|items| Event::Restored { job, stage, items }).collect();
        let set_aside = quarantined.iter().flat_map(|range| range.start..range.end);
        events.extend(set_aside.map(|item| Event::RestoredQuarantine { job, stage, item }));
        let sized_first = self.sessions.is_empty() && self.random.chance(0.5);
        events.insert(if sized_first { 0 } else { events.len() }, sized);
        let epoch = self.epoch;
        for event in events {
            if self.epoch == epoch {
                self.tell(event)?;
            }
        }
        Ok(())
    }

    pub(super) fn restart(&mut self) -> Result<(), String> {
        self.say(|_| "the coordinator is started again".to_owned());
        self.count("restarts");
        self.epoch = Epoch(self.epoch.0 + 1);
        self.scheduler = Scheduler::new(policy(), self.epoch);
        self.sessions.clear();
        // What it meant to do dies with it.
        self.queue.retain(|_, note| !matches!(note, Note::Size { .. }));
        let open: Vec<JobId> = self.truth.jobs.iter().filter(|(_, truth)| truth.outcome.is_none()).map(|(job, _)| *job).collect();
        for job in open {
            self.truth.job(job)?.is_paused = false;
            self.resubmit(job)?;
        }
        Ok(())
    }

    /// Brings a job from the journal back at once, as a coordinator does before it listens.
    pub(super) fn resubmit(&mut self, job: JobId) -> Result<(), String> {
        let epoch = self.epoch;
        self.submit(job)?;
        while self.epoch == epoch {
            let status = self.scheduler.job(job, Time(self.now));
            let Some(stage) = status.filter(|status| status.phase == JobPhase::Sizing).map(|status| status.stage) else { break };
            if self.truth.job(job)?.n_sized <= stage.0 {
                break;
            }
            self.size(job, stage)?;
        }
        Ok(())
    }

    pub(super) fn receive(&mut self, node: usize, event: Event) -> Result<(), String> {
        let Some(session) = agent_of(&event) else { return Ok(()) };
        let is_known = self.sessions.contains_key(&session);
        self.tell(event)?;
        if !is_known {
            self.send(node, Note::Unwelcome { node, session });
        }
        Ok(())
    }

    pub(super) fn register(&mut self, node: usize, held: Vec<HeldLease>) -> Result<(), String> {
        let old: Vec<AgentId> = self.sessions.iter().filter(|(_, n)| **n == node).map(|(session, _)| *session).collect();
        for session in old {
            self.sessions.remove(&session);
            // Now and then the coordinator does not know that it is the same process.
            if self.random.chance(0.8) {
                self.tell(Event::AgentLost { agent: session })?;
            } else {
                self.sessions.insert(session, node);
            }
        }
        self.n_sessions += 1;
        let agent = AgentId(self.n_sessions);
        self.sessions.insert(agent, node);
        let n_held = held.len();
        self.tell(Event::AgentJoined { agent, cores: self.nodes[node].cores, held })?;
        if n_held > 0 && !self.scheduler.leases_of_agent(agent, Time(self.now)).is_empty() {
            self.count("adoptions or grants to returned agents");
        }
        self.send(node, Note::Welcome { node, session: agent });
        Ok(())
    }

    /// A person retries a job. One that ended before a restart is brought back with its set-aside items forgotten.
    pub(super) fn retry(&mut self, job: JobId) -> Result<(), String> {
        if self.scheduler.job(job, Time(self.now)).is_some() {
            return self.tell(Event::RetryAsked { job });
        }
        let truth = self.truth.job(job)?;
        truth.outcome = None;
        truth.forget_quarantine();
        self.resubmit(job)
    }
}

fn agent_of(event: &Event) -> Option<AgentId> {
    match event {
        Event::AgentReported { agent, .. }
        | Event::AgentLost { agent }
        | Event::DrainAsked { agent }
        | Event::RangeFinished { agent, .. }
        | Event::LeaseShortened { agent, .. }
        | Event::RangeFailed { agent, .. }
        | Event::RunnerDied { agent, .. }
        | Event::AgentJoined { agent, .. } => Some(*agent),
        _ => None,
    }
}
