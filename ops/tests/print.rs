//! What `phalanx` does where its answer cannot be printed.

use std::path::Path;
use std::process::Command;

#[path = "../../tests/stdout.rs"]
mod stdout;

#[test]
fn a_reader_may_leave_and_a_full_disk_is_told() {
    stdout::check("phalanx", 1, |folder| {
        phalanx(folder, "ca init --folder ca --name Test")
    });
    stdout::check("phalanx", 1, |folder| phalanx(folder, REQUEST));
}

// A script's reader may leave: what was asked for is done. Where the fingerprint cannot be shown to
// anybody, nothing is signed.
#[test]
fn a_member_is_approved_unread_and_not_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for words in ["ca init --folder ca --name Test", REQUEST] {
        assert!(phalanx(at, words).output().unwrap().status.success());
    }
    let approve = || phalanx(at, APPROVE);
    let (status, words) = stdout::full(&mut approve());
    let is_signed = at.join("bundle.json").exists();
    assert_eq!((status, is_signed), (Some(1), false), "{words}");
    assert_eq!(stdout::unread(&mut approve()), (Some(0), String::new()));
    assert!(at.join("bundle.json").exists());
}

const REQUEST: &str = "enrol request --folder own --name Test --role operator --out request.json";
const APPROVE: &str = "ca approve --folder ca --yes request.json --out bundle.json";

fn phalanx(folder: &Path, words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
    command.args(words.split(' ')).current_dir(folder);
    command
}
