//! What goes wrong, and how all is healed.

use super::faults::MS;
use super::node::Life;
use super::world::{Mishap, Note, World};
use paceline_scheduler::event::Event;

impl World {
    pub(super) fn await_mishap(&mut self, mishap: Mishap) {
        let every = match mishap {
            Mishap::Kill => self.faults.kill_every_ns,
            Mishap::Freeze => self.faults.freeze_every_ns,
            Mishap::Partition => self.faults.partition_every_ns,
            Mishap::Join => self.faults.join_every_ns,
            Mishap::Drain => self.faults.drain_every_ns,
            Mishap::Restart => self.faults.restart_every_ns,
            Mishap::Disconnect => self.faults.disconnect_every_ns,
            Mishap::StrayDeath => None,
        };
        if let Some(every) = every {
            let delay = self.random.below(2 * every);
            self.after(delay, Note::Fault(mishap));
        }
    }

    pub(super) fn any_node(&mut self) -> Option<usize> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|&node| self.nodes[node].life == Life::Up).collect();
        (!up.is_empty()).then(|| up[self.random.below(up.len() as u64) as usize])
    }

    pub(super) fn suffer(&mut self, mishap: Mishap) -> Result<(), String> {
        if self.is_healed {
            return Ok(());
        }
        self.await_mishap(mishap);
        self.say(|_| format!("!! {mishap:?}"));
        match mishap {
            Mishap::Join => {
                self.add_node();
                return Ok(());
            }
            Mishap::Restart => {
                self.crashes_soon = true;
                return Ok(());
            }
            _ => {}
        }
        let Some(node) = self.any_node() else { return Ok(()) };
        let lasts = self.random.between(100, 12_000) * MS;
        match mishap {
            Mishap::Kill => {
                self.count("kills");
                self.nodes[node].life = Life::Dead;
                let session = self.nodes[node].session;
                if let Some(agent) = session.filter(|_| self.random.chance(0.5)) {
                    self.send(node, Note::Up { node, event: Event::AgentLost { agent } });
                }
            }
            Mishap::Freeze => {
                self.count("freezes");
                self.nodes[node].life = Life::Frozen;
                self.thaw_at.insert(node, self.now + lasts);
                self.after(lasts, Note::Thaw { node });
            }
            Mishap::Partition => {
                self.count("partitions");
                self.nodes[node].is_cut_off = true;
                self.after(lasts, Note::Mend { node });
            }
            Mishap::Drain => {
                self.count("drains");
                self.nodes[node].is_draining = true;
                self.send_up(node, |agent| Event::DrainAsked { agent });
            }
            Mishap::Disconnect => {
                if let Some(agent) = self.nodes[node].session.filter(|session| self.sessions.remove(session).is_some()) {
                    self.count("disconnections");
                    self.tell(Event::AgentLost { agent })?;
                }
            }
            Mishap::StrayDeath => self.kill_runner(node),
            Mishap::Join | Mishap::Restart => {}
        }
        Ok(())
    }

    /// From here on everything works: stopped processes go on, cut ones are reconnected, and there is one more sound node.
    pub(super) fn heal(&mut self) -> Result<(), String> {
        self.say(|_| "-- all is healed".to_owned());
        self.is_healed = true;
        self.faults.heal();
        for node in 0..self.nodes.len() {
            let is_frozen = self.nodes[node].life == Life::Frozen;
            let healed = &mut self.nodes[node];
            (healed.is_cut_off, healed.is_bad) = (false, false);
            if is_frozen {
                healed.life = Life::Up;
            }
        }
        self.thaw_at.clear();
        self.add_node();
        if let Some(sound) = self.nodes.last_mut() {
            (sound.speed, sound.cores) = (1.0, 4);
        }
        Ok(())
    }
}
