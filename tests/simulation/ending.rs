//! Whether every job has ended as it should, and in time.

use super::faults::MS;
use super::load::JobLoad;
use super::node::Life;
use super::world::World;
use paceline_common::ids::StageIdx;
use paceline_common::range::ItemRange;
use paceline_common::range_set::RangeSet;
use paceline_scheduler::action::Outcome;
use paceline_scheduler::event::Time;

impl World {
    /// The time by which all must be over, once all is healed: every item one after the other on the slowest node, thrice, and some
    /// of every wait that the policy knows.
    pub(super) fn deadline_ns(&self) -> u64 {
        let slowest = self.nodes.iter().filter(|node| node.life != Life::Dead).map(|node| node.speed).fold(1.0, f64::min);
        let cost = |load: &JobLoad| -> f64 {
            let stages = load.stages.iter().enumerate();
            stages.flat_map(|(idx, stage)| (0..stage.n_items).map(move |item| load.cost_ns(StageIdx(idx as u32), item))).sum()
        };
        let total: f64 = self.loads.iter().map(cost).sum();
        self.faults.heal_at_ns + 150_000 * MS + (3.0 * total / slowest) as u64
    }

    pub(super) fn open_jobs(&self) -> String {
        let now = Time(self.now);
        let open = self.loads.iter().filter(|load| self.truth.jobs.get(&load.job).is_none_or(|truth| truth.outcome.is_none()));
        let told = open.map(|load| {
            let reasons: Vec<String> = self.scheduler.explain(load.job, now).iter().map(ToString::to_string).collect();
            format!(
                "job {}: {:?}; {:?}; leases {:?}",
                load.job,
                reasons,
                self.scheduler.job(load.job, now),
                self.scheduler.leases_of_job(load.job, now)
            )
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Whether every job has ended as it should. A failed one is retried first, with its items repaired if the history says so.
    pub(super) fn all_is_over(&mut self) -> Result<bool, String> {
        if self.loads.iter().any(|load| self.truth.jobs.get(&load.job).is_none_or(|truth| truth.outcome.is_none())) {
            return Ok(false);
        }
        for idx in 0..self.loads.len() {
            let load = self.loads[idx].clone();
            let outcome = self.truth.job(load.job)?.outcome.clone();
            let is_failure = matches!(outcome, Some(Outcome::Failed { .. }));
            if is_failure && !load.is_repaired && (self.faults.repairs || !self.is_rightly_failed(&load)) {
                self.count("retries");
                // Where nothing is repaired, it failed by storage alone, which is sound by now.
                self.loads[idx].is_repaired = self.faults.repairs;
                return self.retry(load.job).map(|()| false);
            }
            self.check_outcome(&self.loads[idx].clone(), outcome)?;
        }
        Ok(true)
    }

    /// Whether the items alone explain the failure.
    pub(super) fn is_rightly_failed(&self, load: &JobLoad) -> bool {
        let bad: Vec<u64> = (0..load.stages.len()).map(|stage| load.n_bad(StageIdx(stage as u32))).collect();
        let over_limit = load.terms.max_failures.is_some_and(|limit| bad.iter().sum::<u64>() > limit);
        let blocked = bad.iter().zip(&load.terms.tolerates_missing_items).rev().skip(1).any(|(&n, &tolerates)| n > 0 && !tolerates);
        let nothing_left = bad.last().zip(load.stages.last()).is_some_and(|(&n, stage)| n > 0 && n == stage.n_items);
        over_limit || blocked || nothing_left
    }

    pub(super) fn check_outcome(&mut self, load: &JobLoad, outcome: Option<Outcome>) -> Result<(), String> {
        let truth = self.truth.job(load.job)?;
        let n_quarantined: u64 = truth.quarantined.iter().map(RangeSet::len).sum();
        let whole = |stage: usize| ItemRange::new(0, load.stages[stage].n_items);
        let all_settled =
            (0..load.stages.len()).all(|s| truth.committed[s].gaps(whole(s)).iter().all(|gap| truth.quarantined[s].gaps(*gap).is_empty()));
        let is_right = match &outcome {
            Some(Outcome::Succeeded) => all_settled && n_quarantined == 0,
            Some(Outcome::SucceededInPart { .. }) => all_settled && n_quarantined > 0,
            Some(Outcome::Failed { .. }) => self.is_rightly_failed(load),
            Some(Outcome::Cancelled) => load.cancel_at_ns.is_some(),
            Some(Outcome::BadInput { .. }) | None => false,
        };
        if is_right {
            Ok(())
        } else {
            Err(format!("job {} ended wrongly: {outcome:?}, {n_quarantined} set aside, all settled: {all_settled}", load.job))
        }
    }
}
