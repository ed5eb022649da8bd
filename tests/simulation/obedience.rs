//! What nodes do: register, report, obey, compute, hand in.

use super::faults::MS;
use super::load::Nature;
use super::node::{Life, Node, NodeLease, Trouble};
use super::world::{HEARTBEAT_NS, Note, REGISTER_RETRY_NS, World};
use paceline_common::failure::{Failure, FailureKind, RunnerDeath};
use paceline_common::ids::{AgentId, JobId, LeaseId, StageIdx};
use paceline_scheduler::action::Action;
use paceline_scheduler::event::Event;
use std::collections::BTreeSet;

impl World {
    pub(super) fn add_node(&mut self) {
        let node = self.nodes.len();
        let drawn = Node::draw(&mut self.random);
        self.nodes.push(drawn);
        self.seen.push(BTreeSet::new());
        self.after(0, Note::Register { node });
        let delay = self.random.below(HEARTBEAT_NS);
        self.after(delay, Note::Heartbeat { node });
    }

    pub(super) fn ask_to_join(&mut self, node: usize) {
        if self.nodes[node].session.is_none() {
            let held = self.nodes[node].held();
            self.send(node, Note::Join { node, held });
            self.after(REGISTER_RETRY_NS, Note::Register { node });
        }
    }

    pub(super) fn welcome(&mut self, node: usize, session: AgentId) {
        if self.nodes[node].session.is_some_and(|present| present >= session) {
            return;
        }
        self.nodes[node].session = Some(session);
        for (lease, end) in self.nodes[node].finished.clone() {
            self.send_up(node, |agent| Event::RangeFinished { agent, lease: lease.lease, end });
        }
        if self.nodes[node].is_draining {
            self.send_up(node, |agent| Event::DrainAsked { agent });
        }
        self.report(node);
    }

    pub(super) fn reregister(&mut self, node: usize, session: AgentId) {
        if self.nodes[node].session == Some(session) {
            self.nodes[node].session = None;
            let delay = self.random.between(10, 400) * MS;
            self.after(delay, Note::Register { node });
        }
    }

    pub(super) fn beat(&mut self, node: usize) {
        self.report(node);
        if self.nodes[node].is_draining {
            self.send_up(node, |agent| Event::DrainAsked { agent });
        }
        self.after(HEARTBEAT_NS, Note::Heartbeat { node });
    }

    pub(super) fn report(&mut self, node: usize) {
        let leases = self.nodes[node].progress();
        self.send_up(node, |agent| Event::AgentReported { agent, leases });
    }

    pub(super) fn obey(&mut self, node: usize, session: AgentId, order: &Action) {
        if self.nodes[node].session != Some(session) {
            return;
        }
        match order {
            Action::Grant { lease, range, .. } => {
                if !self.seen[node].insert(*lease) {
                    return;
                }
                if self.nodes[node].is_draining {
                    let (lease, end) = (*lease, range.start);
                    return self.send_up(node, |agent| Event::LeaseShortened { agent, lease, end });
                }
                let trouble = self.draw_trouble(node);
                self.nodes[node].leases.extend(NodeLease::granted(order, trouble));
            }
            Action::Shorten { lease, end, .. } => {
                if let Some(end) = self.nodes[node].shorten(*lease, *end) {
                    let lease = *lease;
                    self.send_up(node, |agent| Event::LeaseShortened { agent, lease, end });
                    if let Some(done) = self.nodes[node].take_if_complete(lease) {
                        self.hand_in(node, done);
                    }
                }
            }
            Action::Revoke { lease, .. } => {
                self.nodes[node].drop_lease(*lease);
                self.nodes[node].finished.retain(|(kept, _)| kept.lease != *lease);
            }
            Action::Release { .. } => {
                let session = self.nodes[node].session;
                self.nodes[node].life = Life::Dead;
                if let Some(agent) = session {
                    self.send(node, Note::Up { node, event: Event::AgentLost { agent } });
                }
            }
            _ => {}
        }
        self.use_threads(node);
    }

    pub(super) fn draw_trouble(&mut self, node: usize) -> Option<Trouble> {
        if self.nodes[node].is_bad || self.random.chance(self.faults.p_storage) {
            Some(Trouble::Storage)
        } else {
            self.random.chance(self.faults.p_no_space).then_some(Trouble::NoSpace)
        }
    }

    pub(super) fn use_threads(&mut self, node: usize) {
        while let Some((lease, job, stage, item)) = self.nodes[node].claim() {
            let cost = self.loads.iter().find(|load| load.job == job).map_or(0.0, |load| load.cost_ns(stage, item));
            let delay = (cost / self.nodes[node].speed) as u64 + 1;
            let runner = self.nodes[node].runner;
            self.after(delay, Note::ItemDone { node, runner, lease, job, stage, item });
        }
    }

    pub(super) fn end_item(&mut self, node: usize, runner: u32, lease: LeaseId, job: JobId, stage: StageIdx, item: u64) {
        if self.nodes[node].runner != runner {
            return;
        }
        let nature = self.loads.iter().find(|load| load.job == job).map_or(Nature::Good, |load| load.nature(stage, item));
        match nature {
            Nature::Kills => return self.kill_runner(node),
            Nature::Fails => {
                self.nodes[node].n_busy -= 1;
                if self.nodes[node].drop_lease(lease).is_some() {
                    let failure = Failure::item(format!("item {item} is bad"));
                    self.send_up(node, |agent| Event::RangeFailed { agent, lease, item: Some(item), failure });
                }
            }
            Nature::Good => {
                if let Some(done) = self.nodes[node].complete(lease, item) {
                    self.hand_in(node, done);
                }
            }
        }
        self.use_threads(node);
    }

    pub(super) fn kill_runner(&mut self, node: usize) {
        self.count("runner deaths");
        let (leases, unstarted) = self.nodes[node].lose_runner();
        self.send_up(node, |agent| Event::RunnerDied { agent, leases, unstarted, death: RunnerDeath::Signal(11) });
        self.report(node);
    }

    /// A lease is done: its part is stored and reported, unless storage fails.
    pub(super) fn hand_in(&mut self, node: usize, done: NodeLease) {
        let lease = done.lease;
        if let Some(trouble) = done.trouble.filter(|_| !self.is_healed) {
            self.count("storage failures");
            let failure = match trouble {
                Trouble::Storage => Failure::storage("the part cannot be written"),
                Trouble::NoSpace => Failure { kind: FailureKind::NoSpace, message: "the disk is full".to_owned() },
            };
            self.send_up(node, |agent| Event::RangeFailed { agent, lease, item: None, failure });
            return;
        }
        self.truth.computed.insert(lease, (done.job, done.stage, done.range));
        let end = done.range.end;
        self.nodes[node].keep_finished(done);
        self.send_up(node, |agent| Event::RangeFinished { agent, lease, end });
        self.report(node);
    }
}
