//! Metrics and listings for monitoring, by plain HTTP and read-only: on a loopback address only, for nothing unencrypted goes over
//! the network.

use crate::command::{Command, DriverHandle};
use crate::coordinator::StartError;
use crate::metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// A door for HTTP that is open and not yet answered.
pub(crate) struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

/// Listens on a loopback address.
pub(crate) async fn bind(address: SocketAddr) -> Result<HttpServer, StartError> {
    if !address.ip().is_loopback() {
        return Err(StartError::Listen(format!(
            "--http {address}: is not a loopback address, and HTTP is not encrypted; use 127.0.0.1:{} and forward the port with ssh",
            address.port()
        )));
    }
    let fail = |e: std::io::Error| StartError::Listen(format!("--http {address}: cannot be listened on: {e}; name another port"));
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok(HttpServer { listener, address })
}

impl HttpServer {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is aborted.
    pub(crate) async fn run(self, driver: DriverHandle) {
        let router = Router::new()
            .route("/healthz", get(health))
            .route("/metrics", get(metrics_text))
            .route("/api/jobs", get(jobs))
            .route("/api/agents", get(agents))
            .with_state(driver);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::warn!(%error, "metrics are no longer served");
        }
    }
}

/// Healthy means that the driver answers, and it answers only between rounds that reach the disk.
async fn health(State(driver): State<DriverHandle>) -> Response {
    match driver.ask(Command::Status).await {
        Some(_) => "ok\n".into_response(),
        None => stopping(),
    }
}

async fn jobs(State(driver): State<DriverHandle>) -> Response {
    driver.ask(Command::Jobs).await.map_or_else(stopping, |jobs| Json(jobs).into_response())
}

async fn agents(State(driver): State<DriverHandle>) -> Response {
    driver.ask(Command::Agents).await.map_or_else(stopping, |agents| Json(agents).into_response())
}

async fn metrics_text(State(driver): State<DriverHandle>) -> Response {
    let (status, jobs, agents) = (driver.ask(Command::Status).await, driver.ask(Command::Jobs).await, driver.ask(Command::Agents).await);
    let (Some(status), Some(jobs), Some(agents)) = (status, jobs, agents) else { return stopping() };
    match metrics::encode(&status, &jobs, &agents) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn stopping() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the coordinator is stopping\n").into_response()
}
