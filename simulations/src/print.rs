//! What a subcommand answers, on standard output, and how it ends. `host/src/print.rs` has the rule
//! for the processes; this crate may not import it, so `tests/stdout.rs` holds both to the same.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Runs the subcommand of this name, prints what it wrote, and says on standard error why not all
/// was done.
pub(crate) fn answer<E: Display>(
    name: &str,
    run: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> ExitCode {
    let mut text = Vec::new();
    let done = match run(&mut text) {
        Ok(()) => print(&text, &mut io::stdout().lock())
            .map_err(|error| format!("could not write standard output: {error}")),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where even this cannot be said.
            let _ = writeln!(io::stderr(), "phalanx-sim {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Who reads may have had enough before the end, as `head` has: that is no failure.
fn print(text: &[u8], out: &mut impl Write) -> io::Result<()> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
