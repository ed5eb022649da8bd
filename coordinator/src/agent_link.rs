//! The service for agents: every call goes to the driver, which answers it when there is something to say.

use crate::command::{Command, ConnectionId, DriverHandle};
use paceline_common::failure::Refusal;
use paceline_common::message::{AgentHello, AgentReport, ExchangeReply, Registered};
use paceline_wire::service::AgentLink;
use tarpc::context::Context;

/// One agent's connection.
#[derive(Clone)]
pub(crate) struct AgentLinkServer {
    driver: DriverHandle,
    connection: ConnectionId,
}

impl AgentLinkServer {
    pub(crate) fn new(driver: DriverHandle, connection: ConnectionId) -> Self {
        Self { driver, connection }
    }
}

impl AgentLink for AgentLinkServer {
    async fn register(self, _: Context, hello: AgentHello) -> Result<Registered, Refusal> {
        let answer = self.driver.ask(|reply| Command::Register(self.connection, Box::new(hello), reply)).await;
        answer.unwrap_or_else(|| Err(Refusal::internal("the coordinator is stopping; connect to the next one")))
    }

    async fn exchange(self, _: Context, report: AgentReport) -> ExchangeReply {
        let answer = self.driver.ask(|reply| Command::Exchange(self.connection, Box::new(report), reply)).await;
        // A coordinator that stops knows nobody any more: the agent registers with the next one.
        answer.unwrap_or(ExchangeReply::UnknownAgent)
    }
}
