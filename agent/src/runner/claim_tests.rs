//! Thousands of random histories of the queue, without threads: every rule of claiming is checked after every step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::super::protocol::PartText;
use super::*;
use paceline_common::ids::StageIdx;
use paceline_common::range_set::RangeSet;
use paceline_workloads::workload::StageTask;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Blocks(u64);

/// A stage that has something to say.
struct Speaks;

impl StageTask for Speaks {
    fn news(&self) -> Option<String> {
        Some("iteration 1: loss 7".to_owned())
    }

    fn run(&self, _: ItemRange, _: &mut ItemOutputs) -> Result<(), ItemFailure> {
        unreachable!("nothing is computed")
    }
}

impl StageTask for Blocks {
    fn block_len(&self) -> u64 {
        self.0
    }

    fn run(&self, _: ItemRange, _: &mut ItemOutputs) -> Result<(), ItemFailure> {
        unreachable!("the histories compute nothing")
    }
}

/// What an agent would know of a lease.
struct Known {
    grant: LeaseGrant,
    end: u64,
    claimed: RangeSet,
    is_started: bool,
    is_over: bool,
    is_revoked: bool,
}

struct History {
    queue: LeaseQueue,
    cores: u32,
    state: u64,
    leases: BTreeMap<u64, Known>,
    n_waiting_claimers: u32,
    in_flight: Vec<Claim>,
    storing: Vec<ToStore>,
}

impl History {
    fn new(seed: u64) -> Self {
        let cores = 1 + (seed % 5) as u32;
        Self {
            queue: LeaseQueue::new(cores),
            cores,
            state: seed,
            leases: BTreeMap::new(),
            n_waiting_claimers: 0,
            in_flight: vec![],
            storing: vec![],
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % below
    }

    /// One change, as the pool makes it, with all that follows.
    fn change<R>(&mut self, change: impl FnOnce(&mut LeaseQueue, &mut Effects) -> R) -> R {
        let mut effects = Effects::default();
        let result = change(&mut self.queue, &mut effects);
        effects.events.into_iter().for_each(|event| self.heard(event));
        self.storing.extend(effects.to_store);
        self.n_waiting_claimers += self.queue.add_claimers();
        result
    }

    fn heard(&mut self, event: FromRunner) {
        let (lease, end) = match &event {
            FromRunner::Started { lease } => (*lease, None),
            FromRunner::Shortened { lease, end } | FromRunner::Finished { lease, end, .. } => (*lease, Some(*end)),
            FromRunner::Failed { lease, .. } => (*lease, None),
            other => panic!("{other:?}"),
        };
        let others_at_work: Vec<bool> = self
            .leases
            .values()
            .filter(|l| l.grant.lease != lease && l.is_started && !l.is_over && !l.is_revoked)
            .map(|l| l.grant.alone)
            .collect();
        let known = self.leases.get_mut(&lease.0).unwrap();
        assert!(!known.is_over && !known.is_revoked, "{event:?} after the end");
        match event {
            FromRunner::Started { .. } => {
                assert!(!std::mem::replace(&mut known.is_started, true), "started twice");
                assert!(if known.grant.alone { others_at_work.is_empty() } else { !others_at_work.contains(&true) }, "not alone");
            }
            FromRunner::Shortened { .. } => {
                assert!(end.unwrap() <= known.end);
                known.end = end.unwrap();
                assert!(known.claimed.iter().all(|block| block.end <= known.end), "an end before what is claimed");
                known.is_over = known.end == known.grant.range.start;
            }
            FromRunner::Finished { part, .. } => {
                assert_eq!(end, Some(known.end));
                let all = ItemRange::new(known.grant.range.start, known.end);
                assert!(known.claimed.gaps(all).is_empty() && matches!(part, PartText::Inline { .. }), "finished with holes");
                known.is_over = true;
            }
            _ => known.is_over = true,
        }
    }

    fn step(&mut self, may_grant: bool) {
        match self.draw(if may_grant { 12 } else { 9 }) {
            0..=3 if self.n_waiting_claimers > 0 => self.claim(),
            4..=6 if !self.in_flight.is_empty() => self.compute(),
            7 | 8 if !self.storing.is_empty() => self.store(),
            9 => self.grant(),
            10 => self.interfere(),
            _ => {}
        }
    }

    fn claim(&mut self) {
        let claim = self.change(LeaseQueue::claim);
        self.n_waiting_claimers -= 1;
        let Some(claim) = claim else { return };
        if let Claim::Run { lease, block, stage } = &claim {
            let known = self.leases.get_mut(&lease.0).unwrap();
            let is_aligned = block.end == known.end || block.end % stage.block_len == 0;
            assert!(!block.is_empty() && block.end <= known.end && is_aligned && block.len() <= stage.block_len, "{block}");
            assert_eq!(known.claimed.intersection(*block).count(), 0, "claimed twice");
            known.claimed.insert(*block);
            let n_threads = self.in_flight.iter().filter(|other| matches!(other, Claim::Run { lease: id, .. } if id == lease)).count();
            assert!((n_threads as u32) < known.grant.cores, "more threads than the lease allows");
        }
        self.in_flight.push(claim);
        assert!(self.in_flight.len() as u32 <= self.cores, "more claims than cores");
    }

    fn compute(&mut self) {
        let i = self.draw(self.in_flight.len() as u64) as usize;
        let fate = self.draw(20);
        match self.in_flight.swap_remove(i) {
            Claim::Open(grant) => {
                let opened = if fate == 0 {
                    Err(Failure::storage("no"))
                } else {
                    Ok(OpenStage::new(Arc::new(Blocks(1 + u64::from(grant.stage.0) * 3))))
                };
                self.change(|queue, effects| queue.opened(grant.lease, (grant.job, grant.stage), opened, effects));
            }
            Claim::Run { lease, block, .. } => {
                let mut outputs = ItemOutputs::default();
                (block.start..block.end).for_each(|item| outputs.push(&item.to_le_bytes()));
                let result = if fate == 0 { Err((Some(block.start), Failure::item("no"))) } else { Ok(outputs) };
                self.change(|queue, effects| queue.computed(lease, block, result, effects));
            }
        }
        // The claimer goes on: here as one that waits.
        self.n_waiting_claimers += 1;
    }

    fn store(&mut self) {
        let job = self.storing.swap_remove(0);
        let mut runs = job.outputs.into_iter();
        let mut all = runs.next().unwrap();
        runs.for_each(|run| all.append(&run));
        let mut expected = ItemOutputs::default();
        (job.range.start..job.range.end).for_each(|item| expected.push(&item.to_le_bytes()));
        assert_eq!(all, expected, "results out of order");
        self.change(|queue, effects| queue.stored(job.lease, Ok(PartBody::Inline(vec![])), effects));
    }

    fn grant(&mut self) {
        let (lease, start, len) = (self.leases.len() as u64, self.draw(50), 1 + self.draw(30));
        let grant = LeaseGrant {
            lease: LeaseId(lease),
            job: JobId(1 + self.draw(2) as u32),
            stage: StageIdx(self.draw(3) as u32),
            range: ItemRange::new(start, start + len),
            cores: 1 + self.draw(4) as u32,
            alone: self.draw(6) == 0,
            job_dir: "/".into(),
        };
        let known = Known {
            grant: grant.clone(),
            end: start + len,
            claimed: RangeSet::default(),
            is_started: false,
            is_over: false,
            is_revoked: false,
        };
        self.leases.insert(lease, known);
        self.change(|queue, effects| queue.grant(grant.clone(), effects));
        // The same message once more does nothing.
        self.change(|queue, effects| queue.grant(grant, effects));
    }

    fn interfere(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let lease = self.draw(self.leases.len() as u64);
        match self.draw(8) {
            0 => {
                let job = self.leases[&lease].grant.job;
                self.change(|queue, effects| queue.forget_job(job, effects));
                self.leases.values_mut().filter(|known| known.grant.job == job).for_each(|known| known.is_revoked = true);
            }
            1 => {
                self.change(|queue, effects| queue.revoke(LeaseId(lease), effects));
                self.leases.get_mut(&lease).unwrap().is_revoked = true;
            }
            _ => {
                let end = self.draw(80);
                self.change(|queue, effects| queue.shorten(LeaseId(lease), end, effects));
            }
        }
    }
}

#[test]
fn random_histories_keep_every_rule_and_end_every_lease() {
    for seed in 0..3000 {
        let mut history = History::new(seed);
        (0..300).for_each(|_| history.step(true));
        // Nothing more comes: everything that was granted ends.
        (0..20_000).for_each(|_| history.step(false));
        let open: Vec<u64> = history.leases.iter().filter(|(_, known)| !known.is_over && !known.is_revoked).map(|(id, _)| *id).collect();
        assert_eq!(open, Vec::<u64>::new(), "seed {seed}: leases without an end");
        assert!(history.queue.leases.is_empty() && history.in_flight.is_empty() && history.n_waiting_claimers == 0, "seed {seed}");
    }
}

#[test]
fn what_a_stage_has_to_say_is_told_where_its_first_item_begins() {
    let mut queue = LeaseQueue::new(4);
    let mut effects = Effects::default();
    for (lease, start) in [(1, 5), (2, 0)] {
        let range = ItemRange::new(start, start + 2);
        let (job, stage) = (JobId(3), StageIdx(0));
        queue.grant(LeaseGrant { lease: LeaseId(lease), job, stage, range, cores: 4, alone: false, job_dir: "/".into() }, &mut effects);
    }
    queue.add_claimers();
    assert!(matches!(queue.claim(&mut effects), Some(Claim::Open(_))));
    queue.opened(LeaseId(1), (JobId(3), StageIdx(0)), Ok(OpenStage::new(Arc::new(Speaks))), &mut effects);
    let mut begun = vec![];
    for _ in 0..4 {
        let n_said = effects.events.len();
        let Some(Claim::Run { lease, block, .. }) = queue.claim(&mut effects) else { panic!("there are four items") };
        let is_news = |event: &FromRunner| matches!(event, FromRunner::Log { text, .. } if text == "iteration 1: loss 7");
        begun.push((lease.0, block.start, effects.events[n_said..].iter().filter(|event| is_news(event)).count()));
    }
    assert_eq!(begun, [(1, 5, 0), (1, 6, 0), (2, 0, 1), (2, 1, 0)], "lease, item, how often it was told");
}
