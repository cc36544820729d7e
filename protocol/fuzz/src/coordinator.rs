//! The coordinator against banks that lie, strangers, and an operator with a heavy hand: true
//! messages, changed ones, old ones under other names and garbage, while time passes, links break
//! and processes die.

use protocol::coordinator::FromPeer;
use protocol::id::{ClientId, PlanId, RoundId};
use protocol::message::{CheckIn, ToCoordinator};
use protocol::operator::Command;
use protocol::wire;

use super::consortium::{self, BANKS, OPERATOR, STRANGER};
use super::federation::{Envelope, Federation};
use super::script::Script;
use super::tampering;

/// Steps of one sequence: what takes longer takes the fuzzer's time.
const STEPS_MAX: usize = 96;

/// Bytes as a sequence of inputs for the coordinator.
///
/// # Panics
/// If the coordinator breaks a promise.
pub fn coordinator(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut federation = Federation::new(consortium::plan(script.byte()));
    for _ in 0..STEPS_MAX {
        let Some(op) = script.next() else {
            break;
        };
        match op {
            0..=127 => federation.befall(op, &mut script),
            128..=175 => lie(&mut federation, op % 4 == 0, &mut script),
            176..=199 => repeat(&mut federation, op % 2 == 0, &mut script),
            200..=207 => babble(&mut federation, &mut script),
            208..=231 => operate(&mut federation, op, &mut script),
            232..=243 => arrive(&mut federation, &mut script),
            244..=249 => {
                let from = anybody(&mut script);
                federation.notice(from, FromPeer::Gone);
            }
            250..=255 => drop(take_next(&mut federation, &mut script)),
        }
    }
    federation.deliver(1_000);
}

/// The next message of a bank arrives changed; `is_twice` brings the true one too.
fn lie(federation: &mut Federation, is_twice: bool, script: &mut Script<'_>) {
    let Some((bank, message)) = take_next(federation, script) else {
        return;
    };
    if let Some(other) = tampering::up(bank, &message, script) {
        federation.hear(consortium::bank_id(bank), other);
    }
    if is_twice {
        federation.hear(consortium::bank_id(bank), message);
    }
}

/// Something that a bank said before is said again, by it or by anybody.
fn repeat(federation: &mut Federation, is_changed: bool, script: &mut Script<'_>) {
    let back = script.below(federation.said_up.len());
    let Some((bank, message)) = federation.said_up.iter().rev().nth(back) else {
        return;
    };
    let message = if is_changed {
        tampering::up(*bank, message, script)
    } else {
        Some(message.clone())
    };
    let from = if script.is_odd() {
        anybody(script)
    } else {
        consortium::bank_id(*bank)
    };
    if let Some(message) = message {
        federation.hear(from, message);
    }
}

/// Bytes of the script itself, if they are a message.
fn babble(federation: &mut Federation, script: &mut Script<'_>) {
    let from = anybody(script);
    let length = usize::from(script.byte());
    if let Ok(message) = wire::decode::<ToCoordinator>(script.take(length)) {
        federation.hear(from, message);
    }
}

/// The operator asks for something, or somebody does in its name.
fn operate(federation: &mut Federation, op: u8, script: &mut Script<'_>) {
    let plan = consortium::signed_plan(consortium::plan(script.byte()));
    let command = match op % 8 {
        0 => Command::Status,
        1 | 2 => Command::Start(Box::new(plan)),
        3 => match tampering::plan(&plan, script) {
            Some(other) => Command::Start(Box::new(other)),
            None => Command::Status,
        },
        4 => Command::Stop(PlanId(plan.plan.unverified().id().0)),
        5 => Command::Rounds(u32::from(script.byte())),
        6 => Command::Round(RoundId(u64::from(script.byte()) % 8)),
        _ => match script.byte() {
            bank @ 0..=15 => Command::Bar(format!("Bank {bank}")),
            16.. => Command::Rounds(u32::MAX),
        },
    };
    let from = match script.byte() {
        0 => anybody(script),
        1.. => OPERATOR,
    };
    federation.hear(from, consortium::operated(command));
}

/// A bank that is enrolled says where it stands, under its own or a later certificate.
fn arrive(federation: &mut Federation, script: &mut Script<'_>) {
    let bank = script.below(STRANGER + 1);
    let credential = consortium::bank_credential(bank, script.byte() % 3);
    let id = credential.unverified().id;
    let last = federation.said_up.iter().rev().find_map(|(_, said)| {
        let ToCoordinator::CheckIn(said) = said else {
            return None;
        };
        Some(said.clone())
    });
    let Some(said) = last else {
        return;
    };
    let said = Box::new(CheckIn {
        credential,
        ..*said
    });
    federation.hear(id, ToCoordinator::CheckIn(said));
}

fn anybody(script: &mut Script<'_>) -> ClientId {
    match script.below(BANKS + 3) {
        bank @ 0..=STRANGER => consortium::bank_id(bank),
        5 => OPERATOR,
        _ => consortium::bank_credential(0, 1).unverified().id,
    }
}

fn take_next(
    federation: &mut Federation,
    script: &mut Script<'_>,
) -> Option<(usize, ToCoordinator)> {
    let mut ups = (0..federation.queue.len())
        .filter(|&place| matches!(federation.queue[place], Envelope::Up(..)));
    let place = ups.nth(usize::from(script.byte() % 8))?;
    match federation.queue.remove(place)? {
        Envelope::Up(bank, message) => Some((bank, message)),
        Envelope::Down(..) => None,
    }
}
