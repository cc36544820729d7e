//! The fuzzer's targets without the fuzzer: its corpus again, and a few thousand inputs by chance
//! that are the same every time. The targets are in `protocol/fuzz/src`, one function each; how
//! to let libFuzzer loose on them is in `protocol/fuzz/Cargo.toml`.

#![expect(
    clippy::disallowed_methods,
    reason = "the corpus lies on the disk; what is tested touches none"
)]

use std::fs;
use std::path::{Path, PathBuf};

#[expect(
    unreachable_pub,
    reason = "it is a library for libFuzzer, and a module here"
)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use fuzz::{DECODERS, MACHINES, Target};

/// What is checked in: enough to begin with, and no burden to clone.
const FILES_MAX: usize = 300;
const BYTES_MAX: usize = 1 << 20;

/// Inputs by chance, each target: about five seconds in all. A sequence is a round or two of real
/// signatures, hence the few.
const DECODED: u64 = 3_000;
const PLAYED: u64 = 50;

#[test]
fn corpus_is_withstood() {
    let (mut files, mut bytes) = (0, 0);
    for (name, target) in DECODERS.into_iter().chain(MACHINES) {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "no corpus of {name}");
        files += inputs.len();
        for (path, input) in inputs {
            bytes += input.len();
            println!("{}", path.display());
            target(&input);
        }
    }
    assert!(
        files <= FILES_MAX && bytes <= BYTES_MAX,
        "{files} files, {bytes} bytes"
    );
}

/// A change of the wire leaves seeds behind that nobody can read, and a fuzzer that begins at
/// the door again: `cargo run --example seeds` in `protocol/fuzz` writes them anew.
#[test]
fn seeds_are_what_is_said() {
    for (target, name, bytes) in fuzz::seeds() {
        let path = folder(target).join(&name);
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == bytes, "{} is of another wire", path.display());
    }
}

#[test]
fn decoders_withstand_chance() {
    let seeds = fuzz::seeds();
    for target in DECODERS {
        let of_target = seeds.iter().filter(|(name, ..)| *name == target.0);
        let of_target: Vec<&[u8]> = of_target.map(|(.., bytes)| &bytes[..]).collect();
        for number in 0..DECODED {
            (target.1)(&chanced(target, number, &of_target));
        }
    }
}

#[test]
fn client_withstands_chance() {
    play(MACHINES[0]);
}

#[test]
fn coordinator_withstands_chance() {
    play(MACHINES[1]);
}

fn play(target: Target) {
    for number in 0..PLAYED {
        (target.1)(&chanced(target, number, &[]));
    }
}

/// Bytes by chance, or one of the bases with a few of them changed.
fn chanced((name, _): Target, number: u64, bases: &[&[u8]]) -> Vec<u8> {
    let mut draws = [0; 96];
    let seed = crypto::Seed::from_entropy([7; 32]);
    seed.stream(name, number).fill(&mut draws);
    let [which, length, changes, ..] = draws;
    if bases.is_empty() || which < 64 {
        return draws[3..]
            .iter()
            .copied()
            .take(usize::from(length))
            .collect();
    }
    let mut bytes = bases[usize::from(which) % bases.len()].to_vec();
    for at in 0..1 + usize::from(changes % 4) {
        let [high, low, value, kind, ..] = draws[4 + 4 * at..] else {
            break;
        };
        let place = usize::from(u16::from_be_bytes([high, low])) % bytes.len().max(1);
        match kind % 4 {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, value),
            2.. => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= value;
                }
            }
        }
    }
    bytes
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a file of the corpus is readable");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn folder(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fuzz/corpus").join(target)
}
