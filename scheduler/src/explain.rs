//! Why a job is where it is, as typed reasons; each reads as one sentence.

use crate::action::Outcome;
use crate::agent::Agent;
use crate::event::Time;
use crate::job::{Job, Phase};
use crate::rate::seconds;
use crate::scheduler::Scheduler;
use paceline_common::ids::{JobId, StageIdx};
use std::fmt;

/// One reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// Nothing is wrong: leases are at work.
    AtWork {
        /// How many leases.
        n_leases: u32,
        /// Cores that they may use.
        n_cores: u32,
        /// Time since the last commit, in nanoseconds.
        since_commit_ns: u64,
    },
    /// The job is over.
    Over {
        /// How it ended.
        outcome: Outcome,
    },
    /// The job is paused.
    Paused {
        /// Why.
        reason: String,
        /// When it goes on by itself, in nanoseconds from now.
        retry_in_ns: u64,
    },
    /// The coordinator is finding out how many items the stage has.
    Sizing {
        /// Which stage.
        stage: StageIdx,
    },
    /// Agents from before a restart are given time to come back.
    Reattaching,
    /// No agent is connected.
    NoAgents,
    /// Agents are connected, but none may take work.
    NoUsableAgents {
        /// Not heard of late.
        n_silent: u32,
        /// About to leave.
        n_draining: u32,
        /// Left out after failures.
        n_excluded: u32,
    },
    /// The job uses all the cores that it may.
    CapReached {
        /// Its cap.
        max_cores: u32,
    },
    /// Items are waiting, and all agents are busy.
    AllAgentsBusy {
        /// How many.
        n_agents: u32,
        /// Other jobs that hold leases.
        n_other_jobs: u32,
    },
    /// Ranges on which a runner died or work failed are being tried apart from the rest.
    Suspects {
        /// How many ranges wait.
        n_ranges: u32,
        /// The soonest end of their rest, in nanoseconds from now; 0 where one only waits for an agent.
        rest_ns: u64,
    },
    /// Some of its leases are with agents that were not heard of late.
    SilentHolders {
        /// How many leases.
        n_leases: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtWork { n_leases, n_cores, since_commit_ns } => {
                let since_s = seconds(*since_commit_ns);
                write!(f, "{n_leases} leases are at work on up to {n_cores} cores; the last commit was {since_s:.1} s ago")
            }
            Self::Over { outcome } => write!(f, "the job is over: {}", describe(outcome)),
            Self::Paused { reason, retry_in_ns } => {
                write!(
                    f,
                    "the job is paused: {reason}; it goes on by itself in {:.0} s, or at once when you retry it",
                    seconds(*retry_in_ns)
                )
            }
            Self::Sizing { stage } => write!(f, "the coordinator is finding out how many items stage {stage} has"),
            Self::Reattaching => write!(f, "the coordinator was restarted and gives its agents a moment to come back with what they hold"),
            Self::NoAgents => write!(f, "no agent is connected; start one"),
            Self::NoUsableAgents { n_silent, n_draining, n_excluded } => write!(
                f,
                "no agent can take work: {n_silent} silent, {n_draining} draining, {n_excluded} left out for a while after failures; start another"
            ),
            Self::CapReached { max_cores } => write!(f, "the job uses all of the {max_cores} cores that it may (--max-cores)"),
            Self::AllAgentsBusy { n_agents, n_other_jobs } => {
                write!(f, "all {n_agents} agents are busy; {n_other_jobs} other jobs share them")
            }
            Self::Suspects { n_ranges, rest_ns: 0 } => {
                write!(f, "{n_ranges} ranges that failed before wait for an agent to run them apart from the rest")
            }
            Self::Suspects { n_ranges, rest_ns } => {
                write!(f, "{n_ranges} ranges that failed before are tried again, the next in {:.1} s", seconds(*rest_ns))
            }
            Self::SilentHolders { n_leases } => {
                write!(f, "{n_leases} leases are with agents that were not heard of late; idle agents repeat them")
            }
        }
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => "every item is committed".to_owned(),
        Outcome::SucceededInPart { n_quarantined } => format!("{n_quarantined} items were set aside, all others are committed"),
        Outcome::Failed { reason } => reason.clone(),
        Outcome::BadInput { failure } => failure.message.clone(),
        Outcome::Cancelled => "a person cancelled it".to_owned(),
    }
}

impl Scheduler {
    /// Why the job is not further, the weightiest reason first. Empty only for an unknown job.
    #[must_use]
    pub fn explain(&self, id: JobId, now: Time) -> Vec<Reason> {
        let Some(job) = self.jobs.get(&id) else { return Vec::new() };
        match &job.phase {
            Phase::Ended { outcome } => return vec![Reason::Over { outcome: outcome.clone() }],
            Phase::Paused { reason, since } => {
                let retry_in_ns = self.policy.no_space_retry_ns.saturating_sub(now.since(*since));
                return vec![Reason::Paused { reason: reason.clone(), retry_in_ns }];
            }
            Phase::Active if job.stage.is_none() => return vec![Reason::Sizing { stage: job.stage_idx() }],
            Phase::Active => {}
        }
        let mut reasons: Vec<Reason> = self.reasons_of_agents(job, now).into_iter().collect();
        reasons.extend(suspects(job, now));
        reasons.extend(self.silent_holders(job));
        if !job.leases.is_empty() {
            reasons.push(Reason::AtWork {
                n_leases: job.leases.len() as u32,
                n_cores: u32::try_from(job.n_cores_booked).unwrap_or(u32::MAX),
                since_commit_ns: now.since(job.last_commit_at),
            });
        }
        reasons
    }

    fn reasons_of_agents(&self, job: &Job, now: Time) -> Option<Reason> {
        let count = |is: &dyn Fn(&Agent) -> bool| self.agents.values().filter(|agent| is(agent)).count() as u32;
        if self.agents.is_empty() {
            return Some(Reason::NoAgents);
        }
        if self.is_reattaching() && job.awaits_reattachment {
            return Some(Reason::Reattaching);
        }
        if count(&|agent| agent.is_eligible(now)) == 0 {
            return Some(Reason::NoUsableAgents {
                n_silent: count(&|agent| agent.is_silent && !agent.is_draining),
                n_draining: count(&|agent| agent.is_draining),
                n_excluded: count(&|agent| agent.is_excluded(now) && !agent.is_silent && !agent.is_draining),
            });
        }
        if !job.stage.as_ref().is_some_and(crate::stage::Stage::has_open_items) {
            return None;
        }
        if let Some(max_cores) = job.terms.max_cores.filter(|_| job.cores_left() == Some(0)) {
            return Some(Reason::CapReached { max_cores });
        }
        let n_other_jobs = self.jobs.values().filter(|other| !other.leases.is_empty() && !std::ptr::eq(*other, job)).count() as u32;
        Some(Reason::AllAgentsBusy { n_agents: self.agents.len() as u32, n_other_jobs })
    }

    fn silent_holders(&self, job: &Job) -> Option<Reason> {
        let is_silent = |id| self.leases.get(id).and_then(|lease| self.agents.get(&lease.agent)).is_some_and(|agent| agent.is_silent);
        let n_leases = job.leases.iter().filter(|id| is_silent(id)).count() as u32;
        (n_leases > 0).then_some(Reason::SilentHolders { n_leases })
    }
}

fn suspects(job: &Job, now: Time) -> Option<Reason> {
    let stage = job.stage.as_ref()?;
    let rest_ns = stage.suspects.values().map(|suspect| suspect.mark.not_before.since(now)).min()?;
    Some(Reason::Suspects { n_ranges: stage.suspects.len() as u32, rest_ns })
}
