//! The imagined network: frames are late, lost, repeated and, since each has a stream of its own,
//! out of order. A liar's frames are also spoilt on the way out.

use protocol::message::{ToClient, ToCoordinator};
use protocol::time::Duration;
use protocol::wire;
use rand::RngExt;

use super::oracle::Violation;
use super::sabotage::Sabotage;
use super::{Happening, World};

impl World {
    pub(super) fn send_down(&mut self, bank: usize, message: &ToClient) -> Result<(), Violation> {
        let Some(link) = self.links[bank] else {
            return Ok(());
        };
        let frame = wire::encode(message);
        self.oracle.coordinator_has(&frame)?;
        for after in self.journeys() {
            let frame = frame.clone();
            self.schedule(after, Happening::Down { bank, link, frame });
        }
        Ok(())
    }

    pub(super) fn send_up(
        &mut self,
        bank: usize,
        message: &ToCoordinator,
    ) -> Result<(), Violation> {
        let Some(link) = self.links[bank] else {
            return Ok(());
        };
        let mut frame = wire::encode(message);
        if let Some(key) = &self.kept[bank]
            && self.scenario.sabotage == Some(Sabotage::ShowBucketKey)
        {
            frame.extend_from_slice(key.expose());
        }
        self.oracle.coordinator_has(&frame)?;
        for after in self.journeys() {
            let mut frame = frame.clone();
            if !self.is_calm && self.scenario.liar == Some(bank) {
                self.spoil(&mut frame);
            }
            self.schedule(after, Happening::Up { bank, link, frame });
        }
        Ok(())
    }

    /// How long each copy of a frame travels: none where it is lost, two where it is repeated.
    fn journeys(&mut self) -> Vec<Duration> {
        let is_silent = self.scenario.sabotage == Some(Sabotage::Silence);
        if is_silent || self.dies(self.scenario.lost) {
            return Vec::new();
        }
        let copies = if self.dies(self.scenario.repeated) {
            2
        } else {
            1
        };
        let latency = self.scenario.latency_ms;
        (0..copies)
            .map(|_| Duration(self.chance.random_range(1..=latency)))
            .collect()
    }

    /// One frame in eight of a liar's has a bit flipped, or its end cut off.
    fn spoil(&mut self, frame: &mut Vec<u8>) {
        if frame.is_empty() || self.chance.random_range(0..8) != 0 {
            return;
        }
        let at = self.chance.random_range(0..frame.len());
        if self.chance.random_range(0..4) == 0 {
            frame.truncate(at);
        } else {
            frame[at] ^= 1 << self.chance.random_range(0..8);
        }
    }
}
