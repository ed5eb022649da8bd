//! What people may see of the machine: read-only, computed when asked for.

use crate::action::Outcome;
use crate::agent::Agent;
use crate::event::Time;
use crate::job::{Job, Phase};
use crate::policy::Policy;
use crate::rate::seconds;
use crate::scheduler::Scheduler;
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;
use std::collections::BTreeSet;
use std::fmt;

/// A job as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct JobStatus {
    /// Its number.
    pub job: JobId,
    /// Whether work goes on.
    pub phase: JobPhase,
    /// The present stage; the last one where the job is over.
    pub stage: StageIdx,
    /// Items of the present stage; `None` until it is sized.
    pub n_items: Option<u64>,
    /// Committed items of the present stage.
    pub n_committed: u64,
    /// Items set aside in all stages.
    pub n_quarantined: u64,
    /// Items whose second result was dropped, in all stages.
    pub n_duplicates_dropped: u64,
    /// Committed items per second of late.
    pub items_per_second: f64,
    /// Agents that hold leases of it.
    pub n_agents: u32,
    /// Cores that may be at work on it.
    pub n_cores: u32,
    /// Finished stages, then the present one.
    pub stages: Vec<StageStatus>,
}

/// A stage as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageStatus {
    /// Its place.
    pub stage: StageIdx,
    /// Its items; `None` until it is sized.
    pub n_items: Option<u64>,
    /// Committed items.
    pub n_committed: u64,
    /// Items set aside.
    pub n_quarantined: u64,
    /// When it was sized; `None` until then.
    pub started_at: Option<Time>,
    /// When its last item was settled.
    pub ended_at: Option<Time>,
}

/// Whether work goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobPhase {
    /// Its stage is not sized yet.
    Sizing,
    /// Its items are handed out.
    Running,
    /// Nothing is handed out for want of room on a disk.
    Paused {
        /// One sentence.
        reason: String,
    },
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// A lease as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Its number.
    pub lease: LeaseId,
    /// Who holds it.
    pub agent: AgentId,
    /// Of which job.
    pub job: JobId,
    /// Of which stage.
    pub stage: StageIdx,
    /// Its items.
    pub range: ItemRange,
    /// One past the last item that a thread is known to have claimed.
    pub claimed: u64,
    /// Items known to be computed.
    pub n_done: u64,
    /// At most this many threads.
    pub cores: u32,
    /// Whether nothing else may be in the runner.
    pub alone: bool,
    /// Whether it repeats items that another lease holds.
    pub speculative: bool,
    /// Time since its grant.
    pub age_ns: u64,
}

/// An agent as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    /// Its number.
    pub agent: AgentId,
    /// What it is at.
    pub phase: AgentPhase,
    /// Its cores.
    pub cores: u32,
    /// Leases that it holds.
    pub n_leases: u32,
    /// Items that it has had committed.
    pub n_committed: u64,
    /// Time since it was last heard.
    pub silent_ns: u64,
}

/// What an agent is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentPhase {
    /// It holds nothing.
    Idle,
    /// It holds leases.
    Working,
    /// It was not heard for too long.
    Silent,
    /// It gets nothing new and will leave.
    Draining,
    /// It gets nothing new for a while, because it only failed.
    Excluded,
}

impl fmt::Display for AgentPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Silent => "silent",
            Self::Draining => "draining",
            Self::Excluded => "excluded",
        })
    }
}

impl Scheduler {
    /// The numbers that its decisions depend on.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Every job that it knows, in the order of their numbers.
    pub fn job_ids(&self) -> impl Iterator<Item = JobId> + '_ {
        self.jobs.keys().copied()
    }

    /// Every agent that it knows, in the order of their numbers.
    pub fn agent_ids(&self) -> impl Iterator<Item = AgentId> + '_ {
        self.agents.keys().copied()
    }

    /// Reports dropped because their lease, agent or stage was over.
    #[must_use]
    pub fn n_stale_reports(&self) -> u64 {
        self.n_stale_reports
    }

    /// One job.
    #[must_use]
    pub fn job(&self, id: JobId, now: Time) -> Option<JobStatus> {
        let job = self.jobs.get(&id)?;
        let agents: BTreeSet<AgentId> = job.leases.iter().filter_map(|lease| self.leases.get(lease)).map(|lease| lease.agent).collect();
        let idle_s = seconds(now.since(job.last_commit_at));
        Some(JobStatus {
            job: id,
            phase: phase_of(job),
            stage: job.stage_idx(),
            n_items: job.stage.as_ref().map(|stage| stage.n_items),
            n_committed: job.stage.as_ref().map_or(0, |stage| stage.committed.len()),
            n_quarantined: job.n_quarantined(),
            n_duplicates_dropped: job.n_duplicates_dropped,
            items_per_second: if job.is_ended() { 0.0 } else { job.commit_rate.per_second_after(idle_s) },
            n_agents: agents.len() as u32,
            n_cores: u32::try_from(job.n_cores_booked).unwrap_or(u32::MAX),
            stages: stages_of(job),
        })
    }

    /// One agent.
    #[must_use]
    pub fn agent(&self, id: AgentId, now: Time) -> Option<AgentStatus> {
        let agent = self.agents.get(&id)?;
        Some(AgentStatus {
            agent: id,
            phase: agent_phase(agent, now),
            cores: agent.cores,
            n_leases: agent.leases.len() as u32,
            n_committed: agent.n_committed,
            silent_ns: now.since(agent.last_heard),
        })
    }

    /// Leases of a job, oldest first.
    #[must_use]
    pub fn leases_of_job(&self, id: JobId, now: Time) -> Vec<LeaseStatus> {
        self.jobs.get(&id).into_iter().flat_map(|job| &job.leases).filter_map(|lease| self.lease(*lease, now)).collect()
    }

    /// Leases of an agent, oldest first.
    #[must_use]
    pub fn leases_of_agent(&self, id: AgentId, now: Time) -> Vec<LeaseStatus> {
        self.agents.get(&id).into_iter().flat_map(|agent| &agent.leases).filter_map(|lease| self.lease(*lease, now)).collect()
    }

    fn lease(&self, id: LeaseId, now: Time) -> Option<LeaseStatus> {
        let lease = self.leases.get(&id)?;
        Some(LeaseStatus {
            lease: id,
            agent: lease.agent,
            job: lease.job,
            stage: lease.stage,
            range: lease.range,
            claimed: lease.claimed,
            n_done: lease.n_done,
            cores: lease.cores,
            alone: lease.alone,
            speculative: lease.speculative,
            age_ns: now.since(lease.granted_at),
        })
    }

    /// Committed items of a stage that has begun, in order.
    #[must_use]
    pub fn committed(&self, id: JobId, stage: StageIdx) -> Vec<ItemRange> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        match job.finished.get(stage.0 as usize) {
            // What was not set aside in a finished stage was committed.
            Some(finished) => finished.quarantined.gaps(ItemRange::new(0, finished.n_items)),
            None => present(job, stage).map_or_else(Vec::new, |stage| stage.committed.iter().collect()),
        }
    }

    /// Items of a stage that were set aside, in order.
    #[must_use]
    pub fn quarantined(&self, id: JobId, stage: StageIdx) -> Vec<ItemRange> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        let of = |set: &RangeSet| set.iter().collect();
        match job.finished.get(stage.0 as usize) {
            Some(finished) => of(&finished.quarantined),
            None => present(job, stage).map_or_else(Vec::new, |stage| of(&stage.quarantined)),
        }
    }

    /// Intervals, leases and other things of variable number that are kept: what the machine costs in memory.
    #[must_use]
    pub fn n_kept(&self) -> usize {
        let of_stage = |stage: &crate::stage::Stage| {
            let intervals = stage.pending.n_intervals() + stage.committed.n_intervals() + stage.quarantined.n_intervals();
            intervals + stage.suspects.len() + stage.attempts.len() + stage.rates.len()
        };
        let of_job = |job: &Job| {
            1 + job.stage.as_ref().map_or(0, of_stage) + job.finished.iter().map(|f| 1 + f.quarantined.n_intervals()).sum::<usize>()
        };
        self.leases.len() + self.agents.len() + self.jobs.values().map(of_job).sum::<usize>()
    }
}

fn present(job: &Job, stage: StageIdx) -> Option<&crate::stage::Stage> {
    job.stage.as_ref().filter(|_| job.stage_idx() == stage)
}

fn phase_of(job: &Job) -> JobPhase {
    match &job.phase {
        Phase::Active if job.stage.is_none() => JobPhase::Sizing,
        Phase::Active => JobPhase::Running,
        Phase::Paused { reason, .. } => JobPhase::Paused { reason: reason.clone() },
        Phase::Ended { outcome } => JobPhase::Ended { outcome: outcome.clone() },
    }
}

fn agent_phase(agent: &Agent, now: Time) -> AgentPhase {
    if agent.is_draining {
        AgentPhase::Draining
    } else if agent.is_silent {
        AgentPhase::Silent
    } else if agent.is_excluded(now) {
        AgentPhase::Excluded
    } else if agent.leases.is_empty() {
        AgentPhase::Idle
    } else {
        AgentPhase::Working
    }
}

fn stages_of(job: &Job) -> Vec<StageStatus> {
    let finished = job.finished.iter().enumerate().map(|(idx, stage)| StageStatus {
        stage: StageIdx(idx as u32),
        n_items: Some(stage.n_items),
        n_committed: stage.n_items - stage.quarantined.len(),
        n_quarantined: stage.quarantined.len(),
        started_at: Some(stage.started_at),
        ended_at: Some(stage.ended_at),
    });
    let present = job.stage.as_ref();
    let present = StageStatus {
        stage: job.stage_idx(),
        n_items: present.map(|stage| stage.n_items),
        n_committed: present.map_or(0, |stage| stage.committed.len()),
        n_quarantined: present.map_or(0, |stage| stage.quarantined.len()),
        started_at: present.map(|stage| stage.started_at),
        ended_at: job.ended_at,
    };
    finished.chain(std::iter::once(present)).collect()
}
