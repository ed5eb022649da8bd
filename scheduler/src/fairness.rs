//! Fair sharing by start-time fair queueing: every job has a virtual time, the core-time that it received divided by its
//! priority, and the job with the least is served next. (Goyal, Vin, Cheng: Start-time Fair Queuing, SIGCOMM 1996.)
//! A lease is charged what it should take when it is granted, and what it took when it ends.

use crate::book::NewLease;
use crate::lease::Lease;
use crate::rate::nanoseconds;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Charges the job for a lease about to be granted, and gives the charge.
    pub(crate) fn charge(&mut self, new: &NewLease) -> u64 {
        let Some(job) = self.jobs.get_mut(&new.job) else { return 0 };
        let rate = job.stage.as_ref().and_then(|stage| stage.rate_of(new.agent));
        let core_ns = match rate {
            Some(rate) => nanoseconds(new.range.len() as f64 / rate),
            None => self.policy.min_lease_ns.saturating_mul(u64::from(new.cores)),
        };
        // At least 1, so that jobs of items that cost nothing still take turns.
        let charge = (core_ns / u64::from(job.terms.priority.max(1))).max(1);
        self.virtual_time = self.virtual_time.max(job.virtual_time);
        job.virtual_time = job.virtual_time.saturating_add(charge);
        charge
    }

    /// Replaces the estimated charge of a lease that has ended by what it took.
    pub(crate) fn settle_charge(&mut self, lease: &Lease) {
        let Some(job) = self.jobs.get_mut(&lease.job) else { return };
        let core_ns = lease.begun_at.map_or(0, |begun_at| self.now.since(begun_at)).saturating_mul(u64::from(lease.cores));
        let took = (core_ns / u64::from(job.terms.priority.max(1))).max(1);
        job.virtual_time = job.virtual_time.saturating_sub(lease.charge).saturating_add(took);
        self.refresh_job(lease.job);
    }
}
