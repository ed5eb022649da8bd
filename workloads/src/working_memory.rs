//! Working memory of a stage that its threads use in turns, so that it is allocated once for each of them and not once for each block.
//! It must not know what the memory is for.

use std::sync::{Mutex, PoisonError};

/// What no thread uses now: never more than there are threads.
#[derive(Debug, Default)]
pub(crate) struct WorkingMemory<T> {
    idle: Mutex<Vec<T>>,
}

impl<T: Default> WorkingMemory<T> {
    /// Lends one to `work`. After a panic it is gone, whatever state it was in.
    pub(crate) fn lend<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock must not be held while `work` runs.
        let taken = idle().pop();
        let mut memory = taken.unwrap_or_default();
        let result = work(&mut memory);
        idle().push(memory);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lent_again_and_never_to_two_at_once() {
        let memory = WorkingMemory::<Vec<u8>>::default();
        memory.lend(|outer| {
            outer.push(1);
            memory.lend(|inner| assert!(inner.is_empty()));
        });
        let mut found = memory.lend(|first| memory.lend(|second| [first.len(), second.len()]));
        found.sort_unstable();
        assert_eq!(found, [0, 1]);
    }
}
