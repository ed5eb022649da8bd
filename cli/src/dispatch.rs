//! From a parsed command to the room that carries it out. It must not do any of the work.

use crate::args::agent::AgentCommand;
use crate::args::coordinator::CoordinatorCommand;
use crate::args::{Cli, Command};
use crate::client::{self, connect::cluster_root};
use crate::exit::CliError;
use crate::{daemon, embedded, logging, manual, runtime};
use std::future::Future;
use std::process::ExitCode;

/// Carries a command out.
///
/// # Errors
/// The command's own.
pub fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let cluster = cli.cluster;
    match cli.command {
        Command::Run(args) => embedded::run(args),
        Command::Submit(args) => ask(client::submit::submit(cluster, args)),
        Command::Jobs(args) => ask(client::jobs::list(cluster, args)),
        Command::Job(command) => ask(client::job::run(cluster, command)),
        Command::Progress(args) => ask(client::job::progress(cluster, args)),
        Command::Logs(args) => ask(client::logs::print(cluster, args)),
        Command::Agents(args) => ask(client::agents::list(cluster, args.output.format)),
        Command::Coordinator(CoordinatorCommand::Start(args)) => daemon::coordinator::start(cluster_root(cluster)?, args),
        Command::Coordinator(CoordinatorCommand::Stop) => ask(client::coordinator::stop(cluster)),
        Command::Coordinator(CoordinatorCommand::Status(output)) => ask(client::coordinator::status(cluster, output.format)),
        Command::Agent(AgentCommand::Start(args)) => daemon::agent::start(cluster_root(cluster)?, args),
        Command::Model(command) => client::model::run(command),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::man_pages(&dir),
        Command::Runner => Ok(paceline_agent::runner::main()),
    }
}

fn ask(command: impl Future<Output = Result<ExitCode, CliError>>) -> Result<ExitCode, CliError> {
    logging::start_for_client()?;
    runtime::block_on_client(command)
}
