//! What an agent is told at its start: cores, memory, when to leave, and how its runner is started.
//! This file must not know arguments of a command line or connections.

use crate::daemon::AgentError;
use paceline_common::host::{self, CoreCount, MemoryLimit};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How an agent runs.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Threads of the runner's pool, and what decided their number.
    pub cores: CoreCount,
    /// Memory that agent and runner may use, where a limit is known; reported and named when a runner is killed for it.
    pub memory_limit: Option<MemoryLimit>,
    /// Leave after so long without a lease.
    pub idle_timeout: Option<Duration>,
    /// Leave before this time is over, with what can be finished finished. The end of a SLURM allocation counts too where SLURM
    /// tells it.
    pub time_limit: Option<Duration>,
    /// Leave when no coordinator was heard for so long.
    pub orphan_timeout: Option<Duration>,
    /// A directory on the node's own disk where inputs are copied to once, to be mapped from there; `None` to map them where they
    /// stand.
    pub scratch: Option<PathBuf>,
    /// The program that computes.
    pub runner_command: RunnerCommand,
}

/// A program that speaks the runner protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl AgentConfig {
    /// As this node allows, at most `asked_cores` and `asked_memory_bytes`; the runner is this program's `runner` subcommand, and
    /// nothing but the coordinator ends the agent.
    pub fn of_this_node(asked_cores: Option<u32>, asked_memory_bytes: Option<u64>) -> Result<Self, AgentError> {
        let program = std::env::current_exe()
            .map_err(|e| AgentError::RunnerProgram(format!("the path of this program cannot be found: {e}; mount /proc")))?;
        Ok(Self {
            cores: host::cores(asked_cores),
            memory_limit: host::memory_limit(asked_memory_bytes),
            idle_timeout: None,
            time_limit: None,
            orphan_timeout: None,
            scratch: None,
            runner_command: RunnerCommand { program, args: vec!["runner".into()] },
        })
    }
}
