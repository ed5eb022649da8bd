//! Facts of the node: its name, how many cores and how much memory may be used here, and what decided it.
//! Every rule is a pure function over [`Node`], so that the tests hold real nodes' files against it. This room decides nothing.

mod cgroup;
mod cores;
mod memory;

pub use cores::CoreCount;
pub use memory::MemoryLimit;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
#[cfg(test)]
use std::{collections::BTreeMap, path::PathBuf};

/// What can be asked of a node. The real one is [`ThisNode`].
pub trait Node {
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The text of a small file; `None` where it cannot be read.
    fn read(&self, path: &Path) -> Option<String>;
    /// How many hardware threads this process may be scheduled on; `None` where the kernel does not say.
    fn n_in_affinity_mask(&self) -> Option<u32>;
}

/// The node that this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThisNode;

impl Node for ThisNode {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> Option<String> {
        std::fs::read_to_string(path).ok()
    }

    fn n_in_affinity_mask(&self) -> Option<u32> {
        // Fails on nodes with more hardware threads than the mask has bits; the other limits then decide.
        rustix::thread::sched_getaffinity(None).ok().map(|mask| mask.count())
    }
}

/// A node made of given facts.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
struct RecordedNode {
    env: BTreeMap<String, String>,
    files: BTreeMap<PathBuf, String>,
    n_in_affinity_mask: Option<u32>,
}

#[cfg(test)]
impl Node for RecordedNode {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn read(&self, path: &Path) -> Option<String> {
        self.files.get(path).cloned()
    }

    fn n_in_affinity_mask(&self) -> Option<u32> {
        self.n_in_affinity_mask
    }
}

/// The node's name, as `uname` gives it.
#[must_use]
pub fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// How many cores may be used here, at most `asked`.
#[must_use]
pub fn cores(asked: Option<u32>) -> CoreCount {
    CoreCount::of(&ThisNode, asked)
}

/// How much memory may be used here, at most `asked_bytes`; `None` where nothing is known.
#[must_use]
pub fn memory_limit(asked_bytes: Option<u64>) -> Option<MemoryLimit> {
    MemoryLimit::of(&ThisNode, asked_bytes)
}

/// How many processes the kernel has killed for want of memory in this process's control group, or on the node where the group
/// does not count them.
#[must_use]
pub fn n_oom_kills() -> Option<u64> {
    cgroup::n_oom_kills(&ThisNode)
}

/// The SLURM job that this process runs in.
#[must_use]
pub fn slurm_job() -> Option<String> {
    ThisNode.env("SLURM_JOB_ID").filter(|id| !id.is_empty())
}

/// How long the SLURM allocation still lasts, where SLURM says so. Taken once at start: clocks of nodes may disagree a little,
/// and whoever uses it keeps a margin.
#[must_use]
pub fn slurm_time_left() -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    time_left(&ThisNode, now)
}

fn time_left(node: &impl Node, now_since_1970: Duration) -> Option<Duration> {
    let end_s: u64 = node.env("SLURM_JOB_END_TIME")?.trim().parse().ok()?;
    // Unlimited allocations carry 0 or a date in the far future.
    (end_s > 0).then(|| Duration::from_secs(end_s).saturating_sub(now_since_1970))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_node_has_a_name_cores_and_memory() {
        assert!(!node_name().is_empty());
        let count = cores(None);
        assert!(count.n_cores >= 1 && count.n_cores <= count.n_on_node, "{count:?}");
        assert_eq!(cores(Some(1)).n_cores, 1);
        assert!(memory_limit(None).is_some_and(|limit| limit.bytes > 1 << 20));
        assert_eq!(memory_limit(Some(4096)).map(|limit| limit.bytes), Some(4096));
    }

    #[test]
    fn the_end_of_an_allocation_is_read_from_slurm() {
        let mut node = RecordedNode::default();
        let now = Duration::from_secs(1_700_000_000);
        assert_eq!(time_left(&node, now), None);
        node.env.insert("SLURM_JOB_END_TIME".to_owned(), "1700000600".to_owned());
        assert_eq!(time_left(&node, now), Some(Duration::from_secs(600)));
        assert_eq!(time_left(&node, now * 2), Some(Duration::ZERO));
        node.env.insert("SLURM_JOB_END_TIME".to_owned(), "0".to_owned());
        assert_eq!(time_left(&node, now), None);
    }
}
