//! What can go wrong between a client or an agent and its coordinator, typed by what the caller does next.
//! Every message is one sentence that a person can act on; none ever holds a key.

use paceline_common::failure::{Failure, Refusal};
use tarpc::client::RpcError;

/// Why a connection or a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No coordinator has published its address in the cluster directory: start one, or wait for it.
    #[error("{0}")]
    NotRunning(String),
    /// An address is published, but nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// One side does not accept the certificate of the other.
    #[error("{0}")]
    CertificateRefused(String),
    /// The two sides speak different versions: waiting does not help.
    #[error("{0}")]
    Version(String),
    /// The cluster directory cannot be used as it is: waiting does not help.
    #[error("{0}")]
    Directory(String),
    /// An open connection broke, or an answer did not come in time.
    #[error("{0}")]
    Lost(String),
    /// The coordinator's own answer.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

impl WireError {
    /// Whether the same attempt may succeed later without anything being changed by a person who reads this.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotRunning(_) | Self::Unreachable(_) | Self::CertificateRefused(_) | Self::Lost(_))
    }

    /// Whether the coordinator may not have got the call at all, or its answer was lost on the way.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// An unusable cluster directory.
    pub(crate) fn directory(failure: Failure) -> Self {
        Self::Directory(failure.message)
    }

    /// A call that got no answer. `address` is where the coordinator was.
    pub(crate) fn from_rpc(address: &str, error: &RpcError) -> Self {
        match error {
            RpcError::DeadlineExceeded => {
                Self::Lost(format!("the coordinator at {address} did not answer in time; see whether it still runs"))
            }
            RpcError::Server(error) => {
                Self::Refused(Refusal::internal(format!("the coordinator at {address} could not take the call: {error}")))
            }
            RpcError::Shutdown | RpcError::Channel(_) | RpcError::Send(_) => {
                Self::Lost(format!("the connection to the coordinator at {address} broke; see whether it still runs"))
            }
        }
    }
}
