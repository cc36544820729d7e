//! libFuzzer's door to `src/door.rs`. What it checks is said there.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../src/door.rs"]
mod door;

fuzz_target!(|bytes: &[u8]| door::door(bytes));
