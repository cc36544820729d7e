//! What `phalanx-sim` does where its answer cannot be printed.

use std::process::Command;

#[path = "../../tests/stdout.rs"]
mod stdout;

#[test]
fn a_reader_may_leave_and_a_full_disk_is_told() {
    for words in [
        "run --seeds 1",
        "run --seeds 1 --json",
        "generate --preset small --out made",
        "generate --preset small --out made --json",
        #[cfg(feature = "learning")]
        "results --list",
    ] {
        let name = words.split(' ').next().unwrap();
        stdout::check(&format!("phalanx-sim {name}"), 1, |folder| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx-sim"));
            command.args(words.split(' ')).current_dir(folder);
            command
        });
    }
}
