//! One look at the whole state, for tests: whatever happened before, this must hold after every event.

use crate::agent::Agent;
use crate::book::booked_by_job;
use crate::job::Job;
use crate::scheduler::Scheduler;
use crate::stage::Stage;
use paceline_common::ids::{AgentId, JobId, LeaseId};
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;

macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err(format!($($why)+));
        }
    };
}

impl Scheduler {
    /// Whether the whole state is sound; else what is wrong. Costs as much as the state is large.
    ///
    /// - Every item of a present stage is exactly one of pending, suspected, leased, committed and set aside; leased ones are in
    ///   one lease, or in two by speculation, and a lease has at least one item that is not settled.
    /// - No agent's leases book more than twice its cores or are too many; a lease that must be alone is.
    /// - No job books more cores than its cap; a job that is over has no leases.
    /// - Everything derived is what it is derived from.
    pub fn check_invariants(&self) -> Result<(), String> {
        for (id, job) in &self.jobs {
            self.check_job(*id, job)?;
        }
        for (id, agent) in &self.agents {
            self.check_agent(*id, agent)?;
        }
        for (id, lease) in &self.leases {
            ensure!(
                self.agents.get(&lease.agent).is_some_and(|a| a.leases.contains(id)),
                "lease {id}: agent {} does not hold it",
                lease.agent
            );
            ensure!(self.jobs.get(&lease.job).is_some_and(|j| j.leases.contains(id)), "lease {id}: job {} does not hold it", lease.job);
        }
        self.check_index()
    }

    fn check_job(&self, id: JobId, job: &Job) -> Result<(), String> {
        ensure!(!job.is_ended() || job.leases.is_empty(), "job {id} is over and has leases");
        let booked: u64 = self.agents.values().map(|agent| u64::from(agent.booked_by(id))).sum();
        ensure!(booked == job.n_cores_booked, "job {id} books {} cores, its agents {booked}", job.n_cores_booked);
        let cap = job.terms.max_cores.map_or(u64::MAX, u64::from);
        ensure!(booked <= cap, "job {id} books {booked} cores of at most {cap}");
        let is_ready = self.may_be_handed_out(job) && job.stage.as_ref().is_some_and(Stage::has_open_items);
        // The tick that ends the wait for agents also makes these jobs ready.
        ensure!(job.ready_key.is_some() == is_ready || self.is_restart, "job {id}: ready is {:?}, should be {is_ready}", job.ready_key);
        match &job.stage {
            None => ensure!(job.leases.is_empty(), "job {id} has leases and no stage"),
            Some(stage) => self.check_stage(id, job, stage)?,
        }
        Ok(())
    }

    fn check_stage(&self, id: JobId, job: &Job, stage: &Stage) -> Result<(), String> {
        ensure!(!stage.is_complete() || job.is_ended(), "job {id}: its stage is complete and still present");
        ensure!(stage.slots.iter().map(|slot| slot.len()).sum::<usize>() == job.leases.len(), "job {id}: slots and leases differ");
        let mut leased = RangeSet::default();
        for slot in &stage.slots {
            let mut covered_to = 0;
            for (&start, cover) in slot {
                ensure!(start >= covered_to, "job {id}: two leases of one slot overlap at item {start}");
                covered_to = cover.end;
                self.check_lease(id, stage, ItemRange::new(start, cover.end), cover.lease)?;
                stage.unsettled(ItemRange::new(start, cover.end)).into_iter().for_each(|part| leased.insert(part));
            }
        }
        let suspects: RangeSet = stage.suspects.iter().map(|(&start, suspect)| ItemRange::new(start, suspect.end)).collect();
        let places = [
            ("pending", &stage.pending),
            ("suspected", &suspects),
            ("leased", &leased),
            ("committed", &stage.committed),
            ("set aside", &stage.quarantined),
        ];
        let mut all = RangeSet::default();
        for (place, set) in places {
            for range in set.iter() {
                ensure!(range.end <= stage.n_items, "job {id}: {place} {range} of {}", stage.n_items);
                ensure!(all.intersection(range).next().is_none(), "job {id}: {place} {range} is elsewhere too");
                all.insert(range);
            }
        }
        ensure!(all.len() == stage.n_items, "job {id}: {} of {} items are somewhere", all.len(), stage.n_items);
        Ok(())
    }

    fn check_lease(&self, job: JobId, stage: &Stage, range: ItemRange, id: LeaseId) -> Result<(), String> {
        let Some(lease) = self.leases.get(&id) else { return Err(format!("job {job}: lease {id} is in no book")) };
        ensure!(
            lease.range == range && lease.job == job,
            "lease {id} is {} of job {}, its stage says {range} of {job}",
            lease.range,
            lease.job
        );
        ensure!(!range.is_empty(), "lease {id} is empty");
        ensure!(!stage.unsettled(range).is_empty(), "lease {id}: {range} is settled wholly");
        ensure!(lease.claimed >= range.start && lease.claimed <= range.end, "lease {id}: claimed to {} of {range}", lease.claimed);
        Ok(())
    }

    fn check_agent(&self, id: AgentId, agent: &Agent) -> Result<(), String> {
        let leases: Vec<_> = agent.leases.iter().filter_map(|lease| self.leases.get(lease)).collect();
        ensure!(leases.len() == agent.leases.len(), "agent {id} holds leases that are in no book");
        ensure!(leases.iter().all(|lease| lease.agent == id), "agent {id} holds leases of others");
        ensure!(leases.len() <= self.policy.max_leases_per_agent, "agent {id} holds {} leases", leases.len());
        let alone = leases.iter().any(|lease| lease.alone);
        ensure!(!alone || leases.len() == 1, "agent {id} holds a lease that must be alone beside others");
        let (by_job, in_all) = booked_by_job(agent.cores, leases.iter().copied());
        ensure!((by_job, in_all) == (agent.booked.clone(), agent.booked_in_all), "agent {id}: booked cores are out of date");
        ensure!(in_all <= 2 * agent.cores, "agent {id} books {in_all} cores and has {}", agent.cores);
        ensure!(agent.finish_at.is_some() != agent.leases.is_empty(), "agent {id}: expected end is out of date");
        let is_reserved = self.index.reserved.get(&id) == agent.reserved_for.as_ref();
        ensure!(is_reserved, "agent {id}: reservation is out of date");
        Ok(())
    }

    fn check_index(&self) -> Result<(), String> {
        let index = &self.index;
        let n_cores: u64 = self.agents.values().map(|agent| u64::from(agent.cores)).sum();
        ensure!(index.n_cores == n_cores, "{} cores are counted of {n_cores}", index.n_cores);
        let keys: Vec<_> = self.agents.values().filter_map(|agent| agent.hungry_key).collect();
        ensure!(keys.len() == index.hungry.len() && keys.iter().all(|key| index.hungry.contains(key)), "agents with room are out of date");
        let idle = self.agents.values().filter(|agent| agent.hungry_key.is_some_and(|key| key.n_leases == 0));
        let n_idle_cores: u64 = idle.map(|agent| u64::from(agent.cores)).sum();
        ensure!(index.n_idle_cores == n_idle_cores, "{} idle cores are counted of {n_idle_cores}", index.n_idle_cores);
        let finishing: Vec<_> = self.agents.iter().filter_map(|(id, agent)| Some((agent.finish_at?, *id))).collect();
        ensure!(
            finishing.len() == index.by_finish.len() && finishing.iter().all(|key| index.by_finish.contains(key)),
            "expected ends are out of date"
        );
        let ready: Vec<_> = self.jobs.iter().filter_map(|(id, job)| Some((job.ready_key?, *id))).collect();
        ensure!(ready.len() == index.ready.len() && ready.iter().all(|key| index.ready.contains(key)), "ready jobs are out of date");
        Ok(())
    }
}
