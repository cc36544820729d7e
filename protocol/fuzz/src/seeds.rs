//! Where the fuzzer starts: every kind of message and record of a few rounds that were played, and
//! scripts that lead the machines into every phase.

use std::collections::BTreeMap;

use protocol::message::{ToClient, ToCoordinator};
use protocol::operator::{Command, Reply};
use protocol::wire;
use serde::Serialize;

use super::consortium::{self, BANKS};
use super::federation::Federation;

/// The seeds of every target: the target, the seed's name in it, and its bytes.
#[must_use]
pub fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut all = Kinds::default();
    for number in 0..4 {
        let mut federation = Federation::new(consortium::plan(number));
        federation.deliver(1_000);
        all.collect(&federation);
        all.add("plan", &consortium::plan(number), u32::from(number));
    }
    all.add("credential", &consortium::bank_credential(0, 0), 0);
    all.add("operator", &Command::Rounds(7), 0);
    all.add("operator", &Command::Bar("Bank 1".to_owned()), 1);
    all.add("operator", &Reply::Refused("no such plan".to_owned()), 2);
    let start = consortium::signed_plan(consortium::plan(1));
    all.add(
        "operator",
        &consortium::operated(Command::Start(Box::new(start))),
        3,
    );
    all.add_scripts();
    all.0
        .into_iter()
        .map(|((target, name), bytes)| (target, name, bytes))
        .collect()
}

#[derive(Default)]
struct Kinds(BTreeMap<(&'static str, String), Vec<u8>>);

impl Kinds {
    /// The first of each kind of what was said and recorded; results of every kind of plan.
    fn collect(&mut self, federation: &Federation) {
        for (_, said) in &federation.said_up {
            self.add("to_coordinator", said, kind(said));
            self.add_framed(said);
        }
        for (_, said) in &federation.said_down {
            self.add("to_client", said, kind(said));
            if let ToClient::Result(result) = said {
                self.add(
                    "result",
                    &**result,
                    result.manifest.unverified().words as u32,
                );
            }
        }
        for record in &federation.log {
            self.add("coordinator_record", record, kind(record));
        }
        for bank in 0..BANKS {
            for record in &federation.banks[bank].journal().records {
                self.add("client_record", record, kind(record));
            }
        }
    }

    fn add<T: Serialize>(&mut self, target: &'static str, value: &T, kind: u32) {
        let name = format!("seed-{kind:03}");
        self.0
            .entry((target, name))
            .or_insert_with(|| wire::encode(value));
    }

    fn add_framed(&mut self, said: &ToCoordinator) {
        let message = wire::encode(said);
        let header = wire::header(&message).expect("what is said fits a frame");
        let name = format!("seed-{:03}", kind(said));
        self.0
            .insert(("frame", name), [&header[..], &message].concat());
    }

    /// Deliveries in steps, with a lie, a death or a command at each depth.
    fn add_scripts(&mut self) {
        let attacks: [&[u8]; 8] = [
            &[],
            &[132, 0, 1, 2, 40, 0, 8],
            &[176, 0, 3, 1, 0, 60, 16],
            &[6, 0, 1, 2],
            &[7, 3],
            &[7, 255],
            &[225, 0, 0, 0, 0, 0],
            &[211, 1, 0, 1, 0, 3, 0, 1, 1],
        ];
        for (number, attack) in (0_u32..).zip(attacks) {
            for target in ["client", "coordinator"] {
                let mut script = vec![number as u8];
                for _ in 0..6 {
                    // Seventeen messages, then whatever it is.
                    script.extend([127 - 127 % 8]);
                    script.extend(attack);
                }
                script.extend([4, 0, 3, 4, 0, 3]);
                let name = format!("seed-{number:03}");
                self.0.insert((target, name), script);
            }
        }
    }
}

/// The variant's number, as it is on the wire.
fn kind<T: Serialize>(value: &T) -> u32 {
    let bytes = wire::encode(value);
    let variant = bytes.first_chunk().copied();
    u32::from_be_bytes(variant.unwrap_or_default())
}
