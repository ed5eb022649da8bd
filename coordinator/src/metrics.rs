//! The coordinator's figures in the text format of Prometheus, made from the same views that clients see.

use paceline_common::view::{AgentView, CoordinatorView, JobView};
use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::atomic::AtomicU64;

/// The type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Figures = Family<Labels, Gauge<f64, AtomicU64>>;

/// All figures as text. Jobs that are over are left out, so that the number of series does not grow for ever.
pub(crate) fn encode(status: &CoordinatorView, jobs: &[JobView], agents: &[AgentView]) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("paceline");
    let mut one = |name: &str, help: &str, value: f64| {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    one("agents", "Agents connected", f64::from(status.n_agents));
    one("cores", "Cores of all agents", f64::from(status.n_cores));
    one("active_jobs", "Jobs that are not over", f64::from(status.n_active_jobs));
    one("resident_bytes", "Resident memory of the coordinator", status.resident_bytes as f64);
    one("uptime_seconds", "Time since the start of the coordinator", status.uptime_ms as f64 / 1e3);
    one("stale_reports", "Reports dropped because their lease was over", status.n_stale_reports as f64);
    let active: Vec<(Labels, &JobView)> = jobs
        .iter()
        .filter(|job| !job.state.is_over())
        .map(|job| (vec![("job", job.job.to_string()), ("name", job.name.clone())], job))
        .collect();
    let mut by_job = |name: &str, help: &str, value: fn(&JobView) -> f64| registry.register(name, help, figures(&active, value));
    by_job("job_committed_items", "Committed items of the present stage", |job| job.n_committed as f64);
    by_job("job_items", "Items of the present stage", |job| job.n_items.unwrap_or(0) as f64);
    by_job("job_quarantined_items", "Items set aside", |job| job.n_quarantined as f64);
    by_job("job_items_per_second", "Committed items per second of late", |job| job.items_per_second);
    by_job("job_cores", "Cores at work on the job", |job| f64::from(job.n_cores));
    let here: Vec<(Labels, &AgentView)> = agents
        .iter()
        .filter(|agent| agent.state != "lost" && agent.state != "left")
        .map(|agent| (vec![("agent", agent.agent.to_string()), ("host", agent.host.clone())], agent))
        .collect();
    let mut by_agent = |name: &str, help: &str, value: fn(&AgentView) -> f64| registry.register(name, help, figures(&here, value));
    by_agent("agent_leases", "Leases that the agent holds", |agent| f64::from(agent.n_leases));
    by_agent("agent_silent_seconds", "Time since the agent was last heard", |agent| agent.silent_ms as f64 / 1e3);
    by_agent("agent_anonymous_bytes", "Anonymous resident memory of agent and runner", |agent| agent.usage.anonymous_bytes as f64);
    by_agent("agent_mapped_bytes", "Bytes of inputs mapped", |agent| agent.usage.mapped_bytes as f64);
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

fn figures<T>(things: &[(Labels, &T)], value: impl Fn(&T) -> f64) -> Figures {
    let family = Figures::default();
    for (labels, thing) in things {
        family.get_or_create(labels).set(value(thing));
    }
    family
}
