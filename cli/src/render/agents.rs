//! The listing of agents. It must not judge whether an agent is well: its state says so.

use super::job::short_id;
use super::table::{Columns, cell};
use paceline_common::units::{display_count, display_duration, display_size};
use paceline_common::view::AgentView;
use std::time::Duration;

/// One line an agent, and below them what they are together.
#[must_use]
pub fn table(agents: &[AgentView], has_colours: bool) -> String {
    if agents.is_empty() {
        return String::new();
    }
    let headers = [">ID", "HOST", ">PID", "STATE", ">CORES", ">LEASES", ">COMMITTED", ">MEMORY", ">MAPPED", ">HEARD", "CORES DECIDED BY"];
    let mut columns = Columns::new(&headers, has_colours);
    for agent in agents {
        let memory = display_size(agent.usage.anonymous_bytes);
        columns.row([
            cell(short_id(agent.agent.0)),
            cell(&agent.host),
            cell(agent.pid.to_string()),
            cell(&agent.state),
            cell(agent.cores.to_string()),
            cell(agent.n_leases.to_string()),
            cell(display_count(agent.n_committed)),
            cell(agent.memory_limit_bytes.map_or(memory.clone(), |limit| format!("{memory} of {}", display_size(limit)))),
            cell(display_size(agent.usage.mapped_bytes)),
            cell(format!("{} ago", display_duration(Duration::from_millis(agent.silent_ms)))),
            cell(&agent.cores_reason),
        ]);
    }
    format!("{}\n\n{}", columns.text(), together(agents))
}

/// "2 agents with 64 cores; 41.0 GiB of inputs mapped, each once a node".
fn together(agents: &[AgentView]) -> String {
    let present: Vec<&AgentView> = agents.iter().filter(|a| a.state != "lost").collect();
    let n_cores: u64 = present.iter().map(|a| u64::from(a.cores)).sum();
    let n_mapped_bytes: u64 = present.iter().map(|a| a.usage.mapped_bytes).sum();
    let agents = if present.len() == 1 { "1 agent".to_owned() } else { format!("{} agents", present.len()) };
    let cores = if n_cores == 1 { "1 core".to_owned() } else { format!("{n_cores} cores") };
    format!("{agents} with {cores}; {} of inputs mapped, shared by an agent's threads", display_size(n_mapped_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;
    use paceline_common::ids::AgentId;
    use paceline_common::message::AgentUsage;

    #[test]
    fn lost_agents_are_listed_but_not_counted() {
        let usage = AgentUsage { anonymous_bytes: 1 << 20, file_backed_bytes: 0, mapped_bytes: 2 << 30, cpu_ms: 1 };
        let agent = AgentView {
            agent: AgentId(1),
            host: "n01".to_owned(),
            pid: 77,
            state: "working".to_owned(),
            cores: 16,
            cores_reason: "SLURM_CPUS_PER_TASK".to_owned(),
            n_leases: 1,
            n_committed: 1234,
            silent_ms: 900,
            usage,
            memory_limit_bytes: Some(4 << 30),
            slurm_job: None,
        };
        let lost = AgentView { state: "lost".to_owned(), ..agent.clone() };
        let text = table(&[agent, lost], false);
        assert_eq!(text.lines().filter(|l| l.contains("n01")).count(), 2);
        assert!(text.contains("1.0 MiB of 4.0 GiB") && text.contains("SLURM_CPUS_PER_TASK"), "{text}");
        assert!(text.ends_with("1 agent with 16 cores; 2.0 GiB of inputs mapped, shared by an agent's threads"), "{text}");
    }
}
