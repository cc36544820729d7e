//! What `phalanx-agent` does where its answer cannot be printed. `score`, which prints piece by
//! piece, is tested beside its code.

use std::process::Command;

#[path = "../../tests/stdout.rs"]
mod stdout;

#[test]
fn a_reader_may_leave_and_a_full_disk_is_told() {
    for words in ["openapi", "layout"] {
        stdout::check("phalanx-agent", 74, |_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx-agent"));
            command.arg(words);
            command
        });
    }
}
