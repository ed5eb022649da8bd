//! The jobs of a history: their stages, and what each item costs or does. An item's nature hangs on its number alone.

use super::faults::MS;
use super::random::{Random, mix};
use paceline_common::ids::{JobId, StageIdx};
use paceline_scheduler::event::JobTerms;

/// What an item does when it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It yields its result.
    Good,
    /// It fails wherever it runs.
    Fails,
    /// It kills its runner.
    Kills,
}

/// One stage as the simulation knows it.
#[derive(Clone, Debug)]
pub struct StageLoad {
    /// Its items.
    pub n_items: u64,
    /// Median time of an item on a core of speed 1.
    pub median_cost_ns: f64,
    /// Spread of the costs.
    pub sigma: f64,
    /// Of a million items, so many kill their runner.
    pub n_killers_per_million: u64,
    /// Of a million items, so many fail.
    pub n_failing_per_million: u64,
}

/// One job as the simulation knows it.
#[derive(Clone, Debug)]
pub struct JobLoad {
    /// Its number.
    pub job: JobId,
    /// What it asks of the scheduler.
    pub terms: JobTerms,
    /// When it is submitted.
    pub submit_at_ns: u64,
    /// When a person cancels it.
    pub cancel_at_ns: Option<u64>,
    /// Its stages.
    pub stages: Vec<StageLoad>,
    /// Keys its costs.
    pub seed: u64,
    /// Whether its bad items have been repaired.
    pub is_repaired: bool,
}

impl JobLoad {
    /// A job of a history.
    #[must_use]
    pub fn draw(random: &mut Random, number: u32, p_cancel: f64, heal_at_ns: u64) -> Self {
        let n_stages = random.between(1, 3);
        let has_bad_items = random.chance(0.35);
        let stages: Vec<_> = (0..n_stages).map(|_| StageLoad::draw(random, has_bad_items)).collect();
        let submit_at_ns = if random.chance(0.5) { 0 } else { random.below(heal_at_ns) };
        let cancel_at_ns = random.chance(p_cancel).then(|| submit_at_ns + random.below(8_000) * MS);
        let terms = JobTerms {
            priority: random.between(1, 300) as u32,
            max_cores: random.chance(0.3).then(|| random.between(1, 12) as u32),
            max_failures: random.chance(0.2).then(|| random.below(4)),
            tolerates_missing_items: stages.iter().map(|_| random.chance(0.7)).collect(),
        };
        Self { job: JobId(number), terms, submit_at_ns, cancel_at_ns, stages, seed: random.bits(), is_repaired: false }
    }

    fn hash(&self, stage: StageIdx, item: u64, what: u64) -> u64 {
        mix(self.seed ^ mix(item ^ mix(u64::from(stage.0) ^ (what << 32))))
    }

    /// What the item does.
    #[must_use]
    pub fn nature(&self, stage: StageIdx, item: u64) -> Nature {
        let load = &self.stages[stage.0 as usize];
        match self.hash(stage, item, 1) % 1_000_000 {
            _ if self.is_repaired => Nature::Good,
            place if place < load.n_killers_per_million => Nature::Kills,
            place if place < load.n_killers_per_million + load.n_failing_per_million => Nature::Fails,
            _ => Nature::Good,
        }
    }

    /// Time that the item takes on a core of speed 1.
    #[must_use]
    pub fn cost_ns(&self, stage: StageIdx, item: u64) -> f64 {
        let load = &self.stages[stage.0 as usize];
        load.median_cost_ns * Random::new(self.hash(stage, item, 2)).lognormal(load.sigma)
    }

    /// How many items of the stage are not good.
    #[must_use]
    pub fn n_bad(&self, stage: StageIdx) -> u64 {
        (0..self.stages[stage.0 as usize].n_items).filter(|item| self.nature(stage, *item) != Nature::Good).count() as u64
    }
}

impl StageLoad {
    fn draw(random: &mut Random, has_bad_items: bool) -> Self {
        let n_items = match random.below(10) {
            0 => random.below(3),
            1..=4 => random.between(1, 40),
            _ => random.between(40, 1_500),
        };
        // About the same work however many items there are.
        let median_cost_ns = (random.between(500, 20_000) * MS) as f64 / n_items.max(10) as f64;
        let bad = |random: &mut Random| if has_bad_items && random.chance(0.6) { random.below(6_000) } else { 0 };
        Self { n_items, median_cost_ns, sigma: random.unit() * 1.5, n_killers_per_million: bad(random), n_failing_per_million: bad(random) }
    }
}
