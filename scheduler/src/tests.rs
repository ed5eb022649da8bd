//! One short scenario for each rule. What all rules do together, under loss and failure, the simulation shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod failing;
mod granting;
mod leaving;
mod scenario;
mod sharing;
mod staging;
