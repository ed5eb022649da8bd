//! The scheduler: a pure state machine over jobs, stages, ranges and leases. Past facts go in, imperatives come out.
//! This room must not know a clock, a thread, a socket, a file or a source of randomness; `now` is passed in.

pub mod action;
pub mod event;
