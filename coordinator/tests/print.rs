//! What `phalanx-coordinator` does where its answer cannot be printed.

use std::process::Command;

#[path = "../../tests/stdout.rs"]
mod stdout;

#[test]
fn a_reader_may_leave_and_a_full_disk_is_told() {
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ops/config/coordinator.toml"
    );
    stdout::check("phalanx-coordinator", 74, |_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx-coordinator"));
        command.args(["check-config", "--config", sample]);
        command
    });
}
