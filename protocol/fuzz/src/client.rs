//! A bank against a coordinator that lies: bank 0 hears true messages, changed ones, old ones and
//! garbage, while time passes, links break and processes die. The others hear the truth.

use protocol::client::{Contribution, Heard, Order};
use protocol::message::ToClient;
use protocol::wire;

use super::consortium;
use super::federation::{Envelope, Federation};
use super::script::Script;
use super::tampering;

/// The bank that is lied to.
const VICTIM: usize = 0;

/// Steps of one sequence: what takes longer takes the fuzzer's time.
const STEPS_MAX: usize = 96;

/// Bytes as a sequence of inputs for a bank.
///
/// # Panics
/// If the bank breaks a promise.
pub fn client(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut federation = Federation::new(consortium::plan(script.byte()));
    for _ in 0..STEPS_MAX {
        let Some(op) = script.next() else {
            break;
        };
        match op {
            0..=127 => federation.befall(op, &mut script),
            128..=175 => lie(&mut federation, op % 4 == 0, &mut script),
            176..=207 => repeat(&mut federation, op % 2 == 0, &mut script),
            208..=223 => babble(&mut federation, &mut script),
            224..=239 => work(&mut federation, op, &mut script),
            240..=255 => lose(&mut federation),
        }
    }
    federation.deliver(1_000);
}

/// The next message on its way to the bank arrives changed; `is_twice` brings the true one too.
fn lie(federation: &mut Federation, is_twice: bool, script: &mut Script<'_>) {
    let Some(message) = take_next(federation) else {
        return;
    };
    if let Some(other) = tampering::down(&message, script) {
        federation.tell(VICTIM, Heard::Message(other));
    }
    if is_twice {
        federation.tell(VICTIM, Heard::Message(message));
    }
}

/// Something that was said before, to this bank or to another, is said to it again.
fn repeat(federation: &mut Federation, is_changed: bool, script: &mut Script<'_>) {
    let back = script.below(federation.said_down.len());
    let Some((_, message)) = federation.said_down.iter().rev().nth(back) else {
        return;
    };
    let message = if is_changed {
        tampering::down(message, script)
    } else {
        Some(message.clone())
    };
    if let Some(message) = message {
        federation.tell(VICTIM, Heard::Message(message));
    }
}

/// Bytes of the script itself, if they are a message.
fn babble(federation: &mut Federation, script: &mut Script<'_>) {
    let length = usize::from(script.byte());
    if let Ok(message) = wire::decode::<ToClient>(script.take(length)) {
        federation.tell(VICTIM, Heard::Message(message));
    }
}

/// The bank's host is slow from here on, or brings something else than was asked for.
fn work(federation: &mut Federation, op: u8, script: &mut Script<'_>) {
    let bank = &mut federation.banks[VICTIM];
    bank.is_slow = !op.is_multiple_of(4);
    let place = script.below(bank.orders.len());
    let Some(order) = bank.orders.get(place).cloned() else {
        return;
    };
    let what = contributed(&order, script);
    federation.finish(VICTIM, &order, what);
}

fn contributed(order: &Order, script: &mut Script<'_>) -> Result<Contribution, String> {
    let number = script.number();
    let update = |value: f32| Contribution::Update {
        delta: vec![value; number % 16],
        examples: number as u64,
    };
    match script.byte() % 8 {
        0 => Err("no data".to_owned()),
        1 => Ok(Contribution::Counts(vec![1 << 31; number % 32])),
        2 => Ok(update(f32::NAN)),
        3 => Ok(update(f32::MAX)),
        4 => Ok(update(-1.0)),
        5..=7 | 8.. => consortium::contribution(VICTIM, order),
    }
}

fn lose(federation: &mut Federation) {
    drop(take_next(federation));
}

fn take_next(federation: &mut Federation) -> Option<ToClient> {
    let is_for_victim = |envelope: &Envelope| matches!(envelope, Envelope::Down(VICTIM, _));
    let place = federation.queue.iter().position(is_for_victim)?;
    match federation.queue.remove(place)? {
        Envelope::Down(_, message) => Some(message),
        Envelope::Up(..) => None,
    }
}
