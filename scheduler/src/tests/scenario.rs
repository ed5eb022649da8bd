//! A few words in which scenarios are written: `cluster.agent(1, 4)`, `cluster.finish(lease)`. The whole state is checked after each.

use crate::Scheduler;
use crate::action::{Action, Outcome};
use crate::event::{Event, HeldLease, JobTerms, Time};
use crate::policy::Policy;
use paceline_common::failure::{Failure, FailureKind, RunnerDeath};
use paceline_common::ids::{AgentId, Epoch, JobId, LeaseId, StageIdx};
use paceline_common::message::LeaseProgress;
use paceline_common::range::ItemRange;

pub const MS: u64 = 1_000_000;

/// A grant as a test looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub agent: u64,
    pub lease: LeaseId,
    pub job: u32,
    pub range: ItemRange,
    pub cores: u32,
    pub alone: bool,
}

/// A scheduler, its clock, and every action since the last look.
pub struct Scenario {
    pub scheduler: Scheduler,
    pub now_ns: u64,
    pub actions: Vec<Action>,
}

pub fn terms(n_stages: usize) -> JobTerms {
    JobTerms { priority: 100, max_cores: None, max_failures: None, tolerates_missing_items: vec![false; n_stages] }
}

impl Scenario {
    pub fn new() -> Self {
        Self::of_epoch(1)
    }

    pub fn of_epoch(epoch: u32) -> Self {
        Self { scheduler: Scheduler::new(Policy::default(), Epoch(epoch)), now_ns: 0, actions: Vec::new() }
    }

    pub fn tell(&mut self, event: Event) -> Vec<Action> {
        let told = format!("{event:?}");
        let actions = self.scheduler.handle(Time(self.now_ns), event);
        self.scheduler.check_invariants().unwrap_or_else(|why| panic!("after {told}: {why}"));
        self.actions.extend(actions.iter().cloned());
        actions
    }

    pub fn agent(&mut self, agent: u64, cores: u32) -> Vec<Granted> {
        grants(&self.tell(Event::AgentJoined { agent: AgentId(agent), cores, held: vec![] }))
    }

    pub fn returning(&mut self, agent: u64, cores: u32, held: Vec<HeldLease>) -> Vec<Action> {
        self.tell(Event::AgentJoined { agent: AgentId(agent), cores, held })
    }

    /// A job of one stage.
    pub fn job(&mut self, job: u32, n_items: u64) -> Vec<Granted> {
        self.job_with(job, n_items, terms(1))
    }

    pub fn job_with(&mut self, job: u32, n_items: u64, terms: JobTerms) -> Vec<Granted> {
        self.tell(Event::JobSubmitted { job: JobId(job), terms });
        self.stage(job, 0, n_items)
    }

    pub fn stage(&mut self, job: u32, stage: u32, n_items: u64) -> Vec<Granted> {
        grants(&self.tell(Event::StageSized { job: JobId(job), stage: StageIdx(stage), n_items }))
    }

    pub fn wait(&mut self, ms: u64) {
        self.now_ns += ms * MS;
    }

    /// Time passes, with a tick every 100 ms and all of these agents reporting what the machine believes.
    pub fn live(&mut self, ms: u64, reporting: &[u64]) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..ms / 100 {
            self.wait(100);
            for &agent in reporting {
                let held = self.scheduler.leases_of_agent(AgentId(agent), Time(self.now_ns));
                let leases = held.iter().map(|l| LeaseProgress { lease: l.lease, claimed: l.claimed, n_done: l.n_done }).collect();
                actions.extend(self.tell(Event::AgentReported { agent: AgentId(agent), leases }));
            }
            actions.extend(self.tell(Event::Tick));
        }
        actions
    }

    pub fn report(&mut self, agent: u64, leases: &[(LeaseId, u64, u64)]) -> Vec<Action> {
        let leases = leases.iter().map(|&(lease, claimed, n_done)| LeaseProgress { lease, claimed, n_done }).collect();
        self.tell(Event::AgentReported { agent: AgentId(agent), leases })
    }

    pub fn finish(&mut self, granted: Granted) -> Vec<Action> {
        let held = self.scheduler.leases_of_agent(AgentId(granted.agent), Time(self.now_ns));
        let end = held.iter().find(|lease| lease.lease == granted.lease).map_or(granted.range.end, |lease| lease.range.end);
        self.tell(Event::RangeFinished { agent: AgentId(granted.agent), lease: granted.lease, end })
    }

    pub fn shortened(&mut self, granted: Granted, end: u64) -> Vec<Action> {
        self.tell(Event::LeaseShortened { agent: AgentId(granted.agent), lease: granted.lease, end })
    }

    pub fn runner_dies(&mut self, agent: u64, leases: &[Granted]) -> Vec<Action> {
        let leases = leases.iter().map(|granted| granted.lease).collect();
        self.tell(Event::RunnerDied { agent: AgentId(agent), leases, unstarted: vec![], death: RunnerDeath::Signal(11) })
    }

    pub fn fail(&mut self, granted: Granted, item: Option<u64>, kind: FailureKind) -> Vec<Action> {
        let failure = Failure { kind, message: "it does not work".to_owned() };
        self.tell(Event::RangeFailed { agent: AgentId(granted.agent), lease: granted.lease, item, failure })
    }

    /// Every lease that the machine believes in, as a grant.
    pub fn leases(&self) -> Vec<Granted> {
        let now = Time(self.now_ns);
        let all = self.scheduler.agent_ids().flat_map(|agent| self.scheduler.leases_of_agent(agent, now));
        all.map(|l| Granted { agent: l.agent.0, lease: l.lease, job: l.job.0, range: l.range, cores: l.cores, alone: l.alone }).collect()
    }

    /// Agents finish lease after lease, each after `ms`, until every job is over. At most `n_rounds`.
    pub fn finish_all(&mut self, ms: u64, n_rounds: usize) {
        for _ in 0..n_rounds {
            self.wait(ms);
            let leases = self.leases();
            leases.into_iter().for_each(|granted| {
                self.finish(granted);
            });
            self.tell(Event::Tick);
            if self.scheduler.job_ids().all(|job| self.outcome(job.0).is_some()) {
                return;
            }
        }
        panic!("the jobs do not end: {:?}", self.leases());
    }

    pub fn outcome(&self, job: u32) -> Option<Outcome> {
        match self.scheduler.job(JobId(job), Time(self.now_ns))?.phase {
            crate::view::JobPhase::Ended { outcome } => Some(outcome),
            _ => None,
        }
    }
}

pub fn grants(actions: &[Action]) -> Vec<Granted> {
    let granted = |action: &Action| match action {
        Action::Grant { agent, lease, job, range, cores, alone, .. } => {
            Some(Granted { agent: agent.0, lease: *lease, job: job.0, range: *range, cores: *cores, alone: *alone })
        }
        _ => None,
    };
    actions.iter().filter_map(granted).collect()
}

pub fn accepted(actions: &[Action]) -> Vec<ItemRange> {
    let of = |action: &Action| match action {
        Action::Commit { accepted, .. } => accepted.clone(),
        _ => vec![],
    };
    actions.iter().flat_map(of).collect()
}

pub fn range(start: u64, end: u64) -> ItemRange {
    ItemRange::new(start, end)
}
