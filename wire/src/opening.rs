//! The first words on a new connection: the caller says which service it wants and which version it speaks, the coordinator
//! says yes or why not. So a refused certificate, role or version is known when the connection is opened, and not at some later call.

use crate::authority::Role;
use crate::codec;
use paceline_common::message::PROTOCOL_VERSION;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest opening in bytes: both are a few numbers and one sentence.
const MAX_OPENING_BYTES: usize = 1024;

/// Which service a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// [`crate::service::Control`].
    Control,
    /// [`crate::service::AgentLink`].
    AgentLink,
}

impl Service {
    /// The role whose certificate opens this service.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::Control => Role::Client,
            Self::AgentLink => Role::Agent,
        }
    }
}

/// What a caller says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// [`PROTOCOL_VERSION`] of the caller.
    pub protocol_version: u32,
    /// What it wants.
    pub service: Service,
}

/// What the coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// Calls may follow.
    Welcome,
    /// The versions differ; this is the coordinator's.
    OtherVersion(u32),
    /// The certificate is not for that service.
    WrongRole,
}

impl Opening {
    /// The opening for `service` by this version.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self { protocol_version: PROTOCOL_VERSION, service }
    }

    /// What a coordinator answers to a caller whose certificate gives it `role`.
    #[must_use]
    pub fn judge(self, role: Option<Role>) -> Greeting {
        if self.protocol_version != PROTOCOL_VERSION {
            Greeting::OtherVersion(PROTOCOL_VERSION)
        } else if role != Some(self.service.role()) {
            Greeting::WrongRole
        } else {
            Greeting::Welcome
        }
    }
}

/// Sends one opening or greeting.
pub async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    let body = codec::encode(value)?;
    let mut frame = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Receives one opening or greeting, and not a byte more.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let len = stream.read_u32().await? as usize;
    if len > MAX_OPENING_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an opening of {len} bytes is no opening")));
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    codec::decode(&body)
}
