//! What people see: jobs, agents and the coordinator itself, put together from the scheduler and the driver's own state.

use super::Driver;
use crate::agents::Session;
use crate::command::Reply;
use crate::effects::Effect;
use paceline_common::failure::Refusal;
use paceline_common::ids::{AgentId, JobId};
use paceline_common::view::{AgentView, CoordinatorView, JobDetail, JobView, LeaseView};
use paceline_scheduler::view::LeaseStatus;
use paceline_wire::codec;
use paceline_wire::service::MAX_JOBS_LISTED;

/// Most leases in one answer; a job on a thousand agents has a few thousand.
const MAX_LEASES_SHOWN: usize = 10_000;

impl Driver {
    pub(super) fn list_jobs(&mut self, reply: Reply<Vec<JobView>>) {
        let mut views: Vec<JobView> =
            self.jobs.keys().filter_map(|&job| self.job_view(job).ok()).chain(self.ended.values().cloned()).collect();
        views.sort_by_key(|view| view.job);
        views.drain(..n_too_many(&views));
        self.effects.push(Effect::answer(reply, views));
    }

    /// A job as it is listed.
    pub(super) fn job_view(&self, job: JobId) -> Result<JobView, Refusal> {
        if let (Some(known), Some(status)) = (self.jobs.get(&job), self.scheduler.job(job, self.clock.now())) {
            return Ok(known.view(&status));
        }
        match self.ended.get(&job) {
            Some(view) => Ok(view.clone()),
            None => self.ended_detail(job).map(|detail| detail.job),
        }
    }

    /// A job with everything known of it.
    pub(super) fn job_detail(&self, job: JobId) -> Result<JobDetail, Refusal> {
        match self.jobs.get(&job) {
            Some(known) if known.ended.is_none() => self.detail_of(job).ok_or_else(|| no_such_job(job)),
            _ => self.ended_detail(job),
        }
    }

    fn ended_detail(&self, job: JobId) -> Result<JobDetail, Refusal> {
        let detail = self.parts.journal.ended_job(job).map_err(|e| Refusal::internal(e.to_string()))?;
        detail.ok_or_else(|| no_such_job(job))
    }

    /// A job that the scheduler knows, as it is now.
    pub(super) fn detail_of(&self, job: JobId) -> Option<JobDetail> {
        let now = self.clock.now();
        let (known, status) = (self.jobs.get(&job)?, self.scheduler.job(job, now)?);
        let leases = self.scheduler.leases_of_job(job, now);
        Some(JobDetail {
            job: known.view(&status),
            stages: known.stage_views(&status.stages, now),
            quarantined: known.quarantined.clone(),
            leases: leases.iter().take(MAX_LEASES_SHOWN).map(|lease| self.lease_view(lease)).collect(),
            settings_json: known.record.request.settings_json.clone(),
            seed: known.record.request.seed,
        })
    }

    fn lease_view(&self, lease: &LeaseStatus) -> LeaseView {
        LeaseView {
            lease: lease.lease.0,
            host: self.agents.get(lease.agent).map(|session| session.hello.host.clone()).unwrap_or_default(),
            agent: lease.agent,
            start: lease.range.start,
            end: lease.range.end,
            n_done: lease.n_done,
            age_ms: lease.age_ns / 1_000_000,
        }
    }

    pub(super) fn explain(&self, job: JobId) -> Result<Vec<String>, Refusal> {
        let view = self.job_view(job)?;
        if view.state.is_over() {
            let reason = view.reason.map_or(String::new(), |reason| format!(": {reason}"));
            return Ok(vec![format!("job {job} is over{reason}")]);
        }
        if self.jobs.get(&job).is_some_and(|known| known.ending.is_some()) {
            return Ok(view.reason.into_iter().collect());
        }
        Ok(self.scheduler.explain(job, self.clock.now()).iter().map(ToString::to_string).collect())
    }

    pub(super) fn agent_views(&self) -> Vec<AgentView> {
        let known = self.agents.iter().map(|(agent, session)| self.agent_view(agent, session));
        self.agents.gone().cloned().chain(known).collect()
    }

    pub(super) fn agent_view(&self, agent: AgentId, session: &Session) -> AgentView {
        let hello = &session.hello;
        let status = self.scheduler.agent(agent, self.clock.now());
        AgentView {
            agent,
            host: hello.host.clone(),
            pid: hello.pid,
            state: status.as_ref().map_or("lost".to_owned(), |status| status.phase.to_string()),
            cores: hello.cores,
            cores_reason: hello.cores_reason.clone(),
            n_leases: status.as_ref().map_or(0, |status| status.n_leases),
            n_committed: status.as_ref().map_or(0, |status| status.n_committed),
            silent_ms: status.as_ref().map_or(0, |status| status.silent_ns / 1_000_000),
            usage: session.usage,
            memory_limit_bytes: hello.memory_limit_bytes,
            slurm_job: hello.slurm_job.clone(),
        }
    }

    pub(super) fn coordinator_view(&self) -> CoordinatorView {
        let file = &self.parts.file;
        let n_unfinished = self.jobs.values().filter(|job| job.ended.is_none()).count();
        CoordinatorView {
            version: file.version.clone(),
            epoch: file.epoch,
            host: file.host.clone(),
            pid: file.pid,
            addresses: file.addresses.clone(),
            uptime_ms: u64::try_from(self.clock.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            n_agents: count(self.agents.iter().count()),
            n_cores: self.agents.iter().map(|(_, session)| session.hello.cores).fold(0, u32::saturating_add),
            n_active_jobs: count(n_unfinished),
            n_jobs: count(self.jobs.len()).saturating_add(self.n_ended),
            resident_bytes: resident_bytes(),
            n_stale_reports: self.scheduler.n_stale_reports(),
        }
    }
}

/// How many of the oldest jobs an answer has no room for: by number, and by bytes, since sentences and summaries have no fixed length.
fn n_too_many(views: &[JobView]) -> usize {
    let mut n_bytes = 0;
    let fits = |view: &&JobView| {
        n_bytes += codec::encode(view).map_or(codec::MAX_FRAME_BYTES, |bytes| bytes.len());
        n_bytes <= codec::MAX_FRAME_BYTES / 2
    };
    views.len() - views.iter().rev().take(MAX_JOBS_LISTED).take_while(fits).count()
}

fn no_such_job(job: JobId) -> Refusal {
    Refusal::not_found(format!("job {job}: there is no such job; `paceline jobs` lists them"))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Resident memory of this process; 0 where the kernel does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
