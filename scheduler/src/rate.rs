//! How fast items are done: a ratio of sums that forgets. It is unbiased where single samples are not (no item for nine
//! seconds, then thirty in one), because items and time are forgotten alike.

/// Items per core-second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    n_items: f64,
    core_seconds: f64,
}

/// A rate remembers about this many seconds, so that it follows a change of load within a few leases...
const MEMORY_SECONDS: f64 = 3.0;
/// ...but at least this many items per core, since fewer would be noise.
const MEMORY_ITEMS_PER_CORE: f64 = 4.0;

impl Rate {
    /// Adds a sample of `n_items` in `seconds` on `cores` cores.
    pub(crate) fn add(&mut self, n_items: u64, seconds: f64, cores: u32) {
        let cores = f64::from(cores.max(1));
        self.add_remembering(n_items, seconds * cores, self.memory_seconds() * cores);
    }

    /// How much a rate should remember, for each core that it is measured on.
    pub(crate) fn memory_seconds(&self) -> f64 {
        self.per_core_second().map_or(MEMORY_SECONDS, |rate| MEMORY_SECONDS.max(MEMORY_ITEMS_PER_CORE / rate))
    }

    /// The same with the memory given, in core-seconds.
    pub(crate) fn add_remembering(&mut self, n_items: u64, core_seconds: f64, memory: f64) {
        let kept = memory / (memory + core_seconds);
        self.n_items = self.n_items * kept + n_items as f64;
        self.core_seconds = self.core_seconds * kept + core_seconds;
    }

    /// Items per core-second; `None` before the first item.
    pub(crate) fn per_core_second(&self) -> Option<f64> {
        (self.n_items > 0.0 && self.core_seconds > 0.0).then(|| self.n_items / self.core_seconds)
    }

    /// Items per second where the time was given on one core, at a moment `seconds` after the last sample.
    pub(crate) fn per_second_after(&self, seconds: f64) -> f64 {
        let time = self.core_seconds + seconds;
        if time > 0.0 { self.n_items / time } else { 0.0 }
    }
}

pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 * 1e-9
}

pub(crate) fn nanoseconds(seconds: f64) -> u64 {
    // A float beyond the range of u64 becomes the nearest value that there is.
    (seconds * 1e9) as u64
}
