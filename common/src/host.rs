//! Facts of the node: its name, how many cores and how much memory may be used here, and what decided it.
