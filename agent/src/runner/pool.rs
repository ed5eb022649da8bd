//! The threads of the runner: one rayon pool for items and for whatever is parallel inside them, and a few threads that only store.
//! This file does what `claim.rs` decides. It must not know where leases come from.
//!
//! A claimer is a task of the pool that claims and computes block after block. There are never more of them than cores, so a
//! thread without one is free to help with nested work. A thread that waits inside an item for such help may pick up a waiting
//! claimer: that one computes a single block and goes back into the pool, so that the outer item is held up by one block at most.

use super::claim::{Claim, Effects, LeaseQueue, ToStore, check_outputs};
use super::output::Output;
use super::protocol::FromRunner;
use super::stage_cache::{self, OpenStage};
use paceline_common::failure::Failure;
use paceline_common::ids::StageIdx;
use paceline_common::job_dir::JobDir;
use paceline_common::message::{LeaseGrant, PartBody};
use paceline_common::part::{self, ItemOutputs};
use paceline_common::range::ItemRange;
use paceline_workloads::input_cache::InputCache;
use paceline_workloads::workload::StageTask;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Threads that write parts: they mostly wait for the filesystem, and this many writes at once hide the latency of a synced one.
const N_STORERS: usize = 4;
/// Stack of a pool thread: items that wait for nested work may have other blocks above them on it. Only what is used takes memory.
const STACK_BYTES: usize = 32 << 20;

thread_local! {
    /// Whether this thread is inside an item or an opening, and waits there for nested work.
    static IS_AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// How a stage is opened; the tests put in stages of their own.
pub type Opener = dyn Fn(&Path, StageIdx, &InputCache) -> Result<Arc<dyn StageTask>, Failure> + Send + Sync;

/// What is to be noted in the queue about something that was done outside of it.
type Note = Box<dyn FnOnce(&mut LeaseQueue, &mut Effects)>;

/// The pool and its leases, shared by all threads.
pub struct Pool {
    threads: ThreadPool,
    queue: Mutex<LeaseQueue>,
    inputs: InputCache,
    opener: Box<Opener>,
    output: Output,
    to_store: Sender<ToStore>,
}

impl Pool {
    /// Starts `cores` threads (and a few that store); messages go to `output`.
    pub fn start(cores: u32, inputs: InputCache, output: Output, opener: Box<Opener>) -> Result<Arc<Self>, String> {
        let threads = ThreadPoolBuilder::new()
            .num_threads(cores.max(1) as usize)
            .thread_name(|i| format!("runner-{i}"))
            .stack_size(STACK_BYTES)
            .build()
            .map_err(|e| format!("the pool of {cores} threads cannot be started: {e}"))?;
        let (to_store, stores) = channel();
        let queue = Mutex::new(LeaseQueue::new(cores.max(1)));
        let pool = Arc::new(Self { threads, queue, inputs, opener, output, to_store });
        let stores = Arc::new(Mutex::new(stores));
        for i in 0..N_STORERS {
            let (pool, stores) = (pool.clone(), stores.clone());
            let storer = std::thread::Builder::new().name(format!("storer-{i}")).spawn(move || pool.store_all(&stores));
            storer.map_err(|e| format!("a thread that stores parts cannot be started: {e}"))?;
        }
        Ok(pool)
    }

    /// Changes the leases, then does what follows from it: tells the agent, stores, wakes claimers. Messages are written under the
    /// lock, so that the agent sees them in the order in which things happened.
    pub fn change<R>(self: &Arc<Self>, change: impl FnOnce(&mut LeaseQueue, &mut Effects) -> R) -> R {
        let mut effects = Effects::default();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut queue, &mut effects);
        effects.events.iter().for_each(|event| self.output.send(event));
        let n_claimers = queue.add_claimers();
        drop(queue);
        for job in effects.to_store {
            // The storers live as long as this pool, which they hold.
            let _ = self.to_store.send(job);
        }
        for _ in 0..n_claimers {
            let pool = self.clone();
            self.threads.spawn(move || pool.work());
        }
        result
    }

    /// Tells the agent what has moved.
    pub fn report_progress(&self, last_mapped_bytes: &mut u64) {
        let mapped_bytes = self.inputs.mapped_bytes();
        // Under the lock, as every message: progress must not overtake the end of its lease.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moved = queue.new_progress();
        if moved.is_empty() && mapped_bytes != *last_mapped_bytes {
            moved.push(Vec::new());
        }
        *last_mapped_bytes = mapped_bytes;
        moved.into_iter().for_each(|leases| self.output.send(&FromRunner::Progress { leases, mapped_bytes }));
    }

    /// Sends a message that belongs to no change.
    pub fn say(&self, message: &FromRunner) {
        self.output.send(message);
    }

    /// A claimer: works until nothing can be claimed.
    fn work(self: Arc<Self>) {
        let is_nested = IS_AT_WORK.get();
        let mut claimed = self.change(LeaseQueue::claim);
        while let Some(claim) = claimed {
            IS_AT_WORK.set(true);
            let note = self.perform(claim);
            IS_AT_WORK.set(is_nested);
            if is_nested {
                self.change(note);
                let pool = self.clone();
                return self.threads.spawn(move || pool.work());
            }
            claimed = self.change(|queue, effects| {
                note(queue, effects);
                queue.claim(effects)
            });
        }
    }

    /// Does what was claimed; gives what is to be noted about it.
    fn perform(&self, claim: Claim) -> Note {
        match claim {
            Claim::Open(grant) => {
                let opened = self.open(&grant);
                Box::new(move |queue, effects| queue.opened(grant.lease, (grant.job, grant.stage), opened, effects))
            }
            Claim::Run { lease, block, stage } => {
                let result = run_block(&stage, block);
                Box::new(move |queue, effects| queue.computed(lease, block, result, effects))
            }
        }
    }

    fn open(&self, grant: &LeaseGrant) -> Result<OpenStage, Failure> {
        let opened = catch_unwind(AssertUnwindSafe(|| (self.opener)(&grant.job_dir, grant.stage, &self.inputs)));
        let task = opened.unwrap_or_else(|panic| Err(Failure::storage(format!("opening the stage panicked: {}", message_of(&*panic)))))?;
        Ok(OpenStage::new(task))
    }

    /// A storer: makes results durable, off the threads that compute.
    fn store_all(self: Arc<Self>, stores: &Mutex<Receiver<ToStore>>) {
        loop {
            let next = stores.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            let lease = job.lease;
            let stored = catch_unwind(AssertUnwindSafe(|| store(job)));
            let stored = stored.unwrap_or_else(|panic| Err(Failure::storage(format!("storing a part panicked: {}", message_of(&*panic)))));
            self.change(|queue, effects| queue.stored(lease, stored, effects));
        }
    }
}

/// Makes the results durable.
fn store(job: ToStore) -> Result<PartBody, Failure> {
    let (_, stage) = job.key;
    let directory = JobDir::new(job.job_dir).parts_path(stage);
    part::store(&directory, &JobDir::part_name(job.range, job.lease), job.range, &job.outputs)
}

/// Computes a block. A panic fails one item, not the runner: the items are computed one by one again until it is found.
fn run_block(stage: &OpenStage, block: ItemRange) -> Result<ItemOutputs, (Option<u64>, Failure)> {
    match try_block(stage, block) {
        Ok(outputs) => Ok(outputs),
        Err(BlockFailure::Item(item, failure)) => Err((Some(item), failure)),
        Err(BlockFailure::Panic(message)) => {
            let culprit = (block.start..block.end).find_map(|item| match try_block(stage, ItemRange::one(item)) {
                Err(BlockFailure::Panic(message)) => Some((item, message)),
                _ => None,
            });
            // A panic that needs the whole block cannot be pinned on an item.
            let (item, message) = culprit.map_or((None, message), |(item, message)| (Some(item), message));
            let what = item.map_or_else(|| block.to_string(), |item| format!("item {item}"));
            Err((item, Failure::item(format!("{what}: the computation panicked: {message}"))))
        }
    }
}

enum BlockFailure {
    Item(u64, Failure),
    Panic(String),
}

fn try_block(stage: &OpenStage, block: ItemRange) -> Result<ItemOutputs, BlockFailure> {
    let mut outputs = ItemOutputs::default();
    let run = catch_unwind(AssertUnwindSafe(|| stage.task.run(block, &mut outputs)));
    let checked = run.map_err(|panic| BlockFailure::Panic(message_of(&*panic)))?.and_then(|()| check_outputs(block, stage, &outputs));
    checked.map(|()| outputs).map_err(|failed| BlockFailure::Item(failed.item, failed.failure))
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it gave no message".to_owned())
}

/// Opens stages as the workloads do.
pub fn workload_opener() -> Box<Opener> {
    Box::new(stage_cache::open_stage)
}
