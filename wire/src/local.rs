//! The services without a network: a channel within the process, for the embedded mode and for tests.

use tarpc::transport::channel::{self, Channel};
use tarpc::{ClientMessage, Response};

/// Calls that may wait unread in either direction, for the same reason as every queue: a caller that outruns its peer must wait.
const CAPACITY: usize = 64;

/// The caller's end of a channel.
pub type LocalCaller<Req, Resp> = Channel<Response<Resp>, ClientMessage<Req>>;
/// The server's end of a channel.
pub type LocalServer<Req, Resp> = Channel<ClientMessage<Req>, Response<Resp>>;

/// A connection within the process: the caller's end and the server's.
#[must_use]
pub fn pair<Req, Resp>() -> (LocalCaller<Req, Resp>, LocalServer<Req, Resp>) {
    channel::bounded(CAPACITY)
}
