//! What can go wrong, typed by what the caller does next.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Why an item or a stage could not be computed. The kind decides what happens next, the sentence is for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What happens next.
    pub kind: FailureKind,
    /// One sentence: the thing, what is wrong with it, what to do.
    pub message: String,
}

/// What happens after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The user's input is wrong: the whole job ends at once, nothing is tried again.
    BadInput,
    /// This item fails wherever it runs: it is set aside after a few attempts and the rest goes on.
    Item,
    /// A file could not be read or written here now: the range goes elsewhere, a bounded number of times.
    Storage,
    /// No room is left to write: the job pauses, and goes on when it is resumed.
    NoSpace,
}

impl Failure {
    /// The user's input is wrong.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::BadInput, message: message.into() }
    }

    /// This item fails wherever it runs.
    pub fn item(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Item, message: message.into() }
    }

    /// A file could not be used here now.
    pub fn storage(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Storage, message: message.into() }
    }

    /// Sorts an error of the filesystem by what it means for the work. `doing` is what was tried: "read", "write".
    pub fn from_io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        let (kind, advice) = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => (FailureKind::NoSpace, ""),
            std::io::ErrorKind::NotFound => (FailureKind::BadInput, "; check the path"),
            std::io::ErrorKind::PermissionDenied => (FailureKind::BadInput, "; ask its owner for access"),
            std::io::ErrorKind::InvalidData => (FailureKind::BadInput, ""),
            _ => (FailureKind::Storage, ""),
        };
        Self { kind, message: format!("{}: cannot {doing}: {error}{advice}", path.display()) }
    }
}

/// Why a request was turned down, as it crosses the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which exit code it becomes.
    pub kind: RefusalKind,
    /// One sentence: the thing, what is wrong with it, what to do.
    pub message: String,
}

/// What the caller of a refused request can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// Correct the request.
    BadInput,
    /// Name something that exists.
    NotFound,
    /// Wait, or change what stands in the way.
    Conflict,
    /// Nothing in the request is wrong: the coordinator could not do it.
    Internal,
}

impl Refusal {
    /// The request is wrong.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::BadInput, message: message.into() }
    }

    /// What it names does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::NotFound, message: message.into() }
    }

    /// Something that exists stands in the way.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Conflict, message: message.into() }
    }

    /// The coordinator could not do it.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Internal, message: message.into() }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure.kind {
            FailureKind::BadInput | FailureKind::Item => Self::bad_input(failure.message),
            FailureKind::Storage | FailureKind::NoSpace => Self::internal(failure.message),
        }
    }
}

/// How a runner came to its end, as far as its agent could find out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunnerDeath {
    /// It exited by itself with this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel killed it for the memory limit of its control group.
    OutOfMemory {
        /// The limit in bytes, where known.
        limit_bytes: Option<u64>,
    },
    /// It could not be started at all.
    NotStarted(String),
}

impl fmt::Display for RunnerDeath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "the runner exited with code {code}"),
            // SIGBUS: the one signal whose usual cause a person can act on.
            Self::Signal(7) => write!(f, "the runner was killed by signal 7 (SIGBUS): an input file was truncated while it was mapped"),
            Self::Signal(signal) => write!(f, "the runner was killed by signal {signal}"),
            Self::OutOfMemory { limit_bytes: Some(bytes) } => {
                write!(f, "the runner was killed for memory: its control group allows {}", crate::units::display_size(*bytes))
            }
            Self::OutOfMemory { limit_bytes: None } => write!(f, "the runner was killed for memory by its control group"),
            Self::NotStarted(why) => write!(f, "the runner could not be started: {why}"),
        }
    }
}
