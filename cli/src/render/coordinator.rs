//! The coordinator's standing. It must not know how it was asked.

use super::facts;
use paceline_common::units::{display_count, display_duration, display_size};
use paceline_common::view::CoordinatorView;
use std::path::Path;
use std::time::Duration;

/// Where it is and what it has to do.
#[must_use]
pub fn standing(view: &CoordinatorView, cluster: &Path) -> String {
    let known = [
        ("cluster", cluster.display().to_string()),
        ("version", view.version.clone()),
        ("host", format!("{} (process {})", view.host, view.pid)),
        ("addresses", view.addresses.join(", ")),
        ("up", format!("{} (start number {} on this directory)", display_duration(Duration::from_millis(view.uptime_ms)), view.epoch)),
        ("agents", format!("{} with {} cores", view.n_agents, view.n_cores)),
        ("jobs", format!("{} active of {}", view.n_active_jobs, view.n_jobs)),
        ("memory", display_size(view.resident_bytes)),
        ("late reports", format!("{} dropped", display_count(view.n_stale_reports))),
    ];
    format!("coordinator\n{}", facts::lines("  ", &known))
}

/// The one line of a coordinator that has started.
#[must_use]
pub fn listening(addresses: &[String], cluster: &Path, epoch: u32) -> String {
    format!("coordinator listens on {} for cluster {} (start number {epoch})", addresses.join(", "), cluster.display())
}
