//! Settings of every TCP socket, at both ends: small messages leave at once, and a peer that is silently gone is noticed.

use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// A connection idle for this long is probed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
/// Pause between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Probes unanswered before the connection is given up: with the above, a peer without power is noticed within 40 s, and the
/// heartbeat, which is faster, decides about the work.
const KEEPALIVE_PROBES: u32 = 4;
/// Sent data unacknowledged for this long gives the connection up, for keepalive does not probe while data is under way.
const UNACKNOWLEDGED_TIMEOUT_MS: u32 = 30_000;

/// Applies the settings.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    // Without this a small answer waits up to 40 ms for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_TIMEOUT_MS)?;
    Ok(())
}
