//! Every way in which the binary can end, and the exit code and sentence of each: the one place that knows them.
//! It must not know how anything came about.

use crate::render::stream;
use paceline_common::failure::{Failure, FailureKind, Refusal, RefusalKind};
use paceline_common::view::JobState;
use paceline_wire::error::WireError;
use std::process::ExitCode;

/// Why a command did not end as it was meant to. Every text is one sentence.
#[derive(Debug)]
pub enum CliError {
    /// The arguments make no sense; or help was asked for, which clap reports in the same way.
    Usage(Box<clap::Error>),
    /// An argument, a file or a request is wrong: correct it.
    BadInput(String),
    /// A job ended other than well. What there is to say has been said.
    JobEnded(JobState),
    /// Nothing that was asked for is wrong, but it could not be done.
    Internal(String),
    /// No coordinator answers.
    Unreachable(String),
    /// A person stopped it.
    Interrupted(String),
    /// Whoever read the output has read enough.
    ClosedPipe,
}

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const BAD_INPUT: u8 = 2;
const UNREACHABLE: u8 = 3;
const CANCELLED: u8 = 4;
const INTERRUPTED: u8 = 130;

impl CliError {
    /// The exit code, as docs/command-line.md lists them.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(error) if error.exit_code() == 0 => SUCCESS,
            Self::Usage(_) | Self::BadInput(_) => BAD_INPUT,
            Self::JobEnded(state) => code_of_job(*state),
            Self::Internal(_) => FAILURE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Interrupted(_) => INTERRUPTED,
            Self::ClosedPipe => SUCCESS,
        }
    }

    /// Says on standard error what happened, and gives the exit code.
    pub fn report(self) -> ExitCode {
        match &self {
            // Clap writes to standard output or error as the case may be; a closed pipe there is no news.
            Self::Usage(error) => drop(error.print()),
            Self::BadInput(message) | Self::Internal(message) | Self::Unreachable(message) => stream::tell(&format!("error: {message}")),
            Self::Interrupted(message) => stream::tell(message),
            Self::JobEnded(_) | Self::ClosedPipe => {}
        }
        ExitCode::from(self.code())
    }
}

/// What the end of a job means for the exit code of whoever waited for it.
fn code_of_job(state: JobState) -> u8 {
    match state {
        JobState::Succeeded => SUCCESS,
        // Not over: only a bug would ask, and it must not look like success.
        JobState::Failed | JobState::Running | JobState::Paused => FAILURE,
        JobState::BadInput => BAD_INPUT,
        JobState::Cancelled => CANCELLED,
    }
}

/// Of several jobs' ends, the one that counts for the exit code: failed before bad input before cancelled before succeeded.
#[must_use]
pub fn worse(a: JobState, b: JobState) -> JobState {
    let rank = |state: JobState| match state {
        JobState::Succeeded => 0,
        JobState::Cancelled => 1,
        JobState::BadInput => 2,
        JobState::Running | JobState::Paused | JobState::Failed => 3,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// The end of a command that waited for a job.
///
/// # Errors
/// Every end but success.
pub fn of_job(state: JobState) -> Result<ExitCode, CliError> {
    match state {
        JobState::Succeeded => Ok(ExitCode::SUCCESS),
        other => Err(CliError::JobEnded(other)),
    }
}

impl From<clap::Error> for CliError {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

impl From<Refusal> for CliError {
    fn from(refusal: Refusal) -> Self {
        match refusal.kind {
            RefusalKind::BadInput | RefusalKind::NotFound | RefusalKind::Conflict => Self::BadInput(refusal.message),
            RefusalKind::Internal => Self::Internal(refusal.message),
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::BadInput | FailureKind::Item => Self::BadInput(failure.message),
            FailureKind::Storage | FailureKind::NoSpace => Self::Internal(failure.message),
        }
    }
}

impl From<WireError> for CliError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::NotRunning(message)
            | WireError::Unreachable(message)
            | WireError::CertificateRefused(message)
            | WireError::Version(message)
            | WireError::Lost(message) => Self::Unreachable(message),
            WireError::Directory(message) => Self::BadInput(message),
            WireError::Refused(refusal) => refusal.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn only_success_exits_with_zero() {
        for state in [JobState::Running, JobState::Paused, JobState::Failed, JobState::BadInput, JobState::Cancelled] {
            assert_ne!(of_job(state).expect_err("not a success").code(), 0, "{state:?}");
        }
        assert!(of_job(JobState::Succeeded).is_ok());
    }

    #[test]
    fn the_worst_of_several_jobs_counts() {
        assert_eq!(worse(JobState::Succeeded, JobState::Cancelled), JobState::Cancelled);
        assert_eq!(worse(JobState::Failed, JobState::Cancelled), JobState::Failed);
        assert_eq!(worse(JobState::BadInput, JobState::Failed), JobState::Failed);
    }

    #[test]
    fn what_the_caller_can_do_decides_the_code() {
        let code = |error: WireError| CliError::from(error).code();
        assert_eq!(code(WireError::NotRunning(String::new())), 3);
        assert_eq!(code(WireError::Lost(String::new())), 3);
        assert_eq!(code(WireError::Directory(String::new())), 2);
        assert_eq!(code(WireError::Refused(Refusal::not_found(""))), 2);
        assert_eq!(code(WireError::Refused(Refusal::internal(""))), 1);
    }
}
