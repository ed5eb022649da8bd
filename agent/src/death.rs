//! Why a runner died, from what the kernel says of it. Pure.
//! This file must not know processes; `supervisor.rs` collects the facts.

use paceline_common::failure::RunnerDeath;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const SIGKILL: i32 = 9;

/// What is known of the memory around a runner's life.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFacts {
    /// The control group's count of kills for memory when the runner started.
    pub n_oom_kills_before: Option<u64>,
    /// And after it died.
    pub n_oom_kills_after: Option<u64>,
    /// The limit, where known.
    pub limit_bytes: Option<u64>,
}

/// How it came to its end. The kernel kills for memory by SIGKILL and counts it; a SIGKILL that was not counted came from someone.
pub fn explain(status: ExitStatus, memory: MemoryFacts) -> RunnerDeath {
    match (status.signal(), status.code()) {
        (Some(SIGKILL), _) if has_risen(memory) => RunnerDeath::OutOfMemory { limit_bytes: memory.limit_bytes },
        (Some(signal), _) => RunnerDeath::Signal(signal),
        (None, code) => RunnerDeath::Exit(code.unwrap_or(-1)),
    }
}

fn has_risen(memory: MemoryFacts) -> bool {
    matches!((memory.n_oom_kills_before, memory.n_oom_kills_after), (Some(before), Some(after)) if after > before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_counts_as_out_of_memory_only_where_the_kernel_counted_it() {
        let memory = |after| MemoryFacts { n_oom_kills_before: Some(3), n_oom_kills_after: after, limit_bytes: Some(1 << 30) };
        let killed = ExitStatus::from_raw(9);
        assert_eq!(explain(killed, memory(Some(4))), RunnerDeath::OutOfMemory { limit_bytes: Some(1 << 30) });
        assert_eq!(explain(killed, memory(Some(3))), RunnerDeath::Signal(9));
        assert_eq!(explain(killed, memory(None)), RunnerDeath::Signal(9));
        // Another process was killed for memory while this one aborted.
        assert_eq!(explain(ExitStatus::from_raw(6), memory(Some(4))), RunnerDeath::Signal(6));
        assert_eq!(explain(ExitStatus::from_raw(7), memory(Some(3))), RunnerDeath::Signal(7));
        assert_eq!(explain(ExitStatus::from_raw(101 << 8), memory(Some(3))), RunnerDeath::Exit(101));
    }
}
