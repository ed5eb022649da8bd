//! How much memory may be used: the least of what the user, SLURM, the control group and the node allow, and which it was.
//! This file must not know what is in use.

use super::cores::CoreCount;
use super::{Node, cgroup};
use std::path::Path;

/// A limit of memory and what decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// How much may be used.
    pub bytes: u64,
    /// What decided: "--memory", "SLURM_MEM_PER_NODE", "cgroup memory limit", …
    pub reason: String,
}

impl MemoryLimit {
    /// Asks `node`; `asked_bytes` is what the user wants at most.
    pub fn of(node: &impl Node, asked_bytes: Option<u64>) -> Option<Self> {
        let limits = [
            (asked_bytes, "--memory"),
            (slurm_mebibytes(node, "SLURM_MEM_PER_NODE"), "SLURM_MEM_PER_NODE"),
            (per_cpu(node), "SLURM_MEM_PER_CPU"),
            (cgroup::memory_limit(node), "cgroup memory limit"),
            (physical(node), "memory of the node"),
        ];
        let (bytes, reason) =
            limits.into_iter().filter_map(|(limit, reason)| limit.map(|bytes| (bytes, reason))).min_by_key(|(bytes, _)| *bytes)?;
        Some(Self { bytes, reason: reason.to_owned() })
    }
}

/// SLURM writes mebibytes; 0 stands for all of the node's memory.
fn slurm_mebibytes(node: &impl Node, name: &str) -> Option<u64> {
    let mebibytes: u64 = node.env(name)?.trim().parse().ok()?;
    (mebibytes > 0).then(|| mebibytes.saturating_mul(1 << 20))
}

/// SLURM grants this much for every core allocated on the node, used or not.
fn per_cpu(node: &impl Node) -> Option<u64> {
    let per_cpu = slurm_mebibytes(node, "SLURM_MEM_PER_CPU")?;
    let n_cpus = node.env("SLURM_CPUS_ON_NODE").and_then(|n| n.trim().parse().ok());
    Some(per_cpu.saturating_mul(n_cpus.unwrap_or_else(|| u64::from(CoreCount::of(node, None).n_cores))))
}

fn physical(node: &impl Node) -> Option<u64> {
    let text = node.read(Path::new("/proc/meminfo"))?;
    let kibibytes: u64 = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok())?;
    Some(kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::super::RecordedNode;
    use super::super::cgroup::fixtures;
    use super::*;

    fn explained(node: &RecordedNode, asked_bytes: Option<u64>) -> Option<(u64, String)> {
        MemoryLimit::of(node, asked_bytes).map(|limit| (limit.bytes >> 20, limit.reason))
    }

    fn is(mebibytes: u64, reason: &str) -> Option<(u64, String)> {
        Some((mebibytes, reason.to_owned()))
    }

    #[test]
    fn the_least_limit_decides_and_is_named() {
        let mut node = fixtures::slurm_v2();
        assert_eq!(explained(&node, None), is(65536, "cgroup memory limit"));
        node.env.insert("SLURM_MEM_PER_NODE".to_owned(), "32000".to_owned());
        assert_eq!(explained(&node, None), is(32000, "SLURM_MEM_PER_NODE"));
        node.env.insert("SLURM_MEM_PER_NODE".to_owned(), "0".to_owned());
        node.env.insert("SLURM_MEM_PER_CPU".to_owned(), "2000".to_owned());
        node.env.insert("SLURM_CPUS_ON_NODE".to_owned(), "4".to_owned());
        assert_eq!(explained(&node, None), is(8000, "SLURM_MEM_PER_CPU"));
        assert_eq!(explained(&node, Some(1 << 30)), is(1024, "--memory"));
        assert_eq!(explained(&fixtures::slurm_v1(), None), is(32768, "cgroup memory limit"));
        assert_eq!(explained(&fixtures::docker_v1(), None), is(1024, "cgroup memory limit"));
    }

    #[test]
    fn without_limits_the_node_decides() {
        let mut node = RecordedNode::default();
        assert_eq!(explained(&node, None), None);
        node.files.insert("/proc/meminfo".into(), fixtures::MEMINFO_512_GIB.1.to_owned());
        assert_eq!(explained(&node, None), is(512 << 10, "memory of the node"));
    }
}
