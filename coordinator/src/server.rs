//! The doors: TLS connections are accepted, authenticated and served until they close. Everything that a stranger can make this
//! process hold is bounded: connections, the time for a handshake, calls at work, and the size of a frame.

use crate::agent_link::AgentLinkServer;
use crate::command::{Command, ConnectionId, DriverHandle};
use crate::config::{MAX_CALLS_PER_CONNECTION, MAX_CONNECTIONS, N_FILE_DESCRIPTORS};
use crate::control::ControlServer;
use crate::coordinator::StartError;
use futures::{FutureExt, Stream, StreamExt};
use paceline_wire::authority::{self, Identity, Role};
use paceline_wire::cluster_dir::ClusterDir;
use paceline_wire::interfaces::published_addresses;
use paceline_wire::opening::{self, Greeting, Opening, Service};
use paceline_wire::service::{AgentLink as _, Control as _};
use paceline_wire::{codec, socket, tls};
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tarpc::context::Context;
use tarpc::server::{BaseChannel, Channel, Serve};
use tarpc::{ClientMessage, RequestName, Response, ServerError, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Pause after a connection could not be accepted, as when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A door that is open and not yet answered.
pub(crate) struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    bound: SocketAddr,
}

/// What every connection needs.
struct Shared {
    acceptor: TlsAcceptor,
    control: ControlServer,
    driver: DriverHandle,
    next_connection: Arc<AtomicU64>,
}

impl Server {
    /// Makes the certificates where there are none, and listens.
    pub(crate) async fn bind(dir: &ClusterDir, address: SocketAddr) -> Result<Self, StartError> {
        raise_descriptor_limit();
        authority::ensure(dir)?;
        let acceptor = tls::acceptor(Identity::read(dir, Role::Coordinator)?)?;
        let fail = |e: io::Error| StartError::Listen(format!("{address}: cannot be listened on: {e}; name another address with --listen"));
        let listener = TcpListener::bind(address).await.map_err(fail)?;
        let bound = listener.local_addr().map_err(fail)?;
        Ok(Self { listener, acceptor, bound })
    }

    /// Where it may be reached.
    pub(crate) fn addresses(&self) -> Vec<String> {
        published_addresses(self.bound)
    }

    /// Accepts connections until it is aborted, and closes all of them then.
    pub(crate) async fn run(self, control: ControlServer, driver: DriverHandle, next_connection: Arc<AtomicU64>) {
        let shared = Arc::new(Shared { acceptor: self.acceptor, control, driver, next_connection });
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            // A stranger waits in the kernel's queue until a place is free.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((tcp, peer)) => {
                    let shared = shared.clone();
                    connections.spawn(async move {
                        let _place = place;
                        if let Err(error) = shared.serve(tcp).await {
                            tracing::debug!(%peer, %error, "a connection was refused");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Raises the soft limit of open files towards the hard one: it is often 1024, which a few hundred agents would fill.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(N_FILE_DESCRIPTORS, |hard| hard.min(N_FILE_DESCRIPTORS));
    if limit.current.is_some_and(|soft| soft < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays as it is: a large cluster may not find room; raise it with `ulimit -n`");
        }
    }
}

impl Shared {
    /// Serves one connection from its handshake to its end.
    async fn serve(&self, tcp: TcpStream) -> io::Result<()> {
        socket::prepare(&tcp)?;
        let (stream, service) = timeout(tls::HANDSHAKE_TIMEOUT, self.greet(tcp)).await.map_err(io::Error::other)??;
        match service {
            Service::Control => answer(calls(codec::transport(stream), self.control.clone().serve())).await,
            Service::AgentLink => {
                let connection = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
                answer(calls(codec::transport(stream), AgentLinkServer::new(self.driver.clone(), connection).serve())).await;
                self.driver.tell(Command::Disconnected(connection)).await;
            }
        }
        Ok(())
    }

    /// Authenticates the peer, and answers its opening by the role in its certificate.
    async fn greet(&self, tcp: TcpStream) -> io::Result<(TlsStream<TcpStream>, Service)> {
        let mut stream = self.acceptor.accept(tcp).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let role = certificate.and_then(Role::of_certificate);
        let opening: Opening = opening::receive(&mut stream).await?;
        let greeting = opening.judge(role);
        opening::send(&mut stream, &greeting).await?;
        match greeting {
            Greeting::Welcome => Ok((stream, opening.service)),
            refused => Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{refused:?} for {role:?}"))),
        }
    }
}

/// The calls of one connection to one service, each ready to be run.
pub(crate) fn calls<T, S>(transport: T, service: S) -> impl Stream<Item = Result<impl Future<Output = ()>, impl Debug>>
where
    T: Transport<Response<S::Resp>, ClientMessage<S::Req>>,
    S: Serve + Clone,
    S::Req: RequestName,
{
    let channel = BaseChannel::with_defaults(transport).max_concurrent_requests(MAX_CALLS_PER_CONNECTION);
    channel.requests().map(move |call| call.map(|call| call.execute(Guarded(service.clone()))))
}

/// Answers calls, some at a time, until their connection closes. Those still at work then are dropped with it.
pub(crate) async fn answer(calls: impl Stream<Item = Result<impl Future<Output = ()> + Send + 'static, impl Debug>>) {
    let mut calls = pin!(calls);
    let mut at_work = JoinSet::new();
    loop {
        tokio::select! {
            call = calls.next() => match call {
                Some(Ok(call)) => drop(at_work.spawn(call)),
                // Peers that exit just close their socket; the protocol calls that an error, and it is none.
                Some(Err(error)) => return tracing::debug!(?error, "a connection has ended"),
                None => return,
            },
            Some(_) = at_work.join_next() => {}
        }
    }
}

/// A service whose panics are answers: without this the caller of a handler that panicked would wait until its deadline.
#[derive(Clone)]
struct Guarded<S>(S);

impl<S: Serve> Serve for Guarded<S> {
    type Req = S::Req;
    type Resp = S::Resp;

    async fn serve(self, context: Context, request: Self::Req) -> Result<Self::Resp, ServerError> {
        AssertUnwindSafe(self.0.serve(context, request)).catch_unwind().await.unwrap_or_else(|_| {
            Err(ServerError::new(io::ErrorKind::Other, "the coordinator met an error of its own; report it".to_owned()))
        })
    }
}
