//! `paceline coordinator …`. It must not start anything.

use super::output::OutputArgs;
use crate::logging::LogFormat;
use clap::{Args, Subcommand};
use std::net::SocketAddr;

/// What can be done with a coordinator.
#[derive(Debug, Subcommand)]
pub enum CoordinatorCommand {
    /// Run the coordinator in the foreground
    ///
    /// It prints one line when it listens, and stops cleanly on Ctrl-C, SIGTERM or `paceline coordinator stop`. Stopped or killed, it
    /// loses nothing: started again on the same cluster directory, it goes on where it was, and the agents come back by themselves.
    Start(StartArgs),
    /// Stop the coordinator cleanly; its jobs go on when it is started again
    Stop,
    /// Show where the coordinator is, and what it has to do
    Status(OutputArgs),
}

/// How a coordinator is started.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// The address and port to listen on; port 0 takes a free one, which agents and clients find in the cluster directory.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:0")]
    pub listen: SocketAddr,
    /// Also serve status and metrics over HTTP on this loopback address, such as 127.0.0.1:8080. [default: no HTTP]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// The form of the log on standard error: text for people, json for machines (one object a line).
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text, hide_possible_values = true)]
    pub log_format: LogFormat,
}
