//! Opening an authenticated connection to the coordinator of a cluster directory, by whichever of its addresses answers first.

use crate::authority::Identity;
use crate::cluster_dir::{ClusterDir, CoordinatorFile};
use crate::error::WireError;
use crate::opening::{self, Greeting, Opening, Service};
use crate::{socket, tls};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use paceline_common::host::node_name;
use paceline_common::message::PROTOCOL_VERSION;
use rustls_pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long an address may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first address has to answer before the next is tried beside it. On a machine with several networks some of the
/// addresses lead nowhere and would hold up the rest for the whole timeout.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(150);

/// An open connection, ready for calls.
#[derive(Debug)]
pub struct Connection {
    /// The encrypted stream.
    pub stream: TlsStream<TcpStream>,
    /// The "host:port" that answered.
    pub address: String,
}

/// Opens a connection for `service` to the coordinator of `dir`, with the certificate of that service's role.
pub async fn open(dir: &ClusterDir, service: Service) -> Result<Connection, WireError> {
    let file = dir.read_coordinator()?;
    if file.protocol_version != PROTOCOL_VERSION {
        return Err(other_version(&file.host, file.protocol_version));
    }
    let (connector, name) = tls::connector(Identity::read(dir, service.role())?)?;
    let attempts: FuturesUnordered<_> = candidates(&file)
        .into_iter()
        .enumerate()
        .map(|(i, address)| {
            let (connector, name) = (&connector, name.clone());
            async move {
                tokio::time::sleep(NEXT_ADDRESS_AFTER * i as u32).await;
                attempt(&address, connector, name, service).await.map(|stream| Connection { stream, address })
            }
        })
        .collect();
    first_success(attempts, &file).await
}

async fn first_success<F>(mut attempts: FuturesUnordered<F>, file: &CoordinatorFile) -> Result<Connection, WireError>
where
    F: Future<Output = Result<Connection, WireError>>,
{
    let mut worst = WireError::Unreachable(format!("the coordinator on {} has published no address; restart it", file.host));
    while let Some(outcome) = attempts.next().await {
        match outcome {
            Ok(connection) => return Ok(connection),
            // An address that answers wrongly tells more than one that does not answer.
            Err(error @ (WireError::Version(_) | WireError::CertificateRefused(_))) => worst = error,
            Err(error) if matches!(worst, WireError::Unreachable(_)) => worst = error,
            Err(_) => {}
        }
    }
    Err(worst)
}

/// Loopback addresses mean the coordinator only on its own node; there they are the best ones.
fn candidates(file: &CoordinatorFile) -> Vec<String> {
    let is_loopback = |a: &String| a.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback());
    let (loopback, other): (Vec<String>, Vec<String>) = file.addresses.iter().cloned().partition(is_loopback);
    if other.is_empty() || file.host == node_name() { loopback.into_iter().chain(other).collect() } else { other }
}

async fn attempt(
    address: &str,
    connector: &TlsConnector,
    name: ServerName<'static>,
    service: Service,
) -> Result<TlsStream<TcpStream>, WireError> {
    let unreachable = |why: &dyn std::fmt::Display| {
        WireError::Unreachable(format!("the coordinator at {address} does not answer: {why}; see whether it still runs"))
    };
    let tcp = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| unreachable(&"no answer in time"))?
        .map_err(|e| unreachable(&e))?;
    if connected_to_itself(&tcp) {
        return Err(unreachable(&"connection refused"));
    }
    socket::prepare(&tcp).map_err(|e| unreachable(&e))?;
    timeout(tls::HANDSHAKE_TIMEOUT, greet(address, tcp, connector, name, service)).await.map_err(|_| unreachable(&"no greeting in time"))?
}

/// Dialling a free port of one's own node can connect a socket to itself, when the port happens to be chosen for both ends.
fn connected_to_itself(tcp: &TcpStream) -> bool {
    matches!((tcp.local_addr(), tcp.peer_addr()), (Ok(local), Ok(peer)) if local == peer && !matches!(peer.ip(), IpAddr::V4(ip) if ip.is_unspecified()))
}

async fn greet(
    address: &str,
    tcp: TcpStream,
    connector: &TlsConnector,
    name: ServerName<'static>,
    service: Service,
) -> Result<TlsStream<TcpStream>, WireError> {
    let mut stream = connector.connect(name, tcp).await.map_err(|e| tls::explain(address, &e))?;
    opening::send(&mut stream, &Opening::new(service)).await.map_err(|e| tls::explain(address, &e))?;
    match opening::receive(&mut stream).await.map_err(|e| tls::explain(address, &e))? {
        Greeting::Welcome => Ok(stream),
        Greeting::OtherVersion(version) => Err(other_version(address, version)),
        Greeting::WrongRole => Err(WireError::CertificateRefused(format!(
            "the coordinator at {address} does not accept this certificate for that service: an agent's certificate cannot submit, a client's cannot report"
        ))),
    }
}

fn other_version(place: &str, version: u32) -> WireError {
    WireError::Version(format!(
        "the coordinator at {place} speaks version {version} of the protocol and this paceline version {PROTOCOL_VERSION}; install the same paceline on both nodes"
    ))
}
