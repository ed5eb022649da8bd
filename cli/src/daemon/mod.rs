//! The commands that stay: coordinator and agent in the foreground. They bring up what the daemons' own rooms provide, and say how it
//! ended. This room must not know a client.

pub mod agent;
pub mod coordinator;
