//! The runner: the child process that maps the inputs and computes items. It speaks with its agent over stdin and stdout, as
//! `docs/runner-protocol.md` says, and ends at once when the agent is gone. It must not know the coordinator or the network.

mod claim;
mod lease;
mod output;
mod pool;
pub mod protocol;
mod stage_cache;

#[cfg(test)]
mod tests;

use output::Output;
use paceline_workloads::input_cache::InputCache;
use paceline_workloads::scratch::Scratch;
use pool::Pool;
use protocol::{FromRunner, RUNNER_PROTOCOL_VERSION, ToRunner, read_line};
use std::fs::File;
use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Exit code when the agent speaks another protocol, or none.
pub const EXIT_PROTOCOL: u8 = 64;
/// Exit code when the threads or the streams cannot be had.
pub const EXIT_NO_START: u8 = 71;
/// Exit code when the agent closed the stream or is gone.
const EXIT_AGENT_GONE: i32 = 0;

/// How often progress is told: often enough for a bar that moves and for stealing from a lease of a second.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// The program `paceline runner`. Returns only on an error; it ends with its input.
pub fn main() -> ExitCode {
    match start() {
        Ok((pool, mut input)) => {
            let end = serve(&pool, &mut input);
            let code = match end {
                Ok(()) => EXIT_AGENT_GONE,
                Err(why) => {
                    complain(&pool, &why);
                    i32::from(EXIT_PROTOCOL)
                }
            };
            end_process(code)
        }
        Err((code, why)) => {
            // There is no agent that could be told: its log takes what stands on standard error.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{why}\n").as_bytes());
            ExitCode::from(code)
        }
    }
}

type Input = io::BufReader<io::StdinLock<'static>>;

fn start() -> Result<(Arc<Pool>, Input), (u8, String)> {
    let no_start = |e: io::Error| (EXIT_NO_START, format!("the runner cannot take over its streams: {e}"));
    ignore_signals().map_err(no_start)?;
    let output = Output::new(take_stdout().map_err(no_start)?);
    let mut input = io::BufReader::new(io::stdin().lock());
    let (cores, scratch) = read_hello(&mut input).map_err(|why| (EXIT_PROTOCOL, why))?;
    let scratch = scratch.map(|directory| Scratch::new(&directory)).transpose().map_err(|failure| (EXIT_NO_START, failure.message))?;
    let pool = Pool::start(cores, InputCache::new(scratch), output, pool::workload_opener()).map_err(|why| (EXIT_NO_START, why))?;
    let reporter = pool.clone();
    let started = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
        let mut last_mapped_bytes = 0;
        loop {
            std::thread::sleep(PROGRESS_INTERVAL);
            reporter.report_progress(&mut last_mapped_bytes);
        }
    });
    started.map_err(no_start)?;
    pool.say(&FromRunner::Ready { protocol_version: RUNNER_PROTOCOL_VERSION });
    Ok((pool, input))
}

/// A batch system signals every process of a step, and a terminal its whole foreground group. Draining is the agent's business:
/// it tells the runner what to finish. Only the agent's end or a kill ends the runner.
fn ignore_signals() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::user_defined1(), SignalKind::hangup()] {
        // The handler stays when what it reports to is dropped, and with it the default action is gone.
        drop(signal(kind)?);
    }
    Ok(())
}

/// Moves the protocol to a stream of its own and lets standard output end in the log, so that a library that prints breaks nothing.
fn take_stdout() -> io::Result<File> {
    let protocol = io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    Ok(File::from(protocol))
}

/// The cores to use, and the scratch directory if there is one.
fn read_hello(input: &mut impl BufRead) -> Result<(u32, Option<PathBuf>), String> {
    let mut line = Vec::new();
    let is_there = read_line(input, &mut line).map_err(|e| e.to_string())?;
    match serde_json::from_slice(&line) {
        Ok(ToRunner::Hello { protocol_version: RUNNER_PROTOCOL_VERSION, cores, scratch }) if is_there => Ok((cores, scratch)),
        Ok(ToRunner::Hello { protocol_version, .. }) => Err(format!(
            "the agent speaks version {protocol_version} of the runner protocol, and this runner {RUNNER_PROTOCOL_VERSION}; use one build of paceline"
        )),
        _ => Err("the runner is started by `paceline agent`, which greets it on its standard input; start an agent instead".to_owned()),
    }
}

/// Does what the agent says until it says no more.
fn serve(pool: &Arc<Pool>, input: &mut impl BufRead) -> Result<(), String> {
    let mut line = Vec::new();
    while read_line(input, &mut line).map_err(|e| format!("the agent's messages cannot be read: {e}"))? {
        let message = serde_json::from_slice(&line).map_err(|e| format!("a message of the agent cannot be understood: {e}"))?;
        pool.change(|queue, effects| match message {
            ToRunner::Hello { .. } => {}
            ToRunner::Grant(grant) => queue.grant(grant, effects),
            ToRunner::Shorten { lease, end } => queue.shorten(lease, end, effects),
            ToRunner::Revoke { lease } => queue.revoke(lease, effects),
            ToRunner::ForgetJob { job } => queue.forget_job(job, effects),
        });
    }
    Ok(())
}

fn complain(pool: &Pool, why: &str) {
    pool.say(&FromRunner::Log { level: "error".to_owned(), text: why.to_owned(), job: None, lease: None });
}

/// Ends the process whatever its threads are doing, and with it the children that a workload may have: all of its own process
/// group, where the agent gave it one.
fn end_process(code: i32) -> ! {
    let own = rustix::process::getpid();
    if code == EXIT_AGENT_GONE && rustix::process::getpgrp() == own {
        // Without this right there is nobody else in the group.
        let _ = rustix::process::kill_process_group(own, rustix::process::Signal::KILL);
    }
    std::process::exit(code)
}
