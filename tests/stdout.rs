//! Standard outputs that take nothing: one whose reader has left, and a full disk. The programs'
//! own tests take this file by its path and hold each program to one rule, whose reasons are in
//! `host/src/print.rs`.

use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Runs the command on both, each time with a folder of its own. Who reads may leave without a
/// word; a full disk is told as `name`, with this exit status.
pub(crate) fn check(name: &str, status: i32, command: impl Fn(&Path) -> Command) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let left = unread(&mut command(folder.path()));
    assert_eq!(left, (Some(0), String::new()), "{name}, unread");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = "could not write standard output: No space left on device (os error 28)";
    let expected = (Some(status), format!("{name}: {said}\n"));
    assert_eq!(full(&mut command(folder.path())), expected, "{name}, full");
}

/// Exit status and words on standard error where nobody reads what is printed.
pub(crate) fn unread(command: &mut Command) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    ended(command.stdout(writer))
}

/// The same where the disk is full.
pub(crate) fn full(command: &mut Command) -> (Option<i32>, String) {
    let full = File::options().write(true).open("/dev/full");
    ended(command.stdout(full.expect("Linux has a device that is full")))
}

fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the program starts");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words)
}
