//! libFuzzer's door to `protocol_fuzz::to_client`. What it checks is said there.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| protocol_fuzz::to_client(bytes));
