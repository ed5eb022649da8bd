//! The pool with stages made for the tests: real threads, real files, real messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use super::output::Output;
use super::pool::{Opener, Pool};
use super::protocol::{FromRunner, PartText};
use paceline_common::failure::{Failure, FailureKind};
use paceline_common::ids::{JobId, LeaseId, StageIdx};
use paceline_common::job_dir::{CommittedPart, JobDir, StageManifest};
use paceline_common::message::{LeaseGrant, PartBody};
use paceline_common::part::{ItemOutputs, StageParts};
use paceline_common::range::ItemRange;
use paceline_workloads::input_cache::InputCache;
use paceline_workloads::workload::{ItemFailure, StageTask};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Long enough for a loaded machine; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages as the agent would read them.
struct Lines(Sender<FromRunner>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        // The test may be over.
        let _ = self.0.send(serde_json::from_slice(line).unwrap());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Compute = dyn Fn(u64, &mut ItemOutputs) -> Result<(), Failure> + Send + Sync;

/// A stage that computes by a closure and counts how many items are at work at once.
struct TestStage {
    block_len: u64,
    has_output: bool,
    compute: Box<Compute>,
    n_at_work: AtomicU32,
    most_at_work: AtomicU32,
}

impl TestStage {
    fn new(block_len: u64, compute: impl Fn(u64, &mut ItemOutputs) -> Result<(), Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            block_len,
            has_output: true,
            compute: Box::new(compute),
            n_at_work: AtomicU32::new(0),
            most_at_work: AtomicU32::new(0),
        })
    }
}

impl StageTask for TestStage {
    fn block_len(&self) -> u64 {
        self.block_len
    }

    fn has_output(&self) -> bool {
        self.has_output
    }

    fn run(&self, block: ItemRange, outputs: &mut ItemOutputs) -> Result<(), ItemFailure> {
        let n = self.n_at_work.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_work.fetch_max(n, Ordering::SeqCst);
        let result =
            (block.start..block.end).try_for_each(|item| (self.compute)(item, outputs).map_err(|failure| ItemFailure { item, failure }));
        self.n_at_work.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

/// A gate that items wait at, so that a test decides when they end.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.opened.wait_timeout_while(self.is_open.lock().unwrap(), PATIENCE, |is_open| !*is_open).unwrap();
        assert!(!closed.1.timed_out(), "the gate stayed shut");
    }
}

struct Bench {
    pool: Arc<Pool>,
    messages: Receiver<FromRunner>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(cores: u32, stage: &Arc<TestStage>) -> Self {
        let stage = stage.clone();
        Self::with_opener(cores, Box::new(move |_, _, _| Ok(stage.clone())))
    }

    fn with_opener(cores: u32, opener: Box<Opener>) -> Self {
        let (sender, messages) = channel();
        let pool = Pool::start(cores, InputCache::default(), Output::new(Lines(sender)), opener).unwrap();
        Self { pool, messages, dir: tempfile::tempdir().unwrap() }
    }

    fn grant(&self, lease: u64, start: u64, end: u64) {
        self.grant_with(lease, start, end, |_| {});
    }

    fn grant_with(&self, lease: u64, start: u64, end: u64, set: impl FnOnce(&mut LeaseGrant)) {
        let mut grant = LeaseGrant {
            lease: LeaseId(lease),
            job: JobId(1),
            stage: StageIdx(0),
            range: ItemRange::new(start, end),
            cores: 64,
            alone: false,
            job_dir: self.dir.path().to_owned(),
        };
        set(&mut grant);
        self.pool.change(|queue, effects| queue.grant(grant, effects));
    }

    fn shorten(&self, lease: u64, end: u64) {
        self.pool.change(|queue, effects| queue.shorten(LeaseId(lease), end, effects));
    }

    fn next(&self) -> FromRunner {
        self.messages.recv_timeout(PATIENCE).unwrap()
    }

    fn nothing_more(&self) {
        let more = self.messages.recv_timeout(Duration::from_millis(50));
        assert!(more.is_err(), "{more:?}");
    }

    /// The next end of a lease, whatever comes before it.
    fn next_end(&self) -> FromRunner {
        loop {
            match self.next() {
                FromRunner::Started { .. } | FromRunner::Shortened { .. } => {}
                end => return end,
            }
        }
    }

    fn finished(&self) -> (u64, u64, PartBody) {
        match self.next_end() {
            FromRunner::Finished { lease, end, part } => (lease.0, end, part.into_body().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// What a later stage would read of a part.
    fn read(&self, range: ItemRange, body: PartBody) -> Vec<Vec<u8>> {
        let job_dir = JobDir::new(self.dir.path());
        let part = CommittedPart { items: range, part_items: range, body };
        let manifest = StageManifest { n_items: range.end, parts: vec![part], quarantined: vec![] };
        std::fs::create_dir_all(self.dir.path().join("parts")).unwrap();
        JobDir::write_json(&job_dir.manifest_path(StageIdx(0)), &manifest).unwrap();
        let parts = StageParts::open(&job_dir, StageIdx(0)).unwrap();
        (range.start..range.end).map(|item| parts.item(item).unwrap().unwrap().to_vec()).collect()
    }
}

/// Different bytes of a different length for every item.
fn bytes_of(item: u64) -> Vec<u8> {
    (0..item % 37 + 1).map(|i| (item * 31 + i) as u8).collect()
}

fn push_bytes(item: u64, outputs: &mut ItemOutputs) -> Result<(), Failure> {
    outputs.push(&bytes_of(item));
    Ok(())
}

#[test]
fn parts_hold_every_item_in_order_whatever_order_threads_had() {
    // One small part that travels in the message, one large part that is a file.
    for (start, end) in [(3, 40), (1001, 9000)] {
        let stage = TestStage::new(16, push_bytes);
        let bench = Bench::new(4, &stage);
        bench.grant(1, start, end);
        assert_eq!(bench.next(), FromRunner::Started { lease: LeaseId(1) });
        let (_, end_done, body) = bench.finished();
        assert_eq!(end_done, end);
        assert_eq!(matches!(body, PartBody::File(_)), end > 40);
        let expected: Vec<_> = (start..end).map(bytes_of).collect();
        assert_eq!(bench.read(ItemRange::new(start, end), body), expected);
        bench.nothing_more();
    }
}

#[test]
fn never_more_items_at_work_than_cores_nor_than_the_lease_allows() {
    for (cores, lease_cores, n_leases, expected) in [(3, 64, 1, 3), (3, 64, 5, 3), (4, 2, 1, 2), (4, 1, 3, 3)] {
        let stage = TestStage::new(1, |item, outputs| {
            std::thread::sleep(Duration::from_millis(2));
            push_bytes(item, outputs)
        });
        let bench = Bench::new(cores, &stage);
        for lease in 0..n_leases {
            bench.grant_with(lease, 0, 40, |grant| grant.cores = lease_cores);
        }
        (0..n_leases).for_each(|_| drop(bench.finished()));
        assert_eq!(stage.most_at_work.load(Ordering::SeqCst), expected, "{cores} cores, {n_leases} leases of {lease_cores}");
    }
}

#[test]
fn nested_work_runs_in_the_same_threads_and_never_deadlocks() {
    // Every item is itself parallel, and stages open in parallel: more waits than threads.
    let names = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = names.clone();
    let sum = move |depth: u32| {
        fn sum(depth: u32, seen: &Mutex<std::collections::BTreeSet<String>>) -> u64 {
            if depth == 0 {
                seen.lock().unwrap().insert(std::thread::current().name().unwrap_or("?").to_owned());
                std::thread::sleep(Duration::from_micros(20));
                return 1;
            }
            let (a, b) = rayon::join(|| sum(depth - 1, seen), || sum(depth - 1, seen));
            a + b
        }
        sum(depth, &seen)
    };
    let sum = Arc::new(sum);
    let (in_item, in_open) = (sum.clone(), sum);
    let stage = TestStage::new(1, move |item, outputs| {
        outputs.push(&in_item((item % 6) as u32).to_le_bytes());
        Ok(())
    });
    let opener: Box<Opener> = Box::new(move |_: &Path, _, _: &_| {
        assert_eq!(in_open(7), 128);
        Ok(stage.clone() as Arc<dyn StageTask>)
    });
    let bench = Bench::with_opener(3, opener);
    for lease in 0..24 {
        bench.grant_with(lease, 0, 50, |grant| {
            grant.cores = 1 + lease as u32 % 3;
            grant.stage = StageIdx(lease as u32 % 4);
            grant.job = JobId(lease as u32 % 2);
        });
    }
    for _ in 0..24 {
        let (_, _, body) = bench.finished();
        let values = bench.read(ItemRange::new(0, 50), body);
        assert!(values.iter().enumerate().all(|(item, bytes)| *bytes == (1_u64 << (item % 6)).to_le_bytes()));
    }
    let names = names.lock().unwrap();
    assert!(names.iter().all(|name| name.starts_with("runner-")) && names.len() <= 3, "{names:?}");
}

#[test]
fn a_lease_is_shortened_exactly_to_what_is_claimed() {
    let gate = Arc::new(Gate::default());
    let at_gate = gate.clone();
    let stage = TestStage::new(4, move |item, outputs| {
        at_gate.pass();
        push_bytes(item, outputs)
    });
    let bench = Bench::new(2, &stage);
    bench.grant(1, 2, 1000);
    bench.grant(2, 0, 8);
    assert_eq!(bench.next(), FromRunner::Started { lease: LeaseId(1) });
    // Two threads claim up to the multiples of the block: 2..4 and 4..8.
    while stage.n_at_work.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    bench.shorten(1, 500);
    assert_eq!(bench.next(), FromRunner::Shortened { lease: LeaseId(1), end: 500 });
    bench.shorten(1, 900);
    assert_eq!(bench.next(), FromRunner::Shortened { lease: LeaseId(1), end: 500 });
    bench.shorten(1, 3);
    assert_eq!(bench.next(), FromRunner::Shortened { lease: LeaseId(1), end: 8 });
    // A lease not begun is over at its start.
    bench.shorten(2, 0);
    assert_eq!(bench.next(), FromRunner::Shortened { lease: LeaseId(2), end: 0 });
    bench.shorten(99, 0);
    gate.open();
    let (lease, end, body) = bench.finished();
    assert_eq!((lease, end), (1, 8));
    assert_eq!(bench.read(ItemRange::new(2, 8), body), (2..8).map(bytes_of).collect::<Vec<_>>());
    bench.nothing_more();
}

#[test]
fn a_revoked_lease_says_nothing_more_and_frees_its_threads() {
    let gate = Arc::new(Gate::default());
    let at_gate = gate.clone();
    let stage = TestStage::new(1, move |item, outputs| {
        if item < 100 {
            at_gate.pass();
        }
        push_bytes(item, outputs)
    });
    let bench = Bench::new(2, &stage);
    bench.grant(1, 0, 100);
    while stage.n_at_work.load(Ordering::SeqCst) < 2 {
        std::thread::yield_now();
    }
    bench.pool.change(|queue, effects| queue.revoke(LeaseId(1), effects));
    gate.open();
    bench.grant(2, 200, 210);
    let (lease, end, _) = bench.finished();
    assert_eq!((lease, end), (2, 210));
    bench.nothing_more();
}

#[test]
fn a_lease_that_must_be_alone_shares_the_runner_with_nothing() {
    let others = Arc::new(AtomicU32::new(0));
    let seen = others.clone();
    let stage = TestStage::new(1, move |item, outputs| {
        if (1000..2000).contains(&item) {
            assert_eq!(seen.load(Ordering::SeqCst), 0, "another lease is at work");
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(seen.load(Ordering::SeqCst), 0, "another lease has begun");
        } else {
            seen.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(300));
            seen.fetch_sub(1, Ordering::SeqCst);
        }
        push_bytes(item, outputs)
    });
    let bench = Bench::new(3, &stage);
    bench.grant(1, 0, 50);
    bench.grant(2, 50, 100);
    bench.grant_with(3, 1000, 1020, |grant| grant.alone = true);
    bench.grant_with(4, 1020, 1040, |grant| grant.alone = true);
    bench.grant(5, 100, 150);
    let mut at_work = std::collections::BTreeSet::new();
    let mut order = Vec::new();
    while order.len() < 5 {
        match bench.next() {
            FromRunner::Started { lease } => {
                at_work.insert(lease.0);
                assert!(at_work.len() == 1 || at_work.iter().all(|lease| ![3, 4].contains(lease)), "{at_work:?}");
            }
            FromRunner::Finished { lease, .. } => {
                at_work.remove(&lease.0);
                order.push(lease.0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(order[2..], [3, 4, 5]);
}

#[test]
fn a_failure_and_a_panic_name_the_item_and_leave_the_runner_alive() {
    let stage = TestStage::new(8, |item, outputs| match item {
        21 => Err(Failure::item("item 21 is odd")),
        43 => panic!("item {item} divides by zero"),
        _ => push_bytes(item, outputs),
    });
    let bench = Bench::new(2, &stage);
    for (lease, start, item, words) in [(1, 16, 21, "is odd"), (2, 40, 43, "panicked: item 43 divides by zero")] {
        bench.grant(lease, start, start + 8);
        let FromRunner::Failed { lease: failed, item: Some(failed_item), failure } = bench.next_end() else { panic!("not failed") };
        assert_eq!((failed, failed_item, failure.kind), (LeaseId(lease), item, FailureKind::Item));
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    bench.grant(3, 0, 8);
    assert_eq!(bench.finished().0, 3);
    bench.nothing_more();
}

#[test]
fn wrong_numbers_of_results_are_refused() {
    let stage = TestStage::new(4, |item, outputs| if item == 6 { Ok(()) } else { push_bytes(item, outputs) });
    let bench = Bench::new(1, &stage);
    bench.grant(1, 0, 12);
    let FromRunner::Failed { failure, .. } = bench.next_end() else { panic!("not failed") };
    assert!(failure.message.contains("3 results instead of 4"), "{}", failure.message);
}

#[test]
fn a_stage_is_opened_once_and_a_failed_opening_fails_every_lease_that_waits() {
    let n_opened = Arc::new(AtomicU32::new(0));
    let (gate, counter) = (Arc::new(Gate::default()), n_opened.clone());
    let at_gate = gate.clone();
    let opener: Box<Opener> = Box::new(move |_: &Path, stage, _: &_| {
        counter.fetch_add(1, Ordering::SeqCst);
        at_gate.pass();
        match stage {
            StageIdx(0) => Ok(TestStage::new(1, push_bytes) as Arc<dyn StageTask>),
            StageIdx(1) => Err(Failure::bad_input("model.st: is not a usable safetensors file")),
            _ => panic!("no such stage"),
        }
    });
    let bench = Bench::with_opener(2, opener);
    (0..4).for_each(|lease| bench.grant_with(lease, lease * 10, lease * 10 + 10, |grant| grant.cores = 1));
    gate.open();
    (0..4).for_each(|_| drop(bench.finished()));
    assert_eq!(n_opened.load(Ordering::SeqCst), 1);
    for (stage, words) in [(1, "not a usable"), (2, "panicked: no such stage")] {
        bench.grant_with(10, 0, 5, |grant| grant.stage = StageIdx(stage));
        let FromRunner::Failed { item: None, failure, .. } = bench.next_end() else { panic!("not failed") };
        assert!(failure.message.contains(words), "{}", failure.message);
    }
    // Stage 0 is still open for its job until the job is forgotten.
    bench.grant(11, 0, 5);
    bench.finished();
    assert_eq!(n_opened.load(Ordering::SeqCst), 3);
    bench.pool.change(|queue, effects| queue.forget_job(JobId(1), effects));
    bench.grant(12, 0, 5);
    bench.finished();
    assert_eq!(n_opened.load(Ordering::SeqCst), 4);
}

#[test]
fn a_lease_with_huge_results_shortens_itself() {
    let stage = TestStage::new(1, |_, outputs| {
        outputs.push_with(|data| data.resize(data.len() + (40 << 20), 7));
        Ok(())
    });
    let bench = Bench::new(1, &stage);
    bench.grant(1, 0, 100);
    assert_eq!(bench.next(), FromRunner::Started { lease: LeaseId(1) });
    // Four items of 40 MiB are the first to exceed 128 MiB.
    assert_eq!(bench.next(), FromRunner::Shortened { lease: LeaseId(1), end: 4 });
    let (_, end, body) = bench.finished();
    let PartBody::File(file) = body else { panic!("not a file") };
    assert_eq!((end, file.size_bytes >> 20), (4, 160));
}

#[test]
fn results_that_cannot_be_stored_fail_the_lease() {
    let stage = TestStage::new(64, push_bytes);
    let bench = Bench::new(2, &stage);
    let blocked: PathBuf = bench.dir.path().join("file");
    std::fs::write(&blocked, b"").unwrap();
    bench.grant_with(1, 0, 5000, |grant| grant.job_dir = blocked.join("sub"));
    let FromRunner::Failed { item: None, failure, .. } = bench.next_end() else { panic!("not failed") };
    assert!(failure.message.contains("file"), "{}", failure.message);
    bench.grant(2, 0, 5000);
    assert_eq!(bench.finished().0, 2);
}

#[test]
fn a_stage_without_output_stores_nothing() {
    let stage = Arc::new(TestStage { has_output: false, ..Arc::into_inner(TestStage::new(1000, |_, _| Ok(()))).unwrap() });
    let bench = Bench::new(2, &stage);
    bench.grant(1, 0, 1_000_000);
    assert_eq!(bench.next(), FromRunner::Started { lease: LeaseId(1) });
    assert_eq!(bench.next(), FromRunner::Finished { lease: LeaseId(1), end: 1_000_000, part: PartText::Empty });
    bench.grant(2, 5, 5);
    assert_eq!(bench.next(), FromRunner::Finished { lease: LeaseId(2), end: 5, part: PartText::Empty });
}
