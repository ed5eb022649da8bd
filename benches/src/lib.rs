//! What the measurements share: figures in rows, printed as a table or as JSON.

pub mod report;
